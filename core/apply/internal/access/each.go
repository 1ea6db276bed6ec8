// SPDX-License-Identifier: Apache-2.0

package access

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Each calls do for every object, concurrently. The first failure ends the
// waits but no request: a write cut short may have been accepted without our
// knowing, and what else fails is told as well.
func Each(ctx context.Context, all []*unstructured.Unstructured, do func(ctx, waits context.Context, obj *unstructured.Unstructured) error) error {
	group, waits := errgroup.WithContext(ctx)
	group.SetLimit(AtOnce)
	errs := make([]error, len(all))
	for i, obj := range all {
		group.Go(func() error {
			if errs[i] = context.Cause(ctx); errs[i] == nil {
				errs[i] = do(ctx, waits, obj)
			}
			return errs[i]
		})
	}
	if first := group.Wait(); first != nil && ctx.Err() != nil {
		return first // the others were cut short too, and have no more to tell
	}
	var every error
	for _, err := range errs {
		if err != nil && !errors.Is(every, err) { // an ended wait gives the failure that ended it
			every = errors.Join(every, err)
		}
	}
	return every
}
