// SPDX-License-Identifier: Apache-2.0

package trouble

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

func TestABucketHoldsItsSizeAndRefills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(AWSLimits(), time.Now)
		passed := func(region, operation string, calls int) (n int) {
			for range calls {
				e, _ := m.Meet(nil, nil, wire.Call{Service: "elasticloadbalancing", Region: region, Operation: operation})
				if e == nil {
					n++
				} else if e.Code != "Throttling" || e.Message != "Rate exceeded" || e.Status != 0 {
					t.Fatalf("got %+v", e)
				}
			}
			return n
		}
		if n := passed("a", "DescribeTargetHealth", 30) + passed("a", "DescribeTags", 30); n != 40 {
			t.Errorf("%d reads passed of 60", n)
		}
		if n := passed("a", "RegisterTargets", 15) + passed("a", "DeregisterTargets", 15); n != 20 {
			t.Errorf("%d registrations passed of 30", n)
		}
		if n := passed("b", "DescribeTags", 1) + passed("a", "CreateRule", 1); n != 2 {
			t.Error("another region or another bucket was throttled")
		}
		time.Sleep(1500 * time.Millisecond)
		if n := passed("a", "DescribeRules", 60); n != 15 {
			t.Errorf("%d reads passed after 1.5 s", n)
		}
		time.Sleep(time.Hour)
		if n := passed("a", "DescribeRules", 60); n != 40 {
			t.Errorf("%d reads passed after an hour", n)
		}
	})
}

func TestFaultsHitWhatTheySay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, x := range map[string]struct {
			fault Fault
			want  string // of twelve calls, one a second: x was hit
		}{
			"all calls":            {Fault{Kind: KindServer}, "xxxxxxxxxxxx"},
			"each fourth":          {Fault{Kind: KindServer, Rate: 0.25}, "...x...x...x"},
			"two calls":            {Fault{Kind: KindServer, Count: 2}, "xx.........."},
			"three seconds":        {Fault{Kind: KindServer, Seconds: 3}, "xxx........."},
			"after two, for three": {Fault{Kind: KindServer, After: 2, Seconds: 3}, "..xxx......."},
			"of another service":   {Fault{Kind: KindServer, Service: "ecr"}, "............"},
			"by a pattern":         {Fault{Kind: KindServer, Operation: "Describe*"}, "xxxxxxxxxxxx"},
			"of other operations":  {Fault{Kind: KindServer, Operation: "Create*"}, "............"},
			"of a resource":        {Fault{Kind: KindServer, Resource: "arn:b"}, "xxxxxxxxxxxx"},
			"of another resource":  {Fault{Kind: KindServer, Resource: "arn:c"}, "............"},
		} {
			m := New(Limits{}, time.Now)
			if _, err := m.faults.add(x.fault, time.Now()); err != nil {
				t.Fatal(err)
			}
			got := ""
			for range 12 {
				e, _ := m.Meet(nil, nil, wire.Call{Service: "elasticloadbalancing", Operation: "DescribeTags", Resources: []string{"arn:a", "arn:b"}})
				got += map[bool]string{true: "x", false: "."}[e != nil && e.Status == 503]
				time.Sleep(time.Second)
			}
			if got != x.want || m.faults.list()[0].Hits != strings.Count(got, "x") {
				t.Errorf("%s: got %s, want %s; %+v", name, got, x.want, m.faults.list())
			}
		}
	})
}

func TestControl(t *testing.T) {
	m := New(Limits{}, time.Now)
	s := httptest.NewServer(m.Control())
	defer s.Close()
	for _, x := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/_lab/faults", `{"kind":"reset","service":"ecr"}`, 200, `"id":1`},
		{"POST", "/_lab/faults", `{"kind":"latency"}`, 400, "milliseconds 0"},
		{"POST", "/_lab/faults", `{"kind":"fire"}`, 400, "want throttle, 5xx, latency or reset"},
		{"POST", "/_lab/faults", `{"kind":"5xx","rate":2}`, 400, "rate 2"},
		{"POST", "/_lab/faults", `{"kind":"5xx","operation":"["}`, 400, "syntax error"},
		{"POST", "/_lab/faults", `{"kind":"5xx","often":1}`, 400, "unknown field"},
		{"GET", "/_lab/faults", "", 200, `"service":"ecr"`},
		{"DELETE", "/_lab/faults/7", "", 404, "there is none"},
		{"DELETE", "/_lab/faults/1", "", 204, ""},
		{"GET", "/_lab/faults", "", 200, "[]"},
		{"PUT", "/_lab/limits", `{"read":{"size":3,"refill":1}}`, 200, `"size":3`},
	} {
		r, _ := http.NewRequest(x.method, s.URL+x.path, strings.NewReader(x.body))
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != x.status || !strings.Contains(string(b), x.want) {
			t.Errorf("%s %s %s: got %d %s", x.method, x.path, x.body, resp.StatusCode, b)
		}
	}
}

func TestAClientOrdersAFaultAndLearnsWhatItHit(t *testing.T) {
	m := New(Limits{}, time.Now)
	s := httptest.NewServer(m.Control())
	defer s.Close()
	c := Client{s.URL}
	other, err := c.Order(t.Context(), Fault{Kind: KindServer, Service: "ecr"})
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.Order(t.Context(), Fault{Kind: KindServer, Resource: "arn:b", Count: 1})
	if err != nil || f.ID == other.ID {
		t.Fatalf("%+v, %v", f, err)
	}
	for range 2 {
		m.Meet(nil, nil, wire.Call{Resources: []string{"arn:b"}})
	}
	if hits, err := c.End(t.Context(), f.ID); hits != 1 || err != nil {
		t.Errorf("%d hits, %v", hits, err)
	}
	if _, err := c.End(t.Context(), f.ID); err == nil || !strings.Contains(err.Error(), "there is none with that id") {
		t.Errorf("ended twice: %v", err)
	}
	if all := m.faults.list(); len(all) != 1 || all[0].ID != other.ID {
		t.Errorf("left are %+v", all)
	}
}
