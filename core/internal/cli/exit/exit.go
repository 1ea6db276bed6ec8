// SPDX-License-Identifier: Apache-2.0

// Package exit holds the contract of exit codes and reasons: an error goes in, and
// its code and word come out.
package exit

import (
	"context"
	"errors"
	"fmt"

	"github.com/outlast-ci/outlast/core"
	"github.com/outlast-ci/outlast/core/gate"
	"github.com/outlast-ci/outlast/core/internal/aws"
	"github.com/outlast-ci/outlast/core/internal/cli/cure"
	"github.com/outlast-ci/outlast/core/internal/config"
	"github.com/outlast-ci/outlast/core/internal/kube"
	"github.com/outlast-ci/outlast/core/internal/rights"
	"github.com/outlast-ci/outlast/core/push"
	"github.com/outlast-ci/outlast/core/release"
	"github.com/outlast-ci/outlast/core/render"
)

// Exit codes: the contract that every wrapper shares.
const (
	exitOK          = 0
	exitInternal    = 1
	exitUsage       = 2
	exitAuth        = 3
	exitBuildPush   = 4
	exitRender      = 5
	exitApply       = 6
	exitGate        = 7
	exitGateTimeout = 8
	exitRolledBack  = 9   // the deploy failed, and what was there before is there again
	exitBroken      = 10  // the deploy failed, and so did the rollback
	exitInterrupt   = 130 // SIGINT
	exitTerminate   = 143 // SIGTERM
)

// UsageError is a mistake in what the user gave: flags, variables, outlast.yaml.
type UsageError struct{ err error }

// Usage marks an error as the user's mistake.
func Usage(err error) error { return &UsageError{err} }

func (e *UsageError) Error() string { return e.err.Error() }
func (e *UsageError) Unwrap() error { return e.err }

// ErrTerminated is the cause of a context that SIGTERM ended.
var ErrTerminated = errors.New("terminated by SIGTERM")

// stageExits: the code and the reason's word when a stage fails for a reason
// of its own.
var stageExits = map[string]struct {
	code   int
	reason string
}{
	"build":  {exitBuildPush, "build-failed"},
	"push":   {exitBuildPush, "push-failed"},
	"render": {exitRender, "render-failed"},
	"apply":  {exitApply, "apply-failed"},
	"gate":   {exitGate, "gate-failed"},

	"rollback": {exitApply, "apply-failed"}, // a command, like the next ones
	"plan":     {exitApply, "apply-failed"},
	"timings":  {exitRender, "findings"},
}

// FindingsError fails a check that ran.
type FindingsError struct{ Count int }

func (e *FindingsError) Error() string {
	if e.Count == 1 {
		return "1 finding fails the check"
	}
	return fmt.Sprintf("%d findings fail the check", e.Count)
}

// Of maps an error to its exit code and to OUTLAST_OUT_REASON, one word of the
// list in docs/exit-codes.md.
func Of(ctx context.Context, err error) (code int, reason string) {
	var (
		usage    *UsageError
		path     *render.PathError
		readOnly *cure.RefusedError
		notCured *cure.UndoneError
		awsAuth  *aws.AuthError
		pushAuth *push.AuthError
		kubeAuth *kube.AuthError
		noEnv    *config.NoEnvironmentError
		verdict  *gate.Error
		stage    *core.StageError
		found    *FindingsError
		undone   *core.RolledBackError
		held     *release.HeldError
		lost     *release.LostError
		moved    *core.MovedError
		missing  *rights.MissingError
	)
	switch {
	case err == nil:
		return exitOK, "ok"
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), ErrTerminated):
		return exitTerminate, "terminated"
	case ctx.Err() != nil:
		return exitInterrupt, "interrupted"
	case errors.As(err, &noEnv):
		return exitUsage, "no-environment"
	case errors.As(err, &found), errors.As(err, &notCured) && len(notCured.Changed) == 0:
		return exitRender, "findings"
	case errors.Is(err, core.ErrParted), errors.As(err, &usage), errors.As(err, &path), errors.As(err, &readOnly):
		return exitUsage, "usage"
	case errors.As(err, &undone) && undone.Undone != nil:
		return exitBroken, "rollback-failed"
	case errors.As(err, &undone):
		return exitRolledBack, why(ctx, err, undone.Err)
	case errors.As(err, &moved):
		return exitApply, "world-moved"
	case errors.As(err, &held):
		return exitApply, "locked"
	case errors.As(err, &lost), errors.Is(err, release.ErrFenced):
		return exitApply, "lock-lost"
	case errors.As(err, &awsAuth), errors.As(err, &pushAuth), errors.As(err, &kubeAuth), errors.As(err, &missing):
		return exitAuth, "auth"
	case errors.As(err, &verdict) && verdict.TimedOut:
		return exitGateTimeout, string(verdict.Reason)
	case errors.As(err, &verdict):
		return exitGate, string(verdict.Reason)
	case errors.As(err, &stage):
		exit, ok := stageExits[stage.Stage]
		if !ok {
			return exitInternal, "internal"
		}
		return exit.code, exit.reason
	}
	return exitInternal, "internal"
}

// why is the reason's word for the cause of a rollback that err tells of. What a stage
// failed with need not say which stage it was.
func why(ctx context.Context, err, cause error) string {
	var stage *core.StageError
	if errors.As(err, &stage) {
		cause = &core.StageError{Stage: stage.Stage, Err: cause}
	}
	_, reason := Of(ctx, cause)
	return reason
}
