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

import "time"

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
// of the Inputs, or the defaults of its kind of balancer when the Inputs describe
// another kind.
type Group struct {
	Name           string        `json:"name"` // for messages: the object that makes it
	Balancer       Balancer      `json:"balancer,omitempty"`
	Delay          *Seconds      `json:"delaySeconds,omitempty"` // deregistration delay that is written; nil: none is, AWS takes 300
	HealthInterval time.Duration `json:"-"`                      // h; this and what follows are in JSON by their symbols
	HealthTimeout  time.Duration `json:"-"`                      // t
	HealthyCount   int           `json:"-"`                      // n_h
	UnhealthyCount int           `json:"-"`                      // n_u
	IdleTimeout    time.Duration `json:"-"`                      // I
	SlowStart      time.Duration `json:"-"`                      // slow_start
	IfNodes        bool          `json:"ifNodes,omitempty"`      // stands for another group, should nodes be its targets: nobody has told
}

// Inputs are what the timings depend on. Start from Defaults: a zero here is a
// zero, not a default.
type Inputs struct {
	Mode     Mode     `json:"mode"`
	App      App      `json:"app"`
	Balancer Balancer `json:"balancer"`
	Order    Order    `json:"order,omitempty"`

	RequestTimeout    *time.Duration `json:"-"` // A: the application's own request timeout; nil: not known, like the next four
	KeepAlive         *time.Duration `json:"-"` // K: until the application closes an idle connection
	Silent            *time.Duration `json:"-"` // R_silent: longest silence inside a request
	ClientTimeout     *time.Duration `json:"-"` // T_client: until clients give up
	Cut               *time.Duration `json:"-"` // R_cut: age at which the application ends a long-lived connection (WebSocket, streaming); stands for R
	IdleTimeout       time.Duration  `json:"-"` // I: of the balancer
	SlowStart         time.Duration  `json:"-"` // slow_start: of the target group; 0: off
	Request           time.Duration  `json:"-"` // R: longest request to protect, first byte in to last byte out
	Shutdown          time.Duration  `json:"-"` // S: the application's own shutdown with nothing in flight
	SidecarShutdown   time.Duration  `json:"-"` // S_sc: sidecars that end after the main containers
	ControllerLatency time.Duration  `json:"-"` // L: pod deleted until DeregisterTargets is accepted
	Propagation       time.Duration  `json:"-"` // P: accepted until the last new request from any node of the balancer
	NodePreStop       time.Duration  `json:"-"` // X_node: preStop where nodes are the targets, and no deregistration tells connections to leave
	Margin            time.Duration  `json:"-"` // M: safety margin
	Jitter            *time.Duration `json:"-"` // J: end of the delay until the API shows unused, and the poll that sees it; nil: from TargetGroups
	Cap               time.Duration  `json:"-"` // cap: largest grace that nodes are sure to respect
	IPCooldown        time.Duration  `json:"-"` // C: until the network plugin gives a pod's address away again
	Queued            int            `json:"-"` // n_tgb_queued: other TargetGroupBindings that the controller works on first
	Calls             int            `json:"-"` // n_calls: (de)registrations that it has to send, of 200 targets each

	HealthInterval time.Duration `json:"-"` // h: of the health check
	HealthTimeout  time.Duration `json:"-"` // t: of the health check
	HealthyCount   int           `json:"-"` // n_h
	UnhealthyCount int           `json:"-"` // n_u
	GatePoll       time.Duration `json:"-"` // Q: the controller's poll of readiness gates
	Registration   time.Duration `json:"-"` // T_reg: RegisterTargets until the first health check can pass
	Start          time.Duration `json:"-"` // B: pod created until its containers are ready

	Replicas     int  `json:"-"`                // N
	Surge        int  `json:"-"`                // s: maxSurge, resolved; 0: none, one pod after the other
	TargetGroups int  `json:"-"`                // nTG: target groups that the gate has to poll
	NoGate       bool `json:"noGate,omitempty"` // pods carry no readiness gate of the balancer: F11 instead of F12
	Tight        bool `json:"tight,omitempty"`  // no room for surge pods until old ones are gone (quota, addresses)

	// Groups are the target groups in front of the pod. Empty: one, as the fields
	// above describe it. preStop and grace are the largest that any of them needs;
	// the deregistration delay is each one's own.
	Groups []Group `json:"groups,omitempty"`

	// What the manifests say already and is kept when it is long enough. In Floor 0
	// is no floor. Delay is the one target group's, when it is written: unlike
	// Floor's it tells a 0 from nothing, which counts where the delay is left alone.
	Floor            Given    `json:"floor,omitzero"`
	LongerHook       Seconds  `json:"longerHookSeconds,omitempty"` // of a container whose hook is longer than preStop, which is the shortest: the grace covers both; 0: none
	Delay            *Seconds `json:"delaySeconds,omitempty"`
	MinReady         Seconds  `json:"minReadySeconds,omitempty"`         // author's; 0: none, and Check does not judge it
	ProgressDeadline Seconds  `json:"progressDeadlineSeconds,omitempty"` // author's; 0: none, and Check does not judge it
	GateTimeout      Seconds  `json:"gateTimeoutSeconds,omitempty"`      // the user's; 0: computed
	Running          *Given   `json:"running,omitempty"`                 // of the pods that a rollout replaces, when known: they end by their own timings
}

