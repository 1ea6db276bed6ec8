// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/outlast-ci/outlast/lab/internal/alarm"
	"github.com/outlast-ci/outlast/lab/internal/labstate"
)

const alarmUsage = `usage:
  lab alarm                list CloudWatch's alarms
  lab alarm NAME [STATE]   give one a state, OK (unless you say another), ALARM or INSUFFICIENT_DATA; it is made if there is none
  lab alarm NAME none      delete it`

// alarms changes and lists the alarms of a lab that is up.
func alarms(ctx context.Context, dir string, args []string) error {
	if len(args) > 0 && (args[0] == "-h" || args[0] == "--help" || args[0] == "help") {
		fmt.Println(alarmUsage)
		return nil
	}
	s, err := labstate.Load(dir)
	if err != nil {
		return err
	}
	return doAlarm(ctx, s.AWS("deployer"), os.Stdout, args)
}

func doAlarm(ctx context.Context, cfg aws.Config, out io.Writer, args []string) error {
	state := "OK"
	switch {
	case len(args) == 0:
		return listAlarms(ctx, cfg, out)
	case len(args) > 2:
		return fmt.Errorf("want a name and a state, not %q\n%s", args, alarmUsage)
	case len(args) == 2:
		state = args[1]
	}
	if state == "none" {
		return alarm.Delete(ctx, cfg, args[0])
	}
	if !slices.Contains([]string{"OK", "ALARM", "INSUFFICIENT_DATA"}, state) {
		return fmt.Errorf("want OK, ALARM, INSUFFICIENT_DATA or none, not %q", state)
	}
	return alarm.Set(ctx, cfg, args[0], state, "set by: lab alarm")
}

func listAlarms(ctx context.Context, cfg aws.Config, out io.Writer) error {
	all, err := alarm.List(ctx, cfg)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ALARM\tSTATE\tSINCE\tREASON")
	for _, a := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", a.Name, a.State, a.Since.UTC().Format(time.RFC3339), a.Why)
	}
	return w.Flush()
}
