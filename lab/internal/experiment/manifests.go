// SPDX-License-Identifier: Apache-2.0

package experiment

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"

	"github.com/outlast-ci/outlast/lab/internal/experiment/plan"
	"github.com/outlast-ci/outlast/lab/internal/trial"
)

// What is rolled out: the same for all settings.
const (
	replicas = 2
	// All new pods at once: a rollout takes one wave, so that many fit.
	maxSurge    = "100%"
	slowSeconds = 5 // that outlast is told of
	port        = 1325
	prefix      = "exp-" // of the namespaces
)

// config is outlast's. It says of the application what outlast cannot know, and
// leaves all else at the documented planning values.
var config = fmt.Sprintf(`app: web
images:
  - name: web
    repository: web
drain:
  longestRequest: %ds
  onSigterm: graceful
environments:
  dev:
    branches: [develop]
`, slowSeconds)

// files are a kustomization on top of the example's.
var files = map[string]*template.Template{
	"kustomization.yaml": parse(`apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: {{.Namespace}}
resources: [namespace.yaml, ../../deploy/base]
patches:
  - path: ingress.yaml
  - path: deployment.yaml
`),
	"namespace.yaml": parse(`apiVersion: v1
kind: Namespace
metadata:
  name: {{.Namespace}}
{{- if .Gates}}
  labels: {elbv2.k8s.aws/pod-readiness-gate-inject: enabled}
{{- end}}
`),
	"ingress.yaml": parse(`apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  annotations:
    alb.ingress.kubernetes.io/group.name: {{.Namespace}}
    # the controller's own defaults: the example's quicker ones end a loss sooner
    alb.ingress.kubernetes.io/healthcheck-interval-seconds: "15"
    alb.ingress.kubernetes.io/healthcheck-timeout-seconds: "5"
    alb.ingress.kubernetes.io/load-balancer-attributes: access_logs.s3.enabled=true,access_logs.s3.bucket={{.Bucket}},access_logs.s3.prefix={{.Prefix}}
{{- if .Write}}
    alb.ingress.kubernetes.io/target-group-attributes: deregistration_delay.timeout_seconds={{.Delay}}
{{- end}}
`),
	"deployment.yaml": parse(`apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: {{.Replicas}}
  strategy: {rollingUpdate: {maxSurge: "{{.MaxSurge}}", maxUnavailable: 0}}
{{- if .Write}}
  template:
    spec:
      terminationGracePeriodSeconds: {{.Grace}}
      containers:
        - name: web
          lifecycle: {preStop: {sleep: {seconds: {{.PreStop}}}}}
{{- end}}
`),
}

func parse(text string) *template.Template { return template.Must(template.New("").Parse(text)) }

// manifests are what is applied for a setting, and the timings in them.
func (b *bench) manifests(ctx context.Context, s plan.Setting, namespace, logs string) (string, plan.Timings, error) {
	dir := filepath.Join("experiment", s.Name)
	if err := os.MkdirAll(filepath.Join(b.checkout.Dir, dir), 0o755); err != nil {
		return "", plan.Timings{}, err
	}
	for name, t := range files {
		var text bytes.Buffer
		err := t.Execute(&text, map[string]any{
			"Namespace": namespace, "Gates": s.Kind != plan.Bare, "Write": s.Kind == plan.Written, "Bucket": b.State.LogBucket(), "Prefix": logs,
			"Replicas": replicas, "MaxSurge": maxSurge, "Grace": s.Write.GracePeriod, "PreStop": s.Write.PreStop, "Delay": s.Write.DeregistrationDelay,
		})
		if err != nil {
			return "", plan.Timings{}, err
		}
		if err := os.WriteFile(filepath.Join(b.checkout.Dir, dir, name), text.Bytes(), 0o644); err != nil {
			return "", plan.Timings{}, err
		}
	}
	policy, mode := "off", cmp.Or(s.Mode, "auto")
	if s.Kind.Computes() {
		policy = "fix"
	}
	// Not the lab's shortened planning values: here the documented ones hold.
	run, err := b.checkout.Run(ctx, trial.Command{
		Args: []string{"render", "--config", "experiment.yaml", "--manifests", dir, "--drain-policy", policy, "--drain-mode", mode, "--image", "web=" + b.image, "--output-dir", filepath.Join(".outlast", s.Name)},
		Env:  []string{"OUTLAST_SET="},
	})
	if err == nil && run.Exit != 0 {
		err = fmt.Errorf("exit %d: %s", run.Exit, run.Stderr)
	}
	if err != nil {
		return "", plan.Timings{}, fmt.Errorf("rendering the manifests of setting %s: %w", s.Name, err)
	}
	return replace(run.Stdout, s)
}

var (
	sleepLine = regexp.MustCompile(`(sleep:\s+seconds: )(\d+)`)
	graceLine = regexp.MustCompile(`(terminationGracePeriodSeconds: )(\d+)`)
	delayLine = regexp.MustCompile(`(deregistration_delay\.timeout_seconds=)(\d+)`)
	readyLine = regexp.MustCompile(`(minReadySeconds: )(\d+)`)
)

// replace puts the setting's own timings in the place of those that were
// computed, if it has any, and reads what holds then.
func replace(text string, s plan.Setting) (string, plan.Timings, error) {
	var t plan.Timings
	for _, x := range []struct {
		name string
		line *regexp.Regexp
		by   int
		to   *int
	}{
		{"preStop", sleepLine, s.Write.PreStop, &t.PreStop}, {"grace period", graceLine, s.Write.GracePeriod, &t.GracePeriod},
		{"deregistration delay", delayLine, s.Write.DeregistrationDelay, &t.DeregistrationDelay}, {"minReadySeconds", readyLine, s.Write.MinReady, &t.MinReady},
	} {
		if s.Kind.Computes() && x.by != plan.Unwritten {
			if n := len(x.line.FindAllString(text, -1)); n != 1 {
				return "", t, fmt.Errorf("replacing the %s of setting %s: there is not one in the manifests, but %d:\n%s", x.name, s.Name, n, text)
			}
			text = x.line.ReplaceAllString(text, fmt.Sprintf("${1}%d", x.by))
		}
		*x.to = plan.Unwritten
		if m := x.line.FindStringSubmatch(text); m != nil {
			if _, err := fmt.Sscan(m[2], x.to); err != nil {
				return "", t, fmt.Errorf("reading the timings of setting %s: %w", s.Name, err)
			}
		}
	}
	if !strings.Contains(text, "kind: Deployment") {
		return "", t, fmt.Errorf("rendering the manifests of setting %s: there is no Deployment in them", s.Name)
	}
	return text, t, nil
}
