// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"bytes"
	"context"
	"encoding/base64"
	rawjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// phases is how many there are; see phaseOf.
const phases = 5

// phaseOf orders the writes: what others live in or are made of; what pods
// read; what routes to pods, so that target groups are there before them;
// what runs pods; what acts upon running pods.
func phaseOf(obj *unstructured.Unstructured) int {
	switch obj.GetKind() {
	case "Namespace", "CustomResourceDefinition":
		return 0
	case "ServiceAccount", "ConfigMap", "Secret", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding",
		"PersistentVolumeClaim", "ResourceQuota", "LimitRange", "NetworkPolicy", "PriorityClass":
		return 1
	case "Service", "Ingress", "IngressClass", "IngressClassParams", "TargetGroupBinding", "TargetGroupConfiguration",
		"LoadBalancerConfiguration", "Gateway", "GatewayClass", "HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute":
		return 2
	case "PodDisruptionBudget", "HorizontalPodAutoscaler":
		return 4
	}
	return 3
}

func runsPods(kind string) bool {
	return slices.Contains([]string{"Deployment", "StatefulSet", "DaemonSet"}, kind)
}

// defined lists the kinds that the manifests' own CustomResourceDefinitions
// bring.
func defined(objects []*unstructured.Unstructured) map[schema.GroupKind]bool {
	kinds := map[schema.GroupKind]bool{}
	for _, obj := range objects {
		if obj.GetKind() == "CustomResourceDefinition" {
			group, _, _ := unstructured.NestedString(obj.Object, "spec", "group")
			kind, _, _ := unstructured.NestedString(obj.Object, "spec", "names", "kind")
			kinds[schema.GroupKind{Group: group, Kind: kind}] = true
		}
	}
	return kinds
}

func id(obj *unstructured.Unstructured) string {
	if ns := obj.GetNamespace(); ns != "" {
		return obj.GetKind() + "/" + ns + "/" + obj.GetName()
	}
	return obj.GetKind() + "/" + obj.GetName()
}

// parse reads a stream of objects. An empty stream, an object without a name
// and one that comes twice are mistakes.
func parse(manifests []byte) (objects []*unstructured.Unstructured, err error) {
	dec := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifests), 4096)
	seen := map[string]bool{}
	for n := 1; ; n++ {
		obj, raw := &unstructured.Unstructured{}, rawjson.RawMessage{}
		err := dec.Decode(&raw)
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && len(raw) > 0 {
			err = json.Unmarshal(raw, &obj.Object) // apimachinery's: a whole number stays one
		}
		if err != nil {
			return nil, fmt.Errorf("reading object %d of the manifests: %w", n, err)
		}
		if len(obj.Object) == 0 {
			continue
		}
		if obj.GetAPIVersion() == "" || obj.GetKind() == "" || obj.GetName() == "" {
			return nil, fmt.Errorf("reading object %d of the manifests: it has no apiVersion, kind or metadata.name (generateName cannot be applied)", n)
		}
		key := obj.GetAPIVersion() + " " + id(obj)
		if seen[key] {
			return nil, fmt.Errorf("reading object %d of the manifests: %s comes twice", n, id(obj))
		}
		seen[key] = true
		objects = append(objects, obj)
	}
	if len(objects) == 0 {
		return nil, errors.New("reading the manifests: there is no object in them")
	}
	return objects, nil
}

// same tells whether a dry run gave what is there: all but the bookkeeping of
// the API server itself.
func same(live, next *unstructured.Unstructured) bool {
	return reflect.DeepEqual(content(live), content(next))
}

func content(obj *unstructured.Unstructured) map[string]any {
	c := obj.DeepCopy().Object
	delete(c, "status")
	if m, ok := c["metadata"].(map[string]any); ok {
		delete(m, "managedFields")
		delete(m, "resourceVersion")
		delete(m, "generation")
	}
	return c
}

func sameTemplate(live, next *unstructured.Unstructured) bool {
	a, _, _ := unstructured.NestedMap(live.Object, "spec", "template")
	b, _, _ := unstructured.NestedMap(next.Object, "spec", "template")
	return reflect.DeepEqual(a, b)
}

