// SPDX-License-Identifier: Apache-2.0

package release

import (
	"context"
	"fmt"
	"time"

	"github.com/outlast-ci/outlast/core/release/internal/lease"
)

// Holder is the run that holds an application's lock. Its times are by its own clock.
type Holder struct {
	Name    string    `json:"name"`
	RunURL  string    `json:"runUrl,omitempty"`
	Since   time.Time `json:"since"`
	Renewed time.Time `json:"renewed"`
}

// HolderOf reads who holds the lock, and takes nothing; nil: nobody does.
func HolderOf(ctx context.Context, store Reader, app App) (*Holder, error) {
	obj, err := store.Get(ctx, leaseVersion, leaseKind, app.Namespace, app.leaseName())
	if err != nil {
		return nil, fmt.Errorf("reading who holds the lock of %s: %w", app, err)
	}
	if obj == nil {
		return nil, nil
	}
	l := lease.Parse(obj)
	if l.Holder == "" {
		return nil, nil
	}
	return &Holder{Name: l.Holder, RunURL: l.RunURL, Since: l.Since, Renewed: l.Renewed()}, nil
}
