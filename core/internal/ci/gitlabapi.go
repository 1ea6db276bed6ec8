// SPDX-License-Identifier: Apache-2.0

//lint:file-ignore SA1019 the module is the project's choice; its successor has the same calls (docs/dependencies.md)

package ci

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/xanzy/go-gitlab"
)

// noteLimit is what GitLab takes of a note, in characters.
const noteLimit = 1_000_000

// tellGitLab writes the result on the merge request, and the deployment's status where
// the job has no environment of GitLab's, which would do it by itself. It needs
// a token for the project, since a job's own may not; without one, or when
// GitLab refuses, a line says so and the run goes on.
func (w World) tellGitLab(ctx context.Context, r Result) []string {
	token := w.Getenv("OUTLAST_GITLAB_TOKEN")
	if token == "" {
		return []string{"no note is written on the merge request: set OUTLAST_GITLAB_TOKEN to a project access token with the scope api (role Reporter; Developer for the deployment's status)"}
	}
	base, project := w.Getenv("CI_API_V4_URL"), w.Getenv("CI_PROJECT_ID")
	if base == "" || project == "" {
		return []string{"no note is written on the merge request: CI_API_V4_URL or CI_PROJECT_ID is not set"}
	}
	client, err := gitlab.NewClient(token, gitlab.WithBaseURL(base), gitlab.WithHTTPClient(w.Client), gitlab.WithCustomRetryMax(2))
	if err != nil {
		return []string{fmt.Sprintf("no note is written on the merge request: %v", err)}
	}
	api := gitlabAPI{client, project, gitlab.WithContext(ctx)}
	var lines []string
	if err := api.note(r); err != nil {
		lines = append(lines, fmt.Sprintf("no note is written on the merge request: %v", err))
	}
	if r.Deployed && r.Environment != "" && w.Getenv("CI_ENVIRONMENT_NAME") == "" {
		if err := api.deployment(r); err != nil {
			lines = append(lines, fmt.Sprintf("the deployment's status is not told to GitLab: %v", err))
		}
	}
	return lines
}

// gitlabAPI is one project of an instance.
type gitlabAPI struct {
	client  *gitlab.Client
	project string
	ctx     gitlab.RequestOptionFunc
}

// note writes one note for the application and environment, the same one each time.
func (g gitlabAPI) note(r Result) error {
	number, err := g.mergeRequest(r.Facts)
	if err != nil || number == 0 {
		return err
	}
	mark := r.mark()
	body := mark + "\n" + r.Summary + source(r.Facts)
	if len(body) > noteLimit {
		body = mark + "\nThe summary is longer than GitLab takes; it is in summary.md of the job's artifacts.\n"
	}
	old, err := g.find(number, mark)
	if err != nil {
		return err
	}
	if old != 0 {
		_, answer, err := g.client.Notes.UpdateMergeRequestNote(g.project, number, old, &gitlab.UpdateMergeRequestNoteOptions{Body: &body}, g.ctx)
		if err == nil || answer == nil || answer.StatusCode != http.StatusForbidden {
			return explainGitLab(err, "updating the note")
		}
		// Somebody else's note, of an earlier token: a new one takes its place.
	}
	_, _, err = g.client.Notes.CreateMergeRequestNote(g.project, number, &gitlab.CreateMergeRequestNoteOptions{Body: &body}, g.ctx)
	return explainGitLab(err, "writing the note")
}

// mergeRequest is the number of the one that the job is for, or that brought
// the commit; 0 when there is none.
func (g gitlabAPI) mergeRequest(f Facts) (int, error) {
	var number int
	if _, err := fmt.Sscan(f.PullRequest, &number); err == nil {
		return number, nil
	}
	if f.Commit == "" {
		return 0, nil
	}
	all, _, err := g.client.Commits.ListMergeRequestsByCommit(g.project, f.Commit, g.ctx)
	if err != nil {
		return 0, explainGitLab(err, "looking for the merge request of commit "+f.Commit)
	}
	for _, mr := range all {
		if mr.State == "merged" && (f.Branch == "" || mr.TargetBranch == f.Branch) {
			return mr.IID, nil
		}
	}
	return 0, nil
}

// find looks for the note with our mark, through all pages; 0 when there is none.
func (g gitlabAPI) find(number int, mark string) (int, error) {
	opt := &gitlab.ListMergeRequestNotesOptions{ListOptions: gitlab.ListOptions{PerPage: 100, Page: 1}}
	for {
		notes, answer, err := g.client.Notes.ListMergeRequestNotes(g.project, number, opt, g.ctx)
		if err != nil {
			return 0, explainGitLab(err, "reading the notes")
		}
		for _, n := range notes {
			if strings.HasPrefix(n.Body, mark) {
				return n.ID, nil
			}
		}
		if answer.NextPage == 0 {
			return 0, nil
		}
		opt.Page = answer.NextPage
	}
}

// deployment records the run among the environment's deployments.
func (g gitlabAPI) deployment(r Result) error {
	tag, ref := r.Facts.Tag != "", first(r.Facts.Tag, r.Facts.Branch)
	if ref == "" || r.Facts.Commit == "" {
		return fmt.Errorf("recording the deployment: the branch or the commit is unknown")
	}
	status := gitlab.DeploymentStatusValue(r.Status)
	_, _, err := g.client.Deployments.CreateProjectDeployment(g.project, &gitlab.CreateProjectDeploymentOptions{
		Environment: &r.Environment, Ref: &ref, SHA: &r.Facts.Commit, Tag: &tag, Status: &status}, g.ctx)
	return explainGitLab(err, "recording the deployment to "+r.Environment)
}

// explainGitLab says what to do about a refusal.
func explainGitLab(err error, what string) error {
	if err == nil {
		return nil
	}
	text := strings.Join(strings.Fields(err.Error()), " ")
	var refused *gitlab.ErrorResponse
	status := 0
	if errors.As(err, &refused) && refused.Response != nil {
		status = refused.Response.StatusCode
	} else if errors.Is(err, gitlab.ErrNotFound) {
		status = http.StatusNotFound
	}
	switch status {
	case http.StatusUnauthorized:
		text += "; is OUTLAST_GITLAB_TOKEN expired or revoked?"
	case http.StatusForbidden:
		text += "; OUTLAST_GITLAB_TOKEN needs the scope api and at least the role Reporter, or Developer for deployments"
	case http.StatusNotFound:
		text += "; may OUTLAST_GITLAB_TOKEN see this project?"
	}
	return fmt.Errorf("%s: %s", what, text)
}
