// SPDX-License-Identifier: Apache-2.0

package ci

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// instance is a GitLab with one project, number 7, whose merge request 3
// brought the commit abc to develop, and 4, still open, has it, too.
type instance struct {
	notes    []map[string]any // of merge request 3
	refuse   map[string]int   // "METHOD path" of requests that are refused
	asked    []string
	deployed map[string]any
}

func (i *instance) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/api/v4/projects/7/")
	call := r.Method + " " + path
	if page := r.URL.Query().Get("page"); page != "" {
		call += " page " + page
	}
	i.asked = append(i.asked, call)
	if r.Header.Get("Private-Token") != "glpat-secret" {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"message":"401 Unauthorized"}`)
		return
	}
	if status := i.refuse[r.Method+" "+path]; status != 0 {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"message":"%d Refused"}`, status)
		return
	}
	var body map[string]any
	if text, err := io.ReadAll(r.Body); err == nil && len(text) > 0 {
		if err := json.Unmarshal(text, &body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
	}
	var answer any
	switch {
	case call == "GET repository/commits/abc/merge_requests":
		answer = []map[string]any{{"iid": 4, "state": "opened", "target_branch": "develop"}, {"iid": 5, "state": "merged", "target_branch": "main"}, {"iid": 3, "state": "merged", "target_branch": "develop"}}
	case strings.HasPrefix(call, "GET merge_requests/3/notes page "):
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		if page < len(i.notes) { // one a page
			w.Header().Set("X-Next-Page", strconv.Itoa(page+1))
		}
		answer = []map[string]any{}
		if page <= len(i.notes) {
			answer = i.notes[page-1 : page]
		}
	case call == "POST merge_requests/3/notes":
		i.notes = append(i.notes, map[string]any{"id": 100 + len(i.notes), "body": body["body"]})
		answer = i.notes[len(i.notes)-1]
	case strings.HasPrefix(call, "PUT merge_requests/3/notes/"):
		for _, n := range i.notes {
			if fmt.Sprint(n["id"]) == path[strings.LastIndex(path, "/")+1:] {
				n["body"], answer = body["body"], n
			}
		}
	case call == "POST deployments":
		i.deployed, answer = body, map[string]any{"id": 1}
	default:
		w.WriteHeader(http.StatusNotFound)
		answer = map[string]any{"message": "404 Not Found"}
	}
	json.NewEncoder(w).Encode(answer) //nolint:errcheck // a test's answer
}

// tell publishes one result.
func (i *instance) tell(t *testing.T, r Result, env ...string) []string {
	t.Helper()
	i.asked = nil
	return published(t, i, r, "glpat-secret", func(url string) []string {
		return append(env, "GITLAB_CI=true", "CI_PROJECT_ID=7", "CI_API_V4_URL="+url+"/api/v4", "OUTLAST_GITLAB_TOKEN=glpat-secret")
	})
}

// published publishes a result to a server, and wants no line to tell the token.
func published(t *testing.T, h http.Handler, r Result, token string, environ func(url string) []string) []string {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	lines, err := World{Environ: environ(server.URL), Client: server.Client()}.Publish(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		if strings.Contains(line, token) {
			t.Errorf("the token is told: %s", line)
		}
	}
	return lines
}

func TestOneNoteIsUpdatedInPlace(t *testing.T) {
	i := &instance{notes: []map[string]any{{"id": 1, "body": "nice"}, {"id": 2, "body": "<!-- outlast: web to prod -->\nother"}}}
	r := Result{Facts: Facts{Host: "gitlab", PullRequest: "3", Commit: "abc", RunURL: "https://gitlab.cn/j/1"}, App: "web", Environment: "dev", Summary: "## first\n"}
	if lines := i.tell(t, r); len(lines) > 0 {
		t.Fatal(lines)
	}
	r.Summary = "## second\n"
	if lines := i.tell(t, r); len(lines) > 0 {
		t.Fatal(lines)
	}
	want := []map[string]any{{"id": 1, "body": "nice"}, {"id": 2, "body": "<!-- outlast: web to prod -->\nother"},
		{"id": 102, "body": "<!-- outlast: web to dev -->\n## second\n\n[The job](https://gitlab.cn/j/1) of commit abc\n"}}
	if diff := cmp.Diff(want, i.notes); diff != "" {
		t.Error(diff)
	}
	if i.deployed != nil {
		t.Errorf("a run that only renders is no deployment: %v", i.deployed)
	}
}

