// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/outlast-ci/outlast/core"
	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/event"
	"github.com/outlast-ci/outlast/core/internal/cli/exit"
	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
	"github.com/outlast-ci/outlast/core/internal/config"
	"github.com/outlast-ci/outlast/core/render"
)

// Function renders as a KRM function: a ResourceList comes in on standard
// input and goes out on standard output. Its configuration stands for flags,
// which win over it. Nothing else is written.
func (a *App) Function(ctx context.Context, flags map[string][]string) error {
	text, err := a.Env.ReadStdin("the ResourceList")
	if err != nil {
		return exit.Usage(err)
	}
	fn, err := render.ReadFunction(text)
	if err != nil {
		return exit.Usage(err)
	}
	if err := configured(flags, fn.Settings()); err != nil {
		return exit.Usage(err)
	}
	flags["manifests"] = []string{render.Stdin}
	a.Env.Stdin = strings.NewReader("") // it has been read
	c := a.Call("render")
	if err := c.Settle(ctx, flags); err != nil {
		return c.Skipped(err)
	}
	opt, err := c.Rendering()
	if err != nil {
		return exit.Usage(err)
	}
	if _, opt.Images, err = c.Images(""); err != nil {
		return exit.Usage(err)
	}
	result, err := fn.Run(ctx, opt)
	for _, ch := range result.Changes {
		c.say(event.Note, ch.String()+": "+ch.Why)
	}
	for _, f := range result.Findings { // kustomize keeps the results of a function that passes to itself
		if err == nil && f.Severity != drain.Info && f.Suppressed == "" {
			c.say(event.Warn, f.Rule+" "+f.Object+": "+f.Message+"; "+f.Fix)
		}
	}
	if _, writeErr := a.Env.Stdout.Write(result.YAML); writeErr != nil {
		return writeErr
	}
	if err != nil {
		return &core.StageError{Stage: "render", Preflight: true, Err: err}
	}
	return nil
}

// configured takes the function's configuration below the flags: keys are
// names of inputs that render reads.
func configured(flags map[string][]string, settings map[string]string) error {
	known := map[string]bool{}
	for _, in := range inputs.All() {
		for _, name := range in.Names() {
			if in.ReadBy("render") {
				known[name] = true
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		if !known[key] {
			return fmt.Errorf("reading the function's configuration: unknown key %q%s", key, config.DidYouMean(key, slices.Sorted(maps.Keys(known))))
		}
		if len(flags[key]) == 0 {
			flags[key] = []string{settings[key]}
		}
	}
	return nil
}
