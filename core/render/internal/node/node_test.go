// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

func TestImageName(t *testing.T) {
	for image, want := range map[string]string{
		"web": "web", "web:1": "web", "web@sha256:aa": "web", "web:1@sha256:aa": "web", "": "",
		"r.example.com:5000/a/web": "r.example.com:5000/a/web", "r.example.com:5000/a/web:v1": "r.example.com:5000/a/web",
		"r.example.com:5000/a/web:v1@sha256:aa": "r.example.com:5000/a/web", "[::1]:5000/web:1": "[::1]:5000/web", "localhost:5000/web": "localhost:5000/web",
	} {
		if got := ImageName(image); got != want {
			t.Errorf("ImageName(%q) = %q, want %q", image, got, want)
		}
	}
}

func TestResolve(t *testing.T) {
	for name, tc := range map[string]struct {
		text     string
		replicas int
		down, up int
		fails    bool
	}{
		"a number":                       {"3", 10, 3, 3, false},
		"a number to base 8":             {"010", 10, 8, 8, false},
		"a share is to base 10":          {"010%", 10, 1, 1, false},
		"nothing":                        {"0", 10, 0, 0, false},
		"a share that is whole":          {"50%", 10, 5, 5, false},
		"a share of few pods":            {"25%", 3, 0, 1, false},
		"a share of one more":            {"25%", 4, 1, 1, false},
		"a hundredth of a pod":           {"1%", 1, 0, 1, false},
		"no share":                       {"0%", 7, 0, 0, false},
		"a share of no pods":             {"25%", 0, 0, 0, false},
		"all of them":                    {"100%", 7, 7, 7, false},
		"more than all":                  {"150%", 2, 3, 3, false},
		"less than no share":             {"-5%", 10, 0, 0, true},
		"a share that would overflow":    {"99999999999%", 10_000, 0, 0, true},
		"a word":                         {"some", 10, 0, 0, true},
		"a share with a point":           {"2.5%", 10, 0, 0, true},
		"a number in words of no length": {"", 10, 0, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			down, err1 := Resolve(tc.text, tc.replicas, false)
			up, err2 := Resolve(tc.text, tc.replicas, true)
			if (err1 != nil) != tc.fails || (err2 != nil) != tc.fails || !tc.fails && (down != tc.down || up != tc.up) {
				t.Errorf("%d (%v) and %d (%v), want %d and %d", down, err1, up, err2, tc.down, tc.up)
			}
		})
	}
}

// FuzzResolve: shares come to what Kubernetes makes of them, and what it refuses is refused.
func FuzzResolve(f *testing.F) {
	for _, seed := range []string{"25%", "0%", "100%", "+5%", "-5%", "1000001%", "007%", "%", "2.5%", "3", "-3", " 1%", "1%%", "٣%"} {
		f.Add(seed, 7)
	}
	f.Fuzz(func(t *testing.T, text string, replicas int) {
		replicas = min(max(replicas, 0), 10_000)
		down, err := Resolve(text, replicas, false)
		up, err2 := Resolve(text, replicas, true)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("%q of %d: %v down, %v up", text, replicas, err, err2)
		}
		if !strings.HasSuffix(text, "%") {
			if n, e := strconv.ParseInt(text, 0, 64); (e == nil) != (err == nil) || err == nil && (int64(down) != n || int64(up) != n) {
				t.Fatalf("%q of %d is %d and %d, %v", text, replicas, down, up, err)
			}
			return
		}
		share := intstr.FromString(text)
		for _, round := range []struct {
			up  bool
			got int
		}{{false, down}, {true, up}} {
			want, e := intstr.GetScaledValueFromIntOrPercent(&share, replicas, round.up)
			percent, _ := strconv.Atoi(strings.TrimSuffix(text, "%"))
			if refused := e != nil || percent < 0 || percent > 1_000_000; refused != (err != nil) || !refused && round.got != want {
				t.Fatalf("%q of %d is %d (%v), Kubernetes says %d (%v)", text, replicas, round.got, err, want, e)
			}
		}
	})
}

// FuzzOlder: of two versions at most one is older, and a third does not go round.
func FuzzOlder(f *testing.F) {
	f.Add("1.29", "v1.30.4-eks-1", "1.31")
	f.Add("", "1.x", "-1.2")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		if Older(a, a) || Older(a, b) && Older(b, a) || Older(a, b) && Older(b, c) && !Older(a, c) {
			t.Fatalf("%q, %q, %q are in no order", a, b, c)
		}
		if Older(a, b) && (!IsVersion(a) || !IsVersion(b)) || IsVersion(a) && IsVersion(b) && IsVersion(c) && !Older(a, b) && !Older(b, a) && Older(a, c) != Older(b, c) {
			t.Fatalf("%q and %q are the same version beside %q, or none", a, b, c)
		}
	})
}

