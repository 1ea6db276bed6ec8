// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"bytes"
	"encoding/base64"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/outlast-ci/outlast/core/render/internal/tree/limit"
	"github.com/outlast-ci/outlast/core/render/internal/tree/source"
)

// dumps are where kustomize prints whole objects or configurations into its
// errors.
var dumps = []*regexp.Regexp{
	regexp.MustCompile("(?s)with config: `.*`"),
	regexp.MustCompile(`(?s)\*\*\*\* Too many possible referral targets.*`),
	regexp.MustCompile(`(?s)\[patch: ".*"\]`),
	regexp.MustCompile(`(?s)in object .*`),
	regexp.MustCompile(`(?s)node contents:.*`),
	regexp.MustCompile(`line \[[0-9 ]*\]`),
	regexp.MustCompile(`(?s)cannot be found in .*`),
	regexp.MustCompile(`(?s)(patch and path can't be set at the same time|must specify one of patch and path in|must specify a target for JSON patch)\s.*`),
}

var literal = regexp.MustCompile(`(?s)(literal sources \[.*\]: )?invalid literal source .*, expected key=value`)

// redact takes out of kustomize's words the folders that it was given, the
// objects that it prints, and whatever else is a value of a Secret.
func redact(text string, src *source.Source) string {
	for _, d := range dumps {
		text = d.ReplaceAllString(text, "$1 (left out)")
	}
	text = literal.ReplaceAllString(text, "a literal is not key=value")
	for _, secret := range secrets(src) {
		text = strings.ReplaceAll(text, secret, "***")
	}
	text = strings.ReplaceAll(text, mount+"/", "")
	text = strings.ReplaceAll(text, mount, ".")
	return strings.Join(strings.Fields(text), " ")
}

// secrets lists the values that secretGenerators and Secrets hold, as text and
// in base64, the longest first. Shorter ones than four characters would
// take words apart.
func secrets(src *source.Source) (values []string) {
	add := func(s string) {
		for _, s := range []string{s, strings.TrimSpace(s)} {
			if len(s) >= 4 {
				values = append(values, s, base64.StdEncoding.EncodeToString([]byte(s)))
			}
		}
	}
	for _, d := range src.Dirs {
		for _, g := range d.Spec.SecretGenerator {
			for _, l := range g.LiteralSources {
				_, value, pair := strings.Cut(l, "=")
				if !pair {
					value = l
				}
				add(value)
				add(strings.Trim(value, `"'`))
			}
			for _, name := range slices.Concat(g.FileSources, g.EnvSources) {
				_, after, named := strings.Cut(name, "=")
				if f := d.Loads[name]; f != nil {
					addLines(f.Text, add)
				} else if f := d.Loads[after]; named && f != nil {
					addLines(f.Text, add)
				}
			}
		}
		for _, p := range slices.Concat(d.Spec.Patches, d.Spec.PatchesJson6902) {
			ofSecrets([]byte(p.Patch), add)
		}
	}
	for _, f := range src.Files() {
		ofSecrets(f.Text, add)
	}
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(values)
}

func addLines(text []byte, add func(string)) {
	add(string(text))
	for line := range strings.Lines(string(text)) {
		add(line)
		if _, value, ok := strings.Cut(line, "="); ok {
			add(value)
		}
	}
}

// ofSecrets adds the values of the Secrets in a file.
func ofSecrets(text []byte, add func(string)) {
	if !bytes.Contains(text, []byte("Secret")) {
		return
	}
	for _, chunk := range limit.Split(text) {
		docs, _ := limit.Decode(chunk.Text) // what can be read
		for _, doc := range docs {
			var s struct {
				Kind       string
				Data       yaml.Node
				StringData yaml.Node `yaml:"stringData"`
			}
			if doc.Decode(&s) != nil || s.Kind != "Secret" {
				continue
			}
			scalars(&s.Data, func(v string) {
				add(v)
				if plain, err := base64.StdEncoding.DecodeString(v); err == nil {
					add(string(plain))
				}
			})
			scalars(&s.StringData, add)
		}
	}
}

func scalars(n *yaml.Node, add func(string)) {
	if n.Kind == yaml.ScalarNode {
		add(n.Value)
	}
	for _, child := range n.Content {
		scalars(child, add)
	}
}
