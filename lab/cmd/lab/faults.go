// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/cloud/trouble"
	"github.com/outlast-ci/outlast/lab/internal/labstate"
)

const faultsUsage = `usage:
  lab faults                      list the faults that were ordered, with how many calls each hit
  lab faults add KIND [flags]     order one: throttle, 5xx, latency or reset; see lab faults add -h
  lab faults clear [ID]           forget one, or all
  lab faults limits [aws|none]    print the token buckets of ELBv2's calls, or change them until AWS restarts`

// faults orders trouble at the imitated AWS of a lab that is up.
func faults(ctx context.Context, dir string, args []string) error {
	if len(args) > 0 && (args[0] == "-h" || args[0] == "--help" || args[0] == "help") {
		fmt.Println(faultsUsage)
		return nil
	}
	verb := "list"
	if len(args) > 0 {
		verb, args = args[0], args[1:]
	}
	verbs := map[string]func(context.Context, control, []string) error{"list": listFaults, "add": addFault, "clear": clearFaults, "limits": limits}
	do := verbs[verb]
	if do == nil {
		return fmt.Errorf("unknown command faults %q\n%s", verb, faultsUsage)
	}
	s, err := labstate.Load(dir)
	if err != nil {
		return err
	}
	return do(ctx, control{trouble.Client{Base: s.Control()}, os.Stdout}, args)
}

// control is the lab's own API, and where answers are printed.
type control struct {
	trouble.Client
	out io.Writer
}

func listFaults(ctx context.Context, c control, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("lab faults list takes no argument, not %q", args[0])
	}
	var all []trouble.Fault
	if err := c.Ask(ctx, http.MethodGet, "faults", nil, &all); err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tKIND\tSERVICE\tOPERATION\tRESOURCE\tOF THE CALLS\tAT MOST\tFOR\tHITS")
	or := func(s, none string) string {
		if s == "" || s == "0" || s == "0s" {
			return none
		}
		return s
	}
	for _, f := range all {
		kind := f.Kind
		if f.Milliseconds > 0 {
			kind += fmt.Sprintf(" %d ms", f.Milliseconds)
		}
		share := "all"
		if f.Rate > 0 {
			share = fmt.Sprintf("%g%%", f.Rate*100)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\n", f.ID, kind, or(f.Service, "any"), or(f.Operation, "any"), or(f.Resource, "any"), share,
			or(fmt.Sprint(f.Count), "no end"), or(time.Duration(f.Seconds*float64(time.Second)).String(), "no end"), f.Hits)
	}
	return w.Flush()
}

func addFault(ctx context.Context, c control, args []string) error {
	fs := flag.NewFlagSet("lab faults add throttle|5xx|latency|reset", flag.ContinueOnError)
	var f trouble.Fault
	fs.StringVar(&f.Service, "service", "", "elasticloadbalancing, ec2, acm, ecr, eks, sts, s3 or monitoring, which is CloudWatch (default: any)")
	fs.StringVar(&f.Operation, "operation", "", "an operation, or a pattern like 'Describe*' (default: any)")
	fs.StringVar(&f.Resource, "resource", "", "ARN that a call must name, as ELBv2's do (default: any)")
	fs.Float64Var(&f.Rate, "rate", 0, "part of the calls, evenly spread: 0.25 is each fourth (default: all)")
	fs.IntVar(&f.Count, "count", 0, "how many calls (default: no end)")
	window := fs.Duration("for", 0, "how long, from now on (default: until it is cleared)")
	after := fs.Duration("after", 0, "when it begins, from now on")
	delay := fs.Duration("delay", 0, "of latency: how much later the answer comes")
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		f.Kind, args = args[0], args[1:]
	}
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 || f.Kind == "" {
		return fmt.Errorf("want one kind, before the flags: throttle, 5xx, latency or reset\n%s", faultsUsage)
	}
	f.Seconds, f.After, f.Milliseconds = window.Seconds(), after.Seconds(), int(delay.Milliseconds())
	f, err := c.Order(ctx, f)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "fault %d is ordered; end it by: lab faults clear %d\n", f.ID, f.ID)
	return nil
}

func clearFaults(ctx context.Context, c control, args []string) error {
	path := "faults"
	switch {
	case len(args) > 1:
		return fmt.Errorf("lab faults clear takes one ID, not %q", args)
	case len(args) == 1:
		path += "/" + args[0]
	}
	return c.Ask(ctx, http.MethodDelete, path, nil, nil)
}

func limits(ctx context.Context, c control, args []string) error {
	var l trouble.Limits
	var err error
	switch {
	case len(args) == 0:
		err = c.Ask(ctx, http.MethodGet, "limits", nil, &l)
	case len(args) == 1 && args[0] == "aws":
		err = c.Ask(ctx, http.MethodPut, "limits", trouble.AWSLimits(), &l)
	case len(args) == 1 && args[0] == "none":
		err = c.Ask(ctx, http.MethodPut, "limits", trouble.Limits{}, &l)
	default:
		err = fmt.Errorf("want aws, none or nothing, not %q", args)
	}
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "CALLS OF ELBV2\tBURST\tA SECOND")
	for _, b := range []struct {
		name string
		trouble.Bucket
	}{{"Describe*", l.Read}, {"RegisterTargets, DeregisterTargets", l.Register}, {"all others", l.Write}} {
		if b.Size == 0 {
			fmt.Fprintf(w, "%s\tno limit\t\n", b.name)
			continue
		}
		fmt.Fprintf(w, "%s\t%g\t%g\n", b.name, b.Size, b.Refill)
	}
	return w.Flush()
}
