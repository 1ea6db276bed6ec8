// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/core/apply"
	"github.com/outlast-ci/outlast/core/build"
	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/event"
	"github.com/outlast-ci/outlast/core/internal/rights"
	"github.com/outlast-ci/outlast/core/push"
	"github.com/outlast-ci/outlast/core/release"
	"github.com/outlast-ci/outlast/core/render"
)

// --- build -------------------------------------------------------------

func (p *pipeline) checkBuild(ctx context.Context) error {
	for _, img := range p.cfg.Images {
		if err := build.Check(ctx, p.cfg.World, img.Build); err != nil {
			return err
		}
	}
	if p.cfg.To == "build" {
		return p.checkBuilder(ctx)
	}
	return nil // checkPush asks for a builder, when it knows whether one is needed
}

// checkBuilder finds a builder for the images that no registry has yet.
func (p *pipeline) checkBuilder(ctx context.Context) error {
	if len(p.reused) == len(p.cfg.Images) {
		return nil
	}
	_, err := build.Find(ctx, p.cfg.World, p.cfg.Builder)
	return err
}

func (p *pipeline) build(ctx context.Context) (string, error) {
	var builder *build.Builder
	p.report.Images = nil
	for _, img := range p.cfg.Images {
		if ref, ok := p.reused[img.Build.Name]; ok {
			p.note("build", "image "+img.Build.Name, "not built: %s is in the registry already as %s", ref.Tag, ref)
			continue
		}
		if builder == nil {
			b, err := build.Find(ctx, p.cfg.World, p.cfg.Builder)
			if err != nil {
				return "", err
			}
			builder = &b
		}
		img.Build.Observe = p.cfg.Observe
		built, err := build.Build(ctx, p.cfg.World, *builder, img.Build)
		if err != nil {
			return "", err
		}
		p.report.Images = append(p.report.Images, built)
	}
	switch n := len(p.report.Images); {
	case len(p.cfg.Images) == 0:
		return "no images to build", nil
	case n == 0:
		return "nothing to build: every image of this commit is in the registry", nil
	default:
		return fmt.Sprintf("%d of %s built by %s", n, count(len(p.cfg.Images), "image"), p.report.Images[0].Builder), nil
	}
}

// --- push --------------------------------------------------------------

func (p *pipeline) checkPush(ctx context.Context) error {
	if len(p.cfg.Images) == 0 {
		return nil
	}
	if slices.ContainsFunc(p.cfg.Images, func(img Image) bool { return push.NeedsECR(img.Push.Repository) }) {
		client, err := p.clients.ECR(ctx)
		if err != nil {
			return err
		}
		p.ecr = client
	}
	for _, img := range p.cfg.Images {
		if err := push.Check(ctx, p.ecr, img.Push); err != nil {
			return err
		}
		if !img.Push.Reuse {
			continue
		}
		if ref, ok, err := push.Lookup(ctx, p.ecr, img.Push); err != nil {
			return err
		} else if ok {
			p.reused[img.Push.Name] = ref
		}
	}
	if p.cfg.From == "push" {
		return nil
	}
	return p.checkBuilder(ctx)
}

func (p *pipeline) push(ctx context.Context) (string, error) {
	p.report.Refs = nil
	pushed := 0
	for _, img := range p.cfg.Images {
		ref, ok := p.reused[img.Push.Name]
		if !ok {
			opt, err := p.pushOptions(img)
			if err != nil {
				return "", err
			}
			if ref, err = push.Push(ctx, p.ecr, opt); err != nil {
				return "", err
			}
			pushed += ref.Pushed
		}
		p.report.Refs = append(p.report.Refs, ref)
	}
	return fmt.Sprintf("%s, %s uploaded", count(len(p.report.Refs), "image"), count(pushed, "blob")), nil
}

// pushOptions joins what build left on disk with where the image goes. A tree
// that differs from its commit is tagged by content, never by the commit.
func (p *pipeline) pushOptions(img Image) (push.Options, error) {
	i := slices.IndexFunc(p.report.Images, func(b build.Image) bool { return b.Name == img.Push.Name })
	if i < 0 {
		return push.Options{}, fmt.Errorf("pushing image %q: it was not built in this run nor in the report given with --report; run the build stage in the same job, since layouts stay on its disk", img.Push.Name)
	}
	built, opt := p.report.Images[i], img.Push
	opt.Layout, opt.Archive, opt.Digest, opt.Observe = built.Layout, built.Archive, built.Digest, p.cfg.Observe
	if opt.Tag == "" {
		opt.Tag = push.ContentTag(p.cfg.Run.Commit, built.Digest)
	}
	return opt, nil
}

