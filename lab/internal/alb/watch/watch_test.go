// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/alb"
)

const (
	lb    = "arn:aws-cn:elasticloadbalancing:cn-northwest-1:123456789012:loadbalancer/app/web/1"
	group = "arn:aws-cn:elasticloadbalancing:cn-northwest-1:123456789012:targetgroup/web/1"
)

func TestChangesAreSeenAndThePropagationIsSet(t *testing.T) {
	hub := &Hub{}
	e := alb.New(alb.Options{Observe: hub.Observe})
	defer e.Close()
	saved := 0
	s := httptest.NewServer(mounted(e, hub, func() error { saved++; return nil }))
	defer s.Close()
	c := Client{Base: s.URL}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := e.PutTargetGroup(alb.TargetGroup{ARN: group, Name: "web", Protocol: "HTTP", TargetType: "ip", Port: 80}); err != nil {
		t.Fatal(err)
	}
	ready, done, seen := make(chan struct{}), make(chan error, 1), make(chan alb.Event, 8)
	go func() { done <- c.Targets(ctx, func() { close(ready) }, func(e alb.Event) { seen <- e }) }()
	<-ready
	if err := e.Register(group, []alb.Target{{ID: "10.0.0.1"}}); err != nil {
		t.Fatal(err)
	}
	if got := <-seen; got.Change == nil || got.Change.TargetGroup != group || got.Change.Health.Target.ID != "10.0.0.1" || got.Time.IsZero() {
		t.Errorf("got %+v", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := e.PutLoadBalancer(alb.LoadBalancer{ARN: lb, Name: "web", Zones: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	if err := c.SetPropagation(t.Context(), lb, "1s-30s"); err != nil {
		t.Error(err)
	}
	if d, err := e.Propagation(lb); err != nil || d != (alb.Delay{Min: time.Second, Max: 30 * time.Second}) {
		t.Errorf("%v, %v", d, err)
	}
	if err := c.SetJitter(t.Context(), lb, "0s-1s"); err != nil {
		t.Error(err)
	}
	if saved != 2 {
		t.Errorf("what was set twice is saved %d times", saved)
	}
}

func TestBadPropagationsAreRefused(t *testing.T) {
	hub := &Hub{}
	e := alb.New(alb.Options{})
	defer e.Close()
	s := httptest.NewServer(mounted(e, hub, func() error { return errors.New("nothing was set, and it is saved") }))
	defer s.Close()
	for name, tt := range map[string]struct{ arn, between, want string }{
		"an unknown load balancer": {lb, "1s-2s", "404"},
		"no range":                 {lb, "17s", "want MIN-MAX"},
		"the wrong way round":      {lb, "17s-10s", "want MIN-MAX"},
		"less than nothing":        {lb, "-1s-10s", "want MIN-MAX"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Client{Base: s.URL}.SetPropagation(t.Context(), tt.arn, tt.between)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			err = Client{Base: s.URL}.SetJitter(t.Context(), tt.arn, tt.between)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "jitter") {
				t.Errorf("the jitter: got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestASlowListenerIsCutOffAndToldSo(t *testing.T) {
	hub := &Hub{}
	ear, stop := hub.listen()
	defer stop()
	for range waiting + 1 {
		hub.Observe(alb.Event{Change: &alb.TargetChange{}})
	}
	n := 0
	for range ear {
		n++
	}
	if n != waiting {
		t.Errorf("it got %d changes before the end of its stream, want %d", n, waiting)
	}
}

func mounted(e *alb.Engine, h *Hub, save func() error) http.Handler {
	mux := http.NewServeMux()
	Mount(mux, e, h, save)
	return mux
}
