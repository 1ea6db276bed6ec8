// SPDX-License-Identifier: Apache-2.0

package render

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/render/internal/node"
	"github.com/outlast-ci/outlast/core/render/internal/overlay"
	"github.com/outlast-ci/outlast/core/render/internal/problem"
	"github.com/outlast-ci/outlast/core/render/internal/tree"
)

// unscale takes what an autoscaler owns out of the kustomization's own replicas: they
// come after patches, and would set the field again. It gives the edits that need a
// patch. Which entry sets which object is for kustomize to say, since names before and
// behind every prefix count, in all kinds that a configuration lists: it renders once
// more, with a number of its own in each entry.
func (c *curing) unscale(ctx context.Context, opt Options, read *tree.Tree, into *overlay.Overlay, edits []problem.Problem) ([]problem.Problem, error) {
	owned := map[string]problem.Problem{} // by object
	for _, p := range edits {
		if scales(p) {
			owned[node.Identity(p.Edit.Object)] = p
		}
	}
	entries, err := into.Replicas()
	if len(owned) == 0 || len(entries) == 0 || err != nil {
		return edits, err
	}
	refused := map[string]error{}
	for { // an entry may have hidden another one
		now, err := counted(ctx, opt, read, into)
		if err != nil {
			return nil, err
		}
		taken, err := c.unscaleOnce(read.Kustomization, into, now, owned, refused)
		if err != nil {
			return nil, err
		}
		if taken {
			continue
		}
		return slices.DeleteFunc(slices.Clone(edits), func(p problem.Problem) bool {
			if !scales(p) {
				return false
			}
			if err := refused[node.Identity(p.Edit.Object)]; err != nil {
				c.left(p, err)
				return true
			}
			if node.At(now.objects[node.Identity(p.Edit.Object)], "spec", "replicas") == nil { // nothing sets it any more
				c.done(p)
				return true
			}
			return false
		}), nil
	}
}

func scales(p problem.Problem) bool {
	return p.Edit.Value == nil && node.Path(p.Edit.Path) == "spec.replicas"
}

// scaled is what the entries of a kustomization's replicas set.
type scaled struct {
	entries []overlay.Replica
	sets    [][]string // identities, by entry
	objects map[string]*yaml.RNode
}

// counted renders with a number in each entry that nobody else writes.
func counted(ctx context.Context, opt Options, read *tree.Tree, into *overlay.Overlay) (scaled, error) {
	now := scaled{objects: map[string]*yaml.RNode{}}
	var err error
	if now.entries, err = into.Replicas(); err != nil {
		return now, err
	}
	mark := func(entry int) int { return math.MaxInt32 - entry }
	text, err := into.Counted(mark)
	if err != nil {
		return now, err
	}
	again, err := tree.Load(ctx, tree.Options{Path: opt.Path, Root: opt.Root, Instead: map[string][]byte{read.Kustomization: text}})
	if err != nil {
		return now, fmt.Errorf("asking kustomize which replicas it sets: %w", err)
	}
	now.sets = make([][]string, len(now.entries))
	for _, o := range again.Objects {
		now.objects[node.Identity(o.RNode)] = o.RNode
		count, _ := node.Int(o.RNode, "spec", "replicas")
		if entry := math.MaxInt32 - count; entry < len(now.entries) {
			now.sets[entry] = append(now.sets[entry], node.Identity(o.RNode))
		}
	}
	return now, nil
}

// unscaleOnce takes the entries that set what is owned, and tells whether there was one.
func (c *curing) unscaleOnce(kustomization string, into *overlay.Overlay, now scaled, owned map[string]problem.Problem, refused map[string]error) (taken bool, err error) {
	for i, entry := range now.entries {
		at := slices.IndexFunc(now.sets[i], func(id string) bool { return owned[id].Edit != nil && refused[id] == nil })
		if at < 0 {
			continue
		}
		err := error(nil)
		if other := slices.IndexFunc(now.sets[i], func(id string) bool { return owned[id].Edit == nil }); other >= 0 {
			err = fmt.Errorf("the kustomization's replicas entry %s sets %s, too, which no autoscaler owns: write its number into its own manifest, and take the entry away", strconv.Quote(entry.Name), node.ID(now.objects[now.sets[i][other]]))
		} else {
			err = into.Unscale(entry.Name)
		}
		if err != nil {
			for _, id := range now.sets[i] {
				refused[id] = err
			}
			continue
		}
		p := owned[now.sets[i][at]]
		c.Changes = append(c.Changes, Change{Rule: p.Rule, Object: kustomization, Field: "replicas[" + entry.Name + "]", From: entry.Count,
			Why: "it sets spec.replicas of " + node.ID(p.Edit.Object) + " after all patches, and " + p.Edit.Why})
		return true, nil // the entries behind it have other places now
	}
	return false, nil
}
