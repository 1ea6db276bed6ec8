// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/outlast-ci/outlast/core/drain"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// hostile is a text that each format has a reader to be fooled by: a workflow
// command, a line of its own, an escape sequence, C1 and direction controls,
// markup, what XML cannot hold, and a log's old kind of command.
const hostile = "web\n::error::pwned\r\n\x1b[31mred\x1b[0m\u009b31m \u202egnp.exe ]]> <b>&amp;\" ' \x00\x08 ##[add-mask]x \u2028 %0A::stop-commands::t \xff 👩‍🚀 中文"

func rules() []Rule {
	return []Rule{
		{"OL001", "pre-stop-too-short", "The preStop hook ends before the balancer has stopped sending new requests.", drain.Error, true},
		{"OL002", "deregistration-delay-too-short", "The balancer cuts requests in flight.", drain.Error, true},
		{"OL006", "keep-alive-below-idle-timeout", "The application closes idle connections that the balancer still uses.", drain.Error, false},
		{"OL016", "slow-health-check", "a dead target is noticed late", drain.Info, false},
		{"OL031", "single-replica", "One pod cannot be replaced without a gap when its node goes.", drain.Warning, false},
		{"OL049", "gate-missing-on-pod", "A running pod carries no readiness gate of its target group.", drain.Warning, false},
	}
}

// rich is one report with everything: several files and objects, each
// severity, no file, no object, no line, what is suppressed, and hostile texts.
func rich() Report {
	return Report{
		Rules: rules(), Root: "/src/shop", Version: "1.2.3", Objects: 12, Workloads: 2, Took: 412 * time.Millisecond,
		Findings: []drain.Finding{
			{Rule: "OL031", Severity: drain.Warning, Object: "Deployment/shop/web", Field: "spec.replicas", Message: "one replica: a drained node leaves none", Fix: "set spec.replicas to 2 or more", File: "deploy/base/web.yaml", Line: 7, Suppressed: "the night shift lives with it: \"see the runbook\"\n::error::x"},
			{Rule: "OL001", Inequality: "F1", Severity: drain.Error, Object: "Deployment/shop/web", Field: "spec.template.spec.containers[0].lifecycle.preStop.sleep.seconds", Message: "preStop >= L + P + M does not hold: 10s against 40s, 30s short; new requests reach a process that is gone (502), or an address that is (504 after 10 s)", Fix: "set preStop to at least 40s", Want: 40, File: "deploy/base/web.yaml", Line: 31},
			{Rule: "OL001", Inequality: "F1", Severity: drain.Error, Object: "Deployment/shop/web", Field: "spec.template.spec.containers[1].lifecycle.preStop", Message: "container proxy has no preStop hook: 0s against 40s", Fix: "set preStop to at least 40s", Want: 40, File: "deploy/base/web.yaml", Line: 44},
			{Rule: "OL016", Inequality: "F16", Severity: drain.Info, Object: "Ingress/shop/web", Message: "a dead target is noticed after 30 s", File: "deploy/base/web.yaml", Line: 80},
			{Rule: "OL002", Inequality: "F2", Severity: drain.Error, Object: "Ingress/shop/api", Field: "metadata.annotations", Message: "deregistration delay >= P + R + M does not hold: 5s against 65s, 60s short; the balancer aborts requests in flight when the delay ends (502)", Fix: "set deregistration_delay.timeout_seconds=65", Want: 65, File: "deploy/overlays/prod/api ingress, 100%:1.yaml"},
			{Rule: "OL049", Severity: drain.Warning, Object: "Deployment/shop/web", Message: "2 of 3 pods carry no readiness gate", Fix: "restart the rollout after the namespace has its label"},
			{Rule: "OL006", Severity: drain.Error, Message: "the application closes idle connections after 5s, the balancer after 60s", Fix: "raise the application's keep-alive to 65s or more"},
			{Rule: "OL099", Severity: drain.Warning, Object: "Deployment/" + hostile, Field: "spec." + hostile, Message: hostile, Fix: "fix " + hostile, File: "deploy/" + hostile + ".yaml", Line: 3},
			{Rule: "OL001", Severity: drain.Warning, Object: "::stop-commands::token", Message: "::error::a message that starts as a command, with enough words to be wrapped before the next one ::add-mask::secret", File: "::warning::.yaml", Line: 1},
		},
	}
}

func quiet() Report {
	return Report{Rules: rules(), Version: "1.2.3", Objects: 12, Workloads: 2}
}

