// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/apply/internal/set"
)

var shop = &Set{Name: "outlast-shop", Namespace: "dev"}

// TestPrune: what no manifest has any more is deleted, and nothing else.
func TestPrune(t *testing.T) {
	label := "applyset.kubernetes.io/part-of: " + set.Set(*shop).ID()
	pvc := "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data, namespace: dev}\n"
	role := "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: reader}\n"
	before := []string{
		web, configMap("stays", "v"), configMap("goes", "v"), strings.Replace(configMap("elsewhere", "v"), "dev", "default", 1), pvc, role,
		strings.Replace(pvc, "name: data", "name: scratch, annotations: {outlast/prune: enabled}", 1),
		strings.Replace(configMap("kept", "v"), "namespace: dev", "namespace: dev, annotations: {outlast/prune: disabled}", 1),
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: mine}\n", "apiVersion: v1\nkind: Service\nmetadata: {name: old, namespace: dev}\n",
	}
	s := newServer(t, "")
	opt := Options{Set: shop}
	if _, err := Apply(t.Context(), s, []byte(strings.Join(before, "---\n")), opt); err != nil {
		t.Fatal(err)
	}
	s.add(t, strings.Join([]string{
		strings.Replace(configMap("strangers", "v"), "namespace: dev", "namespace: dev, labels: {applyset.kubernetes.io/part-of: applyset-x-v1}", 1),
		configMap("nobodys", "v"),
		strings.Replace(configMap("controlled", "v"), "namespace: dev", "namespace: dev, labels: {"+label+"}, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: u, controller: true}]", 1),
		"apiVersion: v1\nkind: Pod\nmetadata: {name: of-a-kind-that-no-member-has, namespace: dev, labels: {" + label + "}}\n",
	}, "\n---\n"))
	after := []byte(web + "---\n" + configMap("stays", "v"))
	keep := []byte("apiVersion: v1\nkind: Service\nmetadata: {name: old, namespace: dev}\n")
	if _, err := Apply(t.Context(), s, after, opt); err != nil {
		t.Fatal(err)
	}
	parent := func(of *server) map[string]string {
		return of.objects["v1 ConfigMap dev/outlast-shop"].GetAnnotations()
	}
	superset := map[string]string{
		"applyset.kubernetes.io/tooling":              "outlast/v1",
		"applyset.kubernetes.io/contains-group-kinds": "ClusterRole.rbac.authorization.k8s.io,ConfigMap,Deployment.apps,PersistentVolumeClaim,Service", "applyset.kubernetes.io/additional-namespaces": "default",
	}
	if diff := cmp.Diff(superset, parent(s)); diff != "" {
		t.Errorf("before pruning: %s", diff)
	}

	opt.Keep = [][]byte{keep}
	want := []string{"ClusterRole/reader", "ConfigMap/default/elsewhere", "ConfigMap/dev/goes", "PersistentVolumeClaim/dev/scratch"}
	plan, err := Diff(t.Context(), s, after, opt)
	if err != nil || len(s.deleted) > 0 {
		t.Fatalf("%v, deleted %v", err, s.deleted)
	}
	var planned []string
	for _, c := range plan.Changes {
		if c.Action == Pruned {
			planned = append(planned, c.Object)
		}
	}
	var phases []string
	opt.Journal = func(p string) { phases = append(phases, p) }
	gone, err := Prune(t.Context(), s, after, opt)
	if err != nil || !slices.Equal(phases, []string{"prune"}) {
		t.Fatalf("%v, phases %v", err, phases)
	}
	var got []string
	for _, c := range gone {
		got = append(got, c.Object)
	}
	if !slices.Equal(slices.Sorted(slices.Values(got)), want) || !slices.Equal(slices.Sorted(slices.Values(planned)), want) || !slices.Equal(got, s.deleted) {
		t.Errorf("pruned %v (planned %v, deleted %v), want %v", got, planned, s.deleted, want)
	}
	exact := map[string]string{
		"applyset.kubernetes.io/tooling":              "outlast/v1",
		"applyset.kubernetes.io/contains-group-kinds": "ConfigMap,Deployment.apps,PersistentVolumeClaim,Service", "applyset.kubernetes.io/additional-namespaces": "",
	}
	if diff := cmp.Diff(exact, parent(s)); diff != "" {
		t.Errorf("after pruning: %s", diff)
	}
	version := s.version
	if again, err := Prune(t.Context(), s, after, opt); err != nil || len(again) > 0 || s.version != version {
		t.Errorf("pruning again: %v, %v", again, err)
	}
	opt.Keep = nil
	if gone, err := Prune(t.Context(), s, after, opt); err != nil || len(gone) != 1 || gone[0].Object != "Service/dev/old" {
		t.Errorf("without the release that kept it: %v, %v", gone, err)
	}
}

