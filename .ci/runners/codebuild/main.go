// SPDX-License-Identifier: Apache-2.0

// Command codebuild-run runs a buildspec on this machine, for tests: a strict
// reading of version 0.2, the phases' commands in one real shell, and files for
// what CodeBuild would store. It is no imitation of AWS: there are no images,
// no IAM and no network.
//
//	codebuild-run [--source DIR] [--env NAME=VALUE]... [--secrets FILE] [--exported FILE] [--stored FILE] BUILDSPEC
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

type list []string

func (l *list) String() string     { return "" }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func main() {
	var env list
	source := flag.String("source", ".", "folder of the source")
	secrets := flag.String("secrets", "", "JSON file: values of parameters and secrets by their names in AWS")
	exported := flag.String("exported", "", "file that gets the exported variables")
	stored := flag.String("stored", "", "file that gets a line for each stored file")
	flag.Var(&env, "env", "variable of the project, NAME=VALUE")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: codebuild-run [flags] BUILDSPEC; see -help")
		os.Exit(2)
	}
	err := run(flag.Arg(0), *source, *secrets, *exported, *stored, env)
	if err != nil {
		fmt.Fprintln(os.Stderr, "codebuild-run:", err)
	}
	switch {
	case errors.Is(err, ErrFailed) || errors.Is(err, errShell):
		os.Exit(1)
	case err != nil:
		os.Exit(2)
	}
}

func run(path, source, secrets, exported, stored string, env []string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	spec, err := Parse(text)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	dir, err := filepath.Abs(source)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "codebuild-run-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	b := &Build{Spec: spec, Dir: dir, Environ: append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, env...), Out: os.Stdout, Work: work}
	if secrets != "" {
		text, err := os.ReadFile(secrets)
		if err == nil {
			err = json.Unmarshal(text, &b.Secrets)
		}
		if err != nil {
			return err
		}
	}
	err = b.Run()
	if exported != "" {
		var lines strings.Builder
		for _, n := range slices.Sorted(maps.Keys(b.Exported)) {
			fmt.Fprintf(&lines, "%s=%s\n", n, b.Exported[n])
		}
		err = errors.Join(err, os.WriteFile(exported, []byte(lines.String()), 0o644))
	}
	if stored != "" {
		err = errors.Join(err, os.WriteFile(stored, []byte(strings.Join(append(b.Stored, ""), "\n")), 0o644))
	}
	return err
}
