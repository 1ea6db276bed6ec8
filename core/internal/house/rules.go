// SPDX-License-Identifier: Apache-2.0

package house

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// stages never import one another: only files of package core know two.
var stages = []string{"build", "push", "render", "apply", "gate"}

// homes says where an SDK may be imported: its import path, and the packages
// below core that may use it. An empty list means nowhere.
var homes = map[string][]string{
	"github.com/moby/buildkit":                                    {},
	"github.com/docker/buildx":                                    {},
	"github.com/docker/docker":                                    {},
	"k8s.io/kubernetes":                                           {},
	modulePath + "/lab":                                           {},
	"github.com/google/go-containerregistry":                      {"push"},
	"github.com/aws/aws-sdk-go-v2/service/ecr":                    {"push"},
	"github.com/aws/aws-sdk-go-v2/config":                         {"internal/aws"},
	"github.com/aws/aws-sdk-go-v2/credentials":                    {"internal/aws"},
	"github.com/aws/aws-sdk-go-v2/service/sts":                    {"internal/aws"},
	"github.com/aws/aws-sdk-go-v2/service/eks":                    {"internal/aws"},
	"github.com/aws/aws-sdk-go-v2/service/s3":                     {"internal/aws"},
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch":             {"internal/aws"},
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2": {"internal/aws"},
	"sigs.k8s.io/kustomize":                                       {"render"},
	"k8s.io/client-go":                                            {"internal/kube"},
	"github.com/sethvargo/go-githubactions":                       {"internal/ci"},
	"github.com/xanzy/go-gitlab":                                  {"internal/ci"},
	"github.com/spf13/cobra":                                      {"internal/cli"},
}

// star: stages meet only in package core, drain imports the standard library
// only, and the adapters know at most the one stage whose types they fill.
func star(all []source) (bad []string) {
	for _, s := range all {
		rel, ok := s.inCore()
		if !ok {
			continue
		}
		from, _, _ := strings.Cut(rel, "/")
		known := map[string]bool{}
		for _, imp := range s.imports() {
			to, ok := strings.CutPrefix(imp+"/", modulePath+"/core/")
			if !ok {
				if from == "drain" && strings.Contains(strings.Split(imp, "/")[0], ".") && !s.Test {
					bad = append(bad, s.Path+": drain imports "+imp+", but only the standard library is allowed")
				}
				continue
			}
			to, _, _ = strings.Cut(to, "/")
			if slices.Contains(stages, to) {
				known[to] = true
			}
			if slices.Contains(stages, from) && slices.Contains(stages, to) && from != to {
				bad = append(bad, s.Path+": stage "+from+" imports stage "+to)
			}
			if from == "drain" && to != "drain" {
				bad = append(bad, s.Path+": drain imports "+imp)
			}
		}
		if core := rel == ""; !core && from == "internal" && !strings.HasPrefix(rel, "internal/cli/") && len(known) > 1 {
			bad = append(bad, fmt.Sprintf("%s: knows %d stages; only package core and the command line that wires it may", s.Path, len(known)))
		}
	}
	return bad
}

// oneHome: each SDK is imported in its home and nowhere else; tests may use it
// to stand on the other side of the wire.
func oneHome(all []source) (bad []string) {
	for _, s := range all {
		rel, ok := s.inCore()
		if !ok || s.Test {
			continue
		}
		for _, imp := range s.imports() {
			for sdk, allowed := range homes {
				if within(imp, sdk) && !slices.ContainsFunc(allowed, func(home string) bool { return within(strings.TrimSuffix(rel, "/"), home) }) {
					bad = append(bad, fmt.Sprintf("%s: imports %s, whose home is %v", s.Path, imp, allowed))
				}
			}
		}
	}
	return bad
}

// process lists what touches the process, by package and name.
var process = map[string][]string{
	"os":  {"Getenv", "LookupEnv", "Environ", "Setenv", "Unsetenv", "ExpandEnv", "Exit", "Args", "Stdin", "Stdout", "Stderr", "Getwd", "Chdir"},
	"fmt": {"Print", "Printf", "Println"},
	"log": nil, // all of it
}

// worldIsAnArgument: below cmd no environment, exit, print, log or init.
func worldIsAnArgument(all []source) (bad []string) {
	for _, s := range all {
		rel, ok := s.inCore()
		if !ok || s.Test || strings.HasPrefix(rel, "cmd/") {
			continue
		}
		ast.Inspect(s.File, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil && n.Name.Name == "init" {
					bad = append(bad, s.at(n)+": init function")
				}
			case *ast.SelectorExpr:
				pkg, ok := n.X.(*ast.Ident)
				if !ok || pkg.Obj != nil { // Obj: a local variable of that name
					return true
				}
				names, listed := process[pkg.Name]
				if listed && (names == nil || slices.Contains(names, n.Sel.Name)) {
					bad = append(bad, fmt.Sprintf("%s: %s.%s: the world is an argument", s.at(n), pkg.Name, n.Sel.Name))
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.Ident); ok && f.Obj == nil && (f.Name == "print" || f.Name == "println") {
					bad = append(bad, s.at(n)+": "+f.Name)
				}
			}
			return true
		})
	}
	return bad
}

