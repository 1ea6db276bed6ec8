// SPDX-License-Identifier: Apache-2.0

package problem

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/node"
)

func object(annotations string) *yaml.RNode {
	return yaml.MustParse("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop, annotations: {" + annotations + "}}\nspec: {replicas: 3}\n")
}

// told is what a list says, a line a problem.
func told(l *List) string {
	var lines []string
	for _, p := range l.All {
		line := fmt.Sprintf("%s %s %s %s", p.Severity, p.Rule, p.Object, p.Field)
		if p.Edit != nil {
			line += " -> " + p.Edit.To
		}
		if p.Suppressed != "" {
			line += " (" + p.Suppressed + ")"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func TestSettle(t *testing.T) {
	set := func(field, to string, weight int64) Edit {
		return Edit{Path: []string{"spec", field}, Value: node.Text(to), To: to, Weight: weight}
	}
	for name, tc := range map[string]struct {
		annotations string
		add         func(l *List, n *yaml.RNode)
		want        string
	}{
		"what was found twice is told once": {"", func(l *List, n *yaml.RNode) {
			l.Find("OL031", n, "spec.replicas", "m", "f")
			l.Find("OL031", n, "spec.replicas", "m", "f")
		}, "warning OL031 Deployment/shop/web spec.replicas"},
		"another message, or another field, is another problem": {"", func(l *List, n *yaml.RNode) {
			l.Find("OL031", n, "spec.replicas", "m", "f")
			l.Find("OL031", n, "spec.replicas", "other", "f")
			l.Find("OL031", n, "spec", "m", "f")
		}, "warning OL031 Deployment/shop/web spec.replicas\nwarning OL031 Deployment/shop/web spec.replicas\nwarning OL031 Deployment/shop/web spec"},
		"of two edits of one place the heavier stays": {"", func(l *List, n *yaml.RNode) {
			l.Edit("OL002", n, "short", set("a", "65", 65))
			l.Edit("OL002", n, "shorter", set("a", "125", 125))
			l.Edit("OL002", n, "light", set("a", "35", 35))
		}, "error OL002 Deployment/shop/web spec.a -> 125"},
		"edits of two places stay both": {"", func(l *List, n *yaml.RNode) {
			l.Edit("OL002", n, "m", set("a", "65", 65))
			l.Edit("OL002", n, "m", set("b", "65", 65))
		}, "error OL002 Deployment/shop/web spec.a -> 65\nerror OL002 Deployment/shop/web spec.b -> 65"},
		"an edit and a finding of one place stay both": {"", func(l *List, n *yaml.RNode) {
			l.Find("OL001", n, "spec.a", "m", "f")
			l.Edit("OL001", n, "m", set("a", "65", 65))
		}, "error OL001 Deployment/shop/web spec.a\nerror OL001 Deployment/shop/web spec.a -> 65"},
		"a reason suppresses, and there is no edit any more": {`outlast/ignore.OL010: " one node only "`, func(l *List, n *yaml.RNode) {
			l.Edit("OL010", n, "m", set("a", "0", 0))
			l.Find("OL031", n, "spec.replicas", "m", "f")
		}, "error OL010 Deployment/shop/web spec.a (one node only)\nwarning OL031 Deployment/shop/web spec.replicas"},
		"an annotation without a reason suppresses nothing": {`outlast/ignore.OL010: " "`, func(l *List, n *yaml.RNode) {
			l.Edit("OL010", n, "m", set("a", "0", 0))
		}, "error OL010 Deployment/shop/web spec.a -> 0\nwarning OL043 Deployment/shop/web metadata.annotations[outlast/ignore.OL010]"},
		"rules that nobody knows, in order": {`outlast/ignore.OL999: x, outlast/ignore.pre-stop-too-short: x, outlast/ignore.: x, outlast/ignored: x`, func(l *List, n *yaml.RNode) {},
			"warning OL043 Deployment/shop/web metadata.annotations[outlast/ignore.]\nwarning OL043 Deployment/shop/web metadata.annotations[outlast/ignore.OL999]\nwarning OL043 Deployment/shop/web metadata.annotations[outlast/ignore.pre-stop-too-short]"},
		"objects of one name in two API groups are two": {"", func(l *List, n *yaml.RNode) {
			other := yaml.MustParse(strings.Replace(n.MustString(), "apps/v1", "example.com/v1", 1))
			l.Edit("OL002", n, "m", set("a", "65", 65))
			l.Edit("OL002", other, "m", set("a", "125", 125))
			l.Find("OL031", n, "spec", "m", "f")
			l.Find("OL031", other, "spec", "m", "f")
		}, "error OL002 Deployment/shop/web spec.a -> 65\nerror OL002 Deployment/shop/web spec.a -> 125\nwarning OL031 Deployment/shop/web spec\nwarning OL031 Deployment/shop/web spec"},
		"the annotation of another object counts for nothing": {"", func(l *List, n *yaml.RNode) {
			l.Find("OL031", object("outlast/ignore.OL010: x"), "spec.replicas", "m", "f")
		}, "warning OL031 Deployment/shop/web spec.replicas"},
	} {
		t.Run(name, func(t *testing.T) {
			n := object(tc.annotations)
			l := &List{}
			tc.add(l, n)
			l.Settle([]*yaml.RNode{n})
			if got := told(l); got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

func TestEdit(t *testing.T) {
	l := &List{}
	n := object("")
	if p := l.Edit("OL032", n, "owned", Edit{Path: []string{"spec", "replicas"}, From: "3"}); p.Fix != "leave the field out" || p.Edit.Object != n || p.Edit.Why != "owned" || p.Inequality != "" {
		t.Errorf("got %+v", p)
	}
	if p := l.Edit("OL001", n, "short", Edit{Path: []string{"spec", "command", "2"}, Value: node.Text("x"), To: "x", Why: "because"}); p.Fix != "set command to x" || p.Edit.Why != "because" || p.Inequality != "F1" {
		t.Errorf("got %+v", p)
	}
	if err := l.All[0].Edit.Apply(); err != nil || node.At(n, "spec", "replicas") != nil {
		t.Errorf("the field is still there (%v)", err)
	}
	value := node.Map("a", node.Text("b"))
	e := Edit{Object: n, Path: []string{"spec", "x"}, Value: value}
	if err := e.Apply(); err != nil {
		t.Fatal(err)
	}
	if err := node.Set(n, node.Text("c"), "spec", "x", "a"); err != nil || node.Str(value, "a") != "b" {
		t.Errorf("a change of the object has changed the edit (%v)", err)
	}
}

// TestTable: ids go up by one, names are slugs of their own, and those of the
// inequalities name them.
func TestTable(t *testing.T) {
	var names []string
	for i, r := range Table {
		if r.ID != fmt.Sprintf("OL%03d", i) {
			t.Errorf("rule %d is %s", i, r.ID)
		}
		if strings.Trim(r.Name, "abcdefghijklmnopqrstuvwxyz-") != "" || slices.Contains(names, r.Name) || r.Summary == "" {
			t.Errorf("%s is called %q: %q", r.ID, r.Name, r.Summary)
		}
		names = append(names, r.Name)
		want := ""
		if i == 0 {
			want = "strict"
		} else if i <= 20 {
			want = fmt.Sprintf("F%d", i)
		}
		if got := inequality(r.ID); got != want {
			t.Errorf("%s is %q, want %q", r.ID, got, want)
		}
		if got := severityOf(r.ID); got != r.Severity || got != drain.Error && got != drain.Warning && got != drain.Info {
			t.Errorf("%s is %q", r.ID, got)
		}
	}
}

// TestEditWant: readers of machines get the number that cures, too.
func TestEditWant(t *testing.T) {
	l := &List{}
	l.Edit("OL004", object(""), "short", Edit{Path: []string{"spec", "a"}, Value: node.Text("100"), To: "100", Weight: 100})
	if got := l.All[0].Want; got != 100 {
		t.Errorf("want %d, not 100", got)
	}
}
