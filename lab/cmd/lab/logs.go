// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/alb/accesslog"
	"github.com/outlast-ci/outlast/lab/internal/experiment/observe"
	"github.com/outlast-ci/outlast/lab/internal/labstate"
)

// accessLogs reads a bucket the way a user would.
func accessLogs(ctx context.Context, dir string, args []string) error {
	fs := flag.NewFlagSet("lab logs", flag.ContinueOnError)
	bucket := fs.String("bucket", "", "where the load balancer writes (default: the lab's own bucket)")
	prefix := fs.String("prefix", "", "of the objects' keys")
	since := fs.Duration("since", 0, "only requests that ended in this time until now (default: all)")
	all := fs.Bool("all", false, "print every line, not only those of failed requests")
	if err := fs.Parse(args); err != nil {
		return err
	}
	s, err := labstate.Load(dir)
	if err != nil {
		return err
	}
	if *bucket == "" {
		*bucket = s.LogBucket()
	}
	entries, err := observe.Entries(ctx, s, *bucket, *prefix)
	if err != nil {
		return err
	}
	if *since > 0 {
		from := time.Now().Add(-*since)
		entries = slices.DeleteFunc(entries, func(e accesslog.Entry) bool { return e.Time.Before(from) })
	}
	if len(entries) == 0 {
		return fmt.Errorf("no line is in bucket %q: does an Ingress have the annotation alb.ingress.kubernetes.io/load-balancer-attributes: access_logs.s3.enabled=true,access_logs.s3.bucket=%s, and were there requests?", *bucket, *bucket)
	}
	slices.SortFunc(entries, func(a, b accesslog.Entry) int { return a.Time.Compare(b.Time) }) // as the answers ended
	return printLogs(os.Stdout, entries, *all)
}

// causes say what a class of lines means for a rollout.
var causes = map[accesslog.Class]string{
	accesslog.OK:             "answered",
	accesslog.ConnectReset:   "the process was gone, its address was not: preStop is too short",
	accesslog.ConnectTimeout: "the address was gone: preStop is too short, or the pod went without one",
	accesslog.IdleTimeout:    "the target was silent for the load balancer's idle timeout",
	accesslog.TargetClosed:   "the target closed, or the deregistration delay ended, with the request outstanding",
	accesslog.DelayExpired:   "the deregistration delay ended with the request outstanding",
	accesslog.NoTarget:       "no target could be used",
	accesslog.ClientGone:     "the client went away",
	accesslog.Application:    "the target's own answer",
	accesslog.Other:          "none of the rules knows it",
}

func printLogs(out io.Writer, entries []accesslog.Entry, all bool) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	count := map[accesslog.Class]int{}
	shown := 0
	for _, e := range entries {
		c := e.Diagnose(accesslog.Known{})
		count[c]++
		if c == accesslog.OK && !all {
			continue
		}
		if shown++; shown == 1 {
			fmt.Fprintln(w, "ARRIVED\tAFTER\tSTATUS\tTARGET\tITS STATUS\tDIAGNOSIS\tREQUEST")
		}
		fmt.Fprintf(w, "%s\t%.3f s\t%d\t%s\t%s\t%s\t%s\n", e.Created.UTC().Format("15:04:05.000"), e.Duration().Seconds(), e.Status, dash(e.Target), dash(strings.TrimPrefix(fmt.Sprint(e.TargetStatus), "0")), c, e.Request)
	}
	if shown > 0 {
		fmt.Fprintln(w, "\t\t\t\t\t\t")
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w, "DIAGNOSIS\tREQUESTS\tMEANING")
	for _, c := range slices.Sorted(maps.Keys(count)) {
		fmt.Fprintf(w, "%s\t%d\t%s\n", c, count[c], causes[c])
	}
	return w.Flush()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