func TestOlder(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want bool
	}{
		{"1.29", "1.30", true}, {"v1.29.9-eks-036c24b", "1.30", true}, {"1.30", "1.30", false}, {"1.30.0", "1.30", false}, {"v1.31.2", "1.30", false},
		{"1.9", "1.30", true}, {"0.99", "1.0", true}, {"2.0", "1.30", false}, {"1.30", "1.9", false},
		{"", "1.30", false}, {"new", "1.30", false}, {"1", "1.30", false}, {"1.x", "1.30", false}, {"1.29", "", false}, {"1.29+", "1.30", false},
	} {
		if got := Older(tc.a, tc.b); got != tc.want {
			t.Errorf("Older(%q, %q) = %v", tc.a, tc.b, got)
		}
	}
}

func TestPath(t *testing.T) {
	for want, path := range map[string][]string{
		"spec.replicas": {"spec", "replicas"},
		"metadata.annotations[alb.ingress.kubernetes.io/target-type]":             {"metadata", "annotations", "alb.ingress.kubernetes.io/target-type"},
		"spec.template.spec.containers[web].lifecycle.preStop.exec.command[2]":    {"spec", "template", "spec", "containers", "[name=web]", "lifecycle", "preStop", "exec", "command", "2"},
		"spec.defaultConfiguration.targetGroupAttributes[a.b=c].value":            {"spec", "defaultConfiguration", "targetGroupAttributes", "[key=a.b=c]", "value"},
		"spec.routeConfigurations[0].targetGroupProps.targetGroupAttributes[a.b]": {"spec", "routeConfigurations", "0", "targetGroupProps", "targetGroupAttributes", "[key=a.b]"},
		"": nil,
	} {
		if got := Path(path); got != want {
			t.Errorf("Path(%q) = %q, want %q", path, got, want)
		}
	}
}

const object = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, annotations: {a.b/c: "1", none: null}}
spec:
  replicas: 3 # three
  text: "3"
  nothing: null
  shared: &shared {deep: [x, y]}
  again: *shared
  containers:
  - {name: web, image: a}
  - {image: anonymous}
  - name: 2
    # the command
    command: [sh, -c, 'sleep 1'] # in a shell
