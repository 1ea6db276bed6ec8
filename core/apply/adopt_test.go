// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func managersOf(obj *unstructured.Unstructured) (all []string) {
	for _, f := range obj.GetManagedFields() {
		all = append(all, f.Manager+" "+string(f.Operation))
	}
	slices.Sort(all)
	return all
}

// TestAdoption: the first apply over the objects of kubectl and Helm, told by
// the plan before.
func TestAdoption(t *testing.T) {
	const deployment = "apps/v1 Deployment dev/web"
	old := strings.NewReplacer("labels: {app: web}}\nspec:\n", "labels: {app: web, old: x}, annotations: {meta.helm.sh/release-name: web, note: hi}}\nspec:\n  paused: true\n").Replace(web)
	newer := strings.Replace(web, "sha256:1", "sha256:2", 1)
	image := Field{Path: "spec.template.spec.containers[name=web].image", From: `"shop/web@sha256:1"`, To: `"shop/web@sha256:2"`}
	for name, tc := range map[string]struct {
		by, stock, manifests string
		opt                  Options
		want                 Change
		managers             []string // afterwards
		rolls                bool
	}{
		"kubectl's, just so": {"kubectl-client-side-apply", web, web, Options{}, Change{Action: Adopted, Was: "kubectl-client-side-apply"}, []string{"outlast Apply"}, false},
		"kubectl's, with another image": {"kubectl-client-side-apply", web, newer, Options{},
			Change{Action: Adopted, Was: "kubectl-client-side-apply", Fields: []Field{image}}, []string{"outlast Apply"}, true},
		"an old kubectl's": {"before-first-apply", web, web, Options{}, Change{Action: Adopted, Was: "before-first-apply"}, []string{"outlast Apply"}, false},
		"what the manifests no longer have goes, and is told": {"kubectl-client-side-apply", old, web, Options{},
			Change{Action: Adopted, Was: "kubectl-client-side-apply", Lost: []Field{
				{Path: "metadata.annotations.note", From: `"hi"`}, {Path: "metadata.annotations[meta.helm.sh/release-name]", From: `"web"`}, {Path: "metadata.labels.old", From: `"x"`}, {Path: "spec.paused", From: "true"},
			}}, []string{"outlast Apply"}, false},
		"Helm's, whose release stays written": {"helm", old, newer, Options{},
			Change{Action: Adopted, Was: "helm", Fields: []Field{image}, Lost: []Field{
				{Path: "metadata.annotations.note", From: `"hi"`}, {Path: "metadata.labels.old", From: `"x"`}, {Path: "spec.paused", From: "true"},
			}}, []string{"helm Update", "outlast Apply"}, true},
		"a manager that the user names":        {"legacy-cd", web, newer, Options{Adopt: []string{"legacy-cd"}}, Change{Action: Adopted, Was: "legacy-cd", Fields: []Field{image}}, []string{"outlast Apply"}, true},
		"a manager that nobody names, just so": {"legacy-cd", web, web, Options{}, Change{Action: Unchanged}, []string{"legacy-cd Update"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, "")
			s.created(t, tc.by, tc.stock)
			s.objects[deployment].SetUID("web-uid")
			s.add(t, pods)
			tc.want.Object = "Deployment/dev/web"
			plan, err := Diff(t.Context(), s, []byte(tc.manifests), tc.opt)
			if err != nil || len(s.writes)+len(s.adopted) > 0 {
				t.Fatalf("%v, and wrote %v", err, s.writes)
			}
			if diff := cmp.Diff([]Change{tc.want}, plan.Changes); diff != "" {
				t.Error(diff)
			}
			generation := s.objects[deployment].GetGeneration()
			rollout, err := Apply(t.Context(), s, []byte(tc.manifests), tc.opt)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(plan.Changes, rollout.Changes); diff != "" {
				t.Errorf("the plan and what was done: %s", diff)
			}
			live := s.objects[deployment]
			if got := managersOf(live); !slices.Equal(got, tc.managers) {
				t.Errorf("managers %v, want %v", got, tc.managers)
			}
			if rolled := len(rollout.Workloads[0].Replaced) > 0; rolled != tc.rolls || rolled != (len(plan.Workloads[0].Replaced) > 0) {
				t.Errorf("replaces %v, planned %v", rollout.Workloads[0].Replaced, plan.Workloads[0].Replaced)
			}
			if changes := len(tc.want.Fields) > 0 || len(tc.want.Lost) > 2; !changes && live.GetGeneration() != generation {
				t.Errorf("adopting it alone brought generation %d", live.GetGeneration())
			}
			_, paused, _ := unstructured.NestedBool(live.Object, "spec", "paused")
			if paused || tc.by == "helm" && live.GetAnnotations()["meta.helm.sh/release-name"] != "web" {
				t.Errorf("paused %v, annotations %v", paused, live.GetAnnotations())
			}
			s.writes, s.adopted, s.dry = nil, nil, nil
			again, err := Apply(t.Context(), s, []byte(tc.manifests), tc.opt)
			if err != nil || len(s.writes)+len(s.adopted) > 0 || again.Changes[0].Action != Unchanged {
				t.Errorf("the second time %v, %v, %v %v", again.Changes, err, s.writes, s.adopted)
			}
			if tc.want.Action == Adopted && len(s.dry) > 0 {
				t.Errorf("the second time it was asked for %v: more is owned than the manifests set", s.dry)
			}
		})
	}
}

