// SPDX-License-Identifier: Apache-2.0

// Package core ships a containerised service to Kubernetes behind an AWS load
// balancer without losing one request:
//
//	build -> push -> render -> apply -> gate
//
// Each stage is a package that takes and returns small plain values and knows
// no other stage. This package holds the ordered list (pipeline.go), hands the
// values over and collects them in a Report. It reads no environment, prints
// nothing and builds no client: the world comes in as Config and Clients, and
// progress leaves through Config.Observe.
package core
