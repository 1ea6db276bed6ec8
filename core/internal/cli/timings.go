// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"github.com/spf13/cobra"

	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
	"github.com/outlast-ci/outlast/core/internal/cli/timings"
)

// timingsCommand answers what safe drain timings are, without any manifest.
func (a *app) timingsCommand() *cobra.Command {
	var opt timings.Options
	cmd := opt.Command(func(err error) error { return &usageError{err} })
	flags := a.addFlags(cmd, func(in inputs.Input) bool { return timings.Reads(in.Name) })
	opt.World = func() timings.World {
		return timings.World{Flags: values(flags), Environ: a.env.Environ, Getenv: a.env.Getenv, Stdout: a.env.Stdout, Stderr: a.env.Stderr,
			Enter: func(dir string) (string, error) { err := a.enter(dir); return a.env.Dir, err }}
	}
	return cmd
}
