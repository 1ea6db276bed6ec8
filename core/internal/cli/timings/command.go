// SPDX-License-Identifier: Apache-2.0

package timings

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/outlast-ci/outlast/core"
	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/internal/ci"
	"github.com/outlast-ci/outlast/core/internal/cli/complete"
	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
)

const about = `timings prints safe drain timings and why they are safe. It needs no manifest, asks nobody and
writes no file. With --check it judges timings that you have, and exits with 5 when they break an
inequality that protects requests.

  outlast timings --longest-request 45s --on-sigterm graceful
  outlast timings --check 50/40/35 --set R=13

usage: outlast timings [flags]; the formulas are explained in docs/timings.md

`

// World is what a call finds around it.
type World struct {
	Flags          map[string][]string // those of the table of inputs
	Environ        []string
	Getenv         func(string) string
	Stdout, Stderr io.Writer
	Enter          func(dir string) (string, error) // works in a folder, or where it is when dir is empty, and says where that is
}

// Command makes the command, without the flags that Reads names. mistake marks
// an error as one in the usage; Options.World is asked when the command runs.
func (o *Options) Command(mistake func(error) error) *cobra.Command {
	cmd := &cobra.Command{Use: "timings", Short: "print safe drain timings, without any manifest", ValidArgsFunction: cobra.NoFileCompletions}
	o.addFlags(cmd, func(words ...string) cobra.CompletionFunc {
		return complete.Fixed(cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveKeepOrder, words...)
	})
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		fmt.Fprint(cmd.OutOrStdout(), about+cmd.LocalFlags().FlagUsagesWrapped(100))
	})
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return mistake(fmt.Errorf("timings takes no argument %q; see outlast timings --help", args[0]))
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), mistake) }
	return cmd
}

func (o *Options) run(ctx context.Context, mistake func(error) error) error {
	w := o.World()
	if err := o.merge(w.Flags); err != nil {
		return mistake(err)
	}
	s, err := inputs.Read(w.Flags, w.Environ)
	if err != nil {
		return mistake(err)
	}
	dir, err := w.Enter(s.Text("working-directory"))
	if err == nil {
		err = s.ReadFile(dir)
	}
	if err = cmp.Or(err, w.choose(ctx, s)); err != nil {
		return mistake(err)
	}
	a, err := o.ask(s)
	var refusal *drain.Refusal
	switch {
	case errors.As(err, &refusal):
		return &core.StageError{Stage: "timings", Preflight: true, Err: err}
	case err != nil:
		return mistake(err)
	}
	if err := o.print(w.Stdout, a); err != nil {
		return err
	}
	if broken := a.broken(); len(broken) > 0 {
		return &core.StageError{Stage: "timings", Err: fmt.Errorf("%s breaks %s", o.Check, strings.Join(broken, ", "))}
	}
	return nil
}

// choose settles the environment where one is known, and else does with the top
// of outlast.yaml: numbers are asked for, nothing is shipped.
func (w World) choose(ctx context.Context, s *inputs.Settings) error {
	branch := cmp.Or(s.Text("branch"), ci.Detect(w.Getenv).Branch)
	if branch == "" && len(s.File.Environments) > 1 {
		if git, err := ci.ReadGit(ctx, s.Dir, w.Environ); err == nil {
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
	fmt.Fprintf(w.Stderr, "outlast: only the top of %s counts, name an environment with --environment: %v\n", s.File.Path, err)
	return nil
}
