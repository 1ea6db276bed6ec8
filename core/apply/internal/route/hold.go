// SPDX-License-Identifier: Apache-2.0

package route

import (
	"fmt"
	"maps"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/apply/internal/objects"
	"github.com/outlast-ci/outlast/core/internal/attribute"
)

// attributes are the annotations of a target group's attributes: of an Ingress
// or a Service behind one, and of a Service that is an NLB. The second may have
// a port behind it.
var attributes = []string{"alb.ingress.kubernetes.io/target-group-attributes", "service.beta.kubernetes.io/aws-load-balancer-target-group-attributes"}

// Whole tells that a kind is held as a whole: it is little but attributes.
func Whole(kind string) bool { return kind == "TargetGroupConfiguration" }

// Hold gives a manifest the deregistration delays that the object has now, and
// tells whether they differ. Where the object has none, the manifest sets none:
// the controller leaves an attribute that nobody names as it is.
func Hold(manifest, live *unstructured.Unstructured) (held bool, err error) {
	annotations, now := maps.Clone(manifest.GetAnnotations()), live.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	for _, key := range keys(annotations, now) {
		text, err := hold(annotations[key], now[key])
		if err != nil {
			return false, fmt.Errorf("reading metadata.annotations.%s of %s: %w", key, objects.ID(manifest), err)
		}
		if text == annotations[key] {
			continue
		}
		held = true
		if annotations[key] = text; text == "" {
			delete(annotations, key)
		}
	}
	if held {
		manifest.SetAnnotations(annotations)
	}
	return held, nil
}

func keys(annotations ...map[string]string) (found []string) {
	seen := map[string]bool{}
	for _, a := range annotations {
		for k := range a {
			for _, name := range attributes {
				if (k == name || strings.HasPrefix(k, name+".")) && !seen[k] {
					seen[k], found = true, append(found, k)
				}
			}
		}
	}
	return found
}

func hold(want, have string) (string, error) {
	to, err := attribute.Parse(want)
	if err != nil {
		return "", err
	}
	from, err := attribute.Parse(have)
	if err != nil {
		return have, nil // the controller refuses it, and the group stays as it is
	}
	next, written := to.Get(attribute.Delay)
	live, there := from.Get(attribute.Delay)
	switch {
	case written == there && next == live:
		return want, nil
	case there:
		return to.With(attribute.Delay, live).String(), nil
	}
	var rest attribute.Map
	for _, p := range to {
		if p.Key != attribute.Delay {
			rest = append(rest, p)
		}
	}
	return rest.String(), nil
}
