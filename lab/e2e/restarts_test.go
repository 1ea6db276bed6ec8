// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

	"github.com/outlast-ci/outlast/lab/internal/load"
	"github.com/outlast-ci/outlast/lab/internal/proc"
	"github.com/outlast-ci/outlast/lab/internal/trial"
)

// restart is something that ends in the middle of a rollout and comes back.
type restart struct {
	program string // of the lab
	end     func(dir, program string) error
	// front: the balancers' nodes are in that program, so that clients cannot
	// connect while it is away. AWS's are not; this is the lab's own limit.
	front bool
}

// TestRestarts ends a part of the world in the middle of a rollout: when the
// first old target drains and the second old pod still waits for its turn.
func TestRestarts(t *testing.T) {
	w := begin(t)
	firstDeploy(t, w)
	terminate := func(dir, program string) error { return proc.Stop(dir, program, 20*time.Second) }
	version := 1
	for _, part := range []struct {
		name string
		what []restart
	}{
		{"the AWS Load Balancer Controller is killed", []restart{{program: "controller", end: proc.Kill}}},
		{"the API server and its controllers restart", []restart{{program: "kube", end: terminate}}},
		{"AWS restarts from its saved state", []restart{{program: "cloud", end: terminate, front: true}}},
		{"all three at once", []restart{{program: "controller", end: proc.Kill}, {program: "kube", end: terminate}, {program: "cloud", end: terminate, front: true}}},
	} {
		version++
		next := fmt.Sprintf("v%d", version)
		if !t.Run(part.name, func(t *testing.T) { w.restartDuring(t, next, part.what) }) {
			t.Fatal("the parts after this one start with what it should have left")
		}
	}
}

// ended is a deploy that is over.
type ended struct {
	run trial.Run
	err error
}

// restartDuring deploys under load, and restarts when the first old target drains.
func (w *world) restartDuring(t *testing.T, next string, what []restart) {
	before := w.targets(t)
	if len(before) != 2 {
		t.Fatalf("targets before the rollout: %v, want 2", before)
	}
	failed := &failures{}
	stop, sent := w.sendTo(t, failed.note)
	w.commit(t, "Make "+next)
	done := make(chan ended, 1)
	go func() {
		run, err := w.Run(t.Context(), deploy(next))
		done <- ended{run, err}
	}()
	if !w.waitForDraining(t, before, done) {
		e := <-done
		t.Fatalf("the deploy ended before an old target drained: exit %d (%v)\n%s", e.run.Exit, e.err, e.run.Stderr)
	}
	from, to := w.endAndBringUp(t, what)
	e := <-done
	time.Sleep(5 * time.Second)
	stop()
	r := <-sent
	t.Logf("%s: outlast exit %d in %.0f s; away for %.1f s; %d requests, %d failed %v %v", next, e.run.Exit, e.run.Took.Seconds(), to.Sub(from).Seconds(), r.Sent, r.Failed, r.Status, r.Errors)
	if e.err != nil || e.run.Exit != 0 {
		t.Fatalf("outlast deploy: exit %d (%v)\n%s", e.run.Exit, e.err, e.run.Stderr)
	}
	complete(t, w, e.run, 2)
	front := slices.ContainsFunc(what, func(x restart) bool { return x.front })
	for _, s := range failed.all {
		if !front || !underWay(s, from, to) {
			t.Errorf("request due %s, after %s: status %d, %s %s", s.Due.Format(clock), s.Latency, s.Status, s.Error, s.Detail)
		}
	}
	if r.Missed > 0 || r.Versions[next] == 0 {
		t.Errorf("%d requests missed, versions %v", r.Missed, r.Versions)
	}
	after := w.targets(t)
	for id, state := range after {
		if state != "healthy" || before[id] != "" {
			t.Errorf("after the rollout target %s is %s; before it: %v", id, state, before)
		}
	}
	if len(after) != 2 {
		t.Errorf("targets after the rollout: %v, want the 2 new pods'", after)
	}
}

const clock = "15:04:05.000"

// underWay tells whether a request failed without any answer, or in the middle of
// one, while it was on its way at a moment of a time: that is what nodes which are away
// explain. A 502, a 503 or a 504 is nothing that they explain.
func underWay(s load.Sample, from, to time.Time) bool {
	return s.Error != "" && s.Status < 400 && !s.Due.After(to) && !s.Due.Add(s.Latency).Before(from)
}

