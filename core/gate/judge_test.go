// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/gate/internal/elb"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }

func plan(mode drain.Mode) drain.Plan {
	in := drain.Defaults() // P 30 s, M 5 s, h 15 s
	in.Mode = mode
	p, err := drain.Solve(in)
	if err != nil {
		panic(err)
	}
	return p
}

// behind is a Deployment of one pod behind a balancer, which replaces pod old.
func behind() Workload {
	return Workload{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "dev", Name: "web", Replaced: []Replaced{{UID: "old"}}, Behind: true, Plan: plan(drain.Strict)}
}

func newOne(change ...func(*Pod)) Pod {
	p := Pod{UID: "new", Name: "web-new", IP: "10.0.0.2", New: true, Ready: true, Created: at(0), Gates: map[string]string{"target-health.elbv2.k8s.aws/tg": "True"}, Ports: map[string]int{"http": 8080}}
	for _, c := range change {
		c(&p)
	}
	return p
}

func oldOne(change ...func(*Pod)) Pod {
	p := newOne(change...)
	p.UID, p.Name, p.IP, p.New, p.Created = "old", "web-old", "10.0.0.1", false, at(-100)
	return p
}

func deleted(p *Pod)  { p.Deleted = at(10) }
func unready(p *Pod)  { p.Ready = false }
func gateless(p *Pod) { p.Gates = map[string]string{"target-health.elbv2.k8s.aws/tg": ""} }

func waits(reason string, restarts int) func(*Pod) {
	return func(p *Pod) { p.Ready, p.Waiting, p.Detail, p.Restarts = false, reason, "said the kubelet", restarts }
}

func target(ip, state string, reason ...string) Target {
	t := Target{ID: ip, Port: 8080, State: state}
	if len(reason) > 0 {
		t.Reason = reason[0]
	}
	return t
}

func group(targets ...Target) Group {
	return Group{ARN: "arn", Binding: "tgb", TargetPort: "8080", Known: true, Targets: targets}
}

const (
	newIP = "10.0.0.2"
	oldIP = "10.0.0.1"
)

// seen is one poll with pods and one group.
func seen(second int, pods []Pod, groups ...Group) Snapshot {
	return Snapshot{At: at(second), PodsKnown: true, Desired: 1, Pods: pods, Groups: groups}
}

func pods(p ...Pod) []Pod { return p }

// start is the poll before anything happened to the old pod.
func start() Snapshot { return seen(0, pods(oldOne()), group(target(oldIP, "healthy"))) }

func with(s Snapshot, change func(*Snapshot)) Snapshot {
	change(&s)
	return s
}

