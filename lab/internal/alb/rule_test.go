// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestConditions(t *testing.T) {
	one := func(field string, values ...string) []Condition { return []Condition{{Field: field, Values: values}} }
	tests := map[string]struct {
		conditions []Condition
		url        string
		change     func(*http.Request)
		want       bool
	}{
		"no condition holds always":                {url: "http://h/", want: true},
		"a path matches as it is":                  {one("path-pattern", "/a"), "http://h/a", nil, true},
		"a path is not a prefix":                   {one("path-pattern", "/a"), "http://h/a/b", nil, false},
		"a star spans slashes":                     {one("path-pattern", "/a/*"), "http://h/a/b/c", nil, true},
		"a star wants the slash before it":         {one("path-pattern", "/a/*"), "http://h/a", nil, false},
		"a question mark is one character":         {one("path-pattern", "/a?c"), "http://h/abc", nil, true},
		"a question mark is not none":              {one("path-pattern", "/a?c"), "http://h/ac", nil, false},
		"paths have case":                          {one("path-pattern", "/A"), "http://h/a", nil, false},
		"the query is not part of the path":        {one("path-pattern", "/a"), "http://h/a?b=c", nil, true},
		"the second value may match":               {one("path-pattern", "/x", "/a"), "http://h/a", nil, true},
		"hosts have no case":                       {one("host-header", "WEB.example.com"), "http://web.Example.com/", nil, true},
		"a host's port does not matter":            {one("host-header", "web.test"), "http://web.test:8080/", nil, true},
		"a host by star":                           {one("host-header", "*.example.com"), "http://a.b.example.com/", nil, true},
		"a star needs its dot":                     {one("host-header", "*.example.com"), "http://example.com/", nil, false},
		"a method":                                 {one("http-request-method", "GET", "HEAD"), "http://h/", nil, true},
		"another method":                           {one("http-request-method", "POST"), "http://h/", nil, false},
		"a header's value by star, without case":   {[]Condition{{Field: "http-header", Name: "x-canary", Values: []string{"yes*"}}}, "http://h/", func(r *http.Request) { r.Header.Set("X-Canary", "YES please") }, true},
		"a header that is missing":                 {[]Condition{{Field: "http-header", Name: "X-Canary", Values: []string{"*"}}}, "http://h/", nil, false},
		"a query pair":                             {[]Condition{{Field: "query-string", Query: [][2]string{{"v", "2"}}}}, "http://h/?a=1&V=2", nil, true},
		"a query value under any key":              {[]Condition{{Field: "query-string", Query: [][2]string{{"", "two*"}}}}, "http://h/?a=1&b=twofold", nil, true},
		"a query pair of other parts":              {[]Condition{{Field: "query-string", Query: [][2]string{{"a", "2"}}}}, "http://h/?a=1&b=2", nil, false},
		"a source address":                         {one("source-ip", "192.0.2.0/24"), "http://h/", nil, true},
		"another source address":                   {one("source-ip", "198.51.100.0/24"), "http://h/", nil, false},
		"a forwarded address is not the source":    {one("source-ip", "198.51.100.0/24"), "http://h/", func(r *http.Request) { r.Header.Set("X-Forwarded-For", "198.51.100.1") }, false},
		"all conditions must hold, the last fails": {append(one("path-pattern", "/a"), one("host-header", "x")...), "http://h/a", nil, false},
		"all conditions must hold, and do":         {append(one("path-pattern", "/a"), one("host-header", "h")...), "http://h/a", nil, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("GET", tt.url, nil) // its client is 192.0.2.1:1234
			if tt.change != nil {
				tt.change(r)
			}
			if _, got := match([]Rule{{Priority: 1, Conditions: tt.conditions}}, r); got != tt.want {
				t.Errorf("matched %v, want %v", got, tt.want)
			}
		})
	}
}

