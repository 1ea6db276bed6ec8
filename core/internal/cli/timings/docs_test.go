// SPDX-License-Identifier: Apache-2.0

package timings

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/drain/timeline"
	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
)

// The page for users, held against what the program computes.
const docs = "../../../../docs"

func readPage(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(docs, "timings.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// rows are the cells of the table that follows a heading.
func rows(t *testing.T, page, heading string) (all [][]string) {
	t.Helper()
	_, rest, ok := strings.Cut(page, heading)
	if !ok {
		t.Fatalf("no %q on the page", heading)
	}
	for line := range strings.Lines(rest) {
		line = strings.TrimSpace(line)
		switch {
		case !strings.HasPrefix(line, "|"):
			if len(all) > 2 {
				return all[2:] // below the head
			}
			all = nil
		default:
			cells := strings.Split(strings.Trim(line, "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			all = append(all, cells)
		}
	}
	return nil
}

// solve computes GRACE/PRESTOP/DELAY.
func solve(t *testing.T, balancer drain.Balancer, mode drain.Mode, app drain.App, symbols ...string) string {
	t.Helper()
	in := drain.DefaultsFor(balancer)
	in.Mode, in.App = mode, app
	for _, item := range symbols {
		symbol, value, _ := strings.Cut(item, "=")
		if err := in.Set(symbol, value); err != nil {
			t.Fatal(err)
		}
	}
	p, err := drain.Solve(in)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d/%d/%d", p.GracePeriod, p.PreStop, p.DeregistrationDelay)
}

func TestWorkedValuesOfThePage(t *testing.T) {
	page := readPage(t)
	table := rows(t, page, "grace/preStop/delay at the planning values:")
	if len(table) != 6 {
		t.Fatalf("%d rows", len(table))
	}
	for _, row := range table {
		r := "R=" + row[0]
		want := []string{row[0], solve(t, drain.ALB, drain.Fast, drain.Graceful, r), solve(t, drain.ALB, drain.Fast, drain.Abrupt, r), solve(t, drain.ALB, drain.Strict, drain.Abrupt, r)}
		if !slices.Equal(row, want) {
			t.Errorf("row %q, want %q", row, want)
		}
	}
	profiles := rows(t, page, "in fast mode, with R = 30:")
	if len(profiles) != 4 {
		t.Fatalf("%d profiles", len(profiles))
	}
	for _, row := range profiles {
		flag, value, _ := strings.Cut(strings.Trim(row[1], "`"), " ")
		balancer, set := drain.ALB, []string{"R=30"}
		if flag == "--balancer" {
			balancer = drain.Balancer(value)
		} else {
			set = append(set, value)
		}
		if want := solve(t, balancer, drain.Fast, drain.Graceful, set...); row[2] != want {
			t.Errorf("profile %q, want %s", row, want)
		}
	}
}

// TestSymbolsOfThePage: each has a row, with the value that the program plans with
// and flags and keys that there are.
func TestSymbolsOfThePage(t *testing.T) {
	table := rows(t, readPage(t), "## The symbols")
	text, err := drain.Defaults().MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	planned := values(text)
	keys := inputs.ScalarKeys()
	var named []string
	for _, row := range table {
		symbol, how := row[0], row[4]
		named = append(named, symbol)
		want := "not known"
		if v, ok := planned[symbol]; ok {
			want = number(v)
		} else if symbol == "tight" { // left out where it is false
			want = "false"
		}
		if row[2] != want {
			t.Errorf("%s: planning value %s, want %s", symbol, row[2], want)
		}
		friendly := false
		for _, in := range inputs.All() {
			if strings.Contains(how, "`--"+in.Name+"`") {
				friendly = true
				s := settings(t, map[string][]string{in.Name: {"7s"}})
				base := drain.Defaults()
				got, err := s.Drain(base)
				if err != nil {
					t.Fatal(err)
				}
				after, err := got.MarshalJSON()
				if err != nil || values(after)[symbol] != 7 {
					t.Errorf("--%s does not set %s: %s, %v", in.Name, symbol, after, err)
				}
				if !strings.Contains(how, "`"+in.Key+"`") || !slices.Contains(keys, in.Key) {
					t.Errorf("%s: %q does not name %s", symbol, how, in.Key)
				}
			}
		}
		if !friendly && !strings.Contains(how, "`--set "+symbol+"=`") {
			t.Errorf("%s: %q names neither a flag nor --set %s=", symbol, how, symbol)
		}
	}
	slices.Sort(named)
	if want := drain.Symbols(); !slices.Equal(named, want) {
		t.Errorf("the page has the symbols %v, want %v", named, want)
	}
}

// TestInequalitiesOfThePage: all twenty, in order, each with the page of its rule.
func TestInequalitiesOfThePage(t *testing.T) {
	page := readPage(t)
	var ids []string
	for _, row := range rows(t, page, "Each inequality has a rule") {
		id, _, _ := strings.Cut(row[0], ":")
		if want := fmt.Sprintf("[%[1]s](rules/%[1]s.md)", drain.RuleOf(id)); row[2] != want {
			t.Errorf("%s: %s, want %s", id, row[2], want)
		}
		if id != "strict" {
			ids = append(ids, id)
		}
	}
	for i := range 20 {
		if want := fmt.Sprintf("F%d", i+1); i >= len(ids) || ids[i] != want {
			t.Fatalf("inequalities %v, want %s at %d", ids, want, i)
		}
	}
	for _, link := range regexp.MustCompile(`\]\((rules/[^)]*)\)`).FindAllStringSubmatch(page, -1) {
		if _, err := os.Stat(filepath.Join(docs, link[1])); err != nil {
			t.Errorf("a link that leads nowhere: %v", err)
		}
	}
}

// TestSayingsOfThePage: the numbers in the text.
func TestSayingsOfThePage(t *testing.T) {
	page := readPage(t)
	in := drain.Defaults()
	in.Replicas = 2
	strict, err := drain.Solve(in)
	if err != nil {
		t.Fatal(err)
	}
	if chart := drain.Predict(strict, drain.Strategy{Kind: timeline.Rolling, Surge: 1}).Pod.Chart(width); !strings.Contains(page, "```text\n"+chart+"```") {
		t.Errorf("the page does not show\n%s", chart)
	}
	in.Mode, in.App, in.Replicas, in.Surge = drain.Fast, drain.Graceful, 10, 3
	ten, err := drain.Solve(in)
	if err != nil {
		t.Fatal(err)
	}
	says := func(text string) {
		t.Helper()
		if !strings.Contains(strings.Join(strings.Fields(page), " "), text) {
			t.Errorf("the page does not say %q", text)
		}
	}
	says(fmt.Sprintf("at least %d s; by default it waits for %d s, so that `ProgressDeadlineExceeded` (%d s)", ten.GateTimeoutLowerBound, ten.GateTimeout, ten.ProgressDeadline))
	says("For R = 300 that is a grace of " + strings.Split(solve(t, drain.ALB, drain.Fast, drain.Graceful, "R=300"), "/")[0] + " s")
	says("a graceful application with " + solve(t, drain.ALB, drain.Fast, drain.Graceful, "R=30") + " loses none")

	// The longest requests of the cap.
	longest := func(mode drain.Mode) (r int) {
		for {
			in := drain.Defaults()
			in.Mode = mode
			if err := in.Set("R", fmt.Sprint(r+1)); err != nil {
				t.Fatal(err)
			}
			if p, err := drain.Solve(in); err != nil || p.GracePeriod.Duration() > in.Cap {
				return r
			}
			r++
		}
	}
	says(fmt.Sprintf("for requests of up to %d s, else fast, which fits it for requests of up to %d s", longest(drain.Strict), longest(drain.Fast)))

	// 50/40/35, and 7/6/5.
	safe := func(given drain.Given, symbols ...string) bool {
		in := drain.Defaults()
		in.App = drain.Graceful
		for _, item := range symbols {
			symbol, value, _ := strings.Cut(item, "=")
			if err := in.Set(symbol, value); err != nil {
				t.Fatal(err)
			}
		}
		_, findings, err := drain.Check(given, in)
		if err != nil {
			t.Fatal(err)
		}
		return !slices.ContainsFunc(findings, func(f drain.Finding) bool { return f.Severity == drain.Error })
	}
	made := drain.Given{GracePeriod: 50, PreStop: 40, DeregistrationDelay: 35}
	if !safe(made, "R=0") || safe(made, "R=1") || !safe(made, "R=13", "L=2", "P=17") || safe(made, "R=14", "L=2", "P=17") || safe(drain.Given{GracePeriod: 7, PreStop: 6, DeregistrationDelay: 5}, "R=0", "L=2", "P=17") {
		t.Error("what the page says of 50/40/35 is wrong")
	}
	says("50/40/35 holds for R = 0 only, and to the second; with measured L = 2 and P = 17 it holds up to R = 13. As a proof that the target was `unused` first it is 20 s short.")
}

// TestFlagsOfThePage: each flag that the page names is one of a command.
func TestFlagsOfThePage(t *testing.T) {
	page := readPage(t)
	known := map[string]bool{"set": true}
	for _, in := range inputs.All() {
		known[in.Name] = true
	}
	var o Options
	cmd := o.Command(func(err error) error { return err })
	cmd.RunE = func(*cobra.Command, []string) error { return nil }
	for _, flag := range regexp.MustCompile(`--([a-z][a-z-]*)`).FindAllStringSubmatch(page, -1) {
		if !known[flag[1]] && cmd.Flags().Lookup(flag[1]) == nil {
			t.Errorf("no flag --%s", flag[1])
		}
	}
}
