// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/alb/accesslog"
)

// Engine holds every load balancer and target group of the lab.
type Engine struct {
	opt     Options
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	buffers *bufferPool
	logTo   atomic.Pointer[func(accesslog.Source, accesslog.Entry)]
	poke    chan struct{} // wakes the sweeper when something became due earlier

	mu        sync.Mutex
	groups    map[string]*group
	balancers map[string]*balancer
	addresses map[string]netip.Addr // by load balancer ARN and zone
	slowness  map[string]Delay      // of deregistrations by load balancer ARN; absent: the options'
	jitters   map[string]Delay      // likewise
	draws     int                   // counts registrations, so that each draws anew
	pools     map[string]*pool      // by node and target
	rand      *rand.Rand            // for weighted groups
	events    []Event               // for the observer, handed over by the sweeper
}

// group is a target group with its targets, in order of registration.
type group struct {
	TargetGroup
	records []*entry
	users   []*balancer // load balancers whose rules forward here
}

// entry is a record and what runs on its behalf.
type entry struct {
	record
	stop    context.CancelFunc // ends the health checker; nil: none runs
	checks  HealthCheck        // what the running checker was started with
	flights map[*flight]struct{}

	goneReported bool
}

// New starts an engine. Close ends it.
func New(o Options) *Engine {
	ctx, cancel := context.WithCancel(context.Background())
	e := &Engine{
		opt: o.withDefaults(), ctx: ctx, cancel: cancel, poke: make(chan struct{}, 1),
		groups: map[string]*group{}, balancers: map[string]*balancer{},
		addresses: map[string]netip.Addr{}, slowness: map[string]Delay{}, jitters: map[string]Delay{}, pools: map[string]*pool{},
		buffers: newBufferPool(), rand: rand.New(rand.NewPCG(o.Seed, 0)),
	}
	e.wg.Go(e.sweepLoop)
	return e
}

// Close ends all listeners, requests and health checks and waits for them.
func (e *Engine) Close() error {
	e.cancel()
	e.mu.Lock()
	for _, b := range e.balancers {
		b.close()
	}
	e.balancers = map[string]*balancer{}
	for _, g := range e.groups {
		for _, r := range g.records {
			r.halt()
		}
	}
	pools := mapValues(e.pools)
	e.mu.Unlock()
	e.wg.Wait()
	for _, p := range pools {
		p.rt.CloseIdleConnections()
	}
	e.flush()
	return nil
}

// PutTargetGroup makes or changes a target group; its targets stay.
func (e *Engine) PutTargetGroup(tg TargetGroup) error {
	if err := validGroup(tg); err != nil {
		return fmt.Errorf("putting target group %q: %w", tg.ARN, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	g := e.groups[tg.ARN]
	if g == nil {
		g = &group{}
		e.groups[tg.ARN] = g
	}
	g.TargetGroup = tg
	e.attach()
	e.tend()
	return nil
}

// DeleteTargetGroup drops a group at once: requests in flight are cut, no delay is kept.
func (e *Engine) DeleteTargetGroup(arn string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if g := e.groups[arn]; g != nil {
		for _, r := range g.records {
			r.halt()
			r.cut(nil, r.last().N)
		}
		delete(e.groups, arn)
	}
}

// Register adds targets. One that is draining is put back and starts anew; one that is registered stays as it is.
func (e *Engine) Register(arn string, ts []Target) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	g, err := e.group(arn)
	if err != nil {
		return fmt.Errorf("registering targets: %w", err)
	}
	for _, t := range ts {
		if _, err := netip.ParseAddr(t.ID); err != nil {
			return fmt.Errorf("registering target %q in %q: its id must be an IP address", t.ID, arn)
		}
	}
	now := time.Now()
	for _, t := range ts {
		t = g.complete(t)
		r := g.find(t)
		switch {
		case r == nil:
			e.draws++
			g.records = append(g.records, &entry{record: newRecord(t, now, e.draws), flights: map[*flight]struct{}{}})
		case r.draining():
			e.draws++
			r.record, r.goneReported = r.register(now, e.draws), false
			r.halt() // its checks begin anew when a node takes it up
		default:
			continue
		}
		e.report(g, g.find(t), now)
	}
	e.tend()
	return nil
}

// Deregister starts the draining of targets; unknown and draining ones are left alone.
func (e *Engine) Deregister(arn string, ts []Target) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	g, err := e.group(arn)
	if err != nil {
		return fmt.Errorf("deregistering targets: %w", err)
	}
	now := time.Now()
	for _, t := range ts {
		r := g.find(g.complete(t))
		if r == nil || r.draining() {
			continue
		}
		delay := g.delay()
		if !g.serves(r.Target) {
			delay = 0 // no load balancer sends there, so there is nothing to drain
		}
		r.record = r.deregister(now, delay, e.jitterOf(g).draw(e.opt.Seed, "jitter", strconv.Itoa(r.last().N)))
		e.report(g, r, now)
	}
	e.tend()
	return nil
}

