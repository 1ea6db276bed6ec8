// SPDX-License-Identifier: Apache-2.0

package exit

import (
	"errors"
	"fmt"
	"testing"

	"github.com/outlast-ci/outlast/core"
	"github.com/outlast-ci/outlast/core/gate"
	"github.com/outlast-ci/outlast/core/internal/cli/cure"
	"github.com/outlast-ci/outlast/core/internal/kube"
)

// TestCodes: a deploy that was rolled back tells why it failed, as it does when it is
// not; and what is told of cures.
func TestCodes(t *testing.T) {
	failed := errors.New("Job/dev/migrate failed")
	stage := func(name string, err error) error { return &core.StageError{Stage: name, Err: err} }
	for name, tc := range map[string]struct {
		err    error
		code   int
		reason string
	}{
		"an apply that is held":                   {stage("apply", failed), 6, "apply-failed"},
		"an apply":                                {stage("apply", &core.RolledBackError{Err: failed}), 9, "apply-failed"},
		"an apply in one of several clusters":     {fmt.Errorf("prod-2: %w", stage("apply", &core.RolledBackError{Err: failed})), 9, "apply-failed"},
		"an apply that was not allowed":           {stage("apply", &core.RolledBackError{Err: &kube.AuthError{Err: failed}}), 9, "auth"},
		"a gate":                                  {stage("gate", &core.RolledBackError{Err: &gate.Error{Reason: gate.CrashLoop}}), 9, "crash-loop"},
		"a gate whose time was over":              {stage("gate", &core.RolledBackError{Err: &gate.Error{Reason: gate.TimedOut, TimedOut: true}}), 9, "timeout"},
		"a write after the gate":                  {stage("gate", &core.RolledBackError{Err: failed}), 9, "gate-failed"},
		"a rollback that failed is the end of it": {stage("apply", &core.RolledBackError{Err: failed, Undone: failed}), 10, "rollback-failed"},
		"cures that something overwrites":         {&cure.UndoneError{Err: failed}, 5, "findings"},
		"cures that could not be taken back":      {&cure.UndoneError{Err: failed, Changed: []string{"a"}}, 1, "internal"},
		"what no stage tells is a fault":          {failed, 1, "internal"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, reason := Of(t.Context(), tc.err); code != tc.code || reason != tc.reason {
				t.Errorf("%d %s, want %d %s", code, reason, tc.code, tc.reason)
			}
		})
	}
}
