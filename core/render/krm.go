// SPDX-License-Identifier: Apache-2.0

package render

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"sigs.k8s.io/kustomize/kyaml/kio"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/node"
	"github.com/outlast-ci/outlast/core/render/internal/tree"
)

// Function is rendering as a KRM function: what kustomize and kpt run with a
// ResourceList on standard input, and want one back from.
type Function struct {
	list *kio.ByteReadWriter
	out  *bytes.Buffer
	objs []*yaml.RNode
}

// ReadFunction reads a ResourceList.
func ReadFunction(text []byte) (*Function, error) {
	if err := tree.Within(text); err != nil {
		return nil, fmt.Errorf("reading the ResourceList: %w", err)
	}
	f := &Function{out: &bytes.Buffer{}}
	f.list = &kio.ByteReadWriter{Reader: bytes.NewReader(text), Writer: f.out, KeepReaderAnnotations: true, PreserveSeqIndent: true, WrapBareSeqNode: true}
	err := func() (err error) { // kyaml panics on objects of odd shapes
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("an item is of no shape that an API server takes: %v", r)
			}
		}()
		f.objs, err = f.list.Read()
		return err
	}()
	if err != nil {
		return nil, fmt.Errorf("reading the ResourceList: %w", err)
	}
	if f.list.WrappingKind != kio.ResourceListKind {
		return nil, fmt.Errorf("reading the ResourceList: standard input holds no object of kind %s, as kustomize and kpt give a function; leave --krm out to read plain manifests", kio.ResourceListKind)
	}
	for _, n := range f.objs { // what is set in one place is not to change another
		if n.YNode().Kind != yaml.MappingNode { // which kyaml's getters panic on
			return nil, errors.New("reading the ResourceList: an item is no Kubernetes object but a single value or a list")
		}
		if err := tree.Shaped(n.YNode()); err != nil {
			return nil, fmt.Errorf("reading the ResourceList: an item is no Kubernetes object: %w", err)
		}
		if err := n.DeAnchor(); err != nil {
			return nil, fmt.Errorf("reading the ResourceList: %w", err)
		}
	}
	return f, nil
}

// Settings are the data of the function's configuration, a ConfigMap or any
// object with a mapping of strings called data or spec.
func (f *Function) Settings() map[string]string {
	out := map[string]string{}
	for _, field := range []string{"spec", "data"} {
		maps.Copy(out, node.Strings(f.list.FunctionConfig, field))
	}
	return out
}

// Run renders the items of the list and gives the list back, with the findings
// as its results. Under a policy that refuses, the results come with the error.
func (f *Function) Run(ctx context.Context, opt Options) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, context.Cause(ctx)
	}
	opt.Path = "the ResourceList"
	m := &Manifests{opt: opt}
	err := m.prepare(f.objs)
	var rules *RuleError
	if err != nil && !errors.As(err, &rules) {
		return m.result, err
	}
	result, pinErr := m.Pin(ctx, opt.Images) // what is refused, too: images are no matter of the policy
	if pinErr != nil {
		return result, pinErr
	}
	if rules != nil {
		result.Findings = rules.Findings
	}
	if len(result.Findings) > 0 {
		f.list.Results = results(result.Findings)
	}
	if writeErr := f.list.Write(slices.Concat(f.objs, m.added)); writeErr != nil {
		return result, errors.Join(err, fmt.Errorf("writing the ResourceList: %w", writeErr))
	}
	result.YAML = f.out.Bytes()
	return result, err
}

// results are findings as a ResourceList carries them.
func results(findings []drain.Finding) *yaml.RNode {
	list := node.List()
	for _, f := range findings {
		severity := string(f.Severity)
		if f.Suppressed != "" {
			severity = string(drain.Info)
		}
		entry := node.Map("message", node.Text(f.Object+": "+f.Message+"; "+f.Fix), "severity", node.Text(severity), "tags", node.Map("rule", node.Text(f.Rule)))
		if f.Field != "" {
			entry.YNode().Content = append(entry.YNode().Content, node.Map("field", node.Map("path", node.Text(f.Field))).YNode().Content...)
		}
		list.YNode().Content = append(list.YNode().Content, entry.YNode())
	}
	return list
}