// state lists package variables that are allowed although they hold state.
var state = map[string]string{
	"render/internal/tree.kustomizeMu": "kustomize keeps a process-global OpenAPI schema (fluxcd/pkg#1237): builds take turns",
}

// noPackageState: a package variable is a table or a sentinel; nothing assigns
// to it, and none is a lock, a pool or a channel.
func noPackageState(all []source) (bad []string) {
	for _, s := range all {
		rel, ok := s.inCore()
		if !ok || s.Test {
			continue
		}
		vars := packageVars(s.File)
		for name, spec := range vars {
			if _, allowed := state[strings.TrimSuffix(rel, "/")+"."+name]; !allowed && holdsState(spec) {
				bad = append(bad, s.at(spec)+": package variable "+name+" holds state")
			}
		}
		ast.Inspect(s.File, func(n ast.Node) bool {
			assign, ok := n.(*ast.AssignStmt)
			if !ok || assign.Tok == token.DEFINE {
				return true
			}
			for _, left := range assign.Lhs {
				if id := root(left); id != nil && id.Obj != nil && vars[id.Name] == id.Obj.Decl && vars[id.Name] != nil {
					bad = append(bad, s.at(assign)+": assigns to package variable "+id.Name)
				}
			}
			return true
		})
	}
	return bad
}

func packageVars(f *ast.File) map[string]*ast.ValueSpec {
	vars := map[string]*ast.ValueSpec{}
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR {
			continue
		}
		for _, sp := range g.Specs {
			spec := sp.(*ast.ValueSpec)
			for _, name := range spec.Names {
				if name.Name != "_" {
					vars[name.Name] = spec
				}
			}
		}
	}
	return vars
}

// holdsState: declared with a type of sync or as a channel, or made by make.
func holdsState(spec *ast.ValueSpec) (found bool) {
	ast.Inspect(spec, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.ChanType:
			found = true
		case *ast.SelectorExpr:
			if pkg, ok := n.X.(*ast.Ident); ok && (pkg.Name == "sync" || pkg.Name == "atomic") {
				found = true
			}
		case *ast.Ident:
			found = found || n.Name == "make"
		}
		return true
	})
	return found
}

// root is the variable that an assignment's left side starts from.
func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// partitions: an ARN or a host is never built by string, since the people this
// began with run in aws-cn.
func partitions(all []source) (bad []string) {
	for _, s := range all {
		if _, ok := s.inCore(); !ok || s.Test || within(s.Package, modulePath+"/core/internal/house") {
			continue
		}
		ast.Inspect(s.File, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			// EKS Auto Mode's API group and label prefix are no host: the same everywhere.
			text := strings.ReplaceAll(lit.Value, "eks.amazonaws.com", "")
			if strings.Contains(text, "arn:aws") || strings.Contains(text, "amazonaws.com") {
				bad = append(bad, s.at(n)+": literal "+lit.Value+": take it from the SDK's answer")
			}
			return true
		})
	}
	return bad
}

// Limits, in lines and methods.
const (
	maxFunction  = 60
	maxFile      = 400
	maxInterface = 3
	maxPackage   = 1200
	maxCentre    = 1800 // package core, the centre of the star: a file a verb (deploy, gate, check, plan, rollback, several clusters), and the one place that knows two stages
)

// sizes: what grows beyond one screen or one sitting is split.
func sizes(all []source) (bad []string) {
	packages := map[string]int{}
	for _, s := range all {
		if _, ok := s.inCore(); !ok || s.Test {
			continue
		}
		packages[s.Package] += s.Lines
		if s.Lines > maxFile {
			bad = append(bad, fmt.Sprintf("%s: %d lines, at most %d", s.Path, s.Lines, maxFile))
		}
		ast.Inspect(s.File, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if lines := s.Fset.Position(n.End()).Line - s.Fset.Position(n.Pos()).Line + 1; lines > maxFunction {
					bad = append(bad, fmt.Sprintf("%s: function %s has %d lines, at most %d", s.at(n), n.Name.Name, lines, maxFunction))
				}
			case *ast.InterfaceType:
				if methods := n.Methods.NumFields(); methods > maxInterface {
					bad = append(bad, fmt.Sprintf("%s: interface of %d methods, at most %d", s.at(n), methods, maxInterface))
				}
			}
			return true
		})
	}
	for pkg, lines := range packages {
		most := maxPackage
		if pkg == modulePath+"/core" {
			most = maxCentre
		}
		if lines > most {
			bad = append(bad, fmt.Sprintf("%s: %d lines, at most %d", pkg, lines, most))
		}
	}
	return bad
}
