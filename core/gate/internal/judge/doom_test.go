// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/outlast-ci/outlast/core/gate/internal/history"
	"github.com/outlast-ci/outlast/core/gate/internal/model"
)

// Each reason to fail, and the patience with what may cure itself.
func TestWhyARolloutIsInVain(t *testing.T) {
	waiting := func(second int, reason string, more ...model.Pod) poll {
		return seen(second, append(pods(newOne(waitsFor(reason, 0)), oldOne()), more...), group(target(oldIP, "healthy")))
	}
	state := func(second int, state, reason string, change ...func(*model.Pod)) poll {
		return seen(second, pods(newOne(change...), oldOne()), group(target(newIP, state, reason), target(oldIP, "healthy")))
	}
	refused := func(second int, message string, more ...model.Pod) poll {
		return with(seen(second, append(pods(oldOne()), more...), group(target(oldIP, "healthy"))), func(p *poll) { p.Refused = message })
	}
	unanswered := func(second int) poll {
		return with(state(second, "", ""), func(p *poll) { p.groups[0].unknown = "throttled" })
	}
	gaveUp := func(p poll) (all []poll) { // and does not think better of it
		p.Stalled = "timed out progressing"
		for _, later := range []time.Duration{0, stalledPatience - 1, stalledPatience} {
			next := p
			next.From, next.At = p.From.Add(later), p.At.Add(later)
			all = append(all, next)
		}
		return all
	}
	ending := oldOne(deleted)
	ending.UID, ending.Name = "ending", "web-ending"
	cases := map[string]struct {
		polls   []poll
		want    model.Reason // empty: it is waited for
		problem string
	}{
		"the webhook's refusal is given a minute": {[]poll{refused(0, "admission webhook denied it"), refused(59, "admission webhook denied it")}, "", ""},
		"and no more":                                 {[]poll{refused(0, "admission webhook denied it"), refused(60, "admission webhook denied it")}, model.PodRefused, "its pods cannot be created: admission webhook denied it"},
		"a quota is told apart":                       {[]poll{refused(0, "is forbidden: exceeded quota: small"), refused(60, "is forbidden: exceeded quota: small")}, model.Quota, "exceeded quota: small"},
		"while pods end, there may be room soon":      {[]poll{refused(0, "exceeded quota", ending), refused(300, "exceeded quota", ending)}, "", ""},
		"so it may for a pod that cannot be placed":   {[]poll{waiting(0, "Unschedulable", ending), waiting(600, "Unschedulable", ending)}, "", ""},
		"a refusal that changes is counted anew":      {[]poll{refused(0, "one"), refused(59, "other"), refused(118, "other")}, "", ""},
		"a volume is given two minutes":               {[]poll{waiting(0, "FailedMount"), waiting(119, "FailedMount")}, "", ""},
		"which have to be enough":                     {[]poll{waiting(0, "FailedMount"), waiting(120, "FailedMount")}, model.VolumeError, "FailedMount: said the kubelet"},
		"to attach it, too":                           {[]poll{waiting(0, "FailedAttachVolume"), waiting(120, "FailedAttachVolume")}, model.VolumeError, "FailedAttachVolume"},
		"a missing key of a ConfigMap":                {[]poll{waiting(0, "CreateContainerConfigError"), waiting(45, "CreateContainerConfigError")}, model.ConfigError, "said the kubelet"},
		"a trouble that comes and goes is waited for": {[]poll{waiting(0, "ErrImagePull"), waiting(30, "ErrImagePull"), waiting(40, ""), waiting(44, "ErrImagePull"), waiting(88, "ErrImagePull")}, "", ""},
		"but not when it holds":                       {[]poll{waiting(0, ""), waiting(44, "ErrImagePull"), waiting(60, "ImagePullBackOff"), waiting(89, "ErrImagePull")}, model.ImagePull, "said the kubelet"},

		"a target without a zone or a listener": {[]poll{state(0, "unused", "Target.NotInUse"), state(91, "unused", "Target.NotInUse")}, model.TargetNotInUse, "no listener"},
		"an address that is a balancer's":       {[]poll{state(0, "unused", "Target.IpUnusable"), state(91, "unused", "Target.IpUnusable")}, model.TargetIPUnusable, "belongs to a load balancer"},
		"a wrong status code, though the readiness gate keeps the pod from being ready": {
			[]poll{state(0, "unhealthy", "Target.ResponseCodeMismatch", ungatedYet), state(46, "unhealthy", "Target.ResponseCodeMismatch", ungatedYet)}, model.TargetUnhealthy, "another status code than the matcher wants"},
		"no answer in time": {[]poll{state(0, "unhealthy", "Target.Timeout"), state(46, "unhealthy", "Target.Timeout")}, model.TargetUnhealthy, "gets no answer in time for 46s"},
		"a wrong port":      {[]poll{state(0, "unhealthy", "Target.FailedHealthChecks"), state(46, "unhealthy", "Target.FailedHealthChecks")}, model.TargetUnhealthy, "cannot connect"},
		"a target whose reason changes is unhealthy all the time": {[]poll{state(0, "unhealthy", "Target.Timeout"), state(30, "unhealthy", "Target.FailedHealthChecks"), state(46, "unhealthy", "Target.Timeout")}, model.TargetUnhealthy, "for 46s"},
		"one that flaps is waited for":                            {[]poll{state(0, "unhealthy", "Target.Timeout"), state(40, "initial", "Elb.InitialHealthChecking"), state(50, "unhealthy", "Target.Timeout"), state(95, "unhealthy", "Target.Timeout")}, "", ""},
		"one whose containers start again gets its checks anew":   {[]poll{state(0, "unhealthy", "Target.Timeout"), state(30, "unhealthy", "Target.Timeout", unready), state(40, "unhealthy", "Target.Timeout"), state(74, "unhealthy", "Target.Timeout")}, "", ""},
		"what was read before says nothing of now":                {[]poll{state(0, "unhealthy", "Target.Timeout"), unanswered(10), unanswered(90)}, "", ""},

		"the controller gave up, and a pod shows why": {gaveUp(waiting(0, "Unschedulable")), model.Unschedulable, "pod web-new: Unschedulable: said the kubelet"},
		"or its image does":                           {gaveUp(waiting(0, "ErrImagePull")), model.ImagePull, "ErrImagePull"},
		"or a container that ended once":              {gaveUp(seen(0, pods(newOne(waitsFor("", 1))), group())), model.CrashLoop, "a container ended and was started again: said the kubelet (1 restarts)"},
		"or its target does":                          {append([]poll{state(0, "unhealthy", "Target.Timeout")}, gaveUp(state(5, "unhealthy", "Target.Timeout"))...), model.TargetUnhealthy, "gets no answer"},
		"or the quota":                                {gaveUp(refused(0, "exceeded quota: small")), model.Quota, "small"},
		"or nothing does":                             {gaveUp(seen(0, pods(newOne(unready)), group())), model.ProgressDeadline, "timed out progressing"},
		"it may think better of it":                   {[]poll{gaveUp(seen(0, pods(newOne(unready)), group()))[0], seen(5, pods(newOne(unready)), group()), gaveUp(seen(9, pods(newOne(unready)), group()))[1]}, "", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			tr := history.New(behind())
			var v Verdict
			run(tr, c.polls, func(p poll) {
				if v.Failed != "" {
					t.Fatalf("failed too early: %+v", v)
				}
				v = Judge(tr, p.At)
			})
			if v.Done || v.Failed != c.want || !strings.Contains(strings.Join(v.Problems, "\n"), c.problem) {
				t.Errorf("failed %q: %q; want %q with %q", v.Failed, v.Problems, c.want, c.problem)
			}
		})
	}
}

