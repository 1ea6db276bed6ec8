// SPDX-License-Identifier: Apache-2.0

// Package drain is the arithmetic of draining a pod behind a load balancer:
// what is known of the application, the controller and the balancer goes in
// (Inputs), and the timings that lose no request come out (Plan), each with
// the inequality that demands it. It is pure and imports only the standard
// library.
//
// The name of the product is its strict rule: a pod outlasts its target,
//
//	terminationGracePeriodSeconds > preStop > deregistration delay
//
// since a target group shows a target as draining for the whole delay, and a
// pod that lives longer lets anybody see that the balancer was done with it.
// For long requests that would make pods live too long: fast mode then drops
// the middle > and proves the inequalities F1 to F5 behind it.
package drain

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Mode is how the timings are tied to one another.
type Mode string

const (
	Auto   Mode = "auto"   // strict when its grace fits the cap, else fast
	Strict Mode = "strict" // the target is seen to be unused before the pod gets SIGTERM
	Fast   Mode = "fast"   // the pod outlives the last new request and what is in flight
)

// App is what the application does on SIGTERM.
type App string

const (
	Abrupt   App = "abrupt"   // exits at once; also the safe guess when nothing is known
	Graceful App = "graceful" // finishes the requests that it has
)

// Balancer is what sends requests to the pod.
type Balancer string

const (
	ALB      Balancer = "alb"      // targets of type ip
	NLB      Balancer = "nlb"      // targets of type ip; drains and registers in minutes
	Instance Balancer = "instance" // nodes are the targets: pods are never deregistered, best effort
)

// Order is a named policy for the application's own request timeout (A).
type Order string

const (
	NoOrder       Order = ""               // the order is reported, not enforced
	AppFirst      Order = "app-first"      // A < I < D: clients see the application's own error
	BalancerFirst Order = "balancer-first" // I < A < D: clients see the balancer's 504
)

// Group is one target group that the pod is registered in. Zero fields are those
// of the Inputs.
type Group struct {
	Name     string   `json:"name"` // for messages: the object that makes it
	Balancer Balancer `json:"balancer,omitempty"`
	Delay    *Seconds `json:"delay,omitempty"` // deregistration delay that is written; nil: none is, AWS takes 300

	HealthInterval time.Duration `json:"-"`
	HealthTimeout  time.Duration `json:"-"`
	HealthyCount   int           `json:"-"`
	UnhealthyCount int           `json:"-"`
	IdleTimeout    time.Duration `json:"-"`
	SlowStart      time.Duration `json:"-"`
}

// Inputs are what the timings depend on. Start from Defaults: a zero here is a
// zero, not a default.
type Inputs struct {
	Mode     Mode
	App      App
	Balancer Balancer
	Order    Order

	RequestTimeout *time.Duration // A: the application's own request timeout; nil: not known, like the next four
	KeepAlive      *time.Duration // K: until the application closes an idle connection
	Silent         *time.Duration // R_silent: longest silence inside a request
	ClientTimeout  *time.Duration // T_client: until clients give up
	Cut            *time.Duration // R_cut: age at which the application ends a long-lived connection (WebSocket, streaming); counts as R when it is longer
	IdleTimeout    time.Duration  // I: of the balancer
	SlowStart      time.Duration  // slow_start of the target group

	Request           time.Duration  // R: longest request to protect, first byte in to last byte out
	Shutdown          time.Duration  // S: the application's own shutdown with nothing in flight
	SidecarShutdown   time.Duration  // S_sc: sidecars that end after the main containers
	ControllerLatency time.Duration  // L: pod deleted until DeregisterTargets is accepted
	Propagation       time.Duration  // P: accepted until the last new request from any node of the balancer
	Margin            time.Duration  // M: safety margin
	Jitter            *time.Duration // J: end of the delay until the API shows unused, and the poll that sees it; nil: from TargetGroups
	Cap               time.Duration  // cap: largest grace that nodes are sure to respect
	IPCooldown        time.Duration  // C: until the network plugin gives a pod's address away again

	HealthInterval time.Duration // h: of the health check
	HealthTimeout  time.Duration // t: of the health check
	HealthyCount   int           // n_h
	UnhealthyCount int           // n_u
	GatePoll       time.Duration // Q: the controller's poll of readiness gates
	Registration   time.Duration // T_reg: RegisterTargets until the first health check can pass
	Start          time.Duration // B: pod created until its containers are ready

	Replicas     int  // N
	Surge        int  // s: maxSurge, resolved; 0: none, one pod after the other
	TargetGroups int  // nTG: target groups that the gate has to poll
	NoGate       bool // pods carry no readiness gate of the balancer: F11 instead of F12
	Tight        bool // no room for surge pods until old ones are gone (quota, addresses)

	// Groups are the target groups in front of the pod. Empty: one, as the fields
	// above describe it. preStop and grace are the largest that any of them needs;
	// the deregistration delay is each one's own.
	Groups []Group

	// What the manifests say already and is kept when it is long enough.
	Floor            Given
	MinReady         Seconds // author's minReadySeconds; 0: none
	ProgressDeadline Seconds // author's progressDeadlineSeconds; 0: none
}