func TestTheJudge(t *testing.T) {
	bad := func(reason string) Snapshot {
		return seen(0, pods(newOne(waits(reason, 1)), oldOne()), group(target(oldIP, "healthy")))
	}
	later := func(s Snapshot, second int) Snapshot { s.At = at(second); return s }
	fast := behind()
	fast.Plan = plan(drain.Fast)
	sibling := newOne()
	sibling.UID, sibling.Name, sibling.IP = "second", "web-second", "10.0.0.3"
	alone := behind()
	alone.Behind = false
	known := behind()
	known.Replaced = []Replaced{{UID: "old", Name: "web-old", IP: oldIP}}
	cases := map[string]struct {
		workload Workload
		polls    []Snapshot
		done     bool
		failed   Reason
		problem  string // part of one
	}{
		"all is well: the new pod healthy, the old target and the old pod gone": {behind(), []Snapshot{
			start(), seen(60, pods(newOne(), oldOne(deleted)), group(target(newIP, "healthy"), target(oldIP, "draining"))),
			seen(100, pods(newOne()), group(target(newIP, "healthy")))}, true, "", ""},
		"an old pod that was never seen is gone, and needs no target": {behind(), []Snapshot{seen(0, pods(newOne()), group(target(newIP, "healthy")))}, true, "", ""},
		"the rollout is not complete":                                 {behind(), []Snapshot{with(seen(0, pods(newOne()), group(target(newIP, "healthy"))), func(s *Snapshot) { s.Complete = "1 of 2 pods are ready" })}, false, "", "1 of 2 pods are ready"},
		"fewer new pods than wanted":                                  {behind(), []Snapshot{with(seen(0, pods(newOne()), group(target(newIP, "healthy"))), func(s *Snapshot) { s.Desired = 2 })}, false, "", "1 of 2 new pods exist"},
		"no pod at all":                                               {behind(), []Snapshot{seen(0, nil, group())}, false, "", "0 of 1 new pods exist"},
		"a new pod that is being deleted does not count":              {behind(), []Snapshot{seen(0, pods(newOne(deleted)), group(target(newIP, "healthy")))}, false, "", "0 of 1 new pods exist"},
		"the new pod is not ready":                                    {behind(), []Snapshot{seen(0, pods(newOne(unready)), group(target(newIP, "healthy")))}, false, "", "pod web-new is not ready"},
		"its readiness gate has no status yet":                        {behind(), []Snapshot{seen(0, pods(newOne(gateless)), group(target(newIP, "healthy")))}, false, "", `readiness gate target-health.elbv2.k8s.aws/tg is ""`},
		"its target is not registered":                                {behind(), []Snapshot{seen(0, pods(newOne()), group())}, false, "", "10.0.0.2:8080 is not registered in target group tgb"},
		"its target is registered by its id only":                     {behind(), []Snapshot{seen(0, pods(newOne()), group(target(newIP, "unused", "Target.NotRegistered")))}, false, "", "is not registered"},
		"its target is registered with another port":                  {behind(), []Snapshot{seen(0, pods(newOne()), group(Target{ID: newIP, Port: 9090, State: "healthy"}))}, false, "", "10.0.0.2:8080 is not registered"},
		"its target is initial":                                       {behind(), []Snapshot{seen(0, pods(newOne()), group(target(newIP, "initial", "Elb.RegistrationInProgress")))}, false, "", "is initial: being registered"},
		"its target is unhealthy":                                     {behind(), []Snapshot{seen(0, pods(newOne()), group(target(newIP, "unhealthy", "Target.Timeout")))}, false, "", "the health check gets no answer in time"},
		"its target is draining":                                      {behind(), []Snapshot{seen(0, pods(newOne()), group(target(newIP, "draining")))}, false, "", "is draining"},
		"one of its two groups lags behind": {behind(), []Snapshot{seen(0, pods(newOne()), group(target(newIP, "healthy")), Group{Binding: "second", TargetPort: "8080", Known: true, Targets: []Target{target(newIP, "initial")}})},
			false, "", "is initial"},
		"a named target port is found in the pod":        {behind(), []Snapshot{seen(0, pods(newOne()), Group{Binding: "tgb", TargetPort: "http", Known: true, Targets: []Target{target(newIP, "healthy")}})}, true, "", ""},
		"a named target port that the pod lacks":         {behind(), []Snapshot{seen(0, pods(newOne()), Group{Binding: "tgb", TargetPort: "grpc", Known: true, Targets: []Target{target(newIP, "healthy")}})}, false, "", "10.0.0.2:0 is not registered"},
		"no target group is bound":                       {behind(), []Snapshot{seen(0, pods(newOne()))}, false, "", "no target group is bound to its Services"},
		"no target group is needed where no balancer is": {alone, []Snapshot{seen(0, pods(newOne()))}, true, "", ""},
		"the old pod terminates":                         {behind(), []Snapshot{start(), seen(30, pods(newOne(), oldOne(deleted)), group(target(newIP, "healthy")))}, false, "", "old pod web-old is still there"},
		"the old pod is gone, but its target drains still": {behind(), []Snapshot{start(), seen(30, pods(newOne()), group(target(newIP, "healthy"), target(oldIP, "draining")))},
			false, "", "old pod web-old: target 10.0.0.1 has not drained"},
		"its target is gone from one group only": {behind(), []Snapshot{
			seen(0, pods(oldOne()), group(target(oldIP, "healthy")), group(target(oldIP, "healthy"))),
			seen(60, pods(newOne()), group(target(newIP, "healthy")), group(target(newIP, "healthy"), target(oldIP, "draining")))}, false, "", "has not drained"},
		"an old pod that the apply did not name has to go, too": {alone, []Snapshot{seen(0, pods(newOne(), func() Pod { p := oldOne(); p.UID = "older"; return p }()))}, false, "", "old pod web-old is still there"},
		"a new pod's address that was an old pod's says nothing about the old one": {behind(), []Snapshot{
			start(), seen(60, pods(func() Pod { p := newOne(); p.IP = oldIP; return p }()), group(target(oldIP, "healthy")))}, true, "", ""},
		"fast: the balancer has stopped sending though the target is listed": {fast, []Snapshot{
			start(), seen(20, pods(newOne(), oldOne(deleted)), group(target(newIP, "healthy"), target(oldIP, "draining"))),
			seen(55, pods(newOne()), group(target(newIP, "healthy"), target(oldIP, "draining")))}, true, "", ""},
		"fast: a second earlier it has not": {fast, []Snapshot{
			start(), seen(20, pods(newOne(), oldOne(deleted)), group(target(newIP, "healthy"), target(oldIP, "draining"))),
			seen(54, pods(newOne()), group(target(newIP, "healthy"), target(oldIP, "draining")))}, false, "", "has not drained"},
		"strict: at that time it is not enough": {behind(), []Snapshot{
			start(), seen(20, pods(newOne(), oldOne(deleted)), group(target(newIP, "healthy"), target(oldIP, "draining"))),
			seen(55, pods(newOne()), group(target(newIP, "healthy"), target(oldIP, "draining")))}, false, "", "has not drained"},

		"an old target that shows up again is not drained": {behind(), []Snapshot{
			start(), seen(60, pods(newOne(), oldOne(deleted)), group(target(newIP, "healthy"))),
			seen(61, pods(newOne()), group(target(newIP, "healthy"), target(oldIP, "draining")))}, false, "", "has not drained"},
		"an old pod that never was a target has none to drain": {behind(), []Snapshot{
			seen(0, pods(oldOne()), group()), seen(60, pods(newOne()), group(target(newIP, "healthy")))}, true, "", ""},
		"a new pod that is deleted has to go, too": {behind(), []Snapshot{
			seen(0, pods(newOne(), func() Pod { p := newOne(deleted); p.UID, p.Name, p.IP = "second", "web-second", "10.0.0.3"; return p }()), group(target(newIP, "healthy")))}, false, "", "old pod web-second is still there"},
		"and its target has to drain": {behind(), []Snapshot{
			seen(0, pods(newOne(), func() Pod { p := newOne(deleted); p.UID, p.Name, p.IP = "second", "web-second", "10.0.0.3"; return p }()), group(target(newIP, "healthy"), target("10.0.0.3", "draining"))),
			seen(60, pods(newOne()), group(target(newIP, "healthy"), target("10.0.0.3", "draining")))}, false, "", "old pod web-second: target 10.0.0.3 has not drained"},
		"after which it is done with": {behind(), []Snapshot{
			seen(0, pods(newOne(), func() Pod { p := newOne(deleted); p.UID, p.Name, p.IP = "second", "web-second", "10.0.0.3"; return p }()), group(target(newIP, "healthy"), target("10.0.0.3", "draining"))),
			seen(60, pods(newOne()), group(target(newIP, "healthy")))}, true, "", ""},
		"a named port that means another number in the new version does not hide an old target": {behind(), []Snapshot{
			seen(0, pods(oldOne()), func() Group { g := group(target(oldIP, "healthy")); g.TargetPort = "http"; return g }()),
			seen(60, pods(func() Pod { p := newOne(); p.Ports = map[string]int{"http": 9090}; return p }()), func() Group {
				g := group(Target{ID: newIP, Port: 9090, State: "healthy"}, target(oldIP, "draining"))
				g.TargetPort = "http"
				return g
			}())}, false, "", "old pod web-old: target 10.0.0.1 has not drained"},
		"an old pod that shows up again is not gone": {behind(), []Snapshot{
			start(), seen(60, pods(newOne()), group(target(newIP, "healthy"))), seen(61, pods(newOne(), oldOne(deleted)), group(target(newIP, "healthy")))}, false, "", "old pod web-old is still there"},
		"fast: a group that drains later than the first is waited for": {fast, []Snapshot{
			seen(0, pods(oldOne()), group(target(oldIP, "healthy")), group(target(oldIP, "healthy"))),
			seen(20, pods(newOne(), oldOne(deleted)), group(target(newIP, "healthy"), target(oldIP, "draining")), group(target(newIP, "healthy"), target(oldIP, "healthy"))),
			seen(60, pods(newOne()), group(target(newIP, "healthy")), group(target(newIP, "healthy"), target(oldIP, "draining")))}, false, "", "has not drained"},
		"a named target port may begin with digits": {behind(), []Snapshot{seen(0, pods(func() Pod { p := newOne(); p.Ports = map[string]int{"8443-tls": 8080}; return p }()),
			Group{Binding: "tgb", TargetPort: "8443-tls", Known: true, Targets: []Target{target(newIP, "healthy")}})}, true, "", ""},
		"an older pod that has the address too does not take it over": {behind(), []Snapshot{
			start(), seen(60, pods(newOne(), func() Pod { p := oldOne(deleted); p.UID, p.Name, p.Created = "older", "web-older", at(-500); return p }()), group(target(newIP, "healthy"), target(oldIP, "draining")))},
			false, "", "old pod web-old: target 10.0.0.1 has not drained"},

		"what cannot be read decides nothing, however good the rest looks": {behind(), []Snapshot{with(seen(0, pods(newOne()), group(target(newIP, "healthy"))), func(s *Snapshot) { s.Unknown = []string{"asking: throttled"} })}, false, "", "asking: throttled"},
		"nor however bad":          {behind(), []Snapshot{with(seen(0, nil), func(s *Snapshot) { s.Unknown, s.Missing = []string{"reading: timeout"}, true })}, false, "", "reading: timeout"},
		"the workload is gone":     {behind(), []Snapshot{{At: at(0), Missing: true}}, false, WorkloadGone, "does not exist"},
		"somebody else changed it": {behind(), []Snapshot{with(seen(0, pods(newOne()), group(target(newIP, "healthy"))), func(s *Snapshot) { s.Superseded = "its template does not name web@1 any more" })}, false, Superseded, "does not name web@1"},
		"an old pod that is gone before the first look leaves a target that drains": {known, []Snapshot{seen(0, pods(newOne()), group(target(newIP, "healthy"), target(oldIP, "draining")))}, false, "", "old pod web-old: target 10.0.0.1 has not drained"},
		"and is done with when that is gone":                                        {known, []Snapshot{seen(0, pods(newOne()), group(target(newIP, "healthy"), target(oldIP, "draining"))), seen(60, pods(newOne()), group(target(newIP, "healthy")))}, true, "", ""},
		"a worker that wants none is done without any":                              {alone, []Snapshot{with(seen(0, nil), func(s *Snapshot) { s.Desired = 0 })}, true, "", ""},
		"it wants no replicas":                                                      {behind(), []Snapshot{with(seen(0, nil, group()), func(s *Snapshot) { s.Desired = 0 })}, false, NothingToWaitFor, "wants 0 replicas"},
		"the progress deadline is over":                                             {behind(), []Snapshot{with(start(), func(s *Snapshot) { s.Stalled = "timed out progressing" })}, false, ProgressDeadline, "timed out progressing"},
		"it says which pod it waited for, and what for": {behind(), []Snapshot{with(seen(0, pods(newOne(unready), oldOne()), group(target(oldIP, "healthy"))), func(s *Snapshot) { s.Stalled = "timed out progressing" })}, false, ProgressDeadline,
			"timed out progressing\npod web-new is not ready"},
		"a container that crashes the third time ends the wait": {behind(), []Snapshot{seen(0, pods(newOne(waits("CrashLoopBackOff", 3))), group())}, false, CrashLoop, "said the kubelet (3 restarts)"},
		"two crashes do not":                               {behind(), []Snapshot{seen(0, pods(newOne(waits("CrashLoopBackOff", 2))), group())}, false, "", "CrashLoopBackOff"},
		"an old pod may crash":                             {behind(), []Snapshot{seen(0, pods(newOne(), oldOne(waits("CrashLoopBackOff", 9))), group(target(newIP, "healthy")))}, false, "", "still there"},
		"so may a new one that is being deleted":           {behind(), []Snapshot{seen(0, pods(newOne(waits("CrashLoopBackOff", 9), deleted)), group())}, false, "", "0 of 1"},
		"an image name that is none ends the wait at once": {behind(), []Snapshot{bad("InvalidImageName")}, false, ImagePull, "InvalidImageName"},
		"an image that cannot be pulled gets patience":     {behind(), []Snapshot{bad("ErrImagePull"), later(bad("ErrImagePull"), 44)}, false, "", "ErrImagePull"},
		"and no more than that":                            {behind(), []Snapshot{bad("ErrImagePull"), later(bad("ErrImagePull"), 45)}, false, ImagePull, "said the kubelet"},
		"the kubelet's two words for it are one trouble": {behind(), []Snapshot{
			bad("ErrImagePull"), later(bad("ImagePullBackOff"), 30), later(bad("ErrImagePull"), 60), later(bad("ImagePullBackOff"), 90)}, false, ImagePull, "ImagePullBackOff"},
		"a pod that waited long for its node gets the same patience": {behind(), []Snapshot{bad("Unschedulable"), later(bad("ErrImagePull"), 400), later(bad("ImagePullBackOff"), 444)}, false, "", "ImagePullBackOff"},
		"and no more, whichever word is seen":                        {behind(), []Snapshot{bad("Unschedulable"), later(bad("ErrImagePull"), 400), later(bad("ImagePullBackOff"), 445)}, false, ImagePull, "ImagePullBackOff"},
		"a pull that worked the second time is forgotten": {behind(), []Snapshot{
			bad("ErrImagePull"), seen(20, pods(newOne(unready)), group()), later(bad("ErrImagePull"), 50)}, false, "", "ErrImagePull"},
		"a missing ConfigMap gets patience":       {behind(), []Snapshot{bad("CreateContainerConfigError"), later(bad("CreateContainerConfigError"), 44)}, false, "", "CreateContainerConfigError"},
		"and ends the wait after it":              {behind(), []Snapshot{bad("CreateContainerConfigError"), later(bad("CreateContainerConfigError"), 45)}, false, ConfigError, "CreateContainerConfigError"},
		"a pod that cannot be scheduled may wait": {behind(), []Snapshot{bad("Unschedulable"), later(bad("Unschedulable"), 400)}, false, "", "Unschedulable"},
		"a group without listener gets patience":  {behind(), []Snapshot{seen(0, pods(newOne()), group(target(newIP, "unused", "Target.NotInUse"))), seen(90, pods(newOne()), group(target(newIP, "unused", "Target.NotInUse")))}, false, "", "its target group is on no listener"},
		"and ends the wait after it ":             {behind(), []Snapshot{seen(0, pods(newOne()), group(target(newIP, "unused", "Target.NotInUse"))), seen(91, pods(newOne()), group(target(newIP, "unused", "Target.NotInUse")))}, false, TargetNotInUse, "no listener"},
		"a target that was healthy may be on no listener for a moment": {behind(), []Snapshot{seen(0, pods(newOne()), group(target(newIP, "healthy"))), seen(200, pods(newOne()), group(target(newIP, "unused", "Target.NotInUse")))},
			false, "", "no listener"},
		"an address that cannot be a target": {behind(), []Snapshot{seen(0, pods(newOne()), group(target(newIP, "unused", "Target.IpUnusable"))), seen(91, pods(newOne()), group(target(newIP, "unused", "Target.IpUnusable")))}, false, TargetUnhealthy, "belongs to a load balancer"},
		"a ready pod whose target stays unhealthy": {behind(), []Snapshot{seen(0, pods(newOne()), group(target(newIP, "unhealthy", "Target.ResponseCodeMismatch"))), seen(136, pods(newOne()), group(target(newIP, "unhealthy", "Target.ResponseCodeMismatch")))},
			false, TargetUnhealthy, "another status code"},
		"an address that cannot be a target gets patience": {behind(), []Snapshot{seen(0, pods(newOne()), group(target(newIP, "unused", "Target.IpUnusable"))), seen(90, pods(newOne()), group(target(newIP, "unused", "Target.IpUnusable")))},
			false, "", "belongs to a load balancer"},
		"a pod that is not ready may be unhealthy": {behind(), []Snapshot{seen(0, pods(newOne(unready)), group(target(newIP, "unhealthy"))), seen(400, pods(newOne(unready)), group(target(newIP, "unhealthy")))}, false, "", "is not ready"},
		"so may one whose sibling was healthy": {behind(), []Snapshot{seen(0, pods(newOne(), sibling), group(target(newIP, "unhealthy"), target("10.0.0.3", "healthy"))),
			seen(400, pods(newOne(), sibling), group(target(newIP, "unhealthy"), target("10.0.0.3", "healthy")))}, false, "", "is unhealthy"},
		"but not one whose predecessor was": {behind(), []Snapshot{seen(0, pods(newOne(), oldOne()), group(target(newIP, "unhealthy"), target(oldIP, "healthy"))),
			seen(400, pods(newOne(), oldOne()), group(target(newIP, "unhealthy"), target(oldIP, "healthy")))}, false, TargetUnhealthy, "is unhealthy"},
		"it gets time for its checks":                        {behind(), []Snapshot{seen(0, pods(newOne()), group(target(newIP, "unhealthy"))), seen(135, pods(newOne()), group(target(newIP, "unhealthy")))}, false, "", "is unhealthy"},
		"one that was healthy once may be unhealthy a while": {behind(), []Snapshot{seen(0, pods(newOne()), group(target(newIP, "healthy"))), seen(500, pods(newOne()), group(target(newIP, "unhealthy")))}, false, "", "is unhealthy"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			tr := newTrack(c.workload)
			var v Verdict
			for _, s := range c.polls {
				tr.groups = s.Groups
				tr.take(s)
				v = tr.judge(s)
			}
			if v.Done != c.done || v.Failed != c.failed || !strings.Contains(strings.Join(v.Problems, "\n"), c.problem) || (c.problem == "") != (len(v.Problems) == 0) {
				t.Errorf("done %t, failed %q, problems %q; want %t, %q, %q", v.Done, v.Failed, v.Problems, c.done, c.failed, c.problem)
			}
		})
	}
}

