// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/render/internal/tree/parts"
	"github.com/outlast-ci/outlast/core/render/internal/tree/print"
	"github.com/outlast-ci/outlast/core/render/internal/tree/source"
)

// sizes were found by measurement (make bench).
var sizes = parts.Sizes{Least: 150, Part: 40, Hub: 25}

// printed is an object as kustomize prints it, with its place in the order of
// output. Its nodes take a hundred times the memory of its text, so that they
// are made when kustomize has done its work.
type printed struct {
	text []byte
	kind int
	gvk  string
	id   string
}

// inParts renders in parts; nil: it has to be done as a whole.
func inParts(ctx context.Context, src *source.Source, sizes parts.Sizes) (objects []printed, runs int) {
	plan := parts.Split(src, sizes)
	if plan == nil {
		return nil, 0
	}
	all := make([]printed, 0, plan.Objects)
	for _, part := range plan.Parts {
		made, err := build(src, part.Texts)
		if err != nil || len(made) != part.Objects || ctx.Err() != nil {
			return nil, 0
		}
		all = append(all, made...)
	}
	slices.SortFunc(all, printed.compare)
	for i, o := range all {
		if i > 0 && o.compare(all[i-1]) == 0 {
			if !bytes.Equal(o.text, all[i-1].text) {
				return nil, 0
			}
			continue // a copy
		}
		objects = append(objects, o)
	}
	if len(objects) != plan.Objects {
		return nil, 0
	}
	return objects, len(plan.Parts)
}

func newPrinted(res *resource.Resource) (printed, error) {
	text, err := print.YAML(&res.RNode)
	if err != nil {
		return printed{}, fmt.Errorf("writing the YAML of %s: %w", res.CurId(), err)
	}
	id := res.CurId()
	return printed{
		text: text,
		kind: kindOrder(id.Kind),
		gvk:  strings.Join([]string{or(id.Group, "~G"), or(id.Version, "~V"), or(id.Kind, "~K")}, "_"),
		id:   strings.Join([]string{id.Gvk.String(), or(id.Namespace, "~X"), or(id.Name, "~N")}, "|"),
	}, nil
}

// object makes the nodes of what was printed.
func (p printed) object() (*Object, error) {
	n, err := yaml.Parse(string(p.text))
	if err != nil {
		return nil, fmt.Errorf("reading what kustomize printed: %w", err)
	}
	return &Object{RNode: n, print: fingerprint(n.YNode()), text: p.text}, nil
}

func or(s, empty string) string {
	if s == "" {
		return empty
	}
	return s
}

// compare is kustomize's order (api/internal/builtins/SortOrderTransformer.go).
func (p printed) compare(b printed) int {
	if p.kind != b.kind {
		return cmp.Compare(p.kind, b.kind)
	}
	if p.gvk != b.gvk {
		if p.kind == kindOrder("Namespace") && (strings.HasPrefix(p.gvk, "~G") || strings.HasPrefix(b.gvk, "~G")) {
			return cmp.Compare(b.gvk, p.gvk)
		}
		return cmp.Compare(p.gvk, b.gvk)
	}
	return cmp.Compare(p.id, b.id)
}

// first and last are the kinds that kustomize puts there.
var (
	first = []string{
		"Namespace", "ResourceQuota", "StorageClass", "CustomResourceDefinition", "ServiceAccount", "PodSecurityPolicy", "Role", "ClusterRole", "RoleBinding",
		"ClusterRoleBinding", "ConfigMap", "Secret", "Endpoints", "Service", "LimitRange", "PriorityClass", "PersistentVolume", "PersistentVolumeClaim",
		"Deployment", "StatefulSet", "CronJob", "PodDisruptionBudget",
	}
	last = []string{"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}
)

func kindOrder(kind string) int {
	if i := slices.Index(first, kind); i >= 0 {
		return i - len(first)
	}
	return 1 + slices.Index(last, kind)
}