// --- render ------------------------------------------------------------

// checkRender renders all but the digests of what is not pushed yet, so that a broken
// kustomization or an unsafe manifest ends the run before anything is built. A server
// that is asked later sees stand-ins.
func (p *pipeline) checkRender(ctx context.Context) error {
	if err := p.prepare(ctx); err != nil {
		return err
	}
	images := slices.Clone(p.cfg.Render.Images)
	for _, img := range p.cfg.Images {
		if p.selects("apply") && !p.selects("push") && !slices.ContainsFunc(p.report.Refs, func(r push.Ref) bool { return r.Name == img.Push.Name }) {
			return fmt.Errorf("image %q has no digest: this run starts after the push, and the report given with --report has none; start at --from build, or give the report of the push", img.Push.Name)
		}
		images = append(images, render.Image{Name: img.Push.Name, Ref: StandIn + img.Push.Name + "@sha256:" + strings.Repeat("0", 64)})
	}
	result, err := p.manifests.Pin(ctx, images)
	if err != nil {
		return err
	}
	p.report.yaml, p.prepared = result.YAML, result.Workloads
	p.behind = behind(result.Workloads)
	return nil
}

// prepare renders, once in a run.
func (p *pipeline) prepare(ctx context.Context) (err error) {
	if p.manifests != nil {
		return nil
	}
	opt := p.cfg.Render
	opt.TextOnly = !p.selects("apply") && !p.selects("gate")
	opt.Built = slices.Clone(opt.Built)
	for _, img := range p.cfg.Images {
		opt.Built = append(opt.Built, img.Push.Name)
	}
	p.manifests, err = render.Prepare(ctx, opt)
	return err
}

func (p *pipeline) render(ctx context.Context) (string, error) {
	if err := p.prepare(ctx); err != nil {
		return "", err
	}
	images := slices.Clone(p.cfg.Render.Images)
	for _, img := range p.cfg.Images {
		i := slices.IndexFunc(p.report.Refs, func(r push.Ref) bool { return r.Name == img.Push.Name })
		if i < 0 && p.selects("apply") {
			return "", fmt.Errorf("image %q has no digest: it was not pushed in this run, and the report given with --report has none; start at --from build, or give the report of the push", img.Push.Name)
		}
		if i < 0 {
			p.cfg.Observe.Emit(event.Event{Stage: "render", Kind: event.Warn, Object: "image " + img.Push.Name,
				Message: "not pinned by digest: nothing was pushed in this run and no --report of a push was given"})
			continue
		}
		images = append(images, render.Image{Name: img.Push.Name, Ref: p.report.Refs[i].String()})
	}
	result, err := p.manifests.Pin(ctx, images)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(result.YAML)
	p.report.yaml = result.YAML
	p.report.Manifests = &ManifestReport{SHA256: hex.EncodeToString(sum[:]), Workloads: result.Workloads, Changes: result.Changes, Findings: result.Findings}
	for _, f := range result.Findings {
		if f.Severity != drain.Info && f.Suppressed == "" { // the report has the rest
			p.cfg.Observe.Emit(event.Event{Stage: "render", Kind: event.Warn, Object: f.Rule + " " + f.Object, Message: f.Message + "; " + f.Fix})
		}
	}
	for _, w := range result.Workloads {
		if w.Behind {
			p.note("render", w.ID(), "%s", w.Plan.Words())
		}
	}
	return fmt.Sprintf("%s, %s set", count(len(result.Workloads), "workload"), count(len(result.Changes), "field")), nil
}

// --- apply -------------------------------------------------------------

func (p *pipeline) checkApply(ctx context.Context) error {
	if err := p.connect(ctx); err != nil {
		return err
	}
	if p.report.yaml == nil { // render was not selected: its work is done again, from the digests in the report
		if err := p.rerender(ctx); err != nil {
			return err
		}
	}
	if err := rights.Preflight(ctx, p.cluster.Rights, p.report.yaml, p.home(), "outlast-"+p.app().Name, p.cfg.Observe); err != nil {
		return err
	}
	if _, err := p.steps(&shipment{ManifestReport{Workloads: p.prepared}, p.report.yaml}); err != nil {
		return err
	}
	if p.cfg.Plan != nil {
		if p.behind {
			if err := p.dial(ctx); err != nil {
				return err
			}
		}
		if err := p.holds(ctx, *p.cfg.Plan); err != nil {
			return err
		}
	}
	if err := apply.Check(ctx, p.cluster.Apply, p.report.yaml, apply.Options{}); err != nil {
		return err
	}
	return p.look(ctx)
}

