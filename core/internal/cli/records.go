// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/outlast-ci/outlast/core"
	"github.com/outlast-ci/outlast/core/gate"
	"github.com/outlast-ci/outlast/core/internal/cli/exit"
	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
	"github.com/outlast-ci/outlast/core/internal/cli/run"
	"github.com/outlast-ci/outlast/core/internal/fleet"
	"github.com/outlast-ci/outlast/core/internal/output"
	"github.com/outlast-ci/outlast/core/internal/record"
	"github.com/outlast-ci/outlast/core/internal/status"
	"github.com/outlast-ci/outlast/core/release"
)

// rollbackCommand applies an earlier release again.
func (a *app) rollbackCommand() *cobra.Command {
	cmd := a.recordsCommand("rollback", "apply the last release whose gate passed again, whole, and wait for it", "  --to NUMBER                           revision to go back to, see outlast history\n\n")
	var to int
	cmd.Flags().IntVar(&to, "to", 0, "revision to go back to")
	flags := a.addFlags(cmd, func(in inputs.Input) bool { return in.ReadBy("rollback") })
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Flags().Changed("to") && to < 1 {
			return exit.Usage(fmt.Errorf("reading --to: revisions are numbered from 1, not %d", to))
		}
		return a.RunVerb(cmd.Context(), "rollback", values(flags), run.Verb{Stages: []string{"rollback"}, Do: func(ctx context.Context, cfg core.Config, clients core.Clients) (core.Report, error) {
			return core.Rollback(ctx, cfg, clients, to)
		}})
	}
	return cmd
}

// historyCommand lists what was deployed.
func (a *app) historyCommand() *cobra.Command {
	cmd := a.recordsCommand("history", "list what was deployed, the newest first", "  -o, --output text|json                format\n\n")
	format := cmd.Flags().StringP("output", "o", "text", "format: text or json")
	flags := a.addFlags(cmd, func(in inputs.Input) bool { return in.ReadBy("history") })
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, cfg, err := a.looks(cmd.Context(), "history", values(flags), *format)
		if err != nil || c == nil {
			return err
		}
		targets, err := c.Targets(cfg)
		if err != nil {
			return exit.Usage(err)
		}
		if len(targets) == 0 {
			list, err := history(cmd.Context(), cfg, c.Clients(cfg))
			if err != nil {
				return err
			}
			return a.printHistory(list, *format)
		}
		return a.histories(cmd.Context(), cfg, targets, *format)
	}
	return cmd
}

// looks settles the inputs of a command that only looks at the cluster; no Call without
// an error: this branch has no environment, and is skipped.
func (a *app) looks(ctx context.Context, command string, flags map[string][]string, format string) (*run.Call, core.Config, error) {
	if format != "text" && format != "json" {
		return nil, core.Config{}, exit.Usage(fmt.Errorf("reading --output: %q is neither text nor json", format))
	}
	c := a.Call(command)
	if err := c.Settle(ctx, flags); err != nil {
		return nil, core.Config{}, c.Skipped(err)
	}
	c.Alone = c.Settings.Text("namespace") != "" // else the manifests tell it
	cfg, err := c.Config()
	if err != nil {
		return nil, cfg, exit.Usage(err)
	}
	return c, cfg, nil
}

// statusCommand tells how an application is by now.
func (a *app) statusCommand() *cobra.Command {
	cmd := a.recordsCommand("status", "show the release in force, who deploys, and the state of each pod and target", "  -o, --output text|json                format\n\n")
	format := cmd.Flags().StringP("output", "o", "text", "format: text or json")
	flags := a.addFlags(cmd, func(in inputs.Input) bool { return in.ReadBy("status") })
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, cfg, err := a.looks(cmd.Context(), "status", values(flags), *format)
		if err != nil || c == nil {
			return err
		}
		s, err := readStatus(cmd.Context(), cfg, c.Clients(cfg))
		if err != nil {
			return err
		}
		if *format == "json" {
			return a.printJSON(s)
		}
		_, err = (maskedWriter{a.Env.Stdout, a.Secrets.Mask}).Write([]byte(output.Status(s, time.Now())))
		return err
	}
	return cmd
}

