// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"fmt"

	"github.com/outlast-ci/outlast/core"
	"github.com/outlast-ci/outlast/core/event"
	"github.com/outlast-ci/outlast/core/internal/cli/setup"
	"github.com/outlast-ci/outlast/core/render"
)

// filters tells whether the call is render between two pipes, as Helm runs a
// post-renderer, often in a folder that is somebody else's or cannot be written to.
func (c *Call) filters() bool {
	s := c.Settings
	return c.Command == "render" && s.Text("manifests") == render.Stdin && s.Text("output-dir") == "" && s.Text("report") == ""
}

// filter renders and writes no file, tells no CI, and says on stderr only what
// somebody should know.
func (c *Call) filter(ctx context.Context, cfg core.Config) error {
	cfg.Observe = func(e event.Event) {
		if e.Kind == event.Warn || e.Kind == event.Note && e.Object != "" {
			c.say(e.Kind, e.Object+": "+e.Message)
		}
	}
	report, err := core.Deploy(ctx, cfg, c.Clients(cfg), core.Report{})
	if err != nil {
		return err
	}
	return c.print(report)
}

// say is one line of a filter's.
func (c *Call) say(kind event.Kind, text string) {
	prefix := map[event.Kind]string{event.Warn: "warning: "}[kind]
	fmt.Fprintf(setup.Tame(c.Env.Stderr), "outlast: %s%s\n", prefix, c.Secrets.Mask(text))
}
