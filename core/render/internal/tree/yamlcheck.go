// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Limits on YAML: a 519-byte file of nested aliases makes kustomize take 6 GB.
const (
	maxDepth    = 100
	maxExpanded = 500_000 // nodes, after aliases are expanded
)

// checkYAML refuses YAML that is too deep or expands too far. What is no YAML
// at all is left to kustomize, which knows whether it had to be.
func checkYAML(text []byte) error {
	docs, err := documents(text)
	if err != nil {
		return nil //nolint:nilerr // said above
	}
	total := 0
	for _, doc := range docs {
		size, err := expanded(doc, 0, map[*yaml.Node]int{}, map[*yaml.Node]bool{})
		if err != nil {
			return err
		}
		if total += size; total > maxExpanded {
			return fmt.Errorf("its aliases expand to more than %d values", maxExpanded)
		}
	}
	return nil
}

func documents(text []byte) (docs []*yaml.Node, err error) {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	for {
		doc := new(yaml.Node)
		if err := dec.Decode(doc); errors.Is(err, io.EOF) {
			return docs, nil
		} else if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
}

// expanded counts the nodes below n as if aliases were written out, each
// anchor once (memo); it gives up early enough not to overflow.
func expanded(n *yaml.Node, depth int, memo map[*yaml.Node]int, open map[*yaml.Node]bool) (int, error) {
	if depth > maxDepth {
		return 0, fmt.Errorf("line %d is nested deeper than %d levels", n.Line, maxDepth)
	}
	if size, ok := memo[n]; ok {
		return size, nil
	}
	if open[n] {
		return 0, fmt.Errorf("line %d: an alias contains itself", n.Line)
	}
	open[n] = true
	defer delete(open, n)
	size := 1
	children := n.Content
	if n.Kind == yaml.AliasNode {
		children = []*yaml.Node{n.Alias}
	}
	for _, child := range children {
		s, err := expanded(child, depth+1, memo, open)
		if err != nil {
			return 0, err
		}
		if size += s; size > maxExpanded {
			return size, nil
		}
	}
	memo[n] = size
	return size, nil
}

// pathFields of a kustomization hold paths, which kustomize would also fetch
// when they are addresses. Those of directories must exist: what is not there
// it takes for the address of a git repository.
var (
	pathFields = []string{"resources", "bases", "components", "crds", "configurations", "generators", "transformers", "validators", "patchesStrategicMerge"}
	mustExist  = []string{"resources", "bases", "components"}
	forbidden  = map[string]string{
		"helmCharts":                  "charts would be fetched; render them before and name the result as a resource",
		"helmChartInflationGenerator": "charts would be fetched; render them before and name the result as a resource",
		"helmGlobals":                 "charts would be fetched",
	}
)

// checkKustomization refuses addresses and missing paths. Its errors start
// with the line, since the caller puts the file in front.
func checkKustomization(text []byte, dir string) error {
	docs, err := documents(text)
	if err != nil || len(docs) == 0 || len(docs[0].Content) == 0 {
		return nil //nolint:nilerr // kustomize says what is wrong with it
	}
	top := docs[0].Content[0]
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, value := top.Content[i], top.Content[i+1]
		if why, ok := forbidden[key.Value]; ok {
			return fmt.Errorf(":%d: %s is not rendered: %s", key.Line, key.Value, why)
		}
		isPath := slices.Contains(pathFields, key.Value)
		for _, n := range scalars(value, isPath) {
			if !isPath && !remote(n.Value) {
				continue
			}
			if remote(n.Value) {
				return fmt.Errorf(":%d: %s names %q: rendering fetches nothing; keep a copy in the repository", n.Line, key.Value, n.Value)
			}
			if inline := strings.Contains(n.Value, "\n"); inline || !slices.Contains(mustExist, key.Value) {
				continue
			}
			if _, err := os.Stat(filepath.Join(dir, n.Value)); err != nil {
				return fmt.Errorf(":%d: %s names %q, which does not exist", n.Line, key.Value, n.Value)
			}
		}
	}
	return nil
}

// scalars lists the values that may be paths: all of a list of paths, and of
// other fields the values of the keys path, files, env, envs.
func scalars(n *yaml.Node, all bool) (found []*yaml.Node) {
	switch n.Kind {
	case yaml.ScalarNode:
		if all {
			found = append(found, n)
		}
	case yaml.AliasNode:
		return scalars(n.Alias, all)
	case yaml.SequenceNode:
		for _, child := range n.Content {
			found = append(found, scalars(child, all)...)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			found = append(found, scalars(n.Content[i+1], slices.Contains([]string{"path", "files", "env", "envs"}, n.Content[i].Value))...)
		}
	}
	return found
}

// remote tells an address from a path, in the forms that kustomize fetches.
func remote(s string) bool {
	if strings.Contains(s, "\n") {
		return false
	}
	for _, prefix := range []string{"http://", "https://", "git://", "ssh://", "file://", "git::", "gh:", "git@", "github.com/"} {
		if strings.HasPrefix(strings.ToLower(s), prefix) {
			return true
		}
	}
	return strings.Contains(s, "?ref=") || strings.Contains(s, ".git/") || strings.HasSuffix(s, ".git") || strings.Contains(s, "://")
}
