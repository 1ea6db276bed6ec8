// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// check makes the release twice, from two clones of the commit at paths of
// their own, with another umask and an empty build cache the second time, and
// compares the sums.
func (r *release) check(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "outlast-release-check-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	runs := []struct {
		name, path, umask string
		env               []string
	}{
		{"the first", "a/outlast", "022", nil},
		{"the second, with an empty build cache", "b/elsewhere/a checkout", "077", []string{"GOCACHE=" + filepath.Join(dir, "cache"), "HOME=" + filepath.Join(dir, "home"), "TZ=Asia/Shanghai"}},
	}
	kept, err := output(ctx, r.root, nil, "go", "env", "GOMODCACHE")
	if err != nil {
		return err
	}
	var made []string
	for _, run := range runs {
		clone, to := filepath.Join(dir, run.path), filepath.Join(dir, run.path+".dist")
		if _, err := output(ctx, dir, nil, "git", "clone", "--quiet", r.root, clone); err != nil {
			return err
		}
		started := time.Now()
		cmd := command(ctx, filepath.Join(clone, ".ci", "release"), append(run.env, "GOMODCACHE="+kept), "sh", "-c", `umask "$1" && shift && exec go run . "$@"`, "sh", run.umask,
			"--version", r.version, "--releases", r.releases, "--platforms", strings.Join(r.platforms, " "), "--image", r.image, "--to", to)
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("making %s release: %w", run.name, err)
		}
		say("%s run: %.0f s", run.name, time.Since(started).Seconds())
		text, err := os.ReadFile(filepath.Join(to, sumsFile))
		if err != nil {
			return err
		}
		made = append(made, string(text))
	}
	if diff := different(made[0], made[1]); diff != "" {
		return fmt.Errorf("comparing the two runs: they differ:\n%s", diff)
	}
	fmt.Print(made[0])
	say("two runs from different checkouts gave these sums")
	return nil
}

// different lists the lines that are in one text alone.
func different(a, b string) string {
	var out strings.Builder
	for _, pair := range [][3]string{{"- ", a, b}, {"+ ", b, a}} {
		for line := range strings.Lines(pair[1]) {
			if !strings.Contains("\n"+pair[2], "\n"+line) {
				out.WriteString(pair[0] + line)
			}
		}
	}
	if out.Len() == 0 && a != b {
		return "the same lines in another order"
	}
	return out.String()
}
