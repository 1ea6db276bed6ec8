// SPDX-License-Identifier: Apache-2.0

// Package api stands in for the nested module the runner's zip leaves out.
// Only `gitlab-runner wrapper` uses it.
package api

import "errors"

type Status int

const (
	StatusUnknown Status = iota
	StatusRunning
	StatusInShutdown
	StatusStopped
)

func (Status) String() string { return "stub" }

var ErrProcessNotInitialized = errors.New("process not initialized")

type ShutdownCallbackDef interface {
	URL() string
	Method() string
}
type InitGracefulShutdownRequest interface{ ShutdownCallbackDef() ShutdownCallbackDef }
type ShutdownCallback interface{ Run(ctx any) }

func NewShutdownCallback(log any, def ShutdownCallbackDef) ShutdownCallback { return nil }