// TestPruneRefuses: what must never be taken as "delete everything".
func TestPruneRefuses(t *testing.T) {
	s := newServer(t, "")
	if _, err := Apply(t.Context(), s, []byte(web), Options{Set: shop}); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		manifests string
		opt       Options
		err       string
	}{
		"no manifests":          {"# nothing\n", Options{Set: shop}, "there is no object in them"},
		"no kept manifests":     {web, Options{Set: shop, Keep: [][]byte{nil}}, "the release whose objects are kept: reading the manifests: there is no object in them"},
		"no set":                {web, Options{}, "pruning: no set is given"},
		"another tool's parent": {web, Options{Set: &Set{Name: "theirs", Namespace: "dev"}}, "is the parent of an ApplySet of kubectl"},
	} {
		t.Run(name, func(t *testing.T) {
			s.add(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: theirs, namespace: dev, annotations: {applyset.kubernetes.io/tooling: kubectl/v1.37}}")
			if _, err := Prune(t.Context(), s, []byte(tc.manifests), tc.opt); err == nil || !strings.Contains(err.Error(), tc.err) || len(s.deleted) > 0 {
				t.Errorf("%v, deleted %v", err, s.deleted)
			}
		})
	}
	t.Run("a set that is not there has no members", func(t *testing.T) {
		if gone, err := Prune(t.Context(), s, []byte(web), Options{Set: &Set{Name: "none", Namespace: "dev"}}); err != nil || len(gone) > 0 || s.objects["v1 ConfigMap dev/none"] != nil {
			t.Errorf("%v, %v", gone, err)
		}
	})
	t.Run("what cannot be listed is not known to be gone", func(t *testing.T) {
		s.before = func(_ context.Context, verb, kind, _ string) error {
			if verb == "list" && kind == "Deployment" {
				return errors.New("listing Deployment: refused")
			}
			return nil
		}
		if _, err := Prune(t.Context(), s, []byte(configMap("c", "v")), Options{Set: shop}); err == nil || !strings.Contains(err.Error(), "pruning: listing Deployment: refused") {
			t.Errorf("%v", err)
		}
	})
}

// TestPruneGoesOn: an error in the middle tells what is done, and a second
// Prune does the rest.
func TestPruneGoesOn(t *testing.T) {
	s := newServer(t, "")
	if _, err := Apply(t.Context(), s, []byte(strings.Join([]string{web, configMap("a", "v"), configMap("b", "v"), configMap("c", "v")}, "---\n")), Options{Set: shop}); err != nil {
		t.Fatal(err)
	}
	s.before = func(_ context.Context, verb, _, name string) error {
		if verb == "delete" && name == "b" {
			return errors.New("refused")
		}
		return nil
	}
	gone, err := Prune(t.Context(), s, []byte(web), Options{Set: shop})
	if err == nil || len(gone) != 1 || err.Error() != "pruning: refused (1 of 3 objects were deleted before that; running again goes on from here)" {
		t.Errorf("%v, %v", gone, err)
	}
	s.before = nil
	if gone, err = Prune(t.Context(), s, []byte(web), Options{Set: shop}); err != nil || len(gone) != 2 {
		t.Errorf("again: %v, %v", gone, err)
	}
}

