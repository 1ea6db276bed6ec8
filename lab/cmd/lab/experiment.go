// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
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
	again := fs.Bool("again", false, "make settings of the run in that folder anew, in their place: those of --only, or that are invalid or did not do what is expected")
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
	aside := filepath.Join(*out, unfinished)
	var kept experiment.Experiment
	if *again {
		if kept, err = goOn(*out, aside); err != nil {
			return err
		}
		if *only = cmp.Or(*only, strings.Join(kept.Wanting(), ",")); *only == "" {
			say("all settings in %s did what is expected of them", *out)
			return nil
		}
	} else if err := os.RemoveAll(aside); err != nil { // of an earlier run
		return err
	}
	if *only != "" {
		names := strings.Split(*only, ",")
		settings = slices.DeleteFunc(settings, func(s plan.Setting) bool { return !slices.Contains(names, s.Name) })
	}
	if len(settings) == 0 {
		return fmt.Errorf("no setting is called %q", *only)
	}
	diary, err := newDiary(filepath.Join(aside, logFile), *again)
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
	if *again {
		result = kept.With(result)
	}
	return conclude(result, err, *out)
}

// goOn reads the last run: that which is kept beside, or else the one in the folder, of
// which it puts a copy of the log beside.
func goOn(out, aside string) (experiment.Experiment, error) {
	kept, err := read(aside)
	if !errors.Is(err, os.ErrNotExist) {
		return kept, err
	}
	if kept, err = read(out); err != nil {
		return kept, err
	}
	text, err := os.ReadFile(filepath.Join(out, logFile))
	return kept, errors.Join(err, os.MkdirAll(aside, 0o755), os.WriteFile(filepath.Join(aside, logFile), text, 0o644))
}

const (
	resultsFile = "results.json"
	logFile     = "log.txt"
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
	e, err := read(out)
	if err != nil {
		return err
	}
	return show(e, out)
}

// read reads what is kept in a folder.
func read(out string) (e experiment.Experiment, err error) {
	text, err := os.ReadFile(filepath.Join(out, resultsFile))
	if err != nil {
		return e, fmt.Errorf("reading an experiment: %w; run it first, or say where it is with --out", err)
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return e, fmt.Errorf("reading %s: %w", filepath.Join(out, resultsFile), err)
	}
	return e, nil
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
