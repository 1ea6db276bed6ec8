// SPDX-License-Identifier: Apache-2.0

package drain

import (
	"container/heap"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The end of one pod is played through event by event, with no formula in it: a
// controller that deregisters its targets, balancers whose nodes learn of it one
// after the other and cut what is left when the delay is over, a kubelet with its
// one clock, and an application that exits at once or finishes what it has.

// truth is what really happens in one play; the plan only knows its bounds.
type truth struct {
	app               App
	shutdown, sidecar time.Duration
	groups            []trueGroup
	requests          []request
}

type trueGroup struct {
	deregistered time.Duration   // pod deleted until DeregisterTargets is accepted
	learned      []time.Duration // that until each node of the balancer sends nothing new
	seen         time.Duration   // end of the delay until the API shows unused
	delay        Seconds         // what the target group has
}

type request struct {
	at, takes   time.Duration
	group, node int
}

// event happens at a time; of two at once the one that hurts comes first.
type event struct {
	at   time.Duration
	rank int
	do   func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].rank < e[j].rank
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// play is the state of the world.
type play struct {
	truth
	now     time.Duration
	queue   events
	active  map[int]request // requests that the process works on
	open    bool            // the process accepts requests
	alive   bool            // something of the pod runs
	ending  bool            // SIGTERM has come
	unused  []bool          // by group: the API shows it
	learned map[[2]int]bool
	closed  []bool // by group: the delay is over
	losses  []string
}

const (
	pod = iota // rank of what the pod and the balancer do to requests
	client
)

func (p *play) after(d time.Duration, rank int, do func()) {
	heap.Push(&p.queue, event{p.now + d, rank, do})
}

func (p *play) lose(format string, args ...any) {
	p.losses = append(p.losses, fmt.Sprintf("%s: ", p.now)+fmt.Sprintf(format, args...))
}

func (p *play) drop(why string, of func(request) bool) {
	for id, r := range p.active {
		if of(r) {
			delete(p.active, id)
			p.lose("%s a request of %s that came at %s", why, r.takes, r.at)
		}
	}
}

// simulate plays the end of a pod with these timings, and tells what was lost;
// observe wants every target to be seen unused before SIGTERM.
func simulate(given Given, t truth, observe bool) []string {
	p := &play{truth: t, active: map[int]request{}, open: true, alive: true, unused: make([]bool, len(t.groups)), closed: make([]bool, len(t.groups)), learned: map[[2]int]bool{}}
	for id, r := range t.requests { // some came before the pod was deleted, at 0
		heap.Push(&p.queue, event{r.at, client, func() { p.arrive(id, r) }})
	}
	for i, g := range t.groups {
		for n, late := range g.learned {
			p.after(g.deregistered+late, client+1, func() { p.learned[[2]int{i, n}] = true }) // the last request comes at that moment
		}
		p.after(g.deregistered+g.delay.Duration(), pod, func() {
			p.closed[i] = true
			p.drop("the balancer cut", func(r request) bool { return r.group == i })
		})
		p.after(g.deregistered+g.delay.Duration()+g.seen, pod, func() { p.unused[i] = true })
	}
	hook := min(given.PreStop, given.GracePeriod)
	p.after(hook.Duration(), pod+1, func() {
		if p.terminate(); observe && slices.Contains(p.unused, false) {
			p.lose("SIGTERM came before every target was seen to be unused")
		}
	})
	p.after(max(given.GracePeriod, hook+2).Duration(), pod, p.kill)
	for p.queue.Len() > 0 {
		e := heap.Pop(&p.queue).(event)
		p.now = e.at
		e.do()
	}
	return p.losses
}

func (p *play) arrive(id int, r request) {
	switch {
	case p.learned[[2]int{r.group, r.node}]: // goes to another pod
	case !p.alive:
		p.lose("a request came to a pod that is gone")
	case !p.open:
		p.lose("a request came to a process that has stopped")
	case p.closed[r.group]:
		p.lose("the balancer cut a request that it sent after the delay")
	default:
		p.active[id] = r
		p.after(r.takes, client, func() {
			if _, ok := p.active[id]; !ok {
				return
			}
			delete(p.active, id)
			p.finish()
		})
	}
}

func (p *play) terminate() {
	p.open, p.ending = false, true
	if p.app == Abrupt {
		p.drop("the process exited with", func(request) bool { return true })
	}
	p.finish()
}

// finish shuts the application down when it has nothing to do any more.
func (p *play) finish() {
	if p.ending && p.alive && len(p.active) == 0 {
		p.ending = false
		p.after(p.shutdown+p.sidecar, pod+1, func() { p.alive = false })
	}
}

func (p *play) kill() {
	if p.alive {
		p.drop("SIGKILL hit", func(request) bool { return true })
		p.lose("SIGKILL came before the pod had ended")
	}
	p.alive, p.open = false, false
}

// share draws a part of a bound: often nothing or all of it.
func share(t *rapid.T, name string, of time.Duration, worst bool) time.Duration {
	if worst {
		return of
	}
	switch rapid.IntRange(0, 3).Draw(t, name) {
	case 0:
		return 0
	case 1:
		return of
	}
	return time.Duration(rapid.Int64Range(0, int64(of)).Draw(t, name+" exactly"))
}

// drawTruth draws a play within the bounds of the inputs, with the last request
// as late and as long as it may be; worst takes every bound.
func drawTruth(t *rapid.T, in Inputs, p Plan, worst bool) truth {
	tr := truth{app: in.App, shutdown: share(t, "shutdown", in.Shutdown, worst), sidecar: share(t, "sidecar", in.SidecarShutdown, worst)}
	if !worst {
		tr.app = rapid.SampledFrom([]App{in.App, Graceful}).Draw(t, "app") // abrupt is the safe guess
	}
	for i, g := range in.groups() {
		tg := trueGroup{deregistered: share(t, "deregistered", in.latency(), worst), seen: share(t, "seen", in.jitter(), worst), delay: p.DeregistrationDelay}
		if len(p.Groups) > 0 {
			tg.delay = p.Groups[i].DeregistrationDelay
		}
		for n := range rapid.IntRange(1, 4).Draw(t, "nodes") {
			late := share(t, "learned", g.propagation, worst)
			tg.learned = append(tg.learned, late)
			last := tg.deregistered + late
			tr.requests = append(tr.requests, request{last, in.longest(), i, n})
			for range rapid.IntRange(0, 5).Draw(t, "requests") {
				at := time.Duration(rapid.Int64Range(-int64(in.longest()), int64(last)).Draw(t, "at"))
				tr.requests = append(tr.requests, request{at, share(t, "takes", in.longest(), false), i, n})
			}
		}
		tr.groups = append(tr.groups, tg)
	}
	return tr
}

// drawSolved draws inputs that are solved, with pods as targets and requests to lose.
func drawSolved(t *rapid.T) (Inputs, Plan, bool) {
	in := drawInputs(t)
	if in.Balancer == Instance {
		in.Balancer = ALB
	}
	for i := range in.Groups {
		if in.Groups[i].Balancer == Instance {
			in.Groups[i].Balancer = ALB
		}
	}
	in.Propagation, in.Request, in.Shutdown = in.Propagation+2*time.Second, in.Request+2*time.Second, in.Shutdown+3*time.Second
	if in.Cut != nil {
		*in.Cut += 2 * time.Second
	}
	p, err := Solve(in)
	return in, p, err == nil
}

func TestNoRequestIsLost(t *testing.T) {
	plays := 0
	rapid.Check(t, func(t *rapid.T) {
		in, p, ok := drawSolved(t)
		if !ok {
			return
		}
		for range 5 {
			plays++
			if losses := simulate(p.Given(), drawTruth(t, in, p, rapid.Bool().Draw(t, "worst")), p.Mode == Strict); len(losses) > 0 {
				t.Fatalf("%s, %s, %+v:\n%s", p.Mode, in.App, p.Given(), strings.Join(losses, "\n"))
			}
		}
	})
	if plays < 50 {
		t.Errorf("%d plays: little was proved", plays)
	}
}

// TestTheSimulationLosesRequests when a timing is too short: else it would prove
// nothing.
func TestTheSimulationLosesRequests(t *testing.T) {
	seen := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		in, p, ok := drawSolved(t)
		if !ok {
			return
		}
		tr := drawTruth(t, in, p, true)
		in.Margin = 0 // what remains is what is needed
		l, r := in.latency(), in.longest()
		var sent, unused time.Duration // of the slowest group
		for i, g := range in.groups() {
			sent, unused = max(sent, l+g.propagation), max(unused, l+tr.groups[i].delay.Duration()+in.jitter())
		}
		loses := func(what, word string, g Given, tr truth, observe bool) {
			losses := simulate(g, tr, observe)
			if !slices.ContainsFunc(losses, func(l string) bool { return strings.Contains(l, word) }) {
				t.Fatalf("%s, %s, %+v instead of %+v: no loss %q in %q", p.Mode, what, g, p.Given(), word, losses)
			}
			seen[what]++
		}
		below := func(d time.Duration) Seconds { return Seconds((d - 1) / time.Second) } // the last whole second before d
		short := p.Given()
		short.PreStop = below(sent)
		loses("X below L + P", "a request came to a p", short, tr, false)
		if in.App == Abrupt {
			short.PreStop = below(sent + r)
			loses("X below L + P + R, abrupt", "the process exited", short, tr, false)
		}
		if p.Mode == Strict {
			short.PreStop = below(unused)
			loses("X below L + D + J, strict", "before every target was seen", short, tr, true)
		}
		short = p.Given()
		short.GracePeriod = below(max(short.PreStop.Duration(), sent+r) + in.Shutdown + in.SidecarShutdown)
		if short.GracePeriod > short.PreStop+2 {
			loses("G below the shutdown", "SIGKILL came", short, tr, false)
		}
		if in.App == Graceful && sent+r > p.PreStop.Duration()+3*time.Second {
			short.GracePeriod = below(sent + r)
			loses("G below the last request", "SIGKILL hit", short, tr, false)
		}
		i := rapid.IntRange(0, len(tr.groups)-1).Draw(t, "group")
		tr.groups = slices.Clone(tr.groups)
		tr.groups[i].delay = below(in.groups()[i].propagation + r)
		loses("D below P + R", "the balancer cut", p.Given(), tr, false)
	})
	for _, what := range []string{"X below L + P", "X below L + P + R, abrupt", "X below L + D + J, strict", "G below the shutdown", "G below the last request", "D below P + R"} {
		if seen[what] == 0 {
			t.Errorf("%s was never played", what)
		}
	}
	t.Log(seen)
}
