// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/gate/internal/elb"
	"github.com/outlast-ci/outlast/core/gate/internal/history"
	"github.com/outlast-ci/outlast/core/gate/internal/model"
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
	p.MinReady = 0 // the hold has tests of its own
	return p
}

// behind is a Deployment of one pod behind a balancer, which replaces pod old.
func behind() model.Workload {
	return model.Workload{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "dev", Name: "web", Replaced: []model.Replaced{{UID: "old"}}, Behind: true, Plan: plan(drain.Strict)}
}

func newOne(change ...func(*model.Pod)) model.Pod {
	p := model.Pod{UID: "new", Name: "web-new", IP: "10.0.0.2", New: true, Ready: true, ContainersReady: true, Started: at(0), Created: at(0), Gates: map[string]string{"target-health.elbv2.k8s.aws/tgb": "True", "target-health.elbv2.k8s.aws/second": "True"}, Ports: map[string]int{"http": 8080}}
	for _, c := range change {
		c(&p)
	}
	return p
}

func oldOne(change ...func(*model.Pod)) model.Pod {
	p := newOne(change...)
	p.UID, p.Name, p.IP, p.New, p.Created = "old", "web-old", "10.0.0.1", false, at(-100)
	return p
}

func deleted(p *model.Pod) { p.Deleted = at(10) }
func unready(p *model.Pod) { p.Ready, p.ContainersReady = false, false }

// ungatedYet is a pod whose containers are ready, and which waits for the balancer.
func ungatedYet(p *model.Pod) { p.Ready = false }
func gateless(p *model.Pod) {
	p.Gates = map[string]string{"target-health.elbv2.k8s.aws/tgb": "", "target-health.elbv2.k8s.aws/second": "True"}
}

func waitsFor(reason string, restarts int) func(*model.Pod) {
	return func(p *model.Pod) {
		p.Ready, p.ContainersReady, p.Waiting, p.Detail, p.Restarts = false, false, reason, "said the kubelet", restarts
	}
}

func target(ip, state string, reason ...string) model.Target {
	t := model.Target{ID: ip, Port: 8080, State: state}
	if len(reason) > 0 {
		t.Reason = reason[0]
	}
	return t
}

// asked is one group with what was read of it.
type asked struct {
	model.Group
	targets []model.Target
	unknown string
}

// poll is a look at the cluster, with a reading of each group.
type poll struct {
	model.Snapshot
	groups []asked
}

// take enters a poll.
func take(t *history.Track, p poll) {
	p.Groups = nil
	for i, g := range p.groups {
		g.ARN = fmt.Sprint("arn", i)
		p.Groups = append(p.Groups, g.Group)
	}
	t.TakePods(p.Snapshot)
	for i, g := range p.groups {
		if g.unknown != "" {
			t.TakeUnknown(fmt.Sprint("arn", i), g.unknown)
			continue
		}
		t.TakeTargets(fmt.Sprint("arn", i), model.Reading{From: p.From, At: p.At, Targets: g.targets})
	}
}

// run enters polls, and in between what the one before showed, every 10 s.
func run(t *history.Track, polls []poll, each func(poll)) {
	for i, p := range polls {
		take(t, p)
		each(p)
		for i+1 < len(polls) && polls[i+1].At.Sub(p.At) > 10*time.Second {
			p.From, p.At = p.From.Add(10*time.Second), p.At.Add(10*time.Second)
			take(t, p)
			each(p)
		}
	}
}

func group(targets ...model.Target) asked {
	return asked{Group: model.Group{Binding: "tgb", TargetPort: "8080", Current: true, Info: model.TargetGroup{Delay: new(drain.Seconds(65))}}, targets: targets}
}

func onPort(port string, g asked) asked {
	g.TargetPort = port
	return g
}

// brief is a group that lists a target for so long only after its deregistration; nil: nobody knows.
func brief(delay *drain.Seconds, targets ...model.Target) asked {
	g := group(targets...)
	g.Info.Delay = delay
	return g
}

const (
	newIP = "10.0.0.2"
	oldIP = "10.0.0.1"
)

// seen is one poll with pods and one group.
func seen(second int, pods []model.Pod, groups ...asked) poll {
	return poll{Snapshot: model.Snapshot{From: at(second), At: at(second), PodsKnown: true, GroupsKnown: true, Desired: 1, Pods: pods}, groups: groups}
}

func pods(p ...model.Pod) []model.Pod { return p }