func TestWildcardIsARegularExpression(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[ab*?]{0,8}`).Draw(t, "pattern")
		s := rapid.StringMatching(`[ab]{0,10}`).Draw(t, "text")
		re := regexp.MustCompile("^" + strings.NewReplacer("*", ".*", "?", ".").Replace(pattern) + "$")
		if got, want := wildcard(pattern, s), re.MatchString(s); got != want {
			t.Fatalf("%q on %q: %v, want %v", pattern, s, got, want)
		}
	})
}

func TestRulesByPriorityAndActions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, exact(Options{}))
		w.must(w.PutTargetGroup(groupOf(groupARN)))
		w.must(w.PutTargetGroup(groupOf("tg/api")))
		path := func(p string) []Condition { return []Condition{{Field: "path-pattern", Values: []string{p}}} }
		b := balancerOf("a")
		b.Listeners[0].Rules = []Rule{
			{Actions: forwardTo(groupARN)}, // the default comes first here and must be asked last
			{Priority: 20, Conditions: path("/api/*"), Actions: forwardTo("tg/api")},
			{Priority: 3, Conditions: path("/api/fixed"), Actions: []Action{{Type: "fixed-response", FixedResponse: &FixedResponse{StatusCode: 418, ContentType: "text/css", Body: "tea"}}}},
			{Priority: 5, Conditions: path("/away*"), Actions: []Action{{Type: "redirect", Redirect: &Redirect{Protocol: "HTTPS", Port: "443", Host: "www.#{host}", Path: "/new/#{path}", StatusCode: 301}}}},
			{Priority: 6, Conditions: path("/same"), Actions: []Action{{Type: "redirect", Redirect: &Redirect{Query: "from=#{path}&#{query}", StatusCode: 302}}}},
		}
		w.must(w.PutLoadBalancer(b))
		w.serve(targetAt(1), say("web"))
		w.serve(targetAt(2), say("api"))
		w.must(w.Register(groupARN, []Target{targetAt(1)}))
		w.must(w.Register("tg/api", []Target{targetAt(2)}))
		time.Sleep(3 * time.Second)
		for url, want := range map[string]string{
			"/":               "200 web ",
			"/api/x":          "200 api ",
			"/api/fixed":      "418 tea ",
			"/away/there?a=b": "301 https://www.web.test:443/new/away/there?a=b",
			"/same?x=1":       "302 http://web.test:80/same?from=same&x=1",
		} {
			got := w.get(0, url)
			if got.header.Get("Location") != "" {
				got.body = ""
			}
			if s := strings.Replace(fmt.Sprintf("%d %s %s", got.status, got.body, got.header.Get("Location")), "  ", " ", 1); s != want {
				t.Errorf("%s: %q, want %q", url, s, want)
			}
		}
		synctest.Wait()
		if l := w.requests(); len(l) != 5 {
			t.Errorf("%d requests logged, want 5", len(l))
		}
		// Rules change under a living socket.
		b.Listeners = []Listener{b.Listeners[0], b.Listeners[0]}
		b.Listeners[0].Rules = []Rule{{Actions: forwardTo("tg/api")}}
		b.Listeners[1].Port, b.Listeners[1].ARN = 8080, "listener/8080"
		w.must(w.PutLoadBalancer(b))
		if got := w.get(0, "/"); got.body != "api" {
			t.Errorf("after the change %q answers, want api", got.body)
		}
		if got := w.do(w.client(), 0, "GET", "http://web.test:8080/"); got.body != "web" {
			t.Errorf("the new listener: %q (%v), want web", got.body, got.err)
		}
		b.Listeners = b.Listeners[:1]
		w.must(w.PutLoadBalancer(b))
		if got := w.do(w.client(), 0, "GET", "http://web.test:8080/"); got.err == nil {
			t.Errorf("a removed listener still answers %d", got.status)
		}
	})
}

func TestWeightedGroups(t *testing.T) {
	tests := map[string]struct {
		weights [2]int
		low     int // of 1000 requests to the first group
		high    int
		none    bool
	}{
		"three to one":     {weights: [2]int{3, 1}, low: 700, high: 800},
		"all to the first": {weights: [2]int{1, 0}, low: 1000, high: 1000},
		"nothing anywhere": {none: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, exact(Options{}))
				b := balancerOf("a")
				b.Listeners[0].Rules[0].Actions[0].TargetGroups = []WeightedTargetGroup{{groupARN, tt.weights[0]}, {"tg/2", tt.weights[1]}}
				w.must(w.PutTargetGroup(groupOf(groupARN)))
				w.must(w.PutTargetGroup(groupOf("tg/2")))
				w.must(w.PutLoadBalancer(b))
				w.must(w.Register(groupARN, []Target{targetAt(1)}))
				w.must(w.Register("tg/2", []Target{targetAt(2)}))
				w.serve(targetAt(1), say("1"))
				w.serve(targetAt(2), say("2"))
				time.Sleep(3 * time.Second)
				first, rt := 0, w.client()
				for range 1000 {
					switch got := w.do(rt, 0, "GET", "http://web.test/"); {
					case got.status == 503 && tt.none:
					case got.status != 200:
						t.Fatalf("got %d %v", got.status, got.err)
					case got.body == "1":
						first++
					}
				}
				if first < tt.low || first > tt.high {
					t.Errorf("%d of 1000 to the first, want %d to %d", first, tt.low, tt.high)
				}
			})
		})
	}
}