func TestWhatTheHistoryKeeps(t *testing.T) {
	tr := newTrack(behind())
	second := func(state string) Group { return group(target(newIP, state)) }
	tr.take(seen(0, pods(newOne(), oldOne()), group(target(newIP, "healthy"), target(oldIP, "healthy")), second("initial")))
	if line := tr.pods["new"]; !line.Healthy.IsZero() || line.Registered != at(0) {
		t.Errorf("healthy in one of two groups is not healthy: %+v", line)
	}
	tr.take(seen(5, pods(newOne(), oldOne()), group(target(newIP, "healthy"), target(oldIP, "healthy")), second("healthy")))
	tr.take(seen(9, pods(newOne(), oldOne()), group(target(newIP, "unhealthy")), second("healthy")))
	tr.take(seen(12, pods(newOne(), oldOne()), group(target(newIP, "healthy"), target(oldIP, "healthy")), second("healthy")))
	if line := tr.pods["new"]; line.Healthy != at(5) {
		t.Errorf("first healthy at %s", line.Healthy)
	}
	if tr.minimum != 0 {
		t.Errorf("fewest healthy targets: %d", tr.minimum)
	}
	gap := seen(20, pods(newOne()), group(target(newIP, "healthy")))
	gap.Groups[0].Known = false
	tr.take(gap)
	if !tr.pods["old"].Drained.IsZero() {
		t.Error("a poll that did not read the group counts as drained")
	}
	tr.take(seen(25, pods(newOne(), oldOne(deleted, func(p *Pod) { p.Killed, p.Ended = true, at(24) })), group(), second("healthy")))
	again := newOne()
	again.UID, again.IP, again.Created = "again", oldIP, at(26)
	tr.take(seen(30, pods(newOne(), again), group(target(oldIP, "healthy")), group(target(oldIP, "healthy"))))
	if line := tr.pods["old"]; line.Drained != at(25) || line.listed != at(12) || !line.Killed || line.Ended != at(24) || line.Gone != at(30) {
		t.Errorf("of the old pod: %+v", line)
	}
	tr.take(seen(31, pods(newOne(), again), group(), group()))
	if line := tr.pods["new"]; !line.Drained.IsZero() {
		t.Error("a live pod whose target is gone for a moment counts as drained")
	}
}

