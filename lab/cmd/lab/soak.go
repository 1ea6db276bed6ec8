// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/outlast-ci/outlast/lab/internal/soak"
	"github.com/outlast-ci/outlast/lab/internal/soak/book"
)

// runSoak makes the trials of a profile that are not made yet, and prints what came
// of all of them.
func runSoak(ctx context.Context, dir string, args []string) error {
	fs := flag.NewFlagSet("lab soak", flag.ContinueOnError)
	profile := fs.String("profile", soak.Fast.Name, "fast: shortened waits, for the counts; real: real time")
	out := fs.String("out", "", "folder for a record of every trial; a second run goes on where the first ended (default: the lab's own)")
	seed := fs.Uint64("seed", 1, "of the order of trials and of the moments at which outlast is killed")
	parallel := fs.Int("parallel", 3, "applications side by side")
	rate := fs.Float64("rate", 100, "requests per second to each")
	only := fs.String("only", "", "KIND=COUNT with commas between them, instead of what the profile asks for")
	again := fs.Bool("again", false, "make failed trials again, too")
	summary := fs.Bool("summary", false, "make none, and print what came of those in the folder")
	if err := fs.Parse(args); err != nil {
		return err
	}
	p, ok := soak.Profiles()[*profile]
	if !ok {
		return fmt.Errorf("no profile is called %q; there are fast and real", *profile)
	}
	counts, err := kindCounts(*only)
	if err != nil {
		return err
	}
	s, product, err := started(dir)
	if err != nil && !*summary {
		return err
	}
	o := soak.Options{State: s, Product: product, Dir: s.Path("soak"), Out: *out, Profile: p, Seed: *seed, Parallel: *parallel, Rate: *rate, Counts: counts, Again: *again}
	if o.Out == "" {
		o.Out = s.Path("soak", p.Name)
	}
	if *summary {
		return sumUp(o, nil)
	}
	if err := up(ctx, dir, []string{"--requeue", p.Requeue}); err != nil {
		return err
	}
	diary, err := newDiary(filepath.Join(o.Out, "log.txt"), true)
	if err != nil {
		return err
	}
	o.Log = diary.say
	_, err = soak.Run(ctx, o)
	return sumUp(o, errors.Join(err, diary.file.Close(), up(context.WithoutCancel(ctx), dir, []string{"--requeue", s.Requeue})))
}

// sumUp prints and keeps the table, and fails when a bar is not met.
func sumUp(o soak.Options, err error) error {
	plan, planErr := soak.Plan(o.Profile, o.Seed, o.Counts)
	all, readErr := book.Read(o.Out)
	if err := errors.Join(err, planErr, readErr); err != nil && len(all) == 0 {
		return err
	}
	rows := book.Rows(soak.Asked(plan), all)
	var table bytes.Buffer
	book.Table(&table, rows, all)
	os.Stdout.Write(table.Bytes()) //nolint:errcheck // nobody is there to be told
	err = errors.Join(err, os.WriteFile(filepath.Join(o.Out, "table.md"), table.Bytes(), 0o644))
	for _, r := range rows {
		if !r.Holds() {
			err = errors.Join(err, fmt.Errorf("%s: of %d trials %d passed and %d failed", r.Kind, r.Trials, r.Passed, r.Failed))
		}
	}
	return err
}

// kindCounts reads KIND=COUNT,...; nil for none.
func kindCounts(text string) (map[string]int, error) {
	if text == "" {
		return nil, nil
	}
	counts := map[string]int{}
	for part := range strings.SplitSeq(text, ",") {
		name, number, _ := strings.Cut(part, "=")
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("reading --only: %q is not KIND=COUNT", part)
		}
		counts[name] = n
	}
	return counts, nil
}
