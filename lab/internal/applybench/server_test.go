// SPDX-License-Identifier: Apache-2.0

package applybench

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/pki"
	"github.com/outlast-ci/outlast/lab/internal/tools"
)

// world is a real API server with etcd, but no node, and a line to it.
type world struct {
	*testing.B
	dir     string
	kubectl string
	ours    string // the program in core/apply/bench
	line    *line
}

// newWorld starts it. With controllers, what is written is worked upon on the same cores
// that the server and its client have; a cluster's control plane has its own.
func newWorld(b *testing.B, controllers bool) *world {
	b.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		b.Fatal(err)
	}
	w := &world{B: b, dir: b.TempDir()}
	builder := tools.Builder{Source: "../..", Cache: filepath.Join(cache, "outlast-lab", "bin"), Log: b.Logf}
	server := ""
	for _, t := range tools.All() {
		switch t.Name {
		case "kube":
			server, err = builder.Build(b.Context(), t)
		case "kubectl":
			w.kubectl, err = builder.Build(b.Context(), t)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	w.ours = filepath.Join(w.dir, "ours")
	build := exec.CommandContext(b.Context(), "go", "test", "-c", "-trimpath", "-ldflags", "-s -w", "-o", w.ours, "./core/apply/bench")
	build.Dir = "../../.."
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("building our program: %v\n%s", err, out)
	}
	w.start(server, controllers)
	return w
}

// start starts the control plane and the line, and waits until it answers.
func (w *world) start(server string, controllers bool) {
	w.Helper()
	certs := []pki.Cert{
		{Name: "apiserver", CommonName: "kube-apiserver", IPs: []string{"127.0.0.1", "10.96.0.1"}, DNS: []string{"localhost", "kubernetes"}},
		{Name: "apiserver-kubelet", CommonName: "kube-apiserver-kubelet-client", Organization: []string{"system:masters"}},
		{Name: "admin", CommonName: "admin", Organization: []string{"system:masters"}},
		{Name: "far", CommonName: "admin", Organization: []string{"system:masters"}},
	}
	keys := filepath.Join(w.dir, "pki")
	if err := pki.Make(keys, certs); err != nil {
		w.Fatal(err)
	}
	port, etcd := freePort(w), freePort(w)
	var err error
	if w.line, err = newLine("127.0.0.1:" + port); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(w.line.close)
	for name, address := range map[string]string{"admin": "127.0.0.1:" + port, "far": w.line.address} {
		if err := pki.Kubeconfig(keys, name, "https://"+address); err != nil {
			w.Fatal(err)
		}
	}
	log, err := os.Create(filepath.Join(w.dir, "kube.log"))
	if err != nil {
		w.Fatal(err)
	}
	cmd := exec.Command(server, "all", "--dir", w.dir, "--bind", "127.0.0.1", "--port", port, "--etcd-port", etcd, fmt.Sprintf("--bare=%t", !controllers))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended
		time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
		cmd.Wait() //nolint:errcheck // it is told to end
		log.Close()
	})
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		ready := []string{"get", "namespace", "default"}
		if controllers {
			ready = []string{"get", "serviceaccount", "default", "-n", "default"}
		}
		out, err := w.near(ready...)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(log.Name()) //nolint:errcheck // it is only shown
			w.Fatalf("the API server does not answer: %v %s\n%s", err, out, text[max(0, len(text)-2000):])
		}
	}
}

func freePort(b *world) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	return port
}

// near runs kubectl without the line.
func (w *world) near(args ...string) (string, error) {
	out, err := exec.Command(w.kubectl, append([]string{"--kubeconfig", filepath.Join(w.dir, "pki", "admin.kubeconfig")}, args...)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// run is how a program did.
type run struct {
	seconds, cpu float64
	mib          int64
	code         int
	out          string
}

// apply applies manifests over the line, by kubectl or by us.
func (w *world) apply(who, manifests string) run {
	w.Helper()
	file := filepath.Join(w.dir, "manifests.yaml")
	if err := os.WriteFile(file, []byte(manifests), 0o600); err != nil {
		w.Fatal(err)
	}
	far := filepath.Join(w.dir, "pki", "far.kubeconfig")
	ctx, cancel := context.WithTimeout(w.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, w.kubectl, "--kubeconfig", far, "apply", "--server-side", "-f", file)
	if who == "ours" {
		cmd = exec.CommandContext(ctx, w.ours, "-test.run", "TestProgram")
		cmd.Env = append(os.Environ(), "OUTLAST_BENCH_KUBECONFIG="+far, "OUTLAST_BENCH_MANIFESTS="+file)
	}
	started := time.Now()
	out, err := cmd.CombinedOutput()
	r := run{seconds: time.Since(started).Seconds(), out: string(out)}
	if cmd.ProcessState == nil {
		w.Fatalf("%s: %v", who, err)
	}
	r.code = cmd.ProcessState.ExitCode()
	r.cpu = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.mib = usage.Maxrss >> 10
	}
	return r
}

// kinds are those of the manifests.
const kinds = "configmaps,secrets,serviceaccounts,services,ingresses,deployments"

// versions lists the objects of a namespace with their resource versions, once
// the controllers have nothing left to write.
func (w *world) versions(namespace string) string {
	w.Helper()
	list := func() string {
		out, err := w.near("get", kinds, "-n", namespace, "-l", "bench=yes", "-o", `jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion}{"\n"}{end}`)
		if err != nil {
			w.Fatalf("%v: %s", err, out)
		}
		return out
	}
	for before := list(); ; {
		time.Sleep(3 * time.Second)
		now := list()
		if now == before {
			return now
		}
		before = now
	}
}

// manifests are n objects of five kinds in a namespace.
func manifests(namespace string, n int, value string) string {
	docs := []string{fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n", namespace)}
	for i := range n / 5 {
		docs = append(docs, strings.NewReplacer("NAME", fmt.Sprintf("app-%d", i), "SPACE", namespace, "VALUE", value).Replace(`apiVersion: v1
kind: ConfigMap
metadata: {name: NAME, namespace: SPACE, labels: {bench: "yes"}}
data: {mode: VALUE, log: info}
---
apiVersion: v1
kind: Secret
metadata: {name: NAME, namespace: SPACE, labels: {bench: "yes"}}
data: {token: aHVudGVyMjI=}
---
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: SPACE, labels: {bench: "yes", mode: VALUE}}
spec: {selector: {app: NAME}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: NAME, namespace: SPACE, labels: {bench: "yes", mode: VALUE}}
spec:
  ingressClassName: alb
  rules: [{host: NAME.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: NAME, port: {number: 80}}}}]}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: SPACE, labels: {bench: "yes"}}
spec:
  replicas: 0
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}, annotations: {mode: VALUE}}
    spec:
      containers:
      - name: main
        image: registry.example.com/app:1.2.3
        ports: [{containerPort: 8080}]
        env: [{name: A, value: "1"}, {name: B, value: "2"}]
        readinessProbe: {httpGet: {path: /healthz, port: 8080}}
        resources: {requests: {cpu: 100m, memory: 128Mi}}
`))
	}
	return strings.Join(docs, "---\n")
}
