// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestHandler(t *testing.T) {
	now := time.Now()
	for name, tc := range map[string]struct {
		path       string
		readyAfter time.Duration
		health     int
		cart       int
		status     int
		body       string
	}{
		"the root names version and pod":   {"/", 0, 200, 200, 200, "v1 pod-a\n"},
		"slow answers the same, later":     {"/slow?ms=20", 0, 200, 200, 200, "v1 pod-a slow\n"},
		"a stream is one line a step":      {"/stream?n=2&ms=1", 0, 200, 200, 200, "v1 pod-a 0\nv1 pod-a 1\n"},
		"ready at once without a delay":    {"/readyz", 0, 200, 200, 200, "ready\n"},
		"not ready before the delay":       {"/readyz", time.Hour, 200, 200, 503, "not ready\n"},
		"never ready":                      {"/readyz", never, 200, 200, 503, "not ready\n"},
		"alive although it is not ready":   {"/healthz", never, 200, 200, 200, "alive\n"},
		"alive with the status asked for":  {"/healthz", 0, 500, 200, 500, "alive\n"},
		"the cart of a good release":       {"/cart", 0, 200, 200, 200, "v1 pod-a cart\n"},
		"a cart that fails":                {"/cart", 0, 200, 500, 500, "v1 pod-a cart\n"},
		"an unknown path is not the root":  {"/nothing", 0, 200, 200, 404, "404 page not found\n"},
		"a silly number means the default": {"/stream?n=1&ms=x", 0, 200, 200, 200, "v1 pod-a 0\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(handler("v1", "pod-a", now, tc.readyAfter, tc.health, tc.cart))
			defer srv.Close()
			res, err := http.Get(srv.URL + tc.path)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != tc.status || string(body) != tc.body {
				t.Errorf("GET %s = %d %q (%v), want %d %q", tc.path, res.StatusCode, body, err, tc.status, tc.body)
			}
		})
	}
}

func TestReadyAfter(t *testing.T) {
	for in, want := range map[string]time.Duration{"": 0, "3s": 3 * time.Second, "never": never} {
		if got, err := parseReadyAfter(in); err != nil || got != want {
			t.Errorf("READY_AFTER=%q: %v, %v, want %v", in, got, err, want)
		}
	}
	if _, err := parseReadyAfter("soon"); err == nil {
		t.Error("READY_AFTER=soon is accepted")
	}
}

func TestStatuses(t *testing.T) {
	for in, want := range map[string]int{"": 200, "503": 503} {
		if got, err := parseStatus("CART_STATUS", func(string) string { return in }); err != nil || got != want {
			t.Errorf("CART_STATUS=%q: %v, %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"bad", "99", "600"} {
		if _, err := parseStatus("CART_STATUS", func(string) string { return in }); err == nil {
			t.Errorf("CART_STATUS=%s is accepted", in)
		}
	}
}
