// SPDX-License-Identifier: Apache-2.0

package render

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/graph"
	"github.com/outlast-ci/outlast/core/render/internal/node"
	"github.com/outlast-ci/outlast/core/render/internal/problem"
	"github.com/outlast-ci/outlast/core/render/internal/rules"
	"github.com/outlast-ci/outlast/core/render/internal/tree"
)

// Manifests are rendered but for the digests of their images.
type Manifests struct {
	opt     Options
	read    *tree.Tree // nil: the objects came in a ResourceList
	added   []*yaml.RNode
	result  Result
	pods    []*yaml.RNode        // the pods' specs, in the order of result.Workloads
	byImage map[string][]written // by the name of their image
	pinned  []string             // names of images that are set
}

// written is a container and its image as it is written.
type written struct {
	*yaml.RNode
	image string
}

// Prepare renders Options.Path without looking at the refs of Options.Images: their
// names are taken to be pinned later.
func Prepare(ctx context.Context, opt Options) (*Manifests, error) {
	read, err := load(ctx, opt)
	if err != nil {
		return nil, err
	}
	m := &Manifests{opt: opt, read: read}
	return m, m.prepare(nodes(read))
}

// prepare carries the policy out, in the objects. Of what the policy refuses the
// findings are there.
func (m *Manifests) prepare(objects []*yaml.RNode) error {
	if m.opt.Policy == "" {
		m.opt.Policy = Fix
	}
	m.byImage = byImage(objects)
	if m.opt.Policy == Off && m.opt.TextOnly {
		return nil
	}
	err := m.judge(objects)
	var rules *RuleError
	if err == nil || errors.As(err, &rules) { // which names each object
		return err
	}
	return fmt.Errorf("rendering %s: %w", m.opt.subject(), err)
}

func (m *Manifests) judge(objects []*yaml.RNode) error {
	opt, judge := m.opt, analyse
	if opt.Policy == Off {
		judge = rules.Analyse
	}
	workloads, problems, err := judge(graph.New(objects), opt.rules(opt.Policy != Fix))
	if err != nil {
		return err
	}
	m.add(workloads, opt.Policy == Fix)
	if opt.Policy == Off {
		return nil
	}
	m.result.Findings, m.result.Changes, m.added, err = settle(problems, opt.Policy)
	if err != nil || opt.Policy != Fix || !slices.ContainsFunc(problems, keptTiming) {
		return err
	}
	// A timing that its author lives with is not as planned: what is there now counts.
	workloads, _, err = rules.Analyse(graph.New(slices.Concat(objects, m.added)), opt.rules(true))
	m.add(workloads, false)
	return err
}

func (m *Manifests) add(workloads []rules.Workload, fixed bool) {
	m.result.Workloads, m.pods = nil, nil
	for _, w := range workloads {
		m.result.Workloads, m.pods = append(m.result.Workloads, workload(w, fixed)), append(m.pods, w.Spec)
	}
}

// analyse judges the objects of a graph whose pods an API server takes.
func analyse(g *graph.Graph, opt rules.Options) ([]rules.Workload, []problem.Problem, error) {
	for _, w := range g.Workloads {
		seen := map[string]bool{}
		for _, c := range node.AllContainers(w.Spec) {
			name := node.Str(c, "name")
			if seen[name] { // an edit of the one would be an edit of the other
				return nil, nil, fmt.Errorf("%s has two containers called %q, which no API server takes; give one another name", node.ID(w.RNode), name)
			}
			seen[name] = true
		}
	}
	return rules.Analyse(g, opt)
}

// Pin sets the refs of images and gives the result. It may be called again with others:
// an image that is not among them is as it was written.
func (m *Manifests) Pin(ctx context.Context, images []Image) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, context.Cause(ctx)
	}
	if err := m.pin(images); err != nil {
		return Result{}, fmt.Errorf("rendering %s: %w", m.opt.subject(), err)
	}
	result := m.result
	result.Workloads = slices.Clone(result.Workloads)
	for i := range result.Workloads {
		result.Workloads[i].Images = imagesOf(m.pods[i])
	}
	if m.read == nil {
		return result, nil
	}
	var err error
	if result.YAML, err = m.read.YAML(); err != nil {
		return Result{}, fmt.Errorf("rendering %s: %w", m.opt.subject(), err)
	}
	for _, n := range m.added {
		text, err := n.String()
		if err != nil {
			return Result{}, fmt.Errorf("rendering %s: writing %s: %w", m.opt.subject(), node.ID(n), err)
		}
		result.YAML = another(result.YAML, text)
	}
	return result, nil
}

// pin sets images. One that no container uses is an error: it is nearly always a
// misspelt name.
func (m *Manifests) pin(images []Image) error {
	for _, name := range m.pinned {
		for _, c := range m.byImage[name] {
			if err := node.Set(c.RNode, node.Text(c.image), "image"); err != nil {
				return fmt.Errorf("setting the image of the container %s back to %s: %w", node.Str(c.RNode, "name"), c.image, err)
			}
		}
	}
	m.pinned = nil
	for _, img := range images {
		containers := m.byImage[img.Name]
		if len(containers) == 0 {
			return fmt.Errorf("no container uses the image %q; the images of the manifests are %s: give the image in outlast.yaml the name that the manifests use", img.Name, strings.Join(slices.Sorted(maps.Keys(m.byImage)), ", "))
		}
		m.pinned = append(m.pinned, img.Name)
		for _, c := range containers {
			if err := node.Set(c.RNode, node.Text(img.Ref), "image"); err != nil {
				return fmt.Errorf("setting the image of the container %s to %s: %w", node.Str(c.RNode, "name"), img.Ref, err)
			}
		}
	}
	return nil
}

// byImage lists the containers of all pods.
func byImage(objects []*yaml.RNode) map[string][]written {
	out := map[string][]written{}
	for _, n := range objects {
		for _, c := range node.AllContainers(node.At(n, node.TemplatePath(n.GetKind())...)) {
			if image := node.Str(c, "image"); image != "" {
				out[node.ImageName(image)] = append(out[node.ImageName(image)], written{c, image})
			}
		}
	}
	return out
}

func imagesOf(pod *yaml.RNode) (images []string) {
	for _, c := range append(node.Containers(pod), node.Sidecars(pod)...) {
		images = append(images, node.Str(c, "image"))
	}
	return images
}

// workload is what the report says of one.
func workload(w rules.Workload, fixed bool) Workload {
	out := Workload{APIVersion: w.GetApiVersion(), Kind: w.GetKind(), Namespace: w.GetNamespace(), Name: w.GetName(), Replicas: w.Replicas, Behind: w.Behind(), Images: imagesOf(w.Spec)}
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
