// SPDX-License-Identifier: Apache-2.0

package ci

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// Git is what the checkout itself says.
type Git struct {
	Commit, Branch string
	Dirty          bool   // something tracked differs from the commit, or an untracked file is not ignored
	Seconds        string // the commit's time, seconds since 1970
}

// ErrNoGit says that dir is no git checkout, or git is not installed.
var ErrNoGit = errors.New("no git checkout")

// ReadGit asks git about the checkout that dir stands in; environ is the
// environment for the git program.
func ReadGit(ctx context.Context, dir string, environ []string) (Git, error) {
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
		cmd.Env = append(environ[:len(environ):len(environ)], "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C")
		out, err := cmd.Output()
		return strings.TrimSpace(string(out)), err
	}
	head, err := run("log", "-1", "--format=%H %ct", "HEAD")
	if err != nil {
		return Git{}, fmt.Errorf("%w at %s: %w", ErrNoGit, dir, err)
	}
	var g Git
	g.Commit, g.Seconds, _ = strings.Cut(head, " ")
	if branch, err := run("symbolic-ref", "--short", "HEAD"); err == nil { // fails on a detached head
		g.Branch = branch
	}
	status, err := run("status", "--porcelain", "--untracked-files=normal", "--", ".")
	if err != nil {
		return Git{}, fmt.Errorf("asking git at %s what changed: %w", dir, err)
	}
	g.Dirty = status != ""
	return g, nil
}
