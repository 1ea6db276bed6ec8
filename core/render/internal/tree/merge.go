// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/resource"

	"github.com/outlast-ci/outlast/core/render/internal/tree/parts"
	"github.com/outlast-ci/outlast/core/render/internal/tree/print"
	"github.com/outlast-ci/outlast/core/render/internal/tree/source"
)

// sizes were found by measurement (make bench).
var sizes = parts.Sizes{Least: 150, Part: 50, Hub: 25}

// ranked is an object with its place in kustomize's order.
type ranked struct {
	*Object
	kind int
	gvk  string
	id   string
}

// inParts renders in parts; nil: it has to be done as a whole.
func inParts(ctx context.Context, src *source.Source, sizes parts.Sizes) (objects []*Object, runs int) {
	plan := parts.Split(src, sizes)
	if plan == nil {
		return nil, 0
	}
	all := make([]ranked, 0, plan.Objects)
	for _, part := range plan.Parts {
		made, err := build(src, part.Texts)
		if err != nil || len(made) != part.Objects || ctx.Err() != nil {
			return nil, 0
		}
		for _, res := range made {
			r, err := rank(res)
			if err != nil {
				return nil, 0
			}
			all = append(all, r)
		}
	}
	slices.SortFunc(all, ranked.compare)
	for i, r := range all {
		if i > 0 && r.compare(all[i-1]) == 0 {
			if !bytes.Equal(r.text, all[i-1].text) {
				return nil, 0
			}
			continue // a copy
		}
		objects = append(objects, r.Object)
	}
	if len(objects) != plan.Objects {
		return nil, 0
	}
	return objects, len(plan.Parts)
}

func rank(res *resource.Resource) (ranked, error) {
	text, err := print.YAML(&res.RNode)
	id := res.CurId()
	return ranked{
		Object: &Object{RNode: &res.RNode, print: fingerprint(res.YNode()), text: text},
		kind:   kindOrder(id.Kind),
		gvk:    strings.Join([]string{or(id.Group, "~G"), or(id.Version, "~V"), or(id.Kind, "~K")}, "_"),
		id:     strings.Join([]string{id.Gvk.String(), or(id.Namespace, "~X"), or(id.Name, "~N")}, "|"),
	}, err
}

func or(s, empty string) string {
	if s == "" {
		return empty
	}
	return s
}

// compare is kustomize's order (api/internal/builtins/SortOrderTransformer.go).
func (a ranked) compare(b ranked) int {
	if a.kind != b.kind {
		return cmp.Compare(a.kind, b.kind)
	}
	if a.gvk != b.gvk {
		if a.GetKind() == "Namespace" && (strings.HasPrefix(a.gvk, "~G") || strings.HasPrefix(b.gvk, "~G")) {
			return cmp.Compare(b.gvk, a.gvk)
		}
		return cmp.Compare(a.gvk, b.gvk)
	}
	return cmp.Compare(a.id, b.id)
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