func write(t interface {
	Helper()
	Fatal(...any)
}, format string, r Report, o Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, format, r, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGoldens(t *testing.T) {
	ends := map[string]string{"text": ".txt", "json": ".json", "sarif": ".sarif", "junit": ".xml", "github": ".github.txt", "gitlab": ".gitlab.json"}
	if len(ends) != len(Formats()) {
		t.Fatalf("formats %v, goldens of %d", Formats(), len(ends))
	}
	for _, format := range Formats() {
		for name, r := range map[string]Report{"rich": rich(), "quiet": quiet()} {
			t.Run(format+"/"+name, func(t *testing.T) { golden(t, name+ends[format], write(t, format, r, Options{})) })
		}
	}
	t.Run("text in colour, 60 columns", func(t *testing.T) {
		golden(t, "rich.color.txt", write(t, "text", rich(), Options{Color: true, Width: 60}))
	})
	t.Run("junit that fails on warnings", func(t *testing.T) {
		golden(t, "warnings.xml", write(t, "junit", rich(), Options{FailOn: drain.Warning}))
	})
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, diff)
	}
}

func TestWhatIsSaid(t *testing.T) {
	for name, tc := range map[string]struct {
		format string
		r      Report
		want   string
	}{
		"nothing found says what was checked":          {"text", quiet(), "12 objects, 2 workloads behind a balancer: nothing found\n"},
		"one of each is said in the singular":          {"text", Report{Objects: 1, Workloads: 1}, "1 object, 1 workload behind a balancer: nothing found\n"},
		"nothing behind a balancer is no good news":    {"text", Report{Objects: 3}, "3 objects, no workload behind a balancer, so no timings were judged: nothing found\n"},
		"what was piped in has a name":                 {"text", Report{Objects: 1, Workloads: 1, Findings: []drain.Finding{{Rule: "OL031", Severity: drain.Warning, Message: "one", File: "-", Line: 7}}}, "standard input\n  all objects\n    warning  OL031  standard input:7\n    seen     one\n    page     docs/rules/OL031.md\n\n1 object, 1 workload behind a balancer: 1 warning\n"},
		"GitHub's log ends with what was checked, too": {"github", quiet(), "outlast check: 12 objects, 2 workloads behind a balancer: nothing found\n"},
		"GitLab reads a list, also an empty one":       {"gitlab", quiet(), "[]\n"},
		"suppressed findings are counted apart":        {"github", Report{Objects: 1, Workloads: 1, Findings: []drain.Finding{{Rule: "OL031", Severity: drain.Error, Suppressed: "why"}}}, "outlast check: 1 object, 1 workload behind a balancer: 1 suppressed\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := write(t, tc.format, tc.r, Options{}); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestUnknownFormat(t *testing.T) {
	err := Write(&bytes.Buffer{}, "yaml", quiet(), Options{})
	if err == nil || !strings.Contains(err.Error(), `no format "yaml"; use one of text, json, sarif, junit, github, gitlab`) {
		t.Errorf("err = %v", err)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestWriterThatFails(t *testing.T) {
	for _, format := range Formats() {
		if err := Write(broken{}, format, rich(), Options{}); err == nil || !strings.Contains(err.Error(), "writing findings as "+format) {
			t.Errorf("%s: err = %v", format, err)
		}
	}
}

// TestJSONRoundTrip: a program reads what was found, to the byte where the
// bytes are text.
func TestJSONRoundTrip(t *testing.T) {
	r := rich()
	var d Document
	dec := json.NewDecoder(strings.NewReader(write(t, "json", r, Options{})))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		t.Fatal(err)
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		for _, s := range []*string{&f.Object, &f.Field, &f.Message, &f.Fix, &f.File} {
			*s = strings.ToValidUTF8(*s, "\uFFFD")
		}
	}
	want := Document{
		Schema: "outlast.check/v1", Version: "1.2.3", Root: "/src/shop", Objects: 12, Workloads: 2, Seconds: 0.412,
		Counts: Counts{Errors: 4, Warnings: 3, Infos: 1, Suppressed: 1}, Findings: sorted(r.Findings), Rules: rules(),
	}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
}

// TestOrder: no format depends on the order in which findings were made.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rich()
		other := r
		other.Findings = rapid.Permutation(r.Findings).Draw(t, "findings")
		for _, format := range Formats() {
			if diff := cmp.Diff(write(t, format, r, Options{}), write(t, format, other, Options{})); diff != "" {
				t.Fatalf("%s depends on the order:\n%s", format, diff)
			}
		}
	})
}

func TestFingerprints(t *testing.T) {
	base := sorted(rich().Findings)
	moved := sorted(rich().Findings)
	for i := range moved {
		moved[i].Line += 17
		moved[i].Message += " (and other numbers)"
	}
	if diff := cmp.Diff(fingerprints(base), fingerprints(moved)); diff != "" {
		t.Errorf("fingerprints depend on lines or numbers:\n%s", diff)
	}
	twice := append(base, base...)
	seen := map[string]bool{}
	for _, print := range fingerprints(twice) {
		if seen[print] {
			t.Errorf("fingerprint %s names two findings", print)
		}
		seen[print] = true
	}
	other := fingerprints([]drain.Finding{{Rule: "OL001", Object: "a"}, {Rule: "OL001", Object: "b"}, {Rule: "OL002", Object: "a"}, {Rule: "OL001", Object: "a", File: "f"}, {Rule: "OL001", Object: "a", Field: "f"}, {Rule: "OL001", Object: "a", Inequality: "f"}})
	for i, print := range other {
		if seen[print] {
			t.Errorf("finding %d has the name of another", i)
		}
		seen[print] = true
	}
}

