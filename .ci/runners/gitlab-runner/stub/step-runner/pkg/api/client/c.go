// SPDX-License-Identifier: Apache-2.0

package client

import "time"

type (
	Variable struct {
		Key, Value   string
		File, Masked bool
	}
	RunRequest struct {
		Id, WorkDir, BuildDir, Steps string
		Env                          map[string]string
		Variables                    []Variable
		Timeout                      *time.Duration
	}
	State     int
	ErrorKind int
	Status    struct {
		State     State
		Message   string
		ErrorKind ErrorKind
	}
)

const (
	StateUnspecified State = iota
	StateSuccess
	StateCancelled
)

const (
	ErrorNone ErrorKind = iota
	ErrorInternal
	ErrorStepFailure
	ErrorCancelled
	ErrorTimeout
	ErrorUnknown
)

func (State) String() string { return "stub" }
