// SPDX-License-Identifier: Apache-2.0

package inputs

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/core/drain"
)

// symbols are the inputs that are symbols of the drain formulas under names for
// people.
var symbols = map[string]string{
	"longest-request": "R", "shutdown": "S", "request-timeout": "A", "keep-alive": "K", "idle-timeout": "I",
}

// Drain adds to base what the user knows about draining. From the strongest to
// the weakest: a flag for people (--longest-request), --set and OUTLAST_SET, the
// variable or key for people, drain.set of outlast.yaml, base.
func (s *Settings) Drain(base drain.Inputs) (drain.Inputs, error) {
	in := base
	for _, symbol := range slices.Sorted(maps.Keys(s.Set)) {
		if err := in.Set(symbol, s.Set[symbol]); err != nil {
			return in, fmt.Errorf("reading %s: drain.set: %w", s.File.Path, err)
		}
	}
	if err := s.friendly(&in, func(string) bool { return true }); err != nil {
		return in, err
	}
	for _, item := range s.List("set") {
		symbol, value, ok := strings.Cut(item, "=")
		if !ok {
			return in, fmt.Errorf("reading --set %q: want SYMBOL=VALUE, e.g. P=30", item)
		}
		if err := in.Set(symbol, value); err != nil {
			return in, fmt.Errorf("reading --set: %w", err)
		}
		s.Set[symbol] = value
	}
	if err := s.friendly(&in, func(source string) bool { return strings.HasPrefix(source, "--") }); err != nil {
		return in, err
	}
	if v := s.Text("on-sigterm"); v != "" {
		in.App = drain.App(v)
	}
	if v := s.Text("drain-mode"); v != "" {
		in.Mode = drain.Mode(v)
	}
	if v := s.Text("timeout-order"); v != "" {
		in.Order = drain.Order(v)
	}
	// A day is the longest that is computed with, and long enough for every rollout.
	in.GateTimeout = drain.Seconds(min(24*time.Hour, s.Duration("gate-timeout")).Round(time.Second) / time.Second)
	return in, nil
}

// friendly sets the symbols that have a name for people, from some sources.
func (s *Settings) friendly(in *drain.Inputs, from func(source string) bool) error {
	for _, name := range slices.Sorted(maps.Keys(symbols)) {
		if s.Text(name) == "" || !from(s.Source(name)) {
			continue
		}
		if err := in.Set(symbols[name], s.Text(name)); err != nil {
			return fmt.Errorf("reading %s: %w", s.Source(name), err)
		}
	}
	return nil
}