// Given are timings somebody wrote.
type Given struct {
	DeregistrationDelay Seconds `json:"deregistrationDelaySeconds"`
	PreStop             Seconds `json:"preStopSeconds"`
	GracePeriod         Seconds `json:"terminationGracePeriodSeconds"`
}

// Unwritten is what Kubernetes and AWS do when nothing is written.
func Unwritten() Given { return Given{DeregistrationDelay: DefaultDelay, GracePeriod: DefaultGrace} }

const (
	DefaultDelay Seconds = 300 // ELBv2's deregistration_delay.timeout_seconds
	DefaultGrace Seconds = 30  // Kubernetes' terminationGracePeriodSeconds
)

// Defaults are the planning values for an ALB with targets of type ip.
//
// Sources: P 30 s covers the 10 to 17 s measured after `draining` is shown
// (aws-load-balancer-controller issues 2366, 905, 1719) and the failures
// reported with hooks of 25 and 30 s; L 5 s covers 1 to 2 s measured on an
// idle controller (issue 2366); C is the VPC CNI's IP_COOLDOWN_PERIOD; the cap
// is the grace that spot nodes and AL2023's graceful shutdown respect; h, t,
// n_h, n_u, Q are the controller's defaults; behind instance targets 40 s of
// preStop were seen to lose few requests, and 70 s, which is X_node, none (issue
// 2106). R, S and B are guesses to be replaced by the user's knowledge.
func Defaults() Inputs {
	return Inputs{
		Mode: Auto, App: Abrupt, Balancer: ALB, IdleTimeout: 60 * time.Second,
		Request: 30 * time.Second, Shutdown: 5 * time.Second,
		ControllerLatency: 5 * time.Second, Propagation: 30 * time.Second, NodePreStop: 70 * time.Second, Margin: 5 * time.Second,
		Cap: 120 * time.Second, IPCooldown: 30 * time.Second,
		HealthInterval: 15 * time.Second, HealthTimeout: 5 * time.Second, HealthyCount: 2, UnhealthyCount: 2,
		GatePoll: 15 * time.Second, Registration: 10 * time.Second, Start: 30 * time.Second,
		Replicas: 1, Surge: 1, TargetGroups: 1,
	}
}

// DefaultsFor are the planning values for a kind of balancer.
func DefaultsFor(b Balancer) Inputs { return Defaults().For(b) }

// For gives inputs with the planning values of a kind of balancer, where it has its own.
//
// Sources for an NLB: it goes on opening connections for 120 s and more after
// deregistration (aws-load-balancer-controller issues 2366 and 3270), takes
// about 3 minutes to register (issues 1604 and 1834), and the controller checks
// its targets every 10 s, 3 times. Connections idle for 350 s are dropped.
func (in Inputs) For(b Balancer) Inputs {
	if in.Balancer = b; b == NLB {
		in.Propagation, in.Registration, in.IdleTimeout = nlbPropagation, nlbRegistration, 350*time.Second
		in.HealthInterval, in.HealthTimeout, in.HealthyCount, in.UnhealthyCount = 10*time.Second, 10*time.Second, 3, 3
	}
	return in
}
