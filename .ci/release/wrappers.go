// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// folders are the wrappers'.
var folders = []string{"actions", "circleci-orb", "codebuild", "gitlab", "jenkins"}

// wrappers writes the wrappers as they are when they download this release,
// the tree of a GitLab project for the component, and the packed orb.
func (r *release) wrappers(ctx context.Context) error {
	trees := filepath.Join(r.dist, "wrappers")
	for _, name := range folders { // what the repository tracks, beside what is generated
		list, err := output(ctx, r.root, nil, "git", "ls-files", "-z", "--", name)
		if err != nil {
			return err
		}
		for path := range strings.SplitSeq(strings.TrimRight(list, "\x00"), "\x00") {
			if err := copyFile(filepath.Join(r.root, path), filepath.Join(trees, path)); err != nil {
				return err
			}
		}
	}
	if err := writeSums(r.dist); err != nil {
		return err
	}
	made := filepath.Join(r.work, "generated")
	if _, err := output(ctx, r.root, fixed, "go", "run", "./core/cmd/gen", "--version", r.version, "--releases", r.releases, "--sums", filepath.Join(r.dist, sumsFile), "--to", made); err != nil {
		return err
	}
	for _, name := range folders {
		if err := copyTree(filepath.Join(made, name), filepath.Join(trees, name)); err != nil {
			return err
		}
	}
	component := filepath.Join(r.dist, "gitlab-component")
	if err := errors.Join(copyTree(filepath.Join(trees, "gitlab"), component), copyFile(filepath.Join(r.root, "LICENSE"), filepath.Join(component, "LICENSE"))); err != nil {
		return err
	}
	if err := r.orb(ctx, filepath.Join(trees, "circleci-orb", "src")); err != nil {
		return err
	}
	for _, tree := range []string{"wrappers", "gitlab-component"} {
		entries, err := folder(filepath.Join(r.dist, tree), "")
		if err != nil {
			return err
		}
		if tree == "wrappers" {
			license, err := os.ReadFile(filepath.Join(r.root, "LICENSE"))
			if err != nil {
				return err
			}
			entries = append(entries, entry{"LICENSE", license, 0o644})
		}
		if err := pack(filepath.Join(r.dist, "outlast-"+tree+"_"+r.version[1:]+".tar.gz"), entries, r.epoch); err != nil {
			return err
		}
	}
	return nil
}

// orb packs the orb with CircleCI's own program, which is built as pinned.
func (r *release) orb(ctx context.Context, src string) error {
	module := filepath.Join(r.root, ".ci", "runners", "circleci-cli")
	packer := filepath.Join(r.work, "circleci")
	if _, err := output(ctx, module, fixed, "go", "build", "-trimpath", "-buildvcs=false", "-o", packer, "github.com/CircleCI-Public/circleci-cli"); err != nil {
		return err
	}
	text, err := output(ctx, r.work, []string{"HOME=" + r.work, "CIRCLECI_CLI_TELEMETRY_OPTOUT=1"}, packer, "orb", "pack", "--skip-update-check", src)
	if err != nil {
		return err
	}
	if !strings.Contains(text, r.version) {
		return fmt.Errorf("packing the orb: what %s made is not pinned to %s", packer, r.version)
	}
	return os.WriteFile(filepath.Join(r.dist, "outlast-orb_"+r.version[1:]+".yml"), []byte(text+"\n"), 0o644)
}

func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	mode := os.FileMode(0o644)
	if strings.HasPrefix(string(text), "#!") {
		mode = 0o755
	}
	return errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, text, mode))
}

func copyTree(from, to string) error {
	list, err := folder(from, "")
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := copyFile(filepath.Join(from, filepath.FromSlash(e.name)), filepath.Join(to, filepath.FromSlash(e.name))); err != nil {
			return err
		}
	}
	return nil
}
