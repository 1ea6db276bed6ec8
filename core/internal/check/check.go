// SPDX-License-Identifier: Apache-2.0

// Package check judges manifests as they are written, without a deploy.
package check

import (
	"context"

	"github.com/outlast-ci/outlast/core"
	"github.com/outlast-ci/outlast/core/event"
	"github.com/outlast-ci/outlast/core/internal/live"
	"github.com/outlast-ci/outlast/core/render"
)

// Config is one check of manifests.
type Config struct {
	Render  render.Options
	Live    bool // ask the cluster and the balancer, too
	Observe event.Func
}

// Run judges manifests as they are written. With Live it compares them with
// the cluster and the balancer; a fact that could not be read is told as a
// warning event and judged by nobody.
func Run(ctx context.Context, cfg Config, clients core.Clients) (render.Report, error) {
	cfg.Render.Policy, cfg.Render.TextOnly = render.Off, true
	manifests, err := render.Prepare(ctx, cfg.Render)
	if err != nil {
		return render.Report{}, err
	}
	report, err := manifests.Check(nil)
	if err != nil || !cfg.Live {
		return report, err
	}
	cluster, err := clients.Cluster(ctx)
	if err != nil {
		return report, err
	}
	if _, err := cluster.Ping(ctx); err != nil {
		return report, err
	}
	attributes, err := clients.Attributes(ctx)
	if err != nil {
		return report, err
	}
	facts, err := live.Read(ctx, cluster.Gate, attributes, report.Workloads, cfg.Observe)
	if err != nil {
		return report, err
	}
	return manifests.Check(facts)
}
