// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/labstate"
	"github.com/outlast-ci/outlast/lab/internal/load"
	"github.com/outlast-ci/outlast/lab/internal/trial"
)

// started gives the state of a lab that is up, and the product's folder.
func started(dir string) (labstate.State, string, error) {
	s, err := labstate.Load(dir)
	if err != nil {
		return s, "", err
	}
	if !s.Started || !allUp(dir) {
		return s, "", errors.New("the lab is not up; run: lab up")
	}
	src, err := source()
	return s, filepath.Dir(src), err
}

// deploy becomes `outlast deploy` with the lab's environment, here when there
// is an outlast.yaml, else in the example.
func deploy(ctx context.Context, dir string, args []string) error {
	s, product, err := started(dir)
	if err != nil {
		return err
	}
	program, err := trial.Build(ctx, s, product)
	if err != nil {
		return err
	}
	if _, err := os.Stat("outlast.yaml"); err != nil {
		example := filepath.Join(product, "examples", "web")
		say("deploying %s", example)
		if err := os.Chdir(example); err != nil {
			return err
		}
	}
	for _, pair := range append(s.Env("deployer"), "PATH="+s.Path("bin")+":"+os.Getenv("PATH")) {
		name, value, _ := strings.Cut(pair, "=")
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return syscall.Exec(program, append([]string{program, "deploy"}, args...), os.Environ())
}

// The demo's load: of what the service offers, a tenth slow.
const (
	demoPort     = 1325
	demoRate     = 60
	slowPath     = "/slow?ms=2000"
	namespace    = "dev"
	afterDeploy  = 5 * time.Second
	beforeDeploy = 2 * time.Second
)

func loadOptions(front trial.Front, rate float64) load.Options {
	return load.Options{URL: front.URL, Addresses: front.Addresses, Rate: rate, SlowShare: 0.1, SlowPath: slowPath}
}

// demo deploys the example, then its next version while clients send requests.
func demo(ctx context.Context, dir string, args []string) error {
	fs := flag.NewFlagSet("lab demo", flag.ContinueOnError)
	rate := fs.Float64("rate", demoRate, "requests per second")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if err := up(ctx, dir, nil); err != nil {
		return err
	}
	s, product, err := started(dir)
	if err != nil {
		return err
	}
	t, err := trial.New(ctx, s, product, s.Path("demo", "web"))
	if err != nil {
		return err
	}
	front, err := t.Front(ctx, namespace, "web", demoPort)
	version := ""
	if err == nil {
		version, err = front.Version(ctx)
	}
	if err != nil {
		say("outlast deploy: version v1 of examples/web to %s, the first deploy", namespace)
		if _, err := deployVersion(ctx, t, "v1"); err != nil {
			return err
		}
		if front, err = t.Front(ctx, namespace, "web", demoPort); err != nil {
			return err
		}
		version = "v1"
	}
	n, err := strconv.Atoi(strings.TrimPrefix(version, "v"))
	if err != nil {
		n = 1 // somebody's own version
	}
	next := fmt.Sprintf("v%d", n+1)
	if err := t.Commit(ctx, "Make "+next); err != nil {
		return err
	}
	say("outlast deploy: %s replaces %s while clients send %g requests a second, a tenth of them slow", next, version, *rate)
	run, report, err := underLoad(ctx, t, front, *rate, next)
	if err != nil {
		return err
	}
	return demoTable(t, run, report)
}

func deployVersion(ctx context.Context, t *trial.Trial, version string) (trial.Run, error) {
	run, err := t.Run(ctx, trial.Command{Args: []string{"deploy", "--build-arg", "VERSION=" + version}, Stderr: os.Stderr})
	if err == nil && run.Exit != 0 {
		err = fmt.Errorf("outlast deploy: exit %d", run.Exit)
	}
	return run, err
}

// underLoad deploys while clients send; the load begins before and ends after.
func underLoad(ctx context.Context, t *trial.Trial, front trial.Front, rate float64, version string) (trial.Run, load.Report, error) {
	type sent struct {
		report load.Report
		err    error
	}
	sending, stop := context.WithCancel(ctx)
	defer stop()
	result := make(chan sent, 1)
	go func() {
		r, err := load.Run(sending, loadOptions(front, rate))
		result <- sent{r, err}
	}()
	pause(ctx, beforeDeploy)
	run, err := deployVersion(ctx, t, version)
	pause(ctx, afterDeploy)
	stop()
	got := <-result
	return run, got.report, errors.Join(err, got.err)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// demoTable prints what happened, and fails when a request did.
func demoTable(t *trial.Trial, run trial.Run, sent load.Report) error {
	fmt.Println()
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "STAGE\tRESULT\tSECONDS\tWHAT")
	for _, s := range run.Report.Stages {
		fmt.Fprintf(w, "%s\t%s\t%.1f\t%s\n", s.Name, s.Result, s.Seconds, s.Note)
	}
	fmt.Fprintf(w, "total\t%s\t%.1f\t\n", run.Report.Result, run.Took.Seconds())
	fmt.Fprintln(w, "\t\t\t\nPOD\t\tADDRESS\tWHAT BECAME OF IT AND OF ITS TARGET")
	for _, wl := range run.Report.Gate.Workloads {
		for _, p := range wl.Pods {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", p.Name, map[bool]string{true: "new", false: "old"}[p.New], p.IP, podWords(p))
		}
		fmt.Fprintf(w, "targets\t\t\tfewest healthy at any poll: %d of %d, in %d target group(s)\n", wl.MinHealthy, wl.Desired, len(wl.Groups))
	}
	fmt.Fprintln(w, "\t\t\t\nREQUESTS\t\tCOUNT\t")
	fmt.Fprintf(w, "sent\t\t%d\t%.0f a second; %d slow, %d on a fresh connection, %d on a kept one\n", sent.Sent, sent.Achieved, sent.Slow, sent.Fresh, sent.Reused)
	fmt.Fprintf(w, "failed\t\t%d\t%s\n", sent.Failed, failures(sent))
	fmt.Fprintf(w, "latency\t\t\tp50 %s, p99 %s (slow ones: p50 %s)\n", ms(sent.Fast.P50), ms(sent.Fast.P99), ms(sent.SlowOne.P50))
	if err := w.Flush(); err != nil {
		return err
	}
	for _, wl := range run.Report.Manifests.Workloads {
		p := wl.Plan
		fmt.Printf("\ntimings (%s): grace %d s > preStop %d s > deregistration delay %d s\n", p.Mode, p.GracePeriod, p.PreStop, p.DeregistrationDelay)
	}
	fmt.Printf("planning values shortened for the lab, whose balancers go on sending for %s (AWS's: 10s-17s): %s;\n  outlast's own defaults are longer: P=30s L=5s M=5s\n", t.Lab.Propagation, strings.Join(t.Lab.Planning(), " "))
	fmt.Printf("report: %s\n", filepath.Join(t.Dir, ".outlast", "report.json"))
	if sent.Failed > 0 {
		return fmt.Errorf("%d requests of %d failed", sent.Failed, sent.Sent)
	}
	if sent.Sent == 0 || sent.Missed > 0 {
		return fmt.Errorf("%d requests were sent, %d were not: the machine is too slow to tell", sent.Sent, sent.Missed)
	}
	return nil
}

func ms(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

func podWords(p trial.Pod) string {
	if p.New {
		return fmt.Sprintf("healthy at the balancer %.0f s after it was made", p.Healthy.Sub(p.Created).Seconds())
	}
	words := fmt.Sprintf("target drained after %.0f s, pod gone after %.0f s", p.Drained.Sub(p.Deleted).Seconds(), p.Gone.Sub(p.Deleted).Seconds())
	if p.Proof == "proven" {
		words += fmt.Sprintf("; outlasted it by at least %.0f s", p.Margin)
	}
	return words
}

func failures(r load.Report) string {
	if r.Failed == 0 {
		return ""
	}
	text, err := json.Marshal(map[string]any{"status": r.Status, "errors": r.Errors})
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// sendLoad sends requests to the example and prints the report.
func sendLoad(ctx context.Context, dir string, args []string) error {
	fs := flag.NewFlagSet("lab load", flag.ContinueOnError)
	rate := fs.Float64("rate", demoRate, "requests per second")
	long := fs.Duration("for", 30*time.Second, "how long; Ctrl-C ends it earlier")
	in := fs.String("namespace", namespace, "namespace of the example")
	if err := fs.Parse(args); err != nil {
		return err
	}
	s, _, err := started(dir)
	if err != nil {
		return err
	}
	front, err := (&trial.Trial{Lab: s}).Front(ctx, *in, "web", demoPort)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, *long)
	defer cancel()
	r, err := load.Run(ctx, loadOptions(front, *rate))
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	fmt.Println(string(text))
	return nil
}