// Given are timings somebody wrote.
type Given struct {
	DeregistrationDelay Seconds `json:"deregistrationDelaySeconds"`
	PreStop             Seconds `json:"preStopSeconds"`
	GracePeriod         Seconds `json:"terminationGracePeriodSeconds"`
}

// Seconds is a whole number of seconds, as Kubernetes and AWS want them.
type Seconds int64

// String writes seconds the way a person says them: 40s.
func (s Seconds) String() string { return strconv.FormatInt(int64(s), 10) + "s" }

// Duration converts to the standard type.
func (s Seconds) Duration() time.Duration { return time.Duration(s) * time.Second }

// Defaults are the planning values for an ALB with targets of type ip.
//
// Sources: P 30 s covers the 10 to 17 s measured after `draining` is shown
// (aws-load-balancer-controller issues 2366, 905, 1719) and the failures
// reported with hooks of 25 and 30 s; L 5 s covers 1 to 2 s measured on an
// idle controller (issue 2366); C is the VPC CNI's IP_COOLDOWN_PERIOD; the cap
// is the grace that spot nodes and AL2023's graceful shutdown respect; h, t,
// n_h, n_u, Q are the controller's defaults. R, S and B are guesses to be
// replaced by the user's knowledge.
func Defaults() Inputs {
	return Inputs{
		Mode: Auto, App: Abrupt, Balancer: ALB, IdleTimeout: 60 * time.Second,
		Request: 30 * time.Second, Shutdown: 5 * time.Second,
		ControllerLatency: 5 * time.Second, Propagation: 30 * time.Second, Margin: 5 * time.Second,
		Cap: 120 * time.Second, IPCooldown: 30 * time.Second,
		HealthInterval: 15 * time.Second, HealthTimeout: 5 * time.Second, HealthyCount: 2, UnhealthyCount: 2,
		GatePoll: 15 * time.Second, Registration: 10 * time.Second, Start: 30 * time.Second,
		Replicas: 1, Surge: 1, TargetGroups: 1,
	}
}

// durations and counts map the symbols of the formulas to their fields.
func (in *Inputs) durations() map[string]*time.Duration {
	return map[string]*time.Duration{
		"R": &in.Request, "S": &in.Shutdown, "S_sc": &in.SidecarShutdown, "L": &in.ControllerLatency,
		"P": &in.Propagation, "M": &in.Margin, "cap": &in.Cap, "C": &in.IPCooldown,
		"h": &in.HealthInterval, "t": &in.HealthTimeout, "Q": &in.GatePoll, "T_reg": &in.Registration, "B": &in.Start,
	}
}

func (in *Inputs) counts() map[string]*int {
	return map[string]*int{"n_h": &in.HealthyCount, "n_u": &in.UnhealthyCount, "N": &in.Replicas, "s": &in.Surge, "nTG": &in.TargetGroups}
}

