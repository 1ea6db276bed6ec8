// SPDX-License-Identifier: Apache-2.0

package ci

import (
	"context"
	"net/url"
	"os/exec"
	"path"
	"slices"
	"strings"
)

// Repository is what git knows of a repository beyond the checkout. The zero
// value knows nothing.
type Repository struct {
	Host     string   // of the remote origin, or of the only remote: github.com
	Path     string   // on that host: team/web
	Default  string   // the remote's default branch; unknown: main or master if it is there, else the one checked out
	Branches []string // local ones and the remote's, sorted
}

// Name is the repository's name: the last part of its path.
func (r Repository) Name() string {
	if r.Path == "" {
		return ""
	}
	return path.Base(r.Path)
}

// ReadRepository asks git about the repository that dir stands in; environ is
// the environment for the git program. What git does not know stays empty.
func ReadRepository(ctx context.Context, dir string, environ []string) Repository {
	run := func(args ...string) string {
		cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
		cmd.Env = append(environ[:len(environ):len(environ)], "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C")
		out, err := cmd.Output()
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(out))
	}
	var r Repository
	remotes := strings.Fields(run("remote"))
	remote := "origin"
	if len(remotes) == 1 {
		remote = remotes[0]
	}
	if slices.Contains(remotes, remote) {
		r.Host, r.Path = parseRemote(run("remote", "get-url", remote))
	}
	for ref := range strings.FieldsSeq(run("for-each-ref", "--format=%(refname)", "refs/heads", "refs/remotes/"+remote)) {
		for _, prefix := range []string{"refs/heads/", "refs/remotes/" + remote + "/"} {
			if name, ok := strings.CutPrefix(ref, prefix); ok && name != "HEAD" {
				r.Branches = append(r.Branches, name)
			}
		}
	}
	current := run("symbolic-ref", "--short", "HEAD")
	if current != "" {
		r.Branches = append(r.Branches, current) // it may have no commit yet
	}
	slices.Sort(r.Branches)
	r.Branches = slices.Compact(r.Branches)
	r.Default = strings.TrimPrefix(run("symbolic-ref", "--short", "refs/remotes/"+remote+"/HEAD"), remote+"/")
	for _, usual := range []string{"main", "master", current} {
		if r.Default == "" && slices.Contains(r.Branches, usual) {
			r.Default = usual
		}
	}
	return r
}

// parseRemote takes ssh://git@host/path.git, https://host/path and git@host:path
// apart. Another remote, such as a folder, has no host.
func parseRemote(remote string) (host, path string) {
	if strings.Contains(remote, "://") {
		u, err := url.Parse(remote)
		if err != nil {
			return "", ""
		}
		host, path = u.Hostname(), u.Path
	} else if before, after, ok := strings.Cut(remote, ":"); ok && !strings.Contains(before, "/") {
		_, host, ok = strings.Cut(before, "@")
		if !ok {
			host = before
		}
		path = after
	}
	return strings.ToLower(host), strings.TrimSuffix(strings.Trim(path, "/"), ".git")
}