// TestSet: members carry the label and their pods do not; joining a set rolls
// no pods; what belongs to another is refused.
func TestSet(t *testing.T) {
	s := running(t, web)
	template := fmt.Sprint(s.objects["apps/v1 Deployment dev/web"].Object["spec"])
	rollout, err := Apply(t.Context(), s, []byte(web), Options{Set: shop})
	if err != nil || rollout.Changes[0].Action != Configured || len(rollout.Workloads[0].Replaced) > 0 {
		t.Fatalf("%+v, %v", rollout, err)
	}
	live := s.objects["apps/v1 Deployment dev/web"]
	if got := live.GetLabels()["applyset.kubernetes.io/part-of"]; got != set.Set(*shop).ID() || fmt.Sprint(live.Object["spec"]) != template {
		t.Errorf("label %q, spec %v", got, live.Object["spec"])
	}
	other := &Set{Name: "outlast-other", Namespace: "dev"}
	for verb, do := range map[string]func() error{
		"diff":  func() error { _, err := Diff(t.Context(), s, []byte(web), Options{Set: other}); return err },
		"apply": func() error { _, err := Apply(t.Context(), s, []byte(web), Options{Set: other}); return err },
	} {
		if err := do(); err == nil || !strings.Contains(err.Error(), "Deployment/dev/web belongs to another application already") {
			t.Errorf("%s: %v", verb, err)
		}
	}
	shared := "apiVersion: v1\nkind: Namespace\nmetadata: {name: both}\n"
	for _, app := range []*Set{shop, other} {
		if _, err := Apply(t.Context(), s, []byte(shared), Options{Set: app}); err != nil {
			t.Errorf("a Namespace of two applications: %v", err)
		}
	}
}

// TestParentComesFirst: the parent names a member's kind and namespace before
// the member is there, even where its own namespace comes with the manifests.
func TestParentComesFirst(t *testing.T) {
	fresh := &Set{Name: "outlast-shop", Namespace: "fresh"}
	s := newServer(t, "")
	s.before = func(_ context.Context, verb, kind, name string) error {
		if verb != "apply" || kind == "Namespace" || name == "outlast-shop" {
			return nil
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		parent := s.objects["v1 ConfigMap fresh/outlast-shop"]
		if parent == nil || !slices.ContainsFunc(strings.Split(parent.GetAnnotations()["applyset.kubernetes.io/contains-group-kinds"], ","), func(k string) bool { return strings.HasPrefix(k, kind) }) {
			t.Errorf("%s/%s is written while the parent is %v", kind, name, parent)
		}
		return nil
	}
	manifests := strings.ReplaceAll(web+"---\n"+configMap("c", "v"), "dev", "fresh") + "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: fresh}\n"
	if plan, err := Diff(t.Context(), s, []byte(manifests), Options{Set: fresh}); err != nil || len(plan.Changes) != 3 {
		t.Errorf("the plan: %+v, %v", plan, err)
	}
	for range 2 {
		if _, err := Apply(t.Context(), s, []byte(manifests), Options{Set: fresh}); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(strings.Join(s.writes, " "), "outlast-shop"); n != 2 { // the first time its namespace was not there
		t.Errorf("the parent was written %d times: %v", n, s.writes)
	}
}

// TestScopes: where members are that name no namespace. The parent settles, so
// that a deploy that changes nothing writes nothing.
func TestScopes(t *testing.T) {
	widget := "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\n"
	role := "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: reader}\n"
	for name, tc := range map[string]struct {
		namespaced bool
		manifests  string
		want       string
	}{
		"a kind that is known to live in none":  {false, role, ""},
		"a kind that turns out to live in none": {false, widget, ""},
		"a kind that turns out to live in one":  {true, widget, "default"},
		"a kind that is known to live in one":   {true, strings.Replace(configMap("c", "v"), ", namespace: dev", "", 1), "default"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, "")
			s.kinds["example.com/v1 Widget"] = tc.namespaced
			version := 0
			for i := range 3 {
				if _, err := Apply(t.Context(), s, []byte(tc.manifests), Options{Set: shop}); err != nil {
					t.Fatal(err)
				}
				if _, err := Prune(t.Context(), s, []byte(tc.manifests), Options{Set: shop}); err != nil {
					t.Fatal(err)
				}
				if i == 2 && s.version != version {
					t.Error("the third deploy wrote something")
				}
				version = s.version
			}
			if got := s.objects["v1 ConfigMap dev/outlast-shop"].GetAnnotations()["applyset.kubernetes.io/additional-namespaces"]; got != tc.want {
				t.Errorf("namespaces %q, want %q", got, tc.want)
			}
		})
	}
}

