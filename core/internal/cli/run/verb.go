// SPDX-License-Identifier: Apache-2.0

package run

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/outlast-ci/outlast/core"
	"github.com/outlast-ci/outlast/core/gate"
	"github.com/outlast-ci/outlast/core/internal/cli/exit"
	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
	"github.com/outlast-ci/outlast/core/render"
)

// Verb is what a run does between settling its inputs and telling its result.
type Verb struct {
	Stages []string // that the display shows
	Do     func(ctx context.Context, cfg core.Config, clients core.Clients) (core.Report, error)
}

// Run settles the inputs, runs the stages and writes what they leave.
func (a *App) Run(ctx context.Context, command string, flags map[string][]string) error {
	c := a.Call(command)
	if err := c.Settle(ctx, flags); err != nil {
		return c.Skipped(err)
	}
	return c.run(ctx)
}

func (c *Call) run(ctx context.Context) error {
	cfg, err := c.Config()
	if err != nil {
		return exit.Usage(err)
	}
	prior, err := c.prior(cfg.From)
	if err != nil {
		return exit.Usage(err)
	}
	if c.filters() {
		return c.filter(ctx, cfg)
	}
	if cfg.Plan, err = agreed(c.Settings, c.Env.Dir); err != nil {
		return err
	}
	targets, err := c.Targets(cfg)
	if err != nil {
		return exit.Usage(err)
	}
	return c.perform(ctx, cfg, Verb{core.Stages(), func(ctx context.Context, cfg core.Config, clients core.Clients) (core.Report, error) {
		c.greet(cfg)
		if len(targets) > 0 {
			return core.DeployAll(ctx, cfg, clients, targets, prior)
		}
		return core.Deploy(ctx, cfg, clients, prior)
	}})
}

// Gate waits for the rollout of an earlier job's report or, where workloads are named or
// no report has a rollout whose gate is still to pass, for what anybody rolls out.
func (a *App) Gate(ctx context.Context, flags map[string][]string, which gate.Which) error {
	c := a.Call("gate")
	if err := c.Settle(ctx, flags); err != nil {
		return c.Skipped(err)
	}
	if named := len(which.Refs) > 0 || which.Selector != ""; named {
		if err := which.Check(); err != nil {
			return exit.Usage(err)
		}
	} else {
		prior, err := c.prior("gate")
		if c.Settings.Text("report") != "" || err == nil && prior.Rollout != nil && (prior.Gate == nil || !prior.Gate.Passed) {
			return c.run(ctx)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return exit.Usage(err)
		}
	}
	c.Alone = true
	cfg, err := c.Config()
	if err != nil {
		return exit.Usage(err)
	}
	which.Inputs = cfg.Render.Drain
	if cfg.Render.Path != "" {
		if cfg.Namespace, err = Home(ctx, cfg); err != nil {
			return err
		}
	}
	return c.perform(ctx, cfg, Verb{[]string{"gate"}, func(ctx context.Context, cfg core.Config, clients core.Clients) (core.Report, error) {
		return core.Await(ctx, cfg, clients, which)
	}})
}

// RunVerb settles the inputs and runs a verb that has no stages of its own.
func (a *App) RunVerb(ctx context.Context, command string, flags map[string][]string, verb Verb) error {
	c := a.Call(command)
	if err := c.Settle(ctx, flags); err != nil {
		return c.Skipped(err)
	}
	cfg, err := c.Config()
	if err != nil {
		return exit.Usage(err)
	}
	if cfg.Namespace, err = Home(ctx, cfg); err != nil {
		return err
	}
	return c.perform(ctx, cfg, verb)
}

// perform makes the folders that a run needs, and runs.
func (c *Call) perform(ctx context.Context, cfg core.Config, verb Verb) (err error) {
	if err := makeDir(c.outDir); err != nil {
		return fmt.Errorf("making the output folder: %w", err)
	}
	if cfg.World.TempDir, err = os.MkdirTemp("", "outlast-"); err != nil {
		return fmt.Errorf("making a temporary folder: %w", err)
	}
	if err := c.Trust(&cfg); err != nil {
		return err
	}
	if cfg.To != "build" { // whose layout is its result
		defer os.RemoveAll(cfg.World.TempDir)
	}
	return c.watch(ctx, cfg, verb)
}

// Home finds the namespace of an application's records: the one that was given, or
// that of the first workload of the manifests.
func Home(ctx context.Context, cfg core.Config) (string, error) {
	if cfg.Namespace != "" {
		return cfg.Namespace, nil
	}
	opt := cfg.Render
	opt.Policy = render.Off
	r, err := render.Render(ctx, opt)
	if err != nil {
		return "", &core.StageError{Stage: "render", Preflight: true, Err: err}
	}
	for _, w := range r.Workloads {
		return cmp.Or(w.Namespace, "default"), nil
	}
	return "default", nil
}

// agreed reads a plan that somebody has agreed to.
func agreed(s *inputs.Settings, dir string) (*core.Plan, error) {
	path := s.Path("plan", dir)
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, exit.Usage(fmt.Errorf("reading the plan: %w", err))
	}
	var plan core.Plan
	if err := json.Unmarshal(text, &plan); err != nil {
		return nil, exit.Usage(fmt.Errorf("reading the plan %s: %w", path, err))
	}
	if plan.Schema != core.PlanSchema {
		return nil, exit.Usage(fmt.Errorf("reading the plan %s: its schema is %q, this version of outlast reads %q", path, plan.Schema, core.PlanSchema))
	}
	return &plan, nil
}
