// SPDX-License-Identifier: Apache-2.0

// Package cli is the command line: flags, variables and outlast.yaml in, exit
// code and files out. It is where the clients are built and given to core; it
// holds the one table of inputs that the wrappers are made from.
package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/outlast-ci/outlast/core"
	"github.com/outlast-ci/outlast/core/internal/cli/complete"
	"github.com/outlast-ci/outlast/core/internal/cli/exit"
	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
	"github.com/outlast-ci/outlast/core/internal/cli/run"
	"github.com/outlast-ci/outlast/core/internal/cli/setup"
	"github.com/outlast-ci/outlast/core/internal/secret"
)

// Env is the world of one call.
type Env = setup.Env

// ErrTerminated is the cause to cancel Main's context with on SIGTERM; any
// other cause counts as an interrupt.
func ErrTerminated() error { return exit.ErrTerminated }

// Main runs one command and gives its exit code.
func Main(ctx context.Context, env Env) int {
	app := &app{&run.App{Env: env, Secrets: secret.New(env.Environ)}}
	root := app.command()
	root.SetArgs(env.Args)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	err := root.ExecuteContext(ctx)
	code, _ := exit.Of(ctx, err)
	if err != nil && !app.Told {
		fmt.Fprintf(setup.Tame(env.Stderr), "outlast: %s\n", app.Secrets.Mask(err.Error()))
	}
	return code
}

// app is one call of the program, with its commands.
type app struct{ *run.App }

// renderOptions are the flags of render alone, which no wrapper has.
type renderOptions struct{ explain, krm bool }

const renderHelp = `MANIFESTS: a kustomization, a YAML file, a folder of them, or - for stdin (a Helm post-renderer)
  --explain                             tell on stderr what was set and why, and predict the rollout
  --krm                                 be a KRM function of kustomize or kpt (a ResourceList)

`

const about = `Outlast ships a container to Kubernetes behind an AWS load balancer without losing a request:
build -> push -> render -> apply -> gate, red until every old target has drained.`

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use: "outlast", Short: "zero-downtime deploys behind an AWS load balancer", Long: about,
		SilenceErrors: true, SilenceUsage: true, Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return exit.Usage(fmt.Errorf("%w; see %s --help", err, cmd.CommandPath()))
	})
	root.AddCommand(a.stageCommand("deploy", "run all stages, or those from --from to --to", "", ""))
	shorts := map[string]string{
		"build":  "build the images into OCI layouts",
		"push":   "build, then push the images and print their digests",
		"render": "print the manifests with safe drain timings",
		"apply":  "apply the manifests of an earlier render (--report)",
	}
	for _, name := range core.Stages() {
		from := name
		if name == "gate" {
			root.AddCommand(a.gateCommand())
			continue
		}
		if name == "push" { // layouts do not travel between jobs
			from = "build"
		}
		root.AddCommand(a.stageCommand(name, shorts[name], from, name))
	}
	root.AddCommand(a.planCommand())
	root.AddCommand(a.rollbackCommand())
	root.AddCommand(a.historyCommand())
	root.AddCommand(a.statusCommand())
	root.AddCommand(a.checkCommand())
	root.AddCommand(a.timingsCommand())
	root.AddCommand(a.initCommand())
	root.AddCommand(&cobra.Command{
		Use: "inputs", Short: "explain every flag, its variable and its key of outlast.yaml", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return inputs.Describe(cmd.OutOrStdout()) },
	})
	root.AddCommand(&cobra.Command{
		Use: "version", Short: "print the version", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), a.Env.Version)
			return err
		},
	})
	complete.AddCommand(root, func(err error) error { return exit.Usage(err) })
	return root
}

func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return exit.Usage(fmt.Errorf("unknown command %q%s; see outlast --help", args[0], suggest(cmd, args[0])))
}

func suggest(cmd *cobra.Command, word string) string {
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		return fmt.Sprintf(": did you mean %q?", near[0])
	}
	return ""
}

// stageCommand runs a fixed part of the list; deploy's part is told by flags.
func (a *app) stageCommand(name, short, from, to string) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short}
	flags := a.addFlags(cmd, func(in inputs.Input) bool { return in.ReadBy(name) })
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	var own renderOptions
	if name == "render" {
		cmd.ValidArgsFunction = complete.Fixed(cobra.ShellCompDirectiveDefault)
		cmd.Flags().BoolVar(&own.explain, "explain", false, "tell on stderr what was set and why, every inequality, and how the rollout will go")
		cmd.Flags().BoolVar(&own.krm, "krm", false, "be a KRM function: a ResourceList in and out")
	}
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		path, more := "", ""
		if name == "render" {
			path, more = " [MANIFESTS]", renderHelp
		}
		fmt.Fprintf(cmd.OutOrStdout(), "outlast %s: %s\n\nusage: outlast %s%s [flags]; flags are variables, too: see outlast inputs\n\n%s%s", name, short, name, path, more, inputs.Help(name))
	})
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 || name == "render" && len(args) == 1 {
			return nil
		}
		return exit.Usage(fmt.Errorf("%s takes no argument %q; see outlast %s --help", name, args[0], name))
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		given := values(flags)
		if len(args) == 1 {
			given["manifests"] = args
		}
		if from != "" {
			given["from"], given["to"] = []string{from}, []string{to}
		}
		if own.krm && len(args) > 0 {
			return exit.Usage(fmt.Errorf("render --krm takes no path, not %q: its manifests come in the ResourceList on standard input", args[0]))
		}
		if own.krm {
			return a.Function(cmd.Context(), given)
		}
		if name == "deploy" && a.plansInstead(cmd.Context(), given) {
			return a.plan(cmd.Context(), given, "text", "")
		}
		a.Explain = own.explain
		return a.Run(cmd.Context(), name, given)
	}
	return cmd
}

// addFlags gives a command the flags of some rows of the table; what they were
// given comes into the map later, by flag. Other names of a flag work, but are not
// shown again.
func (a *app) addFlags(cmd *cobra.Command, reads func(inputs.Input) bool) map[string]*[]string {
	flags := map[string]*[]string{}
	for _, in := range inputs.All() {
		if !reads(in) {
			continue
		}
		for _, name := range in.Names() {
			value := &flagValue{kind: in.Kind}
			flags[name] = &value.items
			flag := cmd.Flags().VarPF(value, name, "", in.Doc)
			flag.Hidden = name != in.Name
			if in.Kind == inputs.Boolean {
				flag.NoOptDefVal = "true"
			}
			words := complete.World{Environ: a.Env.Environ, Dir: a.Env.Dir}.Value(in, func() map[string][]string { return values(flags) })
			_ = cmd.RegisterFlagCompletionFunc(name, words) // fails only for a flag that is not there
		}
	}
	return flags
}

func values(flags map[string]*[]string) map[string][]string {
	given := map[string][]string{}
	for flag, items := range flags {
		given[flag] = *items
	}
	return given
}

// flagValue keeps what was given; checking is one place's work, inputs.Settings.
type flagValue struct {
	kind  inputs.Kind
	items []string
}

func (v *flagValue) String() string     { return "" }
func (v *flagValue) Type() string       { return string(v.kind) }
func (v *flagValue) Set(s string) error { v.items = append(v.items, s); return nil }
