// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render"
)

// rulesDocs is where each rule has its page.
const rulesDocs = "../../docs/rules"

// headings that each page has, in order.
var headings = []string{"What", "Why", "Evidence", "Fix", "Example"}

// page is one rule's, as far as a machine reads it.
type page struct {
	id, name, severity, inequality string
	fixable                        bool
	headings                       []string
	also                           []string          // rules that the examples break, too
	blocks                         map[string]string // bad, good, bad settings, good settings, bad live, good live
}

var (
	pageTitle   = regexp.MustCompile(`^# (OL[0-9]{3}) ([a-z0-9-]+)\n`)
	pageMeta    = regexp.MustCompile(`(?m)^Severity: (error|warning|info)\b.*$`)
	pageAlso    = regexp.MustCompile(`<!-- also: ((?:OL[0-9]{3} ?)+)-->`)
	pageBlock   = regexp.MustCompile("(?s)<!-- ((?:bad|good)(?: settings| live)?) -->\n```(?:yaml|json)\n(.*?)```\n")
	pageLink    = regexp.MustCompile(`\]\(([A-Za-z0-9-]+\.md)\)`)
	pageHeading = regexp.MustCompile(`(?m)^## (.*)$`)
	inequality  = regexp.MustCompile(`\b(F[0-9]+|strict)\b`)
)

func readPage(t *testing.T, id string) page {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(rulesDocs, id+".md"))
	if err != nil {
		t.Fatal(err)
	}
	p := page{blocks: map[string]string{}}
	if m := pageTitle.FindStringSubmatch(string(text)); m != nil {
		p.id, p.name = m[1], m[2]
	}
	if m := pageMeta.FindStringSubmatch(string(text)); m != nil {
		p.severity, p.inequality = m[1], inequality.FindString(m[0])
		p.fixable = strings.Contains(m[0], "`outlast render` cures it")
	}
	for _, m := range pageHeading.FindAllStringSubmatch(string(text), -1) {
		p.headings = append(p.headings, m[1])
	}
	if m := pageAlso.FindStringSubmatch(string(text)); m != nil {
		p.also = strings.Fields(m[1])
	}
	for _, m := range pageBlock.FindAllStringSubmatch(string(text), -1) {
		if _, twice := p.blocks[m[1]]; twice {
			t.Errorf("%s has two blocks %q", id, m[1])
		}
		p.blocks[m[1]] = m[2]
	}
	if fences := strings.Count(string(text), "\n```"); fences != 2*len(p.blocks) {
		t.Errorf("%s has %d code fences, but %d blocks are executed", id, fences, len(p.blocks))
	}
	return p
}

// settings are the keys of outlast.yaml that the examples use.
func settings(t *testing.T, text string, opt *render.Options) {
	t.Helper()
	var file struct {
		Drain struct {
			Mode           drain.Mode
			TimeoutOrder   drain.Order `yaml:"timeoutOrder"`
			KubeletVersion string      `yaml:"kubeletVersion"`
			Shell          string
		}
		Gate struct{ Timeout time.Duration }
	}
	dec := yaml.NewDecoder(strings.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil {
		t.Fatal(err)
	}
	if file.Drain.Mode != "" {
		opt.Drain.Mode = file.Drain.Mode
	}
	opt.Drain.Order, opt.Drain.GateTimeout = file.Drain.TimeoutOrder, drain.Seconds(file.Gate.Timeout/time.Second)
	opt.Kubelet, opt.Shell = file.Drain.KubeletVersion, file.Drain.Shell
}

// options are those of one side of a page: bad or good.
func (p page) options(t *testing.T, side string) render.Options {
	t.Helper()
	manifests, ok := p.blocks[side]
	if !ok {
		manifests = p.blocks["bad"] // only the settings, or the cluster, differ
	}
	opt := render.Options{Path: render.Stdin, Stream: []byte(manifests), Drain: drain.Defaults()}
	if text, ok := p.blocks[side+" settings"]; ok {
		settings(t, text, &opt)
	}
	return opt
}

// found executes one side. What an annotation of the example suppresses counts
// as not found.
func (p page) found(t *testing.T, side string, opt render.Options) (rules []string, all []drain.Finding) {
	t.Helper()
	var facts *render.Live
	if text, ok := p.blocks[side+" live"]; ok {
		dec := json.NewDecoder(strings.NewReader(text))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&facts); err != nil {
			t.Fatal(err)
		}
	}
	report, err := render.Check(context.Background(), opt, facts)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		if f.Suppressed == "" && !slices.Contains(rules, f.Rule) {
			rules = append(rules, f.Rule)
		}
	}
	slices.Sort(rules)
	return rules, report.Findings
}

// unreached are rules that no manifest can break yet, each with what is missing.
// A bad example that breaks its rule all the same fails the test: take it out.
var unreached = map[string]string{}

