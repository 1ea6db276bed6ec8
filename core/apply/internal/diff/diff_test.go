// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"
)

func object(t *testing.T, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestFields(t *testing.T) {
	for name, tc := range map[string]struct {
		from, to string
		want     []string
	}{
		"nothing differs":             {"{a: 1, b: [x]}", "{a: 1, b: [x]}", nil},
		"a value":                     {"{spec: {replicas: 1}}", "{spec: {replicas: 2}}", []string{"spec.replicas: 1 -> 2"}},
		"a field comes":               {"{spec: {}}", "{spec: {paused: true}}", []string{"spec.paused: (none) -> true"}},
		"a field goes":                {"{spec: {paused: true}}", "{spec: {}}", []string{"spec.paused: true -> (none)"}},
		"a mapping comes":             {"{}", "{spec: {a: 1}}", []string{`spec: (none) -> {"a":1}`}},
		"in the order of paths":       {"{b: 1, a: 1}", "{b: 2, a: 2}", []string{"a: 1 -> 2", "b: 1 -> 2"}},
		"a key with dots":             {"{metadata: {annotations: {a.b/c: x}}}", "{metadata: {annotations: {a.b/c: z}}}", []string{`metadata.annotations[a.b/c]: "x" -> "z"`}},
		"named members, in place":     {"{c: [{name: a, image: x}, {name: b, image: x}]}", "{c: [{name: b, image: z}, {name: a, image: x}]}", []string{`c[name=b].image: "x" -> "z"`}},
		"a named member comes":        {"{c: [{name: a}]}", "{c: [{name: z}, {name: a}]}", []string{`c[name=z]: (none) -> {"name":"z"}`}},
		"the order of named ones":     {"{c: [{name: a}, {name: b}]}", "{c: [{name: b}, {name: a}]}", []string{`c: [{"name":"a"},{"name":"b"}] -> [{"name":"b"},{"name":"a"}]`}},
		"ports without names":         {"{p: [{containerPort: 80, protocol: TCP}, {containerPort: 80, protocol: UDP}]}", "{p: [{containerPort: 80, protocol: TCP, hostPort: 1}, {containerPort: 80, protocol: UDP}]}", []string{"p[containerPort=80,protocol=TCP].hostPort: (none) -> 1"}},
		"two of one name":             {"{c: [{name: a, v: 1}, {name: a, v: 2}]}", "{c: [{name: a, v: 1}, {name: a, v: 3}]}", []string{"c[1].v: 2 -> 3"}},
		"a list of words":             {"{args: [a, b]}", "{args: [a, c]}", []string{`args[1]: "b" -> "c"`}},
		"a list that grows":           {"{args: [a]}", "{args: [a, b]}", []string{`args: ["a"] -> ["a","b"]`}},
		"a list out of nothing":       {"{c: []}", "{c: [{name: a}]}", []string{`c[name=a]: (none) -> {"name":"a"}`}},
		"another type":                {"{a: [1]}", "{a: {b: 1}}", []string{`a: [1] -> {"b":1}`}},
		"kubectl's copy":              {"{metadata: {annotations: {kubectl.kubernetes.io/last-applied-configuration: secret}}}", "{metadata: {annotations: {}}}", nil},
		"kubectl's copy, and no more": {"{metadata: {annotations: {kubectl.kubernetes.io/last-applied-configuration: secret}}}", "{metadata: {name: a}}", []string{`metadata.name: (none) -> "a"`}},
		"all annotations":             {"{metadata: {annotations: {a: b, c: d}}}", "{metadata: {}}", []string{`metadata.annotations.a: "b" -> (none)`, `metadata.annotations.c: "d" -> (none)`}},
		"a long value":                {"{}", "{a: " + strings.Repeat("x", 1000) + "}", []string{`a: (none) -> "` + strings.Repeat("x", 255) + "..."}},
		"a long value of two-byte":    {"{}", "{a: x" + strings.Repeat("é", 1000) + "}", []string{`a: (none) -> "x` + strings.Repeat("é", 127) + "..."}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, f := range Fields(object(t, tc.from), object(t, tc.to), nil) {
				got = append(got, f.String())
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
		})
	}
}

// TestSecrets: of a Secret's data one sees which value changed, and not to what.
func TestSecrets(t *testing.T) {
	from := object(t, "{kind: Secret, type: Opaque, data: {a: hunter22, b: same, c: gone}}")
	to := object(t, "{kind: Secret, type: other, data: {a: hunter23, b: same, tls.crt: new}, stringData: {d: hunter24}}")
	fields := Fields(from, to, []byte("key"))
	var paths []string
	for _, f := range fields {
		paths = append(paths, f.Path)
		for _, v := range []string{f.From, f.To} {
			if f.Path != "type" && v != "" && (!strings.HasPrefix(v, "hash:") || len(v) != 21) || strings.Contains(v, "hunter") {
				t.Errorf("%s shows %q", f.Path, v)
			}
		}
	}
	if want := []string{"data.a", "data.c", "data[tls.crt]", "stringData.d", "type"}; !slices.Equal(paths, want) {
		t.Errorf("paths %v, want %v", paths, want)
	}
	if fields[0].From == fields[0].To {
		t.Error("both values have one hash")
	}
	if again := Fields(from, to, []byte("key")); !reflect.DeepEqual(again, fields) {
		t.Error("one key gives two hashes")
	}
	if other := Fields(from, to, []byte("other")); other[0].From == fields[0].From {
		t.Error("two keys give one hash")
	}
	whole := Fields(object(t, "{kind: Secret}"), object(t, "{kind: Secret, data: {a: hunter22}}"), []byte("key"))
	if len(whole) != 1 || whole[0].Path != "data.a" || whole[0].To != fields[0].From {
		t.Errorf("data that comes as a whole: %v", whole)
	}
}

// TestFieldsMissNothing: there is a field if and only if two objects differ.
func TestFieldsMissNothing(t *testing.T) {
	value := rapid.Deferred(func() *rapid.Generator[any] { return values(3) })
	rapid.Check(t, func(rt *rapid.T) {
		from := map[string]any{"x": value.Draw(rt, "from")}
		to := map[string]any{"x": value.Draw(rt, "to")}
		a, err := json.Marshal(from)
		if err != nil {
			rt.Fatal(err)
		}
		b, err := json.Marshal(to)
		if err != nil {
			rt.Fatal(err)
		}
		fields := Fields(from, to, nil)
		if (len(fields) == 0) != (string(a) == string(b)) {
			rt.Errorf("%s and %s differ in %v", a, b, fields)
		}
		if back := Fields(to, from, nil); len(back) != len(fields) {
			rt.Errorf("%v there, %v back", fields, back)
		}
	})
}

func values(depth int) *rapid.Generator[any] {
	leaf := rapid.OneOf(rapid.Just[any]("a"), rapid.Just[any]("b"), rapid.Just[any](int64(1)), rapid.Just[any](true))
	if depth == 0 {
		return leaf
	}
	inner := values(depth - 1)
	return rapid.OneOf(leaf,
		rapid.Map(rapid.MapOfN(rapid.SampledFrom([]string{"name", "key", "v", "a.b"}), inner, 1, 3), func(m map[string]any) any { return m }),
		rapid.Map(rapid.SliceOfN(inner, 1, 3), func(l []any) any { return l }),
		rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]string{"p", "q", "r"}), 1, 3), func(names []string) any {
			var l []any
			for i, n := range names {
				l = append(l, map[string]any{"name": n, "v": fmt.Sprint(i)})
			}
			return l
		}))
}
