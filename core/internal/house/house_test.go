// SPDX-License-Identifier: Apache-2.0

package house

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// rules of the house, by name.
var rules = map[string]func([]source) []string{
	"stages meet only in package core":        star,
	"one SDK, one home":                       oneHome,
	"the world is an argument":                worldIsAnArgument,
	"no package state":                        noPackageState,
	"partitions come from the SDK":            partitions,
	"functions, files and packages are small": sizes,
}

// moduleRoot is the product's root, from this package's folder.
const moduleRoot = "../../.."

func TestHouse(t *testing.T) {
	all, err := load(os.DirFS(moduleRoot), "core")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("only %d files read below core: a rule on nothing proves nothing", len(all))
	}
	for name, rule := range rules {
		t.Run(name, func(t *testing.T) {
			bad := rule(all)
			slices.Sort(bad)
			for _, b := range bad {
				t.Error(b)
			}
		})
	}
}

// TestRulesComplain shows each rule code that breaks it, and code that is fine.
func TestRulesComplain(t *testing.T) {
	long := "package p\nfunc f() {\n" + strings.Repeat("\t_ = 0\n", maxFunction) + "}\n"
	for name, tc := range map[string]struct {
		rule func([]source) []string
		path string
		code string
		want string // part of the one complaint; empty: none
	}{
		"a stage imports a stage":             {star, "core/gate/x.go", `package gate; import _ "github.com/outlast-ci/outlast/core/apply"`, "stage gate imports stage apply"},
		"a stage imports events":              {star, "core/gate/x.go", `package gate; import _ "github.com/outlast-ci/outlast/core/event"`, ""},
		"core imports two stages":             {star, "core/pipeline.go", `package core; import (_ "github.com/outlast-ci/outlast/core/apply"; _ "github.com/outlast-ci/outlast/core/gate")`, ""},
		"an adapter knows two stages":         {star, "core/internal/aws/x.go", `package aws; import (_ "github.com/outlast-ci/outlast/core/apply"; _ "github.com/outlast-ci/outlast/core/gate")`, "knows 2 stages"},
		"drain imports a module":              {star, "core/drain/x.go", `package drain; import _ "example.com/x"`, "only the standard library"},
		"client-go outside kube":              {oneHome, "core/gate/x.go", `package gate; import _ "k8s.io/client-go/rest"`, "whose home is [internal/kube]"},
		"client-go at home":                   {oneHome, "core/internal/kube/x.go", `package kube; import _ "k8s.io/client-go/rest"`, ""},
		"kustomize in push":                   {oneHome, "core/push/x.go", `package push; import _ "sigs.k8s.io/kustomize/api/krusty"`, "whose home is [render]"},
		"BuildKit's client anywhere":          {oneHome, "core/build/x.go", `package build; import _ "github.com/moby/buildkit/client"`, "whose home is []"},
		"the lab in the product":              {oneHome, "core/gate/x.go", `package gate; import _ "github.com/outlast-ci/outlast/lab/internal/alb"`, "whose home is []"},
		"reading the environment":             {worldIsAnArgument, "core/push/x.go", `package push; import "os"; func f() string { return os.Getenv("X") }`, "os.Getenv"},
		"a local variable called os":          {worldIsAnArgument, "core/push/x.go", `package push; func f(os struct{ Args []string }) []string { return os.Args }`, ""},
		"exit in the command line":            {worldIsAnArgument, "core/internal/cli/x.go", `package cli; import "os"; func f() { os.Exit(1) }`, "os.Exit"},
		"exit in main":                        {worldIsAnArgument, "core/cmd/outlast/main.go", `package main; import "os"; func main() { os.Exit(1) }`, ""},
		"printing":                            {worldIsAnArgument, "core/gate/x.go", `package gate; import "fmt"; func f() { fmt.Println() }`, "fmt.Println"},
		"formatting is fine":                  {worldIsAnArgument, "core/gate/x.go", `package gate; import "fmt"; func f() string { return fmt.Sprint() }`, ""},
		"an init function":                    {worldIsAnArgument, "core/gate/x.go", `package gate; func init() {}`, "init function"},
		"a package lock":                      {noPackageState, "core/gate/x.go", `package gate; import "sync"; var mu sync.Mutex`, "holds state"},
		"a package map that is made":          {noPackageState, "core/gate/x.go", `package gate; var m = make(map[string]int)`, "holds state"},
		"a table":                             {noPackageState, "core/gate/x.go", `package gate; var m = map[string]int{"a": 1}`, ""},
		"writing to a table":                  {noPackageState, "core/gate/x.go", `package gate; var m = map[string]int{}; func f() { m["a"] = 1 }`, "assigns to package variable m"},
		"writing to a local of the same name": {noPackageState, "core/gate/x.go", `package gate; var m = map[string]int{}; func f() { m := map[string]int{}; m["a"] = 1 }`, ""},
		"an ARN by string":                    {partitions, "core/gate/x.go", "package gate; const x = `arn:aws:iam::1:role/x`", "take it from the SDK's answer"},
		"a long function":                     {sizes, "core/gate/x.go", long, "function f has 62 lines"},
		"a long file":                         {sizes, "core/gate/x.go", "package p\n" + strings.Repeat("\n", maxFile), "401 lines"},
		"a wide interface":                    {sizes, "core/gate/x.go", `package p; type I interface { A(); B(); C(); D() }`, "interface of 4 methods"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := parse(tc.path, []byte(tc.code))
			if err != nil {
				t.Fatal(err)
			}
			got := tc.rule([]source{s})
			switch {
			case tc.want == "" && len(got) > 0:
				t.Errorf("complaints about fine code: %q", got)
			case tc.want != "" && (len(got) != 1 || !strings.Contains(got[0], tc.want)):
				t.Errorf("complaints %q, want one with %q", got, tc.want)
			}
		})
	}
}

// TestModules: what is not in go.mod cannot be linked.
func TestModules(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(moduleRoot, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if bad := forbiddenModules(string(text)); len(bad) > 0 {
		t.Errorf("go.mod names %v", bad)
	}
	if bad := forbiddenModules("require (\n\tk8s.io/kubernetes v1.37.2 // indirect\n\tgithub.com/moby/buildkit v0.34.2\n)"); len(bad) != 2 {
		t.Errorf("a go.mod with two forbidden modules gave %v", bad)
	}
}

func forbiddenModules(gomod string) (bad []string) {
	for line := range strings.Lines(gomod) {
		fields := strings.Fields(strings.TrimPrefix(line, "require "))
		if len(fields) < 2 {
			continue
		}
		for _, forbidden := range []string{"k8s.io/kubernetes", "github.com/moby/buildkit", modulePath + "/lab"} {
			if fields[0] == forbidden {
				bad = append(bad, forbidden)
			}
		}
	}
	return bad
}

// TestWrappers: the five folders stand at the top, each with a README.
func TestWrappers(t *testing.T) {
	for _, dir := range []string{"actions", "circleci-orb", "codebuild", "jenkins", "gitlab"} {
		if text, err := os.ReadFile(filepath.Join(moduleRoot, dir, "README.md")); err != nil || len(text) == 0 {
			t.Errorf("%s: no README.md (%v)", dir, err)
		}
	}
}
