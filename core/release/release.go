// SPDX-License-Identifier: Apache-2.0

// Package release is what a cluster remembers of an application's deploys. A
// Lease, the lock, keeps two deploys apart; a History of revisions, kept as
// Secrets, tells what was applied, how far it came and what passed the gate,
// so that a killed run can be gone on with and a failed one rolled back.
package release

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Store is the API server as this package needs it.
type Store interface {
	Reader
	Writer
}

// Reader is the half of a Store that changes nothing.
type Reader interface {
	// Get reads one object; nil without an error when it does not exist.
	Get(ctx context.Context, apiVersion, kind, namespace, name string) (*unstructured.Unstructured, error)
	// List reads the objects of a kind that match a label selector.
	List(ctx context.Context, apiVersion, kind, namespace, labels string) ([]unstructured.Unstructured, error)
}

// Writer is the other half. Its errors are known to apierrors.IsAlreadyExists,
// IsConflict and IsNotFound, however wrapped.
type Writer interface {
	// Create makes an object that must not exist yet.
	Create(ctx context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error)
	// Update replaces an object; when its metadata.resourceVersion is not the
	// newest, that is a conflict.
	Update(ctx context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error)
	// Delete removes the object with that UID; one that is gone is no error,
	// another of the same name is a conflict.
	Delete(ctx context.Context, apiVersion, kind, namespace, name string, uid types.UID) error
}

// App is one application, whose records live in a namespace of the cluster.
type App struct{ Namespace, Name string }

// String is how messages name the application: namespace/name.
func (a App) String() string { return a.Namespace + "/" + a.Name }

// Check says whether the application can have records: its name becomes part
// of their names and the value of a label.
func (a App) Check() error {
	for _, part := range [][2]string{{"application", a.Name}, {"namespace", a.Namespace}} {
		if bad := validation.IsDNS1123Label(part[1]); len(bad) > 0 {
			return fmt.Errorf("the %s is called %q, but its Lease and Secrets need a name of lower-case letters, digits and '-', at most 63: %s", part[0], part[1], strings.Join(bad, "; "))
		}
	}
	return nil
}

// Labels of every record.
const (
	labelManaged  = "app.kubernetes.io/managed-by" // outlast
	labelApp      = "outlast/app"
	labelRevision = "outlast/revision" // the number; only a revision's head has it
	labelState    = "outlast/state"    // only a head has it
	labelContent  = "outlast/content"  // joins a head and the chunks of its content
	labelChunk    = "outlast/chunk"    // from 0; only chunks have it
	managedBy     = "outlast"
)

// base is an object with what all records have, and more labels, as key and
// value in turn.
func (a App) base(apiVersion, kind, name string, more ...string) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind}}
	obj.SetNamespace(a.Namespace)
	obj.SetName(name)
	labels := map[string]string{labelManaged: managedBy, labelApp: a.Name}
	for i := 0; i < len(more); i += 2 {
		labels[more[i]] = more[i+1]
	}
	obj.SetLabels(labels)
	return obj
}
