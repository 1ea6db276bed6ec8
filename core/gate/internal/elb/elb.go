// SPDX-License-Identifier: Apache-2.0

// Package elb says the states and reason codes of ELBv2's targets in words.
package elb

import "fmt"

// reasons says ELBv2's reason codes in words.
var reasons = map[string]string{
	"Elb.RegistrationInProgress":      "being registered",
	"Elb.InitialHealthChecking":       "waiting for its first health checks",
	"Elb.InternalError":               "the balancer has an internal error",
	"Target.ResponseCodeMismatch":     "the health check gets another status code than the matcher wants",
	"Target.Timeout":                  "the health check gets no answer in time",
	"Target.FailedHealthChecks":       "the health check cannot connect, or the answer is broken",
	"Target.NotRegistered":            "not registered",
	"Target.NotInUse":                 "its target group is on no listener, or its zone is not enabled on the balancer",
	"Target.InvalidState":             "the instance is stopped",
	"Target.IpUnusable":               "the address belongs to a load balancer",
	"Target.DeregistrationInProgress": "draining",
	"Target.HealthCheckDisabled":      "health checks are off",
}

// Words says a target's state with its reason, as DescribeTargetHealth tells
// them, for people.
func Words(state, code, description string) string {
	reason := reasons[code]
	if reason == "" {
		reason = code
	}
	switch {
	case reason == "" || reason == state:
		return state
	case description != "":
		return fmt.Sprintf("%s: %s (%s)", state, reason, description)
	}
	return state + ": " + reason
}