func TestOnlyRequestsWithoutAnAnswerAreExplained(t *testing.T) {
	from := time.Unix(1e9, 0)
	to := from.Add(2 * time.Second)
	for name, tc := range map[string]struct {
		status      int
		error       string
		due, latest time.Duration // since from
		want        bool
	}{
		"refused in the middle":                   {0, "refused", time.Second, time.Second, true},
		"cut after a while":                       {0, "closed", -time.Second, 0, true},
		"cut in its body":                         {200, "body-closed", -time.Second, 0, true},
		"over before it began":                    {0, "closed", -3 * time.Second, -time.Second, false},
		"due when all is well again":              {0, "refused", 3 * time.Second, 4 * time.Second, false},
		"answered by a node with a 502 meanwhile": {502, "", time.Second, time.Second, false},
		"and that answer was cut short":           {502, "body-closed", time.Second, time.Second, false},
	} {
		s := load.Sample{Status: tc.status, Error: tc.error, Due: from.Add(tc.due), Latency: tc.latest - tc.due}
		if got := underWay(s, from, to); got != tc.want {
			t.Errorf("%s: got %t, want %t", name, got, tc.want)
		}
	}
}

// endAndBringUp ends the programs, brings the lab up, and wants the targets to
// be those from before. It gives the time in which they were away; where the nodes
// are in one of them, that in which these were.
func (w *world) endAndBringUp(t *testing.T, what []restart) (from, to time.Time) {
	t.Helper()
	before := w.targets(t)
	from = time.Now()
	var refused func() time.Time
	for _, x := range what {
		if x.front {
			from = time.Now()
			refused = w.watchNodes(t)
		}
		began := time.Now()
		if err := x.end(w.Lab.Dir, x.program); err != nil {
			t.Fatal(err)
		}
		t.Logf("ended %s in %.1f s", x.program, time.Since(began).Seconds())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, w.Lab.Tools["lab"], "up").CombinedOutput()
	if err != nil {
		t.Fatalf("lab up: %v\n%s", err, out)
	}
	for _, x := range what {
		if _, running := proc.Find(w.Lab.Dir, x.program); !running {
			t.Fatalf("%s does not run after lab up:\n%s", x.program, out)
		}
	}
	to = time.Now()
	if v := w.version(t); v == "" {
		t.Error("the balancer answers with nothing")
	}
	if refused != nil { // `lab up` waits for more than for the nodes; they answer long before it ends
		if to = refused(); to.IsZero() || to.Sub(from) > 15*time.Second {
			t.Errorf("the nodes were away until %s, from %s", to, from)
		}
	}
	after := w.targets(t)
	for id, state := range before {
		if after[id] == "" && state != "draining" {
			t.Errorf("target %s, which was %s, is lost: %v", id, state, after)
		}
	}
	for id, state := range after {
		if before[id] == "draining" && state != "draining" {
			t.Errorf("target %s was draining and is %s after the restart", id, state)
		}
	}
	return from, to
}

// watchNodes connects to each of the balancer's nodes again and again; what it gives
// ends that, and tells when one was connected to in vain for the last time.
func (w *world) watchNodes(t *testing.T) (refused func() time.Time) {
	t.Helper()
	front, err := url.Parse(w.front.URL)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	last := make([]time.Time, len(w.front.Addresses))
	var all sync.WaitGroup
	for i, address := range w.front.Addresses {
		all.Go(func() {
			for ; ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
				conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", net.JoinHostPort(address, front.Port()))
				if err == nil {
					conn.Close()
				} else if ctx.Err() == nil {
					last[i] = time.Now()
				}
			}
		})
	}
	return func() time.Time {
		cancel()
		all.Wait()
		if at := slices.MaxFunc(last, time.Time.Compare); !at.IsZero() {
			return at.Add(50 * time.Millisecond) // and between two tries
		}
		return time.Time{}
	}
}

// targets are the states of the example's targets by address.
func (w *world) targets(t *testing.T) map[string]string {
	t.Helper()
	arn := strings.TrimSpace(w.kubectl(t, "get", "targetgroupbinding", "-n", namespace, "-o", "jsonpath={.items[*].spec.targetGroupARN}"))
	out, err := w.elb().DescribeTargetHealth(t.Context(), &elbv2.DescribeTargetHealthInput{TargetGroupArn: &arn})
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]string{}
	for _, h := range out.TargetHealthDescriptions {
		states[aws.ToString(h.Target.Id)] = string(h.TargetHealth.State)
	}
	return states
}

func (w *world) elb() *elbv2.Client { return elbv2.NewFromConfig(w.Lab.AWS("deployer")) }

// waitForDraining waits until one of the old targets drains while the other is healthy;
// false: the deploy ended before.
func (w *world) waitForDraining(t *testing.T, old map[string]string, done chan ended) bool {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); time.Sleep(time.Second) {
		var states []string
		for id, state := range w.targets(t) {
			if old[id] != "" {
				states = append(states, state)
			}
		}
		if slices.Contains(states, "draining") && slices.Contains(states, "healthy") {
			return true
		}
		if len(done) > 0 {
			return false
		}
	}
	t.Fatal("no target began to drain within 3 minutes")
	return false
}

// failures keeps every failed request; a report keeps the first 50.
type failures struct {
	mu  sync.Mutex
	all []load.Sample
}

func (f *failures) note(s load.Sample) {
	if !s.Failed() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, s)
}