// podsOf lists the pods of a workload that its next template replaces, by
// ownership: directly, or through its ReplicaSets. Pods of a set that has the
// next template already stay: so it is when a rollout that hangs is undone.
func podsOf(ctx context.Context, cluster Cluster, workload, next *unstructured.Unstructured) ([]Pod, error) {
	var match metav1.LabelSelector
	spec, _, err := unstructured.NestedMap(workload.Object, "spec", "selector")
	if err == nil {
		err = runtime.DefaultUnstructuredConverter.FromUnstructured(spec, &match)
	}
	if err != nil {
		return nil, fmt.Errorf("reading spec.selector of %s: %w", id(workload), err)
	}
	parsed, err := metav1.LabelSelectorAsSelector(&match)
	if err == nil && parsed.Empty() {
		err = errors.New("it is empty, so it selects every pod")
	}
	if err != nil {
		return nil, fmt.Errorf("reading spec.selector of %s: %w", id(workload), err)
	}
	selector := parsed.String()
	owners := map[string]bool{string(workload.GetUID()): true}
	if workload.GetKind() == "Deployment" {
		sets, err := cluster.List(ctx, "apps/v1", "ReplicaSet", workload.GetNamespace(), selector)
		if err != nil {
			return nil, err
		}
		for _, set := range sets {
			unstructured.RemoveNestedField(set.Object, "spec", "template", "metadata", "labels", "pod-template-hash")
			if ownedBy(&set, owners) && !sameTemplate(&set, next) {
				owners[string(set.GetUID())] = true
			}
		}
	}
	list, err := cluster.List(ctx, "v1", "Pod", workload.GetNamespace(), selector)
	if err != nil {
		return nil, err
	}
	var pods []Pod
	for _, p := range list {
		phase, _, _ := unstructured.NestedString(p.Object, "status", "phase")
		if !ownedBy(&p, owners) || phase == "Succeeded" || phase == "Failed" {
			continue
		}
		ip, _, _ := unstructured.NestedString(p.Object, "status", "podIP")
		pods = append(pods, Pod{UID: string(p.GetUID()), Name: p.GetName(), IP: ip})
	}
	return pods, nil
}

// hush keeps a Secret's values out of an error: API servers quote a value that
// has the wrong type.
func hush(obj *unstructured.Unstructured, err error) error {
	if err == nil || obj.GetKind() != "Secret" {
		return err
	}
	var values []string
	for _, field := range []string{"data", "stringData"} {
		values = append(values, leaves(obj.Object[field])...)
	}
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) }) // one may be a part of another
	text := err.Error()
	for _, v := range values {
		if len(v) >= 4 { // shorter ones are words of any message
			text = strings.ReplaceAll(text, v, "(hidden)")
		}
	}
	return &hushed{text, err}
}

// leaves lists the values below v, also as the text that they encode.
func leaves(v any) (all []string) {
	switch v := v.(type) {
	case map[string]any:
		for _, inner := range v {
			all = append(all, leaves(inner)...)
		}
		return all
	case []any:
		for _, inner := range v {
			all = append(all, leaves(inner)...)
		}
		return all
	case nil:
		return nil
	case string:
		if text, err := base64.StdEncoding.DecodeString(v); err == nil {
			all = append(all, string(text))
		}
	}
	return append(all, fmt.Sprint(v))
}

type hushed struct {
	text string
	err  error
}

func (h *hushed) Error() string { return h.text }
func (h *hushed) Unwrap() error { return h.err }

func ownedBy(obj *unstructured.Unstructured, owners map[string]bool) bool {
	for _, ref := range obj.GetOwnerReferences() {
		if owners[string(ref.UID)] {
			return true
		}
	}
	return false
}

var (
	errUnbound    = errors.New("no target group binding")
	errNoBindings = errors.New("the cluster knows no TargetGroupBindings")
)

// unbound lists the Services (namespace/name) that no target group is bound
// to, over both API groups: the controller's own and EKS Auto Mode's.
func unbound(ctx context.Context, cluster Cluster, services []string) (missing []string, err error) {
	known := false
	bound := map[string]bool{}
	for _, s := range services {
		ns, _, _ := strings.Cut(s, "/")
		for _, version := range []string{"elbv2.k8s.aws/v1beta1", "eks.amazonaws.com/v1"} {
			list, err := cluster.List(ctx, version, "TargetGroupBinding", ns, "")
			if meta.IsNoMatchError(err) {
				continue
			}
			if err != nil {
				return nil, err
			}
			known = true
			for _, b := range list {
				name, _, _ := unstructured.NestedString(b.Object, "spec", "serviceRef", "name")
				bound[ns+"/"+name] = true
			}
		}
		if !bound[s] {
			missing = append(missing, s)
		}
	}
	if !known {
		return nil, errNoBindings
	}
	return missing, nil
}

// whyUnbound ends the wait for a binding with what the controller said about
// the objects that should have made one.
func (a *applier) whyUnbound(ctx context.Context, obj *unstructured.Unstructured, missing []string, limit time.Duration) error {
	if !errors.Is(context.Cause(ctx), errUnbound) {
		return context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	said := ""
	events, err := a.cluster.List(ctx, "v1", "Event", obj.GetNamespace(), "")
	for _, e := range events {
		kind, _, _ := unstructured.NestedString(e.Object, "involvedObject", "kind")
		severity, _, _ := unstructured.NestedString(e.Object, "type")
		message, _, _ := unstructured.NestedString(e.Object, "message")
		if (kind == "Ingress" || kind == "Service") && severity == "Warning" {
			said = "; the controller says: " + message
		}
	}
	if err != nil {
		said = "; its events cannot be read: " + err.Error()
	}
	return fmt.Errorf("creating %s: after %s the AWS Load Balancer Controller has bound no target group to Service %s, so its pods would get no readiness gates%s; is the controller running, and is the Ingress of its class?",
		id(obj), limit, strings.Join(missing, ", "), said)
}
