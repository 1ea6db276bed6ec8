// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
	"github.com/outlast-ci/outlast/core/internal/config"
	"github.com/outlast-ci/outlast/core/internal/gen"
)

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := gen.Schema(inputs.Table)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("outlast.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("outlast.schema.json")
	if err != nil {
		t.Fatalf("no schema of draft 2020-12: %v", err)
	}
	return s
}

// bySchema is the schema's verdict on a file.
func bySchema(s *jsonschema.Schema, text string) error {
	var doc any
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		return err
	}
	return s.Validate(asJSON(doc))
}

// asJSON turns what YAML has beyond JSON into what an editor sees.
func asJSON(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = asJSON(v[k])
		}
	case map[any]any:
		out := map[string]any{}
		for k := range v {
			out[fmt.Sprint(k)] = asJSON(v[k])
		}
		return out
	case []any:
		for i := range v {
			v[i] = asJSON(v[i])
		}
	case time.Time:
		return v.Format(time.RFC3339)
	}
	return v
}

// byProgram is the program's: the file is read as a run does, once without and
// once for each environment.
func byProgram(text string) error {
	f, err := config.Parse("outlast.yaml", []byte(text), inputs.ScalarKeys())
	if err != nil {
		return err
	}
	all := f.Environments
	try := func(one map[string]config.Environment) error {
		s, err := inputs.Read(nil, nil)
		if err != nil {
			return err
		}
		s.File = f
		s.File.Environments = one
		if err := s.Choose(""); err != nil {
			return err
		}
		in, err := s.Drain(drain.Defaults())
		if err != nil {
			return err
		}
		if _, err := drain.Solve(in); err != nil && strings.Contains(err.Error(), "is not between") {
			return err
		}
		return nil
	}
	if err := try(nil); err != nil {
		return err
	}
	for name, e := range all {
		if err := try(map[string]config.Environment{name: e}); err != nil {
			return err
		}
	}
	return nil
}

// Every outlast.yaml of the repository that the program takes is one for the
// schema.
func TestTheSchemaTakesWhatTheProgramTakes(t *testing.T) {
	s := schema(t)
	texts := map[string]string{}
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	texts["examples/web"] = read("../../../examples/web/outlast.yaml")
	scripts, err := filepath.Glob("../../cmd/outlast/testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, script := range scripts {
		for _, f := range txtar.Parse([]byte(read(script))).Files {
			if text := string(f.Data); filepath.Ext(f.Name) == ".yaml" && byProgram(text) == nil {
				texts[filepath.Base(script)+": "+f.Name] = text
			}
		}
	}
	if len(texts) < 5 {
		t.Errorf("%d files only: %v", len(texts), texts)
	}
	for name, text := range texts {
		if err := byProgram(text); err != nil {
			t.Errorf("%s: the program refuses it: %v", name, err)
		}
		if err := bySchema(s, text); err != nil {
			t.Errorf("%s: the schema refuses it: %v", name, err)
		}
	}
}

// Every key that the lists name is taken by the program.
func TestEveryKeyIsRead(t *testing.T) {
	s := schema(t)
	var top strings.Builder
	for _, key := range inputs.ScalarKeys() {
		if !strings.Contains(key, ".") {
			fmt.Fprintf(&top, "%s:\n", key)
		}
	}
	for _, key := range config.FileKeys() {
		switch key.Shape {
		case config.ImageList:
			fmt.Fprintf(&top, "%s:\n  - ", key.Name)
			for i, k := range config.ImageKeys() {
				value := "x"
				if k.Shape == config.PlainMap {
					value = "{A: 1}"
				}
				fmt.Fprintf(&top, "%s%s: %s\n", strings.Repeat("    ", min(i, 1)), k.Name, value)
			}
		case config.EnvironmentMap:
			fmt.Fprintf(&top, "%s:\n  dev: {branches: [a], clusters: [{", key.Name)
			for _, k := range config.ClusterKeys() {
				fmt.Fprintf(&top, "%s: x, ", k.Name)
			}
			fmt.Fprintln(&top, "}]}")
		}
	}
	fmt.Fprint(&top, "drain: {set: {")
	for _, symbol := range drain.Symbols() {
		value := "2"
		if symbol == "tight" {
			value = "true"
		}
		fmt.Fprintf(&top, "%s: %s, ", symbol, value)
	}
	fmt.Fprintln(&top, "}}")
	if err := byProgram(top.String()); err != nil {
		t.Errorf("the program: %v\n%s", err, top.String())
	}
	if err := bySchema(s, top.String()); err != nil {
		t.Errorf("the schema: %v\n%s", err, top.String())
	}
}

