// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/outlast-ci/outlast/core"
	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/event"
	"github.com/outlast-ci/outlast/core/internal/check"
	"github.com/outlast-ci/outlast/core/internal/ci"
	"github.com/outlast-ci/outlast/core/internal/cli/complete"
	"github.com/outlast-ci/outlast/core/internal/cli/cure"
	"github.com/outlast-ci/outlast/core/internal/cli/exit"
	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
	"github.com/outlast-ci/outlast/core/internal/cli/run"
	"github.com/outlast-ci/outlast/core/internal/cli/setup"
	"github.com/outlast-ci/outlast/core/internal/lint"
	"github.com/outlast-ci/outlast/core/internal/output"
	"github.com/outlast-ci/outlast/core/render"
)

// checkOptions are the flags of check alone.
type checkOptions struct {
	output, failOn string
	fix, live      bool
}

const aboutCheck = `check judges manifests as they are written, by the rules of docs/rules, and changes nothing.
MANIFESTS is a kustomization, a YAML or JSON file, a folder of those, or - for standard input.
It exits with 5 when it finds an error that no annotation outlast/ignore.RULE: "reason" suppresses.

usage: outlast check [MANIFESTS] [flags]

`

func (a *app) checkCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "check [MANIFESTS]", Short: "look for what loses requests in the manifests, and change nothing"}
	flags := a.addFlags(cmd, func(in inputs.Input) bool { return in.ReadBy("check") })
	var opt checkOptions
	cmd.Flags().StringVarP(&opt.output, "output", "o", "text", "format: "+strings.Join(lint.Formats(), ", "))
	cmd.Flags().StringVar(&opt.failOn, "fail-on", string(drain.Error), "least severity that fails: error, warning, info, never")
	cmd.Flags().BoolVar(&opt.fix, "fix", false, "write the cures: into plain YAML files, or as patches of the kustomization")
	cmd.Flags().BoolVar(&opt.live, "live", false, "ask the cluster and the balancer, too")
	words := cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	cmd.ValidArgsFunction = complete.Fixed(cobra.ShellCompDirectiveDefault)
	_ = errors.Join( // fails only for a flag that is not there
		cmd.RegisterFlagCompletionFunc("output", complete.Fixed(words, lint.Formats()...)),
		cmd.RegisterFlagCompletionFunc("fail-on", complete.Fixed(words, failWords...)))
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		own := cmd.LocalNonPersistentFlags()
		for _, in := range inputs.All() {
			for _, name := range in.Names() {
				if f := own.Lookup(name); f != nil {
					f.Hidden = true
				}
			}
		}
		fmt.Fprint(cmd.OutOrStdout(), aboutCheck+own.FlagUsages()+"\n"+inputs.Help("check"))
	})
	cmd.Args = atMostOne("check")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		given := values(flags)
		if len(args) == 1 {
			given["manifests"] = args
		}
		return a.check(cmd.Context(), given, opt)
	}
	return cmd
}

func atMostOne(command string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) <= 1 {
			return nil
		}
		return exit.Usage(fmt.Errorf("%s takes one path, not %q; see outlast %s --help", command, args, command))
	}
}

// failWords are the severities, the worst first, and never.
var failWords = []string{string(drain.Error), string(drain.Warning), string(drain.Info), string(lint.Never)}

// checking is one check, settled.
type checking struct {
	*run.Call
	app *app
}

// check settles the inputs, judges and prints.
func (a *app) check(ctx context.Context, flags map[string][]string, opt checkOptions) error {
	began := time.Now()
	if !slices.Contains(lint.Formats(), opt.output) {
		return exit.Usage(fmt.Errorf("reading --output: %q is none of %s", opt.output, strings.Join(lint.Formats(), ", ")))
	}
	if !slices.Contains(failWords, opt.failOn) {
		return exit.Usage(fmt.Errorf("reading --fail-on: %q is none of %s", opt.failOn, strings.Join(failWords, ", ")))
	}
	c := checking{a.Call("check"), a}
	if err := c.Settle(ctx, flags); err != nil {
		return c.Skipped(err)
	}
	cfg := check.Config{Live: opt.live, Observe: func(e event.Event) {
		fmt.Fprintf(setup.Tame(a.Env.Stderr), "outlast: %s: %s\n", e.Object, a.Secrets.Mask(e.Message))
	}}
	var err error
	if cfg.Render, err = c.Rendering(); err != nil {
		return exit.Usage(err)
	}
	var clients core.Clients
	if opt.live {
		if err := c.Login(); err != nil {
			return exit.Usage(err)
		}
		clients = c.Clients(core.Config{})
	}
	if opt.fix && cfg.Render.Path == render.Stdin {
		return exit.Usage(errors.New("reading --fix: standard input cannot be written to; name a file or a folder"))
	}
	if opt.fix {
		if err := c.fix(ctx, cfg.Render); err != nil {
			return err
		}
	}
	report, err := check.Run(ctx, cfg, clients)
	if err != nil {
		return &core.StageError{Stage: "render", Preflight: true, Err: err}
	}
	return c.tellFindings(report, cfg.Render, opt, time.Since(began))
}

