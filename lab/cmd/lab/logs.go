// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/outlast-ci/outlast/lab/internal/alb/accesslog"
	"github.com/outlast-ci/outlast/lab/internal/labstate"
)

// accessLogs reads a bucket the way a user would, but does not wait for the
// end of the interval: it asks the lab to write what it has.
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
	if err := (control{fmt.Sprintf("http://127.0.0.1:%d/_lab/", s.Ports["hook"]), os.Stdout}).ask(ctx, http.MethodPost, "access-logs", nil, nil); err != nil {
		return err
	}
	u := s.Users["deployer"]
	client := s3.NewFromConfig(aws.Config{Region: s.Region, BaseEndpoint: aws.String(s.API()), Credentials: credentials.NewStaticCredentialsProvider(u.AccessKeyID, u.SecretAccessKey, "")})
	entries, err := readLogs(ctx, client, *bucket, *prefix)
	if err != nil {
		return fmt.Errorf("reading the access logs in bucket %q: %w", *bucket, err)
	}
	if *since > 0 {
		from := time.Now().Add(-*since)
		entries = slices.DeleteFunc(entries, func(e accesslog.Entry) bool { return e.Time.Before(from) })
	}
	if len(entries) == 0 {
		return fmt.Errorf("no line is in bucket %q: does an Ingress have the annotation alb.ingress.kubernetes.io/load-balancer-attributes: access_logs.s3.enabled=true,access_logs.s3.bucket=%s, and were there requests?", *bucket, *bucket)
	}
	return printLogs(os.Stdout, entries, *all)
}

// readLogs gives all lines of a bucket, by the time when the answer ended.
func readLogs(ctx context.Context, client *s3.Client, bucket, prefix string) ([]accesslog.Entry, error) {
	var entries []accesslog.Entry
	for pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			if !strings.HasSuffix(*o.Key, ".log.gz") {
				continue
			}
			object, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: o.Key})
			if err != nil {
				return nil, err
			}
			more, err := unpack(object.Body)
			object.Body.Close()
			if err != nil {
				return nil, fmt.Errorf("object %q: %w", *o.Key, err)
			}
			entries = append(entries, more...)
		}
	}
	slices.SortFunc(entries, func(a, b accesslog.Entry) int { return a.Time.Compare(b.Time) })
	return entries, nil
}

func unpack(r io.Reader) (entries []accesslog.Entry, err error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20) // user agents have up to 8 KB
	for lines.Scan() {
		e, err := accesslog.Parse(lines.Text())
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, lines.Err()
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
