// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func configMap(name, data string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + ", namespace: dev}\ndata: {k: " + data + "}\n"
}

// TestCheck: what the server would refuse is refused before any write, and
// Apply meets the same refusal.
func TestCheck(t *testing.T) {
	forbidden := func(_ context.Context, verb, kind, name string) error {
		if kind == "Secret" && verb != "get" || kind == "Namespace" && name == "locked" {
			return apierrors.NewForbidden(schema.GroupResource{Resource: strings.ToLower(kind) + "s"}, name, errors.New(`User "ci" cannot patch it`))
		}
		return nil
	}
	secret := "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: dev}\n"
	for name, tc := range map[string]struct {
		stock, manifests string
		want             []string // parts of the error; none: it is fine
		fine             bool     // for Apply, though not for Check
	}{
		"fine manifests pass": {"", web + "---\n" + configMap("c", "v"), nil, false},
		"manifests of a namespace that comes with them pass": {
			"", strings.ReplaceAll(web, "dev", "fresh") + "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: fresh}\n", nil, false,
		},
		"an unknown kind": {"", web + "---\napiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\n", []string{`no matches for kind "Widget" in version "example.com/v1"`}, false},
		"a known kind of an unknown version": {
			"", strings.Replace(web, "apps/v1", "apps/v1beta1", 1), []string{`no matches for kind "Deployment" in version "apps/v1beta1"`}, false,
		},
		"a kind that another definition of the manifests brings": {
			"", "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: gadgets.example.org}\nspec: {group: example.org, names: {kind: Gadget}}\n---\n" +
				"apiVersion: example.com/v1\nkind: Gadget\nmetadata: {name: w}\n", []string{`no matches for kind "Gadget" in version "example.com/v1"`}, false,
		},
		"a missing namespace":              {"", strings.ReplaceAll(web, "dev", "nowhere"), []string{`namespaces "nowhere" not found`}, false},
		"a permission that lacks":          {"", secret, []string{`secrets "s" is forbidden`}, false},
		"a namespace that may not be read": {"", "apiVersion: v1\nkind: Namespace\nmetadata: {name: locked}\n", []string{`namespaces "locked" is forbidden`}, false},
		"a field of another manager, with the manager and the field": {
			strings.Replace(web, "spec:\n", "spec:\n  replicas: 4\n", 1), strings.Replace(web, "spec:\n", "spec:\n  replicas: 2\n", 1),
			[]string{`conflict with "argocd"`, ".spec.replicas"}, false,
		},
		"a field of another manager with the same value is no conflict": {web, web, nil, false},
		"another selector, which is immutable": {
			strings.Replace(web, "{matchLabels: {app: web}}", "{matchLabels: {old: web}}", 1),
			strings.Replace(web, "{matchLabels: {app: web}}", "{matchLabels: {app: web}}", 1), []string{`Deployment.apps "web" is invalid: spec.selector`, "field is immutable"}, false,
		},
		"cluster-scoped objects": {
			"", "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: r}\nrules: [{verbs: [get]}]\n", nil, false,
		},
		"several mistakes of one phase, all told": {
			"", secret + "---\n" + strings.ReplaceAll(configMap("c", "v"), "dev", "nowhere") + "---\n" + configMap("fine", "v"),
			[]string{`secrets "s" is forbidden`, `namespaces "nowhere" not found`}, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, tc.stock)
			s.before = forbidden
			stock := len(s.objects)
			err := Check(t.Context(), s, []byte(tc.manifests), Options{})
			if len(s.writes) > 0 || len(s.objects) != stock {
				t.Errorf("the check wrote %v", s.writes)
			}
			rollout, applyErr := Apply(t.Context(), s, []byte(tc.manifests), Options{})
			for verb, err := range map[string]error{"check": err, "apply": applyErr} {
				if (err == nil) != (len(tc.want) == 0) {
					t.Errorf("%s: got %v, want %q", verb, err, tc.want)
				}
				for _, want := range tc.want {
					if !strings.Contains(fmt.Sprint(err), want) {
						t.Errorf("%s: got %v, want a part %q", verb, err, want)
					}
				}
			}
			if applyErr == nil && len(rollout.Changes) != strings.Count(tc.manifests, "apiVersion:") {
				t.Errorf("the Rollout lists %v", rollout.Changes)
			}
		})
	}
}

