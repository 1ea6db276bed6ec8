// SPDX-License-Identifier: Apache-2.0

package route

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	obj := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &obj.Object); err != nil {
		t.Fatal(err)
	}
	return obj
}

func TestHold(t *testing.T) {
	const alb, nlb = "alb.ingress.kubernetes.io/target-group-attributes", "service.beta.kubernetes.io/aws-load-balancer-target-group-attributes"
	const delay = "deregistration_delay.timeout_seconds"
	for name, tc := range map[string]struct {
		live, manifest, want string // annotations, in YAML
		held                 bool
		err                  string
	}{
		"another delay":                       {alb + ": " + delay + "=300", alb + ": " + delay + "=65", alb + ": " + delay + "=300", true, ""},
		"the same delay":                      {alb + ": '" + delay + "=65,x=1'", alb + ": '" + delay + "=65, x=2'", alb + ": '" + delay + "=65, x=2'", false, ""},
		"other attributes go on":              {alb + ": 'x=1," + delay + "=300'", alb + ": '" + delay + "=65,x=2'", alb + ": '" + delay + "=300,x=2'", true, ""},
		"no delay yet":                        {"a: b", alb + ": '" + delay + "=65,x=2'", alb + ": x=2", true, ""},
		"no delay yet, and nothing else":      {"a: b", "{c: d, " + alb + ": " + delay + "=65}", "c: d", true, ""},
		"a delay that is given up":            {alb + ": " + delay + "=300", "c: d", "{c: d, " + alb + ": " + delay + "=300}", true, ""},
		"neither has one":                     {alb + ": x=1", alb + ": x=2", alb + ": x=2", false, ""},
		"an NLB":                              {nlb + ": " + delay + "=300", nlb + ": " + delay + "=65", nlb + ": " + delay + "=300", true, ""},
		"an NLB's port":                       {nlb + ".443: " + delay + "=300", nlb + ".443: " + delay + "=65", nlb + ".443: " + delay + "=300", true, ""},
		"another annotation is no port":       {nlb + "443: " + delay + "=300", nlb + "443: " + delay + "=65", nlb + "443: " + delay + "=65", false, ""},
		"what the controller refuses already": {alb + ": nonsense", alb + ": " + delay + "=65", alb + ": nonsense", true, ""},
		"what it will refuse":                 {alb + ": x=1", alb + ": nonsense", "", false, `reading metadata.annotations.alb.ingress.kubernetes.io/target-group-attributes of Ingress/dev/web: "nonsense" is not key=value`},
	} {
		t.Run(name, func(t *testing.T) {
			with := func(annotations string) *unstructured.Unstructured {
				if !strings.HasPrefix(annotations, "{") {
					annotations = "{" + annotations + "}"
				}
				return object(t, "kind: Ingress\nmetadata: {name: web, namespace: dev, annotations: "+annotations+"}")
			}
			manifest := with(tc.manifest)
			held, err := Hold(manifest, with(tc.live))
			if tc.err != "" {
				if err == nil || err.Error() != tc.err {
					t.Errorf("got %v, want %s", err, tc.err)
				}
				return
			}
			if got, want := fmt.Sprint(manifest.GetAnnotations()), fmt.Sprint(with(tc.want).GetAnnotations()); err != nil || held != tc.held || got != want {
				t.Errorf("held %v, %v: %s\nwant %s", held, err, got, want)
			}
		})
	}
	bare := object(t, "kind: Ingress\nmetadata: {name: web}")
	if held, err := Hold(bare, bare.DeepCopy()); held || err != nil || bare.GetAnnotations() != nil {
		t.Errorf("no annotations: %v, %v", held, err)
	}
}

// world is a cluster with bindings and an ELBv2 with target groups.
type world struct {
	mu       sync.Mutex
	bindings []unstructured.Unstructured
	events   []unstructured.Unstructured
	delays   map[string]string // by ARN
	fails    func(arn string) error
	asked    []time.Time
	unknown  bool // no such kind
}

func (w *world) List(ctx context.Context, apiVersion, kind, namespace, _ string) ([]unstructured.Unstructured, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case kind == "Event":
		return w.events, nil
	case w.unknown || strings.HasPrefix(apiVersion, "eks"):
		return nil, &meta.NoKindMatchError{}
	}
	var all []unstructured.Unstructured
	for _, b := range w.bindings {
		if b.GetNamespace() == namespace {
			all = append(all, b)
		}
	}
	return all, ctx.Err()
}

func (w *world) Attributes(_ context.Context, arn string) (map[string]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, time.Now())
	if w.fails != nil {
		if err := w.fails(arn); err != nil {
			return nil, err
		}
	}
	return map[string]string{"deregistration_delay.timeout_seconds": w.delays[arn]}, nil
}

func (w *world) bind(t *testing.T, service, arn string) {
	ns, name, _ := strings.Cut(service, "/")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bindings = append(w.bindings, *object(t, fmt.Sprintf("{kind: TargetGroupBinding, metadata: {name: b-%s, namespace: %s}, spec: {targetGroupARN: %q, serviceRef: {name: %s}}}", name, ns, arn, name)))
}

