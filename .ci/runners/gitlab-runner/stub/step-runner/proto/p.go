// SPDX-License-Identifier: Apache-2.0

package proto

import "google.golang.org/grpc"

type ValueType int

const ValueType_string ValueType = 0

type (
	Spec         struct{ Spec *Spec_Content }
	Spec_Content struct {
		Inputs map[string]*Spec_Content_Input
	}
	Spec_Content_Input struct{ Type ValueType }
	StepRunnerServer   interface{}
)

func RegisterStepRunnerServer(*grpc.Server, StepRunnerServer) {}
