// SPDX-License-Identifier: Apache-2.0

// Package complete tells a shell what may come next: an input goes in, and the
// words, files or folders that it takes come out.
package complete

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/internal/ci"
	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
)

// places are the inputs whose values are files or folders, with the endings
// that are completed.
var places = map[string]struct {
	folder  bool
	endings []cobra.Completion // none: any file
}{
	"working-directory": {folder: true},
	"context":           {folder: true},
	"root":              {folder: true},
	"output-dir":        {folder: true},
	"config":            {endings: []cobra.Completion{"yaml", "yml"}},
	"report":            {endings: []cobra.Completion{"json"}},
	"plan":              {endings: []cobra.Completion{"json"}},
	"kubeconfig":        {},
	"ca-bundle":         {},
	"dockerfile":        {},
	"manifests":         {},
}

// World is where the words come from.
type World struct {
	Environ []string
	Dir     string // working folder, absolute
}

// Value says how a shell completes the value of an input's flag; flags gives
// the ones before it.
func (w World) Value(in inputs.Input, flags func() map[string][]string) cobra.CompletionFunc {
	if place, ok := places[in.Name]; ok {
		switch {
		case place.folder:
			return Fixed(cobra.ShellCompDirectiveFilterDirs)
		case len(place.endings) > 0:
			return Fixed(cobra.ShellCompDirectiveFilterFileExt, place.endings...)
		}
		return Fixed(cobra.ShellCompDirectiveDefault)
	}
	switch {
	case in.Kind == inputs.Choice:
		return Fixed(cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveKeepOrder, in.Choices...)
	case in.Name == "environment":
		return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return w.environments(flags()), cobra.ShellCompDirectiveNoFileComp
		}
	case in.Name == "branch":
		return func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return ci.ReadRepository(cmd.Context(), w.Dir, w.Environ).Branches, cobra.ShellCompDirectiveNoFileComp
		}
	case in.Name == "set":
		var symbols []cobra.Completion
		for _, s := range drain.Symbols() {
			symbols = append(symbols, s+"=")
		}
		return Fixed(cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace, symbols...)
	}
	return cobra.NoFileCompletions
}

// Fixed completes to the same words each time.
func Fixed(directive cobra.ShellCompDirective, words ...cobra.Completion) cobra.CompletionFunc {
	return cobra.FixedCompletions(words, directive)
}

// environments are those of outlast.yaml, with the branches that deploy there.
// What cannot be read completes to nothing: a shell has no place for errors.
func (w World) environments(flags map[string][]string) (names []cobra.Completion) {
	s, err := inputs.Read(flags, w.Environ)
	if err != nil {
		return nil
	}
	dir := w.Dir
	if in := s.Path("working-directory", w.Dir); in != "" {
		dir = in
	}
	if s.ReadFile(dir) != nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(s.File.Environments)) {
		names = append(names, cobra.CompletionWithDesc(name, "branches: "+strings.Join(s.File.Environments[name].Branches, ", ")))
	}
	return names
}

// AddCommand shows the command that writes the shells' scripts; its mistakes
// are mistakes in usage, which mistake marks as those of the other commands are.
func AddCommand(root *cobra.Command, mistake func(error) error) {
	root.InitDefaultCompletionCmd()
	cmd, _, err := root.Find([]string{"completion"})
	if err != nil {
		return
	}
	cmd.Short = "print the completion script of a shell, to be sourced there"
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	for _, c := range append(cmd.Commands(), cmd) {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return mistake(fmt.Errorf("%s takes no argument %q; see outlast completion --help", cmd.CommandPath(), args[0]))
		}
	}
}