// TestHold: a deregistration delay stays as it is in one Apply, and is written
// in the next; the rest of the object is written at once.
func TestHold(t *testing.T) {
	const attributes = "alb.ingress.kubernetes.io/target-group-attributes"
	ingress := func(delay int, class string) string {
		return fmt.Sprintf("apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web, namespace: dev, annotations: {%s: deregistration_delay.timeout_seconds=%d}}\nspec: {ingressClassName: %s}\n", attributes, delay, class)
	}
	config := func(delay int) string {
		return fmt.Sprintf("apiVersion: gateway.k8s.aws/v1\nkind: TargetGroupConfiguration\nmetadata: {name: web, namespace: dev}\nspec: {attributes: [{key: deregistration_delay.timeout_seconds, value: '%d'}]}\n", delay)
	}
	s := newServer(t, "")
	maps.Copy(s.kinds, map[string]bool{"gateway.k8s.aws/v1 TargetGroupConfiguration": true})
	if _, err := Apply(t.Context(), s, []byte(ingress(300, "a")+"---\n"+config(300)), Options{}); err != nil {
		t.Fatal(err)
	}
	delays := func() string {
		t.Helper()
		i, c := s.objects["networking.k8s.io/v1 Ingress dev/web"], s.objects["gateway.k8s.aws/v1 TargetGroupConfiguration dev/web"]
		class, _, _ := unstructured.NestedString(i.Object, "spec", "ingressClassName")
		return class + " " + i.GetAnnotations()[attributes] + " " + fmt.Sprint(c.Object["spec"])
	}
	manifests := []byte(ingress(65, "b") + "---\n" + config(65))
	hold := Options{Hold: []string{"Ingress/dev/web", "TargetGroupConfiguration/dev/web"}}
	for _, step := range []struct {
		opt     Options
		actions []Action
		want    string
	}{
		{hold, []Action{Configured, Held}, "b deregistration_delay.timeout_seconds=300 map[attributes:[map[key:deregistration_delay.timeout_seconds value:300]]]"},
		{hold, []Action{Unchanged, Held}, "b deregistration_delay.timeout_seconds=300 map[attributes:[map[key:deregistration_delay.timeout_seconds value:300]]]"},
		{Options{}, []Action{Configured, Configured}, "b deregistration_delay.timeout_seconds=65 map[attributes:[map[key:deregistration_delay.timeout_seconds value:65]]]"},
	} {
		plan, err := Diff(t.Context(), s, manifests, step.opt)
		if err != nil {
			t.Fatal(err)
		}
		rollout, err := Apply(t.Context(), s, manifests, step.opt)
		if err != nil {
			t.Fatal(err)
		}
		if got := []Action{rollout.Changes[0].Action, rollout.Changes[1].Action}; !slices.Equal(got, step.actions) || delays() != step.want || !cmp.Equal(plan.Changes, rollout.Changes) {
			t.Errorf("%v, %s (planned %+v)", got, delays(), plan.Changes)
		}
		if held := strings.Contains(rollout.Changes[0].Note, "deregistration delay stays as it is"); held != (len(step.opt.Hold) > 0) {
			t.Errorf("the note says %q", rollout.Changes[0].Note)
		}
	}
}
