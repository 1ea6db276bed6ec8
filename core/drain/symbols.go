// SPDX-License-Identifier: Apache-2.0

package drain

import (
	"fmt"
	"time"

	"github.com/outlast-ci/outlast/core/drain/internal/symbols"
)

func (in *Inputs) symbols() symbols.Table {
	return symbols.Table{
		Durations: map[string]*time.Duration{
			"R": &in.Request, "S": &in.Shutdown, "S_sc": &in.SidecarShutdown, "L": &in.ControllerLatency,
			"P": &in.Propagation, "M": &in.Margin, "cap": &in.Cap, "C": &in.IPCooldown, "I": &in.IdleTimeout, "slow_start": &in.SlowStart,
			"h": &in.HealthInterval, "t": &in.HealthTimeout, "Q": &in.GatePoll, "T_reg": &in.Registration, "B": &in.Start, "X_node": &in.NodePreStop,
		},
		Optional: map[string]**time.Duration{
			"J": &in.Jitter, "A": &in.RequestTimeout, "K": &in.KeepAlive, "R_silent": &in.Silent, "R_cut": &in.Cut, "T_client": &in.ClientTimeout,
		},
		Counts: map[string]*int{
			"n_h": &in.HealthyCount, "n_u": &in.UnhealthyCount, "N": &in.Replicas, "s": &in.Surge, "nTG": &in.TargetGroups,
			"n_tgb_queued": &in.Queued, "n_calls": &in.Calls,
		},
		Flags: map[string]*bool{"tight": &in.Tight},
	}
}

func (g *Group) symbols() symbols.Table {
	return symbols.Table{
		Durations: map[string]*time.Duration{"h": &g.HealthInterval, "t": &g.HealthTimeout, "I": &g.IdleTimeout, "slow_start": &g.SlowStart},
		Counts:    map[string]*int{"n_h": &g.HealthyCount, "n_u": &g.UnhealthyCount},
	}
}

// Symbols lists the names that Set knows.
func Symbols() []string { return new(Inputs).symbols().Names() }

// Set gives one symbol of the formulas a value: seconds (30, 1.5), a duration
// (1m30s), a count, or true and false.
func (in *Inputs) Set(symbol, value string) error {
	if err := in.symbols().Set(symbol, value); err != nil {
		return fmt.Errorf("setting %s: %w", symbol, err)
	}
	return nil
}

// MarshalJSON writes the symbols with seconds, the way Set reads them.
func (in Inputs) MarshalJSON() ([]byte, error) {
	type plain Inputs
	jitter := in.jitter()
	in.Jitter = &jitter
	return in.symbols().Marshal(plain(in), false)
}

// UnmarshalJSON reads what MarshalJSON wrote; absent symbols are defaults.
func (in *Inputs) UnmarshalJSON(text []byte) error {
	type plain Inputs
	*in = Defaults()
	return in.symbols().Unmarshal(text, (*plain)(in))
}

// MarshalJSON writes the symbols that differ from the Inputs'.
func (g Group) MarshalJSON() ([]byte, error) {
	type plain Group
	return g.symbols().Marshal(plain(g), true)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (g *Group) UnmarshalJSON(text []byte) error {
	type plain Group
	return g.symbols().Unmarshal(text, (*plain)(g))
}