// readStatus asks the cluster and, where targets are, AWS; without a login there all
// else is told.
func readStatus(ctx context.Context, cfg core.Config, clients core.Clients) (status.Status, error) {
	namespace, err := run.Home(ctx, cfg)
	if err != nil {
		return status.Status{}, err
	}
	cluster, err := clients.Cluster(ctx)
	if err != nil {
		return status.Status{}, err
	}
	balancer := sync.OnceValues(func() (gate.Balancer, error) { return clients.Glance(ctx) })
	s, err := status.Read(ctx, status.World{Cluster: cluster.Gate, Records: cluster.Records, Balancer: gate.Lazy(func(context.Context) (gate.Balancer, error) { return balancer() })},
		record.AppOf(cfg.Run.App, cfg.Run.Environment, namespace))
	s.App, s.Environment = cfg.Run.App, cfg.Run.Environment
	return s, err
}

// histories lists those of several clusters.
func (a *app) histories(ctx context.Context, cfg core.Config, targets []core.Target, format string) error {
	type one struct {
		Cluster   string             `json:"cluster"`
		Revisions []release.Revision `json:"revisions"`
	}
	var all []one
	for _, t := range targets {
		list, err := history(ctx, cfg, t.Clients)
		if err != nil {
			return &fleet.Error{Cluster: t.Run.Where(), Err: err}
		}
		all = append(all, one{t.Run.Where(), list})
	}
	if format == "json" {
		return a.printJSON(all)
	}
	for _, one := range all {
		fmt.Fprintf(maskedWriter{a.Env.Stdout, a.Secrets.Mask}, "# cluster %s\n", one.Cluster)
		if err := a.printHistory(one.Revisions, format); err != nil {
			return err
		}
	}
	return nil
}

// history reads the revisions, the newest first.
func history(ctx context.Context, cfg core.Config, clients core.Clients) ([]release.Revision, error) {
	namespace, err := run.Home(ctx, cfg)
	if err != nil {
		return nil, err
	}
	cluster, err := clients.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	h, err := release.Open(cluster.Records, record.AppOf(cfg.Run.App, cfg.Run.Environment, namespace))
	if err != nil {
		return nil, exit.Usage(err)
	}
	return h.List(ctx)
}

// recordsCommand is a command on the records of deploys.
func (a *app) recordsCommand(name, short, own string) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short, Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions}
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		fmt.Fprintf(cmd.OutOrStdout(), "outlast %s: %s\n\nusage: outlast %s [flags]\n\n%s%s", name, short, name, own, inputs.Help(name))
	})
	return cmd
}

func (a *app) printJSON(value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	_, err = maskedWriter{a.Env.Stdout, a.Secrets.Mask}.Write(append(text, '\n'))
	return err
}

func (a *app) printHistory(list []release.Revision, format string) error {
	if format == "json" {
		return a.printJSON(list)
	}
	w := tabwriter.NewWriter(maskedWriter{a.Env.Stdout, a.Secrets.Mask}, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "REVISION\tSTATE\tSTARTED\tTOOK\tCOMMIT\tBY\tWHY")
	for _, r := range list {
		took := "-"
		if !r.Finished.IsZero() {
			took = r.Finished.Sub(r.Started).Round(time.Second).String()
		}
		why := r.Reason
		if r.OfRevision > 0 {
			why = fmt.Sprintf("rollback to revision %d %s", r.OfRevision, why)
		}
		if len(why) > 80 {
			why = why[:77] + "..."
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Number, r.State, r.Started.UTC().Format(time.RFC3339), took,
			cmp.Or(r.Run.Commit[:min(12, len(r.Run.Commit))], "-"), cmp.Or(r.Run.Actor, r.Run.RunURL, "-"), why)
	}
	return w.Flush()
}
