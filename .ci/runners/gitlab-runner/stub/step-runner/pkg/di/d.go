// SPDX-License-Identifier: Apache-2.0

package di

import (
	"errors"
	"log/slog"

	"gitlab.com/gitlab-org/step-runner/pkg/runner"
	"gitlab.com/gitlab-org/step-runner/proto"
)

type Container struct{}

func WithBuiltinFunc(string, runner.BuiltinFunction) func(*Container) { return nil }
func WithOperatorLogger(*slog.Logger) func(*Container)                { return nil }
func NewContainer(...func(*Container)) *Container                     { return nil }
func (*Container) StepRunnerService() (proto.StepRunnerServer, error) {
	return nil, errors.New("stub: no step-runner")
}
