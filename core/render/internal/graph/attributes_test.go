// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

func TestAttributes(t *testing.T) {
	for name, tc := range map[string]struct {
		in    string
		d     string // value of d; "-": it has none
		with  string // d set to 1
		fails string
	}{
		"nothing":                                 {in: "", d: "-", with: "d=1"},
		"another":                                 {in: "a=b", d: "-", with: "a=b,d=1"},
		"the first, with an = in a value":         {in: "d=300, a=b=c", d: "300", with: "d=1,a=b=c"},
		"a comma in a value":                      {in: `a=x\,y,d=2`, d: "2", with: `a=x\,y,d=1`},
		"a backslash takes any sign":              {in: `a=\x\\,\d=2`, d: "2", with: `a=x\\,d=1`},
		"spaces":                                  {in: " a = b , d = 9 ", d: "9", with: "a=b,d=1"},
		"twice: the last counts, as for LBC":      {in: "d=100,d=10", d: "10", with: "d=1,d=1"},
		"a comma at the end belongs to the value": {in: "d=9, ", d: "9,", with: "d=1"},
		"no value":                                {in: "d=,a=b", d: "", with: "d=1,a=b"},
		"a lone backslash at the end":             {in: `a=b\`, d: "-", with: `a=b\\,d=1`},
		"something that is no pair":               {in: "a=b,nonsense", fails: `"nonsense" is not key=value`},
		"something before a pair":                 {in: "nonsense,a=b", fails: `"nonsense" is not key=value`},
		"an empty one between":                    {in: "a=b, ,d=9", fails: `" " is not key=value`},
		"only a comma":                            {in: ",", fails: `"," is not key=value`},
		"only a space":                            {in: " ", fails: `" " is not key=value`},
		"no key":                                  {in: "=b", fails: `"=b" is not key=value`},
	} {
		t.Run(name, func(t *testing.T) {
			attrs, err := parse(tc.in)
			if tc.fails != "" {
				if err == nil || err.Error() != tc.fails {
					t.Fatalf("got %v, want %s", err, tc.fails)
				}
				return
			}
			d, ok := attrs.get("d")
			if !ok {
				d = "-"
			}
			if got := attrs.with("d", "1").String(); err != nil || got != tc.with || d != tc.d {
				t.Errorf("d is %q, want %q; with d=1: %q, want %q (%v)", d, tc.d, got, tc.with, err)
			}
			all, err := StringMap(tc.in)
			if have, ok := all["d"]; err != nil || ok != (tc.d != "-") || ok && have != tc.d {
				t.Errorf("StringMap gives %q (%v)", all, err)
			}
		})
	}
}

// TestPlaces: the first place that has a key wins, and a malformed one is told with
// where it stands.
func TestPlaces(t *testing.T) {
	const annotations = `{apiVersion: v1, kind: Service, metadata: {name: s, namespace: n, annotations: {bad: nonsense, a: "x=1,y=long", b: "x=2,z=3,neg=-1"}}}`
	const list = `{apiVersion: gateway.k8s.aws/v1, kind: TargetGroupConfiguration, metadata: {name: c}, spec: {attrs: [{key: x, value: "7"}, {key: w, value: 8}]}}`
	svc, config := yaml.MustParse(annotations), yaml.MustParse(list)
	a, b, c := annotationPlace(svc, "a"), annotationPlace(svc, "b"), Place{Object: config, Path: []string{"spec", "attrs"}, List: true}
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
		"malformed, though not asked": {[]Place{annotationPlace(svc, "bad"), a}, "x", 0, false, `reading metadata.annotations.bad of Service/n/s: "nonsense" is not key=value`},
	} {
		t.Run(name, func(t *testing.T) {
			n, ok, err := Attributes{Places: tc.places}.Number(tc.key)
			if n != tc.want || ok != tc.ok || (err == nil) != (tc.fails == "") || err != nil && err.Error() != tc.fails {
				t.Errorf("got %d, %v, %v", n, ok, err)
			}
			text, ok, _ := Attributes{Places: tc.places}.Get(tc.key)
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

// FuzzAttributes: what is written reads as what was read, and setting one key
// changes no other.
func FuzzAttributes(f *testing.F) {
	for _, text := range []string{`a=b,c=d\,e`, `a=b,`, `a=b\`, `\,=\\`, "a=b,a=c", " a = b ", "a==", ","} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		attrs, err := parse(text)
		if err != nil {
			return
		}
		again, err := parse(attrs.String())
		if err != nil || again.String() != attrs.String() || len(again) != len(attrs) {
			t.Fatalf("%q -> %q -> %q (%v)", text, attrs, again, err)
		}
		set, err := parse(attrs.with(DelayAttribute, "65").String())
		if err != nil {
			t.Fatalf("%q with a delay: %v", text, err)
		}
		if v, ok := set.get(DelayAttribute); !ok || v != "65" {
			t.Fatalf("%q with a delay: %q", text, set)
		}
		for _, a := range attrs {
			was, _ := attrs.get(a.key)
			if is, ok := set.get(a.key); a.key != DelayAttribute && (!ok || is != was) {
				t.Fatalf("%q with a delay: %s was %q and is %q", text, a.key, was, is)
			}
		}
	})
}
