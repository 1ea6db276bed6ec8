// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/load"
	"github.com/outlast-ci/outlast/lab/internal/soak/book"
	"github.com/outlast-ci/outlast/lab/internal/trial"
)

// attempt is one try of a trial, as it goes on.
type attempt struct {
	Trial
	record  book.Record
	seen    Seen
	draw    *rand.Rand
	command trial.Command // that is tried
}

// try makes one trial, and says whether the application is what the next one may
// start with.
func (a *app) try(ctx context.Context, t Trial, try int) (book.Record, bool) {
	at := &attempt{Trial: t, draw: t.Draw(a.Seed, try)}
	at.record = book.Record{ID: t.ID(), Kind: t.Name, Seed: a.Seed, Try: try, App: a.namespace, Outlast: a.version, Started: time.Now().UTC().Truncate(time.Second)}
	at.seen.Release = fmt.Sprintf("%s.%d", t.ID(), try)
	var err error
	if t.before != nil {
		err = a.put(ctx, "before-"+at.seen.Release, *t.before)
	}
	next := 1 - a.image
	if err == nil {
		at.command, err = a.deploy(at.seen.Release, next, t.Kind)
	}
	if err == nil {
		var report load.Report
		report, err = a.underLoad(ctx, cmp.Or(t.load, &usual), func() error { return t.step(a, ctx, at) })
		at.record.Sent(report)
	}
	if !t.Changes {
		next, at.seen.Release = a.image, a.release
	}
	at.seen.Want = versions[next]
	var errs [2]error
	at.seen.Answers, errs[0] = a.front.Version(ctx)
	at.seen.Pods, errs[1] = a.pods(ctx)
	at.seen.Tool = errors.Join(err, errs[0], errs[1])
	at.record.Verdict, at.record.Why = judge(t.Kind, at.record, at.seen, a.Rate)
	a.image, a.release = next, at.seen.Release
	return at.record, len(standing(at.record.Exit, at.seen)) == 0 && at.seen.Tool == nil && !t.pods.bare
}

// underLoad does something between requests: some before it, some after.
func (a *app) underLoad(ctx context.Context, l *stream, do func() error) (load.Report, error) {
	type outcome struct {
		report load.Report
		err    error
	}
	sending, stop := context.WithCancel(ctx)
	defer stop()
	sent := make(chan outcome, 1)
	go func() {
		r, err := load.Run(sending, load.Options{URL: a.front.URL, Addresses: a.front.Addresses, Rate: a.Rate, SlowShare: l.share, SlowPath: l.path, Timeout: l.timeout})
		sent <- outcome{r, err}
	}()
	pause(ctx, l.before)
	err := do()
	pause(ctx, a.Profile.Settle)
	stop()
	out := <-sent
	return out.report, errors.Join(err, out.err)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// deployOnce deploys, and that is it.
func (a *app) deployOnce(ctx context.Context, at *attempt) error {
	run, err := a.run(ctx, at.command, at.ID())
	at.record.Exit, at.record.Reason, at.record.Seconds = run.Exit, run.Report.Reason, run.Took.Seconds()
	return err
}

// thereAndBack deploys, and goes back to what was there before.
func (a *app) thereAndBack(ctx context.Context, at *attempt) error {
	if err := a.deployOnce(ctx, at); err != nil || at.record.Exit != 0 {
		return err
	}
	at.command.Args = append([]string{"rollback", "--config", "soak.yaml", "--manifests", folder}, at.args...)
	return a.deployOnce(ctx, at)
}

// killed deploys, kills outlast at a moment of the time that a deploy takes, any as
// likely as any other, and deploys again.
func (a *app) killed(ctx context.Context, at *attempt) error {
	at.record.KilledAt = at.draw.Float64() * a.typical(at.like).Seconds()
	mortal, kill := context.WithTimeout(ctx, seconds(at.record.KilledAt))
	defer kill()
	return a.cut(ctx, mortal, at)
}

// killedInRollback waits until the rollback has begun, and kills outlast up to
// rollbackTakes later.
func (a *app) killedInRollback(ctx context.Context, at *attempt) error {
	mortal, kill := context.WithCancel(ctx)
	defer kill()
	wait := seconds(at.draw.Float64() * rollbackTakes)
	began := time.Now()
	at.command.Signal = func(line string) {
		if strings.Contains(line, " rollback ") && strings.Contains(line, "started") {
			time.AfterFunc(wait, func() { at.record.KilledAt = time.Since(began).Seconds(); kill() })
		}
	}
	return a.cut(ctx, mortal, at)
}

// rollbackTakes seconds, at least.
const rollbackTakes = 15

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// cut deploys until mortal ends, when outlast gets a SIGKILL, and deploys again.
func (a *app) cut(ctx, mortal context.Context, at *attempt) error {
	first, last := at.command, ""
	watched := first.Signal
	first.Signal = func(line string) {
		last = line
		if watched != nil {
			watched(line)
		}
	}
	run, err := a.run(mortal, first, at.ID())
	if mortal.Err() == nil || run.Exit >= 0 {
		at.seen.Early = true
		at.record.Exit, at.record.Reason, at.record.Seconds = run.Exit, run.Report.Reason, run.Took.Seconds()
		return err
	}
	at.record.KilledIn = strings.TrimSpace(last) // and a report that was cut short is no error
	at.command.Signal = nil
	return a.deployOnce(ctx, at)
}
