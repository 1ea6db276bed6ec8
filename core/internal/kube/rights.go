// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/outlast-ci/outlast/core/internal/rights"
)

// Review asks whether this identity has a right (a SelfSubjectAccessReview: other than
// the list of rules it is complete, also where EKS's access entries or a webhook decide).
func (c *Client) Review(ctx context.Context, r rights.Right) (rights.Answer, error) {
	mapping, err := c.mapping(ctx, schema.FromAPIVersionAndKind(r.APIVersion, r.Kind), false)
	if err != nil {
		return rights.Answer{}, err
	}
	answer := rights.Answer{Group: mapping.Resource.Group, Resource: mapping.Resource.Resource}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		answer.Namespace = r.Namespace
	}
	attributes := map[string]any{"verb": r.Verb, "group": answer.Group, "resource": answer.Resource, "version": mapping.Resource.Version, "namespace": answer.Namespace, "name": r.Name}
	if r.Subresource != "" {
		attributes["subresource"] = r.Subresource
		answer.Resource += "/" + r.Subresource
	}
	reviews := c.dyn.Resource(schema.GroupVersionResource{Group: "authorization.k8s.io", Version: "v1", Resource: "selfsubjectaccessreviews"})
	got, err := reviews.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": map[string]any{"resourceAttributes": attributes}}}, metav1.CreateOptions{})
	if err != nil {
		return answer, c.explain(err, "asking for the permission to "+r.Verb, answer.Resource)
	}
	answer.Allowed, _, err = unstructured.NestedBool(got.Object, "status", "allowed")
	return answer, err
}