func TestBothRefuse(t *testing.T) {
	s := schema(t)
	for name, text := range map[string]string{
		"an unknown key":                      "regoin: x",
		"an unknown nested key":               "drain: {polcy: fix}",
		"an unknown key of an environment":    "environments: {dev: {brnches: [a]}}",
		"images inside an environment":        "environments: {dev: {images: []}}",
		"an unknown key of an image":          "images: [{name: a, dockerFile: b}]",
		"an image without a name":             "images: [{context: .}]",
		"an image with an empty name":         "images: [{name: ''}]",
		"an image with no name's value":       "images: [{name: }]",
		"an image that is a word":             "images: [web]",
		"images that are none":                "images:",
		"a list where a value belongs":        "app: [a]",
		"a mapping where a value belongs":     "region: {a: b}",
		"a value where a mapping belongs":     "drain: fix",
		"nothing where a mapping belongs":     "drain:",
		"environments as a list":              "environments: [dev]",
		"an environment that is empty":        "environments: {dev: }",
		"a branch that is no list":            "environments: {dev: {branches: develop}}",
		"an empty branch":                     "environments: {dev: {branches: ['']}}",
		"a choice that is none":               "drain: {policy: fxi}",
		"a choice of an environment":          "environments: {dev: {unmatched: never}}",
		"a choice in capitals":                "builder: Docker",
		"a time that is none":                 "drain: {longestRequest: soon}",
		"a time with a fraction and no unit":  "drain: {longestRequest: 1.5}",
		"a negative time":                     "drain: {longestRequest: -3s}",
		"a negative number":                   "gate: {timeout: -3}",
		"a truth for a time":                  "gate: {interval: true}",
		"a symbol that is none":               "drain: {set: {X: 1}}",
		"a symbol without a value":            "drain: {set: {P: }}",
		"a symbol that is no time":            "drain: {set: {P: soon}}",
		"a negative symbol":                   "drain: {set: {P: -1}}",
		"a symbol longer than a day":          "drain: {set: {P: 90000}}",
		"a count with a fraction":             "drain: {set: {N: 1.5}}",
		"a flag that is neither":              "drain: {set: {tight: maybe}}",
		"a flag that is a number":             "drain: {set: {tight: 2}}",
		"a count with a unit":                 "environments: {dev: {drain: {set: {N: 3s}}}}",
		"drain.set as a list":                 "drain: {set: [P]}",
		"arguments as a list":                 "images: [{name: a, args: [A=1]}]",
		"an argument that is a list":          "images: [{name: a, args: {A: [1]}}]",
		"a list as the whole file":            "[a]",
		"a word as the whole file":            "a",
		"a key of the environment at the top": "branches: [a]",
		"a key with a dot":                    "gate.timeout: 5m",
		"one below another":                   "gate: {probe.url: http://shop/}",
		"clusters that are none":              "environments: {dev: {clusters: []}}",
		"clusters at the top":                 "clusters: [{clusterName: a}]",
		"a cluster that nothing selects":      "environments: {dev: {clusters: [{region: a}]}}",
		"a cluster without its name":          "environments: {dev: {clusters: [{clusterName: ''}]}}",
		"a cluster that is a word":            "environments: {dev: {clusters: [a]}}",
		"an unknown key of a cluster":         "environments: {dev: {clusters: [{clusterName: a, manifests: b}]}}",
	} {
		t.Run(name, func(t *testing.T) {
			if err := byProgram(text); err == nil {
				t.Error("the program takes it")
			}
			if err := bySchema(s, text); err == nil {
				t.Error("the schema takes it")
			}
		})
	}
}

