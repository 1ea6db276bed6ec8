// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/outlast-ci/outlast/core"
	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/internal/ci"
	"github.com/outlast-ci/outlast/core/internal/cli/complete"
	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
	"github.com/outlast-ci/outlast/core/internal/cli/timings"
)

const aboutTimings = `timings prints safe drain timings and why they are safe. It needs no manifest, asks nobody and
writes no file. With --check it judges timings that you have, and exits with 5 when they break an
inequality that protects requests.

  outlast timings --longest-request 45s --on-sigterm graceful
  outlast timings --check 50/40/35 --set R=13

usage: outlast timings [flags]; the formulas are explained in docs/timings.md

`

func (a *app) timingsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "timings", Short: "print safe drain timings, without any manifest"}
	flags := a.addFlags(cmd, func(in inputs.Input) bool { return timings.Reads(in.Name) })
	var opt timings.Options
	opt.AddFlags(cmd, func(words ...string) cobra.CompletionFunc {
		return complete.Fixed(cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveKeepOrder, words...)
	})
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		fmt.Fprint(cmd.OutOrStdout(), aboutTimings+cmd.LocalFlags().FlagUsagesWrapped(100))
	})
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return &usageError{fmt.Errorf("timings takes no argument %q; see outlast timings --help", args[0])}
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.timings(cmd.Context(), values(flags), opt) }
	return cmd
}

func (a *app) timings(ctx context.Context, flags map[string][]string, opt timings.Options) error {
	if err := opt.Merge(flags); err != nil {
		return &usageError{err}
	}
	s, err := inputs.Read(flags, a.env.Environ)
	if err != nil {
		return &usageError{err}
	}
	if err := a.enter(s.Text("working-directory")); err != nil {
		return &usageError{err}
	}
	if err := errors.Join(s.ReadFile(a.env.Dir), a.chooseLoosely(ctx, s)); err != nil {
		return &usageError{err}
	}
	answer, err := opt.Ask(s)
	var refusal *drain.Refusal
	switch {
	case errors.As(err, &refusal):
		return &core.StageError{Stage: "timings", Preflight: true, Err: err}
	case err != nil:
		return &usageError{err}
	}
	if err := opt.Print(a.env.Stdout, answer); err != nil {
		return err
	}
	if broken := answer.Broken(); len(broken) > 0 {
		return &core.StageError{Stage: "timings", Err: fmt.Errorf("%s breaks %s", opt.Check, strings.Join(broken, ", "))}
	}
	return nil
}

// chooseLoosely settles the environment where one is known, and else does with
// the top of outlast.yaml: numbers are asked for, nothing is shipped.
func (a *app) chooseLoosely(ctx context.Context, s *inputs.Settings) error {
	branch := firstOf(s.Text("branch"), ci.Detect(a.env.Getenv).Branch)
	if branch == "" && len(s.File.Environments) > 1 {
		if git, err := ci.ReadGit(ctx, s.Dir, a.env.Environ); err == nil {
			branch = git.Branch
		}
	}
	err := s.Choose(branch)
	if err == nil || s.Text("environment") != "" || len(s.File.Environments) == 0 {
		return err
	}
	s.File.Environments = nil
	if err := s.Choose(""); err != nil {
		return err
	}
	fmt.Fprintf(a.env.Stderr, "outlast: only the top of %s counts, name an environment with --environment: %v\n", s.File.Path, err)
	return nil
}
