// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/outlast-ci/outlast/core"
	"github.com/outlast-ci/outlast/core/event"
	"github.com/outlast-ci/outlast/core/internal/ci"
	"github.com/outlast-ci/outlast/core/internal/cli/exit"
	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
	"github.com/outlast-ci/outlast/core/internal/cli/run"
	"github.com/outlast-ci/outlast/core/internal/cli/setup"
	"github.com/outlast-ci/outlast/core/internal/fleet"
	"github.com/outlast-ci/outlast/core/internal/output"
)

// planCommand shows what a deploy would do.
func (a *app) planCommand() *cobra.Command {
	cmd := a.recordsCommand("plan", "show what a deploy would do, and write nothing", "  -o, --output text|json                format on stdout\n  --out FILE                            keep the plan as JSON for deploy --plan FILE\n\n")
	format := cmd.Flags().StringP("output", "o", "text", "format: text or json")
	out := cmd.Flags().String("out", "", "file to keep the plan in, as JSON")
	flags := a.addFlags(cmd, func(in inputs.Input) bool { return in.ReadBy("plan") })
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *format != "text" && *format != "json" {
			return exit.Usage(fmt.Errorf("reading --output: %q is neither text nor json", *format))
		}
		return a.plan(cmd.Context(), values(flags), *format, *out)
	}
	return cmd
}

// plans makes one plan of the clusters'.
func plans(ctx context.Context, cfg core.Config, targets []core.Target) (core.Plan, error) {
	all := core.Plan{Schema: core.PlanSchema, Run: cfg.Run, Made: time.Now()}
	for _, t := range targets {
		cfg.Run = t.Run
		plan, err := core.MakePlan(ctx, cfg, t.Clients, core.Report{})
		if err != nil {
			return all, &fleet.Error{Cluster: t.Run.Where(), Err: err}
		}
		all.Clusters = append(all.Clusters, plan)
	}
	return all, nil
}

// plansInstead tells whether a deploy is for a pull request that gets a plan. What is
// wrong with its inputs is told by the deploy.
func (a *app) plansInstead(ctx context.Context, flags map[string][]string) bool {
	look := &app{&run.App{Env: a.Env, Secrets: a.Secrets}} // settling enters the working directory
	c := look.Call("plan")
	return ci.Detect(a.Env.Getenv).PullRequest != "" && c.Settle(ctx, flags) == nil && c.Settings.Text("pull-request") == "plan"
}

// plan makes the plan, and tells it to whoever wants it; that there is none, too.
func (a *app) plan(ctx context.Context, flags map[string][]string, format, out string) error {
	c := a.Call("plan")
	if err := c.Settle(ctx, flags); err != nil {
		return c.Skipped(err)
	}
	cfg, err := c.Config()
	if err != nil {
		return exit.Usage(err)
	}
	targets, err := c.Targets(cfg)
	if err != nil {
		return exit.Usage(err)
	}
	cfg.Observe = func(e event.Event) {
		if e.Kind == event.Warn {
			fmt.Fprintf(setup.Tame(a.Env.Stderr), "outlast: %s: %s\n", e.Subject(), a.Secrets.Mask(e.Message))
		}
	}
	var plan core.Plan
	if len(targets) > 0 {
		plan, err = plans(ctx, cfg, targets)
	} else {
		plan, err = core.MakePlan(ctx, cfg, c.Clients(cfg), core.Report{})
	}
	r := core.Report{Run: cfg.Run, Result: core.Passed, Reason: "ok"}
	summary := output.PlanSummary(plan)
	if err != nil {
		_, r.Reason = exit.Of(ctx, err)
		r.Result, r.Error = core.Failed, a.Secrets.Mask(err.Error())
		summary = output.NoPlan(r)
	} else if err := a.keep(plan, format, out); err != nil {
		return err
	}
	result := ci.Result{Facts: c.Facts, App: cfg.Run.App, Environment: cfg.Run.Environment, Planned: true, Status: ci.Success, Summary: a.Secrets.Mask(summary), Pairs: output.Pairs(r)}
	lines, told := c.Host().Publish(ctx, result)
	console := c.Host().Console(a.Env.Stderr)
	for _, line := range lines {
		fmt.Fprintf(a.Env.Stderr, "outlast: %s\n", a.Secrets.Mask(line))
		console.Annotate(ci.Warning, "outlast plan", a.Secrets.Mask(line))
	}
	return errors.Join(err, told)
}

// keep writes the plan to stdout, and to a file when one is named.
func (a *app) keep(plan core.Plan, format, out string) error {
	text, err := json.MarshalIndent(plan, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if out != "" {
		if !filepath.IsAbs(out) {
			out = filepath.Join(a.Env.Dir, out)
		}
		if err := os.WriteFile(out, []byte(a.Secrets.Mask(string(text))), 0o644); err != nil {
			return fmt.Errorf("keeping the plan: %w", err)
		}
	}
	if format == "text" {
		text = []byte(output.Plan(plan))
	}
	_, err = maskedWriter{a.Env.Stdout, a.Secrets.Mask}.Write(text)
	return err
}
