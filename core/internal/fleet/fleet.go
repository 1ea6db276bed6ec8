// SPDX-License-Identifier: Apache-2.0

// Package fleet rolls something through several clusters: all of them are looked at
// before the first is written to, then comes one after another, and the first failure
// ends it.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Member is one cluster.
type Member struct {
	Name  string
	Check func(context.Context) error // looks, and changes nothing
	Run   func(context.Context) error // to the end of the gate
}

// Error is a cluster at which a roll ended.
type Error struct {
	Cluster string
	Passed  []string // the clusters before it, which have the new version
	Left    []string // those after it, which were not begun
	Err     error
}

func (e *Error) Error() string {
	text := fmt.Sprintf("cluster %s: %v", e.Cluster, e.Err)
	if len(e.Passed) > 0 {
		text += "; passed before it, and left as they are: " + strings.Join(e.Passed, ", ")
	}
	if len(e.Left) > 0 {
		text += "; not begun: " + strings.Join(e.Left, ", ")
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Check looks at all members, and tells what is wrong with each.
func Check(ctx context.Context, members []Member) error {
	var errs []error
	for _, m := range members {
		if err := m.Check(ctx); err != nil {
			errs = append(errs, &Error{Cluster: m.Name, Err: err})
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// Roll runs the members in order until one fails; that one's is an *Error.
func Roll(ctx context.Context, members []Member) error {
	if len(members) == 0 {
		return errors.New("rolling through clusters: there is none")
	}
	var names []string
	for _, m := range members {
		names = append(names, m.Name)
	}
	for i, m := range members {
		if err := m.Run(ctx); err != nil {
			return &Error{Cluster: m.Name, Passed: names[:i], Left: names[i+1:], Err: err}
		}
	}
	return nil
}
