// SPDX-License-Identifier: Apache-2.0

package soak

import "time"

// Profile is how quick the lab is, and what outlast is told of it.
type Profile struct {
	Name        string
	Propagation string // MIN-MAX of the applications' balancers
	Jitter      string // likewise; empty: the lab's
	Requeue     string // the controller's look at readiness gates; see lab up --requeue
	Health      int    // interval of the balancer's health check, seconds
	Deadline    int    // progressDeadlineSeconds
	Surge       string // maxSurge
	// Planning are the values of the drain formulas, SYMBOL=VALUE; none: outlast's own.
	Planning []string
	Typical  time.Duration // of a good deploy, until one was seen
	Settle   time.Duration // of load after a deploy: longer than the propagation
}

// Fast is the profile of the counts. What is shortened is waiting only: propagation
// is two to four seconds instead of 10 to 17 and up, a target is out of the list at most
// three seconds after its delay, and the planning values follow.
var Fast = Profile{
	Name: "fast", Propagation: "2s-4s", Jitter: "0s-3s", Requeue: "1s", Health: 5, Deadline: 60, Surge: "100%",
	Planning: []string{"P=4s", "L=2s", "M=1s", "J=3s", "Q=2s", "T_reg=5s", "B=8s"},
	Typical:  40 * time.Second, Settle: 5 * time.Second,
}

// Real is real time: outlast's documented planning values, the controller's own
// requeue and health check, the propagation that was measured on AWS's balancers,
// and one pod after the other.
var Real = Profile{
	Name: "real", Propagation: "10s-17s", Requeue: "15s", Health: 15, Deadline: 600, Surge: "25%",
	Typical: 5 * time.Minute, Settle: 20 * time.Second,
}

// Profiles by name.
func Profiles() map[string]Profile { return map[string]Profile{Fast.Name: Fast, Real.Name: Real} }