`

func TestAt(t *testing.T) {
	n := yaml.MustParse(object)
	for path, want := range map[string]string{
		"spec replicas": "3", "spec text": "3", "metadata annotations a.b/c": "1", "spec containers [name=web] image": "a", "spec containers 1 image": "anonymous",
		"spec containers [name=2] command 2": "sleep 1", "spec again deep 1": "y",
		"spec nothing": "", "metadata annotations none": "", "spec absent": "", "spec replicas 0": "", "spec containers 3": "", "spec containers [name=none]": "", "spec containers -1": "", "spec containers name": "", "spec shared": "",
	} {
		if got := Str(n, strings.Fields(path)...); got != want {
			t.Errorf("Str(%s) = %q, want %q", path, got, want)
		}
	}
	if At(n, "spec", "nothing") != nil || At(nil, "spec") != nil || At(n) == nil {
		t.Error("null is a node, or nothing is, or the object is none")
	}
	if n, ok := Int(n, "spec", "replicas"); n != 3 || !ok {
		t.Errorf("Int gives %d, %v", n, ok)
	}
	if _, ok := Int(n, "spec", "containers"); ok {
		t.Error("a list is a number")
	}
	if len(Elements(n, "spec", "containers")) != 3 || Elements(n, "spec", "shared") != nil || Elements(n, "spec", "nothing") != nil {
		t.Error("Elements gives what is no list, or not all of one")
	}
	if got := fmt.Sprint(Strings(n, "metadata", "annotations")); got != "map[a.b/c:1]" || Strings(n, "spec", "text") == nil {
		t.Errorf("Strings gives %s", got)
	}
}

func TestSet(t *testing.T) {
	for name, tc := range map[string]struct {
		path  string
		value *yaml.RNode
		want  string // a line, or several, of the result
		fails string
	}{
		"a field that is there, with its comment":  {path: "spec replicas", value: Number(5), want: "  replicas: 5 # three\n"},
		"a number in place of a text":              {path: "spec text", value: Number(0), want: "  text: 0\n"},
		"a text in quotes stays in quotes":         {path: "spec text", value: Text("4"), want: "  text: \"4\"\n"},
		"a text that looks like a number":          {path: "spec replicas", value: Text("4"), want: "  replicas: \"4\" # three\n"},
		"what is null":                             {path: "spec nothing", value: Number(1), want: "  nothing: 1\n"},
		"below what is null":                       {path: "spec nothing x y", value: Number(1), want: "  nothing:\n    x:\n      y: 1\n"},
		"a mapping that is not there":              {path: "spec strategy rollingUpdate maxUnavailable", value: Number(0), want: "  strategy:\n    rollingUpdate:\n      maxUnavailable: 0\n"},
		"a key with dots":                          {path: "metadata annotations a.b/d", value: Text("true"), want: `a.b/d: "true"`},
		"an element by its name":                   {path: "spec containers [name=web] image", value: Text("b"), want: "  - {name: web, image: b}\n"},
		"an element by its place":                  {path: "spec containers 2 command 2", value: Text("sleep 9"), want: "    # the command\n    command: [sh, -c, 'sleep 9'] # in a shell\n"},
		"an element that is not there":             {path: "spec containers [name=new] image", value: Text("c"), want: "  - name: new\n    image: c\n"},
		"a list that is not there":                 {path: "spec attributes [key=a.b] value", value: Text("1"), want: "  attributes:\n  - key: a.b\n    value: \"1\"\n"},
		"null, which stays":                        {path: "spec replicas", value: Null(), want: "  replicas: null # three\n"},
		"an element by a place that is not there":  {path: "spec containers 7 image", value: Text("c"), fails: "setting spec.containers[7].image: spec.containers has no element 7"},
		"a field of a scalar":                      {path: "spec replicas x", value: Text("c"), fails: "setting spec.replicas.x: spec.replicas is neither a mapping nor a list"},
		"a list that cannot be made by its places": {path: "spec new 0", value: Text("c"), fails: "setting spec.new[0]: spec.new has no element 0"},
	} {
		t.Run(name, func(t *testing.T) {
			n := yaml.MustParse(object)
			err := Set(n, tc.value, strings.Fields(tc.path)...)
			if tc.fails != "" {
				if err == nil || err.Error() != tc.fails {
					t.Fatalf("got %v, want %s", err, tc.fails)
				}
				return
			}
			if got := n.MustString(); err != nil || !strings.Contains(got, tc.want) {
				t.Errorf("%v\n%s", err, got)
			}
		})
	}
}

func TestClear(t *testing.T) {
	n := yaml.MustParse(object)
	for _, path := range []string{"spec replicas", "spec containers [name=web] image", "spec absent x", "spec text x", "absent"} {
		if err := Clear(n, strings.Fields(path)...); err != nil || Str(n, strings.Fields(path)...) != "" {
			t.Errorf("%s: %v", path, err)
		}
	}
	if got := n.MustString(); strings.Contains(got, "replicas") || !strings.Contains(got, "- {name: web}\n") || !strings.Contains(got, `text: "3"`) {
		t.Error(got)
	}
}

func TestTemplates(t *testing.T) {
	for kind, field := range map[string]string{
		"Deployment": "spec: {template: {spec: {containers: [{image: a}], initContainers: [{image: b, restartPolicy: Always}, {image: c}]}}}",
		"Pod":        "spec: {containers: [{image: a}], initContainers: [{image: b, restartPolicy: Always}, {image: c}]}",
		"CronJob":    "spec: {jobTemplate: {spec: {template: {spec: {containers: [{image: a}], initContainers: [{image: b, restartPolicy: Always}, {image: c}]}}}}}",
	} {
		n := yaml.MustParse("kind: " + kind + "\n" + field)
		spec := At(n, TemplatePath(kind)...)
		if spec == nil || At(Template(n), "spec").YNode() != spec.YNode() {
			t.Fatalf("%s: two places for the pod", kind)
		}
		if len(Containers(spec)) != 1 || len(Sidecars(spec)) != 1 || len(AllContainers(spec)) != 3 {
			t.Errorf("%s: %d, %d and %d containers", kind, len(Containers(spec)), len(Sidecars(spec)), len(AllContainers(spec)))
		}
	}
}

func TestInt(t *testing.T) {
	for text, want := range map[string]int{"30": 30, "-1": -1, "+5": 5, "0": 0, "0144": 100, "0x1e": 30, "1_000": 1000, "089": -9, "1.5": -9, "ten": -9, "''": -9, "99999999999999999999": -9} {
		n, ok := Int(yaml.MustParse("a: "+text), "a")
		if !ok {
			n = -9
		}
		if n != want {
			t.Errorf("%s is %d, want %d", text, n, want)
		}
	}
}

func TestBlockedPorts(t *testing.T) {
	for spec, want := range map[string]string{
		"{}": "", "{hostNetwork: false}": "", "{hostNetwork: true}": "hostNetwork", "{containers: [{name: a, ports: [{containerPort: 80}]}]}": "",
		"{containers: [{name: a}, {name: b, ports: [{hostPort: 0}, {hostPort: 80}]}]}":                                      "containers[b].ports",
		"{initContainers: [{name: a, ports: [{hostPort: 80}]}, {name: b, restartPolicy: Always, ports: [{hostPort: 81}]}]}": "initContainers[b].ports",
		"{initContainers: [{name: a, ports: [{hostPort: 80}]}]}":                                                            "",
	} {
		if got, blocked := BlockedPorts(yaml.MustParse(spec)); got != want || blocked != (want != "") {
			t.Errorf("%s: %q, %v", spec, got, blocked)
		}
	}
}

func TestID(t *testing.T) {
	for text, want := range map[string]string{
		"{apiVersion: v1, kind: Service, metadata: {name: a, namespace: b}}": "Service/b/a ", "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}}": "Deployment/a apps", "{kind: A}": "A/ ",
	} {
		if n := yaml.MustParse(text); ID(n)+" "+Group(n) != want {
			t.Errorf("%s: %q", text, ID(n)+" "+Group(n))
		}
	}
}