// TestCheckSkips: in a namespace that does not exist yet nothing can be asked,
// but everywhere else it is, and for the namespace itself.
func TestCheckSkips(t *testing.T) {
	s := newServer(t, "")
	manifests := "apiVersion: v1\nkind: Namespace\nmetadata: {name: fresh}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: dev, labels: {a: b}}\n---\n" +
		strings.ReplaceAll(web, "dev", "fresh") + "---" + web + "---\n" + configMap("c", "v")
	if err := Check(t.Context(), s, []byte(manifests), Options{}); err != nil {
		t.Fatal(err)
	}
	if got, want := slices.Sorted(slices.Values(s.dry)), []string{"ConfigMap/dev/c", "Deployment/dev/web", "Namespace/dev", "Namespace/fresh"}; !slices.Equal(got, want) {
		t.Errorf("asked for %v, want %v", got, want)
	}
}

// TestFailures: what is told and what the Rollout holds when a write fails.
func TestFailures(t *testing.T) {
	refuse := func(names ...string) func(context.Context, string, string, string) error {
		return func(_ context.Context, verb, kind, name string) error {
			if verb == "apply" && slices.Contains(names, name) {
				return fmt.Errorf("applying %s/%s: refused", kind, name)
			}
			return nil
		}
	}
	manifests := configMap("a", "v") + "---\n" + configMap("b", "v") + "---\n" + configMap("c", "v") + "---" + web
	for name, tc := range map[string]struct {
		before  func(context.Context, string, string, string) error
		changes []Change
		text    string
	}{
		"one object of a phase fails, the others are written, the next phase is not begun": {
			refuse("b"), []Change{{Object: "ConfigMap/dev/a", Action: Created}, {Object: "ConfigMap/dev/c", Action: Created}},
			"applying ConfigMap/b: refused (2 objects were written before that; running again goes on from here)",
		},
		"two fail and both are told, in the order of the manifests": {
			refuse("c", "a"), []Change{{Object: "ConfigMap/dev/b", Action: Created}},
			"applying ConfigMap/a: refused\napplying ConfigMap/c: refused (1 objects were written before that; running again goes on from here)",
		},
		"the last phase fails, and the first is done": {
			refuse("web"), []Change{{Object: "ConfigMap/dev/a", Action: Created}, {Object: "ConfigMap/dev/b", Action: Created}, {Object: "ConfigMap/dev/c", Action: Created}},
			"applying Deployment/web: refused (3 objects were written before that; running again goes on from here)",
		},
		"an object that cannot be read is not written": {
			func(_ context.Context, verb, _, name string) error {
				if verb == "get" && name == "web" {
					return errors.New("reading it: refused")
				}
				return nil
			}, []Change{{Object: "ConfigMap/dev/a", Action: Created}, {Object: "ConfigMap/dev/b", Action: Created}, {Object: "ConfigMap/dev/c", Action: Created}},
			"reading it: refused (3 objects were written before that; running again goes on from here)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, "")
			s.before = tc.before
			rollout, err := Apply(t.Context(), s, []byte(manifests), Options{})
			if err == nil || err.Error() != tc.text {
				t.Errorf("got %v\nwant %s", err, tc.text)
			}
			if diff := cmp.Diff(tc.changes, brief(rollout.Changes)); diff != "" {
				t.Error(diff)
			}
			s.before = nil
			again, err := Apply(t.Context(), s, []byte(manifests), Options{})
			if err != nil || len(again.Changes) != 4 {
				t.Fatalf("running again: %v, %v", again.Changes, err)
			}
			for _, c := range again.Changes {
				if want := slices.ContainsFunc(tc.changes, func(done Change) bool { return done.Object == c.Object }); (c.Action == Unchanged) != want {
					t.Errorf("running again, %s is %s", c.Object, c.Action)
				}
			}
		})
	}
}

