// SPDX-License-Identifier: Apache-2.0

// Command gen writes the generated parts of the wrappers. Run it at the top of
// a checkout after a change of the table of inputs: go run ./core/cmd/gen
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
	"github.com/outlast-ci/outlast/core/internal/gen"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run() error {
	if _, err := os.Stat("core/cmd/gen/main.go"); err != nil {
		return fmt.Errorf("this is not the top of a checkout: %w", err)
	}
	made, err := gen.Files(inputs.Table, gen.Release{})
	if err != nil {
		return err
	}
	for path, text := range made {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
