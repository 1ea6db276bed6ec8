// SPDX-License-Identifier: Apache-2.0

// Package render makes the manifests that are applied: a kustomization (or
// plain YAML) and image digests go in; YAML with safe drain timings comes out,
// with every field that was set, every finding, and the timings of each
// workload behind a load balancer. Check judges the same manifests and changes
// nothing. It opens no connection, runs no program and reads nothing outside
// Options.Root.
package render

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/graph"
	"github.com/outlast-ci/outlast/core/render/internal/node"
	"github.com/outlast-ci/outlast/core/render/internal/problem"
	"github.com/outlast-ci/outlast/core/render/internal/rules"
	"github.com/outlast-ci/outlast/core/render/internal/timing"
	"github.com/outlast-ci/outlast/core/render/internal/tree"
)

// Stdin as Options.Path stands for Options.Stream.
const Stdin = tree.Stdin

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
	Path    string       // kustomization directory, one YAML file, a directory of YAML files, or Stdin
	Stream  []byte       // what came on standard input, when Path is Stdin
	Root    string       // nothing outside is read; empty: the top of Path's git checkout, else Path's own directory
	Images  []Image      // pinned by digest
	Built   []string     // names of images that a deploy builds and pins by digest
	Policy  Policy       // empty: Fix
	Drain   drain.Inputs // what is known of the application and the balancer; start from drain.Defaults
	Kubelet string       // oldest kubelet of the nodes, e.g. 1.29; empty: 1.30 or newer
	Shell   string       // shell that every image has, for the hooks of older kubelets; empty: none
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
	Workloads []Workload      // all that run pods for long: Deployments, StatefulSets, DaemonSets, Argo's Rollouts
	Findings  []drain.Finding // what is wrong, or worth knowing
	Changes   []Change        // what Outlast set
}

// Workload is one object that runs pods, and what stands in front of them.
type Workload struct {
	APIVersion  string         `json:"apiVersion"`
	Kind        string         `json:"kind"`
	Namespace   string         `json:"namespace,omitempty"`
	Name        string         `json:"name"`
	Replicas    int            `json:"replicas"`          // under an autoscaler its most
	Strategy    drain.Strategy `json:"strategy,omitzero"` // how pods are replaced, when Behind
	Images      []string       `json:"images"`
	Behind      bool           `json:"behind"`                // behind a load balancer: Plan is set
	NodeTargets bool           `json:"nodeTargets,omitempty"` // all targets are nodes: no pod is in a target group, and none can be waited for
	Services    []string       `json:"services,omitempty"`    // namespace/name, those that a balancer routes to
	Balancers   []string       `json:"balancers,omitempty"`
	Plan        drain.Plan     `json:"plan,omitzero"`
}

// ID is how messages name the workload: Kind/namespace/name.
func (w Workload) ID() string { return w.Kind + "/" + w.Namespace + "/" + w.Name }

// Change is one field that was set.
type Change struct {
	Rule   string `json:"rule"`
	Object string `json:"object"` // Kind/namespace/name
	Field  string `json:"field"`
	From   string `json:"from,omitempty"` // empty: was not there
	To     string `json:"to"`             // empty: was taken away
	Why    string `json:"why"`
}

// RuleError refuses manifests that lose requests: nothing was changed.
type RuleError struct{ Findings []drain.Finding }

func (e *RuleError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d drain rules are broken", len(e.Findings))
	if len(e.Findings) == 1 {
		b.Reset()
		b.WriteString("a drain rule is broken")
	}
	for _, f := range e.Findings {
		fmt.Fprintf(&b, "\n  %s: %s: %s: %s; %s", f.Rule, f.Object, f.Field, f.Message, f.Fix)
	}
	return b.String()
}

// Render renders Options.Path.
func Render(ctx context.Context, opt Options) (Result, error) {
	if opt.Policy == "" {
		opt.Policy = Fix
	}
	read, err := load(ctx, opt)
	if err != nil {
		return Result{}, err
	}
	objects := nodes(read)
	result, added, err := rewrite(objects, opt)
	if err != nil {
		return Result{}, err
	}
	if result.YAML, err = read.YAML(); err != nil {
		return Result{}, fmt.Errorf("rendering %s: %w", opt.Path, err)
	}
	for _, n := range added {
		text, err := n.String()
		if err != nil {
			return Result{}, fmt.Errorf("rendering %s: writing %s: %w", opt.Path, node.ID(n), err)
		}
		result.YAML = another(result.YAML, text)
	}
	return result, nil
}

// another appends a document.
func another(text []byte, document string) []byte {
	if len(text) > 0 && !bytes.HasSuffix(text, []byte("\n")) {
		text = append(text, '\n')
	}
	return append(text, "---\n"+document...)
}

func load(ctx context.Context, opt Options) (*tree.Tree, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	read, err := tree.Load(ctx, tree.Options{Path: opt.Path, Root: opt.Root, Stream: opt.Stream})
	if err != nil {
		return nil, fmt.Errorf("rendering %s: %w", opt.Path, err)
	}
	if len(read.Objects) == 0 {
		return nil, fmt.Errorf("rendering %s: it holds no objects", opt.Path)
	}
	return read, nil
}

func nodes(read *tree.Tree) []*yaml.RNode {
	out := make([]*yaml.RNode, len(read.Objects))
	for i, o := range read.Objects {
		out[i] = o.RNode
	}
	return out
}

