// SPDX-License-Identifier: Apache-2.0

// Package gen writes the generated parts of the five wrappers from the one
// table of inputs: the table goes in, and files by their path in the
// repository come out. What a wrapper does beside renaming is in get-outlast,
// one POSIX script that all of them carry.
package gen

import (
	"bytes"
	"embed"
	"fmt"
	"text/template"
)

//go:embed files
var files embed.FS

// Release is what get-outlast may download. The zero value is a checkout that
// belongs to no release: then only other ways are tried.
type Release struct {
	Version  string // v1.2.3
	Releases string // base URL; assets are below BASE/VERSION/
	Sums     []Sum
}

// Sum pins one asset.
type Sum struct{ Asset, SHA256 string }

// GetOutlast gives the script that finds the program.
func GetOutlast(r Release) ([]byte, error) { return fill("get-outlast", r) }

func fill(name string, data any) ([]byte, error) {
	text, err := files.ReadFile("files/" + name)
	if err != nil {
		return nil, err
	}
	t, err := template.New(name).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, data); err != nil {
		return nil, fmt.Errorf("filling in %s: %w", name, err)
	}
	return out.Bytes(), nil
}
