// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
)

// What Kubernetes and AWS do when nothing is written.
const (
	defaultGrace            = 30
	defaultDelay            = 300
	defaultProgressDeadline = 600
)

// edit is one field to set: wanted under fix, reported under warn, refused
// under enforce.
type edit struct {
	Change
	id    string // of the rule that asks for it
	apply func() error
}

// injector walks the workloads and collects what to set and what is wrong.
type injector struct {
	graph     *graph
	policy    Policy
	edits     []edit
	workloads []Workload
	findings  []drain.Finding
	changes   []Change
}

func (in *injector) find(severity drain.Severity, id string, object *yaml.RNode, field, message string) {
	in.findings = append(in.findings, drain.Finding{Rule: id, Severity: severity, Object: objectID(object), Field: field, Message: message})
}

// want asks for a field; from is what stands there, for the report.
func (in *injector) want(id string, object *yaml.RNode, path, from, to, why string, apply func() error) {
	in.edits = append(in.edits, edit{Change{Object: objectID(object), Field: path, From: from, To: to, Why: why}, id, apply})
}

// workload computes the timings of one workload and asks for its fields.
func (in *injector) workload(w *workload, inputs drain.Inputs) error {
	out := Workload{APIVersion: w.GetApiVersion(), Kind: w.GetKind(), Namespace: w.GetNamespace(), Name: w.GetName(), Replicas: 1, Behind: len(w.balancers) > 0}
	if n, ok := number(w.RNode, "spec", "replicas"); ok {
		out.Replicas = n
	}
	for _, c := range containers(podSpec(w.RNode), false) {
		out.Images = append(out.Images, field(c, "image"))
	}
	if out.Behind {
		for _, s := range w.services {
			out.Services = append(out.Services, s.GetNamespace()+"/"+s.GetName())
		}
		for _, b := range w.balancers {
			out.Balancers = append(out.Balancers, objectID(b.object))
		}
		plan, err := in.plan(w, inputs, out.Replicas)
		if err != nil {
			return err
		}
		out.Plan = plan
	}
	in.workloads = append(in.workloads, out)
	return nil
}

// plan solves for one workload and asks for what its objects lack.
func (in *injector) plan(w *workload, inputs drain.Inputs, replicas int) (drain.Plan, error) {
	written, err := in.written(w)
	if err != nil {
		return drain.Plan{}, err
	}
	inputs = in.adjust(w, inputs, replicas)
	if in.policy == Off {
		return drain.Adopt(written.effective(), inputs)
	}
	bare, err := drain.Solve(inputs)
	if err != nil {
		return drain.Plan{}, err
	}
	inputs.Floor = drain.Given{DeregistrationDelay: written.longestDelay(bare)}
	least, err := drain.Solve(inputs)
	if err != nil {
		return drain.Plan{}, err
	}
	inputs.Floor = written.floor(bare)
	inputs.MinReady = drain.Seconds(written.minReady)
	inputs.ProgressDeadline = drain.Seconds(written.progressDeadline)
	if w.GetKind() == "Deployment" && written.progressDeadline == 0 {
		inputs.ProgressDeadline = defaultProgressDeadline
	}
	plan, err := drain.Solve(inputs)
	if err != nil {
		return drain.Plan{}, err
	}
	in.wantPod(w, written, plan, least)
	in.wantRollout(w, written, plan)
	if err := in.wantDelay(w, plan); err != nil {
		return drain.Plan{}, err
	}
	in.wantGate(w)
	in.lint(w, replicas)
	for _, f := range plan.Findings {
		f.Object = w.id()
		in.findings = append(in.findings, f)
	}
	if in.policy == Fix {
		return plan, nil
	}
	return drain.Adopt(written.effective(), inputs)
}

// adjust fills in what the manifests tell about the balancer.
func (in *injector) adjust(w *workload, inputs drain.Inputs, replicas int) drain.Inputs {
	inputs.Replicas = replicas
	inputs.Surge = surge(w.RNode, replicas)
	inputs.TargetGroups = max(1, len(w.balancers))
	for _, b := range w.balancers {
		if b.kind == "nlb" { // registers in minutes and drains for two, whatever the delay says
			inputs.Propagation = max(inputs.Propagation, 150*time.Second)
			inputs.Registration = max(inputs.Registration, 180*time.Second)
			continue
		}
		for _, s := range w.services {
			if n, err := strconv.Atoi(effective(s, b.object, "healthcheck-interval-seconds")); err == nil && n > 0 {
				inputs.HealthInterval = time.Duration(n) * time.Second
			}
			if n, err := strconv.Atoi(effective(s, b.object, "healthcheck-timeout-seconds")); err == nil && n > 0 {
				inputs.HealthTimeout = time.Duration(n) * time.Second
			}
		}
	}
	return inputs
}

// effective is an annotation as the controller reads it: the Service's hides
// the Ingress's, whole key by whole key.
func effective(service, ingress *yaml.RNode, name string) string {
	if v, ok := service.GetAnnotations()[albPrefix+name]; ok {
		return v
	}
	return ingress.GetAnnotations()[albPrefix+name]
}

// surge resolves maxSurge as the controller does: percentages rounded up.
func surge(w *yaml.RNode, replicas int) int {
	if w.GetKind() != "Deployment" {
		return 0
	}
	text := field(w, "spec", "strategy", "rollingUpdate", "maxSurge")
	if text == "" {
		text = "25%"
	}
	n, err := resolve(text, replicas)
	if err != nil || n < 1 { // wantRollout asks for 1
		return 1
	}
	return n
}

func resolve(text string, replicas int) (int, error) {
	if n := len(text); n > 0 && text[n-1] == '%' {
		percent, err := strconv.Atoi(text[:n-1])
		return (percent*replicas + 99) / 100, err
	}
	return strconv.Atoi(text)
}

// settle carries the policy out: edits are made, reported or refused.
func (in *injector) settle() error {
	switch in.policy {
	case Off:
		in.findings = nil
		return nil
	case Fix:
		for _, e := range in.edits {
			if err := e.apply(); err != nil {
				return fmt.Errorf("setting %s of %s to %s: %w", e.Field, e.Object, e.To, err)
			}
			in.changes = append(in.changes, e.Change)
		}
	default:
		severity := drain.Warning
		if in.policy == Enforce {
			severity = drain.Error
		}
		for _, e := range in.edits {
			from := e.From
			if from == "" {
				from = "not set"
			}
			in.findings = append(in.findings, drain.Finding{Rule: e.id, Severity: severity, Object: e.Object, Field: e.Field, Message: fmt.Sprintf("%s; want %s: %s", from, e.To, e.Why)})
		}
	}
	broken := slices.DeleteFunc(slices.Clone(in.findings), func(f drain.Finding) bool { return f.Severity != drain.Error })
	if len(broken) > 0 && in.policy != Warn {
		return &RuleError{Findings: broken}
	}
	return nil
}
