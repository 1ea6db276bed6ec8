// SPDX-License-Identifier: Apache-2.0

package parts

import (
	"bytes"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/outlast-ci/outlast/core/render/internal/tree/limit"
	"github.com/outlast-ci/outlast/core/render/internal/tree/source"
)

// files reads the documents of all resources.
func (p *planner) files() bool {
	loads := map[*source.File]bool{}
	for _, d := range p.src.Dirs {
		for _, f := range d.Loads {
			loads[f] = true
		}
	}
	for _, d := range p.src.Dirs {
		for _, r := range d.Resources {
			if r.File == nil || p.chunks[r.File] != nil {
				continue
			}
			if loads[r.File] || !p.file(r.File) {
				return false // a patch or data, too
			}
		}
	}
	return true
}

func (p *planner) file(f *source.File) bool {
	for _, c := range limit.Split(f.Text) {
		doc, ok := decode(c)
		if !ok {
			return false
		}
		at := -1
		if doc != nil {
			o, ok := p.object(doc)
			if !ok {
				return false
			}
			at = len(p.objects)
			p.objects = append(p.objects, o)
		}
		p.chunks[f] = append(p.chunks[f], chunk{c, at})
	}
	return true
}

// decode gives the document of a chunk; nil: it is empty. It is not ok when
// kustomize may read it in another way.
func decode(c limit.Chunk) (doc *yaml.Node, ok bool) {
	if rest := bytes.TrimSpace(bytes.TrimPrefix(c.Separator, []byte("---"))); len(rest) > 0 && rest[0] != '#' {
		return nil, false
	}
	docs, err := limit.Decode(c.Text)
	switch {
	case err != nil || len(docs) > 1:
		return nil, false
	case len(docs) == 0 || len(docs[0].Content) == 0 || docs[0].Content[0].Tag == "!!null":
		return nil, true
	}
	return docs[0].Content[0], true
}

// object takes what matters of a document.
func (p *planner) object(doc *yaml.Node) (o object, ok bool) {
	if doc.Kind != yaml.MappingNode {
		return o, false
	}
	kind, metadata := field(doc, "kind"), field(doc, "metadata")
	name := field(metadata, "name")
	if scalar(field(doc, "apiVersion")) == "" || scalar(kind) == "" || scalar(name) == "" {
		return o, false
	}
	o = object{kind: kind.Value, name: name.Value}
	if strings.HasSuffix(o.kind, "List") || strings.Contains(o.name, ",") {
		return o, false
	}
	return o, p.texts(doc, &o.mentions)
}

// texts collects the hashes of all values. It is not ok with a key that
// kustomize keeps its own notes under, or that takes more than a field away.
func (p *planner) texts(n *yaml.Node, hashes *[]uint64) bool {
	switch n.Kind {
	case yaml.ScalarNode:
		*hashes = append(*hashes, p.hash(n.Value))
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			if strings.Contains(key.Value, "config.kubernetes.io") || strings.Contains(key.Value, "config.k8s.io") {
				return false
			}
			if !p.texts(value, hashes) {
				return false
			}
		}
	case yaml.AliasNode: // what it stands for is in the document
	default:
		for _, child := range n.Content {
			if !p.texts(child, hashes) {
				return false
			}
		}
	}
	return true
}

func field(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	var found *yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			if found != nil {
				return nil // twice: not understood
			}
			found = n.Content[i+1]
		}
	}
	return found
}

func scalar(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return ""
	}
	return n.Value
}

// generators adds what generators make. Nothing in it is a name.
func (p *planner) generators() bool {
	add := func(kind string, g types.GeneratorArgs) bool {
		p.objects = append(p.objects, object{kind: kind, name: g.Name, hub: true})
		return g.Name != "" && !strings.Contains(g.Name, ",")
	}
	for _, d := range p.src.Dirs {
		for _, g := range d.Spec.ConfigMapGenerator {
			if !add("ConfigMap", g.GeneratorArgs) {
				return false
			}
		}
		for _, g := range d.Spec.SecretGenerator {
			if !add("Secret", g.GeneratorArgs) {
				return false
			}
		}
	}
	return true
}

