// SPDX-License-Identifier: Apache-2.0

// Package parts splits a kustomization into several that kustomize renders one
// after the other, each with some of the resources, and that give together
// exactly what the whole gives. The time of kustomize grows with the square of
// the number of resources, at the least.
//
// Objects matter to one another in kustomize in three ways only, with the few
// fields that are allowed here: two may have one id, one may hold the name of
// another (which kustomize follows when it changes that), and a patch names the
// one it changes. All three go by name. So two objects stay together when one
// holds, anywhere, a text that is a name which the other has on any level. What
// many name, and what a generator makes, goes into every part that names it:
// a hub. Whatever is not understood makes Split give up, and so does the caller
// when a part fails or two copies of a hub differ.
package parts

import (
	"bytes"
	"hash/maphash"
	"reflect"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/types"

	"github.com/outlast-ci/outlast/core/render/internal/tree/limit"
	"github.com/outlast-ci/outlast/core/render/internal/tree/source"
)

// Part is one run of kustomize.
type Part struct {
	Texts   map[string][]byte // what to read instead of the files, by path
	Objects int               // how many it makes, its copies of hubs included
}

// Plan is a split.
type Plan struct {
	Parts   []Part
	Objects int // how many all parts make, each hub once
}

// Sizes say how to split.
type Sizes struct {
	Least int // objects from which on a split is worth its while
	Part  int // objects of a part
	Hub   int // what more objects than these name is a hub; an application's own objects name one another, too
}

// maxObjects bounds the work of planning.
const maxObjects = 200_000

// Split plans the parts; nil: render it as a whole.
func Split(src *source.Source, sizes Sizes) *Plan {
	if count(src) < sizes.Least {
		return nil
	}
	p := &planner{src: src, sizes: sizes, seed: maphash.MakeSeed(), chunks: map[*source.File][]chunk{}, named: map[uint64][]int{}, made: map[string]bool{}, visits: map[*source.Dir][][]int{}}
	for _, d := range src.Dirs {
		if !allowed(&d.Spec) {
			return nil
		}
	}
	for _, step := range []func() bool{p.files, p.generators, p.names, p.patches, p.replicas, p.global, p.connect} {
		if !step() {
			return nil
		}
	}
	return p.rewrite(p.pack())
}

// count estimates the objects by the `---` lines.
func count(src *source.Source) (n int) {
	seen := map[*source.File]bool{}
	for _, d := range src.Dirs {
		n += len(d.Spec.ConfigMapGenerator) + len(d.Spec.SecretGenerator)
		for _, r := range d.Resources {
			if r.File != nil && !seen[r.File] {
				seen[r.File] = true
				n += 1 + bytes.Count(r.File.Text, []byte("\n---"))
			}
		}
	}
	return n
}

// allowed: the kustomization has fields only whose effects are known here.
func allowed(k *types.Kustomization) bool {
	for _, l := range k.Labels {
		if len(l.FieldSpecs) > 0 {
			return false
		}
	}
	rest := *k
	rest.TypeMeta, rest.MetaData, rest.Resources, rest.Components = types.TypeMeta{}, nil, nil, nil
	rest.Namespace, rest.NamePrefix, rest.NameSuffix = "", "", ""
	rest.CommonLabels, rest.Labels, rest.CommonAnnotations = nil, nil, nil
	rest.Images, rest.Replicas = nil, nil
	rest.Patches, rest.PatchesStrategicMerge, rest.PatchesJson6902 = nil, nil, nil
	rest.ConfigMapGenerator, rest.SecretGenerator, rest.GeneratorOptions = nil, nil, nil
	return reflect.DeepEqual(rest, types.Kustomization{}) && !strings.Contains(k.NamePrefix+k.NameSuffix, ",")
}

// planner collects what is known of the objects.
type planner struct {
	src     *source.Source
	sizes   Sizes
	seed    maphash.Seed
	chunks  map[*source.File][]chunk // of files of resources
	objects []object
	patch   []directive
	visits  map[*source.Dir][][]int // the objects that a folder changes, each time that it is named
	named   map[uint64][]int        // objects by the names they may have
	made    map[string]bool         // names of what generators make
	all     []uint64                // texts that any object may get
	anyHubs []int                   // objects that go into every part
}

// chunk is a document of a file; object is -1 for an empty one.
type chunk struct {
	limit.Chunk
	object int
}

// object is a document, or what a generator makes.
type object struct {
	kind     string
	name     string   // at first
	names    []string // all that it may have
	mentions []uint64 // hashes of the texts in it
	edges    []int    // objects that it must see
	copies   int      // how often it is in the result
	hub      bool
}

// targets are the kinds whose names kustomize follows (nameReference of its
// default configuration).
var targets = []string{
	"ClusterRole", "ConfigMap", "Deployment", "IngressClass", "PersistentVolume", "PersistentVolumeClaim", "PriorityClass", "ReplicaSet",
	"ReplicationController", "Role", "Secret", "Service", "ServiceAccount", "StatefulSet", "StorageClass", "ValidatingAdmissionPolicy",
}

func (o *object) target() bool {
	_, found := slices.BinarySearch(targets, o.kind)
	return found
}

func (p *planner) hash(s string) uint64 { return maphash.String(p.seed, s) }

// Targets lists the kinds whose names kustomize follows.
func Targets() []string { return slices.Clone(targets) }
