// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/outlast-ci/outlast/core/render/internal/tree/limit"
)

// remote: kustomize asks the network for a file of that name.
func remote(name string) bool {
	u, err := url.Parse(name)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") || strings.Contains(name, "://")
}

// user is how an address of ssh starts.
var user = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9-]*@`)

// repository: kustomize may take a folder of that name for the address of a
// git repository (api/internal/git.NewRepoSpecFromURL), also when it exists.
func repository(name string) bool {
	lower := strings.ToLower(name)
	lower = strings.TrimPrefix(lower, "git::")
	for _, prefix := range []string{"github.com/", "github.com:", "gh:", "git@"} {
		if strings.HasPrefix(lower, prefix) {
			return true
		}
	}
	return lower != strings.ToLower(name) || user.MatchString(name) || strings.Contains(name, "?ref=") || strings.Contains(name, ".git/") || strings.HasSuffix(name, ".git")
}

// list is what a field of a kustomization names.
type list struct {
	field string
	names []string
}

// files reads the configuration that a kustomization names.
func (w *walker) files(d *Dir) error {
	if p := d.Spec.OpenAPI["path"]; p != "" {
		if err := w.load(d, "openapi", p, true); err != nil {
			return err
		}
	}
	replacements := make([]string, 0, len(d.Spec.Replacements))
	for _, r := range d.Spec.Replacements {
		if r.Path != "" {
			replacements = append(replacements, r.Path)
		}
	}
	for _, f := range []list{{"crds", d.Spec.Crds}, {"configurations", d.Spec.Configurations}, {"replacements", replacements}} {
		for _, name := range f.names {
			if err := w.load(d, f.field, name, true); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *walker) patches(d *Dir) error {
	for i, p := range slices.Concat(d.Spec.Patches, d.Spec.PatchesJson6902) {
		field := "patches"
		if i >= len(d.Spec.Patches) {
			field = "patchesJson6902"
		}
		if err := w.inline(d, field, p.Patch); err != nil {
			return err
		}
		if p.Path != "" {
			if err := w.load(d, field, p.Path, true); err != nil {
				return err
			}
		}
	}
	for _, p := range d.Spec.PatchesStrategicMerge {
		if Inline(string(p)) {
			if err := w.inline(d, "patchesStrategicMerge", string(p)); err != nil {
				return err
			}
		} else if err := w.load(d, "patchesStrategicMerge", string(p), true); err != nil {
			return err
		}
	}
	return nil
}

// Inline tells a text in a place where a path may stand, too.
func Inline(s string) bool {
	if strings.Contains(s, "\n") {
		return true
	}
	var m map[string]any
	return yaml.Unmarshal([]byte(s), &m) == nil && m["kind"] != nil
}

// inline checks YAML that is written into a kustomization as a text.
func (w *walker) inline(d *Dir, field, text string) error {
	var e *limit.Error
	if err := limit.Check([]byte(text)); errors.As(err, &e) {
		return d.fail(w, field, text, "%s: line %d of the text: %s", field, e.Line, e.What)
	}
	return nil
}

func (w *walker) generators(d *Dir) error {
	var lists []list
	for _, g := range d.Spec.ConfigMapGenerator {
		lists = append(lists, list{"configMapGenerator", Paths(g.KvPairSources)})
	}
	for _, g := range d.Spec.SecretGenerator {
		lists = append(lists, list{"secretGenerator", Paths(g.KvPairSources)})
	}
	for _, l := range lists {
		for _, name := range l.names {
			if err := w.load(d, l.field, name, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// Paths lists the paths of a generator: env files, and files, those with a key
// before =.
func Paths(kv types.KvPairSources) (paths []string) {
	for _, f := range kv.FileSources {
		if _, after, named := strings.Cut(f, "="); named {
			f = after
		}
		paths = append(paths, f)
	}
	return append(paths, kv.EnvSources...)
}

// plugins reads the configurations of generators, transformers and validators:
// those of kustomize's own may stay.
func (w *walker) plugins(d *Dir) error {
	for _, l := range []list{{"generators", d.Spec.Generators}, {"transformers", d.Spec.Transformers}, {"validators", d.Spec.Validators}} {
		for _, entry := range l.names {
			if err := w.plugin(d, l.field, entry); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *walker) plugin(d *Dir, field, entry string) error {
	w.src.Plugins = true
	if Inline(entry) {
		if err := w.inline(d, field, entry); err != nil {
			return err
		}
		return w.pluginConfig(d, field, "", []byte(entry))
	}
	p, isDir, err := w.local(d, field, entry, true)
	if err != nil {
		return err
	}
	if isDir {
		sub, err := w.dir(p, true)
		if err == nil {
			d.visits += sub.visits
		}
		return err
	}
	f, err := w.Read(p, true)
	if err != nil {
		return err
	}
	return w.pluginConfig(d, field, f.Path, f.Text)
}

// pluginConfig refuses programs, charts and addresses in the configuration of
// generators and transformers; file is empty for a text in the kustomization.
func (w *walker) pluginConfig(d *Dir, field, file string, text []byte) error {
	for _, chunk := range limit.Split(text) {
		var doc yaml.Node
		if err := yaml.NewDecoder(bytes.NewReader(chunk.Text)).Decode(&doc); errors.Is(err, io.EOF) {
			continue
		} else if err != nil {
			return nil //nolint:nilerr // kustomize says what is wrong with it
		}
		why, line := refusal(&doc)
		switch {
		case why == "":
		case file == "":
			return d.fail(w, field, string(text), "%s %s", field, why)
		default:
			w.Refused = fmt.Errorf("%s:%d: %s of %s %s", file, chunk.Line-1+line, field, d.File.Path, why)
			return w.Refused
		}
	}
	return nil
}

// pathKeys hold paths in the configurations of kustomize's own plugins.
var pathKeys = []string{"path", "paths", "files", "env", "envs"}

func refusal(doc *yaml.Node) (why string, line int) {
	line = doc.Line
	version, kind := "", ""
	visit(doc, "", 0, func(key string, depth int, n *yaml.Node) {
		switch {
		case depth == 1 && strings.EqualFold(key, "apiVersion"):
			version = n.Value
		case depth == 1 && strings.EqualFold(key, "kind"):
			kind, line = n.Value, n.Line
		case key == "config.kubernetes.io/function" || key == "config.k8s.io/function":
			why, line = "would run a function in a container or as a program; rendering runs nothing", n.Line
		case why == "" && remote(n.Value) && slices.ContainsFunc(pathKeys, func(k string) bool { return strings.EqualFold(k, key) }):
			why, line = fmt.Sprintf("names %q: rendering fetches nothing; keep a copy in the repository", n.Value), n.Line
		}
	})
	switch {
	case why != "":
	case strings.HasSuffix(kind, "List"):
		why = "is a list; name what is in it on its own"
	case kind == "HelmChartInflationGenerator":
		why = "would fetch a chart; render it before and name the result as a resource"
	case version != "builtin":
		why = fmt.Sprintf("would run a program for kind %s; rendering runs nothing but kustomize's own (apiVersion: builtin)", kind)
	}
	return why, line
}

// visit calls f for every scalar value, with the key that it or its list stands
// at, and how many keys lead there.
func visit(n *yaml.Node, key string, depth int, f func(key string, depth int, n *yaml.Node)) {
	switch n.Kind {
	case yaml.ScalarNode:
		f(key, depth, n)
	case yaml.AliasNode:
		visit(n.Alias, key, depth, f)
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			visit(n.Content[i+1], n.Content[i].Value, depth+1, f)
		}
	default:
		for _, child := range n.Content {
			visit(child, key, depth, f)
		}
	}
}

// line finds the line of a value below a field of the kustomization, else of
// the field's key, else 1.
func (d *Dir) line(field, value string) int {
	var doc yaml.Node
	if yaml.NewDecoder(bytes.NewReader(d.File.Text)).Decode(&doc) != nil || len(doc.Content) == 0 {
		return 1
	}
	line := 1
	top := doc.Content[0]
	for i := 0; i+1 < len(top.Content); i += 2 {
		if !strings.EqualFold(top.Content[i].Value, field) {
			continue
		}
		line = top.Content[i].Line
		found := 0
		visit(top.Content[i+1], "", 0, func(_ string, _ int, n *yaml.Node) {
			if found == 0 && value != "" && (n.Value == value || strings.HasSuffix(n.Value, "="+value)) {
				found = n.Line
			}
		})
		if found > 0 {
			return found
		}
	}
	return line
}

// has: the kustomization has the field, as kustomize reads names.
func (d *Dir) has(field string) bool {
	var m map[string]any
	if yaml.Unmarshal(d.File.Text, &m) != nil {
		return false
	}
	for key := range m {
		if strings.EqualFold(key, field) {
			return true
		}
	}
	return false
}
