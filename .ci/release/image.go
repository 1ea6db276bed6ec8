// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// container builds the image into an archive of an OCI layout, for the
// platform of this machine. IMAGE_ARGS gives build arguments, as NAME=VALUE
// words: the base images, by digest or from a mirror.
func (r *release) container(ctx context.Context) error {
	if r.image == "no" {
		say("no image is built: --image=no")
		return nil
	}
	build, why := builder(ctx)
	if build == nil {
		if r.image == "yes" {
			return errors.New(why)
		}
		say("no image is built: %s", why)
		return nil
	}
	return r.buildImage(ctx, build, filepath.Join(r.dist, r.stem("image/linux/"+runtime.GOARCH)+".oci.tar"))
}

// onlyImage builds the image of the checkout as it is.
func (r *release) onlyImage(ctx context.Context, to string) (err error) {
	build, why := builder(ctx)
	if build == nil {
		return fmt.Errorf("building the image: %s", why)
	}
	if !filepath.IsAbs(to) {
		to = filepath.Join(r.root, to)
	}
	if r.epoch, err = r.time(ctx); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if err := r.buildImage(ctx, build, to); err != nil {
		return err
	}
	say("the image is in %s, an archive of an OCI layout", to)
	return nil
}

func (r *release) buildImage(ctx context.Context, build func(root, to string) []string, to string) error {
	args := build(r.root, to)
	pairs := append(strings.Fields(os.Getenv("IMAGE_ARGS")), "VERSION="+r.version, fmt.Sprintf("SOURCE_DATE_EPOCH=%d", r.epoch.Unix()))
	for _, pair := range pairs {
		if args[0] == "buildctl" {
			args = append(args, "--opt", "build-arg:"+pair)
		} else {
			args = append(args, "--build-arg", pair)
		}
	}
	if args[0] != "buildctl" {
		args = append(args, r.root)
	}
	cmd := command(ctx, r.root, nil, args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr // minutes, the first time
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("running %s: %w", args[0], err)
	}
	return nil
}

// builder is a BuildKit that answers, as the words that build with it; or why
// there is none.
func builder(ctx context.Context) (words func(root, to string) []string, why string) {
	exporter := func(to string) string { return "type=oci,rewrite-timestamp=true,dest=" + to }
	if host := os.Getenv("BUILDKIT_HOST"); host != "" {
		if _, err := output(ctx, "", nil, "buildctl", "debug", "workers"); err != nil {
			return nil, fmt.Sprintf("BUILDKIT_HOST is %s, but it does not answer: %v", host, err)
		}
		return func(root, to string) []string {
			return []string{"buildctl", "build", "--frontend", "dockerfile.v0", "--local", "context=" + root, "--local", "dockerfile=" + root, "--output", exporter(to)}
		}, ""
	}
	if _, err := output(ctx, "", nil, "docker", "buildx", "inspect", "--bootstrap"); err != nil {
		return nil, "BUILDKIT_HOST is not set, and docker buildx does not answer"
	}
	return func(_, to string) []string {
		return []string{"docker", "buildx", "build", "--provenance=false", "--sbom=false", "--output", exporter(to)}
	}, ""
}
