// SPDX-License-Identifier: Apache-2.0

package ci

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// hub is a GitHub with one repository, whose pull request 7 has comments.
type hub struct {
	comments []map[string]any
	refuse   map[string]int    // "METHOD path" of requests that are refused
	words    map[string]string // of a refusal
	asked    []string
}

func written(id int, body, by, association string) map[string]any {
	return map[string]any{"id": id, "body": body, "user": map[string]any{"type": by}, "author_association": association}
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/api/v3/repos/acme/web/")
	call := r.Method + " " + path
	h.asked = append(h.asked, strings.TrimSuffix(call+"?"+r.URL.RawQuery, "?"))
	status, answer := http.StatusOK, any(map[string]any{"message": "Not Found"})
	body := map[string]string{}
	text, err := io.ReadAll(r.Body)
	if err != nil || len(text) > 0 && json.Unmarshal(text, &body) != nil {
		status = http.StatusBadRequest
	}
	if utf8.RuneCountInString(body["body"]) > 65_536 {
		status, answer = http.StatusUnprocessableEntity, map[string]any{"message": "Validation Failed"}
	}
	switch {
	case r.Header.Get("Authorization") != "Bearer ghs-secret":
		status, answer = http.StatusUnauthorized, map[string]any{"message": "Bad credentials"}
	case h.refuse[call] != 0:
		status, answer = h.refuse[call], map[string]any{"message": h.words[call]}
	case status != http.StatusOK:
	case call == "GET issues/7/comments":
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		per, _ := strconv.Atoi(r.URL.Query().Get("per_page"))
		from := min(max(0, page-1)*per, len(h.comments))
		answer = append([]map[string]any{}, h.comments[from:min(from+per, len(h.comments))]...)
	case call == "POST issues/7/comments":
		status = http.StatusCreated
		h.comments = append(h.comments, written(1000+len(h.comments), body["body"], "Bot", "NONE"))
	case strings.HasPrefix(call, "PATCH issues/comments/"):
		status = http.StatusNotFound
		for _, c := range h.comments {
			if fmt.Sprint(c["id"]) == path[strings.LastIndex(path, "/")+1:] {
				c["body"], status = body["body"], http.StatusOK
			}
		}
	default:
		status = http.StatusNotFound
	}
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(answer) //nolint:errcheck // a test's answer
}

// tell publishes one result.
func (h *hub) tell(t *testing.T, r Result, env ...string) []string {
	t.Helper()
	h.asked = nil
	lines := published(t, h, r, "ghs-secret", func(url string) []string {
		return append(env, "GITHUB_ACTIONS=true", "GITHUB_REPOSITORY=acme/web", "GITHUB_API_URL="+url+"/api/v3", "OUTLAST_GITHUB_TOKEN=ghs-secret")
	})
	if strings.Contains(fmt.Sprint(h.comments), "ghs-secret") {
		t.Errorf("the token is told: %v", h.comments)
	}
	return lines
}

func planned(summary string) Result {
	return Result{Facts: Facts{Host: "github", PullRequest: "7", Commit: "abc", RunURL: "https://github.com/r/1"}, App: "web", Environment: "dev", Planned: true, Summary: summary}
}

func TestOneCommentIsUpdatedInPlace(t *testing.T) {
	h := &hub{}
	for i := range 2*commentsPage + 3 { // ours comes on the third page
		h.comments = append(h.comments, written(i, "nice", "User", "MEMBER"))
	}
	h.comments[3] = written(3, "<!-- outlast: web to prod -->\nother", "Bot", "NONE")
	h.comments[4] = written(4, "<!-- outlast: web to dev -->\nplanted", "User", "CONTRIBUTOR")
	n := len(h.comments)
	for _, summary := range []string{"## first\n", "## second\n"} {
		if lines := h.tell(t, planned(summary)); len(lines) > 0 {
			t.Fatal(lines)
		}
	}
	if len(h.comments) != n+1 {
		t.Fatalf("%d comments, want one more than %d", len(h.comments), n)
	}
	if got, want := h.comments[n]["body"], "<!-- outlast: web to dev -->\n## second\n\n[The job](https://github.com/r/1) of commit abc\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for i, want := range map[int]string{3: "<!-- outlast: web to prod -->\nother", 4: "<!-- outlast: web to dev -->\nplanted"} {
		if h.comments[i]["body"] != want {
			t.Errorf("comment %d is %q now", i, h.comments[i]["body"])
		}
	}
	want := []string{"GET issues/7/comments?per_page=100&page=1", "GET issues/7/comments?per_page=100&page=2", "GET issues/7/comments?per_page=100&page=3", "PATCH issues/comments/1203"}
	if diff := cmp.Diff(want, h.asked); diff != "" {
		t.Error(diff)
	}
}

