// SPDX-License-Identifier: Apache-2.0

package render

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/outlast-ci/outlast/core/drain"
)

// This file reads rendered manifests a second time, with code of its own, and
// computes from the inequalities F1 to F5 and the strict relation whether they lose requests.

// doc is an object as JSON has it.
type doc map[string]any

func readDocs(t testing.TB, text []byte) (docs []doc) {
	t.Helper()
	for _, part := range regexp.MustCompile(`(?m)^---$`).Split(string(text), -1) {
		var d doc
		if err := yaml.Unmarshal([]byte(part), &d); err != nil {
			t.Fatalf("what was rendered is no YAML: %v\n%s", err, part)
		}
		if d != nil {
			docs = append(docs, d)
		}
	}
	return docs
}

// at goes down by keys; a number is the place in a list.
func at(v any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			if d, ok := v.(doc); ok {
				m = d
			}
			v = m[step]
		case int:
			l, _ := v.([]any)
			if step >= len(l) {
				return nil
			}
			v = l[step]
		}
	}
	return v
}

func text(v any, path ...any) string {
	switch v := at(v, path...).(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

func list(v any, path ...any) []any { l, _ := at(v, path...).([]any); return l }

func dict(v any, path ...any) map[string]any { m, _ := at(v, path...).(map[string]any); return m }

func (d doc) is(kind, namespace, name string) bool {
	return text(d, "kind") == kind && text(d, "metadata", "namespace") == namespace && text(d, "metadata", "name") == name
}

func find(docs []doc, kind, namespace, name string) doc {
	for _, d := range docs {
		if d.is(kind, namespace, name) {
			return d
		}
	}
	return nil
}

// front is one target group that a pod is in.
type front struct {
	name     string
	nlb      bool
	instance bool
	byHand   bool
	delay    int // in effect; -1: nobody can tell
}

// attribute reads k=v pairs; the last of a key counts. -1: it is not there.
func attribute(pairs, key string) int {
	found := -1
	for _, pair := range strings.Split(pairs, ",") {
		if k, v, _ := strings.Cut(pair, "="); strings.TrimSpace(k) == key {
			n, err := strconv.Atoi(strings.TrimSpace(v))
			if err != nil {
				return -1
			}
			found = n
		}
	}
	return found
}

const (
	albKey   = "alb.ingress.kubernetes.io/"
	nlbKey   = "service.beta.kubernetes.io/aws-load-balancer-"
	delayKey = "deregistration_delay.timeout_seconds"
)

func orAWS(delay int) int {
	if delay < 0 {
		return 300
	}
	return delay
}

// fronts are the target groups of a Service.
func fronts(docs []doc, svc doc) (all []front) {
	ns, name := text(svc, "metadata", "namespace"), text(svc, "metadata", "name")
	own := dict(svc, "metadata", "annotations")
	for _, d := range docs {
		if text(d, "metadata", "namespace") != ns {
			continue
		}
		switch text(d, "kind") {
		case "Ingress":
			if text(d, "spec", "ingressClassName") != "alb" || !slices.Contains(routed(d), name) {
				continue
			}
			theirs := dict(d, "metadata", "annotations")
			pick := func(key string) string { // the Service hides the Ingress
				if v, ok := own[albKey+key]; ok {
					return text(v)
				}
				return text(theirs, albKey+key)
			}
			all = append(all, front{name: "Ingress " + text(d, "metadata", "name"), instance: pick("target-type") == "instance", delay: orAWS(attribute(pick("target-group-attributes"), delayKey))})
		case "TargetGroupBinding":
			if text(d, "spec", "serviceRef", "name") == name {
				protocol := text(d, "spec", "targetGroupProtocol")
				f := front{name: "binding", byHand: true, nlb: protocol != "" && !strings.HasPrefix(protocol, "HTTP"), instance: text(d, "spec", "targetType") == "instance", delay: -1}
				if n, err := strconv.Atoi(text(d, "metadata", "annotations", "outlast/delay-seconds")); err == nil {
					f.delay = n
				}
				all = append(all, f)
			}
		case "HTTPRoute", "TCPRoute":
			for _, rule := range list(d, "spec", "rules") {
				for _, ref := range list(rule, "backendRefs") {
					if text(ref, "name") == name {
						all = append(all, routeFront(docs, d, svc))
					}
				}
			}
		}
	}
	if text(svc, "spec", "loadBalancerClass") == "service.k8s.aws/nlb" {
		key := nlbKey + "target-group-attributes"
		for _, p := range list(svc, "spec", "ports") {
			delay := attribute(text(own, key+"."+text(p, "port")), delayKey)
			if delay < 0 {
				delay = attribute(text(own, key), delayKey)
			}
			all = append(all, front{name: "NLB port " + text(p, "port"), nlb: true, instance: text(own, nlbKey+"nlb-target-type") == "instance", delay: orAWS(delay)})
		}
	}
	return all
}

func routeFront(docs []doc, route, svc doc) front {
	f := front{name: text(route, "kind"), nlb: text(route, "kind") == "TCPRoute", delay: -1}
	for _, d := range docs {
		if text(d, "kind") != "TargetGroupConfiguration" || text(d, "spec", "targetReference", "name") != text(svc, "metadata", "name") || text(d, "metadata", "namespace") != text(svc, "metadata", "namespace") {
			continue
		}
		f.instance = text(d, "spec", "defaultConfiguration", "targetType") == "instance"
		for _, a := range list(d, "spec", "defaultConfiguration", "targetGroupAttributes") {
			if text(a, "key") == delayKey {
				f.delay, _ = strconv.Atoi(text(a, "value"))
			}
		}
	}
	f.delay = orAWS(f.delay)
	return f
}

// routed are the Services of an Ingress.
func routed(ingress doc) (names []string) {
	backends := []any{at(ingress, "spec", "defaultBackend")}
	for _, rule := range list(ingress, "spec", "rules") {
		for _, path := range list(rule, "http", "paths") {
			backends = append(backends, at(path, "backend"))
		}
	}
	for _, b := range backends {
		name := text(b, "service", "name")
		if text(b, "service", "port", "name") != "use-annotation" {
			names = append(names, name)
			continue
		}
		var action doc
		_ = json.Unmarshal([]byte(text(ingress, "metadata", "annotations", albKey+"actions."+name)), &action)
		for _, g := range list(action, "forwardConfig", "targetGroups") {
			names = append(names, text(g, "serviceName"))
		}
	}
	return names
}

var (
	plainSleep  = regexp.MustCompile(`^[0-9]+$`)
	shellScript = regexp.MustCompile(`^sleep ([0-9]+)(;.*)?$`)
)

// hookSeconds is how long a container surely goes on after it was told to end;
// false: nobody can tell.
func hookSeconds(c any, stated map[string]any, nativeWorks bool) (int, bool) {
	pre := at(c, "lifecycle", "preStop")
	if sleep := at(pre, "sleep"); sleep != nil {
		if !nativeWorks {
			return 0, true
		}
		n, _ := strconv.Atoi(text(sleep, "seconds"))
		return n, true
	}
	seconds, known := 0, pre == nil
	var words []string
	for _, w := range list(pre, "exec", "command") {
		words = append(words, text(w))
	}
	if len(words) == 2 && words[0] == "sleep" && plainSleep.MatchString(words[1]) {
		n, _ := strconv.Atoi(words[1])
		return n, true
	}
	if len(words) == 3 && (words[0] == "sh" || words[0] == "/bin/sh") && words[1] == "-c" {
		if m := shellScript.FindStringSubmatch(words[2]); m != nil {
			if seconds, _ = strconv.Atoi(m[1]); strings.Trim(m[2], "; ") == "" {
				return seconds, true
			}
			known = true
		}
	}
	if n, err := strconv.Atoi(text(stated, "outlast/hook-seconds."+text(c, "name"))); err == nil {
		return n, true
	}
	return seconds, known
}

// judge gives what a rendered workload breaks: F1 to F5, the strict relation where
// the mode promises it, and F10.
func judge(docs []doc, w doc, in drain.Inputs, mode drain.Mode, nativeWorks bool) (broken []string) {
	annotations := dict(w, "metadata", "annotations")
	for item := range strings.SplitSeq(text(annotations, "outlast/set"), ",") {
		if k, v, ok := strings.Cut(item, "="); ok {
			if err := in.Set(strings.TrimSpace(k), strings.TrimSpace(v)); err != nil {
				return []string{err.Error()}
			}
		}
	}
	if v := text(annotations, "outlast/on-sigterm"); v != "" {
		in.App = drain.App(v)
	}
	var groups []front
	for _, svc := range docs {
		if text(svc, "kind") != "Service" || text(svc, "metadata", "namespace") != text(w, "metadata", "namespace") || len(dict(svc, "spec", "selector")) == 0 {
			continue
		}
		labels, selected := dict(w, "spec", "template", "metadata", "labels"), true
		for k, v := range dict(svc, "spec", "selector") {
			selected = selected && labels[k] == v
		}
		if selected {
			groups = append(groups, fronts(docs, svc)...)
		}
	}
	if len(groups) == 0 {
		return nil
	}
	r, l, p, m := in.Request.Seconds(), in.ControllerLatency.Seconds(), in.Propagation.Seconds(), in.Margin.Seconds()
	jitter := max(15, 9+1.2*math.Max(5, float64(len(groups))))
	complain := func(format string, args ...any) { broken = append(broken, fmt.Sprintf(format, args...)) }
	grace := 30.0
	if v, ok := at(w, "spec", "template", "spec", "terminationGracePeriodSeconds").(float64); ok {
		grace = v
	}
	onPath, limited := annotations["outlast/request-path"]
	for _, c := range list(w, "spec", "template", "spec", "containers") {
		if limited && !slices.Contains(strings.Split(text(onPath), ","), text(c, "name")) {
			continue
		}
		seconds, known := hookSeconds(c, annotations, nativeWorks)
		if !known {
			continue // which has a finding of its own
		}
		x := float64(seconds)
		finishing := 0.0
		for _, g := range groups {
			prop := p
			if g.nlb {
				prop = max(p, 150)
			}
			switch {
			case g.instance:
				finishing = max(finishing, r)
				if x < 70 {
					complain("F1 of %s behind %s: preStop %v, nodes need 70", text(c, "name"), g.name, x)
				}
				continue
			case in.App == drain.Graceful:
				finishing = max(finishing, l+prop+r+m-x)
			case x < l+prop+r+m:
				complain("F3 of %s behind %s: preStop %v < %v", text(c, "name"), g.name, x, l+prop+r+m)
			}
			if x < l+prop+m {
				complain("F1 of %s behind %s: preStop %v < %v", text(c, "name"), g.name, x, l+prop+m)
			}
			if d := float64(g.delay); mode == drain.Strict && !g.byHand && x < l+d+jitter+m {
				complain("strict of %s behind %s: preStop %v < %v", text(c, "name"), g.name, x, l+d+jitter+m)
			}
		}
		if need := x + finishing + in.Shutdown.Seconds() + in.SidecarShutdown.Seconds() + m; grace < need {
			complain("F4 of %s: grace %v < %v", text(c, "name"), grace, need)
		}
		if grace < x+5 {
			complain("F5 of %s: grace %v, preStop %v", text(c, "name"), grace, x)
		}
	}
	for _, c := range list(w, "spec", "template", "spec", "initContainers") {
		if x, known := hookSeconds(c, nil, nativeWorks); text(c, "restartPolicy") == "Always" && known && grace < float64(x)+5 {
			complain("F5 of sidecar %s: grace %v, preStop %d", text(c, "name"), grace, x)
		}
	}
	for _, g := range groups {
		prop := p
		if g.nlb {
			prop = max(p, 150)
		}
		if d := float64(g.delay); !g.instance && g.delay >= 0 && (d < prop+r+m || d > 3600) {
			complain("F2 of %s: delay %v, needs %v", g.name, d, prop+r+m)
		}
	}
	return append(broken, judgeRollout(docs, w)...)
}

// judgeRollout: with a rolling update no pod leaves early (F10).
func judgeRollout(docs []doc, w doc) (broken []string) {
	var limits any
	unavailable, surge := "25%", "25%"
	switch text(w, "kind") {
	case "StatefulSet":
		return nil
	case "DaemonSet":
		limits, unavailable, surge = at(w, "spec", "updateStrategy", "rollingUpdate"), "1", "0"
	case "Rollout":
		limits = at(w, "spec", "strategy", "canary")
	default:
		limits = at(w, "spec", "strategy", "rollingUpdate")
	}
	if v := text(limits, "maxUnavailable"); v != "" {
		unavailable = v
	}
	if v := text(limits, "maxSurge"); v != "" {
		surge = v
	}
	pods, scaled := 1.0, false
	if n, ok := at(w, "spec", "replicas").(float64); ok {
		pods = n
	}
	for _, d := range docs {
		if text(d, "kind") == "HorizontalPodAutoscaler" && text(d, "spec", "scaleTargetRef", "kind") == text(w, "kind") && text(d, "spec", "scaleTargetRef", "name") == text(w, "metadata", "name") {
			scaled = true
			if at(w, "spec", "replicas") != nil {
				broken = append(broken, "replicas are written under an autoscaler")
			}
		}
	}
	share := func(text string) float64 {
		if n, ok := strings.CutSuffix(text, "%"); ok {
			v, _ := strconv.ParseFloat(n, 64)
			return v * pods / 100
		}
		v, _ := strconv.ParseFloat(text, 64)
		return v
	}
	if math.Floor(share(unavailable)) > 0 || scaled && unavailable != "0" && unavailable != "0%" {
		broken = append(broken, "F10: maxUnavailable "+unavailable)
	}
	if pods > 0 && !scaled && math.Ceil(share(surge)) < 1 {
		broken = append(broken, "F10: maxSurge "+surge)
	}
	return broken
}
