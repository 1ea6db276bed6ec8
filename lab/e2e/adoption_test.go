// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/trial"
)

// TestAdoption has another tool deploy the example as people have it, with no preStop,
// and outlast take it over under load: first in a plan, then for real.
func TestAdoption(t *testing.T) {
	for name, install := range map[string]func(*testing.T, *world, string){
		"kubectl apply": func(t *testing.T, w *world, manifests string) {
			file := filepath.Join(t.TempDir(), "web.yaml")
			if err := os.WriteFile(file, []byte(manifests), 0o600); err != nil {
				t.Fatal(err)
			}
			w.kubectl(t, "apply", "-f", file)
		},
		"helm install": helmInstall,
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t)
			w.kubectl(t, "delete", "configmap,secret,lease", "-n", namespace, "-l", "app.kubernetes.io/managed-by=outlast")
			w.kubectl(t, "delete", "configmap", "outlast-web-dev", "-n", namespace, "--ignore-not-found")
			pushed := w.outlast(t, 0, deploy("v1", "--to", "push")).Report.Refs
			if len(pushed) != 1 {
				t.Fatalf("pushed %+v", pushed)
			}
			manifests := w.outlast(t, 0, trial.Command{Args: []string{"render", "--drain-policy", "off", "--image", "web=" + pushed[0].Repository + "@" + pushed[0].Digest}}).Stdout
			if strings.Contains(manifests, "preStop") {
				t.Fatalf("the example has a preStop of its own:\n%s", manifests)
			}
			install(t, w, manifests)
			w.kubectl(t, "rollout", "status", "deployment/web", "-n", namespace, "--timeout=2m")
			front, err := w.Front(t.Context(), namespace, "web", port)
			if err != nil {
				t.Fatal(err)
			}
			w.front = front
			serves(t, w)
			adopted(t, w)
			// Helm's records go as docs/apply.md says, and not by its uninstall.
			w.kubectl(t, "delete", "secret", "-n", namespace, "-l", "owner=helm,name=web")
		})
	}
}

// serves waits until the balancer has served for 5 s, longer than its second node may take
// to hear of a target: without a readiness gate a rollout is over before that.
func serves(t *testing.T, w *world) {
	t.Helper()
	began := time.Now()
	for row := 0; row < 50; time.Sleep(100 * time.Millisecond) {
		v, err := w.front.Version(t.Context())
		row++
		if err != nil || v != "v1" {
			row = 0
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("the balancer does not serve what was installed: %q, %v", v, err)
		}
	}
}

// adopted looks at the plan, deploys by handover, and wants no request lost and nothing
// left of the other tool.
func adopted(t *testing.T, w *world) {
	w.commit(t, "Make v2")
	before := w.state(t)
	plan := w.outlast(t, 0, trial.Command{Args: []string{"plan", "--legacy-pods", "handover"}}).Stdout
	if w.state(t) != before {
		t.Error("the plan wrote something")
	}
	if !strings.Contains(plan, "adopted") || !strings.Contains(plan, "handover") {
		t.Errorf("the plan tells of no adoption or handover:\n%s", plan)
	}
	run, sent := w.underLoad(t, 0, deploy("v2", "--legacy-pods", "handover"))
	if sent.Failed != 0 || sent.Versions["v1"] == 0 || sent.Versions["v2"] == 0 {
		t.Errorf("%d of %d requests failed, versions %v: %+v", sent.Failed, sent.Sent, sent.Versions, sent.Failures)
	}
	var taken []string
	for _, c := range run.Report.Rollout.Changes {
		if c.Action == "adopted" {
			taken = append(taken, strings.Split(c.Object, "/")[0])
		}
	}
	slices.Sort(taken)
	if got := strings.Join(taken, " "); got != "Deployment Ingress Service" {
		t.Errorf("adopted: %s", got)
	}
	var list struct {
		Items []struct {
			Kind     string
			Metadata struct {
				ManagedFields []struct {
					Manager, Subresource string
					FieldsV1             map[string]any
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(w.kubectl(t, "get", "deployment,service,ingress", "-n", namespace, "-o", "json", "--show-managed-fields")), &list); err != nil {
		t.Fatal(err)
	}
	for _, obj := range list.Items {
		for _, m := range obj.Metadata.ManagedFields {
			// Helm's annotations of its release stay its own, see docs/apply.md.
			if m.Subresource == "" && strings.HasPrefix(m.Manager, "kubectl") || strings.HasPrefix(m.Manager, "helm") && m.FieldsV1["f:spec"] != nil {
				t.Errorf("%s: fields belong to %s still: %v", obj.Kind, m.Manager, m.FieldsV1)
			}
		}
	}
}

// helmInstall makes a chart of the manifests.
func helmInstall(t *testing.T, w *world, manifests string) {
	chart := t.TempDir()
	// The namespace is there, and no chart's.
	objects := slices.DeleteFunc(strings.Split(manifests, "\n---\n"), func(text string) bool { return strings.Contains("\n"+text, "\nkind: Namespace\n") })
	for name, text := range map[string]string{
		"Chart.yaml":         "apiVersion: v2\nname: web\nversion: 0.1.0\n",
		"templates/web.yaml": strings.Join(objects, "\n---\n"),
	} {
		file := filepath.Join(chart, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	helm := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "helm-v3", append(args, "-n", namespace, "--kubeconfig", w.Lab.Kubeconfig())...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("helm %s: %v\n%s", args[0], err, out)
		}
	}
	helm("install", "web", chart)
}
