// SPDX-License-Identifier: Apache-2.0

// Package timings answers what `outlast timings` asks: flags and settings in,
// safe drain timings, or a verdict on given ones, out, for people or as JSON. It
// needs no manifest and asks nobody.
package timings

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/drain/timeline"
	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
)

// Options are the flags of the command alone; empty means unset.
type Options struct {
	App, Mode       string // other names of --on-sigterm and --drain-mode
	Balancer        string
	Replicas, Surge string
	Workload        string
	Gate            string
	Check           string
	Output          string
	World           func() World
}

// choice is a flag that takes one of some words.
type choice struct {
	name, doc string
	words     []string
	to        *string
}

func (o *Options) choices() []choice {
	return []choice{
		{"app", "the same as --on-sigterm (here, --app is not a name)", []string{string(drain.Graceful), string(drain.Abrupt)}, &o.App},
		{"mode", "the same as --drain-mode", []string{string(drain.Auto), string(drain.Strict), string(drain.Fast)}, &o.Mode},
		{"balancer", "what sends the requests: an ALB or an NLB to pods (alb), or to nodes (instance)", []string{string(drain.ALB), string(drain.NLB), string(drain.Instance)}, &o.Balancer},
		{"workload", "how pods are replaced (deployment)", []string{"deployment", "statefulset", "daemonset"}, &o.Workload},
		{"readiness-gate", "whether new pods wait for the balancer's readiness gate (yes)", []string{"yes", "no"}, &o.Gate},
		{"output", "text or json (text)", []string{"text", "json"}, &o.Output},
	}
}

// addFlags gives the command its own flags. words completes a flag to words.
func (o *Options) addFlags(cmd *cobra.Command, words func(...string) cobra.CompletionFunc) {
	for _, c := range o.choices() {
		short := ""
		if c.name == "output" {
			short = "o"
		}
		cmd.Flags().StringVarP(c.to, c.name, short, "", strings.Join(c.words, "|")+": "+c.doc)
		_ = cmd.RegisterFlagCompletionFunc(c.name, words(c.words...)) // fails only for a flag that is not there
	}
	cmd.Flags().StringVar(&o.Replicas, "replicas", "", "pods of the workload, N of the formulas (2)")
	cmd.Flags().StringVar(&o.Surge, "surge", "", "maxSurge: a number, or a percentage of the replicas (25%; 0 for a StatefulSet or a DaemonSet)")
	cmd.Flags().StringVar(&o.Check, "check", "", "judge GRACE/PRESTOP/DELAY, e.g. 50/40/35, instead of computing; - is what holds when it is not written")
}

// Reads tells whether the command reads a row of the table of inputs.
func Reads(name string) bool {
	return slices.Contains([]string{"working-directory", "environment", "config", "branch", "longest-request", "idle-timeout", "request-timeout", "keep-alive",
		"timeout-order", "on-sigterm", "shutdown", "drain-mode", "set", "gate-timeout"}, name)
}

// merge checks the words of the flags, and adds the other names to the flags that
// they mean.
func (o *Options) merge(flags map[string][]string) error {
	for _, c := range o.choices() {
		if *c.to != "" && !slices.Contains(c.words, *c.to) {
			return fmt.Errorf("reading --%s: %q is none of %s", c.name, *c.to, strings.Join(c.words, ", "))
		}
	}
	for alias, name := range map[string]string{"app": "on-sigterm", "mode": "drain-mode"} {
		value := o.App
		if alias == "mode" {
			value = o.Mode
		}
		if value == "" {
			continue
		}
		for _, other := range flags[name] {
			if other != "" && other != value {
				return fmt.Errorf("reading --%s and --%s: they are two names of one input, and their values differ", alias, name)
			}
		}
		flags[name] = append(flags[name], value)
	}
	return nil
}

// answer is what is printed.
type answer struct {
	drain.Plan
	Findings []drain.Finding `json:"findings"` // never null
	Timeline drain.Timeline  `json:"timeline"`

	checked bool
	near    *drain.Given // of a check that found errors: safe timings near the given ones
	left    []string     // inequalities that these leave broken, since no timing cures them
}

// ask computes the answer. Errors are mistakes in the flags, or a *drain.Refusal.
func (o *Options) ask(s *inputs.Settings) (answer, error) {
	balancer := drain.ALB
	if o.Balancer != "" {
		balancer = drain.Balancer(o.Balancer)
	}
	base := drain.DefaultsFor(balancer)
	base.Replicas, base.Surge, base.NoGate = 2, -1, o.Gate == "no"
	in, err := s.Drain(base)
	if err != nil {
		return answer{}, err
	}
	strategy, err := o.strategy(&in)
	if err != nil {
		return answer{}, err
	}
	a := answer{checked: o.Check != ""}
	if !a.checked {
		if a.Plan, err = drain.Solve(in); err != nil {
			return answer{}, err
		}
	} else if err := a.check(o.Check, in); err != nil {
		return answer{}, err
	}
	a.Findings = append([]drain.Finding{}, a.Plan.Findings...)
	a.Timeline = drain.Predict(a.Plan, strategy)
	return a, nil
}