// Only what was deleted behind a balancer has a drain to prove.
func TestWhoseDrainIsProven(t *testing.T) {
	alone := behind()
	alone.Behind = false
	cases := map[string]struct {
		workload Workload
		change   []func(*Pod)
		want     Proof
	}{
		"an old pod's that was deleted":                {behind(), []func(*Pod){deleted}, Proven},
		"not of one that vanished by another's hand":   {behind(), nil, ""},
		"nor of one that stands behind no balancer":    {alone, []func(*Pod){deleted}, ""},
		"nor of one that nobody has seen as a target ": {behind(), []func(*Pod){deleted, func(p *Pod) { p.Ports = nil }}, NotObserved},
	}
	for name, c := range cases {
		tr := newTrack(c.workload)
		for second, state := range []string{"healthy", "draining", "", "", ""} {
			s := seen(second*20, pods(newOne(), oldOne(c.change...)), group(target(newIP, "healthy")))
			s.Groups[0].TargetPort = "http"
			if state != "" {
				s.Groups[0].Targets = append(s.Groups[0].Targets, target(oldIP, state))
			}
			if second == 4 {
				s.Pods = s.Pods[:1]
			}
			tr.take(s)
		}
		tr.take(seen(100, pods(newOne()), group(target(newIP, "healthy"))))
		r := tr.result()
		if got := r.Pods[0]; got.UID != "old" || got.Proof != c.want {
			t.Errorf("%s: %q, want %q: %+v", name, got.Proof, c.want, got)
		}
	}
}