// A group's own health check says how long a target may be unhealthy, and what it wants.
func TestAGroupsOwnHealthCheckCounts(t *testing.T) {
	tr := history.New(behind())
	g := group(target(newIP, "unhealthy", "Target.ResponseCodeMismatch"))
	g.Info = model.TargetGroup{Interval: 5e9, Unhealthy: 3, Matcher: "200-299"}
	for second := range 21 {
		take(tr, seen(second, pods(newOne()), g))
	}
	if v := Judge(tr, at(20)); v.Failed != "" {
		t.Errorf("after 20 s: %+v", v)
	}
	take(tr, seen(21, pods(newOne()), g))
	if v := Judge(tr, at(21)); v.Failed != model.TargetUnhealthy || !strings.Contains(v.Problems[0], "the matcher wants 200-299") {
		t.Errorf("after 21 s: %+v", v)
	}
}

// Every reason has its row in the documentation.
func TestTheReasonsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../../docs/exit-codes.md")
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "../model/result.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); !ok || kind.Name != "Reason" {
			return true
		}
		word, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		if n++; !strings.Contains(string(text), "\n| `"+word+"` | ") {
			t.Errorf("docs/exit-codes.md has no row for %s", word)
		}
		return true
	})
	if n < 17 {
		t.Errorf("found %d reasons only", n)
	}
}