// TestText: whatever the manifests say, the text has no control character, no
// line that a runner takes for a command, and no line that is wider than asked
// where words allow.
func TestText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(40, 120).Draw(t, "width")
		for line := range strings.Lines(write(t, "text", drawn(t), Options{Width: width})) {
			line = strings.TrimSuffix(line, "\n")
			for _, r := range line {
				if r != joiner && !unicode.IsPrint(r) {
					t.Fatalf("%q has the control character %U", line, r)
				}
			}
			if strings.HasPrefix(strings.TrimSpace(line), "::") || strings.Contains(line, "##") {
				t.Fatalf("%q is a command", line)
			}
		}
	})
}

func TestWrap(t *testing.T) {
	for name, tc := range map[string]struct {
		text  string
		width int
		want  []string
	}{
		"at spaces":                        {"one two three", 7, []string{"one two", "three"}},
		"a long word stays whole":          {"a spec.template.spec.containers b", 10, []string{"a", "spec.template.spec.containers", "b"}},
		"nothing is one empty line":        {"", 10, []string{""}},
		"between wide characters":          {"中文没有空格", 8, []string{"中文没有", "空格"}},
		"wide and narrow":                  {"ab中文cd efg", 6, []string{"ab中文", "cd efg"}},
		"joined emoji are one":             {"👩‍🚀👩‍🚀", 4, []string{"👩‍🚀", "👩‍🚀"}},
		"a command does not begin a line":  {"word ::error::x", 6, []string{"word", `\::error::x`}},
		"but may stand in the midst of it": {"word ::1 x", 20, []string{"word ::1 x"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, wrap(tc.text, tc.width)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestWrapKeepsTheText: wrapping loses nothing and is as narrow as words allow.
func TestWrapKeepsTheText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := plain(rapid.StringOf(rapid.SampledFrom([]rune("ab cd  éñ中文字👩\u200d🚀\u0301:#"))).Draw(t, "text"))
		width := rapid.IntRange(4, 40).Draw(t, "width")
		lines := wrap(s, width)
		bare := func(s string) string { return strings.NewReplacer(" ", "", `\`, "").Replace(s) }
		if got := bare(strings.Join(lines, "")); got != bare(s) {
			t.Fatalf("%q became %q", s, lines)
		}
		for _, line := range lines {
			if columns(line) > width && len(parts(line)) > 1 && strings.ContainsAny(line, " ") {
				t.Fatalf("%q of %q is wider than %d", line, lines, width)
			}
		}
	})
}

// anything draws texts made of what readers of some format might trip on.
func anything() *rapid.Generator[string] {
	pieces := append(strings.Split(hostile, " "), "::", ":", ",", "%", "%25", "%0A", "\n", "\r", "\x1b]0;t\x07", "##[", "#", "]]>", "<!--", "&", "[x](y)", "{0}", "\\", "/", "..", "é", "", " ", "OL001", "::error file=a::b\n", "\u0085", "\ufeff", "\U000e0001", "\xc3")
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom(pieces), rapid.String()), 0, 6).Draw(t, "pieces"), "")
	})
}

// drawn is a report of any texts.
func drawn(t *rapid.T) Report {
	text := anything()
	finding := rapid.Custom(func(t *rapid.T) drain.Finding {
		f := drain.Finding{
			Rule: rapid.SampledFrom([]string{"OL001", "OL002", "OL031", "OL099"}).Draw(t, "rule"), Severity: rapid.SampledFrom([]drain.Severity{drain.Error, drain.Warning, drain.Info}).Draw(t, "severity"),
			Object: text.Draw(t, "object"), Field: text.Draw(t, "field"), Message: text.Draw(t, "message"), Fix: text.Draw(t, "fix"), File: text.Draw(t, "file"), Line: rapid.IntRange(0, 99).Draw(t, "line"),
		}
		if rapid.Bool().Draw(t, "is suppressed") {
			f.Suppressed = text.Draw(t, "suppressed")
		}
		return f
	})
	return Report{Rules: rules(), Version: "1", Root: rapid.SampledFrom([]string{"", "/", "/src/a b", "relative"}).Draw(t, "root"), Objects: 2, Workloads: 1, Findings: rapid.SliceOfN(finding, 0, 5).Draw(t, "findings")}
}
