// SPDX-License-Identifier: Apache-2.0

// Command gen writes the generated parts of the wrappers. Run it at the top of
// a checkout after a change of the table of inputs: go run ./core/cmd/gen
//
// make release calls it with the release that get-outlast may download:
// gen --version v1.2.3 --releases URL --sums SHA256SUMS --to DIR.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
	"github.com/outlast-ci/outlast/core/internal/gen"
)

func main() {
	var release gen.Release
	flag.StringVar(&release.Version, "version", "", "release that get-outlast downloads, v1.2.3; empty: none")
	flag.StringVar(&release.Releases, "releases", "", "URL of the releases; assets are below URL/VERSION/")
	sums := flag.String("sums", "", "file with the assets' SHA-256, as sha256sum writes it")
	to := flag.String("to", ".", "folder to write to")
	flag.Parse()
	if err := run(release, *sums, *to); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(release gen.Release, sums, to string) error {
	if _, err := os.Stat("core/cmd/gen/main.go"); err != nil {
		return fmt.Errorf("this is not the top of a checkout: %w", err)
	}
	if whole := release.Version != "" && release.Releases != "" && sums != ""; !whole && release.Version+release.Releases+sums != "" {
		return errors.New("a release has --version, --releases and --sums, or none of them")
	}
	if sums != "" {
		text, err := os.ReadFile(sums)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) != 2 || len(fields[0]) != 64 {
				return fmt.Errorf("reading %s: %q is no line of sha256sum", sums, strings.TrimSpace(line))
			}
			if strings.HasSuffix(fields[1], ".tar.gz") {
				release.Sums = append(release.Sums, gen.Sum{Asset: strings.TrimPrefix(fields[1], "*"), SHA256: fields[0]})
			}
		}
		if len(release.Sums) == 0 {
			return fmt.Errorf("reading %s: it has no archive", sums)
		}
	}
	made, err := gen.Files(inputs.Table, release)
	if err != nil {
		return err
	}
	for path, text := range made {
		path = filepath.Join(to, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