func TestWhatGitLabIsTold(t *testing.T) {
	deploy := Result{Facts: Facts{Host: "gitlab", Commit: "abc", Branch: "develop"}, App: "web", Environment: "dev", Summary: "s\n", Deployed: true, Status: Failed}
	with := func(change func(*Result)) Result { r := deploy; change(&r); return r }
	record := map[string]any{"environment": "dev", "ref": "develop", "sha": "abc", "tag": false, "status": "failed"}
	cases := map[string]struct {
		result   Result
		env      []string
		refuse   map[string]int
		notes    int
		deployed map[string]any
		said     []string
	}{
		"a push: the merge request that brought the commit, and the deployment": {deploy, nil, nil, 1, record, nil},
		"a job with an environment of its own":                                  {deploy, []string{"CI_ENVIRONMENT_NAME=dev"}, nil, 1, nil, nil},
		"a commit of no merge request":                                          {with(func(r *Result) { r.Facts.Branch = "other" }), nil, nil, 0, map[string]any{"environment": "dev", "ref": "other", "sha": "abc", "tag": false, "status": "failed"}, nil},
		"an unknown commit":                                                     {with(func(r *Result) { r.Facts.Commit = "" }), nil, nil, 0, nil, []string{"the branch or the commit is unknown"}},
		"more than GitLab takes":                                                {with(func(r *Result) { r.Summary = strings.Repeat("x", noteLimit) }), nil, nil, 1, record, nil},
		"a token that may not":                                                  {deploy, nil, map[string]int{"POST merge_requests/3/notes": 403, "POST deployments": 403}, 0, nil, []string{"no note is written on the merge request: writing the note: ", "at least the role Reporter", "the deployment's status is not told"}},
		"a token that is revoked":                                               {deploy, nil, map[string]int{"GET repository/commits/abc/merge_requests": 401, "POST deployments": 401}, 0, nil, []string{"expired or revoked?"}},
		"a project out of sight":                                                {deploy, []string{"CI_ENVIRONMENT_NAME=x"}, map[string]int{"GET merge_requests/3/notes": 404}, 0, nil, []string{"may OUTLAST_GITLAB_TOKEN see this project?"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			i := &instance{refuse: c.refuse}
			said := strings.Join(i.tell(t, c.result, c.env...), "\n")
			if len(i.notes) != c.notes || (said == "") != (c.said == nil) {
				t.Errorf("%d notes; said %q; asked %q", len(i.notes), said, i.asked)
			}
			for _, words := range c.said {
				if !strings.Contains(said, words) {
					t.Errorf("said %q, want %q", said, words)
				}
			}
			if diff := cmp.Diff(c.deployed, i.deployed); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAnotherTokensNoteIsReplacedByANewOne(t *testing.T) {
	i := &instance{notes: []map[string]any{{"id": 1, "body": "<!-- outlast: web to dev -->\nold"}}, refuse: map[string]int{"PUT merge_requests/3/notes/1": 403}}
	if lines := i.tell(t, Result{Facts: Facts{PullRequest: "3"}, App: "web", Environment: "dev", Summary: "new"}); len(lines) > 0 || len(i.notes) != 2 {
		t.Errorf("%v, %v", lines, i.notes)
	}
}

func TestWithoutATokenALineSaysSo(t *testing.T) {
	for name, c := range map[string]struct {
		env  []string
		said string
	}{
		"no token":       {[]string{"GITLAB_CI=true"}, "set OUTLAST_GITLAB_TOKEN to a project access token"},
		"no API":         {[]string{"GITLAB_CI=true", "OUTLAST_GITLAB_TOKEN=x"}, "CI_API_V4_URL or CI_PROJECT_ID is not set"},
		"a crooked host": {[]string{"GITLAB_CI=true", "OUTLAST_GITLAB_TOKEN=x", "CI_PROJECT_ID=1", "CI_API_V4_URL=:"}, "missing protocol scheme"},
	} {
		lines, err := World{Environ: c.env, Client: http.DefaultClient}.Publish(t.Context(), Result{})
		if err != nil || len(lines) != 1 || !strings.Contains(lines[0], c.said) {
			t.Errorf("%s: %q, %v", name, lines, err)
		}
	}
}
