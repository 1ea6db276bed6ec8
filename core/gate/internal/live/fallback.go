// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/gate/internal/model"
)

// search is a search by host name and what it found.
type search struct {
	groups []model.TargetGroup
	err    error
	at     time.Time
}

// guess finds groups without bindings: by the host names that Ingresses and Services
// have got, and the tags of the groups of those load balancers.
func (f *Finder) guess(ctx context.Context, namespace string, services map[string]service, hostnames []string, found *Found) error {
	ingresses, err := f.cluster.List(ctx, "networking.k8s.io/v1", "Ingress", namespace, "")
	if err != nil {
		return err
	}
	q, of := model.GroupQuery{Hostnames: hostnames}, map[string]string{}
	for name := range services {
		of[namespace+"/"+name+":"] = name
		for _, ing := range ingresses {
			if leadsTo(ing, name) {
				of[namespace+"/"+ing.GetName()+"-"+name+":"] = name
				q.Hostnames = append(q.Hostnames, hostnamesOf(ing)...)
			}
		}
	}
	for prefix := range of {
		q.Resources = append(q.Resources, prefix)
	}
	q.Hostnames, q.Resources = unique(q.Hostnames), unique(q.Resources)
	if len(q.Hostnames) == 0 { // none has got its balancer yet
		return nil
	}
	key := namespace + " " + strings.Join(q.Resources, " ") + " " + strings.Join(q.Hostnames, " ")
	known, ok := f.searched[key]
	if !ok || len(known.groups) == 0 && time.Since(known.at) >= fallbackEach {
		groups, err := f.balancer.TargetGroups(ctx, q)
		known = search{groups, err, time.Now()}
		f.searched[key] = known
	}
	if known.err != nil {
		return known.err
	}
	for _, g := range known.groups {
		for prefix, name := range of {
			if port, ours := strings.CutPrefix(g.Resource, prefix); ours && g.TargetType == "ip" {
				found.add(model.Group{ARN: g.ARN, Binding: g.Name, TargetPort: targetPort(services[name].ports, port), Current: services[name].current})
			}
		}
	}
	return nil
}

// hostnamesOf are those of the load balancers that an Ingress or a Service has got.
func hostnamesOf(obj unstructured.Unstructured) (names []string) {
	for _, i := range list(obj.Object, "status", "loadBalancer", "ingress") {
		if name := str(i, "hostname"); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// leadsTo tells whether an Ingress routes to a Service, by a rule or by an action.
func leadsTo(ing unstructured.Unstructured, service string) bool {
	if str(ing.Object, "spec", "defaultBackend", "service", "name") == service {
		return true
	}
	for _, rule := range list(ing.Object, "spec", "rules") {
		for _, path := range list(rule, "http", "paths") {
			if str(path, "backend", "service", "name") == service {
				return true
			}
		}
	}
	for key, action := range ing.GetAnnotations() {
		if strings.HasPrefix(key, "alb.ingress.kubernetes.io/actions.") && strings.Contains(action, `"`+service+`"`) {
			return true
		}
	}
	return false
}

// expectsPods tells whether a Service of type LoadBalancer asks for an NLB whose targets are pods.
func expectsPods(svc unstructured.Unstructured) bool {
	const prefix = "service.beta.kubernetes.io/aws-load-balancer-"
	a := svc.GetAnnotations()
	return str(svc.Object, "spec", "type") == "LoadBalancer" && (a[prefix+"nlb-target-type"] == "ip" || a[prefix+"type"] == "nlb-ip")
}
