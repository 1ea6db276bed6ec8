// SPDX-License-Identifier: Apache-2.0

package parts

import (
	"encoding/json"
	"reflect"
	"slices"

	"sigs.k8s.io/kustomize/api/types"

	"github.com/outlast-ci/outlast/core/render/internal/tree/limit"
	"github.com/outlast-ci/outlast/core/render/internal/tree/source"
)

// rewrite writes the kustomizations of the groups; nil when that would win
// little.
func (p *planner) rewrite(groups [][]int) *Plan {
	plan, work := &Plan{}, 0
	for _, o := range p.objects {
		plan.Objects += o.copies
	}
	for _, g := range groups {
		if work += len(g); len(g) > 3*len(p.objects)/4 {
			return nil
		}
	}
	if len(groups) < 2 || work > 3*len(p.objects)/2 || !p.faithful() {
		return nil
	}
	made := map[*source.Dir]int{}
	at := len(p.objects)
	for i := len(p.src.Dirs) - 1; i >= 0; i-- {
		d := p.src.Dirs[i]
		at -= len(d.Spec.ConfigMapGenerator) + len(d.Spec.SecretGenerator)
		made[d] = at
	}
	for _, group := range groups {
		w := &writer{planner: p, made: made, in: make([]bool, len(p.objects)), has: map[*source.Dir]bool{}, bare: map[*source.Dir]bool{}}
		w.Texts = map[string][]byte{}
		for _, i := range group {
			w.in[i] = true
			w.Objects += p.objects[i].copies
		}
		if !w.write() {
			return nil
		}
		plan.Parts = append(plan.Parts, w.Part)
	}
	return plan
}

// faithful: kustomizations survive being written and read again.
func (p *planner) faithful() bool {
	for _, d := range p.src.Dirs {
		var again types.Kustomization
		text, err := json.Marshal(d.Spec)
		if err != nil || json.Unmarshal(text, &again) != nil || !reflect.DeepEqual(again, d.Spec) {
			return false
		}
	}
	return true
}

// writer writes one part.
type writer struct {
	*planner
	Part
	made map[*source.Dir]int
	in   []bool               // objects
	has  map[*source.Dir]bool // folders with an object of the part
	bare map[*source.Dir]bool // folders with nothing to say at all
}

func (w *writer) write() bool {
	keep := map[*source.Dir][4][][]int{} // entries, and their chunks, that stay
	for _, d := range w.patch {
		if !w.keeps(d) {
			continue
		}
		k := keep[d.dir]
		for len(k[d.list]) <= d.entry {
			k[d.list] = append(k[d.list], nil)
		}
		k[d.list][d.entry] = append(k[d.list][d.entry], d.chunk)
		keep[d.dir] = k
	}
	for _, d := range w.src.Dirs {
		k := d.Spec
		if !w.contents(d, &k) && k.Kind != types.ComponentKind {
			continue
		}
		w.changes(d, &k, keep[d])
		rest := k
		rest.TypeMeta, rest.MetaData = types.TypeMeta{}, nil
		w.bare[d] = reflect.DeepEqual(rest, types.Kustomization{})
		if !w.has[d] && w.bare[d] {
			continue
		}
		text, err := json.Marshal(k)
		if err != nil {
			return false
		}
		w.Texts[d.File.Path] = text
	}
	return w.has[w.src.Top]
}

func (w *writer) keeps(d directive) bool {
	for _, i := range d.on {
		if w.in[i] {
			return true
		}
	}
	return d.every
}

// contents leaves in a kustomization what holds an object of the part, and
// tells whether there is any. Components stay when they change something.
func (w *writer) contents(d *source.Dir, k *types.Kustomization) bool {
	k.Resources, k.Components = nil, nil
	for i, r := range d.Resources {
		if r.Dir != nil && w.has[r.Dir] || r.File != nil && w.file(r.File) {
			k.Resources = append(k.Resources, d.Spec.Resources[i])
			w.has[d] = true
		}
	}
	for i, c := range d.Components {
		if w.has[d] = w.has[d] || w.has[c]; !w.bare[c] {
			k.Components = append(k.Components, d.Spec.Components[i])
		}
	}
	made := w.made[d]
	k.ConfigMapGenerator = filter(k.ConfigMapGenerator, func(i int) bool { return w.in[made+i] })
	made += len(d.Spec.ConfigMapGenerator)
	k.SecretGenerator = filter(k.SecretGenerator, func(i int) bool { return w.in[made+i] })
	w.has[d] = w.has[d] || len(k.ConfigMapGenerator) > 0 || len(k.SecretGenerator) > 0
	return w.has[d]
}

// changes leaves in a kustomization what changes an object of the part.
func (w *writer) changes(d *source.Dir, k *types.Kustomization, keep [4][][]int) {
	// kustomize does the same with commonLabels, and warns of them each time.
	if len(k.CommonLabels) > 0 {
		k.Labels = append(k.Labels[:len(k.Labels):len(k.Labels)], types.Label{Pairs: k.CommonLabels, IncludeSelectors: true})
	}
	k.CommonLabels = nil
	w.patches(d, k, keep)
}

func (w *writer) patches(d *source.Dir, k *types.Kustomization, keep [4][][]int) {
	stays := func(l list) func(int) bool {
		return func(i int) bool { return i < len(keep[l]) && keep[l][i] != nil }
	}
	k.Patches = slices.Clone(k.Patches)
	for i, e := range k.Patches {
		if stays(patches)(i) {
			k.Patches[i].Patch = w.text(d.Loads[e.Path], e.Patch, keep[patches][i])
		}
	}
	k.PatchesStrategicMerge = slices.Clone(k.PatchesStrategicMerge)
	for i, e := range k.PatchesStrategicMerge {
		if stays(merges)(i) {
			k.PatchesStrategicMerge[i] = types.PatchStrategicMerge(w.text(d.Loads[string(e)], string(e), keep[merges][i]))
		}
	}
	k.Patches = filter(k.Patches, stays(patches))
	k.PatchesStrategicMerge = filter(k.PatchesStrategicMerge, stays(merges))
	k.PatchesJson6902 = filter(k.PatchesJson6902, stays(jsons))
	k.Replicas = filter(k.Replicas, stays(replicas))
}

func filter[T any](list []T, stays func(int) bool) (kept []T) {
	for i, e := range list {
		if stays(i) {
			kept = append(kept, e)
		}
	}
	return kept
}

// file writes the documents of a file that are in the part, and tells whether
// there are any.
func (w *writer) file(f *source.File) bool {
	text, all, some := []byte(nil), true, false
	for _, c := range w.chunks[f] {
		if c.object < 0 {
			continue
		}
		if !w.in[c.object] {
			all = false
			continue
		}
		if some {
			text = append(text, "---\n"...)
		}
		text, some = append(text, c.Text...), true
	}
	if some && !all {
		w.Texts[f.Path] = text
	}
	return some
}

// text gives the text of a patch with the documents only that stay; that of
// a file is written beside the kustomization.
func (w *writer) text(file *source.File, inline string, stay []int) string {
	text := []byte(inline)
	if file != nil {
		text = file.Text
	}
	var kept []byte
	chunks := limit.Split(text)
	if stay[0] < 0 || len(chunks) == 1 {
		return inline
	}
	for _, i := range stay {
		if kept != nil {
			kept = append(kept, "---\n"...)
		}
		kept = append(kept, chunks[i].Text...)
	}
	if file != nil {
		w.Texts[file.Path] = kept
		return inline
	}
	return string(kept)
}