func TestWhatGitHubIsTold(t *testing.T) {
	with := func(change func(*Result)) Result { r := planned("s\n"); change(&r); return r }
	post, patch := "POST issues/7/comments", "PATCH issues/comments/1"
	for name, c := range map[string]struct {
		result   Result
		old      []map[string]any
		refuse   map[string]int
		words    string
		env      []string
		comments int
		said     string
	}{
		"a plan":                                {planned("s\n"), nil, nil, "", nil, 1, ""},
		"a deploy":                              {with(func(r *Result) { r.Planned = false }), nil, nil, "", nil, 0, ""},
		"a push":                                {with(func(r *Result) { r.Facts.PullRequest = "" }), nil, nil, "", nil, 0, ""},
		"a pull request of an unknown number":   {with(func(r *Result) { r.Facts.PullRequest = "unknown" }), nil, nil, "", nil, 0, ""},
		"a job that may not":                    {planned("s\n"), nil, map[string]int{post: 403}, "Resource not accessible by integration", nil, 0, "writing the comment: 403 Resource not accessible by integration; give the job permissions: {pull-requests: write}"},
		"a job that may not even look":          {planned("s\n"), nil, map[string]int{"GET issues/7/comments": 404}, "Not Found", nil, 0, "may OUTLAST_GITHUB_TOKEN see this repository?"},
		"too many calls":                        {planned("s\n"), nil, map[string]int{post: 403}, "You have exceeded a secondary rate limit", nil, 0, "writing the comment: 403 You have exceeded a secondary rate limit"},
		"a token that is revoked":               {planned("s\n"), nil, nil, "", []string{"OUTLAST_GITHUB_TOKEN=old"}, 0, "expired or revoked?"},
		"an answer that is none":                {planned("s\n"), nil, map[string]int{"GET issues/7/comments": 200}, "hello", nil, 0, "reading the comments: reading the answer of 127.0.0.1"},
		"no token":                              {planned("s\n"), nil, nil, "", []string{"OUTLAST_GITHUB_TOKEN="}, 0, "set OUTLAST_GITHUB_TOKEN to ${{ github.token }}"},
		"another token's comment, that may not": {planned("s\n"), []map[string]any{written(1, "<!-- outlast: web to dev -->\n", "User", "OWNER")}, map[string]int{patch: 403}, "", nil, 2, ""},
		"a comment deleted meanwhile":           {planned("s\n"), []map[string]any{written(1, "<!-- outlast: web to dev -->\n", "Bot", "")}, map[string]int{patch: 404}, "", nil, 2, ""},
		"an update that fails":                  {planned("s\n"), []map[string]any{written(1, "<!-- outlast: web to dev -->\n", "Bot", "")}, map[string]int{patch: 502}, "", nil, 1, "updating the comment: 502 Bad Gateway"},
	} {
		t.Run(name, func(t *testing.T) {
			h := &hub{comments: c.old, refuse: c.refuse, words: map[string]string{post: c.words, "GET issues/7/comments": c.words}}
			said := strings.Join(h.tell(t, c.result, c.env...), "\n")
			if len(h.comments) != c.comments || (said == "") != (c.said == "") || !strings.Contains(said, c.said) {
				t.Errorf("%d comments; said %q; asked %q", len(h.comments), said, h.asked)
			}
			if strings.Contains(c.words, "rate limit") && strings.Contains(said, "permissions") {
				t.Errorf("said %q", said)
			}
		})
	}
}

func TestALongPlanIsCut(t *testing.T) {
	h := &hub{}
	if lines := h.tell(t, planned("## plan\n\n```diff\n"+strings.Repeat("+ ConfigMap/dev/web: created\n", 4000)+"```\n")); len(lines) > 0 {
		t.Fatal(lines)
	}
	body := h.comments[0]["body"].(string)
	if len(body) > commentLimit || len(body) < commentLimit-200 || !strings.HasSuffix(body, ": created\n```\n\nThe rest does not fit here: it is in the job's summary and log.\n") {
		t.Errorf("%d bytes, which end with %q", len(body), body[max(0, len(body)-200):])
	}
	for text, want := range map[string]string{
		strings.Repeat("é\n", 100):                   strings.Repeat("é\n", 11) + "\nThe rest",
		"```\na\n```\n" + strings.Repeat("b\n", 100): "```\na\n```\n" + strings.Repeat("b\n", 11) + "\nThe rest",
		strings.Repeat("x", 1000):                    "\nThe rest",
	} {
		if got := shorten(text, 102); !strings.HasPrefix(got, want) || len(got) > 102 {
			t.Errorf("%q became %q", text, got)
		}
	}
	if got := shorten("short", 5); got != "short" {
		t.Errorf("got %q", got)
	}
}
