// SPDX-License-Identifier: Apache-2.0

package access

import (
	"errors"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Stale tells that an object changed between look and write, so that nothing
// was written.
func Stale(err error) bool {
	return apierrors.IsConflict(err) && !fieldConflict(err)
}

func fieldConflict(err error) bool {
	return apierrors.IsConflict(err) && apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict)
}

// ConflictsOnlyWith tells that an apply was refused because of fields of these
// managers, and of no other's.
func ConflictsOnlyWith(err error, managers []string) bool {
	var status apierrors.APIStatus
	if !fieldConflict(err) || !errors.As(err, &status) {
		return false
	}
	for _, cause := range status.Status().Details.Causes {
		named := func(m string) bool { return strings.HasPrefix(cause.Message, `conflict with "`+m+`"`) }
		if cause.Type == metav1.CauseTypeFieldManagerConflict && !slices.ContainsFunc(managers, named) {
			return false
		}
	}
	return true
}

// NoNamespace tells that the namespace of an object is not there.
func NoNamespace(err error) bool {
	var status apierrors.APIStatus
	return apierrors.IsNotFound(err) && errors.As(err, &status) && status.Status().Details != nil && status.Status().Details.Kind == "namespaces"
}
