// SPDX-License-Identifier: Apache-2.0

package change

import (
	"maps"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/outlast-ci/outlast/core/drain"
)

func plan(t interface{ Fatal(...any) }, r time.Duration) drain.Plan {
	in := drain.Defaults()
	in.Request = r
	p, err := drain.Solve(in)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWhen(t *testing.T) {
	p := plan(t, 30*time.Second)
	new := p.DeregistrationDelay
	own := []drain.Given{p.Given()}
	for name, tc := range map[string]struct {
		from, to drain.Seconds
		running  []drain.Given
		want     When
		why      string
		lost     bool
	}{
		"the same delay is not written":                             {new, new, own, Unchanged, "stays", false},
		"a first deploy has nothing to be careful of":               {300, new, nil, Before, "no pod runs", false},
		"a delay that comes down goes first":                        {new + 60, new, own, Before, "preStop > deregistration delay", false},
		"one that goes up waits for pods that outlast it":           {new, new + 30, own, After, "preStop > deregistration delay", false},
		"new pods that the old delay outlasts count, too":           {new + 60, new, []drain.Given{{PreStop: 200, GracePeriod: 300}}, Before, "preStop > deregistration delay", false},
		"pods that outlast neither delay have no preference":        {new + 15, new + 10, []drain.Given{{PreStop: 70, GracePeriod: 80}}, Before, "for the pods it makes no difference when", false},
		"a delay that cuts requests goes up first, if pods allow":   {0, new, own, Before, "under the delay of 0s deregistration delay >=", false},
		"of two that cut requests the longer one is in force first": {10, 20, []drain.Given{{PreStop: 40, GracePeriod: 80}}, Before, "under the delay of 10s deregistration delay >=", true},
		"and last": {20, 10, []drain.Given{{PreStop: 40, GracePeriod: 80}}, After, "does not hold under a delay of 10s", true},
		"pods without preStop lose requests in either order":        {300, new, []drain.Given{{GracePeriod: 30}}, Before, "", true},
		"one old pod without preStop among good ones is found, too": {new, new, []drain.Given{p.Given(), {GracePeriod: 30}}, Unchanged, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Delay(p, drain.ALB, tc.from, tc.to, tc.running)
			if err != nil {
				t.Fatal(err)
			}
			if got.When != tc.want || !strings.Contains(got.Why, tc.why) || (len(got.Lost) > 0) != tc.lost {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestKinds: an NLB takes longer than the planning values of an ALB that are beside it, and
// behind nodes no delay protects anything.
func TestKinds(t *testing.T) {
	in := drain.Defaults()
	in.App = drain.Graceful
	in.Groups = []drain.Group{{Name: "a"}, {Name: "n", Balancer: drain.NLB}}
	p, err := drain.Solve(in) // 200/160, delays of 65 and 185
	if err != nil {
		t.Fatal(err)
	}
	short := []drain.Given{{PreStop: 40, GracePeriod: 80}} // right for the ALB
	for name, tc := range map[string]struct {
		kind     drain.Balancer
		from, to drain.Seconds
		running  []drain.Given
		want     When
		lost     string
	}{
		"an ALB's pods":                  {drain.ALB, 65, 65, short, Unchanged, ""},
		"are too fast for an NLB":        {drain.NLB, 185, 185, short, Unchanged, "F1 F4"},
		"which cuts them under 100 s":    {drain.NLB, 100, 185, []drain.Given{p.Given()}, Before, ""},
		"and an ALB does not":            {drain.ALB, 100, 65, []drain.Given{p.Given()}, Before, ""},
		"so it does not matter when":     {drain.Instance, 300, 60, []drain.Given{{PreStop: 70, GracePeriod: 110}}, Before, ""},
		"nodes: the hook is what counts": {drain.Instance, 300, 300, short, Unchanged, "F1"},
		"and they have no delay to keep": {drain.Instance, 5, 5, []drain.Given{{PreStop: 70, GracePeriod: 110}}, Unchanged, ""},
		"fast pods outlast neither":      {drain.NLB, 185, 200, []drain.Given{p.Given()}, Before, ""}, // and do not wait for ones that do
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Delay(p, tc.kind, tc.from, tc.to, tc.running)
			if err != nil {
				t.Fatal(err)
			}
			var lost []string
			for _, m := range got.Lost {
				lost = append(lost, m.ID)
			}
			if got.When != tc.want || strings.Join(lost, " ") != tc.lost {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestLongerHook: a longer hook that the manifests bring to one container is none of the
// running pods'.
func TestLongerHook(t *testing.T) {
	in := drain.Defaults()
	in.LongerHook = 300
	p, err := drain.Solve(in)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Delay(p, drain.ALB, 65, 65, []drain.Given{{PreStop: 90, GracePeriod: 100}})
	if err != nil || len(got.Lost) > 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestTogether: delays that are written together are written when that saves requests, and
// each tells what it loses then.
func TestTogether(t *testing.T) {
	p := plan(t, 30*time.Second) // needs 65, 90/65 outlasts 65
	decide := func(from, to drain.Seconds) *Decision {
		d, err := Delay(p, drain.ALB, from, to, []drain.Given{p.Given()})
		if err != nil {
			t.Fatal(err)
		}
		return &d
	}
	for name, tc := range map[string]struct {
		all  [][2]drain.Seconds // from, to
		want string
		lost int // of them lose requests
	}{
		"alone each has its own moment":              {[][2]drain.Seconds{{65, 95}}, "after", 0},
		"one that has to wait keeps the others back": {[][2]drain.Seconds{{300, 65}, {65, 65}, {65, 95}}, "after unchanged after", 0},
		"unless requests are cut meanwhile":          {[][2]drain.Seconds{{65, 95}, {10, 65}, {300, 65}}, "before before before", 0},
		"where both cut some, each tells its own":    {[][2]drain.Seconds{{65, 10}, {10, 65}}, "before before", 1},
		"without need nothing changes":               {[][2]drain.Seconds{{300, 65}, {65, 65}}, "before unchanged", 0},
	} {
		t.Run(name, func(t *testing.T) {
			var all []*Decision
			for _, d := range tc.all {
				all = append(all, decide(d[0], d[1]))
			}
			Together(all)
			var got []string
			lost := 0
			for _, d := range all {
				if got = append(got, string(d.When)); len(d.Lost) > 0 {
					lost++
				}
			}
			if strings.Join(got, " ") != tc.want || lost != tc.lost {
				t.Errorf("got %v, %d lose, want %+v", got, lost, tc)
			}
		})
	}
	late, now := decide(65, 95), decide(10, 65)
	if Together([]*Decision{late, now}); late.Why != "it is written with another one, that goes from 10s to 65s: there, "+now.Why {
		t.Errorf("%q", late.Why)
	}
}

// TestNoMomentIsWorse: whatever was before, the order that is chosen never breaks more
// inequalities than the other one.
func TestNoMomentIsWorse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := plan(t, time.Duration(rapid.IntRange(0, 120).Draw(t, "R"))*time.Second)
		second := func(name string, most int) drain.Seconds {
			return drain.Seconds(rapid.IntRange(0, most).Draw(t, name))
		}
		from, to := second("from", 300), p.DeregistrationDelay
		var running []drain.Given
		for range rapid.IntRange(1, 3).Draw(t, "pods") {
			running = append(running, drain.Given{PreStop: second("X", 200), GracePeriod: second("G", 300)})
		}
		got, err := Delay(p, drain.ALB, from, to, running)
		if err != nil {
			t.Fatal(err)
		}
		first, err1 := broken(p, drain.ALB, to, running)
		last, err2 := broken(p, drain.ALB, from, append(running, p.Given()))
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		chosen, other := first, last
		if got.When == After {
			chosen, other = last, first
		}
		if len(chosen.lost) > len(other.lost) || len(chosen.lost) != len(got.Lost) {
			t.Errorf("%+v breaks %v, the other order %v", got, chosen.lost, other.lost)
		}
	})
}

// cuts plays the end of a pod under a delay: which requests, by when they come and how
// long they take, are lost. Between 0 and L + P a balancer sends new ones.
func cuts(in drain.Inputs, kind drain.Balancer, delay drain.Seconds, pod drain.Given) map[[2]int]bool {
	second := func(d time.Duration) int { return int(d / time.Second) }
	latency, spread := second(in.ControllerLatency), second(in.Propagation)
	if kind == drain.NLB {
		spread = max(spread, 150)
	}
	ends := min(int(pod.PreStop), int(pod.GracePeriod)) // of what takes new requests
	finishes := ends
	if in.App == drain.Graceful {
		finishes = int(pod.GracePeriod)
	}
	lost := map[[2]int]bool{}
	for at := -second(in.Request); at <= latency+spread; at++ {
		for _, takes := range []int{1, second(in.Request) / 2, second(in.Request)} {
			if until := at + takes; at >= ends || until > finishes || kind != drain.Instance && until > latency+int(delay) {
				lost[[2]int{at, takes}] = until > 0
			}
		}
	}
	maps.DeleteFunc(lost, func(_ [2]int, late bool) bool { return !late }) // over before the pod was deleted
	return lost
}

// TestNoRequestIsLostByTheOrder: whatever pods run, whatever the plan makes of them, and
// safe or not, a request that the chosen order loses is lost in the other one, too.
func TestNoRequestIsLostByTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		second := func(name string, most int) drain.Seconds {
			return drain.Seconds(rapid.IntRange(0, most).Draw(t, name))
		}
		pod := func() drain.Given { return drain.Given{PreStop: second("X", 250), GracePeriod: second("G", 300)} }
		in := drain.Defaults()
		in.Request = second("R", 60).Duration()
		in.App = rapid.SampledFrom([]drain.App{drain.Graceful, drain.Abrupt}).Draw(t, "app")
		kind := rapid.SampledFrom([]drain.Balancer{drain.ALB, drain.NLB, drain.Instance}).Draw(t, "kind")
		in.Groups = []drain.Group{{Balancer: kind}}
		from, to := second("from", 300), second("to", 300)
		in.Groups[0].Delay = &to
		p, err := drain.Adopt(pod(), in) // the policy warn leaves what is not safe
		if rapid.Bool().Draw(t, "safe") {
			p, err = drain.Solve(in)
			to = p.DeregistrationDelay
		}
		if err != nil {
			t.Fatal(err)
		}
		running := []drain.Given{pod()}
		got, err := Delay(p, kind, from, to, running)
		if err != nil {
			t.Fatal(err)
		}
		chosen, other := to, from
		if got.When == After {
			chosen, other = from, to
		}
		for _, pod := range append(running, p.Given()) { // which may be evicted meanwhile
			also := cuts(in, kind, other, pod)
			for lost := range cuts(in, kind, chosen, pod) {
				if !also[lost] {
					t.Fatalf("%+v: a delay of %s cuts a request of %d s that comes at %d to a pod of %+v, one of %s does not", got, chosen, lost[1], lost[0], pod, other)
				}
			}
		}
	})
}