// TestUnchangedIsNotWritten: what the error counts as written are writes.
func TestUnchangedIsNotWritten(t *testing.T) {
	s := newServer(t, "")
	if _, err := Apply(t.Context(), s, []byte(configMap("a", "v")), Options{}); err != nil {
		t.Fatal(err)
	}
	s.before = func(_ context.Context, _, _, name string) error {
		if name == "web" {
			return errors.New("refused")
		}
		return nil
	}
	_, err := Apply(t.Context(), s, []byte(configMap("a", "v")+"---"+web), Options{})
	if err == nil || !strings.Contains(err.Error(), "(0 objects were written before that") {
		t.Errorf("got %v", err)
	}
}

// TestPodsUnread: without the pods of a changed workload the gate could not
// tell when they are gone, so it is not written.
func TestPodsUnread(t *testing.T) {
	changed := strings.Replace(web, "sha256:1", "sha256:2", 1)
	for _, kind := range []string{"ReplicaSet", "Pod"} {
		t.Run("a workload whose "+kind+"s cannot be listed is not written", func(t *testing.T) {
			s := running(t, web)
			s.before = func(_ context.Context, verb, k, _ string) error {
				if verb == "list" && k == kind {
					return errors.New("listing " + kind + ": refused")
				}
				return nil
			}
			_, err := Apply(t.Context(), s, []byte(changed), Options{})
			if err == nil || !strings.Contains(err.Error(), "listing "+kind+": refused") || len(s.writes) > 0 {
				t.Errorf("got %v with the writes %v", err, s.writes)
			}
		})
	}
	for name, selector := range map[string]string{
		"a workload that selects every pod is not written": "{}",
		"a workload whose selector is none is not written": "{matchExpressions: [{key: app, operator: Maybe}]}",
	} {
		t.Run(name, func(t *testing.T) {
			odd := strings.Replace(web, "{matchLabels: {app: web}}", selector, 1)
			s := running(t, odd)
			_, err := Apply(t.Context(), s, []byte(strings.Replace(odd, "sha256:1", "sha256:2", 1)), Options{})
			if err == nil || !strings.Contains(err.Error(), "reading spec.selector of Deployment/dev/web: ") || len(s.writes) > 0 {
				t.Errorf("got %v with the writes %v", err, s.writes)
			}
		})
	}
}

// TestNoAnswerIsCutShort: a failure elsewhere must not cancel a write that is
// under way, since the server may have accepted it; the Rollout has to know.
func TestNoAnswerIsCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, "")
		s.before = func(_ context.Context, verb, _, name string) error {
			if verb == "apply" && name == "quick" {
				return errors.New("refused")
			}
			return nil
		}
		s.after = func(ctx context.Context, verb, _, name string) error {
			if verb == "apply" && name == "slow" {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(5 * time.Second):
				}
			}
			return nil
		}
		rollout, err := Apply(t.Context(), s, []byte(configMap("slow", "v")+"---\n"+configMap("quick", "v")), Options{})
		if err == nil || len(s.objects) != 3 || !cmp.Equal(brief(rollout.Changes), []Change{{Object: "ConfigMap/dev/slow", Action: Created}}) {
			t.Errorf("got %v, the Rollout lists %v", err, rollout.Changes)
		}
	})
}

// TestCancelled: cancellation is not success, and the Rollout holds what was
// written until then.
func TestCancelled(t *testing.T) {
	manifests := []byte(strings.Replace(web, "sha256:1", "sha256:2", 1) + "---\n" + configMap("a", "v") + "---\n" + configMap("b", "v"))
	for name, tc := range map[string]struct {
		verb, name string // the call after which the run is cancelled
		changes    int
	}{
		"before anything was written":          {"list", "", 0},
		"between two phases":                   {"get", "web", 2},
		"after the dry run of the last object": {"dry", "web", 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := running(t, web)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s.before = func(ctx context.Context, verb, _, name string) error {
				if verb == tc.verb && (tc.name == "" || name == tc.name) {
					cancel()
					return ctx.Err()
				}
				return nil
			}
			rollout, err := Apply(ctx, s, manifests, Options{})
			if !errors.Is(err, context.Canceled) || len(rollout.Changes) != tc.changes || len(s.writes) != tc.changes {
				t.Fatalf("got %v, the Rollout lists %v, the server %v", err, rollout.Changes, s.writes)
			}
			if n := strings.Count(err.Error(), context.Canceled.Error()); n != 1 {
				t.Errorf("cancellation is told %d times: %v", n, err)
			}
			if err := Check(ctx, s, manifests, Options{}); !errors.Is(err, context.Canceled) {
				t.Errorf("checking: %v", err)
			}
		})
	}
}

