// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/outlast-ci/outlast/core/gate/internal/model"
)

// bindingVersions are the API groups of TargetGroupBindings: the controller's
// own and EKS Auto Mode's.
var bindingVersions = []string{"elbv2.k8s.aws/v1beta1", "eks.amazonaws.com/v1"}

// How long an answer is good for.
const (
	absentEach   = time.Minute      // a kind that the cluster does not serve
	describeEach = 30 * time.Second // a group that could not be described, or is on no listener yet
	fallbackEach = 30 * time.Second // a search by host name
)

// Finder finds the target groups of workloads.
type Finder struct {
	cluster  model.Cluster
	balancer model.Balancer

	absent    map[string]time.Time // versions that the cluster does not serve, and when it said so
	described map[string]description
	named     map[string]string // ARN by name of a group
	roles     map[[2]string]model.Balancer
	searched  map[string]search // by namespace
}

// description is what ELBv2 said of a group, and when.
type description struct {
	group model.TargetGroup
	at    time.Time
}

// NewFinder makes one.
func NewFinder(cluster model.Cluster, balancer model.Balancer) *Finder {
	return &Finder{cluster, balancer, map[string]time.Time{}, map[string]description{}, map[string]string{}, map[[2]string]model.Balancer{}, map[string]search{}}
}

// Found is what leads to a workload's pods.
type Found struct {
	Groups    []model.Group
	Selectors []labels.Set // of the Services that select its pods
	Warnings  []string
	Nodes     bool // a binding leads to nodes: their targets say nothing of pods
	Expected  bool // no binding is there yet, but an Ingress or a Service asks for one with pods as targets
}

// service is one that selects pods of the workload.
type service struct {
	selector labels.Set
	ports    []map[string]any
	current  bool // it selects the newest template
	expects  bool // by its annotations the controller will make a group of pods for it
}

// Find goes from a workload's pods to Services to TargetGroupBindings. It is asked anew
// at each look, since a first deploy makes them. Labels of the pods that run count
// beside the template's: old pods may be in groups that new ones are not.
func (f *Finder) Find(ctx context.Context, obj *unstructured.Unstructured, pods []labels.Set) (Found, error) {
	var found Found
	services, hostnames, err := f.services(ctx, obj, pods)
	if err != nil || len(services) == 0 {
		return found, err
	}
	refused, served := error(nil), false
	for _, version := range bindingVersions {
		bindings, err := f.bindings(ctx, version, obj.GetNamespace())
		switch {
		case meta.IsNoMatchError(err):
			continue
		case apierrors.IsForbidden(err):
			refused = err
			continue
		case err != nil:
			return found, err
		}
		served = true
		if err := f.bound(ctx, bindings, services, &found); err != nil {
			return found, err
		}
	}
	if refused != nil || !served {
		if err := f.guess(ctx, obj.GetNamespace(), services, hostnames, &found); err != nil {
			return found, err
		}
		if refused != nil && len(found.Groups) == 0 {
			return found, fmt.Errorf("and none was found by host name and tags: %w", refused)
		}
	}
	f.describe(ctx, &found)
	for _, s := range services {
		found.Selectors = append(found.Selectors, s.selector)
		found.Expected = found.Expected || s.expects
	}
	return found, nil
}

// services lists those that select pods of the workload, and the host names of their own balancers.
func (f *Finder) services(ctx context.Context, obj *unstructured.Unstructured, pods []labels.Set) (map[string]service, []string, error) {
	template, _, _ := unstructured.NestedStringMap(obj.Object, "spec", "template", "metadata", "labels")
	all, err := f.cluster.List(ctx, "v1", "Service", obj.GetNamespace(), "")
	if err != nil {
		return nil, nil, err
	}
	services, hostnames := map[string]service{}, []string(nil)
	for _, s := range all {
		match, found, _ := unstructured.NestedStringMap(s.Object, "spec", "selector")
		if !found || len(match) == 0 || str(s.Object, "spec", "type") == "ExternalName" {
			continue
		}
		selector := labels.SelectorFromSet(match)
		current := selector.Matches(labels.Set(template))
		if current || slices.ContainsFunc(pods, func(p labels.Set) bool { return selector.Matches(p) }) {
			services[s.GetName()] = service{match, list(s.Object, "spec", "ports"), current, expectsPods(s)}
			hostnames = append(hostnames, hostnamesOf(s)...)
		}
	}
	return services, hostnames, nil
}

// bindings lists those of one version. A version that the cluster does not serve is
// asked for again after a while only: that question is a large one.
func (f *Finder) bindings(ctx context.Context, version, namespace string) ([]unstructured.Unstructured, error) {
	if at, ok := f.absent[version]; ok && time.Since(at) < absentEach {
		return nil, &meta.NoKindMatchError{}
	}
	all, err := f.cluster.List(ctx, version, "TargetGroupBinding", namespace, "")
	if meta.IsNoMatchError(err) {
		f.absent[version] = time.Now()
	}
	return all, err
}

