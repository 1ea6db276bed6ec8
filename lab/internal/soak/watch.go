// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/alarm"
)

// alarmed deploys with an alarm of its own, which goes to ALARM at a moment of the
// first half of the time that a deploy takes, from when the gate began to wait.
func (a *app) alarmed(ctx context.Context, at *attempt) error {
	wait := time.Duration(at.draw.Float64() * float64(a.typical(at.like)) / 2)
	return a.alarmedAfter(ctx, at, wait, func(line string) bool { return begins(line, "gate") })
}

// alarmedAmid deploys with an alarm, too, which goes to ALARM within ten seconds after
// a handover's Services have turned to the new pods: these serve, and the old ones drain.
func (a *app) alarmedAmid(ctx context.Context, at *attempt) error {
	wait := time.Duration(at.draw.Float64() * float64(10*time.Second))
	return a.alarmedAfter(ctx, at, wait, func(line string) bool { return strings.Contains(line, "handover, step 3 of ") })
}

// alarmedAfter raises the alarm some time after a line of outlast's.
func (a *app) alarmedAfter(ctx context.Context, at *attempt, wait time.Duration, after func(line string) bool) error {
	raised := make(chan error, 1)
	var timer *time.Timer
	var once sync.Once
	at.command.Signal = func(line string) {
		if !after(line) {
			return
		}
		once.Do(func() { timer = time.AfterFunc(wait, func() { raised <- a.alarm(ctx, at, "ALARM") }) })
	}
	return a.withAlarm(ctx, at, func() error {
		err := a.deployOnce(ctx, at)
		if timer == nil || timer.Stop() { // it was not raised, and will not be
			at.seen.Early = at.record.Exit == 0
			return err
		}
		return errors.Join(err, <-raised)
	})
}

// watched deploys with an alarm that stays OK, and a probe.
func (a *app) watched(ctx context.Context, at *attempt) error {
	return a.withAlarm(ctx, at, func() error { return a.probed(ctx, at) })
}

// probed deploys with a probe of the page that no health check asks for.
func (a *app) probed(ctx context.Context, at *attempt) error {
	at.command.Args = append(at.command.Args, a.probe()...)
	return a.deployOnce(ctx, at)
}

// probe asks one of the balancer's nodes, since no DNS of this machine knows its name.
func (a *app) probe() []string {
	host := strings.TrimSuffix(strings.TrimPrefix(a.front.URL, "http://"), "/")
	return []string{"--probe-url", "http://" + net.JoinHostPort(a.front.Addresses[0], fmt.Sprint(port)) + "/cart", "--probe-host", host,
		"--probe-rate", "10", "--probe-timeout", "10s", "--probe-status", "200", "--probe-body", "^v[12] .* cart"}
}

// withAlarm has an alarm that is OK, of which outlast is told, while something is done.
func (a *app) withAlarm(ctx context.Context, at *attempt, do func() error) error {
	if err := a.alarm(ctx, at, "OK"); err != nil {
		return err
	}
	at.command.Args = append(at.command.Args, "--alarm", a.alarmName(at))
	err := do()
	return errors.Join(err, alarm.Delete(context.WithoutCancel(ctx), a.State.AWS("deployer"), a.alarmName(at)))
}

func (a *app) alarm(ctx context.Context, at *attempt, state string) error {
	return alarm.Set(ctx, a.State.AWS("deployer"), a.alarmName(at), state, "the soak says so")
}

func (a *app) alarmName(at *attempt) string { return a.namespace + "-" + at.ID() }

// begins tells whether outlast says in a line that a stage has begun.
func begins(line, stage string) bool {
	word := strings.Fields(line)
	return len(word) > 2 && word[1] == stage && word[2] == "started"
}
