// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sortRules puts rules in the order of their priority and the default rule last.
func sortRules(rules []Rule) []Rule {
	out := slices.Clone(rules)
	rank := func(r Rule) int {
		if r.Priority == 0 {
			return 1 << 30
		}
		return r.Priority
	}
	slices.SortStableFunc(out, func(a, b Rule) int { return cmp.Compare(rank(a), rank(b)) })
	return out
}

// match finds the first rule whose conditions all hold. rules are sorted.
func match(rules []Rule, r *http.Request) (Rule, bool) {
	for _, rule := range rules {
		holds := true
		for _, c := range rule.Conditions {
			holds = holds && c.holds(r)
		}
		if holds {
			return rule, true
		}
	}
	return Rule{}, false
}

func (c Condition) holds(r *http.Request) bool {
	anyOf := func(got string, fold bool) bool {
		return slices.ContainsFunc(c.Values, func(p string) bool {
			if fold {
				return wildcard(strings.ToLower(p), strings.ToLower(got))
			}
			return wildcard(p, got)
		})
	}
	switch c.Field {
	case "host-header":
		return anyOf(hostOnly(r.Host), true)
	case "path-pattern":
		return anyOf(r.URL.EscapedPath(), false)
	case "http-request-method":
		return slices.Contains(c.Values, r.Method)
	case "http-header":
		return slices.ContainsFunc(r.Header.Values(c.Name), func(v string) bool { return anyOf(v, true) })
	case "query-string":
		return c.queryHolds(r)
	case "source-ip":
		a := clientAddr(r)
		return slices.ContainsFunc(c.Values, func(v string) bool {
			p, err := netip.ParsePrefix(v)
			return err == nil && p.Contains(a)
		})
	}
	return false
}

func (c Condition) queryHolds(r *http.Request) bool {
	got := r.URL.Query()
	return slices.ContainsFunc(c.Query, func(want [2]string) bool {
		for k, vs := range got {
			if want[0] != "" && !wildcard(strings.ToLower(want[0]), strings.ToLower(k)) {
				continue
			}
			for _, v := range vs {
				if wildcard(strings.ToLower(want[1]), strings.ToLower(v)) {
					return true
				}
			}
		}
		return false
	})
}

// wildcard matches * (any run, also empty) and ? (any one byte).
func wildcard(pattern, s string) bool {
	star, mark := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// location fills a redirect's placeholders; an empty field keeps the request's value.
func (d Redirect) location(r *http.Request, scheme string, port int) string {
	or := func(s, keep string) string {
		if s == "" {
			return keep
		}
		return s
	}
	fill := strings.NewReplacer("#{protocol}", scheme, "#{host}", hostOnly(r.Host), "#{port}", strconv.Itoa(port),
		"#{path}", strings.TrimPrefix(r.URL.EscapedPath(), "/"), "#{query}", r.URL.RawQuery)
	out := strings.ToLower(fill.Replace(or(d.Protocol, "#{protocol}"))) + "://" + fill.Replace(or(d.Host, "#{host}")) +
		":" + fill.Replace(or(d.Port, "#{port}")) + fill.Replace(or(d.Path, "/#{path}"))
	if q := fill.Replace(or(d.Query, "#{query}")); q != "" {
		out += "?" + q
	}
	return out
}

func hostOnly(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return host
}

func clientAddr(r *http.Request) netip.Addr {
	ap, _ := netip.ParseAddrPort(r.RemoteAddr)
	return ap.Addr().Unmap()
}

func validBalancer(lb LoadBalancer) error {
	if lb.ARN == "" || len(lb.Zones) == 0 {
		return fmt.Errorf("it needs an ARN and at least one zone, got zones %q", lb.Zones)
	}
	for _, l := range lb.Listeners {
		if l.Protocol != "HTTP" && l.Protocol != "HTTPS" || l.Port < 1 || l.Port > 65535 {
			return fmt.Errorf("listener %q: protocol %q port %d: want HTTP or HTTPS on 1 to 65535", l.ARN, l.Protocol, l.Port)
		}
		for _, r := range l.Rules {
			if err := validRule(r); err != nil {
				return fmt.Errorf("listener %q rule %d: %w", l.ARN, r.Priority, err)
			}
		}
	}
	return nil
}

func validRule(r Rule) error {
	if len(r.Actions) == 0 {
		return fmt.Errorf("it has no action")
	}
	for _, a := range r.Actions {
		ok := a.Type == "forward" && len(a.TargetGroups) > 0 ||
			a.Type == "fixed-response" && a.FixedResponse != nil || a.Type == "redirect" && a.Redirect != nil
		if !ok {
			return fmt.Errorf("action %q is not imitated or lacks its settings: want forward, fixed-response or redirect", a.Type)
		}
	}
	for _, c := range r.Conditions {
		switch c.Field {
		case "host-header", "path-pattern", "http-header", "http-request-method", "query-string", "source-ip":
		default:
			return fmt.Errorf("condition field %q is not one of ELBv2's", c.Field)
		}
	}
	return nil
}

func validGroup(tg TargetGroup) error {
	switch {
	case tg.ARN == "":
		return fmt.Errorf("it needs an ARN")
	case tg.Protocol != "HTTP" && tg.Protocol != "HTTPS":
		return fmt.Errorf("protocol %q is not imitated: want HTTP or HTTPS", tg.Protocol)
	case tg.ProtocolVersion != "" && tg.ProtocolVersion != "HTTP1":
		return fmt.Errorf("protocol version %q is not imitated: want HTTP1", tg.ProtocolVersion)
	case tg.TargetType != "" && tg.TargetType != "ip":
		return fmt.Errorf("target type %q is not imitated: want ip", tg.TargetType)
	case tg.HealthCheck.Enabled && (tg.HealthCheck.Interval <= 0 || tg.HealthCheck.Timeout <= 0):
		return fmt.Errorf("health check interval %s and timeout %s must be more than 0", tg.HealthCheck.Interval, tg.HealthCheck.Timeout)
	}
	_, err := parseMatcher(tg.HealthCheck.Matcher)
	return err
}

func seconds(attributes map[string]string, key string, otherwise time.Duration) time.Duration {
	n, err := strconv.Atoi(attributes[key])
	if err != nil {
		return otherwise
	}
	return time.Duration(n) * time.Second
}