func TestTheWordsForATarget(t *testing.T) {
	for want, c := range map[string]Target{
		"healthy":  {State: "healthy"},
		"draining": {State: "draining", Reason: "Target.DeregistrationInProgress"},
		"unhealthy: the health check gets another status code than the matcher wants (503)": {State: "unhealthy", Reason: "Target.ResponseCodeMismatch", Description: "503"},
		"unhealthy: Target.NewInventions": {State: "unhealthy", Reason: "Target.NewInventions"},
	} {
		if got := elb.Words(c.State, c.Reason, c.Description); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestTheProof(t *testing.T) {
	strict, fast := plan(drain.Strict), plan(drain.Fast) // fast: 30 s + 5 s after draining was seen
	life := func(change func(*PodTimeline)) PodTimeline {
		p := PodTimeline{Registered: at(0), Deleted: at(10), Draining: at(11), Drained: at(60), Ended: at(70), Gone: at(72), listed: at(59), serving: at(10), alive: at(69)}
		change(&p)
		return p
	}
	cases := map[string]struct {
		plan   drain.Plan
		pod    PodTimeline
		want   Proof
		margin float64
	}{
		"strict: it ran when its target was gone":                {strict, life(func(*PodTimeline) {}), Proven, 10},
		"strict: in the same second":                             {strict, life(func(p *PodTimeline) { p.Ended = at(60) }), Proven, 0},
		"strict: it ended while its target was listed":           {strict, life(func(p *PodTimeline) { p.Ended = at(58) }), Broken, -2},
		"strict: it ended between the polls that would tell":     {strict, life(func(p *PodTimeline) { p.Ended, p.listed = at(59), at(58) }), NotObserved, 0},
		"strict: it vanished, but was seen alive later":          {strict, life(func(p *PodTimeline) { p.Ended, p.alive = time.Time{}, at(63) }), Proven, 3},
		"strict: it vanished in the poll that missed its target": {strict, life(func(p *PodTimeline) { p.Ended, p.alive = time.Time{}, at(60) }), NotObserved, 0},
		"strict: its target outlasted it":                        {strict, life(func(p *PodTimeline) { p.Drained, p.listed = time.Time{}, at(75) }), Broken, -5},
		"strict: nobody saw when its target left":                {strict, life(func(p *PodTimeline) { p.Drained = time.Time{} }), NotObserved, 0},
		"strict: it vanished while its target was listed":        {strict, life(func(p *PodTimeline) { p.Ended, p.alive, p.Gone = time.Time{}, at(58), at(59) }), Broken, -2},
		"never seen in a group":                                  {strict, life(func(p *PodTimeline) { p.Registered = time.Time{} }), NotObserved, 0},
		"fast: it ran until the balancer must have stopped":      {fast, life(func(p *PodTimeline) { p.Ended, p.Drained = at(50), time.Time{} }), Proven, 4},
		"fast: it ended before":                                  {fast, life(func(p *PodTimeline) { p.Ended = at(40) }), Broken, -6},
		"fast: between the polls that would tell":                {fast, life(func(p *PodTimeline) { p.Ended = at(45); p.serving = at(5) }), NotObserved, 0},
		"fast: it was killed":                                    {fast, life(func(p *PodTimeline) { p.Killed = true }), Broken, 24},
		"fast: killed, and never a target":                       {fast, life(func(p *PodTimeline) { p.Killed, p.Registered = true, time.Time{} }), NotObserved, 0},
		"fast: killed, its target never seen draining":           {fast, life(func(p *PodTimeline) { p.Killed, p.Draining = true, time.Time{} }), Broken, 25},
		"fast: it vanished, perhaps in time, in a gap":           {fast, life(func(p *PodTimeline) { p.Ended, p.alive, p.Gone = time.Time{}, at(40), at(50) }), NotObserved, 0},
		"fast: it vanished while the balancer may have sent":     {fast, life(func(p *PodTimeline) { p.Ended, p.alive, p.Gone = time.Time{}, at(40), at(45) }), Broken, -6},
		"fast: its target was never seen draining":               {fast, life(func(p *PodTimeline) { p.Draining = time.Time{} }), NotObserved, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got, margin := proof(c.plan, c.pod); got != c.want || margin != c.margin {
				t.Errorf("%s by %v s, want %s by %v", got, margin, c.want, c.margin)
			}
		})
	}
}

// Whatever happened before: a poll in which a new pod's target is not healthy,
// an old one's is listed, an old pod is there, or something is unknown, is not
// the end.
func TestNoHistoryPassesABadPoll(t *testing.T) {
	states := []string{"initial", "healthy", "unhealthy", "draining", "unused", "unavailable"}
	rapid.Check(t, func(t *rapid.T) {
		tr := newTrack(behind())
		second, known := 0, false // known: the old pod's address has been seen
		for range rapid.IntRange(1, 8).Draw(t, "polls") {
			second += rapid.IntRange(1, 60).Draw(t, "pause")
			var here []Pod
			var targets []Target
			bad := ""
			newState := rapid.SampledFrom(states).Draw(t, "new target")
			if p := newOne(); rapid.Bool().Draw(t, "new pod") {
				p.Ready = rapid.Bool().Draw(t, "ready")
				here = append(here, p)
				targets = append(targets, target(newIP, newState))
				if newState != "healthy" || !p.Ready {
					bad = "the new pod is " + newState
				}
			} else {
				bad = "no new pod"
			}
			if rapid.Bool().Draw(t, "old pod") {
				here, bad, known = append(here, oldOne(deleted)), "the old pod is there", true
			}
			if rapid.Bool().Draw(t, "old target") {
				targets = append(targets, target(oldIP, rapid.SampledFrom(states).Draw(t, "old state")))
				if known {
					bad = "the old target is listed"
				}
			}
			s := seen(second, here, group(targets...))
			if rapid.IntRange(0, 4).Draw(t, "gap") == 0 {
				s.Unknown, bad = []string{"?"}, "something is unknown"
			}
			if rapid.IntRange(0, 4).Draw(t, "groups") == 0 {
				s.Groups, bad = nil, "no group"
			}
			tr.groups = s.Groups
			tr.take(s)
			if v := tr.judge(s); v.Done && bad != "" {
				t.Fatalf("passed although %s", bad)
			} else if v.Done == (len(v.Problems) > 0) {
				t.Fatalf("done %t with problems %q", v.Done, v.Problems)
			}
		}
	})
}

// The same with several pods, groups and both modes: the end needs every new
// pod healthy in each group in the very last poll, and no old target that was
// seen to be served lately.
func TestNoHistoryPassesWithATargetMissing(t *testing.T) {
	states := []string{"initial", "healthy", "healthy", "healthy", "draining", "unhealthy", ""} // "": not registered
	rapid.Check(t, func(t *rapid.T) {
		workload := behind()
		workload.Plan = plan(rapid.SampledFrom([]drain.Mode{drain.Strict, drain.Fast}).Draw(t, "mode"))
		fast := workload.Plan.Mode == drain.Fast
		number, groups := rapid.IntRange(1, 3).Draw(t, "new pods"), rapid.IntRange(1, 2).Draw(t, "groups")
		tr := newTrack(workload)
		second, served := 0, -1000 // when the old target was last seen in a state that gets requests
		for poll := range rapid.IntRange(2, 8).Draw(t, "polls") {
			second += rapid.IntRange(1, 40).Draw(t, "pause")
			var here []Pod
			bad, listed := "", false
			if poll == 0 || rapid.IntRange(0, 3).Draw(t, "old pod") == 0 {
				here, bad = append(here, oldOne(deleted)), "the old pod is there"
			}
			for i := range number {
				p := newOne()
				p.UID, p.IP = fmt.Sprint("new", i), fmt.Sprint("10.0.1.", i)
				here = append(here, p)
			}
			s := seen(second, here)
			s.Desired = number
			for range groups {
				var targets []Target
				for i := range number {
					state := rapid.SampledFrom(states).Draw(t, "new target")
					if state != "" {
						targets = append(targets, target(fmt.Sprint("10.0.1.", i), state))
					}
					if state != "healthy" {
						bad = "a new target is " + state
					}
				}
				state := rapid.SampledFrom([]string{"healthy", "draining", "draining", "draining", ""}).Draw(t, "old target")
				if state != "" {
					targets, listed = append(targets, target(oldIP, state)), true
				}
				if state == "healthy" {
					served = second
				}
				s.Groups = append(s.Groups, group(targets...))
			}
			if listed && (!fast || second-served < 35) {
				bad = "the old target is listed"
			}
			tr.groups = s.Groups
			tr.take(s)
			if v := tr.judge(s); v.Done && bad != "" {
				t.Fatalf("passed although %s", bad)
			}
		}
	})
}
