// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

// What is deployed: the example, as often as asked for.
const (
	replicas = 4
	port     = 1325
	prefix   = "soak-" // of the namespaces
	folder   = "soak"  // of the manifests, in a checkout
	config   = `app: web
images:
  - name: web
    repository: web
drain:
  longestRequest: 3s
  onSigterm: graceful
  shutdown: 2s
environments:
  dev:
    branches: [develop]
`
)

// files are a kustomization on top of the example's.
var files = map[string]*template.Template{
	"kustomization.yaml": parse(`apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: {{.Namespace}}
resources: [namespace.yaml, ../deploy/base]
patches:
  - path: ingress.yaml
  - path: deployment.yaml
`),
	"namespace.yaml": parse(`apiVersion: v1
kind: Namespace
metadata:
  name: {{.Namespace}}
  labels: {elbv2.k8s.aws/pod-readiness-gate-inject: enabled}
`),
	"ingress.yaml": parse(`apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  annotations:
    alb.ingress.kubernetes.io/group.name: {{.Namespace}}
    alb.ingress.kubernetes.io/healthcheck-path: /healthz
    alb.ingress.kubernetes.io/healthcheck-interval-seconds: "{{.Health}}"
{{- if .Bare}}
    alb.ingress.kubernetes.io/target-group-attributes: deregistration_delay.timeout_seconds={{.Delay}}
{{- end}}
    alb.ingress.kubernetes.io/load-balancer-attributes: access_logs.s3.enabled=true,access_logs.s3.bucket=outlast-lab-logs{{if .Idle}},idle_timeout.timeout_seconds={{.Idle}}{{end}}
`),
	"deployment.yaml": parse(`apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: {{.Replicas}}
  progressDeadlineSeconds: {{.Deadline}}
  strategy: {rollingUpdate: {maxSurge: "{{.Surge}}", maxUnavailable: 0}}
  template:
    metadata:
      annotations: {release: "{{.Release}}"}
    spec:
{{- if .Bare}}
      terminationGracePeriodSeconds: {{.Grace}}
{{- end}}
      containers:
        - name: web
          # a wrong port is one where the probe finds the service, and the balancer does not
          readinessProbe: {httpGet: {port: {{.Probe}}}}
          env:
{{- range $name, $value := .Env}}
            - {name: {{$name}}, value: "{{$value}}"}
{{- else}} []
{{- end}}
`),
}

func parse(text string) *template.Template { return template.Must(template.New("").Parse(text)) }

// write puts the manifests of a release into a checkout, in the folder soak.
func write(checkout string, p Profile, namespace, release string, s shape) error {
	dir := filepath.Join(checkout, folder)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	values, probe := map[string]string{}, "http"
	for name, value := range s.env {
		if value == slowStart {
			value = (time.Duration(p.Deadline)*time.Second + 30*time.Second).String()
		}
		if other, ok := strings.CutPrefix(value, ":"); ok {
			probe = other
		}
		values[name] = value
	}
	if s.bare {
		values["ON_SIGTERM"] = "exit"
	}
	for name, t := range files {
		var text bytes.Buffer
		err := t.Execute(&text, map[string]any{
			"Namespace": namespace, "Health": p.Health, "Replicas": replicas, "Deadline": p.Deadline, "Surge": p.Surge, "Release": release, "Probe": probe, "Env": values,
			"Bare": s.bare, "Grace": s.grace, "Delay": s.delay, "Idle": s.idle,
		})
		if err != nil {
			return fmt.Errorf("writing %s of release %s: %w", name, release, err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// grounds are what a platform team gives an application: the namespace, and what a
// deployer may do there.
func grounds(namespace string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Namespace
metadata: {name: %[1]s, labels: {elbv2.k8s.aws/pod-readiness-gate-inject: enabled}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: outlast-deployer, namespace: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: outlast-deployer}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "outlast:deployers"}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: outlast-deployer-%[1]s}
rules:
- {apiGroups: [""], resources: [namespaces], resourceNames: [%[1]s], verbs: [get, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: outlast-deployer-%[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: outlast-deployer-%[1]s}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "outlast:deployers"}]
`, namespace)
}
