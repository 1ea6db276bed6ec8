// SPDX-License-Identifier: Apache-2.0

package trial

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// Revision is the commit of the product's folder; +dirty says that what is
// built of it has changes that are in no commit. Documents do not count.
func Revision(ctx context.Context, product string) (string, error) {
	git := func(args ...string) (string, error) {
		out, err := exec.CommandContext(ctx, "git", append([]string{"-C", product}, args...)...).Output()
		if err != nil {
			return "", fmt.Errorf("asking git for the commit of %s: %w", product, err)
		}
		return strings.TrimSpace(string(out)), nil
	}
	commit, err := git("rev-parse", "HEAD")
	if err != nil {
		return "", err
	}
	changes, err := git("status", "--porcelain", "--", ":(top)", ":(top,exclude)docs")
	if err == nil && changes != "" {
		commit += "+dirty"
	}
	return commit, err
}
