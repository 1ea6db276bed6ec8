// SPDX-License-Identifier: Apache-2.0

// Package set keeps an ApplySet (KEP-3659): which objects belong to an
// application, in a form that other tools read, too. A ConfigMap is the
// parent, and says which kinds its members have and in which namespaces they
// are; each member has a label with the parent's id.
package set

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/outlast-ci/outlast/core/apply/internal/objects"
)

// The standard's labels and annotations, and ours about pruning.
const (
	idLabel         = "applyset.kubernetes.io/id"
	PartOf          = "applyset.kubernetes.io/part-of"
	tooling         = "applyset.kubernetes.io/tooling"
	groupKinds      = "applyset.kubernetes.io/contains-group-kinds"
	namespaces      = "applyset.kubernetes.io/additional-namespaces"
	tool            = "outlast"
	PruneAnnotation = "outlast/prune" // disabled: never; enabled: also what is spared for its kind
)

// Set is an ApplySet by its parent.
type Set struct{ Name, Namespace string }

// ID is the value of the labels.
func (s Set) ID() string {
	sum := sha256.Sum256([]byte(s.Name + "." + s.Namespace + ".ConfigMap."))
	return "applyset-" + base64.RawURLEncoding.EncodeToString(sum[:]) + "-v1"
}

// Joins tells whether an object is to be a member: all are but those that
// applications share.
func Joins(obj *unstructured.Unstructured) bool {
	return !objects.Shared(obj.GetKind()) || obj.GetAnnotations()[PruneAnnotation] == "enabled"
}

// Label makes an object a member. Its pod template stays as it is.
func (s Set) Label(obj *unstructured.Unstructured) {
	if !Joins(obj) {
		return
	}
	labels := maps.Clone(obj.GetLabels())
	if labels == nil {
		labels = map[string]string{}
	}
	labels[PartOf] = s.ID()
	obj.SetLabels(labels)
}

// Free refuses an object that is a member of another set.
func (s Set) Free(live *unstructured.Unstructured) error {
	if of := live.GetLabels()[PartOf]; of != "" && of != s.ID() {
		return fmt.Errorf("%s belongs to another application already (its label %s is %s, not %s): take it out of one of the two, or delete the label to move it", objects.ID(live), PartOf, of, s.ID())
	}
	return nil
}

// Prunable tells whether a member that no manifest has may be deleted, and if
// not, why.
func Prunable(live *unstructured.Unstructured) (bool, string) {
	wish := live.GetAnnotations()[PruneAnnotation]
	for _, ref := range live.GetOwnerReferences() {
		if ref.Controller != nil && *ref.Controller {
			return false, "its controller is " + ref.Kind + "/" + ref.Name
		}
	}
	switch {
	case wish == "disabled":
		return false, "its annotation " + PruneAnnotation + " says so"
	case wish != "enabled" && (objects.Shared(live.GetKind()) || slices.Contains([]string{"PersistentVolume", "PersistentVolumeClaim"}, live.GetKind())):
		return false, "a " + live.GetKind() + " is kept unless its annotation " + PruneAnnotation + " is enabled"
	}
	return true, ""
}

// Members says what kinds of members there are, and where.
type Members struct {
	Kinds      map[schema.GroupKind]bool
	Namespaces map[string]bool
}

// New is a set of no members.
func New() Members {
	return Members{map[schema.GroupKind]bool{}, map[string]bool{}}
}

// Add adds an object in a namespace; empty: it lives in none.
func (m Members) Add(obj *unstructured.Unstructured, namespace string) {
	m.Kinds[obj.GroupVersionKind().GroupKind()] = true
	if namespace != "" {
		m.Namespaces[namespace] = true
	}
}

// Read reads a parent as it is live; nil: there is none yet.
func (s Set) Read(parent *unstructured.Unstructured) (Members, error) {
	m := New()
	if parent == nil {
		return m, nil
	}
	name := objects.ID(parent)
	by, _, _ := strings.Cut(parent.GetAnnotations()[tooling], "/")
	switch {
	case by == "":
		return m, fmt.Errorf("%s is there already and is not the parent of an ApplySet (it has no annotation %s): rename it, or the application", name, tooling)
	case by != tool:
		return m, fmt.Errorf("%s is the parent of an ApplySet of %s, which Outlast leaves alone: rename the application", name, by)
	case parent.GetLabels()[idLabel] != s.ID():
		return m, fmt.Errorf("%s has the label %s=%s, not %s: was it copied from elsewhere? Delete it", name, idLabel, parent.GetLabels()[idLabel], s.ID())
	}
	for k := range strings.SplitSeq(parent.GetAnnotations()[groupKinds], ",") {
		if k != "" {
			m.Kinds[schema.ParseGroupKind(k)] = true
		}
	}
	m.Namespaces[s.Namespace] = true
	for ns := range strings.SplitSeq(parent.GetAnnotations()[namespaces], ",") {
		if ns != "" {
			m.Namespaces[ns] = true
		}
	}
	return m, nil
}

// Parent is the parent for these members.
func (s Set) Parent(m Members) *unstructured.Unstructured {
	var kinds, spaces []string
	for k := range m.Kinds {
		kinds = append(kinds, k.String())
	}
	for ns := range m.Namespaces {
		if ns != s.Namespace {
			spaces = append(spaces, ns)
		}
	}
	slices.Sort(kinds)
	slices.Sort(spaces)
	obj := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap"}}
	obj.SetName(s.Name)
	obj.SetNamespace(s.Namespace)
	obj.SetLabels(map[string]string{idLabel: s.ID()})
	obj.SetAnnotations(map[string]string{tooling: tool + "/v1", groupKinds: strings.Join(kinds, ","), namespaces: strings.Join(spaces, ",")})
	return obj
}

// SameParent tells whether a parent says what it should.
func SameParent(live, want *unstructured.Unstructured) bool {
	a, b := live.GetAnnotations(), want.GetAnnotations()
	return a[groupKinds] == b[groupKinds] && a[namespaces] == b[namespaces] && a[tooling] == b[tooling]
}

// Key tells objects apart whatever their version: an object that names no
// namespace may be in the default one.
func Key(obj *unstructured.Unstructured) string {
	return obj.GroupVersionKind().GroupKind().String() + " " + cmp.Or(obj.GetNamespace(), "default") + "/" + obj.GetName()
}
