// SPDX-License-Identifier: Apache-2.0

// Package rights asks the API server, before anything is done, whether this identity
// may do all that a deploy will do: manifests go in, and an error comes out that names
// every permission that is missing, with the lines of a Role that would give them.
package rights

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/event"
	"github.com/outlast-ci/outlast/core/internal/manifest"
)

// Right is one verb on the objects of a kind.
type Right struct {
	Verb, APIVersion, Kind string
	Subresource            string // log, of pods
	Namespace              string // means nothing to a kind that lives in none
	Name                   string // empty: all of them
}

// Answer is what the server says of a right.
type Answer struct {
	Allowed   bool
	Group     string // of the resource, empty for the core
	Resource  string // plural, as a Role names it
	Namespace string // empty: of the whole cluster, as a ClusterRole gives it
}

// Asker asks the server.
type Asker interface {
	// Review asks about one right. That the server does not know the kind, or may not
	// be asked, is an error.
	Review(ctx context.Context, r Right) (Answer, error)
	// Get reads one object; nil without an error when it does not exist.
	Get(ctx context.Context, apiVersion, kind, namespace, name string) (*unstructured.Unstructured, error)
}

// Need is a right, and the objects that it is needed for: a Role may give it for these
// names only.
type Need struct {
	Right
	Names  []string
	Useful bool // the deploy goes on without it, and can tell less
}

// Of lists what a deploy of manifests needs, whose records are called name in the
// namespace home: of the objects, of the lock and the revisions, and of what the gate
// looks at.
func Of(manifests []byte, home, name string) ([]Need, error) {
	objects, err := manifest.Parse(manifests)
	if err != nil {
		return nil, err
	}
	var all []Need
	add := func(useful bool, apiVersion, kind, namespace, name string, verbs ...string) {
		for _, verb := range verbs {
			r := Right{Verb: verb, APIVersion: apiVersion, Kind: kind, Namespace: cmp.Or(namespace, "default")}
			r.Verb, r.Subresource, _ = strings.Cut(verb, " ")
			i := slices.IndexFunc(all, func(n Need) bool { return n.Right == r })
			if i < 0 {
				i = len(all)
				all = append(all, Need{Right: r, Useful: useful})
			}
			if name != "" && !slices.Contains(all[i].Names, name) {
				all[i].Names = append(all[i].Names, name)
			}
		}
	}
	for _, obj := range objects {
		add(false, obj.GetAPIVersion(), obj.GetKind(), obj.GetNamespace(), obj.GetName(), "get", "create", "patch")
		switch kind := obj.GetKind(); {
		case manifest.IsPreDeploy(obj):
			add(false, obj.GetAPIVersion(), kind, obj.GetNamespace(), obj.GetName(), "delete")
			add(true, "v1", "Pod", obj.GetNamespace(), "", "list", "get log")
		case kind == "Deployment":
			add(false, "apps/v1", "ReplicaSet", obj.GetNamespace(), "", "list")
			fallthrough
		case kind == "StatefulSet" || kind == "DaemonSet":
			add(false, "v1", "Pod", obj.GetNamespace(), "", "list")
			add(true, "v1", "Pod", obj.GetNamespace(), "", "get log")
			add(true, "v1", "Event", obj.GetNamespace(), "", "list")
		}
	}
	add(false, "coordination.k8s.io/v1", "Lease", home, name, "get", "create", "update")
	add(false, "v1", "Secret", home, "", "get", "list", "create", "update")
	add(true, "v1", "Secret", home, "", "delete")
	add(false, "v1", "ConfigMap", home, name, "get", "create", "patch")
	return all, nil
}

// Preflight asks for all that a deploy of manifests needs, with the records called name
// in the namespace home. Without an asker nobody is asked.
func Preflight(ctx context.Context, asker Asker, manifests []byte, home, name string, observe event.Func) error {
	if asker == nil {
		return nil
	}
	needs, err := Of(manifests, home, name)
	if err != nil {
		return err
	}
	useful, err := Check(ctx, asker, needs)
	if len(useful) > 0 {
		observe.Emit(event.Event{Stage: "apply", Kind: event.Warn, Message: "without these permissions the deploy goes on, but can tell or tidy up less:\n" + Roles(useful)})
	}
	return err
}

// Lack is a right that is missing.
type Lack struct {
	Answer
	Verb string
}

// MissingError is an identity that may not do all that a deploy does.
type MissingError struct{ Lacks []Lack }

func (e *MissingError) Error() string {
	return "this identity may not do all that the deploy does, and nothing was changed; give it\n" + Roles(e.Lacks)
}

// Check asks about all needs at once, and gives what is missing of the useful ones;
// what is missing of the others is a *MissingError. What the server does not answer
// counts as given: the deploy itself will tell.
func Check(ctx context.Context, asker Asker, needs []Need) (useful []Lack, err error) {
	lacks := make([]*Lack, len(needs))
	var all sync.WaitGroup
	for i, n := range needs {
		all.Go(func() {
			if answer, missing := n.missing(ctx, asker); missing {
				lacks[i] = &Lack{answer, n.Verb}
			}
		})
	}
	all.Wait()
	var bad []Lack
	for i, lack := range lacks {
		switch {
		case lack == nil:
		case needs[i].Useful:
			useful = append(useful, *lack)
		default:
			bad = append(bad, *lack)
		}
	}
	if len(bad) > 0 {
		return useful, &MissingError{bad}
	}
	return useful, nil
}

// missing asks about one need: of all objects of the kind, and then of those by name.
// Nobody needs to create what is there.
func (n Need) missing(ctx context.Context, asker Asker) (Answer, bool) {
	answer, err := asker.Review(ctx, n.Right)
	if err != nil || answer.Allowed {
		return answer, false
	}
	for _, name := range n.Names {
		one := n.Right
		one.Name = name
		if n.Verb == "create" {
			obj, err := asker.Get(ctx, n.APIVersion, n.Kind, n.Namespace, name)
			if err == nil && obj == nil {
				return answer, true
			}
			if err == nil {
				continue
			}
			one.Verb = "get" // who may not even look is to be given both
		}
		if got, err := asker.Review(ctx, one); err == nil && !got.Allowed {
			return answer, true
		}
	}
	return answer, len(n.Names) == 0
}

// Roles gives the lines of the Roles that would give what is missing.
func Roles(lacks []Lack) string {
	verbs := map[Answer][]string{} // in the order in which they are needed
	for _, l := range lacks {
		l.Answer.Allowed = false
		if !slices.Contains(verbs[l.Answer], l.Verb) {
			verbs[l.Answer] = append(verbs[l.Answer], l.Verb)
		}
	}
	var b strings.Builder
	where := "?"
	for _, a := range slices.SortedFunc(maps.Keys(verbs), func(a, b Answer) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Resource, b.Resource))
	}) {
		if where != a.Namespace {
			if where = a.Namespace; where == "" {
				b.WriteString("  by a ClusterRole:\n")
			} else {
				fmt.Fprintf(&b, "  by a Role in namespace %s:\n", where)
			}
		}
		fmt.Fprintf(&b, "    - {apiGroups: [%s], resources: [%s], verbs: [%s]}\n", cmp.Or(a.Group, `""`), a.Resource, strings.Join(verbs[a], ", "))
	}
	return strings.TrimSuffix(b.String(), "\n")
}
