// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/outlast-ci/outlast/lab/internal/labstate"
)

// Namespaces lists those whose names begin with prefix.
func Namespaces(ctx context.Context, s labstate.State, prefix string) ([]string, error) {
	list, err := Kubectl(ctx, s, nil, "get", "namespace", "-o", "jsonpath={.items[*].metadata.name}")
	return slices.DeleteFunc(strings.Fields(list), func(name string) bool { return !strings.HasPrefix(name, prefix) }), err
}

// DeleteNamespaces deletes namespaces whole, as far as they are there, and waits until
// they are gone. Their pods serve nobody any more, so they get no time to drain.
func DeleteNamespaces(ctx context.Context, s labstate.State, names ...string) error {
	if len(names) == 0 {
		return nil
	}
	steps := [][]string{append([]string{"namespace", "--wait=false"}, names...)}
	for _, name := range names {
		steps = append(steps, []string{"pod", "--all", "--grace-period=0", "--force", "-n", name})
	}
	steps = append(steps, append([]string{"namespace", "--timeout=5m"}, names...))
	for _, step := range steps {
		if _, err := Kubectl(ctx, s, nil, append([]string{"delete", "--ignore-not-found"}, step...)...); err != nil {
			return fmt.Errorf("deleting the namespaces %s: %w", strings.Join(names, ", "), err)
		}
	}
	return nil
}
