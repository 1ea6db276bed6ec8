// SPDX-License-Identifier: Apache-2.0

package source

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
)

func TestParsePath(t *testing.T) {
	for text, want := range map[string]string{
		"spec.template.spec.containers[web].lifecycle.preStop.sleep.seconds": "spec template spec containers [web] lifecycle preStop sleep seconds",
		"metadata.annotations[alb.ingress.kubernetes.io/target-group]":       "metadata annotations [alb.ingress.kubernetes.io/target-group]",
		`data["a]b"].c`:         "data [a]b] c",
		"spec.ports[port=80]":   "spec ports [port=80]",
		"a[0][1]":               "a [0] [1]",
		"":                      `reading the path "": "" is no key; write a key with other signs in brackets`,
		"a..b":                  `reading the path "a..b": "" is no key; write a key with other signs in brackets`,
		"a.":                    `reading the path "a.": "" is no key; write a key with other signs in brackets`,
		"a[b":                   `reading the path "a[b": the bracket at "[b" holds nothing or does not end`,
		"a[]":                   `reading the path "a[]": the bracket at "[]" holds nothing or does not end`,
		`a["b"c]`:               `reading the path "a[\"b\"c]": the bracket at "[\"b\"c]" holds nothing or does not end`,
		"a[b]c":                 `reading the path "a[b]c": want . or [ before "c"`,
		"deregistration delay":  `reading the path "deregistration delay": "deregistration delay" is no key; write a key with other signs in brackets`,
		"metadata.labels[a b].": `reading the path "metadata.labels[a b].": "" is no key; write a key with other signs in brackets`,
	} {
		t.Run(text, func(t *testing.T) {
			p, err := ParsePath(text)
			var got []string
			for _, s := range p {
				if s.Bracket {
					s.Key = "[" + s.Key + "]"
				}
				got = append(got, s.Key)
			}
			if err != nil {
				got = []string{err.Error()}
			} else if p.String() != text {
				t.Errorf("prints as %q", p)
			}
			if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPathsReadAsTheyPrint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		step := rapid.Custom(func(t *rapid.T) Step {
			return Step{rapid.OneOf(rapid.String(), rapid.SampledFrom(keys), rapid.StringMatching("[]a\\[\"'`\\\\.]*")).Draw(t, "key"), rapid.Bool().Draw(t, "bracket")}
		})
		p := Path(rapid.SliceOfN(step, 1, 5).Draw(t, "path"))
		got, err := ParsePath(p.String())
		if err != nil {
			t.Fatal(err)
		}
		for i := range p { // what cannot stand alone gets a bracket
			p[i].Bracket = p[i].Bracket || !bare(p[i].Key)
		}
		if !reflect.DeepEqual(got, p) {
			t.Fatalf("%q reads as %v", p, got)
		}
	})
}

const shop = `# the shop
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, labels: {app: &app web}}
---
# nothing
---
apiVersion: v1
kind: List
items:
- kind: Deployment
  metadata:
    name: web
    annotations: &notes
      example.com/a.b: c
  spec:
    template:
      spec:
        containers:
        - name: side
        - image: web
          name: web
          lifecycle:
            preStop: {exec: {}}
        - <<: &defaults
            image: x
          name: last
- nothing
- {kind: Ingress, metadata: {name: *app, annotations: *notes}, spec: ~}
---
- kind: Deployment # of no object
--- {}
`

func TestDocuments(t *testing.T) {
	docs, err := Documents([]byte(shop))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range docs {
		got = append(got, fmt.Sprintf("%d/%d %s %s %s/%s line %d", d.Index, d.Item, d.APIVersion, d.Kind, d.Namespace, d.Name, d.Line))
	}
	if diff := cmp.Diff([]string{
		"0/0 v1 Service shop/web line 2",
		"2/1  Deployment /web line 11",
		"2/3  Ingress /web line 29",
		"4/0   / line 32",
	}, got); diff != "" {
		t.Error(diff)
	}
	for text, want := range map[string]string{
		"a: [":       "yaml: line 1: did not find expected node content",
		"\xff\xfea:": "the file is UTF-16; save it as UTF-8",
		"a: \xff":    "yaml: invalid leading UTF-8 octet",
	} {
		if docs, err := Documents([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q gives %v, %v", text, docs, err)
		}
	}
	for _, text := range []string{"", "# nothing\n", "---\n---\n", "a"} {
		if docs, err := Documents([]byte(text)); err != nil || len(docs) > 0 {
			t.Errorf("%q gives %v, %v", text, docs, err)
		}
	}
}

func TestLocate(t *testing.T) {
	docs, err := Documents([]byte(shop))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		doc        int
		path, want string
	}{
		{0, "metadata.name", "4:12 true"},
		{0, "metadata.labels[app]", "4:49 true"},
		{0, "metadata.labels.app", "4:49 true"},
		{0, "spec.ports[http]", "2:1 false"},
		{1, "spec.template.spec.containers[web]", "21:11 true"},
		{1, "spec.template.spec.containers[web].lifecycle.preStop.exec", "24:23 true"},
		{1, "spec.template.spec.containers[web].lifecycle.preStop.sleep.seconds", "24:13 false"},
		{1, "spec.template.spec.containers[side].lifecycle.preStop", "20:11 false"},
		{1, "spec.template.spec.containers[api].lifecycle.preStop", "19:9 false"},
		{1, "spec.template.spec.containers[2].image", "26:13 true"}, // brought in
		{1, "spec.template.spec.containers[name=web]", "21:11 true"},
		{1, "spec.template.spec.containers[port=]", "19:9 false"},
		{1, "spec.template.spec.containers.web", "19:9 false"},
		{1, "spec.template.spec.terminationGracePeriodSeconds", "18:7 false"},
		{1, "metadata.annotations[example.com/a.b]", "15:7 true"},
		{2, "metadata.annotations[example.com/a.b]", "15:7 true"}, // by the alias
		{2, "metadata.annotations", "29:42 true"},
		{2, "spec.rules[0].host", "29:64 false"},
	} {
		t.Run(tc.path, func(t *testing.T) {
			line, column, exact := Locate(docs[tc.doc], path(t, tc.path))
			if got := fmt.Sprintf("%d:%d %v", line, column, exact); got != tc.want {
				t.Errorf("%s is at %s, want %s", tc.path, got, tc.want)
			}
		})
	}
	loop, err := Documents([]byte("a: &a {<<: *a}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if line, column, exact := Locate(loop[0], Path{{Key: "a"}, {Key: "b"}}); line != 1 || column != 1 || exact {
		t.Errorf("a merge of itself gives %d:%d %v", line, column, exact)
	}
}

func TestSetRefusesWhatIsNoValueOrNoPlace(t *testing.T) {
	for want, f := range map[string]func() ([]byte, error){
		"setting : the path is empty":                                               func() ([]byte, error) { return Set([]byte("a: b"), Document{}, nil, 1) },
		"deleting : the path is empty":                                              func() ([]byte, error) { return Delete([]byte("a: b"), Document{}, nil) },
		"setting a: the file has 1 documents, none of index 1":                      func() ([]byte, error) { return Set([]byte("a: b"), Document{Index: 1}, Path{{Key: "a"}}, 1) },
		"setting a: line 1: no object is here":                                      func() ([]byte, error) { return Set([]byte("[]"), Document{}, Path{{Key: "a"}}, 1) },
		"setting a: document 0 is no List with an item 1":                           func() ([]byte, error) { return Set([]byte("a: b"), Document{Item: 1}, Path{{Key: "a"}}, 1) },
		"setting a: the value: it cannot be written: cannot marshal type: chan int": func() ([]byte, error) { return Set([]byte("a: b"), Document{}, Path{{Key: "a"}}, make(chan int)) },
		"setting a: the value: a node of kind 16 cannot be written; give a scalar, mapping or list": func() ([]byte, error) {
			return Set([]byte("a: b"), Document{}, Path{{Key: "a"}}, &yaml.Node{Kind: yaml.AliasNode, Value: "x"})
		},
		`setting a: the value has the key "b" twice`: func() ([]byte, error) {
			key, value := &yaml.Node{Kind: yaml.ScalarNode, Value: "b"}, &yaml.Node{}
			return Set([]byte("a: b"), Document{}, Path{{Key: "a"}}, &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{key, value, key, value}})
		},
		"setting a: the value: it is a node that is nil": func() ([]byte, error) {
			return Set([]byte("a: b"), Document{}, Path{{Key: "a"}}, (*yaml.Node)(nil))
		},
		"setting a.b: line 1: a is no mapping, so it has no b": func() ([]byte, error) { return Set([]byte("a: b"), Document{}, Path{{Key: "a"}, {Key: "b"}}, 1) },
		"setting a[0].b: line 1: a has no list with an element 0; add it by hand": func() ([]byte, error) {
			return Set([]byte("a:"), Document{}, Path{{Key: "a"}, {"0", true}, {Key: "b"}}, 1)
		},
	} {
		if out, err := f(); err == nil || err.Error() != want {
			t.Errorf("%q, %v, want %s", out, err, want)
		}
	}
}
