// SPDX-License-Identifier: Apache-2.0

package render

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outlast-ci/outlast/core/drain"
)

// apps are so many applications of five objects each, as people write them: nothing
// is set that rules ask for.
func apps(n int) []string {
	var docs []string
	for i := range n {
		docs = append(docs, strings.ReplaceAll(`apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: shop, labels: {app: NAME}}
spec:
  replicas: 3
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      containers:
      - name: NAME
        image: registry.example.com/NAME:1.2.3
        ports: [{containerPort: 8080}]
        env:
        - {name: A, value: "1"}
        - {name: B, value: "2"}
        readinessProbe: {httpGet: {path: /healthz, port: 8080}}
        resources: {requests: {cpu: 100m, memory: 128Mi}}
      - name: proxy
        image: registry.example.com/proxy:4
        lifecycle: {preStop: {exec: {command: [sh, -c, "sleep 5"]}}}
---
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: shop, labels: {app: NAME}}
spec: {selector: {app: NAME}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: NAME
  namespace: shop
  annotations: {alb.ingress.kubernetes.io/target-type: ip, alb.ingress.kubernetes.io/healthcheck-path: /healthz}
spec:
  ingressClassName: alb
  rules: [{host: NAME.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: NAME, port: {number: 80}}}}]}}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: NAME, namespace: shop}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: NAME}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: NAME, namespace: shop}
data: {a: "1", b: "2", c: "3"}
`, "NAME", fmt.Sprintf("app-%03d", i)))
	}
	return docs
}

// folders are the same 500 objects as plain YAML and behind kustomize.
func folders(b *testing.B) map[string]string {
	b.Helper()
	all := strings.Join(apps(100), "---\n")
	dirs := map[string]string{}
	for name, files := range map[string]map[string]string{
		"plain":         {"all.yaml": all},
		"kustomization": {"base/kustomization.yaml": "resources: [all.yaml]\n", "base/all.yaml": all, "kustomization.yaml": "namespace: shop\nresources: [base]\n"},
	} {
		dir := b.TempDir()
		for file, text := range files {
			path := filepath.Join(dir, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				b.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				b.Fatal(err)
			}
		}
		dirs[name] = dir
	}
	return dirs
}

// BenchmarkCheck500 checks 500 objects; the aim is 300 ms. BenchmarkRender500 sets
// the timings of the same, and BenchmarkCure500 gives the files that make them safe.
func BenchmarkCheck500(b *testing.B) {
	bench(b, func(opt Options) (int, error) {
		r, err := Check(context.Background(), opt, nil)
		return len(r.Findings), err
	})
}

func BenchmarkRender500(b *testing.B) {
	bench(b, func(opt Options) (int, error) {
		r, err := Render(context.Background(), opt)
		return len(r.Changes), err
	})
}

func BenchmarkCure500(b *testing.B) {
	bench(b, func(opt Options) (int, error) {
		r, err := Cure(context.Background(), opt)
		return len(r.Changes), err
	})
}

func bench(b *testing.B, run func(Options) (int, error)) {
	for name, dir := range folders(b) {
		b.Run(name, func(b *testing.B) {
			opt := Options{Path: dir, Root: dir, Drain: drain.Defaults()}
			started, n := time.Now(), 0
			for b.Loop() {
				var err error
				if n, err = run(opt); err != nil || n < 500 {
					b.Fatalf("%d, %v", n, err)
				}
			}
			b.ReportMetric(float64(time.Since(started).Milliseconds())/float64(b.N), "ms/run")
			b.ReportMetric(float64(n), "found")
		})
	}
}
