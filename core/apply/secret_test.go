// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"encoding/base64"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const texts = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: dev}\nstringData: "

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func dataOf(s *server) map[string]string {
	data, _, _ := unstructured.NestedStringMap(s.objects["v1 Secret dev/s"].Object, "data")
	return data
}

// TestStringData: what a Secret says as stringData is owned and judged as the data
// that it becomes.
func TestStringData(t *testing.T) {
	apply := func(t *testing.T, s *server, text string) Change {
		t.Helper()
		rollout, err := Apply(t.Context(), s, []byte(text), Options{})
		if err != nil {
			t.Fatal(err)
		}
		return rollout.Changes[0]
	}
	t.Run("it wins over data, and the second time nothing is asked", func(t *testing.T) {
		s := newServer(t, "")
		text := texts + "{a: alpha, b: beta}\ndata: {b: b2xk, c: Yw==}\n"
		apply(t, s, text)
		if want := map[string]string{"a": encoded("alpha"), "b": encoded("beta"), "c": "Yw=="}; !reflect.DeepEqual(dataOf(s), want) {
			t.Errorf("data is %v, not %v", dataOf(s), want)
		}
		s.dry = nil
		if c := apply(t, s, text); c.Action != Unchanged || len(s.dry) > 0 {
			t.Errorf("%v, asked %v", c, s.dry)
		}
	})
	t.Run("a hand edit is a conflict, in the plan, the check and the apply, and no value is told", func(t *testing.T) {
		s := newServer(t, "")
		apply(t, s, texts+"{a: alpha, b: beta}\n")
		s.change(t, "v1 Secret dev/s", "kubectl-patch", func(live *unstructured.Unstructured) {
			live.Object["data"].(map[string]any)["a"] = encoded("by hand")
		})
		for verb, do := range verbs(t, s, texts+"{a: alpha, b: beta}\n") {
			if err := do(); err == nil || !strings.Contains(err.Error(), `conflict with "kubectl-patch"`) || strings.Contains(err.Error(), "alpha") || strings.Contains(err.Error(), encoded("by hand")) {
				t.Errorf("%s: %v", verb, err)
			}
		}
		if dataOf(s)["a"] != encoded("by hand") {
			t.Error("the hand edit is overwritten")
		}
	})
	t.Run("a key that is dropped goes, and is told by its path and hash", func(t *testing.T) {
		s := newServer(t, "")
		apply(t, s, texts+"{a: alpha, b: beta}\n")
		c := apply(t, s, texts+"{b: gamma}\n")
		if want := map[string]string{"b": encoded("gamma")}; !reflect.DeepEqual(dataOf(s), want) {
			t.Errorf("data is %v", dataOf(s))
		}
		if len(c.Fields) != 2 || c.Fields[0].Path != "data.a" || c.Fields[1].Path != "data.b" || !strings.HasPrefix(c.Fields[1].To, "hash:") {
			t.Errorf("told %v", c.Fields)
		}
	})
	t.Run("adoption takes nothing away", func(t *testing.T) {
		s := newServer(t, "")
		s.created(t, "kubectl-client-side-apply", "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: dev}\ndata: {a: "+encoded("alpha")+"}\n")
		if c := apply(t, s, texts+"{a: alpha}\n"); c.Action != Adopted || len(c.Fields)+len(c.Lost) > 0 {
			t.Errorf("%+v", c)
		}
	})
	t.Run("what the server refuses is for it to say", func(t *testing.T) {
		s := newServer(t, "")
		apply(t, s, texts+"{a: 1}\n")
		if got := s.objects["v1 Secret dev/s"].Object["stringData"]; got == nil {
			t.Error("the server was not asked")
		}
	})
}

// TestStringDataOfEarlierVersions: they left the data to nobody, and own the stringData
// that no object has.
func TestStringDataOfEarlierVersions(t *testing.T) {
	s := newServer(t, "")
	old := objectsOf(t, texts+"{a: alpha}\n")[0]
	if _, err := s.apply(old, false, false); err != nil {
		t.Fatal(err)
	}
	live := s.objects["v1 Secret dev/s"]
	delete(live.Object, "stringData")
	live.Object["data"] = map[string]any{"a": encoded("alpha")}
	for i, want := range []Action{Configured, Unchanged} {
		rollout, err := Apply(t.Context(), s, []byte(texts+"{a: alpha}\n"), Options{})
		if err != nil || rollout.Changes[0].Action != want || len(rollout.Changes[0].Fields) > 0 {
			t.Fatalf("time %d: %+v, %v", i+1, rollout.Changes, err)
		}
	}
	var owned []string
	for _, f := range s.objects["v1 Secret dev/s"].GetManagedFields() {
		owned = append(owned, f.FieldsV1.GetRawString())
	}
	if !slices.Equal(owned, []string{`{"f:data":{".":{},"f:a":{}}}`}) {
		t.Errorf("owned are %v", owned)
	}
}

// verbs are all that look at manifests.
func verbs(t *testing.T, s *server, text string) map[string]func() error {
	return map[string]func() error{
		"check": func() error { return Check(t.Context(), s, []byte(text), Options{}) },
		"diff":  func() error { _, err := Diff(t.Context(), s, []byte(text), Options{}); return err },
		"apply": func() error { _, err := Apply(t.Context(), s, []byte(text), Options{}); return err },
	}
}