// rewrite pins the images and carries the policy out, in the objects. Objects
// that are to be applied beside them come back.
func rewrite(objects []*yaml.RNode, opt Options) (Result, []*yaml.RNode, error) {
	if err := pin(objects, opt.Images); err != nil {
		return Result{}, nil, fmt.Errorf("rendering %s: %w", opt.Path, err)
	}
	workloads, problems, err := rules.Analyse(graph.New(objects), opt.rules(opt.Policy != Fix))
	if err != nil {
		return Result{}, nil, fmt.Errorf("rendering %s: %w", opt.Path, err)
	}
	result := Result{}
	for _, w := range workloads {
		result.Workloads = append(result.Workloads, workload(w, opt.Policy == Fix))
	}
	if opt.Policy == Off {
		return result, nil, nil
	}
	var added []*yaml.RNode
	result.Findings, result.Changes, added, err = settle(problems, opt.Policy)
	if err != nil || opt.Policy != Fix || !slices.ContainsFunc(problems, keptTiming) {
		return result, added, err
	}
	// A timing that its author lives with is not as planned: what is there now counts.
	if workloads, _, err = rules.Analyse(graph.New(slices.Concat(objects, added)), opt.rules(true)); err != nil {
		return Result{}, nil, fmt.Errorf("rendering %s: %w", opt.Path, err)
	}
	for i, w := range workloads {
		result.Workloads[i] = workload(w, false)
	}
	return result, added, nil
}

// keptTiming tells whether an annotation keeps preStop, grace or delay from being set, or
// nobody can tell one.
func keptTiming(p problem.Problem) bool {
	return p.Unproven || p.Suppressed != "" && p.Rule <= "OL005"
}

func (opt Options) rules(asWritten bool) rules.Options {
	out := rules.Options{Options: timing.Options{Drain: opt.Drain, Kubelet: opt.Kubelet, Shell: opt.Shell, AsWritten: asWritten}}
	out.Pinned = slices.Clone(opt.Built)
	for _, img := range opt.Images {
		out.Pinned = append(out.Pinned, img.Name)
	}
	return out
}

// settle carries the policy out: edits are made, reported or refused. Info is
// never refused, and no more is what the author has a reason for.
func settle(problems []problem.Problem, policy Policy) (findings []drain.Finding, changes []Change, added []*yaml.RNode, err error) {
	var broken []drain.Finding
	for _, p := range problems {
		refused := p.Severity == drain.Error || p.Severity == drain.Warning && p.Edit != nil
		switch {
		case p.Suppressed != "":
		case policy == Fix && p.Edit != nil:
			continue
		case policy != Warn && refused, policy == Enforce && p.Unproven:
			broken = append(broken, p.Finding)
		}
		findings = append(findings, p.Finding)
	}
	if len(broken) > 0 {
		return findings, nil, nil, &RuleError{Findings: broken}
	}
	if policy != Fix {
		return findings, nil, nil, nil
	}
	for _, p := range problems {
		if p.Edit == nil {
			continue
		}
		if err := p.Edit.Apply(); err != nil {
			return nil, nil, nil, fmt.Errorf("setting %s of %s to %s: %w", node.Path(p.Edit.Path), node.ID(p.Edit.Object), p.Edit.To, err)
		}
		if p.Edit.Add && !slices.Contains(added, p.Edit.Object) {
			added = append(added, p.Edit.Object)
		}
		changes = append(changes, change(p))
	}
	return findings, changes, added, nil
}

func change(p problem.Problem) Change {
	return Change{Rule: p.Rule, Object: node.ID(p.Edit.Object), Field: node.Path(p.Edit.Path), From: p.Edit.From, To: p.Edit.To, Why: p.Edit.Why}
}

// workload is what the report says of one.
func workload(w rules.Workload, fixed bool) Workload {
	out := Workload{APIVersion: w.GetApiVersion(), Kind: w.GetKind(), Namespace: w.GetNamespace(), Name: w.GetName(), Replicas: w.Replicas, Behind: w.Behind()}
	for _, c := range append(node.Containers(w.Spec), node.Sidecars(w.Spec)...) {
		out.Images = append(out.Images, node.Str(c, "image"))
	}
	if !out.Behind {
		return out
	}
	out.Plan = w.AsIs
	if fixed {
		out.Plan = w.Plan
	}
	out.Strategy = w.Strategy
	out.NodeTargets = !slices.ContainsFunc(w.Groups, func(t *graph.TargetGroup) bool { return t.Balancer != drain.Instance }) && (len(w.Groups) > 0 || w.Stated == drain.Instance)
	for _, t := range w.Groups {
		if name := t.Service.GetNamespace() + "/" + t.Service.GetName(); !slices.Contains(out.Services, name) {
			out.Services = append(out.Services, name)
		}
		if id := node.ID(t.Route); !slices.Contains(out.Balancers, id) {
			out.Balancers = append(out.Balancers, id)
		}
	}
	if len(w.Groups) == 0 { // the author says that a balancer is there
		for _, svc := range w.Services {
			out.Services = append(out.Services, svc.GetNamespace()+"/"+svc.GetName())
		}
	}
	return out
}

// pin replaces images in one pass over all pods. An image that no container
// uses is an error: it is nearly always a misspelt name.
func pin(objects []*yaml.RNode, images []Image) error {
	if len(images) == 0 {
		return nil
	}
	used := map[string]bool{}
	var seen []string
	for _, n := range objects {
		for _, c := range node.AllContainers(node.At(n, node.TemplatePath(n.GetKind())...)) {
			image := node.Str(c, "image")
			if image == "" {
				continue
			}
			seen = append(seen, image)
			for _, img := range images {
				if node.ImageName(image) != img.Name {
					continue
				}
				used[img.Name] = true
				if err := node.Set(c, node.Text(img.Ref), "image"); err != nil {
					return fmt.Errorf("setting the image of %s: %w", node.ID(n), err)
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
