// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/outlast-ci/outlast/lab/internal/alb/watch"
	"github.com/outlast-ci/outlast/lab/internal/cluster"
	"github.com/outlast-ci/outlast/lab/internal/trial"
)

// app is one application under trial: a namespace, a balancer and a checkout of its
// own. One trial after the other starts with what the one before left.
type app struct {
	*bench
	namespace string
	checkout  *trial.Trial
	front     trial.Front
	release   string // that serves
	image     int    // of images, that serves
}

// absent is an image that no registry holds.
var absent = "@sha256:" + strings.Repeat("0", 64)

// install makes the namespace anew and deploys a first release to it.
func (a *app) install(ctx context.Context) error {
	if err := cluster.DeleteNamespaces(ctx, a.State, a.namespace); err != nil {
		return err
	}
	if _, err := cluster.Kubectl(ctx, a.State, []byte(grounds(a.namespace)), "apply", "--server-side", "--field-manager", "platform", "-f", "-"); err != nil {
		return err
	}
	if err := a.put(ctx, "first", shape{}); err != nil {
		return err
	}
	var err error
	if a.front, err = a.checkout.Front(ctx, a.namespace, "web", port); err != nil {
		return err
	}
	lab := watch.Client{Base: a.State.Control()}
	if err := lab.SetPropagation(ctx, a.front.ARN, a.Profile.Propagation); err != nil || a.Profile.Jitter == "" {
		return err
	}
	return lab.SetJitter(ctx, a.front.ARN, a.Profile.Jitter)
}

// put deploys a good release without anybody looking.
func (a *app) put(ctx context.Context, release string, s shape) error {
	c, err := a.deploy(release, 0, Kind{pods: s})
	if err != nil {
		return err
	}
	run, err := a.run(ctx, c, release)
	if err == nil && run.Exit != 0 {
		err = fmt.Errorf("deploying release %s to %s: exit %d: %s", release, a.namespace, run.Exit, run.Report.Error)
	}
	a.image, a.release = 0, release
	return err
}

// deploy writes a release's manifests, and gives the command that deploys them.
func (a *app) deploy(release string, image int, k Kind) (trial.Command, error) {
	if err := write(a.checkout.Dir, a.Profile, a.namespace, release, k.pods); err != nil {
		return trial.Command{}, err
	}
	ref := a.images[image]
	if k.Name == "missing-image" {
		repository, _, _ := strings.Cut(ref, "@")
		ref = repository + absent
	}
	args := []string{"deploy", "--config", "soak.yaml", "--manifests", folder, "--image", "web=" + ref, "--run-url", "https://ci.example/" + a.namespace + "/" + release}
	if k.pods.bare {
		args = append(args, "--drain-policy", "off")
	}
	return trial.Command{Args: append(args, k.args...), Env: []string{"OUTLAST_SET=" + strings.Join(a.Profile.Planning, "\n")}}, nil
}

// run calls outlast, and keeps what it says in a file that name is part of.
func (a *app) run(ctx context.Context, c trial.Command, name string) (trial.Run, error) {
	f, err := os.OpenFile(filepath.Join(a.Dir, "logs", a.namespace+"-"+name+".txt"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return trial.Run{}, err
	}
	c.Stderr = f
	run, err := a.checkout.Run(ctx, c)
	_, say := fmt.Fprintf(f, "== exit %d after %.1f s\n", run.Exit, run.Took.Seconds())
	return run, errors.Join(err, say, f.Close())
}

// pods are the releases of the namespace's pods, "leaving" after those that are
// being deleted.
func (a *app) pods(ctx context.Context) ([]string, error) {
	out, err := cluster.Kubectl(ctx, a.State, nil, "get", "pods", "-n", a.namespace, "-o", `jsonpath={range .items[*]}{.metadata.annotations.release}{" "}{.metadata.deletionTimestamp}{"\n"}{end}`)
	var list []string
	for line := range strings.Lines(out) {
		release, deleted, _ := strings.Cut(strings.TrimSpace(line), " ")
		if deleted != "" {
			release += " leaving"
		}
		list = append(list, release)
	}
	return list, err
}

// keepProgram copies outlast, which others may build anew meanwhile.
func keepProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.Remove(to); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
