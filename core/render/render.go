// SPDX-License-Identifier: Apache-2.0

// Package render makes the manifests that are applied: a kustomization (or
// plain YAML) and image digests go in; YAML with safe drain timings comes out,
// with every field that was set, every finding, and the timings of each
// workload behind a load balancer. Check judges the same manifests and changes
// nothing. Prepare does the work of Render before the digests are known, and
// Manifests.Pin the rest. It opens no connection, runs no program and reads
// nothing outside Options.Root.
package render

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
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
	Path    string       // kustomization directory, one YAML or JSON file, a directory of those, or Stdin
	Stream  []byte       // what came on standard input, when Path is Stdin
	Root    string       // nothing outside is read; empty: the top of Path's git checkout, else Path's own directory
	Images  []Image      // pinned by digest
	Built   []string     // names of images that a deploy builds and pins by digest
	Policy  Policy       // empty: Fix
	Drain   drain.Inputs // what is known of the application and the balancer; start from drain.Defaults
	Kubelet string       // oldest kubelet of the nodes, e.g. 1.29; empty: 1.30 or newer
	Shell   string       // shell that every image has, for the hooks of older kubelets; empty: none
	// TextOnly: nobody asks for Result.Workloads, so that under the policy Off nothing is
	// looked at. Other policies do not read it.
	TextOnly bool
}

// subject is what messages call the manifests.
func (opt Options) subject() string {
	if opt.Path == Stdin {
		return "standard input"
	}
	return opt.Path
}

// PathError says that Options.Path or Options.Root names nothing to read.
type PathError = tree.PathError

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

// String is a line for people.
func (c Change) String() string {
	if c.To == "" {
		return fmt.Sprintf("%s: took %s of %s away, which was %s", c.Rule, c.Field, c.Object, cmp.Or(c.From, "empty"))
	}
	return fmt.Sprintf("%s: set %s of %s to %s", c.Rule, c.Field, c.Object, c.To)
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
	m, err := Prepare(ctx, opt)
	if err != nil {
		return Result{}, err
	}
	return m.Pin(ctx, opt.Images)
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
		return nil, fmt.Errorf("rendering %s: %w", opt.subject(), err)
	}
	if len(read.Objects) == 0 {
		return nil, fmt.Errorf("rendering %s: it holds no objects", opt.subject())
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

// keptTiming tells whether an annotation keeps preStop, grace or delay from being set, or
// nobody can tell one.
func keptTiming(p problem.Problem) bool {
	return p.Unproven || p.Suppressed != "" && (p.Rule <= "OL005" || p.Rule == "OL008")
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