// Symbols lists the names that Set knows.
func Symbols() []string {
	var in Inputs
	names := append(slices.Collect(maps.Keys(in.durations())), slices.Collect(maps.Keys(in.counts()))...)
	names = append(names, "J")
	slices.Sort(names)
	return names
}

// Set gives one symbol of the formulas a value: seconds (30, 1.5), a duration
// (1m30s), or a count.
func (in *Inputs) Set(symbol, value string) error {
	if n, ok := in.counts()[symbol]; ok {
		v, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("setting %s: %q is no whole number", symbol, value)
		}
		*n = v
		return nil
	}
	d, err := parseSeconds(value)
	if err != nil {
		return fmt.Errorf("setting %s: %w", symbol, err)
	}
	if symbol == "J" {
		in.Jitter = &d
		return nil
	}
	field, ok := in.durations()[symbol]
	if !ok {
		return fmt.Errorf("setting %s: no symbol has this name; they are %s", symbol, strings.Join(Symbols(), ", "))
	}
	*field = d
	return nil
}

func parseSeconds(value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil {
		d, err = time.ParseDuration(value + "s") // a bare number; exact, unlike a float
	}
	if err != nil {
		return 0, fmt.Errorf("%q is no time: write seconds (90) or 1m30s", value)
	}
	return d, nil
}

// Limits keep the arithmetic far from overflow: the longest sum that is
// multiplied has seven terms, and it is multiplied by the replicas.
const (
	maxDuration = 24 * time.Hour
	maxCount    = 10_000
)

func (in Inputs) validate() error {
	durations := in.durations()
	if in.Jitter != nil {
		durations["J"] = in.Jitter
	}
	for _, symbol := range slices.Sorted(maps.Keys(durations)) {
		if d := *durations[symbol]; d < 0 || d > maxDuration {
			return fmt.Errorf("%s = %s is not between 0 and %s", symbol, d, maxDuration)
		}
	}
	counts := in.counts()
	for _, symbol := range slices.Sorted(maps.Keys(counts)) {
		if n := *counts[symbol]; n < 0 || n > maxCount {
			return fmt.Errorf("%s = %d is not between 0 and %d", symbol, n, maxCount)
		}
	}
	for _, s := range []Seconds{in.Floor.DeregistrationDelay, in.Floor.PreStop, in.Floor.GracePeriod, in.MinReady, in.ProgressDeadline} {
		if s < 0 || s.Duration() > maxDuration {
			return fmt.Errorf("a given timing of %s is not between 0 and %s", s, maxDuration)
		}
	}
	if !slices.Contains([]Mode{Auto, Strict, Fast}, in.Mode) {
		return fmt.Errorf("mode %q is none of auto, strict, fast", in.Mode)
	}
	if !slices.Contains([]App{Abrupt, Graceful}, in.App) {
		return fmt.Errorf("application %q is none of abrupt, graceful", in.App)
	}
	return nil
}

// jitter is J: 15 s up to five target groups, more when the polls of many
// take turns under the ELB API's throttle: max(15, 9 + 1.2 max(5, nTG)).
func (in Inputs) jitter() time.Duration {
	if in.Jitter != nil {
		return *in.Jitter
	}
	return max(15*time.Second, 9*time.Second+1200*time.Millisecond*time.Duration(max(5, in.TargetGroups)))
}

// MarshalJSON writes the symbols with seconds, the way Set reads them.
func (in Inputs) MarshalJSON() ([]byte, error) {
	out := map[string]any{"mode": in.Mode, "app": in.App, "J": in.jitter().Seconds()}
	for symbol, d := range in.durations() {
		out[symbol] = d.Seconds()
	}
	for symbol, n := range in.counts() {
		out[symbol] = *n
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote; absent symbols are defaults.
func (in *Inputs) UnmarshalJSON(text []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		return err
	}
	*in = Defaults()
	for symbol, value := range raw {
		var err error
		switch symbol {
		case "mode":
			err = json.Unmarshal(value, &in.Mode)
		case "app":
			err = json.Unmarshal(value, &in.App)
		default:
			err = in.Set(symbol, string(value))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
