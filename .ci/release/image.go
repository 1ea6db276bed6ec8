// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// image builds our Dockerfile with outlast itself, into an OCI layout, when there
// is a builder. OUTLAST_BUILD_ARG names base images of a mirror.
func (r *release) image() error {
	_, noBuildkit := exec.LookPath("buildkitd")
	_, noDocker := exec.LookPath("docker")
	if os.Getenv("BUILDKIT_HOST") == "" && noBuildkit != nil && noDocker != nil {
		fmt.Fprintln(os.Stderr, "release: neither BUILDKIT_HOST nor buildkitd nor docker is there: the image is not made")
		return nil
	}
	context := filepath.Join(r.work, "image")
	if err := r.context(context); err != nil {
		return fmt.Errorf("making the image: %w", err)
	}
	cmd := exec.Command(r.host, "build", "--app", "outlast", "--platform", "linux/"+runtime.GOARCH)
	cmd.Dir, cmd.Stderr = context, os.Stderr
	cmd.Env = append(os.Environ(), "OUTLAST_BUILD_ARG="+os.Getenv("OUTLAST_BUILD_ARG")+"\nPROGRAM=prebuilt", "OUTLAST_CLUSTER_NAME=", "OUTLAST_SET=")
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("making the image: %w", err)
	}
	layout, digest, ok := strings.Cut(strings.TrimSpace(string(out)), " ")
	if !ok || !strings.HasPrefix(digest, "sha256:") {
		return fmt.Errorf("making the image: outlast build said %q", out)
	}
	to := filepath.Join(r.to, "image")
	if err := errors.Join(os.CopyFS(to, os.DirFS(layout)), os.RemoveAll(filepath.Dir(layout))); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "release: the image is", digest)
	return os.WriteFile(filepath.Join(r.to, "image-digest"), []byte(digest+"\n"), 0o644)
}

// context is a checkout of its own with the program in it, so that the image's
// times are the release's.
func (r *release) context(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
		return err
	}
	for to, from := range map[string]string{"Dockerfile": filepath.Join(r.root, "Dockerfile"), ".dockerignore": filepath.Join(r.root, ".dockerignore"),
		"bin/outlast": filepath.Join(r.work, "linux-"+runtime.GOARCH, "outlast")} {
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, to), text, 0o755)
		}
		if err != nil {
			return err
		}
	}
	at := r.time.Format(time.RFC3339)
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"-c", "user.name=release", "-c", "user.email=release@example.com", "commit", "-q", "-m", r.version}} {
		cmd := exec.Command("git", args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GIT_AUTHOR_DATE="+at, "GIT_COMMITTER_DATE="+at)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("git %s: %w: %s", args[0], err, stderr.String())
		}
	}
	return nil
}