// bound enters the groups of bindings whose Service leads to the workload.
func (f *Finder) bound(ctx context.Context, bindings []unstructured.Unstructured, services map[string]service, found *Found) error {
	for _, b := range bindings {
		name := str(b.Object, "spec", "serviceRef", "name")
		s, ours := services[name]
		kind := str(b.Object, "spec", "targetType")
		found.Nodes = found.Nodes || ours && kind == "instance"
		if !ours || b.GetDeletionTimestamp() != nil || kind == "instance" || kind == "alb" {
			continue
		}
		g := model.Group{Binding: b.GetName(), ARN: str(b.Object, "spec", "targetGroupARN"), Current: s.current,
			Role: str(b.Object, "spec", "iamRoleArnToAssume"), ExternalID: str(b.Object, "spec", "assumeRoleExternalId"),
			IPv6: str(b.Object, "spec", "ipAddressType") == "ipv6"}
		g.Shared, _, _ = unstructured.NestedBool(b.Object, "spec", "multiClusterTargetGroup")
		ref, _, _ := unstructured.NestedFieldNoCopy(b.Object, "spec", "serviceRef", "port")
		g.TargetPort = targetPort(s.ports, fmt.Sprint(ref))
		if g.ARN == "" {
			var err error
			if g.ARN, err = f.arn(ctx, g, str(b.Object, "spec", "targetGroupName")); err != nil {
				return err
			}
		}
		if g.ARN != "" { // else the controller has not made it yet
			found.add(g)
		}
	}
	return nil
}

// add enters a group once; a second binding of it may make it current.
func (f *Found) add(g model.Group) {
	if i := slices.IndexFunc(f.Groups, func(have model.Group) bool { return have.ARN == g.ARN }); i >= 0 {
		if !f.Groups[i].Current && g.Current {
			f.Groups[i] = g
		}
		return
	}
	f.Groups = append(f.Groups, g)
}

// arn resolves a group's name.
func (f *Finder) arn(ctx context.Context, g model.Group, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	if arn := f.named[name+" "+g.Role]; arn != "" {
		return arn, nil
	}
	balancer, err := f.For(ctx, g)
	if err != nil {
		return "", err
	}
	groups, err := balancer.TargetGroups(ctx, model.GroupQuery{Names: []string{name}})
	if err != nil || len(groups) == 0 {
		return "", err
	}
	f.named[name+" "+g.Role] = groups[0].ARN
	return groups[0].ARN, nil
}

// For gives the balancer to ask about a group: that of the group's account.
func (f *Finder) For(ctx context.Context, g model.Group) (model.Balancer, error) {
	if g.Role == "" {
		return f.balancer, nil
	}
	key := [2]string{g.Role, g.ExternalID}
	if b := f.roles[key]; b != nil {
		return b, nil
	}
	b, err := f.balancer.As(ctx, g.Role, g.ExternalID)
	if err != nil {
		return nil, fmt.Errorf("becoming %s, to whose account target group %s belongs: %w", g.Role, g.Binding, err)
	}
	f.roles[key] = b
	return b, nil
}

// describe enters what ELBv2 says of the groups: all of an account in one question. Where
// it cannot be read, planning values take its place, and a warning says so.
func (f *Finder) describe(ctx context.Context, found *Found) {
	ask := map[[2]string][]model.Group{}
	for _, g := range found.Groups {
		d, ok := f.described[g.ARN]
		if !ok || (len(d.group.LoadBalancers) == 0 && time.Since(d.at) >= describeEach) {
			key := [2]string{g.Role, g.ExternalID}
			ask[key] = append(ask[key], g)
		}
	}
	for _, groups := range ask {
		var arns []string
		for _, g := range groups {
			arns = append(arns, g.ARN)
			f.described[g.ARN] = description{f.described[g.ARN].group, time.Now()}
		}
		var said []model.TargetGroup
		balancer, err := f.For(ctx, groups[0])
		if err == nil {
			said, err = balancer.TargetGroups(ctx, model.GroupQuery{ARNs: arns})
		}
		if err != nil {
			found.Warnings = append(found.Warnings, fmt.Sprintf("the health checks of target group %s could not be read, planning values are used: %s", groups[0].Binding, err))
		}
		for _, g := range said {
			f.described[g.ARN] = description{g, time.Now()}
			if len(g.LoadBalancers) == 0 {
				found.Warnings = append(found.Warnings, fmt.Sprintf("target group %s is attached to no load balancer: no rule of a listener leads to it yet", g.Name))
			}
		}
	}
	for i, g := range found.Groups {
		found.Groups[i].Info = f.described[g.ARN].group
	}
}

// targetPort finds the Service port that a binding or a tag names, by number or name,
// and gives its target port.
func targetPort(ports []map[string]any, want string) string {
	for _, p := range ports {
		if want != fmt.Sprint(p["port"]) && want != str(p, "name") {
			continue
		}
		if target := fmt.Sprint(p["targetPort"]); p["targetPort"] != nil && target != "0" && target != "" {
			return target
		}
		return strconv.FormatInt(num(p, "port"), 10)
	}
	return want
}