// TestAdoptionWithAnAutoscaler: ten replicas set by another tool, then an
// autoscaler comes and the manifests leave the number out: still ten.
func TestAdoptionWithAnAutoscaler(t *testing.T) {
	ten := strings.Replace(web, "spec:\n", "spec:\n  replicas: 10\n", 1)
	hpa := "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: web, namespace: dev}\nspec: {minReplicas: 4, scaleTargetRef: {kind: Deployment, name: web}}\n"
	for _, by := range []string{"kubectl-client-side-apply", "helm", "outlast"} {
		t.Run("replicas of "+by, func(t *testing.T) {
			s := newServer(t, "")
			if by == "outlast" {
				if _, err := Apply(t.Context(), s, []byte(ten), Options{}); err != nil {
					t.Fatal(err)
				}
			} else {
				s.created(t, by, ten)
			}
			count := func(what string, want int64) {
				t.Helper()
				if n, _, _ := unstructured.NestedInt64(s.objects["apps/v1 Deployment dev/web"].Object, "spec", "replicas"); n != want {
					t.Fatalf("%s, %d replicas, want %d", what, n, want)
				}
			}
			plan, err := Diff(t.Context(), s, []byte(web+hpa), Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range append(plan.Changes[0].Fields, plan.Changes[0].Lost...) {
				if strings.Contains(f.Path, "replicas") {
					t.Errorf("the plan says %s", f)
				}
			}
			lowest := int64(10)
			s.after = func(_ context.Context, verb, kind, _ string) error {
				if n, _, _ := unstructured.NestedInt64(s.objects["apps/v1 Deployment dev/web"].Object, "spec", "replicas"); verb != "dry" {
					lowest = min(lowest, n)
				}
				return nil
			}
			for i := range 3 {
				if _, err := Apply(t.Context(), s, []byte(strings.Replace(web, "sha256:1", fmt.Sprintf("sha256:%d", i), 1)+hpa), Options{}); err != nil {
					t.Fatal(err)
				}
				count(fmt.Sprintf("after deploy %d", i), 10)
			}
			s.change(t, "apps/v1 Deployment dev/web", "kube-controller-manager", func(o *unstructured.Unstructured) {
				o.Object["spec"].(map[string]any)["replicas"] = int64(12)
			})
			for i := range 2 {
				if _, err := Apply(t.Context(), s, []byte(strings.Replace(web, "sha256:1", fmt.Sprintf("sha256:b%d", i), 1)+hpa), Options{}); err != nil {
					t.Fatal(err)
				}
				count("after the autoscaler", 12)
			}
			if lowest < 10 {
				t.Errorf("in between there were %d", lowest)
			}
		})
	}
}

// TestAutoscalerInBetween: the autoscaler decides between the look and the dry
// run. Its number is neither taken for ours to keep nor for a change of ours.
func TestAutoscalerInBetween(t *testing.T) {
	s, once := running(t, strings.Replace(web, "spec:\n", "spec:\n  replicas: 10\n", 1)), true
	s.before = func(_ context.Context, verb, _, _ string) error {
		if verb == "dry" && once {
			once = false
			s.change(t, "apps/v1 Deployment dev/web", "kube-controller-manager", func(o *unstructured.Unstructured) {
				o.Object["spec"].(map[string]any)["replicas"] = int64(12)
			})
		}
		return nil
	}
	rollout, err := Apply(t.Context(), s, []byte(strings.Replace(web, "sha256:1", "sha256:2", 1)), Options{})
	if err != nil || len(rollout.Changes[0].Fields) != 1 {
		t.Errorf("%+v, %v", rollout.Changes, err)
	}
	if n, _, _ := unstructured.NestedInt64(s.objects["apps/v1 Deployment dev/web"].Object, "spec", "replicas"); n != 12 {
		t.Errorf("%d replicas, the autoscaler says 12", n)
	}
}

// TestNotAdopted: whose fields are left alone.
func TestNotAdopted(t *testing.T) {
	t.Run("a Namespace that the platform's team labelled keeps its labels", func(t *testing.T) {
		s := newServer(t, "")
		s.created(t, "kubectl-client-side-apply", "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {elbv2.k8s.aws/pod-readiness-gate-inject: enabled}}")
		got, err := Apply(t.Context(), s, []byte("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: shop}}"), Options{})
		if live := s.objects["v1 Namespace /shop"]; err != nil || len(live.GetLabels()) != 2 || len(s.adopted) > 0 {
			t.Errorf("%v, %v: labels %v", got.Changes, err, live.GetLabels())
		}
	})
	t.Run("a hotfix by kubectl after Outlast's apply is a conflict", func(t *testing.T) {
		s := running(t, web)
		s.change(t, "apps/v1 Deployment dev/web", "kubectl-client-side-apply", func(o *unstructured.Unstructured) {
			if err := unstructured.SetNestedSlice(o.Object, []any{map[string]any{"name": "web", "image": "hotfix"}}, "spec", "template", "spec", "containers"); err != nil {
				t.Fatal(err)
			}
		})
		for verb, do := range map[string]func() error{
			"diff":  func() error { _, err := Diff(t.Context(), s, []byte(web), Options{}); return err },
			"apply": func() error { _, err := Apply(t.Context(), s, []byte(web), Options{}); return err },
		} {
			if err := do(); err == nil || !strings.Contains(err.Error(), `conflict with "kubectl-client-side-apply"`) || len(s.writes)+len(s.adopted) > 0 {
				t.Errorf("%s: %v, wrote %v", verb, err, s.writes)
			}
		}
	})
	t.Run("a third manager's field is a conflict, whoever is adopted", func(t *testing.T) {
		s := newServer(t, "")
		s.created(t, "helm", strings.Replace(web, "spec:\n", "spec:\n  minReadySeconds: 1\n", 1))
		s.change(t, "apps/v1 Deployment dev/web", "operator", func(o *unstructured.Unstructured) { o.Object["spec"].(map[string]any)["minReadySeconds"] = int64(9) })
		manifests := []byte(strings.NewReplacer("spec:\n  sel", "spec:\n  minReadySeconds: 5\n  sel", "sha256:1", "sha256:2").Replace(web))
		for verb, do := range map[string]func() error{
			"diff":  func() error { _, err := Diff(t.Context(), s, manifests, Options{}); return err },
			"check": func() error { return Check(t.Context(), s, manifests, Options{}) },
			"apply": func() error { _, err := Apply(t.Context(), s, manifests, Options{}); return err },
		} {
			if err := do(); err == nil || !strings.Contains(err.Error(), `with "operator"`) || len(s.writes)+len(s.adopted) > 0 {
				t.Errorf("%s: %v, wrote %v %v", verb, err, s.writes, s.adopted)
			}
		}
	})
	t.Run("without the right to ask for defaults, what may go is told as not known", func(t *testing.T) {
		s := newServer(t, "")
		s.created(t, "helm", strings.Replace(web, "spec:\n", "spec:\n  paused: true\n", 1))
		s.before = func(_ context.Context, verb, _, _ string) error {
			if verb == "replace" {
				return fmt.Errorf("asking: %w", errForbidden)
			}
			return nil
		}
		plan, err := Diff(t.Context(), s, []byte(web), Options{})
		if err != nil || !slices.Contains(plan.Changes[0].Lost, Field{Path: "spec.paused", From: "true"}) || !plan.Changes[0].Unsure {
			t.Errorf("%+v, %v", plan.Changes, err)
		}
	})
}

// TestAdoptionRollsNothingByMistake: where the defaults are not known, the plan
// may fear for the pods, but what was written tells.
func TestAdoptionRollsNothingByMistake(t *testing.T) {
	s := newServer(t, "")
	s.created(t, "helm", strings.Replace(web, "containers:", "restartPolicy: Always, containers:", 1))
	s.objects["apps/v1 Deployment dev/web"].SetUID("web-uid")
	s.add(t, pods)
	s.before = func(_ context.Context, verb, _, _ string) error {
		if verb == "replace" {
			return fmt.Errorf("asking: %w", errForbidden)
		}
		return nil
	}
	plan, err := Diff(t.Context(), s, []byte(web), Options{})
	if err != nil || len(plan.Workloads[0].Replaced) != 2 || !plan.Workloads[0].Unsure {
		t.Errorf("planned %+v, %v", plan.Workloads, err)
	}
	if plan, err = Diff(t.Context(), s, []byte(strings.Replace(web, "sha256:1", "sha256:2", 1)), Options{}); err != nil || len(plan.Workloads[0].Replaced) != 2 || plan.Workloads[0].Unsure || !plan.Changes[0].Unsure {
		t.Errorf("of another image %+v, %v", plan, err)
	}
	rollout, err := Apply(t.Context(), s, []byte(web), Options{})
	if c := rollout.Changes[0]; c.Action != Adopted || len(c.Lost) > 0 || c.Unsure || rollout.Workloads[0].Unsure {
		t.Errorf("done, and still not known: %+v, %+v", c, rollout.Workloads)
	}
	if policy, _, _ := unstructured.NestedString(s.objects["apps/v1 Deployment dev/web"].Object, "spec", "template", "spec", "restartPolicy"); err != nil || policy != "Always" || len(rollout.Workloads[0].Replaced) > 0 {
		t.Errorf("restartPolicy %q, %+v, %v", policy, rollout.Workloads, err)
	}
}

// TestAdoptionMeetsAController: the object changes between the two writes of
// its adoption, which is told as one all the same.
func TestAdoptionMeetsAController(t *testing.T) {
	s, once := newServer(t, ""), true
	s.created(t, "helm", web)
	s.before = func(_ context.Context, verb, kind, _ string) error {
		if verb == "apply" && once {
			once = false
			s.change(t, "apps/v1 Deployment dev/web", "kube-controller-manager", func(o *unstructured.Unstructured) { o.Object["status"] = map[string]any{"replicas": int64(1)} })
		}
		return nil
	}
	rollout, err := Apply(t.Context(), s, []byte(strings.Replace(web, "sha256:1", "sha256:2", 1)), Options{})
	if c := rollout.Changes[0]; err != nil || c.Action != Adopted || c.Was != "helm" || len(c.Fields) != 1 || once {
		t.Errorf("%+v, %v", rollout.Changes, err)
	}
}

// TestAdoptionCutShort: the run ends between the two writes of an adoption,
// and the next one gives the same as if it had not.
func TestAdoptionCutShort(t *testing.T) {
	s := newServer(t, "")
	s.created(t, "kubectl-client-side-apply", strings.Replace(web, "spec:\n", "spec:\n  replicas: 10\n  paused: true\n", 1))
	s.before = func(_ context.Context, verb, _, _ string) error {
		if verb == "apply" {
			return fmt.Errorf("the network is gone")
		}
		return nil
	}
	if _, err := Apply(t.Context(), s, []byte(web), Options{}); err == nil || len(s.adopted) != 1 {
		t.Fatalf("%v, adopted %v", err, s.adopted)
	}
	live := s.objects["apps/v1 Deployment dev/web"]
	if n, _, _ := unstructured.NestedInt64(live.Object, "spec", "replicas"); n != 10 || live.GetGeneration() != 1 {
		t.Errorf("adopting alone left %d replicas at generation %d", n, live.GetGeneration())
	}
	s.before = nil
	if _, err := Apply(t.Context(), s, []byte(web), Options{}); err != nil {
		t.Fatal(err)
	}
	live = s.objects["apps/v1 Deployment dev/web"]
	_, paused, _ := unstructured.NestedBool(live.Object, "spec", "paused")
	if n, _, _ := unstructured.NestedInt64(live.Object, "spec", "replicas"); n != 10 || paused || !slices.Equal(managersOf(live), []string{"outlast Apply"}) {
		t.Errorf("%d replicas, paused %v, managers %v", n, paused, managersOf(live))
	}
}
