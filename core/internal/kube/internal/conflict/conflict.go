// SPDX-License-Identifier: Apache-2.0

// Package conflict explains a server-side apply that was refused since other managers
// own fields of the object: the server's answer goes in, and words come out.
package conflict

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Is tells whether an apply was refused because of fields of other managers.
func Is(err error) bool {
	return apierrors.IsConflict(err) && apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict)
}

// Explain names the fields of object (Kind/namespace/name) that others own, who these
// are, and what to do. The answer is kept.
func Explain(err error, object string) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return err
	}
	var fields, managers []string
	for _, cause := range status.Status().Details.Causes {
		if cause.Type != metav1.CauseTypeFieldManagerConflict {
			continue
		}
		fields = append(fields, fmt.Sprintf("%s (%s)", cause.Field, cause.Message))
		if m := named.FindStringSubmatch(cause.Message); m != nil && !slices.Contains(managers, m[1]) {
			managers = append(managers, m[1])
		}
	}
	return fmt.Errorf("other managers own fields that the manifests set, and Outlast takes none by force: %s; what is to stay theirs, leave out of the manifests; "+
		"if somebody changed it by hand, write what is wanted into the manifests%s: %w", strings.Join(fields, "; "), release(object, managers), err)
}

var (
	named = regexp.MustCompile(`^conflict with "([^"]*)"`)
	hand  = regexp.MustCompile(`^kubectl(-[a-z-]+)?$`)                 // the others take the fields again
	parts = regexp.MustCompile(`^([\w.-]+)/(?:([\w.-]+)/)?([\w.-]+)$`) // words of a shell
)

// release is the command by which the hands of people let go of an object. To write the
// old value back would not do: the field stays theirs, and the next new value is a
// conflict again. It changes no value, and is refused if the object changes meanwhile.
func release(object string, managers []string) string {
	var hands []string
	for _, m := range managers {
		if hand.MatchString(m) {
			hands = append(hands, fmt.Sprintf(".manager == %q", m))
		}
	}
	at := parts.FindStringSubmatch(object)
	if len(hands) == 0 || at == nil {
		return ""
	}
	namespace := ""
	if at[2] != "" {
		namespace = " -n " + at[2]
	}
	return fmt.Sprintf(" and let kubectl let go of the object, which changes none of its values: `kubectl get %s %s%s -o json --show-managed-fields | jq 'del(.metadata.managedFields[] | select(%s))' | kubectl replace -f -`",
		at[1], at[3], namespace, strings.Join(hands, " or "))
}