// rerender makes the manifests of a run whose render stage ran in another job:
// they may hold Secrets and are therefore never carried in a report.
func (p *pipeline) rerender(ctx context.Context) error {
	if p.report.Manifests == nil {
		return errors.New("nothing to apply: the render stage neither ran here nor in the report given with --report")
	}
	want := p.report.Manifests.SHA256
	if _, err := p.render(ctx); err != nil {
		return fmt.Errorf("rendering again: %w", err)
	}
	if got := p.report.Manifests.SHA256; got != want {
		return fmt.Errorf("rendering again gave other manifests (sha256 %s) than the report's (%s): the checkout, the inputs or the version of outlast differ between the jobs; start again at --from render", got, want)
	}
	return nil
}

// connect builds the cluster's client once and proves that it answers.
func (p *pipeline) connect(ctx context.Context) error {
	if p.cluster != nil {
		return nil
	}
	cluster, err := p.clients.Cluster(ctx)
	if err != nil {
		return err
	}
	version, err := cluster.Ping(ctx)
	if err != nil {
		return err
	}
	p.note("apply", "", "Kubernetes %s answers", version)
	p.cluster = &cluster
	return nil
}

func (p *pipeline) apply(ctx context.Context) (string, error) {
	s := shipment{*p.report.Manifests, p.report.yaml}
	if err := apply.Ground(ctx, p.cluster.Apply, s.yaml, p.home()); err != nil {
		return "", err
	}
	ctx, err := p.open(ctx)
	if err != nil {
		return "", err
	}
	steps, err := p.steps(&s)
	if err == nil && steps != nil {
		p.report.yaml = s.yaml
		p.report.Handover, err = p.handsOver(ctx, s)
	}
	if err == nil {
		err = p.begin(ctx, s, release.Revision{})
	}
	if err != nil {
		return "", err
	}
	p.report.Revision, p.report.Gate = p.attempt.Revision.Number, nil
	if p.halfway {
		if err := p.turnBack(ctx, s, *steps); err != nil { // what is deleted next may be what serves alone
			return "", err
		}
	}
	if !p.report.Handover {
		steps = nil
	}
	p.alarms.Begin(time.Now())
	rollout, err := p.start(ctx, s, steps)
	p.report.Rollout = &rollout
	return rollout.Summary(), err
}

// --- gate --------------------------------------------------------------

// checkGate proves that the balancer may be asked, where there will be one.
func (p *pipeline) checkGate(ctx context.Context) error {
	if err := p.connect(ctx); err != nil {
		return err
	}
	if err := p.openAlarms(ctx); err != nil {
		return err
	}
	if m := p.report.Manifests; m != nil {
		p.behind = p.behind || behind(m.Workloads)
	}
	if !p.behind {
		return nil
	}
	return p.dial(ctx)
}

// dial builds the balancer's clients once.
func (p *pipeline) dial(ctx context.Context) (err error) {
	if p.balancer != nil {
		return nil
	}
	if p.balancer, err = p.clients.Balancer(ctx); err != nil {
		return err
	}
	p.attributes, err = p.clients.Attributes(ctx)
	return err
}

func (p *pipeline) gate(ctx context.Context) (string, error) {
	if p.report.Rollout == nil || p.report.Manifests == nil {
		return "", errors.New("nothing to wait for: the apply stage neither ran here nor in the report given with --report")
	}
	s := shipment{*p.report.Manifests, p.report.yaml}
	alone := p.attempt == nil
	if alone {
		p.alarms.Begin(p.report.started("apply"))
	}
	ctx, err := p.open(ctx)
	if err == nil && alone && p.report.Revision > 0 {
		err = p.attempt.Resume(ctx, p.report.Revision)
	}
	if err == nil && alone && s.yaml == nil {
		err = p.rerender(ctx)
		s.yaml = p.report.yaml
	}
	if err != nil {
		return "", err
	}
	steps, err := p.steps(&s)
	if err != nil {
		return "", err
	}
	if !p.report.Handover {
		steps = nil
	}
	result, err := p.end(ctx, s, *p.report.Rollout, steps)
	p.report.Gate = &result
	if err == nil {
		err = p.settle(ctx, s)
	}
	if err == nil {
		p.attempt.Mark(ctx, release.Passed, "")
	}
	return watched(result), err
}