func TestDelays(t *testing.T) {
	after := func(d time.Duration, w *world, f func()) {
		time.AfterFunc(d, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			f()
		})
	}
	for name, tc := range map[string]struct {
		setup func(t *testing.T, w *world)
		want  map[string]time.Duration
		took  time.Duration
		asked int
		err   string
	}{
		"groups that show it already cost a question each": {func(t *testing.T, w *world) {
			w.bind(t, "dev/web", "g1")
			w.delays["g1"] = "65"
		}, nil, 0, 1, ""},
		"a group that shows it after 4 s": {func(t *testing.T, w *world) {
			w.bind(t, "dev/web", "g1")
			w.delays["g1"] = "300"
			after(3500*time.Millisecond, w, func() { w.delays["g1"] = "65" })
		}, nil, 4 * time.Second, 5, ""},
		"a binding that comes later": {func(t *testing.T, w *world) {
			w.delays["g1"] = "65"
			time.AfterFunc(2500*time.Millisecond, func() { w.bind(t, "dev/web", "g1") })
		}, nil, 3 * time.Second, 1, ""},
		"a binding without a group": {func(t *testing.T, w *world) { w.bind(t, "dev/web", "") }, nil, 10500 * time.Millisecond, 0, "TargetGroupBinding dev/b-web names no target group yet"},
		"several groups, one question a second": {func(t *testing.T, w *world) {
			for _, g := range []string{"g1", "g2", "g3"} {
				w.bind(t, "dev/web", g)
				w.delays[g] = "65"
			}
		}, nil, 2 * time.Second, 3, ""},
		"a group that showed it is not asked again": {func(t *testing.T, w *world) {
			w.bind(t, "dev/web", "g1")
			w.bind(t, "dev/web", "g2")
			w.delays["g1"], w.delays["g2"] = "65", "300"
			after(4500*time.Millisecond, w, func() { w.delays["g2"] = "65" })
		}, nil, 5 * time.Second, 6, ""},
		"Services with delays of their own": {func(t *testing.T, w *world) {
			w.bind(t, "dev/web", "g1")
			w.bind(t, "ops/api", "g2")
			w.delays["g1"], w.delays["g2"] = "65", "90"
		}, map[string]time.Duration{"dev/web": 65 * time.Second, "ops/api": 90 * time.Second}, time.Second, 2, ""},
		"a group that never shows it": {func(t *testing.T, w *world) {
			w.bind(t, "dev/web", "g1")
			w.delays["g1"] = "300"
			w.events = append(w.events, *object(t, "{type: Warning, involvedObject: {kind: Ingress}, message: conflicting attributes}"))
		}, nil, 10500 * time.Millisecond, 11, `waiting for the target groups to show what was written: after 10.5s g1 has a deregistration delay of "300" s, not 65; the controller says: conflicting attributes; is the AWS Load Balancer Controller running`},
		"a group that cannot be read is unknown, and no success": {func(t *testing.T, w *world) {
			w.bind(t, "dev/web", "g1")
			w.fails = func(string) error { return errors.New("Throttling: Rate exceeded") }
		}, nil, 10500 * time.Millisecond, 11, "the attributes of g1 are not known: Throttling: Rate exceeded"},
		"a group that is read in the end": {func(t *testing.T, w *world) {
			w.bind(t, "dev/web", "g1")
			w.delays["g1"] = "65"
			w.fails = func(string) error {
				if len(w.asked) < 4 {
					return errors.New("Throttling: Rate exceeded")
				}
				return nil
			}
		}, nil, 3 * time.Second, 4, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{delays: map[string]string{}}
				tc.setup(t, w)
				if tc.want == nil {
					tc.want = map[string]time.Duration{"dev/web": 65 * time.Second}
				}
				started := time.Now()
				err := Delays(t.Context(), w, w, tc.want, 10500*time.Millisecond, func(string) {})
				if took := time.Since(started); took != tc.took || len(w.asked) != tc.asked {
					t.Errorf("took %s with %d questions, want %s with %d", took, len(w.asked), tc.took, tc.asked)
				}
				if (err == nil) != (tc.err == "") || !strings.Contains(fmt.Sprint(err), tc.err) {
					t.Errorf("got %v, want %q", err, tc.err)
				}
				for i := 1; i < len(w.asked); i++ {
					if gap := w.asked[i].Sub(w.asked[i-1]); gap < time.Second {
						t.Errorf("two questions within %s", gap)
					}
				}
			})
		})
	}
	t.Run("cancellation ends it and is no success", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := &world{delays: map[string]string{}}
			w.bind(t, "dev/web", "g1")
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(2500*time.Millisecond, cancel)
			if err := Delays(ctx, w, w, map[string]time.Duration{"dev/web": time.Second}, time.Minute, func(string) {}); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
	})
	t.Run("a cluster without the controller", func(t *testing.T) {
		w := &world{unknown: true}
		if err := Delays(t.Context(), w, w, map[string]time.Duration{"dev/web": time.Second}, time.Minute, func(string) {}); !errors.Is(err, ErrNoBindings) {
			t.Errorf("got %v", err)
		}
	})
}
