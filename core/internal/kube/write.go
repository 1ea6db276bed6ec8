// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"maps"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// Create makes an object that must not exist yet; that it does is an error
// which apierrors.IsAlreadyExists knows.
func (c *Client) Create(ctx context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	what := id(obj.GetKind(), obj.GetNamespace(), obj.GetName())
	r, err := c.resource(ctx, "creating "+what, obj.GetAPIVersion(), obj.GetKind(), obj.GetNamespace())
	if err != nil {
		return nil, err
	}
	tries := 0
	got, err := r.Create(context.WithValue(ctx, triesKey{}, &tries), obj, metav1.CreateOptions{FieldManager: FieldManager, FieldValidation: metav1.FieldValidationStrict})
	if tries > 1 && apierrors.IsAlreadyExists(err) {
		if live, lookErr := r.Get(ctx, obj.GetName(), metav1.GetOptions{}); lookErr == nil && holds(live.Object, obj.Object) {
			return live, nil // by an earlier try, whose answer was lost
		}
	}
	if err != nil {
		return nil, c.explain(err, "creating", what)
	}
	return got, nil
}

// Update replaces an object that was read before. When it has changed since,
// by its metadata.resourceVersion, the error is one that apierrors.IsConflict
// knows.
func (c *Client) Update(ctx context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	what := id(obj.GetKind(), obj.GetNamespace(), obj.GetName())
	if obj.GetResourceVersion() == "" { // some kinds would take it, and another's change be lost
		return nil, fmt.Errorf("replacing %s: it has no metadata.resourceVersion", what)
	}
	r, err := c.resource(ctx, "replacing "+what, obj.GetAPIVersion(), obj.GetKind(), obj.GetNamespace())
	if err != nil {
		return nil, err
	}
	tries := 0
	got, err := r.Update(context.WithValue(ctx, triesKey{}, &tries), obj, metav1.UpdateOptions{FieldManager: FieldManager, FieldValidation: metav1.FieldValidationStrict})
	if tries > 1 && apierrors.IsConflict(err) {
		if live, lookErr := r.Get(ctx, obj.GetName(), metav1.GetOptions{}); lookErr == nil && same(live, obj) {
			return live, nil // by an earlier try, whose answer was lost
		}
	}
	if err != nil {
		return nil, c.explain(err, "replacing", what)
	}
	return got, nil
}

// Delete removes an object and, in the background, what it owns. One that is
// gone is no error; another of the same name, which has not this UID, is a
// conflict.
func (c *Client) Delete(ctx context.Context, apiVersion, kind, namespace, name string, uid types.UID) error {
	what := id(kind, namespace, name)
	if uid == "" {
		return fmt.Errorf("deleting %s: which one is meant must be said by its metadata.uid", what)
	}
	r, err := c.resource(ctx, "deleting "+what, apiVersion, kind, namespace)
	if err != nil {
		return err
	}
	background := metav1.DeletePropagationBackground
	err = r.Delete(ctx, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}, PropagationPolicy: &background})
	if err != nil && !apierrors.IsNotFound(err) {
		return c.explain(err, "deleting", what)
	}
	return nil
}

// same tells whether an object is what replaced it, but for what the server
// counts and keeps by itself.
func same(live, written *unstructured.Unstructured) bool {
	for _, parts := range [][2]map[string]any{{live.Object, written.Object}, {written.Object, live.Object}} {
		for k, v := range parts[0] {
			if k != "metadata" && k != "status" && !reflect.DeepEqual(v, parts[1][k]) {
				return false
			}
		}
	}
	return (written.GetUID() == "" || written.GetUID() == live.GetUID()) &&
		maps.Equal(written.GetLabels(), live.GetLabels()) && maps.Equal(written.GetAnnotations(), live.GetAnnotations())
}

// holds tells whether a value has all that was created; the server may have
// added to it.
func holds(live, created any) bool {
	switch created := created.(type) {
	case map[string]any:
		there, ok := live.(map[string]any)
		for k, v := range created {
			ok = ok && holds(there[k], v)
		}
		return ok
	case []any:
		there, ok := live.([]any)
		ok = ok && len(there) == len(created)
		for i := 0; ok && i < len(created); i++ {
			ok = holds(there[i], created[i])
		}
		return ok
	}
	return reflect.DeepEqual(live, created)
}
