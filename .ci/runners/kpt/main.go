// SPDX-License-Identifier: Apache-2.0

// Command kpt is kpt with its fn commands only: its packages under a main that leaves
// out the alpha commands, which need a module that the Go proxy does not have.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/kptdev/kpt/commands/fn"
	"github.com/kptdev/kpt/pkg/lib/errors/resolver"
	"github.com/kptdev/kpt/pkg/printer"
	"github.com/spf13/cobra"
)

func main() {
	root := &cobra.Command{Use: "kpt", SilenceErrors: true, SilenceUsage: true}
	root.PersistentFlags().BoolVar(&printer.TruncateOutput, "truncate-output", true, "truncate what functions print")
	ctx := printer.WithContext(context.Background(), printer.New(root.OutOrStdout(), root.ErrOrStderr()))
	root.AddCommand(fn.GetCommand(ctx, "kpt"))
	err := root.Execute()
	if err == nil {
		return
	}
	if known, ok := resolver.ResolveError(err); ok {
		fmt.Fprintln(os.Stderr, known.Message)
		os.Exit(known.ExitCode)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
