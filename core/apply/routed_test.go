// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const binding = `
apiVersion: elbv2.k8s.aws/v1beta1
kind: TargetGroupBinding
metadata: {name: k8s-dev-web, namespace: dev}
spec: {serviceRef: {name: web, port: 80}}
`

// TestBound waits for the target group bindings of a new workload, in the time
// of a bubble.
func TestBound(t *testing.T) {
	auto := strings.Replace(binding, "elbv2.k8s.aws/v1beta1", "eks.amazonaws.com/v1", 1)
	other := strings.NewReplacer("name: k8s-dev-web", "name: other", "{name: web,", "{name: other,").Replace(binding)
	elsewhere := strings.Replace(binding, "namespace: dev", "namespace: default", 1)
	for name, tc := range map[string]struct {
		before string                   // what the server has already
		comes  map[time.Duration]string // what the controller makes, and when
		routed []string                 // Services of web; nil: web alone
		bare   bool                     // the server knows no TargetGroupBindings
		exists bool                     // web is there already
		bound  time.Duration
		took   time.Duration
		err    string
		said   string
	}{
		"a binding that is there lets the workload be created at once": {before: binding},
		"a binding of EKS Auto Mode counts as much":                    {before: auto},
		"a binding that comes after 5 s ends the wait": {
			comes: map[time.Duration]string{4500 * time.Millisecond: binding}, took: 5 * time.Second,
			said: "apply progress Deployment/dev/web: not created yet: the controller has bound no target group to Service [dev/web]",
		},
		"a binding of another Service is none":   {before: other, took: 3 * time.Minute, err: "no target group to Service dev/web,"},
		"a binding in another namespace is none": {before: elsewhere, took: 3 * time.Minute, err: "no target group to Service dev/web,"},
		"both Services of a workload have to be bound": {
			before: binding, routed: []string{"dev/web", "dev/other"}, took: 3 * time.Minute, err: "no target group to Service dev/other,",
		},
		"two bindings at different times end the wait with the second": {
			comes: map[time.Duration]string{time.Second / 2: binding, 7500 * time.Millisecond: other}, routed: []string{"dev/web", "dev/other"}, took: 8 * time.Second,
		},
		"a limit of one's own ends the wait": {
			bound: 10 * time.Second, took: 10 * time.Second, err: "creating Deployment/dev/web: after 10s the AWS Load Balancer Controller has bound no target group to Service dev/web",
		},
		"the controller's last warning is part of the error": {
			before: "apiVersion: v1\nkind: Event\nmetadata: {name: e1, namespace: dev}\ntype: Warning\ninvolvedObject: {kind: Ingress}\nmessage: no subnets found\n---\n" +
				"apiVersion: v1\nkind: Event\nmetadata: {name: e2, namespace: dev}\ntype: Normal\ninvolvedObject: {kind: Ingress}\nmessage: all is well\n---\n" +
				"apiVersion: v1\nkind: Event\nmetadata: {name: e3, namespace: dev}\ntype: Warning\ninvolvedObject: {kind: Pod}\nmessage: a pod is sick",
			took: 3 * time.Minute, err: "; the controller says: no subnets found; is the controller running",
		},
		"a workload that exists already is not held up":        {exists: true},
		"a workload that no balancer routes to is not held up": {routed: []string{}},
		"a cluster without the controller is warned about and not waited for": {
			bare: true, said: "apply warn Deployment/dev/web: the cluster knows no TargetGroupBindings: is the AWS Load Balancer Controller installed?",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, r := newServer(t, ""), &recorder{}
				if !tc.bare {
					s.kinds["elbv2.k8s.aws/v1beta1 TargetGroupBinding"], s.kinds["eks.amazonaws.com/v1 TargetGroupBinding"] = true, true
				}
				s.add(t, tc.before)
				if tc.exists {
					s.add(t, web)
				}
				for after, text := range tc.comes {
					time.AfterFunc(after, func() { s.add(t, text) })
				}
				if tc.routed == nil {
					tc.routed = []string{"dev/web"}
				}
				opt := Options{Routed: map[string]Route{"Deployment/dev/web": {Services: tc.routed}}, Bound: tc.bound, Observe: r.observe}
				started := time.Now()
				_, err := Apply(t.Context(), s, []byte(web), opt)
				if took := time.Since(started); took != tc.took {
					t.Errorf("took %s, want %s", took, tc.took)
				}
				switch {
				case tc.err == "" && (err != nil || s.objects["apps/v1 Deployment dev/web"] == nil):
					t.Errorf("got %v with the writes %v, want the workload created", err, s.writes)
				case tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err) || len(s.writes) > 0):
					t.Errorf("got %v with the writes %v, want no write and an error with %q", err, s.writes, tc.err)
				}
				if !strings.Contains(r.text(), tc.said) {
					t.Errorf("events:\n%swant one with %q", r.text(), tc.said)
				}
			})
		})
	}
}

// TestRoutedWithoutNamespace: render calls a workload that names no namespace
// "Deployment//web", and it is waited for like any other.
func TestRoutedWithoutNamespace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, "")
		s.kinds["elbv2.k8s.aws/v1beta1 TargetGroupBinding"] = true
		_, err := Apply(t.Context(), s, []byte(strings.Replace(web, ", namespace: dev", "", 1)), Options{Routed: map[string]Route{"Deployment//web": {Services: []string{"/web"}}}})
		if err == nil || len(s.writes) > 0 {
			t.Errorf("got %v with the writes %v, want an error and none", err, s.writes)
		}
	})
}

// TestServicesComeBeforeTheWait: the Service and Ingress whose binding is
// waited for are in the same manifests.
func TestServicesComeBeforeTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, "")
		s.kinds["elbv2.k8s.aws/v1beta1 TargetGroupBinding"] = true
		s.after = func(_ context.Context, verb, kind, _ string) error {
			if verb == "apply" && kind == "Service" { // so the controller would
				time.AfterFunc(2500*time.Millisecond, func() { s.add(t, binding) })
			}
			return nil
		}
		manifests := web + "---\napiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: dev}\nspec: {selector: {app: web}}\n"
		started := time.Now()
		if _, err := Apply(t.Context(), s, []byte(manifests), Options{Routed: map[string]Route{"Deployment/dev/web": {Services: []string{"dev/web"}}}}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(started); took != 3*time.Second {
			t.Errorf("took %s, want 3s", took)
		}
	})
}

// TestWaitMeetsTrouble: what ends the wait other than a binding.
func TestWaitMeetsTrouble(t *testing.T) {
	opt := Options{Routed: map[string]Route{"Deployment/dev/web": {Services: []string{"dev/web"}}}}
	setup := func(t *testing.T) *server {
		s := newServer(t, "")
		s.kinds["elbv2.k8s.aws/v1beta1 TargetGroupBinding"] = true
		return s
	}
	t.Run("a list that is forbidden is told at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, started := setup(t), time.Now()
			s.before = func(_ context.Context, verb, kind, _ string) error {
				if verb == "list" {
					return errors.New("listing TargetGroupBinding: not allowed")
				}
				return nil
			}
			_, err := Apply(t.Context(), s, []byte(web), opt)
			if err == nil || !strings.Contains(err.Error(), "not allowed") || time.Since(started) > 0 {
				t.Errorf("got %v after %s", err, time.Since(started))
			}
		})
	})
	for name, after := range map[string]time.Duration{
		"a server that hangs at the limit still leaves the Service's name in the error": time.Minute,
		"a server that hangs all along still leaves the Service's name in the error":    -1,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, started := setup(t), time.Now()
				s.before = func(ctx context.Context, verb, kind, _ string) error {
					if kind == "TargetGroupBinding" && time.Since(started) > after {
						<-ctx.Done()
						return ctx.Err()
					}
					return nil
				}
				_, err := Apply(t.Context(), s, []byte(web), opt)
				if err == nil || !strings.Contains(err.Error(), "after 3m0s the AWS Load Balancer Controller has bound no target group to Service dev/web,") {
					t.Errorf("got %v", err)
				}
			})
		})
	}
	t.Run("events that cannot be read are told, too", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := setup(t)
			s.before = func(_ context.Context, _, kind, _ string) error {
				if kind == "Event" {
					return errors.New("the events are locked away")
				}
				return nil
			}
			_, err := Apply(t.Context(), s, []byte(web), opt)
			if err == nil || !strings.Contains(err.Error(), "; its events cannot be read: the events are locked away; is the controller running") {
				t.Errorf("got %v", err)
			}
		})
	})
	t.Run("a server that hangs over the events does not hold up the error for long", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, started := setup(t), time.Now()
			s.before = func(ctx context.Context, _, kind, _ string) error {
				if kind == "Event" {
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			}
			_, err := Apply(t.Context(), s, []byte(web), opt)
			if took := time.Since(started); err == nil || took != 3*time.Minute+10*time.Second {
				t.Errorf("got %v after %s", err, took)
			}
		})
	})
	t.Run("cancellation ends the wait and is not called a missing binding", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			s, started := setup(t), time.Now()
			time.AfterFunc(5500*time.Millisecond, cancel)
			_, err := Apply(ctx, s, []byte(web), opt)
			if took := time.Since(started); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "has bound no") || took != 5500*time.Millisecond || len(s.writes) > 0 {
				t.Errorf("got %v after %s with the writes %v", err, took, s.writes)
			}
		})
	})
	t.Run("another object's failure ends the wait and is told once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, started := setup(t), time.Now()
			s.before = func(_ context.Context, verb, _, name string) error {
				if verb == "apply" && name == "worker" {
					time.Sleep(2500 * time.Millisecond)
					return errors.New("worker is refused")
				}
				return nil
			}
			worker := strings.ReplaceAll(web, "name: web", "name: worker")
			rollout, err := Apply(t.Context(), s, []byte(web+"---"+worker), opt)
			if took := time.Since(started); err == nil || strings.Count(err.Error(), "worker is refused") != 1 || took != 2500*time.Millisecond {
				t.Errorf("got %v after %s", err, took)
			}
			if len(rollout.Changes) > 0 || s.objects["apps/v1 Deployment dev/web"] != nil {
				t.Errorf("web was created without its binding: %v", rollout.Changes)
			}
		})
	})
}

// TestOwnKind: a CustomResourceDefinition and an object of its kind come in one
// file. The server serves the kind a while after the definition was written.
func TestOwnKind(t *testing.T) {
	manifests := []byte(`{"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "dev"}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec: {group: example.com, names: {kind: Widget, plural: widgets}, scope: Namespaced}
`)
	for name, tc := range map[string]struct {
		served time.Duration // after the write of the definition; negative: never
		took   time.Duration
		err    string
	}{
		"a kind that is served at once is written at once": {0, 0, ""},
		"a kind that takes 4 s is waited for":              {3500 * time.Millisecond, 4 * time.Second, ""},
		"a kind that is never served ends in an error":     {-1, 30 * time.Second, `no matches for kind "Widget" in version "example.com/v1" (1 objects were written before that`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, "")
				if err := Check(t.Context(), s, manifests, Options{}); err != nil || len(s.writes) > 0 {
					t.Fatalf("checking: %v with the writes %v", err, s.writes)
				}
				s.after = func(_ context.Context, verb, kind, _ string) error {
					if verb == "apply" && kind == "CustomResourceDefinition" && tc.served >= 0 {
						time.AfterFunc(tc.served, func() {
							s.mu.Lock()
							s.kinds["example.com/v1 Widget"] = true
							s.mu.Unlock()
						})
						time.Sleep(time.Nanosecond)
					}
					return nil
				}
				started := time.Now()
				rollout, err := Apply(t.Context(), s, manifests, Options{})
				if took := time.Since(started).Truncate(time.Second); took != tc.took {
					t.Errorf("took %s, want %s", took, tc.took)
				}
				if (err == nil) != (tc.err == "") || !strings.Contains(fmt.Sprint(err), tc.err) {
					t.Errorf("got %v, want %q", err, tc.err)
				}
				if want := map[bool]int{true: 2, false: 1}[tc.err == ""]; len(rollout.Changes) != want {
					t.Errorf("changes %v, want %d", rollout.Changes, want)
				}
			})
		})
	}
	t.Run("cancellation ends the wait for a kind", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(2500*time.Millisecond, cancel)
			started := time.Now()
			_, err := Apply(ctx, newServer(t, ""), manifests, Options{})
			if took := time.Since(started); !errors.Is(err, context.Canceled) || took != 2500*time.Millisecond {
				t.Errorf("got %v after %s", err, took)
			}
		})
	})
}

// groups is an ELBv2 whose target groups take a delay some time after it was
// asked for.
type groups struct {
	s       *server
	shows   func() string
	asked   []string // what had been written at each question
	refuses error
}

func (g *groups) Attributes(_ context.Context, arn string) (map[string]string, error) {
	g.s.mu.Lock()
	g.asked = append(g.asked, strings.Join(g.s.writes, " "))
	g.s.mu.Unlock()
	return map[string]string{"deregistration_delay.timeout_seconds": g.shows()}, g.refuses
}

// TestDelaysComeBeforePods: between the routing and the workloads, the target
// groups have to show the delay that was written.
func TestDelaysComeBeforePods(t *testing.T) {
	const service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: dev, annotations: {a: b}}\nspec: {selector: {app: web}}\n"
	newer := strings.Replace(web, "sha256:1", "sha256:2", 1) + service
	bound := strings.Replace(binding, "spec: {", "spec: {targetGroupARN: g1, ", 1)
	for name, tc := range map[string]struct {
		delay   time.Duration
		nobody  bool // no Groups
		took    time.Duration
		err     string
		refuses error
	}{
		"a delay that is shown after 3 s":      {delay: 65 * time.Second, took: 3 * time.Second},
		"a delay that is never shown":          {delay: 66 * time.Second, took: 10500 * time.Millisecond, err: `after 10.5s g1 has a deregistration delay of "65" s, not 66`},
		"a delay that cannot be read":          {delay: 65 * time.Second, refuses: errors.New("AccessDenied"), took: 10500 * time.Millisecond, err: "the attributes of g1 are not known: AccessDenied"},
		"a delay that is not asked for":        {},
		"a caller who cannot ask the balancer": {delay: 65 * time.Second, nobody: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := running(t, web)
				s.kinds["elbv2.k8s.aws/v1beta1 TargetGroupBinding"] = true
				s.add(t, bound)
				started := time.Now()
				g := &groups{s: s, refuses: tc.refuses, shows: func() string {
					if time.Since(started) < 2500*time.Millisecond {
						return "300"
					}
					return "65"
				}}
				opt := Options{Routed: map[string]Route{"Deployment/dev/web": {Services: []string{"dev/web"}, Delay: tc.delay}}, Groups: g, Bound: 10500 * time.Millisecond}
				if tc.nobody {
					opt.Groups = nil
				}
				_, err := Apply(t.Context(), s, []byte(newer), opt)
				if took := time.Since(started); took != tc.took || (err == nil) != (tc.err == "") || !strings.Contains(fmt.Sprint(err), tc.err) {
					t.Errorf("got %v after %s, want %q after %s", err, took, tc.err, tc.took)
				}
				for _, written := range g.asked {
					if written != "Service/dev/web" {
						t.Errorf("asked when %q was written", written)
					}
				}
				if asked := len(g.asked) > 0; asked != (tc.delay > 0 && !tc.nobody) {
					t.Errorf("asked %d times", len(g.asked))
				}
				if rolled := strings.Contains(fmt.Sprint(s.writes), "Deployment/dev/web"); rolled != (tc.err == "") {
					t.Errorf("wrote %v", s.writes)
				}
			})
		})
	}
}