// TestCancelledOnce: every request that cancellation cuts short fails, but that
// is one fact.
func TestCancelledOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, "")
		s.before = func(ctx context.Context, _, _, name string) error {
			<-ctx.Done()
			return fmt.Errorf("reading %s: %w", name, ctx.Err())
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := Apply(ctx, s, []byte(configMap("a", "v")+"---\n"+configMap("b", "v")), Options{})
		if !errors.Is(err, context.Canceled) || strings.Count(err.Error(), "reading ") != 1 {
			t.Errorf("got %v", err)
		}
	})
}

// TestSecrets: no value of a Secret is in an error or an event, whatever the
// server says. API servers do quote a value that has the wrong type.
func TestSecrets(t *testing.T) {
	const said = `failed to create typed patch object (dev/s; /v1, Kind=Secret): .stringData.pin: expected string, got &value.valueUnstructured{Value:%s}`
	for name, tc := range map[string]struct{ field, value, quoted string }{
		"a number where text belongs":      {"stringData", `12345678`, "12345678"},
		"a large number":                   {"stringData", `9007199254740993`, "9007199254740993"},
		"a truth value":                    {"stringData", `true`, "true"},
		"a text":                           {"stringData", `hunter22`, "hunter22"},
		"a text that is a part of another": {"stringData", `hunt, l: hunte, m: hunter, n: hunter2, o: hunter22`, "hunter22"},
		"base64, quoted as it is":          {"data", `aHVudGVyMjI=`, "aHVudGVyMjI="},
		"base64, quoted as what it says":   {"data", `aHVudGVyMjI=`, "hunter22"},
		"a value within a mapping":         {"stringData", `{a: {b: hunter22}}`, "hunter22"},
		"a value within a list":            {"stringData", `[a, hunter22]`, "hunter22"},
	} {
		t.Run(name, func(t *testing.T) {
			s, r := newServer(t, ""), &recorder{}
			cause := fmt.Errorf(said, tc.quoted)
			manifests := []byte("apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: dev}\n" + tc.field + ": {e: null, k: " + tc.value + "}\n")
			fail := "dry"
			s.before = func(_ context.Context, verb, kind, name string) error {
				if verb == fail {
					return cause
				}
				return nil
			}
			tell := func(verb string, err error) {
				t.Helper()
				if !errors.Is(err, cause) || strings.Contains(err.Error(), tc.quoted) || !strings.Contains(err.Error(), "{Value:(hidden)}") || !strings.Contains(err.Error(), "expected string") {
					t.Errorf("%s: %v", verb, err)
				}
			}
			tell("check", Check(t.Context(), s, manifests, Options{}))
			fail = "apply"
			_, err := Apply(t.Context(), s, manifests, Options{Observe: r.observe})
			tell("apply", err)
			fail = ""
			if _, err := Apply(t.Context(), s, manifests, Options{Observe: r.observe}); err != nil {
				t.Fatal(err)
			}
			fail = "apply"
			manifests = []byte(strings.Replace(string(manifests), "name: s,", "name: s, labels: {a: b},", 1)) // else nothing is written
			_, err = Apply(t.Context(), s, manifests, Options{Observe: r.observe})
			tell("apply again", err)
			if text := r.text(); text != "apply progress Secret/dev/s: created map[]\n" {
				t.Errorf("events: %s", text)
			}
		})
	}
	t.Run("short values leave the words of a message alone", func(t *testing.T) {
		s := newServer(t, "")
		s.before = func(context.Context, string, string, string) error { return errors.New("a refusal") }
		err := Check(t.Context(), s, []byte("apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: dev}\nstringData: {k: a, l: ''}\n"), Options{})
		if err == nil || err.Error() != "a refusal" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a ConfigMap's values are quoted", func(t *testing.T) {
		s := newServer(t, "")
		s.before = func(context.Context, string, string, string) error { return errors.New("refused: hunter22") }
		if err := Check(t.Context(), s, []byte(configMap("c", "hunter22")), Options{}); err == nil || err.Error() != "refused: hunter22" {
			t.Errorf("got %v", err)
		}
	})
}