// Health is DescribeTargetHealth: every listed target, or the asked ones.
func (e *Engine) Health(arn string, ask []Target) ([]TargetHealth, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	g, err := e.group(arn)
	if err != nil {
		return nil, fmt.Errorf("describing target health: %w", err)
	}
	now := time.Now()
	out := []TargetHealth{}
	if ask == nil {
		for _, r := range g.records {
			if r.listed(now) {
				out = append(out, e.describe(g, r, now))
			}
		}
		return out, nil
	}
	for _, t := range ask {
		t = g.complete(t)
		if r := g.find(t); r != nil && r.listed(now) {
			out = append(out, e.describe(g, r, now))
		} else {
			out = append(out, notRegistered(t, g.HealthCheck))
		}
	}
	return out, nil
}

func (e *Engine) describe(g *group, r *entry, now time.Time) TargetHealth {
	return r.describe(now, g.serves(r.Target), e.heard(g, r), g.HealthCheck)
}

func (e *Engine) group(arn string) (*group, error) {
	if g := e.groups[arn]; g != nil {
		return g, nil
	}
	return nil, fmt.Errorf("target group %q: %w", arn, ErrTargetGroupNotFound)
}

// attach works out again which load balancers use which groups. A group that
// comes into use registers its targets anew with the nodes.
func (e *Engine) attach() {
	now := time.Now()
	for _, arn := range sortedKeys(e.groups) {
		g := e.groups[arn]
		var users []*balancer
		for _, lb := range sortedKeys(e.balancers) {
			if b := e.balancers[lb]; b.uses(arn) {
				users = append(users, b)
			}
		}
		fresh := len(g.users) == 0 && len(users) > 0
		g.users = users
		for _, r := range g.records {
			if fresh && !r.draining() {
				e.draws++
				r.record = newRecord(r.Target, now, e.draws)
				e.report(g, r, now)
			}
		}
	}
}

func (g *group) complete(t Target) Target {
	if t.Port == 0 {
		t.Port = g.Port
	}
	return t
}

func (g *group) find(t Target) *entry {
	for _, r := range g.records {
		if r.Target.ID == t.ID && r.Target.Port == t.Port {
			return r
		}
	}
	return nil
}

// serves says whether some load balancer may send to t: the group is on a
// listener and the target's zone is enabled there.
func (g *group) serves(t Target) bool {
	for _, b := range g.users {
		if t.AZ == "" || t.AZ == "all" || slices.Contains(b.Zones, t.AZ) {
			return true
		}
	}
	return false
}

func (g *group) delay() time.Duration {
	return seconds(g.Attributes, "deregistration_delay.timeout_seconds", DefaultDeregistrationDelay)
}

// reaches says whether a node may send to t: with cross-zone load balancing
// off, only to its own zone.
func (g *group) reaches(n *node, t Target) bool {
	return g.Attributes["load_balancing.cross_zone.enabled"] != "false" || t.AZ == "" || t.AZ == "all" || t.AZ == n.zone
}

func (r *entry) listed(now time.Time) bool { return !r.draining() || now.Before(r.Gone) }

func mapValues[K comparable, V any](m map[K]V) []V {
	out := make([]V, 0, len(m))
	for _, v := range m {
		out = append(out, v)
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
