// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/outlast-ci/outlast/core/gate"
	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
)

const gateHelp = `outlast gate: wait until a rollout serves, and until what it replaces has drained and is gone

usage: outlast gate [WORKLOAD...] [flags]; flags are variables, too: see outlast inputs

WORKLOAD: KIND/NAME or KIND/NAMESPACE/NAME, as kubectl spells them, whoever changed it: kubectl, Helm, Argo CD
  -l, --selector LABELS                 those of the namespace with these labels
With neither, the rollout of an earlier apply is waited for (--report); without one what the
application's newest release has, or else all of the namespace.

`

// gateCommand waits, for what an earlier job has applied or for what somebody else rolls
// out.
func (a *app) gateCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "gate [WORKLOAD...]", Short: "wait for a rollout: of an earlier apply (--report), or of anybody", ValidArgsFunction: cobra.NoFileCompletions}
	flags := a.addFlags(cmd, func(in inputs.Input) bool { return in.ReadBy("gate") })
	var which gate.Which
	cmd.Flags().StringVarP(&which.Selector, "selector", "l", "", "label selector of the workloads to wait for")
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		fmt.Fprint(cmd.OutOrStdout(), gateHelp+inputs.Help("gate"))
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		given := values(flags)
		given["from"], given["to"] = []string{"gate"}, []string{"gate"}
		which.Refs = args
		return a.Gate(cmd.Context(), given, which)
	}
	return cmd
}