// fix writes the cures, and says what it wrote.
func (c checking) fix(ctx context.Context, opt render.Options) error {
	cures, err := cure.Write(ctx, opt)
	var undone *cure.UndoneError
	var refused *cure.RefusedError
	switch {
	case errors.As(err, &undone), errors.As(err, &refused):
		return err
	case err != nil:
		return &core.StageError{Stage: "render", Preflight: true, Err: err}
	}
	w := setup.Tame(c.Env.Stderr)
	for _, ch := range cures.Changes {
		fmt.Fprintf(w, "outlast: %s\n", ch)
	}
	for _, f := range cures.Files {
		fmt.Fprintf(w, "outlast: wrote %s\n", f.Path)
	}
	for _, left := range cures.Left {
		fmt.Fprintf(w, "outlast: left to you: %s\n", left)
	}
	return nil
}

// tellFindings prints what was found, and fails when it is bad enough.
func (c checking) tellFindings(report render.Report, opt render.Options, flags checkOptions, took time.Duration) error {
	out := lint.Report{Findings: report.Findings, Version: c.Env.Version, Objects: report.Objects, Root: report.Root}
	if c.Env.Live { // elsewhere equal runs print equal bytes
		out.Took = took
	}
	for _, r := range render.Rules() {
		out.Rules = append(out.Rules, lint.Rule{ID: r.ID, Name: r.Name, Summary: r.Summary, Severity: r.Severity, Fixable: r.Fixable})
	}
	for _, w := range report.Workloads {
		if w.Behind {
			out.Workloads++
		}
	}
	// What is read is relative to the root of the manifests, what a CI shows to that of the checkout.
	if top := inputs.RepositoryTop(c.Settings.Dir); top != "" && report.Root != "" {
		if rel, err := filepath.Rel(top, report.Root); err == nil && rel != "." && !strings.HasPrefix(rel, "..") {
			for i := range out.Findings {
				if f := &out.Findings[i]; f.File != "" && f.File != render.Stdin {
					f.File = filepath.ToSlash(filepath.Join(rel, f.File))
				}
			}
			out.Root = top
		}
	}
	style := lint.Options{Color: c.Env.Live && flags.output == "text", FailOn: drain.Severity(flags.failOn)}
	if c.Env.Width != nil && c.Env.Live {
		style.Width = c.Env.Width()
	}
	if err := lint.Write(maskedWriter{c.Env.Stdout, c.Secrets.Mask}, flags.output, out, style); err != nil {
		return err
	}
	if out.Workloads == 0 && flags.output != "text" { // an empty list of findings is no good news then
		fmt.Fprintf(setup.Tame(c.Env.Stderr), "outlast: %s\n", out.Checked())
	}
	if c.Facts.Host == "github" && flags.output != "github" { // people see them beside the lines of a change
		if err := lint.Write(maskedWriter{c.Env.Stderr, c.Secrets.Mask}, "github", out, style); err != nil {
			return err
		}
	}
	bad := 0
	for _, f := range report.Findings {
		if style.Fails(f) {
			bad++
		}
	}
	var failed error
	if bad > 0 {
		c.app.Told = flags.output == "text"
		failed = &exit.FindingsError{Count: bad}
	}
	return errors.Join(failed, c.publishFindings(out, failed))
}

// publishFindings hands the verdict to the CI that runs us, for the steps behind.
func (c checking) publishFindings(out lint.Report, failed error) error {
	var page strings.Builder
	if err := lint.Write(&page, "text", out, lint.Options{}); err != nil {
		return err
	}
	r := core.Report{Result: core.Passed, Run: core.Run{App: c.Settings.Text("app"), Environment: c.Settings.Env.Name}}
	status := ci.Success
	if failed != nil {
		r.Result, status = core.Failed, ci.Failed
	}
	_, r.Reason = exit.Of(context.Background(), failed)
	result := ci.Result{Facts: c.Facts, App: r.Run.App, Environment: r.Run.Environment, Status: status,
		Summary: c.Secrets.Mask("## outlast check: " + string(r.Result) + "\n\n```text\n" + strings.ReplaceAll(page.String(), "```", "` ` `") + "```\n")}
	for _, o := range output.Outputs() {
		if slices.Contains([]string{"result", "reason", "environment"}, o.Name) {
			result.Pairs = append(result.Pairs, ci.Pair{Name: o.Name, Variable: o.Variable(), Value: o.Value(r)})
		}
	}
	if c.Facts.Host != "github" { // the others read files of a deploy's, or keep one note for it
		return nil
	}
	_, err := c.Host().Publish(context.Background(), result)
	return err
}

// maskedWriter hides secrets in what passes through; each Write is whole.
type maskedWriter struct {
	w    io.Writer
	mask func(string) string
}

func (m maskedWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(m.w, m.mask(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