// Of any small document the schema and the program say the same. Left out is
// what the schema cannot say: names that repeat, patterns that are malformed,
// times too long to be added up.
func TestTheSchemaAgreesWithTheProgram(t *testing.T) {
	s := schema(t)
	plain := []any{"", "x", "30", "30s", "1m30s", "1.5", ".5h", "+3s", "-1s", "fix", "off", "fast", "graceful", "skip", "docker", "soon", 30, 0, 1.5, -1, true, nil}
	symbol := []any{"30", "1.5", "2m", "x", 30, 2.5, 7, nil, true, ""}
	keys := append([]string{"regoin", "drain", "images", "drain.set", "drain.polcy", "branches", "clusters"}, inputs.ScalarKeys()...)
	good, bad := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		value := func(from []any) any {
			if rapid.IntRange(0, 19).Draw(t, "broken") == 0 { // new ones each time: put writes into maps
				from = []any{[]any{"x"}, map[string]any{"x": "y"}, []any{}, map[string]any{}}
			}
			return rapid.SampledFrom(from).Draw(t, "value")
		}
		var put func(doc map[string]any, key string, v any)
		put = func(doc map[string]any, key string, v any) {
			if first, rest, nested := strings.Cut(key, "."); nested {
				inner, ok := doc[first].(map[string]any)
				if !ok {
					inner = map[string]any{}
				}
				doc[first] = inner
				put(inner, rest, v)
				return
			}
			doc[key] = v
		}
		level := func(structure func(key string) (any, bool)) map[string]any {
			doc := map[string]any{}
			for _, key := range rapid.SliceOfNDistinct(rapid.SampledFrom(keys), 0, 3, rapid.ID).Draw(t, "keys") {
				v, ok := structure(key)
				if !ok {
					v = value(plain)
				}
				if key == "drain.set" && ok {
					set := map[string]any{}
					for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(append(drain.Symbols(), "X")), 0, 2, rapid.ID).Draw(t, "symbols") {
						set[name] = value(symbol)
					}
					v = set
				}
				put(doc, key, v)
			}
			return doc
		}
		doc := level(func(key string) (any, bool) {
			if key == "images" {
				img := map[string]any{"name": value(plain)}
				for _, k := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"context", "dockerfile", "tag", "args"}), 0, 2, rapid.ID).Draw(t, "image") {
					img[k] = value(plain)
					if k == "args" {
						img[k] = map[string]any{"A": value(plain)}
					}
				}
				return []any{img}, true
			}
			return nil, key == "drain.set"
		})
		if rapid.Bool().Draw(t, "environments") {
			doc["environments"] = map[string]any{"dev": level(func(key string) (any, bool) {
				if key == "branches" {
					return []any{value([]any{"main", "feature/*", "", nil, 1, true})}, true
				}
				if key == "clusters" {
					cluster := map[string]any{}
					for _, k := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"clusterName", "kubeContext", "kubeconfig", "region", "roleArn", "clustername"}), 0, 3, rapid.ID).Draw(t, "cluster") {
						cluster[k] = value(plain)
					}
					return []any{cluster}, true
				}
				return nil, key == "drain.set"
			})}
		}
		text, err := yaml.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		program, schema := byProgram(string(text)), bySchema(s, string(text))
		if (program == nil) != (schema == nil) {
			t.Fatalf("the program says %v, the schema %v, of\n%s", program, schema, text)
		}
		if program == nil {
			good++
		} else {
			bad++
		}
	})
	if good == 0 || bad == 0 {
		t.Errorf("%d good and %d bad documents: nothing was proved", good, bad)
	}
	t.Logf("%d good and %d bad documents", good, bad)
}
