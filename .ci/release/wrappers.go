// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// sums writes SHA256SUMS over all assets that are there.
func (r *release) sums() error {
	entries, err := os.ReadDir(r.to)
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, e := range entries { // sorted by name
		text, err := os.ReadFile(filepath.Join(r.to, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(text), e.Name())
	}
	return os.WriteFile(filepath.Join(r.to, "SHA256SUMS"), []byte(b.String()), 0o644)
}

// folders of the wrappers in the checkout.
var folders = []string{"actions", "circleci-orb", "codebuild", "gitlab", "jenkins"}

// wrappers writes them pinned to this release, the orb in one file, and the tree
// of the component's own project: GitLab finds components only at its top.
func (r *release) wrappers() error {
	to := filepath.Join(r.to, "wrappers")
	for _, folder := range folders {
		if err := os.CopyFS(filepath.Join(to, folder), os.DirFS(filepath.Join(r.root, folder))); err != nil {
			return err
		}
	}
	gen := exec.Command("go", "run", "./core/cmd/gen", "--version", r.version, "--releases", r.releases, "--sums", filepath.Join(r.to, "SHA256SUMS"), "--to", to)
	gen.Dir, gen.Stderr, gen.Env = r.root, os.Stderr, append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
	if err := gen.Run(); err != nil {
		return fmt.Errorf("pinning the wrappers: %w", err)
	}
	component := filepath.Join(r.to, "gitlab-component")
	if err := os.CopyFS(component, os.DirFS(filepath.Join(to, "gitlab"))); err != nil {
		return err
	}
	licence, err := os.ReadFile(filepath.Join(r.root, "LICENSE"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(component, "LICENSE"), licence, 0o644); err != nil {
		return err
	}
	pack := exec.Command(filepath.Join(r.bin, "circleci"), "orb", "pack", "--skip-update-check", filepath.Join(to, "circleci-orb", "src"))
	var stderr bytes.Buffer
	pack.Stderr = &stderr
	orb, err := pack.Output()
	if err != nil {
		return fmt.Errorf("packing the orb: %w: %s", err, stderr.String())
	}
	return os.WriteFile(filepath.Join(r.to, "outlast-orb.yml"), orb, 0o644)
}

// sign signs the sums when there is a key, with cosign on PATH.
func (r *release) sign() error {
	sums := filepath.Join(r.to, "SHA256SUMS")
	key := os.Getenv("COSIGN_KEY")
	if key == "" {
		fmt.Fprintln(os.Stderr, "release: COSIGN_KEY is not set: SHA256SUMS is not signed")
		return r.list()
	}
	cmd := exec.Command("cosign", "sign-blob", "--yes", "--tlog-upload=false", "--key", key, "--output-signature", sums+".sig", sums)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("signing %s: %w", sums, err)
	}
	return r.list()
}

// list prints the assets with their sums.
func (r *release) list() error {
	text, err := os.ReadFile(filepath.Join(r.to, "SHA256SUMS"))
	if err != nil {
		return err
	}
	lines := slices.Sorted(strings.Lines(string(text)))
	fmt.Print(strings.Join(lines, ""))
	return nil
}
