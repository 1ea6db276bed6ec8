// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/experiment"
	"github.com/outlast-ci/outlast/lab/internal/experiment/plan"
	"github.com/outlast-ci/outlast/lab/internal/figure"
	"github.com/outlast-ci/outlast/lab/internal/labstate"
)

// runExperiment rolls the example out in settings with different drain
// timings, prints what each lost, and keeps it.
func runExperiment(ctx context.Context, dir string, args []string) error {
	fs := flag.NewFlagSet("lab experiment", flag.ContinueOnError)
	out := fs.String("out", "", "folder for results.json and pictures (default: the lab's own)")
	draw := fs.Bool("draw", false, "only draw and print again what is in that folder")
	long := fs.Int("rollouts", 20, "rollouts with what outlast computes")
	short := fs.Int("others", 3, "rollouts of each other setting, and of each point of the curves")
	curve := fs.Bool("curve", true, "measure the loss curves, too")
	only := fs.String("only", "", "names of settings, with commas between them (default: all)")
	parallel := fs.Int("parallel", 6, "applications at once")
	rate := fs.Float64("rate", demoRate, "requests per second to each")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *out == "" {
		*out = labstate.State{Dir: dir}.Path("experiment")
	}
	if *draw {
		return redraw(*out)
	}
	s, product, err := started(dir)
	if err != nil {
		return err
	}
	settings := plan.Main(*long, *short)
	if *curve {
		settings = append(settings, append(plan.DelayCurve(*short), plan.Curve(*short)...)...)
	}
	if *only != "" {
		names := strings.Split(*only, ",")
		settings = slices.DeleteFunc(settings, func(s plan.Setting) bool { return !slices.Contains(names, s.Name) })
	}
	if len(settings) == 0 {
		return fmt.Errorf("no setting is called %q", *only)
	}
	aside := filepath.Join(*out, unfinished)
	if err := os.RemoveAll(aside); err != nil { // of an earlier run
		return err
	}
	diary, err := newDiary(filepath.Join(aside, "log.txt"), false)
	if err != nil {
		return err
	}
	result, err := experiment.Run(ctx, experiment.Options{
		State: s, Product: product, Dir: s.Path("experiment", "web"), Settings: settings, Parallel: *parallel, Rate: *rate, Log: diary.say,
	})
	err = errors.Join(err, diary.file.Close())
	if ctx.Err() != nil || len(result.Results) == 0 {
		return errors.Join(err, fmt.Errorf("the experiment did not end, and %s stays as it was; see %s", *out, aside))
	}
	return conclude(result, err, *out)
}

const (
	resultsFile = "results.json"
	unfinished  = "unfinished" // folder for what is no result (yet), beside what is kept
)

// conclude keeps a run beside what is kept in the folder already, and puts it in
// its place when all of it says something. What a setting lost that must not is
// a result like others, and an error.
func conclude(e experiment.Experiment, err error, out string) error {
	aside := filepath.Join(out, unfinished)
	err = errors.Join(err, keep(e, aside))
	if errors.Is(err, experiment.ErrInvalid) {
		return errors.Join(err, fmt.Errorf("some settings are invalid, so %s stays as it was, and this run is in %s; run it again", out, aside))
	}
	files, dirErr := os.ReadDir(aside)
	for _, f := range files {
		dirErr = errors.Join(dirErr, os.Rename(filepath.Join(aside, f.Name()), filepath.Join(out, f.Name())))
	}
	if dirErr == nil {
		dirErr = os.Remove(aside)
	}
	return errors.Join(err, dirErr)
}

// diary says what happens, and keeps it.
type diary struct{ file *os.File }

// newDiary begins a log anew, or goes on with it.
func newDiary(file string, goOn bool) (diary, error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return diary{}, err
	}
	how := os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	if goOn {
		how = os.O_CREATE | os.O_WRONLY | os.O_APPEND
	}
	f, err := os.OpenFile(file, how, 0o644)
	return diary{f}, err
}

func (d diary) say(format string, args ...any) {
	line := time.Now().UTC().Format(time.TimeOnly) + " " + fmt.Sprintf(format, args...)
	say("%s", line)
	fmt.Fprintln(d.file, line)
}

// keep prints, keeps and draws what came of it.
func keep(e experiment.Experiment, out string) error {
	text, err := json.MarshalIndent(e, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	path := filepath.Join(out, resultsFile)
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return err
	}
	say("kept in %s", path)
	return show(e, out)
}

func redraw(out string) error {
	text, err := os.ReadFile(filepath.Join(out, resultsFile))
	if err != nil {
		return fmt.Errorf("drawing again: %w; run the experiment first, or say where it is with --out", err)
	}
	var e experiment.Experiment
	if err := json.Unmarshal(text, &e); err != nil {
		return fmt.Errorf("drawing again: reading %s: %w", resultsFile, err)
	}
	return show(e, out)
}

// show prints the tables and draws the pictures of what was tried.
func show(e experiment.Experiment, out string) error {
	var table bytes.Buffer
	e.Table(&table)
	os.Stdout.Write(table.Bytes()) //nolint:errcheck // nobody is there to be told
	errs := []error{os.WriteFile(filepath.Join(out, "table.md"), table.Bytes(), 0o644)}
	for _, picture := range []struct {
		name string
		draw func(experiment.Experiment, string) error
		of   func(plan.Kind) bool
	}{
		{"loss-curve", figure.Curve, func(k plan.Kind) bool { return k == plan.Shorter }},
		{"delay-curve", figure.DelayCurve, func(k plan.Kind) bool { return k == plan.Delayed }},
		{"rollouts", figure.Rollouts, func(k plan.Kind) bool { return !k.Point() }},
	} {
		if slices.ContainsFunc(e.Results, func(r experiment.Result) bool { return r.Invalid == "" && picture.of(r.Kind) }) {
			errs = append(errs, picture.draw(e, filepath.Join(out, picture.name)))
		}
	}
	return errors.Join(errs...)
}
