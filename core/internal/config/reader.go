// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// reader walks the YAML nodes, which know their lines; it keeps the first error.
type reader struct {
	file    string
	scalars []string
	err     error
}

func (r *reader) fail(n *yaml.Node, format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("reading %s:%d: %s", r.file, n.Line, fmt.Sprintf(format, args...))
	}
}

// pairs calls do for each key of a mapping, refusing doubles.
func (r *reader) pairs(n *yaml.Node, where string, do func(key string, k, v *yaml.Node)) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		r.fail(n, "%s must be a mapping of keys to values", where)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if seen[k.Value] {
			r.fail(k, "key %q appears twice", k.Value)
		}
		seen[k.Value] = true
		do(k.Value, k, v)
	}
}

// mapping reads a level that may hold plain values (nested below prefix),
// drain.set, and the structured keys.
func (r *reader) mapping(n *yaml.Node, prefix string, structured []string, values, set map[string]string, do func(string, *yaml.Node)) {
	where := "the file"
	if prefix != "" {
		where = strings.TrimSuffix(prefix, ".")
	}
	r.pairs(n, where, func(key string, k, v *yaml.Node) {
		full := prefix + key
		switch {
		case strings.Contains(key, "."):
			r.fail(k, "key %q: write what is behind the dot below what is before it", full)
		case full == setKey:
			r.stringMap(v, full, set)
		case slices.Contains(structured, full):
			do(full, v)
		case slices.Contains(r.scalars, full):
			values[full] = r.scalar(v, full)
		case slices.ContainsFunc(r.scalars, func(s string) bool { return strings.HasPrefix(s, full+".") }):
			r.mapping(v, full+".", structured, values, set, do)
		default:
			r.fail(k, "unknown key %q%s", full, DidYouMean(full, r.known(prefix, structured)))
		}
	})
}

// known lists the keys that may stand at a level.
func (r *reader) known(prefix string, structured []string) []string {
	all := append(slices.Clone(r.scalars), structured...)
	var here []string
	for _, s := range all {
		if rest, ok := strings.CutPrefix(s, prefix); ok {
			first, _, _ := strings.Cut(rest, ".")
			here = append(here, prefix+first)
		}
	}
	slices.Sort(here)
	return slices.Compact(here)
}

func (r *reader) scalar(n *yaml.Node, key string) string {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.ScalarNode {
		r.fail(n, "%s must be one plain value", key)
	}
	if n.Tag == "!!null" {
		return ""
	}
	return n.Value
}

func (r *reader) stringMap(n *yaml.Node, key string, into map[string]string) {
	r.pairs(n, key, func(k string, _, v *yaml.Node) { into[k] = r.scalar(v, key+"."+k) })
}

func (r *reader) list(n *yaml.Node, key string, do func(*yaml.Node)) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.SequenceNode {
		r.fail(n, "%s must be a list", key)
		return
	}
	for _, item := range n.Content {
		do(item)
	}
}

// words reads a list of names; an empty one is not nil.
func (r *reader) words(n *yaml.Node, key string) []string {
	all := []string{}
	r.list(n, key, func(item *yaml.Node) {
		word := r.scalar(item, key)
		if word == "" {
			r.fail(item, "%s has an empty name", key)
		}
		all = append(all, word)
	})
	return all
}

func (r *reader) images(n *yaml.Node) (images []Image) {
	r.list(n, "images", func(item *yaml.Node) {
		img := Image{Args: map[string]string{}}
		fields := map[string]*string{
			"name": &img.Name, "context": &img.Context, "dockerfile": &img.Dockerfile,
			"target": &img.Target, "platform": &img.Platform, "repository": &img.Repository,
		}
		r.pairs(item, "an image", func(key string, k, v *yaml.Node) {
			switch field, ok := fields[key]; {
			case ok:
				*field = r.scalar(v, "images."+key)
			case key == "args":
				r.stringMap(v, "images.args", img.Args)
			default:
				r.fail(k, "unknown key %q of an image%s", key, DidYouMean(key, names(ImageKeys())))
			}
		})
		if img.Name == "" {
			r.fail(item, "an image needs a name: the one that the manifests use")
		}
		images = append(images, img)
	})
	return images
}

func (r *reader) environments(n *yaml.Node) map[string]Environment {
	envs := map[string]Environment{}
	r.pairs(n, "environments", func(name string, k, v *yaml.Node) {
		env := Environment{Name: name, Values: map[string]string{}, Set: map[string]string{}}
		r.mapping(v, "", names(EnvironmentKeys()), env.Values, env.Set, func(key string, v *yaml.Node) {
			switch key {
			case "clusters":
				env.Clusters = r.clusters(v)
				return
			case alarmsKey:
				env.Alarms = r.words(v, key)
				return
			}
			r.list(v, "branches", func(item *yaml.Node) {
				pattern := r.scalar(item, "branches")
				if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
					r.fail(item, "branch pattern %q is malformed", pattern)
				}
				env.Branches = append(env.Branches, pattern)
			})
		})
		envs[name] = env
	})
	return envs
}

func (r *reader) clusters(n *yaml.Node) (clusters []Cluster) {
	seen := map[string]bool{}
	r.list(n, "clusters", func(item *yaml.Node) {
		c := Cluster{}
		r.pairs(item, "a cluster", func(key string, k, v *yaml.Node) {
			if !slices.Contains(names(ClusterKeys()), key) {
				r.fail(k, "unknown key %q of a cluster%s", key, DidYouMean(key, names(ClusterKeys())))
			}
			c[key] = r.scalar(v, "clusters."+key)
		})
		if c.Name() == "" {
			r.fail(item, "a cluster needs one of %s", strings.Join(selectors, ", "))
		}
		which := c.Name() + " " + c["region"]
		if seen[which] {
			r.fail(item, "cluster %s is listed twice; those of one name need regions that differ", c.Name())
		}
		seen[which] = true
		clusters = append(clusters, c)
	})
	if r.err == nil && len(clusters) == 0 {
		r.fail(n, "clusters is empty: leave it out, or list the clusters in the order in which they are rolled")
	}
	return clusters
}

// DidYouMean gives `: did you mean "x"?` for the nearest of the known words,
// or a list of them when none is near and they are few.
func DidYouMean(word string, known []string) string {
	best, distance := "", 1+len(word)/3
	for _, k := range known {
		if d := edits(strings.ToLower(word), strings.ToLower(k)); d <= distance {
			best, distance = k, d-1
		}
	}
	switch {
	case best != "":
		return fmt.Sprintf(": did you mean %q?", best)
	case len(known) > 0 && len(known) <= 20:
		return ": known are " + strings.Join(known, ", ")
	}
	return ""
}

// edits is the Levenshtein distance.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal, row[j] = row[j], min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
