// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"context"
	"io"
	"time"

	"gitlab.com/gitlab-org/step-runner/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

type (
	Kind          int
	Value         = structpb.Value
	BuiltinResult struct{}

	BuiltinContext interface {
		GetInput(string, Kind) (*Value, error)
		GetJobVars() map[string]*Value
		GetEnvs() map[string]string
		Pipe() (io.Writer, io.Writer)
		WorkDir() string
		GracefulExitDelay() time.Duration
		ListenCancel(context.Context) (context.Context, context.CancelFunc)
	}
	BuiltinFunction interface {
		Spec() *proto.Spec
		Run(context.Context, BuiltinContext) (BuiltinResult, error)
	}
)

const KindString Kind = 1