// start is the poll before anything happened to the old pod.
func start() poll { return seen(0, pods(oldOne()), group(target(oldIP, "healthy"))) }

func with(s poll, change func(*poll)) poll {
	change(&s)
	return s
}

func TestTheJudge(t *testing.T) {
	bad := func(reason string) poll {
		return seen(0, pods(newOne(waitsFor(reason, 1)), oldOne()), group(target(oldIP, "healthy")))
	}
	later := func(s poll, second int) poll { s.From, s.At = at(second), at(second); return s }
	stalled := func(s poll) poll { s.Stalled = "timed out progressing"; return s }
	fast := behind()
	fast.Plan = plan(drain.Fast)
	sibling := newOne()
	sibling.UID, sibling.Name, sibling.IP = "second", "web-second", "10.0.0.3"
	alone := behind()
	alone.Behind = false
	known := behind()
	known.Replaced = []model.Replaced{{UID: "old", Name: "web-old", IP: oldIP}}
	cases := map[string]struct {
		workload model.Workload
		polls    []poll
		done     bool
		failed   model.Reason
		problem  string // part of one
	}{
		"all is well: the new pod healthy, the old target and the old pod gone": {behind(), []poll{
			start(), seen(60, pods(newOne(), oldOne(deleted)), group(target(newIP, "healthy"), target(oldIP, "draining"))),
			seen(100, pods(newOne()), group(target(newIP, "healthy")))}, true, "", ""},
		"an old pod that was never seen is gone, and needs no target": {behind(), []poll{seen(0, pods(newOne()), group(target(newIP, "healthy")))}, true, "", ""},
		"the rollout is not complete":                                 {behind(), []poll{with(seen(0, pods(newOne()), group(target(newIP, "healthy"))), func(s *poll) { s.Complete = "1 of 2 pods are ready" })}, false, "", "1 of 2 pods are ready"},
		"fewer new pods than wanted":                                  {behind(), []poll{with(seen(0, pods(newOne()), group(target(newIP, "healthy"))), func(s *poll) { s.Desired = 2 })}, false, "", "1 of 2 new pods exist"},
		"no pod at all":                                               {behind(), []poll{seen(0, nil, group())}, false, "", "0 of 1 new pods exist"},
		"a new pod that is being deleted does not count":              {behind(), []poll{seen(0, pods(newOne(deleted)), group(target(newIP, "healthy")))}, false, "", "0 of 1 new pods exist"},
		"the new pod is not ready":                                    {behind(), []poll{seen(0, pods(newOne(unready)), group(target(newIP, "healthy")))}, false, "", "pod web-new is not ready"},
		"its readiness gate has no status yet":                        {behind(), []poll{seen(0, pods(newOne(gateless)), group(target(newIP, "healthy")))}, false, "", `readiness gate target-health.elbv2.k8s.aws/tgb is ""`},
		"its target is not registered":                                {behind(), []poll{seen(0, pods(newOne()), group())}, false, "", "10.0.0.2:8080 is not registered in target group tgb"},
		"its target is registered by its id only":                     {behind(), []poll{seen(0, pods(newOne()), group(target(newIP, "unused", "Target.NotRegistered")))}, false, "", "is not registered"},
		"its target is registered with another port":                  {behind(), []poll{seen(0, pods(newOne()), group(model.Target{ID: newIP, Port: 9090, State: "healthy"}))}, false, "", "10.0.0.2:8080 is not registered"},
		"its target is initial":                                       {behind(), []poll{seen(0, pods(newOne()), group(target(newIP, "initial", "Elb.RegistrationInProgress")))}, false, "", "is initial: being registered"},
		"its target is unhealthy":                                     {behind(), []poll{seen(0, pods(newOne()), group(target(newIP, "unhealthy", "Target.Timeout")))}, false, "", "the health check gets no answer in time"},
		"its target is draining":                                      {behind(), []poll{seen(0, pods(newOne()), group(target(newIP, "draining")))}, false, "", "is draining"},
		"one of its two groups lags behind": {behind(), []poll{seen(0, pods(newOne()), group(target(newIP, "healthy")), asked{Group: model.Group{Binding: "second", TargetPort: "8080", Current: true}, targets: []model.Target{target(newIP, "initial")}})},
			false, "", "is initial"},
		"a named target port is found in the pod":        {behind(), []poll{seen(0, pods(newOne()), onPort("http", group(target(newIP, "healthy"))))}, true, "", ""},
		"a named target port that the pod lacks":         {behind(), []poll{seen(0, pods(newOne()), asked{Group: model.Group{Binding: "tgb", TargetPort: "grpc", Current: true}, targets: []model.Target{target(newIP, "healthy")}})}, false, "", "10.0.0.2:0 is not registered"},
		"no target group is bound":                       {behind(), []poll{seen(0, pods(newOne()))}, false, "", "no target group is bound to its Services"},
		"no target group is needed where no balancer is": {alone, []poll{seen(0, pods(newOne()))}, true, "", ""},
		"the old pod terminates":                         {behind(), []poll{start(), seen(30, pods(newOne(), oldOne(deleted)), group(target(newIP, "healthy")))}, false, "", "old pod web-old is still there"},
		"the old pod is gone, but its target drains still": {behind(), []poll{start(), seen(30, pods(newOne()), group(target(newIP, "healthy"), target(oldIP, "draining")))},
			false, "", "old pod web-old: target 10.0.0.1 has not drained"},
		"its target is gone from one group only": {behind(), []poll{
			seen(0, pods(oldOne()), group(target(oldIP, "healthy")), group(target(oldIP, "healthy"))),
			seen(60, pods(newOne()), group(target(newIP, "healthy")), group(target(newIP, "healthy"), target(oldIP, "draining")))}, false, "", "has not drained"},
		"an old pod that the apply did not name has to go, too": {alone, []poll{seen(0, pods(newOne(), func() model.Pod { p := oldOne(); p.UID = "older"; return p }()))}, false, "", "old pod web-old is still there"},
		"a new pod's address that was an old pod's says nothing about the old one": {behind(), []poll{
			start(), seen(60, pods(func() model.Pod { p := newOne(); p.IP = oldIP; return p }()), group(target(oldIP, "healthy")))}, true, "", ""},
		"fast: the balancer has stopped sending though the target is listed": {fast, []poll{
			start(), seen(20, pods(newOne(), oldOne(deleted)), group(target(newIP, "healthy"), target(oldIP, "draining"))),
			seen(55, pods(newOne()), group(target(newIP, "healthy"), target(oldIP, "draining")))}, true, "", ""},
		"fast: a second earlier it has not": {fast, []poll{
			start(), seen(20, pods(newOne(), oldOne(deleted)), group(target(newIP, "healthy"), target(oldIP, "draining"))),
			seen(54, pods(newOne()), group(target(newIP, "healthy"), target(oldIP, "draining")))}, false, "", "has not drained"},
		"strict: at that time it is not enough": {behind(), []poll{
			start(), seen(20, pods(newOne(), oldOne(deleted)), group(target(newIP, "healthy"), target(oldIP, "draining"))),
			seen(55, pods(newOne()), group(target(newIP, "healthy"), target(oldIP, "draining")))}, false, "", "has not drained"},

		"an old target that shows up again is not drained": {behind(), []poll{
			start(), seen(60, pods(newOne(), oldOne(deleted)), group(target(newIP, "healthy"))),
			seen(61, pods(newOne()), group(target(newIP, "healthy"), target(oldIP, "draining")))}, false, "", "has not drained"},
		"an old pod that never was a target has none to drain": {behind(), []poll{
			seen(0, pods(oldOne()), group()), seen(60, pods(newOne()), group(target(newIP, "healthy")))}, true, "", ""},
		"a new pod that is deleted has to go, too": {behind(), []poll{
			seen(0, pods(newOne(), func() model.Pod {
				p := newOne(deleted)
				p.UID, p.Name, p.IP = "second", "web-second", "10.0.0.3"
				return p
			}()), group(target(newIP, "healthy")))}, false, "", "old pod web-second is still there"},
		"and its target has to drain": {behind(), []poll{
			seen(0, pods(newOne(), func() model.Pod {
				p := newOne(deleted)
				p.UID, p.Name, p.IP = "second", "web-second", "10.0.0.3"
				return p
			}()), group(target(newIP, "healthy"), target("10.0.0.3", "draining"))),
			seen(60, pods(newOne()), group(target(newIP, "healthy"), target("10.0.0.3", "draining")))}, false, "", "old pod web-second: target 10.0.0.3 has not drained"},
		"after which it is done with": {behind(), []poll{
			seen(0, pods(newOne(), func() model.Pod {
				p := newOne(deleted)
				p.UID, p.Name, p.IP = "second", "web-second", "10.0.0.3"
				return p
			}()), group(target(newIP, "healthy"), target("10.0.0.3", "draining"))),
			seen(60, pods(newOne()), group(target(newIP, "healthy")))}, true, "", ""},
		"a named port that means another number in the new version does not hide an old target": {behind(), []poll{
			seen(0, pods(oldOne()), func() asked { g := group(target(oldIP, "healthy")); g.TargetPort = "http"; return g }()),
			seen(60, pods(func() model.Pod { p := newOne(); p.Ports = map[string]int{"http": 9090}; return p }()), func() asked {
				g := group(model.Target{ID: newIP, Port: 9090, State: "healthy"}, target(oldIP, "draining"))
				g.TargetPort = "http"
				return g
			}())}, false, "", "old pod web-old: target 10.0.0.1 has not drained"},
		"an old pod that shows up again is not gone": {behind(), []poll{
			start(), seen(60, pods(newOne()), group(target(newIP, "healthy"))), seen(61, pods(newOne(), oldOne(deleted)), group(target(newIP, "healthy")))}, false, "", "old pod web-old is still there"},
		"fast: a group that drains later than the first is waited for": {fast, []poll{
			seen(0, pods(oldOne()), group(target(oldIP, "healthy")), group(target(oldIP, "healthy"))),
			seen(20, pods(newOne(), oldOne(deleted)), group(target(newIP, "healthy"), target(oldIP, "draining")), group(target(newIP, "healthy"), target(oldIP, "healthy"))),
			seen(60, pods(newOne()), group(target(newIP, "healthy")), group(target(newIP, "healthy"), target(oldIP, "draining")))}, false, "", "has not drained"},
		"a target that left a group of a short delay before the first look may get requests": {behind(), []poll{seen(0, pods(newOne()), brief(new(drain.Seconds(5)), target(newIP, "healthy"))), seen(29, pods(newOne()), brief(new(drain.Seconds(5)), target(newIP, "healthy")))}, false, "",
			"one that was gone before the first look for another 1s"},
		"for P + M after it left":                                 {behind(), []poll{seen(0, pods(newOne()), brief(new(drain.Seconds(5)), target(newIP, "healthy"))), seen(30, pods(newOne()), brief(new(drain.Seconds(5)), target(newIP, "healthy")))}, true, "", ""},
		"and so may one where the delay is not known, for longer": {behind(), []poll{seen(0, pods(newOne()), brief(nil, target(newIP, "healthy"))), seen(34, pods(newOne()), brief(nil, target(newIP, "healthy")))}, false, "", "for another 1s"},
		"a named target port may begin with digits": {behind(), []poll{seen(0, pods(func() model.Pod { p := newOne(); p.Ports = map[string]int{"8443-tls": 8080}; return p }()),
			onPort("8443-tls", group(target(newIP, "healthy"))))}, true, "", ""},
		"an older pod that has the address too does not take it over": {behind(), []poll{
			start(), seen(60, pods(newOne(), func() model.Pod {
				p := oldOne(deleted)
				p.UID, p.Name, p.Created = "older", "web-older", at(-500)
				return p
			}()), group(target(newIP, "healthy"), target(oldIP, "draining")))},
			false, "", "old pod web-old: target 10.0.0.1 has not drained"},

		"what cannot be read decides nothing, however good the rest looks": {behind(), []poll{with(seen(0, pods(newOne()), group(target(newIP, "healthy"))), func(s *poll) { s.Unknown = []string{"asking: throttled"} })}, false, "", "asking: throttled"},
		"nor however bad":          {behind(), []poll{with(seen(0, nil), func(s *poll) { s.Unknown, s.Missing = []string{"reading: timeout"}, true })}, false, "", "reading: timeout"},
		"the workload is gone":     {behind(), []poll{{Snapshot: model.Snapshot{At: at(0), Missing: true}}}, false, model.WorkloadGone, "does not exist"},
		"somebody else changed it": {behind(), []poll{with(seen(0, pods(newOne()), group(target(newIP, "healthy"))), func(s *poll) { s.Superseded = "its template does not name web@1 any more" })}, false, model.Superseded, "does not name web@1"},
		"an old pod that is gone before the first look leaves a target that drains": {known, []poll{seen(0, pods(newOne()), group(target(newIP, "healthy"), target(oldIP, "draining")))}, false, "", "old pod web-old: target 10.0.0.1 has not drained"},
		"and is done with when that is gone":                                        {known, []poll{seen(0, pods(newOne()), group(target(newIP, "healthy"), target(oldIP, "draining"))), seen(60, pods(newOne()), group(target(newIP, "healthy")))}, true, "", ""},
		"a worker that wants none is done without any":                              {alone, []poll{with(seen(0, nil), func(s *poll) { s.Desired = 0 })}, true, "", ""},
		"it wants no replicas":                                                      {behind(), []poll{with(seen(0, nil, group()), func(s *poll) { s.Desired = 0 })}, false, model.NothingToWaitFor, "wants 0 replicas"},
		"the progress deadline is over":                                             {behind(), []poll{stalled(start()), later(stalled(start()), 10)}, false, model.ProgressDeadline, "timed out progressing"},
		"it says which pod it waited for, and what for": {behind(), []poll{stalled(seen(0, pods(newOne(unready), oldOne()), group(target(oldIP, "healthy")))), stalled(seen(10, pods(newOne(unready), oldOne()), group(target(oldIP, "healthy"))))}, false, model.ProgressDeadline,
			"timed out progressing\npod web-new is not ready"},
		"a container that crashes the third time ends the wait": {behind(), []poll{seen(0, pods(newOne(waitsFor("CrashLoopBackOff", 3))), group())}, false, model.CrashLoop, "said the kubelet (3 restarts)"},
		"two crashes do not":                               {behind(), []poll{seen(0, pods(newOne(waitsFor("CrashLoopBackOff", 2))), group())}, false, "", "CrashLoopBackOff"},
		"an old pod may crash":                             {behind(), []poll{seen(0, pods(newOne(), oldOne(waitsFor("CrashLoopBackOff", 9))), group(target(newIP, "healthy")))}, false, "", "still there"},
		"so may a new one that is being deleted":           {behind(), []poll{seen(0, pods(newOne(waitsFor("CrashLoopBackOff", 9), deleted)), group())}, false, "", "0 of 1"},
		"an image name that is none ends the wait at once": {behind(), []poll{bad("InvalidImageName")}, false, model.ImagePull, "InvalidImageName"},
		"an image that cannot be pulled gets patience":     {behind(), []poll{bad("ErrImagePull"), later(bad("ErrImagePull"), 44)}, false, "", "ErrImagePull"},
		"and no more than that":                            {behind(), []poll{bad("ErrImagePull"), later(bad("ErrImagePull"), 45)}, false, model.ImagePull, "said the kubelet"},
		"the kubelet's two words for it are one trouble": {behind(), []poll{
			bad("ErrImagePull"), later(bad("ImagePullBackOff"), 30), later(bad("ErrImagePull"), 60), later(bad("ImagePullBackOff"), 90)}, false, model.ImagePull, "ImagePullBackOff"},
		"a pod that waited long for its node gets the same patience": {behind(), []poll{bad("Unschedulable"), later(bad("ErrImagePull"), 400), later(bad("ImagePullBackOff"), 444)}, false, "", "ImagePullBackOff"},
		"and no more, whichever word is seen":                        {behind(), []poll{bad("Unschedulable"), later(bad("ErrImagePull"), 400), later(bad("ImagePullBackOff"), 445)}, false, model.ImagePull, "ImagePullBackOff"},
		"a pull that worked the second time is forgotten": {behind(), []poll{
			bad("ErrImagePull"), seen(20, pods(newOne(unready)), group()), later(bad("ErrImagePull"), 50)}, false, "", "ErrImagePull"},
		"a missing ConfigMap gets patience":       {behind(), []poll{bad("CreateContainerConfigError"), later(bad("CreateContainerConfigError"), 44)}, false, "", "CreateContainerConfigError"},
		"and ends the wait after it":              {behind(), []poll{bad("CreateContainerConfigError"), later(bad("CreateContainerConfigError"), 45)}, false, model.ConfigError, "CreateContainerConfigError"},
		"a pod that cannot be scheduled may wait": {behind(), []poll{bad("Unschedulable"), later(bad("Unschedulable"), 299)}, false, "", "Unschedulable"},
		"for so long":                            {behind(), []poll{bad("Unschedulable"), later(bad("Unschedulable"), 300)}, false, model.Unschedulable, "said the kubelet"},
		"a group without listener gets patience": {behind(), []poll{seen(0, pods(newOne()), group(target(newIP, "unused", "Target.NotInUse"))), seen(90, pods(newOne()), group(target(newIP, "unused", "Target.NotInUse")))}, false, "", "its target group is on no listener"},
		"and ends the wait after it ":            {behind(), []poll{seen(0, pods(newOne()), group(target(newIP, "unused", "Target.NotInUse"))), seen(91, pods(newOne()), group(target(newIP, "unused", "Target.NotInUse")))}, false, model.TargetNotInUse, "no listener"},
		"a target that was healthy may be on no listener for a moment": {behind(), []poll{seen(0, pods(newOne()), group(target(newIP, "healthy"))), seen(200, pods(newOne()), group(target(newIP, "unused", "Target.NotInUse")))},
			false, "", "no listener"},
		"an address that cannot be a target": {behind(), []poll{seen(0, pods(newOne()), group(target(newIP, "unused", "Target.IpUnusable"))), seen(91, pods(newOne()), group(target(newIP, "unused", "Target.IpUnusable")))}, false, model.TargetIPUnusable, "belongs to a load balancer"},
		"a ready pod whose target stays unhealthy": {behind(), []poll{seen(0, pods(newOne()), group(target(newIP, "unhealthy", "Target.ResponseCodeMismatch"))), seen(46, pods(newOne()), group(target(newIP, "unhealthy", "Target.ResponseCodeMismatch")))},
			false, model.TargetUnhealthy, "another status code"},
		"an address that cannot be a target gets patience": {behind(), []poll{seen(0, pods(newOne()), group(target(newIP, "unused", "Target.IpUnusable"))), seen(90, pods(newOne()), group(target(newIP, "unused", "Target.IpUnusable")))},
			false, "", "belongs to a load balancer"},
		"a pod that is not ready may be unhealthy": {behind(), []poll{seen(0, pods(newOne(unready)), group(target(newIP, "unhealthy"))), seen(400, pods(newOne(unready)), group(target(newIP, "unhealthy")))}, false, "", "is not ready"},
		"so may one whose sibling was healthy": {behind(), []poll{seen(0, pods(newOne(), sibling), group(target(newIP, "unhealthy"), target("10.0.0.3", "healthy"))),
			seen(400, pods(newOne(), sibling), group(target(newIP, "unhealthy"), target("10.0.0.3", "healthy")))}, false, "", "is unhealthy"},
		"but not one whose predecessor was": {behind(), []poll{seen(0, pods(newOne(), oldOne()), group(target(newIP, "unhealthy"), target(oldIP, "healthy"))),
			seen(400, pods(newOne(), oldOne()), group(target(newIP, "unhealthy"), target(oldIP, "healthy")))}, false, model.TargetUnhealthy, "is unhealthy"},
		"it gets time for its checks":                        {behind(), []poll{seen(0, pods(newOne()), group(target(newIP, "unhealthy"))), seen(45, pods(newOne()), group(target(newIP, "unhealthy")))}, false, "", "is unhealthy"},
		"one that was healthy once may be unhealthy a while": {behind(), []poll{seen(0, pods(newOne()), group(target(newIP, "healthy"))), seen(500, pods(newOne()), group(target(newIP, "unhealthy")))}, false, "", "is unhealthy"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			tr := history.New(c.workload)
			var now time.Time
			run(tr, c.polls, func(p poll) { now = p.At })
			if len(c.polls[len(c.polls)-1].Unknown) == 0 {
				take(tr, c.polls[len(c.polls)-1]) // the second of two good readings
			}
			v := Judge(tr, now)
			if v.Done != c.done || v.Failed != c.failed || !strings.Contains(strings.Join(v.Problems, "\n"), c.problem) || (c.problem == "") != (len(v.Problems) == 0) {
				t.Errorf("done %t, failed %q, problems %q; want %t, %q, %q", v.Done, v.Failed, v.Problems, c.done, c.failed, c.problem)
			}
		})
	}
}

