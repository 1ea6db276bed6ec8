// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/outlast-ci/outlast/core"
	"github.com/outlast-ci/outlast/core/internal/ci"
	"github.com/outlast-ci/outlast/core/internal/cli/complete"
	"github.com/outlast-ci/outlast/core/internal/cli/exit"
	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
	"github.com/outlast-ci/outlast/core/internal/scaffold"
)

// initInputs are the rows of the table that init reads, too.
var initInputs = []string{"working-directory", "app", "region", "cluster-name", "role-arn"}

// initOptions are the flags of init alone, which no wrapper has.
type initOptions struct {
	ci            string
	force, dryRun bool
}

const aboutInit = `init looks at the repository in DIR (the current folder): manifests, Dockerfiles, branches, remote and CI.
It writes outlast.yaml and the CI's configuration, and adds .outlast to .gitignore and .dockerignore.
A CI file that is there already is not edited: what to add is printed on stdout.

usage: outlast init [DIR] [flags]

`

func (a *app) initCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "init [DIR]", Short: "write outlast.yaml and the CI's configuration for this repository"}
	flags := a.addFlags(cmd, func(in inputs.Input) bool { return slices.Contains(initInputs, in.Name) })
	var opt initOptions
	cmd.Flags().StringVar(&opt.ci, "ci", "", "CI to write for: "+strings.Join(scaffold.CIs(), ", ")+" (unset: the one in use)")
	cmd.Flags().BoolVar(&opt.force, "force", false, "overwrite outlast.yaml and .github/workflows/outlast.yml")
	cmd.Flags().BoolVar(&opt.dryRun, "dry-run", false, "print the files on stdout and write nothing")
	cmd.ValidArgsFunction = complete.Fixed(cobra.ShellCompDirectiveFilterDirs)
	_ = cmd.RegisterFlagCompletionFunc("ci", complete.Fixed(cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveKeepOrder, scaffold.CIs()...)) // fails only for a flag that is not there
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		fmt.Fprint(cmd.OutOrStdout(), aboutInit+cmd.LocalFlags().FlagUsages())
	})
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if len(args) > 1 {
			return exit.Usage(fmt.Errorf("init takes one folder, not %q; see outlast init --help", args))
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.initialise(cmd.Context(), values(flags), args, opt)
	}
	return cmd
}

// initialise plans, shows or writes, and tells.
func (a *app) initialise(ctx context.Context, flags map[string][]string, args []string, opt initOptions) error {
	s, err := inputs.Read(flags, a.Env.Environ)
	if err != nil {
		return exit.Usage(err)
	}
	dir := s.Text("working-directory")
	if len(args) == 1 {
		if err := errors.Join(a.Enter(dir), a.Enter(args[0])); err != nil {
			return exit.Usage(err)
		}
	} else if err := a.Enter(dir); err != nil {
		return exit.Usage(err)
	}
	plan, err := scaffold.New(ctx, scaffold.Options{
		Dir: a.Env.Dir, Top: inputs.RepositoryTop(a.Env.Dir), Repository: ci.ReadRepository(ctx, a.Env.Dir, a.Env.Environ), CI: opt.ci,
		App: s.Text("app"), Cluster: s.Text("cluster-name"), Region: s.Text("region"), RoleARN: s.Text("role-arn"), Scalars: inputs.ScalarKeys(), Force: opt.force,
	})
	var broken *scaffold.RenderError
	switch {
	case errors.As(err, &broken):
		return &core.StageError{Stage: "render", Preflight: true, Err: fmt.Errorf("%w; nothing was written", err)}
	case err != nil:
		return exit.Usage(err)
	}
	if opt.dryRun {
		return a.show(plan)
	}
	if err := plan.Write(); err != nil {
		return exit.Usage(err)
	}
	return a.tellPlan(plan, "wrote")
}

// show prints the files as an archive of text files: a line with the name, then
// the text.
func (a *app) show(plan scaffold.Plan) error {
	for _, f := range plan.Files {
		if _, err := fmt.Fprintf(a.Env.Stdout, "-- %s --\n%s", f.Path, f.Text); err != nil {
			return err
		}
	}
	return a.tellPlan(plan, "would write")
}

func (a *app) tellPlan(plan scaffold.Plan, wrote string) error {
	w := a.Env.Stderr
	for _, line := range plan.Seen {
		fmt.Fprintf(w, "outlast: found: %s\n", line)
	}
	for _, f := range plan.Files {
		what := f.Path
		if f.Append {
			what = "one more line, .outlast, in " + f.Path
		}
		fmt.Fprintf(w, "outlast: %s %s\n", wrote, what)
	}
	for _, line := range plan.Unknown {
		fmt.Fprintf(w, "outlast: unknown: %s\n", line)
	}
	if plan.Snippet.Path == "" {
		return nil
	}
	fmt.Fprintf(w, "outlast: %s is there already and stays as it is; add to it:\n", plan.Snippet.Path)
	_, err := fmt.Fprint(a.Env.Stdout, plan.Snippet.Text)
	return err
}
