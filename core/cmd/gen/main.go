// SPDX-License-Identifier: Apache-2.0

// Command gen writes the generated parts of the wrappers. Run it at the top of
// a checkout after a change of the table of inputs: go run ./core/cmd/gen
//
// The wrappers download the release that core/internal/gen/release.json names.
// With --version and --sums they are pinned to another one: in the checkout,
// where release.json then names it, or in the folder --to alone.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
	"github.com/outlast-ci/outlast/core/internal/gen"
)

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("gen", flag.ContinueOnError)
	version := flags.String("version", "", "release that the wrappers download, vX.Y.Z; needs --sums")
	releases := flags.String("releases", gen.Project, "base URL of the releases; assets are below BASE/VERSION/")
	sums := flags.String("sums", "", "SHA256SUMS of that release")
	to := flags.String("to", ".", "folder to write to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is no flag", flags.Arg(0))
	}
	if _, err := os.Stat("core/cmd/gen/main.go"); err != nil {
		return fmt.Errorf("this is not the top of a checkout: %w", err)
	}
	release, err := gen.Pins()
	pinned := *version != "" || *sums != ""
	if pinned {
		release, err = read(*version, *releases, *sums)
	}
	if err != nil {
		return err
	}
	made, err := gen.Files(inputs.Table, release)
	if err != nil {
		return err
	}
	if pinned {
		text, err := json.MarshalIndent(release, "", "  ")
		if err != nil {
			return err
		}
		made[gen.PinsFile] = append(text, '\n')
	}
	for path, text := range made {
		path = filepath.Join(*to, path)
		if now, err := os.ReadFile(path); err == nil && bytes.Equal(now, text) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// read makes a release of what the flags say.
func read(version, releases, sums string) (gen.Release, error) {
	if version == "" || sums == "" {
		return gen.Release{}, errors.New("--version and --sums need each other")
	}
	text, err := os.ReadFile(sums)
	if err != nil {
		return gen.Release{}, fmt.Errorf("reading the sums: %w", err)
	}
	return gen.NewRelease(version, releases, string(text))
}