// Only what was deleted behind a balancer has a drain to prove.
func TestWhoseDrainIsProven(t *testing.T) {
	alone := behind()
	alone.Behind = false
	cases := map[string]struct {
		workload model.Workload
		change   []func(*model.Pod)
		want     model.Proof
	}{
		"an old pod's that was deleted":                {behind(), []func(*model.Pod){deleted}, model.Proven},
		"not of one that vanished by another's hand":   {behind(), nil, ""},
		"nor of one that stands behind no balancer":    {alone, []func(*model.Pod){deleted}, ""},
		"nor of one that nobody has seen as a target ": {behind(), []func(*model.Pod){deleted, func(p *model.Pod) { p.Ports = nil }}, model.NotObserved},
	}
	for name, c := range cases {
		tr := history.New(c.workload)
		for second, state := range []string{"healthy", "draining", "", "", ""} {
			p := seen(second*20, pods(newOne(), oldOne(c.change...)), group(target(newIP, "healthy")))
			p.groups[0].TargetPort = "http"
			if state != "" {
				p.groups[0].targets = append(p.groups[0].targets, target(oldIP, state))
			}
			if second == 4 {
				p.Pods = p.Pods[:1]
			}
			take(tr, p)
		}
		take(tr, seen(100, pods(newOne()), group(target(newIP, "healthy"))))
		r := Result(tr, Verdict{})
		if got := r.Pods[0]; got.UID != "old" || got.Proof != c.want {
			t.Errorf("%s: %q, want %q: %+v", name, got.Proof, c.want, got)
		}
	}
}

