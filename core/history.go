// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"

	"github.com/outlast-ci/outlast/core/release"
	"github.com/outlast-ci/outlast/core/render"
)

// Home finds the namespace of an application's records: cfg.Namespace, or that of
// the first workload of the manifests.
func Home(ctx context.Context, cfg Config) (string, error) {
	if cfg.Namespace != "" {
		return cfg.Namespace, nil
	}
	opt := cfg.Render
	opt.Policy = render.Off
	r, err := render.Render(ctx, opt)
	if err != nil {
		return "", &StageError{Stage: "render", Preflight: true, Err: err}
	}
	p := pipeline{report: &Report{Manifests: &ManifestReport{Workloads: r.Workloads}}}
	return p.home(), nil
}

// History lists what was deployed, the newest first.
func History(ctx context.Context, cfg Config, clients Clients) ([]release.Revision, error) {
	p := newPipeline(cfg, clients, Report{})
	if err := p.connect(ctx); err != nil {
		return nil, &StageError{Stage: "history", Preflight: true, Err: err}
	}
	h, err := release.Open(p.cluster.Records, AppOf(cfg.Run, cfg.Namespace))
	if err != nil {
		return nil, err
	}
	list, err := h.List(ctx)
	if err != nil {
		return nil, &StageError{Stage: "history", Err: err}
	}
	return list, nil
}
