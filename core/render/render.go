// SPDX-License-Identifier: Apache-2.0

// Package render makes the manifests that are applied: a kustomization (or
// plain YAML) and image digests go in; YAML with safe drain timings comes out,
// with every field that was set, every finding, and the timings of each
// workload behind a load balancer. It opens no connection, runs no program and
// reads nothing outside Options.Root.
package render

import (
	"context"
	"fmt"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/tree"
)

// Policy says what to do with timings that lose requests.
type Policy string

const (
	Fix     Policy = "fix"     // set what is missing or unsafe; what is safe stays as the author wrote it
	Warn    Policy = "warn"    // change nothing, report
	Enforce Policy = "enforce" // change nothing, refuse
	Off     Policy = "off"     // leave the manifests alone
)

// Options say what to render and how.
type Options struct {
	Path   string       // kustomization directory, one YAML file, or a directory of YAML files
	Root   string       // nothing outside is read; empty: the top of Path's git checkout, else Path's own directory
	Images []Image      // pinned by digest
	Policy Policy       // empty: Fix
	Drain  drain.Inputs // what is known of the application and the balancer; start from drain.Defaults
}

// Image pins one image: every container whose image is Name, whatever its tag
// or digest, gets Ref.
type Image struct {
	Name string // as the manifests spell it, without tag
	Ref  string // repository@sha256:...
}

// Result is what was rendered.
type Result struct {
	YAML      []byte          // what to apply
	Workloads []Workload      // all that run pods for long: Deployments, StatefulSets, DaemonSets
	Findings  []drain.Finding // what is wrong, or worth knowing
	Changes   []Change        // what Outlast set
}

// Workload is one object that runs pods, and what stands in front of them.
type Workload struct {
	APIVersion string     `json:"apiVersion"`
	Kind       string     `json:"kind"`
	Namespace  string     `json:"namespace,omitempty"`
	Name       string     `json:"name"`
	Replicas   int        `json:"replicas"`
	Images     []string   `json:"images"`
	Behind     bool       `json:"behind"`             // behind a load balancer: Plan is set
	Services   []string   `json:"services,omitempty"` // namespace/name, those that a balancer routes to
	Balancers  []string   `json:"balancers,omitempty"`
	Plan       drain.Plan `json:"plan,omitzero"`
}

// ID is how messages name the workload: Kind/namespace/name.
func (w Workload) ID() string { return w.Kind + "/" + w.Namespace + "/" + w.Name }

// Change is one field that was set.
type Change struct {
	Object string `json:"object"` // Kind/namespace/name
	Field  string `json:"field"`
	From   string `json:"from,omitempty"` // empty: was not there
	To     string `json:"to"`
	Why    string `json:"why"`
}

// RuleError refuses manifests that lose requests: nothing was changed.
type RuleError struct{ Findings []drain.Finding }

func (e *RuleError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d drain rules are broken", len(e.Findings))
	for _, f := range e.Findings {
		fmt.Fprintf(&b, "\n  %s: %s: %s: %s", f.Rule, f.Object, f.Field, f.Message)
	}
	return b.String()
}

// Render renders Options.Path.
func Render(ctx context.Context, opt Options) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, context.Cause(ctx)
	}
	if opt.Policy == "" {
		opt.Policy = Fix
	}
	read, err := tree.Load(ctx, tree.Options{Path: opt.Path, Root: opt.Root})
	if err != nil {
		return Result{}, fmt.Errorf("rendering %s: %w", opt.Path, err)
	}
	objects := read.Objects
	if len(objects) == 0 {
		return Result{}, fmt.Errorf("rendering %s: it holds no objects", opt.Path)
	}
	if err := pin(objects, opt.Images); err != nil {
		return Result{}, fmt.Errorf("rendering %s: %w", opt.Path, err)
	}
	g := newGraph(objects)
	in := &injector{graph: g, policy: opt.Policy}
	for _, w := range g.workloads {
		if err := in.workload(w, opt.Drain); err != nil {
			return Result{}, fmt.Errorf("rendering %s: %s: %w", opt.Path, w.id(), err)
		}
	}
	if err := in.settle(); err != nil {
		return Result{}, err
	}
	text, err := read.YAML()
	if err != nil {
		return Result{}, fmt.Errorf("rendering %s: %w", opt.Path, err)
	}
	return Result{YAML: text, Workloads: in.workloads, Findings: in.findings, Changes: in.changes}, nil
}

// imageName cuts tag and digest off an image.
func imageName(image string) string {
	name, _, _ := strings.Cut(image, "@")
	if slash, colon := strings.LastIndex(name, "/"), strings.LastIndex(name, ":"); colon > slash {
		name = name[:colon]
	}
	return name
}

// pin replaces images in one pass over all pods. An image that no container
// uses is an error: it is nearly always a misspelt name.
func pin(objects []*tree.Object, images []Image) error {
	used := map[string]bool{}
	var seen []string
	for _, res := range objects {
		for _, c := range containers(podSpec(res.RNode), true) {
			image := field(c, "image")
			if image == "" {
				continue
			}
			seen = append(seen, image)
			for _, img := range images {
				if imageName(image) != img.Name {
					continue
				}
				used[img.Name] = true
				if err := c.PipeE(yaml.SetField("image", yaml.NewStringRNode(img.Ref))); err != nil {
					return fmt.Errorf("setting the image of %s: %w", objectID(res.RNode), err)
				}
			}
		}
	}
	for _, img := range images {
		if !used[img.Name] {
			return fmt.Errorf("no container uses the image %q; the images of the manifests are %s: give the image in outlast.yaml the name that the manifests use", img.Name, strings.Join(seen, ", "))
		}
	}
	return nil
}