func TestTheWordsForATarget(t *testing.T) {
	for want, c := range map[string]model.Target{
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

// life is a pod that outlasted its target, whose target drained from 11 on and was
// listed no more at 60.
func life(mode drain.Mode, change func(*history.Pod, *history.Target)) (*history.Track, *history.Pod) {
	w := behind()
	w.Plan = plan(mode)
	t := history.New(w)
	take(t, seen(0, nil, group()))
	p := &history.Pod{PodTimeline: model.PodTimeline{UID: "p", Registered: at(0), Deleted: at(10), Ended: at(70), Gone: at(72)}, Alive: at(69)}
	tg := &history.Target{Registered: true, LastListed: at(59), LastServing: at(10), Left: at(11), Draining: at(11), Absent: at(60)}
	change(p, tg)
	p.In = map[string]*history.Target{"arn0": tg}
	return t, p
}

func TestTheProof(t *testing.T) {
	type change = func(*history.Pod, *history.Target)
	never := time.Time{}
	nothing := func(*history.Pod, *history.Target) {}
	cases := map[string]struct {
		mode   drain.Mode // fast: 30 s + 5 s after draining was seen
		change change
		want   model.Proof
		margin float64
	}{
		"strict: it ran when its target was gone":                {drain.Strict, nothing, model.Proven, 10},
		"strict: in the same second":                             {drain.Strict, func(p *history.Pod, _ *history.Target) { p.Ended = at(60) }, model.Proven, 0},
		"strict: it ended while its target was listed":           {drain.Strict, func(p *history.Pod, _ *history.Target) { p.Ended = at(58) }, model.Broken, -2},
		"strict: in the second in which it was listed last":      {drain.Strict, func(p *history.Pod, tg *history.Target) { p.Ended, tg.LastListed = at(59), at(59).Add(time.Second/2) }, model.NotObserved, 0},
		"strict: it ended between the polls that would tell":     {drain.Strict, func(p *history.Pod, tg *history.Target) { p.Ended, tg.LastListed = at(59), at(58) }, model.NotObserved, 0},
		"strict: it vanished, but was seen alive later":          {drain.Strict, func(p *history.Pod, _ *history.Target) { p.Ended, p.Alive = never, at(63) }, model.Proven, 3},
		"strict: it vanished in the poll that missed its target": {drain.Strict, func(p *history.Pod, _ *history.Target) { p.Ended, p.Alive = never, at(60) }, model.NotObserved, 0},
		"strict: its target outlasted it":                        {drain.Strict, func(_ *history.Pod, tg *history.Target) { tg.Absent, tg.LastListed = never, at(75) }, model.Broken, -5},
		"strict: nobody saw when its target left":                {drain.Strict, func(_ *history.Pod, tg *history.Target) { tg.Absent = never }, model.NotObserved, 0},
		"strict: it vanished while its target was listed":        {drain.Strict, func(p *history.Pod, _ *history.Target) { p.Ended, p.Alive, p.Gone = never, at(58), at(59) }, model.Broken, -2},
		"strict: a kill after its target was gone harms nobody":  {drain.Strict, func(p *history.Pod, _ *history.Target) { p.Killed = true }, model.Proven, 10},
		"never seen in a group":                                  {drain.Strict, func(p *history.Pod, tg *history.Target) { p.Registered, tg.Registered = never, false }, model.NotObserved, 0},
		"fast: it ran until the balancer must have stopped":      {drain.Fast, func(p *history.Pod, tg *history.Target) { p.Ended, tg.Absent = at(50), never }, model.Proven, 4},
		"fast: it ended before":                                  {drain.Fast, func(p *history.Pod, _ *history.Target) { p.Ended = at(40) }, model.Broken, -6},
		"fast: between the polls that would tell":                {drain.Fast, func(p *history.Pod, tg *history.Target) { p.Ended, tg.LastServing = at(45), at(5) }, model.NotObserved, 0},
		"fast: it was killed":                                    {drain.Fast, func(p *history.Pod, _ *history.Target) { p.Killed = true }, model.Broken, 24},
		"fast: killed, and never a target":                       {drain.Fast, func(p *history.Pod, tg *history.Target) { p.Killed, p.Registered, tg.Registered = true, never, false }, model.NotObserved, 0},
		"fast: killed, its target never seen to leave":           {drain.Fast, func(p *history.Pod, tg *history.Target) { p.Killed, tg.Left, tg.Absent = true, never, never }, model.Broken, 25},
		"fast: killed, and nothing known of its target's end":    {drain.Fast, func(p *history.Pod, tg *history.Target) { p.Killed, tg.Left, tg.LastServing = true, never, never }, model.Broken, 0},
		"fast: it vanished, perhaps in time, in a gap":           {drain.Fast, func(p *history.Pod, _ *history.Target) { p.Ended, p.Alive, p.Gone = never, at(40), at(50) }, model.NotObserved, 0},
		"fast: it vanished while the balancer may have sent":     {drain.Fast, func(p *history.Pod, _ *history.Target) { p.Ended, p.Alive, p.Gone = never, at(40), at(45) }, model.Broken, -6},
		"fast: its target was never seen to leave":               {drain.Fast, func(_ *history.Pod, tg *history.Target) { tg.Left = never }, model.NotObserved, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got, margin := prove(endingOf(life(c.mode, c.change))); got != c.want || margin != c.margin {
				t.Errorf("%s by %v s, want %s by %v", got, margin, c.want, c.margin)
			}
		})
	}
}

// A deregistration delay that is shorter than the balancer's own delay proves nothing by its end.
func TestAShortDelayIsNoProof(t *testing.T) {
	tr, p := life(drain.Strict, func(p *history.Pod, tg *history.Target) {
		tg.Absent, tg.LastListed, p.Ended, p.Alive = at(12), at(11), at(20), at(19)
	})
	if got, _ := prove(endingOf(tr, p)); got != model.Proven {
		t.Fatalf("with the plan's delay: %s", got)
	}
	tr.Groups[0].Info.Delay = new(drain.Seconds(1))
	if got, margin := prove(endingOf(tr, p)); got != model.NotObserved { // the balancer may send until 11 + 35
		t.Errorf("with a delay of a second: %s by %v", got, margin)
	}
}

// Whatever happened before: a poll in which a new pod's target is not healthy,
// an old one's is listed, an old pod is there, or something is unknown, is not
// the end.
func TestNoHistoryPassesABadPoll(t *testing.T) {
	states := []string{"initial", "healthy", "unhealthy", "draining", "unused", "unavailable"}
	rapid.Check(t, func(t *rapid.T) {
		tr := history.New(behind())
		second, known := 0, false // known: the old pod's address has been seen
		for range rapid.IntRange(1, 8).Draw(t, "polls") {
			second += rapid.IntRange(1, 60).Draw(t, "pause")
			var here []model.Pod
			var targets []model.Target
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
				s.groups, bad = nil, "no group"
			}
			take(tr, s)
			if v := Judge(tr, s.At); v.Done && bad != "" {
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
		tr := history.New(workload)
		second, served := 0, -1000 // when the old target was last seen in a state that gets requests
		for poll := range rapid.IntRange(2, 8).Draw(t, "polls") {
			second += rapid.IntRange(1, 40).Draw(t, "pause")
			var here []model.Pod
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
				var targets []model.Target
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
				s.groups = append(s.groups, group(targets...))
			}
			if listed && (!fast || second-served < 35) {
				bad = "the old target is listed"
			}
			take(tr, s)
			if v := Judge(tr, s.At); v.Done && bad != "" {
				t.Fatalf("passed although %s", bad)
			}
		}
	})
}
