// SPDX-License-Identifier: Apache-2.0

package set

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/apply/internal/objects"
)

// List lists what has the set's label, of the kinds and in the namespaces
// that its parent names. A kind that lives in no namespace comes once.
func (s Set) List(ctx context.Context, cluster objects.Lister, now Members) (found []unstructured.Unstructured, err error) {
	var mu sync.Mutex
	seen := map[string]bool{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for kind := range now.Kinds {
		version := "" // the server's choice
		if kind.Group != "" {
			version = kind.Group + "/"
		}
		for ns := range now.Namespaces {
			group.Go(func() error {
				some, err := cluster.List(ctx, version, kind.Kind, ns, PartOf+"="+s.ID())
				if meta.IsNoMatchError(err) { // its definition went, and all of its kind
					return nil
				}
				mu.Lock()
				defer mu.Unlock()
				for _, obj := range some {
					if uid := string(obj.GetUID()); !seen[uid] {
						seen[uid], found = true, append(found, obj)
					}
				}
				return err
			})
		}
	}
	err = group.Wait()
	slices.SortFunc(found, func(a, b unstructured.Unstructured) int {
		return cmp.Or(cmp.Compare(objects.PhaseOf(&b), objects.PhaseOf(&a)), cmp.Compare(objects.ID(&a), objects.ID(&b)))
	})
	return found, err
}
