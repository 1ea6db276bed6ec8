// SPDX-License-Identifier: Apache-2.0

package ci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// commentLimit is what GitHub takes of a comment, in characters.
const commentLimit = 65_536

// commentsPage is how many comments are read at once, the most that GitHub gives.
const commentsPage = 100

// tellGitHub writes a plan on the pull request that the job is for, as one comment
// for the application and environment, the same one each time. That it could not is
// a line for people.
func (w World) tellGitHub(ctx context.Context, r Result) []string {
	number, err := strconv.Atoi(r.Facts.PullRequest)
	if !r.Planned || err != nil {
		return nil
	}
	token := w.Getenv("OUTLAST_GITHUB_TOKEN")
	if token == "" {
		return []string{"no comment is written on the pull request: set OUTLAST_GITHUB_TOKEN to ${{ github.token }}, in a job with permissions: {pull-requests: write}"}
	}
	base, repository := w.Getenv("GITHUB_API_URL"), w.Getenv("GITHUB_REPOSITORY")
	if base == "" || repository == "" {
		return []string{"no comment is written on the pull request: GITHUB_API_URL or GITHUB_REPOSITORY is not set"}
	}
	api := githubAPI{w.Client, strings.TrimSuffix(base, "/") + "/repos/" + repository, token}
	if err := api.comment(ctx, number, r); err != nil {
		return []string{fmt.Sprintf("no comment is written on the pull request: %v", err)}
	}
	return nil
}

// githubAPI is one repository: three calls of
// https://docs.github.com/en/rest/issues/comments, which pull requests share with issues.
type githubAPI struct {
	client     *http.Client
	repository string // its address
	token      string
}

// comment is one as GitHub tells it.
type comment struct {
	ID          int64  `json:"id"`
	Body        string `json:"body"`
	Association string `json:"author_association"`
	User        struct {
		Type string `json:"type"`
	} `json:"user"`
}

// ours tells whether a comment is an earlier one of this program: it has the mark, and
// was not planted by a stranger, who could change it later.
func (c comment) ours(mark string) bool {
	return strings.HasPrefix(c.Body, mark) && (c.User.Type == "Bot" || slices.Contains([]string{"OWNER", "MEMBER", "COLLABORATOR"}, c.Association))
}

func (g githubAPI) comment(ctx context.Context, number int, r Result) error {
	mark := r.mark()
	body := map[string]string{"body": mark + "\n" + shorten(r.Summary+source(r.Facts), commentLimit-len(mark)-1)}
	old, err := g.find(ctx, number, mark)
	if err != nil {
		return err
	}
	if old != 0 {
		err := g.do(ctx, "updating the comment", http.MethodPatch, fmt.Sprintf("/issues/comments/%d", old), body, nil)
		var refused *refusedError
		if !errors.As(err, &refused) || refused.status != http.StatusForbidden && refused.status != http.StatusNotFound {
			return err
		}
		// Somebody else's, or deleted meanwhile: a new one takes its place.
	}
	return g.do(ctx, "writing the comment", http.MethodPost, fmt.Sprintf("/issues/%d/comments", number), body, nil)
}

// find looks for our comment, through all pages; 0 when there is none.
func (g githubAPI) find(ctx context.Context, number int, mark string) (int64, error) {
	for page := 1; ; page++ {
		var comments []comment
		if err := g.do(ctx, "reading the comments", http.MethodGet, fmt.Sprintf("/issues/%d/comments?per_page=%d&page=%d", number, commentsPage, page), nil, &comments); err != nil {
			return 0, err
		}
		for _, c := range comments {
			if c.ours(mark) {
				return c.ID, nil
			}
		}
		if len(comments) < commentsPage {
			return 0, nil
		}
	}
}

// refusedError is an answer that is none.
type refusedError struct {
	status int
	text   string
}

func (e *refusedError) Error() string { return e.text }

// do makes one call, and reads its answer into an object unless that is nil.
func (g githubAPI) do(ctx context.Context, what, method, path string, body, into any) error {
	var text bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&text).Encode(body); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, g.repository+path, &text)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	for name, value := range map[string]string{"Authorization": "Bearer " + g.token, "Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28", "User-Agent": "outlast"} {
		req.Header.Set(name, value)
	}
	res, err := g.client.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 64<<20)) // a hundred of the longest comments are 26 MB
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	case res.StatusCode >= 300:
		return fmt.Errorf("%s: %w", what, explainGitHub(res.StatusCode, answer))
	case into == nil:
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("%s: reading the answer of %s: %w", what, req.URL.Host, err)
	}
	return nil
}

// explainGitHub says what to do about a refusal.
func explainGitHub(status int, answer []byte) error {
	var told struct {
		Message string `json:"message"`
	}
	text := http.StatusText(status)
	if json.Unmarshal(answer, &told) == nil && told.Message != "" {
		text = strings.Join(strings.Fields(told.Message), " ")
	}
	text = fmt.Sprintf("%d %s", status, text)
	switch {
	case status == http.StatusUnauthorized:
		text += "; is OUTLAST_GITHUB_TOKEN expired or revoked?"
	case strings.Contains(text, "rate limit"):
	case status == http.StatusForbidden:
		text += "; give the job permissions: {pull-requests: write}"
	case status == http.StatusNotFound:
		text += "; may OUTLAST_GITHUB_TOKEN see this repository? Give the job permissions: {contents: read, pull-requests: write}"
	}
	return &refusedError{status, text}
}

// shorten cuts Markdown at the end of a line, so that it has at most limit bytes, and
// closes a block of code that was cut.
func shorten(text string, limit int) string {
	const rest = "\nThe rest does not fit here: it is in the job's summary and log.\n"
	if len(text) <= limit {
		return text
	}
	text = text[:limit-len(rest)-len("```\n")]
	text = text[:strings.LastIndex(text, "\n")+1]
	if strings.Count("\n"+text, "\n```")%2 == 1 {
		text += "```\n"
	}
	return text + rest
}
