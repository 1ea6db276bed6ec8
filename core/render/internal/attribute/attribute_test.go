// SPDX-License-Identifier: Apache-2.0

package attribute

import (
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// TestPlaces: the first place that has a key wins, and a malformed one is told with
// where it stands.
func TestPlaces(t *testing.T) {
	const annotations = `{apiVersion: v1, kind: Service, metadata: {name: s, namespace: n, annotations: {bad: nonsense, a: "x=1,y=long", b: "x=2,z=3,neg=-1"}}}`
	const list = `{apiVersion: gateway.k8s.aws/v1, kind: TargetGroupConfiguration, metadata: {name: c}, spec: {attrs: [{key: x, value: "7"}, {key: w, value: 8}]}}`
	svc, config := yaml.MustParse(annotations), yaml.MustParse(list)
	a, b, c := Annotation(svc, "a"), Annotation(svc, "b"), Place{Object: config, Path: []string{"spec", "attrs"}, List: true}
	for name, tc := range map[string]struct {
		places []Place
		key    string
		want   int
		ok     bool
		fails  string
	}{
		"the first":                   {[]Place{a, b}, "x", 1, true, ""},
		"the order counts":            {[]Place{b, a}, "x", 2, true, ""},
		"key by key":                  {[]Place{a, b}, "z", 3, true, ""},
		"a list":                      {[]Place{c, a}, "x", 7, true, ""},
		"a number without quotes":     {[]Place{a, c}, "w", 8, true, ""},
		"nowhere":                     {[]Place{a, b, c}, "q", 0, false, ""},
		"no places":                   {nil, "x", 0, false, ""},
		"no number":                   {[]Place{a, b}, "y", 0, false, "reading metadata.annotations.a of Service/n/s: y=long is no number of seconds"},
		"less than nothing":           {[]Place{b}, "neg", 0, false, "reading metadata.annotations.b of Service/n/s: neg=-1 is no number of seconds"},
		"malformed, though not asked": {[]Place{Annotation(svc, "bad"), a}, "x", 0, false, `reading metadata.annotations.bad of Service/n/s: "nonsense" is not key=value`},
	} {
		t.Run(name, func(t *testing.T) {
			n, ok, err := Set{Places: tc.places}.Number(tc.key)
			if n != tc.want || ok != tc.ok || (err == nil) != (tc.fails == "") || err != nil && err.Error() != tc.fails {
				t.Errorf("got %d, %v, %v", n, ok, err)
			}
			text, ok, _ := Set{Places: tc.places}.Get(tc.key)
			if tc.fails == "" && (ok != tc.ok || tc.ok && text == "") {
				t.Errorf("Get gives %q, %v", text, ok)
			}
		})
	}
	if s := a.With("x", "5"); s.To != "x=5,y=long" || s.From != "x=1,y=long" || s.Value.YNode().Value != s.To || strings.Join(s.Path, " ") != "metadata annotations a" {
		t.Errorf("an annotation: %+v", s)
	}
	if s := c.With("v", "5"); s.To != "5" || s.From != "" || strings.Join(s.Path, " ") != "spec attrs [key=v] value" {
		t.Errorf("a list: %+v", s)
	}
}