// strategy settles the replicas and how they are replaced.
func (o *Options) strategy(in *drain.Inputs) (drain.Strategy, error) {
	if o.Replicas != "" {
		if err := in.Set("N", o.Replicas); err != nil {
			return drain.Strategy{}, fmt.Errorf("reading --replicas: %w", err)
		}
	}
	kinds := map[string]timeline.Kind{"": timeline.Rolling, "deployment": timeline.Rolling, "statefulset": timeline.StatefulSet, "daemonset": timeline.DaemonSet}
	kind, surge := kinds[o.Workload], o.Surge
	switch {
	case kind == timeline.StatefulSet && surge != "" && surge != "0":
		return drain.Strategy{}, errors.New("reading --surge: a StatefulSet has none: an old pod ends before its replacement is made")
	case kind == timeline.StatefulSet && in.Surge > 0:
		return drain.Strategy{}, errors.New("reading s (--set, drain.set): a StatefulSet has no surge: an old pod ends before its replacement is made")
	case surge == "" && in.Surge >= 0: // by --set
		surge = strconv.Itoa(in.Surge)
	case surge == "" && kind == timeline.Rolling:
		surge = "25%"
	case surge == "":
		surge = "0"
	}
	if text, ok := strings.CutSuffix(surge, "%"); ok {
		percent, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return drain.Strategy{}, fmt.Errorf("reading --surge: %q is no percentage", surge)
		}
		surge = strconv.Itoa((int(percent)*in.Replicas + 99) / 100) // the controller rounds up
	}
	if err := in.Set("s", surge); err != nil {
		return drain.Strategy{}, fmt.Errorf("reading --surge: %w", err)
	}
	return drain.Strategy{Kind: kind, Surge: in.Surge}, nil
}

// check judges what is given.
func (a *answer) check(text string, in drain.Inputs) error {
	given, err := parseGiven(text)
	if err != nil {
		return fmt.Errorf("reading --check: %w", err)
	}
	if in.Order != drain.NoOrder && in.RequestTimeout == nil && in.Balancer != drain.NLB {
		return errors.New("reading --timeout-order: it is about the application's request timeout, which is not known: say what it is (--request-timeout)")
	}
	if a.Plan, err = drain.Adopt(given, in); err != nil {
		return fmt.Errorf("reading --check: %w", err)
	}
	if len(a.broken()) == 0 {
		return nil
	}
	if in.Mode == drain.Auto && slices.Contains(a.broken(), "F2") { // strict is more than to outlast a delay that cuts requests
		a.Mode = drain.Fast
	}
	in.Floor = given
	in.Floor.DeregistrationDelay = min(given.DeregistrationDelay, drain.MaxDelay)
	in.Delay = &in.Floor.DeregistrationDelay // which instance targets keep
	if in.Mode == drain.Auto {
		in.Mode = drain.Fast
	}
	if near, err := drain.Solve(in); err == nil && near.Given() != given { // else the findings say what else is to be done
		given := near.Given()
		a.near, a.left = &given, errorsOf(near.Findings)
	}
	return nil
}

// parseGiven reads GRACE/PRESTOP/DELAY.
func parseGiven(text string) (drain.Given, error) {
	g := drain.Unwritten()
	parts := strings.Split(text, "/")
	if len(parts) != 3 {
		return g, fmt.Errorf("%q is not GRACE/PRESTOP/DELAY, e.g. 50/40/35", text)
	}
	for i, to := range []*drain.Seconds{&g.GracePeriod, &g.PreStop, &g.DeregistrationDelay} {
		part := strings.TrimSuffix(strings.TrimSpace(parts[i]), "s")
		if part == "-" || part == "" {
			continue
		}
		n, err := strconv.ParseUint(part, 10, 31)
		if err != nil {
			return g, fmt.Errorf("%q of %q is no whole number of seconds; write e.g. 50/40/35", parts[i], text)
		}
		*to = drain.Seconds(n)
	}
	return g, nil
}

// broken lists the inequalities that a check found broken, each once.
func (a answer) broken() []string {
	if !a.checked {
		return nil
	}
	return errorsOf(a.Plan.Findings)
}

func errorsOf(findings []drain.Finding) (ids []string) {
	for _, f := range findings {
		if f.Severity == drain.Error && !slices.Contains(ids, f.Inequality) {
			ids = append(ids, f.Inequality)
		}
	}
	return ids
}

// print writes the answer in the format that the flags ask for.
func (o *Options) print(w io.Writer, a answer) error {
	if o.Output != "json" {
		_, err := io.WriteString(w, a.text())
		return err
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(a)
}
