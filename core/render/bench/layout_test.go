// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// layout is a base of applications with an overlay.
type layout struct {
	overlay string // plain: resources only; full: with all that overlays do
	base    string // files: one an application; one: one file for all; shared: every Deployment names the generated ConfigMap; folders: a kustomization an application
}

var layouts = []layout{{"plain", "files"}, {"full", "files"}, {"plain", "one"}, {"full", "one"}, {"full", "shared"}, {"full", "folders"}}

// application is five objects that name one another.
const application = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: app-N
  labels: {app: app-N}
spec:
  replicas: 3
  selector:
    matchLabels: {app: app-N}
  template:
    metadata:
      labels: {app: app-N}
    spec:
      serviceAccountName: app-N
      containers:
      - name: main
        image: registry.example.com/app:1.0
        ports:
        - containerPort: 8080
        env:
        - name: LEVEL
          valueFrom:
            configMapKeyRef: {name: app-N-config, key: level}
        envFrom:
        - configMapRef: {name: SETTINGS}
        readinessProbe:
          httpGet: {path: /healthz, port: 8080}
        resources:
          requests: {cpu: 100m, memory: 128Mi}
          limits: {memory: 256Mi}
---
apiVersion: v1
kind: Service
metadata:
  name: app-N
spec:
  selector: {app: app-N}
  ports:
  - name: http
    port: 80
    targetPort: 8080
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: app-N
  annotations:
    alb.ingress.kubernetes.io/target-type: ip
spec:
  ingressClassName: alb
  rules:
  - host: app-N.example.com
    http:
      paths:
      - path: /
        pathType: Prefix
        backend:
          service:
            name: app-N
            port: {number: 80}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: app-N-config
data:
  level: info
  application.properties: |
    name=app-N
    threads=16
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: app-N
`

const full = `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: prod
namePrefix: p-
labels:
- pairs: {team: shop}
  includeSelectors: true
images:
- name: registry.example.com/app
  newTag: "2.0"
resources:
- ../../base
patches:
- target: {kind: Deployment}
  patch: |-
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: any}
    spec:
      template:
        spec:
          terminationGracePeriodSeconds: 60
configMapGenerator:
- name: shared
  literals: [level=debug, color=blue]
`

// write makes n resources and gives the folder.
func (l layout) write(b *testing.B, n int) (dir string) {
	b.Helper()
	dir = b.TempDir()
	write := func(name, text string) {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	var names, texts []string
	for i := range n / 5 {
		settings := "app-N-config"
		if l.base == "shared" {
			settings = "shared"
		}
		text := strings.ReplaceAll(strings.ReplaceAll(application, "SETTINGS", settings), "N", fmt.Sprint(i))
		name := fmt.Sprintf("app-%d", i)
		switch l.base {
		case "one":
			texts = append(texts, text)
			continue
		case "folders":
			write("base/"+name+"/kustomization.yaml", "resources: [all.yaml]\n")
			write("base/"+name+"/all.yaml", text)
		default:
			name += ".yaml"
			write("base/"+name, text)
		}
		names = append(names, name)
	}
	if l.base == "one" {
		write("base/all.yaml", strings.Join(texts, "---\n"))
		names = []string{"all.yaml"}
	}
	write("base/kustomization.yaml", "resources:\n- "+strings.Join(names, "\n- ")+"\n")
	write("overlays/full/kustomization.yaml", full)
	write("overlays/plain/kustomization.yaml", "resources: [../../base]\n")
	return dir
}