// instance is an object on its way up, with its name so far.
type instance struct {
	object int
	name   string
}

// names follows every object to the top and notes the names that it gets.
func (p *planner) names() bool {
	made := map[*source.Dir]int{} // first object of a folder's generators
	at := len(p.objects)
	for i := len(p.src.Dirs) - 1; i >= 0; i-- {
		d := p.src.Dirs[i]
		at -= len(d.Spec.ConfigMapGenerator) + len(d.Spec.SecretGenerator)
		made[d] = at
	}
	top, ok := p.accumulate(p.src.Top, nil, made)
	if !ok {
		return false
	}
	for _, in := range top {
		p.objects[in.object].copies++
	}
	for i := range p.objects {
		o := &p.objects[i]
		if o.copies == 0 {
			return false // not reached: a component that is a resource, or so
		}
		o.add(o.name)
		for _, name := range o.names {
			h := p.hash(name)
			p.named[h] = append(p.named[h], i)
		}
		if o.hub {
			for _, name := range o.names {
				p.made[name] = true
			}
		}
	}
	for d := range made {
		p.merges(d, made[d])
	}
	return p.noHash()
}

func (o *object) add(name string) {
	for _, n := range o.names {
		if n == name {
			return
		}
	}
	o.names = append(o.names, name)
}

// accumulate does with the names what kustomize does: resources, generators,
// components, and then the folder's own changes to all of them.
func (p *planner) accumulate(d *source.Dir, in []instance, made map[*source.Dir]int) ([]instance, bool) {
	for _, r := range d.Resources {
		if r.Dir != nil {
			below, ok := p.accumulate(r.Dir, nil, made)
			if !ok || len(below) == 0 {
				return nil, false // kustomize may call it empty
			}
			in = append(in, below...)
			continue
		}
		for _, c := range p.chunks[r.File] {
			if c.object >= 0 {
				in = append(in, instance{c.object, p.objects[c.object].name})
			}
		}
	}
	for i := range len(d.Spec.ConfigMapGenerator) + len(d.Spec.SecretGenerator) {
		in = append(in, instance{made[d] + i, p.objects[made[d]+i].name})
	}
	for _, c := range d.Components {
		var ok bool
		if in, ok = p.accumulate(c, in, made); !ok {
			return nil, false
		}
	}
	visit := make([]int, len(in))
	for i := range in {
		visit[i] = in[i].object
	}
	slices.Sort(visit)
	p.visits[d] = append(p.visits[d], slices.Compact(visit))
	for i := range in {
		o := &p.objects[in[i].object]
		if d.Spec.Namespace != "" && o.kind == "Namespace" {
			o.add(d.Spec.Namespace)
		}
		name := d.Spec.NamePrefix + in[i].name
		o.add(name)
		in[i].name = name + d.Spec.NameSuffix
		o.add(in[i].name)
	}
	return in, len(in) <= maxObjects
}

// merges: what a generator merges into another object is no object of its own.
func (p *planner) merges(d *source.Dir, at int) {
	behaviors := make([]string, 0, 8)
	for _, g := range d.Spec.ConfigMapGenerator {
		behaviors = append(behaviors, g.Behavior)
	}
	for _, g := range d.Spec.SecretGenerator {
		behaviors = append(behaviors, g.Behavior)
	}
	for i, b := range behaviors {
		if t := types.NewGenerationBehavior(b); t == types.BehaviorMerge || t == types.BehaviorReplace {
			p.objects[at+i].copies = 0
		}
	}
}

// noHash: no object has a name that a generated one may get by its hash.
func (p *planner) noHash() bool {
	const suffix = len("-0123456789")
	for i := range p.objects {
		for _, name := range p.objects[i].names {
			if n := len(name) - suffix; n > 0 && name[n] == '-' && p.made[name[:n]] {
				return false
			}
		}
	}
	return true
}