// TestRulePages: each rule has a page, which says what the table says, and
// whose bad example breaks the rule and whose good one does not.
func TestRulePages(t *testing.T) {
	for _, rule := range render.Rules() {
		t.Run(rule.ID, func(t *testing.T) {
			p := readPage(t, rule.ID)
			want := page{id: rule.ID, name: rule.Name, severity: string(rule.Severity), inequality: inequalityOf(rule.ID), fixable: rule.Fixable}
			if p.id != want.id || p.name != want.name || p.severity != want.severity || p.inequality != want.inequality || p.fixable != want.fixable {
				t.Errorf("the page says %s %s, %s, %q, cured %v; the table %s %s, %s, %q, cured %v", p.id, p.name, p.severity, p.inequality, p.fixable,
					want.id, want.name, want.severity, want.inequality, want.fixable)
			}
			if !slices.Equal(p.headings, headings) {
				t.Errorf("headings %q, want %q", p.headings, headings)
			}
			if p.blocks["bad"] == "" || p.blocks["good"] == "" && p.blocks["good settings"] == "" && p.blocks["good live"] == "" {
				t.Fatal("no example of what is bad, or of what is good")
			}
			if p.blocks["bad"] == p.blocks["good"] {
				t.Error("the good example is the bad one")
			}
			bad, badFindings := p.found(t, "bad", p.options(t, "bad"))
			good, goodFindings := p.found(t, "good", p.options(t, "good"))
			if missing, ok := unreached[rule.ID]; ok && slices.Contains(bad, rule.ID) {
				t.Errorf("the example breaks the rule now, so it is no longer true that %s", missing)
			} else if !ok && !slices.Contains(bad, rule.ID) {
				t.Errorf("the bad example does not break the rule, but %v:%s", bad, told(badFindings))
			}
			if slices.Contains(good, rule.ID) {
				t.Errorf("the good example breaks the rule:%s", told(goodFindings))
			}
			if rule.Fixable {
				p.cured(t)
			}
			seen := slices.Concat(bad, good)
			for _, other := range seen {
				if other != rule.ID && !slices.Contains(p.also, other) {
					t.Errorf("the examples break %s, too, which also: does not say (bad %v, good %v):%s", other, bad, good, told(badFindings))
				}
			}
			for _, other := range p.also {
				if !slices.Contains(seen, other) {
					t.Errorf("also: says %s, which neither example breaks", other)
				}
			}
		})
	}
}

// cured renders the bad example: what comes out no longer breaks the rule.
func (p page) cured(t *testing.T) {
	t.Helper()
	opt := p.options(t, "bad")
	if p.id == "OL027" { // without a shell nothing cures it but newer nodes
		opt.Shell = "/bin/sh"
	}
	result, err := render.Render(context.Background(), opt)
	if err != nil {
		t.Fatal(err)
	}
	opt.Stream = result.YAML
	if rules, all := p.found(t, "bad", opt); slices.Contains(rules, p.id) {
		t.Errorf("outlast render does not cure the bad example:%s\n%s", told(all), result.YAML)
	}
}

func told(findings []drain.Finding) string {
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "\n  %s %s %s %s: %s [%s] %s", f.Severity, f.Rule, f.Object, f.Field, f.Message, f.Fix, f.Suppressed)
	}
	return b.String()
}

// inequalityOf names the formula behind a rule, if there is one.
func inequalityOf(id string) string {
	var n int
	if _, err := fmt.Sscanf(id, "OL%d", &n); err != nil || n > 20 {
		return ""
	}
	if n == 0 {
		return "strict"
	}
	return fmt.Sprintf("F%d", n)
}

// TestRulePagesOfNoRule: no page is about a rule that is gone, and pages link to pages.
func TestRulePagesOfNoRule(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(rulesDocs, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		id := strings.TrimSuffix(filepath.Base(file), ".md")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range pageLink.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(rulesDocs, link[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", file, link[1])
			}
		}
		if id != "README" && !slices.ContainsFunc(render.Rules(), func(r render.Rule) bool { return r.ID == id }) {
			t.Errorf("%s is about no rule", file)
		}
	}
	if len(files) != len(render.Rules())+1 {
		t.Errorf("%d pages and a README, for %d rules", len(files)-1, len(render.Rules()))
	}
}

// TestRuleIndex: README.md lists the table; -update writes the list.
func TestRuleIndex(t *testing.T) {
	path := filepath.Join(rulesDocs, "README.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| rule | name | severity | inequality | what is wrong | cured by `outlast render` |\n|---|---|---|---|---|---|\n")
	for _, r := range render.Rules() {
		cured := ""
		if r.Fixable {
			cured = "yes"
		}
		fmt.Fprintf(&b, "| [%s](%s.md) | %s | %s | %s | %s | %s |\n", r.ID, r.ID, r.Name, r.Severity, inequalityOf(r.ID), r.Summary, cured)
	}
	const start, end = "<!-- rules -->\n", "<!-- end of rules -->\n"
	head, rest, ok := strings.Cut(string(text), start)
	list, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no part between %s and %s", path, start, end)
	}
	if list == b.String() {
		return
	}
	if update := flag.Lookup("update"); update == nil || update.Value.String() != "true" {
		t.Fatalf("%s does not list the rules as the table has them; run this test with -update", path)
	}
	if err := os.WriteFile(path, []byte(head+start+b.String()+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}
