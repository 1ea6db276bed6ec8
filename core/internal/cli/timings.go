// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"github.com/spf13/cobra"

	"github.com/outlast-ci/outlast/core/internal/cli/exit"
	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
	"github.com/outlast-ci/outlast/core/internal/cli/timings"
)

// timingsCommand answers what safe drain timings are, without any manifest.
func (a *app) timingsCommand() *cobra.Command {
	var opt timings.Options
	cmd := opt.Command(func(err error) error { return exit.Usage(err) })
	flags := a.addFlags(cmd, func(in inputs.Input) bool { return timings.Reads(in.Name) })
	opt.World = func() timings.World {
		return timings.World{Flags: values(flags), Environ: a.Env.Environ, Getenv: a.Env.Getenv, Stdout: a.Env.Stdout, Stderr: a.Env.Stderr,
			Enter: func(dir string) (string, error) { err := a.Enter(dir); return a.Env.Dir, err }}
	}
	return cmd
}
