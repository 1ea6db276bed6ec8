// SPDX-License-Identifier: Apache-2.0

// Command release makes what a version of Outlast is published as: archives of
// the program, their bills of materials, the wrappers pinned to them, the image
// where a builder answers, and SHA256SUMS of it all. Equal sources and an equal
// Go give equal bytes, wherever, whenever and by whomever it is run. See
// docs/release.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// release is one run.
type release struct {
	version   string // v1.2.3
	root      string // top of the checkout
	dist      string // is made beside its place and moved there at the end
	releases  string // base URL that the wrappers download from
	platforms []string
	image     string // auto, yes or no
	epoch     time.Time
	work      string // what no one needs afterwards
}

// say prints progress.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "release: "+format+"\n", args...) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

var versions = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$`)

func run(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	version := flags.String("version", "", "vX.Y.Z")
	to := flags.String("to", "dist", "folder of the release, below the checkout's top unless absolute; what it held is replaced")
	releases := flags.String("releases", "https://github.com/outlast-ci/outlast/releases/download", "base URL that the wrappers download from; assets are below BASE/VERSION/")
	platforms := flags.String("platforms", "linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64", "OS/ARCH of the archives")
	image := flags.String("image", "auto", "build the image: yes, no, or auto: where a builder answers")
	dirty := flags.Bool("dirty", false, "take the checkout as it is, for tests: a release is made of a commit")
	only := flags.String("only-image", "", "build nothing but the image, into this file; of any version")
	check := flags.Bool("check", false, "make the release twice, from clones of the commit, and compare")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is no flag", flags.Arg(0))
	}
	if !versions.MatchString(*version) && *only == "" {
		return fmt.Errorf("reading the version %q: want vMAJOR.MINOR.PATCH, with a -suffix or none: make release VERSION=v1.2.3", *version)
	}
	if !slices.Contains([]string{"auto", "yes", "no"}, *image) {
		return fmt.Errorf("reading --image %q: want auto, yes or no", *image)
	}
	r := &release{version: *version, releases: *releases, platforms: strings.Fields(*platforms), image: *image}
	if r.root, err = output(ctx, "", nil, "git", "rev-parse", "--show-toplevel"); err != nil {
		return err
	}
	if r.dist = *to; !filepath.IsAbs(r.dist) {
		r.dist = filepath.Join(r.root, r.dist)
	}
	if *only != "" {
		return r.onlyImage(ctx, *only)
	}
	if err := r.clean(ctx); err != nil && !*dirty {
		return err
	}
	if *check {
		return r.check(ctx)
	}
	return r.make(ctx)
}

// clean refuses a checkout that is not what its commit says.
func (r *release) clean(ctx context.Context) error {
	changed, err := output(ctx, r.root, nil, "git", "status", "--porcelain")
	if err != nil {
		return err
	}
	if changed != "" {
		return fmt.Errorf("reading the checkout %s: it differs from its commit, and a release is made of a commit: commit or stash\n%s", r.root, changed)
	}
	return nil
}

// make makes the release in a new folder and puts it into its place.
func (r *release) make(ctx context.Context) (err error) {
	started, place := time.Now(), r.dist
	if err := replaceable(place); err != nil {
		return err
	}
	if r.epoch, err = r.time(ctx); err != nil {
		return err
	}
	r.dist = place + ".new"
	if err := errors.Join(os.RemoveAll(r.dist), os.MkdirAll(r.dist, 0o755)); err != nil {
		return err
	}
	if r.work, err = os.MkdirTemp("", "outlast-release-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.work), os.RemoveAll(r.dist)) }()
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"archives", r.archives},
		{"bills of materials", r.materials},
		{"wrappers", r.wrappers},
		{"image", r.container},
		{"sums", func(ctx context.Context) error { return r.sums(ctx) }},
	} {
		began := time.Now()
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("making the %s: %w", step.name, err)
		}
		say("%s: %.1f s", step.name, time.Since(began).Seconds())
	}
	if err := errors.Join(os.RemoveAll(place), os.Rename(r.dist, place)); err != nil {
		return err
	}
	say("%s is in %s after %.0f s", r.version, place, time.Since(started).Seconds())
	return nil
}

// replaceable says whether a folder may be replaced: a release, or nothing.
func replaceable(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, sumsFile)); err != nil {
		return fmt.Errorf("replacing %s: it holds no %s, so it is no release: name another folder by --to", dir, sumsFile)
	}
	return nil
}

// time is that of the last commit that changed what the archives are made of.
// The commit that pins the wrappers to their sums comes after the archives, and
// must not change them.
func (r *release) time(ctx context.Context) (time.Time, error) {
	text, from := os.Getenv("SOURCE_DATE_EPOCH"), "SOURCE_DATE_EPOCH"
	if text == "" {
		from = "git's last commit"
		// The commits at the edge of a shallow clone seem to change everything.
		if shallow, err := output(ctx, r.root, nil, "git", "rev-parse", "--is-shallow-repository"); err != nil || shallow != "false" {
			return time.Time{}, errors.Join(err, fmt.Errorf("reading the commits of %s: it is a shallow clone, whose times are not those of the changes: git fetch --unshallow, or set SOURCE_DATE_EPOCH", r.root))
		}
		var err error
		if text, err = output(ctx, r.root, nil, "git", "log", "-1", "--format=%ct", "--", "go.mod", "go.sum", "core", ":(exclude)core/internal/gen", "README.md", "LICENSE", "Dockerfile"); err != nil {
			return time.Time{}, err
		}
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("reading %s: %q is no time in seconds: set SOURCE_DATE_EPOCH", from, text)
	}
	return time.Unix(seconds, 0), nil
}

// command runs a program with some variables set.
func command(ctx context.Context, dir string, env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// output runs a program and gives what it prints.
func output(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	cmd := command(ctx, dir, env, name, args...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("running %s %s: %w\n%s", name, strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return strings.TrimSpace(string(out)), nil
}
