// SPDX-License-Identifier: Apache-2.0

package parts

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/outlast-ci/outlast/core/render/internal/tree/limit"
	"github.com/outlast-ci/outlast/core/render/internal/tree/source"
)

// list is a field of a kustomization that changes objects by their names.
type list int

const (
	patches list = iota
	merges
	jsons
	replicas
)

// directive is an entry of such a list, or a document of its text.
type directive struct {
	dir   *source.Dir
	list  list
	entry int
	chunk int   // of the entry's text; -1: the entry as a whole
	on    []int // objects that it may change
	every bool  // it goes into every part
}

// patches reads all patches and tells what they may change.
func (p *planner) patches() bool {
	users := map[*source.File]int{}
	for _, d := range p.src.Dirs {
		for i, e := range d.Spec.Patches {
			text, file := p.patchText(d, e.Patch, e.Path)
			if users[file]++; e.Options != nil || !p.addPatch(directive{dir: d, list: patches, entry: i}, text, e.Target) {
				return false
			}
		}
		for i, e := range d.Spec.PatchesStrategicMerge {
			path, inline := string(e), ""
			if source.Inline(path) {
				path, inline = "", path
			}
			text, file := p.patchText(d, inline, path)
			if users[file]++; !p.addPatch(directive{dir: d, list: merges, entry: i}, text, nil) {
				return false
			}
		}
		for i, e := range d.Spec.PatchesJson6902 {
			text, file := p.patchText(d, e.Patch, e.Path)
			if users[file]++; e.Target == nil || !p.addPatch(directive{dir: d, list: jsons, entry: i}, text, e.Target) {
				return false
			}
		}
		for _, g := range d.Spec.ConfigMapGenerator {
			countUsers(d, g.KvPairSources, users)
		}
		for _, g := range d.Spec.SecretGenerator {
			countUsers(d, g.KvPairSources, users)
		}
	}
	for f, n := range users {
		if f != nil && n > 1 && len(limit.Split(f.Text)) > 1 {
			return false // its documents would go different ways
		}
	}
	return true
}

func countUsers(d *source.Dir, kv types.KvPairSources, users map[*source.File]int) {
	for _, name := range source.Paths(kv) {
		users[d.Loads[name]]++
	}
}

func (p *planner) patchText(d *source.Dir, inline, path string) (string, *source.File) {
	if f := d.Loads[path]; path != "" && f != nil {
		return string(f.Text), f
	}
	return inline, nil
}

// addPatch takes a patch: with a target it is one text, else each document
// names the object that it changes.
func (p *planner) addPatch(d directive, text string, target *types.Selector) bool {
	var docs []*yaml.Node
	var mentions [][]uint64
	for _, c := range limit.Split([]byte(text)) {
		doc, ok := decode(c)
		var hashes []uint64
		if !ok || doc != nil && !p.texts(doc, &hashes) {
			return false
		}
		docs, mentions = append(docs, doc), append(mentions, hashes)
	}
	if target != nil {
		d.chunk = -1
		if len(docs) != 1 || docs[0] == nil || !bounded(docs[0]) {
			return false
		}
		if !word.MatchString(target.Name) { // a regular expression, or any
			d.every = true
			p.all = append(p.all, mentions[0]...)
		} else {
			kind := target.Kind
			if !word.MatchString(kind) {
				kind = ""
			}
			d.on, _ = p.called(d.dir, target.Name, kind)
			d.every = len(d.on) == 0 // it changes nothing, but may be wrong
		}
		p.attach(d, mentions[0])
		return true
	}
	for i, doc := range docs {
		if doc == nil {
			continue
		}
		var ok bool
		if d.list == jsons || doc.Kind != yaml.MappingNode || !bounded(doc) {
			return false
		}
		kind, name := scalar(field(doc, "kind")), scalar(field(field(doc, "metadata"), "name"))
		d.chunk = i
		if d.on, ok = p.called(d.dir, name, kind); !ok || kind == "" || strings.HasSuffix(kind, "List") {
			return false // kustomize says that it is missing
		}
		p.attach(d, mentions[i])
	}
	return true
}

// attach adds a directive, and what its text mentions to the objects that get
// the text.
func (p *planner) attach(d directive, mentions []uint64) {
	for _, i := range d.on {
		p.objects[i].mentions = append(p.objects[i].mentions, mentions...)
	}
	p.patch = append(p.patch, d)
}

// called lists the objects of some kinds, any for "", that may have a name
// where a folder changes them; it is ok when each visit finds one.
func (p *planner) called(d *source.Dir, name string, kinds ...string) (found []int, ok bool) {
	ok = true
	for _, visit := range p.visits[d] {
		some := false
		for _, i := range p.named[p.hash(name)] {
			if _, here := slices.BinarySearch(visit, i); here && (kinds[0] == "" || slices.Contains(kinds, p.objects[i].kind)) {
				found, some = append(found, i), true
			}
		}
		ok = ok && some
	}
	slices.Sort(found)
	return slices.Compact(found), ok
}

// word is a regular expression that matches itself only.
var word = regexp.MustCompile(`^[a-zA-Z0-9-]+$`)

// bounded: a patch leaves kind, name and namespace alone, and the object.
func bounded(doc *yaml.Node) bool {
	switch doc.Kind {
	case yaml.MappingNode:
		return field(doc, "$patch") == nil && field(field(doc, "metadata"), "$patch") == nil && scalar(field(doc, "kind")) != ""
	case yaml.SequenceNode:
		for _, op := range doc.Content {
			if !boundedOp(op) {
				return false
			}
		}
		return len(doc.Content) > 0
	}
	return false
}

func boundedOp(op *yaml.Node) bool {
	if !slices.Contains([]string{"add", "replace", "remove", "test"}, scalar(field(op, "op"))) {
		return false
	}
	path := scalar(field(op, "path"))
	if strings.Contains(path, "config.kubernetes.io") || strings.Contains(path, "config.k8s.io") || !strings.HasPrefix(path, "/") {
		return false
	}
	steps := strings.Split(path[1:], "/")
	switch steps[0] {
	case "", "apiVersion", "kind":
		return false
	case "metadata":
		return len(steps) > 1 && (steps[1] == "labels" || steps[1] == "annotations")
	}
	return true
}

// replicas tells what the counts of replicas are for.
func (p *planner) replicas() bool {
	for _, d := range p.src.Dirs {
		for i, r := range d.Spec.Replicas {
			e := directive{dir: d, list: replicas, entry: i, chunk: -1}
			var ok bool
			if e.on, ok = p.called(d, r.Name, "Deployment", "ReplicaSet", "ReplicationController", "StatefulSet"); !ok {
				return false // kustomize says that it is missing
			}
			p.attach(e, nil)
		}
	}
	return true
}

// global adds the texts that a kustomization gives to all: annotations may
// hold names.
func (p *planner) global() bool {
	for _, d := range p.src.Dirs {
		for _, v := range d.Spec.CommonAnnotations {
			p.all = append(p.all, p.hash(v))
		}
	}
	return true
}
