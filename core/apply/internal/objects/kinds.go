// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/outlast-ci/outlast/core/internal/manifest"
)

// Phases are the steps of an apply, in order; see PhaseOf.
func Phases() []string {
	return []string{"namespaces", "configuration", "routing", "jobs", "workloads", "scaling"}
}

// Some of the phases.
const (
	Routing   = 2
	PreDeploy = 3
	Workloads = 4
)

// PhaseOf orders the writes: what others live in or are made of; what pods
// read; what routes to pods, so that target groups are there before them;
// Jobs that come before a deploy; what runs pods; what acts upon running pods.
func PhaseOf(obj *unstructured.Unstructured) int {
	switch obj.GetKind() {
	case "Namespace", "CustomResourceDefinition":
		return 0
	case "ServiceAccount", "ConfigMap", "Secret", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding",
		"PersistentVolumeClaim", "ResourceQuota", "LimitRange", "NetworkPolicy", "PriorityClass",
		"ExternalSecret", "SealedSecret", "SecretProviderClass":
		return 1
	case "Service", "Ingress", "IngressClass", "IngressClassParams", "TargetGroupBinding", "TargetGroupConfiguration",
		"LoadBalancerConfiguration", "Gateway", "GatewayClass", "ListenerSet", "HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute":
		return Routing
	case "PodDisruptionBudget", "HorizontalPodAutoscaler":
		return 5
	}
	if IsPreDeploy(obj) {
		return PreDeploy
	}
	return Workloads
}

// IsPreDeploy tells whether a Job has to succeed before the workloads.
func IsPreDeploy(obj *unstructured.Unstructured) bool { return manifest.IsPreDeploy(obj) }

// RunsPods tells whether an apply rolls the pods of such objects.
func RunsPods(kind string) bool {
	return slices.Contains([]string{"Deployment", "StatefulSet", "DaemonSet"}, kind)
}

// Scales tells whether spec.replicas of such objects may be an autoscaler's.
func Scales(kind string) bool {
	return slices.Contains([]string{"Deployment", "StatefulSet", "ReplicaSet", "Rollout"}, kind)
}

// Shared tells whether objects of a kind serve more than the application that
// brings them: others own fields of them, and they are no application's to delete.
func Shared(kind string) bool {
	return kind == "Namespace" || kind == "CustomResourceDefinition"
}

// Scope tells whether an object lives in a namespace, of the kinds that come
// with Kubernetes.
func Scope(obj *unstructured.Unstructured) (namespaced, known bool) {
	switch obj.GetKind() {
	case "Namespace", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "PriorityClass", "IngressClass", "IngressClassParams", "GatewayClass",
		"StorageClass", "PersistentVolume", "APIService", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration":
		return false, true
	}
	return true, slices.Contains([]string{"", "apps", "batch", "networking.k8s.io", "policy", "autoscaling", "rbac.authorization.k8s.io"}, obj.GroupVersionKind().Group)
}

// Defined lists the kinds that the manifests' own CustomResourceDefinitions
// bring.
func Defined(objects []*unstructured.Unstructured) map[schema.GroupKind]bool {
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
