// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/outlast-ci/outlast/core/drain"
)

// schemaOf reads a schema; testdata/schema/README.md says where each is from.
func schemaOf(t *testing.T, path string) *jsonschema.Schema {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // only read
	doc, err := jsonschema.UnmarshalJSON(file)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func validate(t interface {
	Helper()
	Fatalf(string, ...any)
}, schema *jsonschema.Schema, text string) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatalf("no JSON: %v\n%s", err, text)
	}
	if err := schema.Validate(doc); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}

func TestSARIFSchema(t *testing.T) {
	schema := schemaOf(t, "testdata/schema/sarif-2.1.0-rtm.5.json")
	validate(t, schema, write(t, "sarif", quiet(), Options{}))
	validate(t, schema, write(t, "sarif", rich(), Options{}))
	bad, err := jsonschema.UnmarshalJSON(strings.NewReader(strings.Replace(write(t, "sarif", rich(), Options{}), `"level": "error"`, `"level": "fatal"`, 1)))
	if err != nil || schema.Validate(bad) == nil {
		t.Errorf("the schema takes a level that SARIF does not have (%v)", err)
	}
	rapid.Check(t, func(t *rapid.T) { validate(t, schema, write(t, "sarif", drawn(t), Options{})) })
}

// TestSARIFReaders: what the schema cannot say, but code scanning relies on.
func TestSARIFReaders(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawn(t)
		var log sarifLog
		if err := json.Unmarshal([]byte(write(t, "sarif", r, Options{})), &log); err != nil {
			t.Fatal(err)
		}
		run := log.Runs[0]
		if len(run.Results) != len(r.Findings) || len(run.Tool.Driver.Rules) != len(r.Rules) {
			t.Fatalf("%d results of %d findings, %d rules", len(run.Results), len(r.Findings), len(run.Tool.Driver.Rules))
		}
		for i, f := range sorted(r.Findings) {
			got := run.Results[i]
			if at := got.RuleIndex; at != nil && run.Tool.Driver.Rules[*at].ID != got.RuleID {
				t.Fatalf("result of %s points to rule %s", got.RuleID, run.Tool.Driver.Rules[*at].ID)
			}
			if (f.Suppressed != "") != (len(got.Suppressions) == 1) {
				t.Fatalf("suppressed %q gave %v", f.Suppressed, got.Suppressions)
			}
			where := got.Locations[0].Physical
			uri, err := url.Parse(where.Artifact.URI)
			if err != nil || uri.Scheme != "" || uri.Host != "" || where.Artifact.URI == "" {
				t.Fatalf("%q of %q is no relative reference (%v)", where.Artifact.URI, f.File, err)
			}
			if where.Region.StartLine < 1 {
				t.Fatalf("line %d", where.Region.StartLine)
			}
		}
	})
}

// TestJUnitReaders reads the report as CI servers do: strictly, and by counting.
func TestJUnitReaders(t *testing.T) {
	type suite struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Skipped  int `xml:"skipped,attr"`
		Cases    []struct {
			Class   string    `xml:"classname,attr"`
			Name    string    `xml:"name,attr"`
			Failure *struct{} `xml:"failure"`
			Skipped *struct{} `xml:"skipped"`
		} `xml:"testcase"`
	}
	rapid.Check(t, func(t *rapid.T) {
		r, o := drawn(t), Options{FailOn: rapid.SampledFrom([]drain.Severity{"", drain.Error, drain.Warning, drain.Info, Never}).Draw(t, "fail on")}
		text := write(t, "junit", r, o)
		dec := xml.NewDecoder(strings.NewReader(text))
		for {
			if _, err := dec.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("not well-formed: %v\n%s", err, text)
			}
		}
		var root struct {
			XMLName xml.Name `xml:"testsuites"`
			Suites  []suite  `xml:"testsuite"`
		}
		if err := xml.Unmarshal([]byte(text), &root); err != nil {
			t.Fatal(err)
		}
		if len(root.Suites) != 1 {
			t.Fatalf("%d suites\n%s", len(root.Suites), text)
		}
		s := root.Suites[0]
		failures, skipped := map[string]bool{}, 0
		for _, c := range s.Cases {
			if c.Name == "" || c.Class == "" {
				t.Fatalf("a case without a name\n%s", text)
			}
			if c.Failure != nil {
				failures[c.Name] = true
			}
			if c.Skipped != nil {
				skipped++
			}
		}
		if s.Tests != len(s.Cases) || s.Failures < len(failures) || s.Skipped != skipped || s.Tests < len(r.Rules) {
			t.Fatalf("counts %d, %d, %d of %d cases\n%s", s.Tests, s.Failures, s.Skipped, len(s.Cases), text)
		}
		bad := slices.ContainsFunc(r.Findings, func(f drain.Finding) bool {
			return f.Suppressed == "" && o.FailOn != Never && rank(f.Severity) <= rank(drain.Severity(or(string(o.FailOn), "error")))
		})
		if bad != (s.Failures > 0) {
			t.Fatalf("%d failures of %v from %q on", s.Failures, r.Findings, o.FailOn)
		}
	})
}

// command reads a line as GitHub's runner does (ActionCommand.TryParseV2):
// spaces before it do not count, the properties end at the next "::".
func command(line string) (name string, properties map[string]string, message string, ok bool) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(line), "::")
	if !ok {
		return "", nil, "", false
	}
	head, message, ok := strings.Cut(rest, "::")
	if !ok {
		return "", nil, "", false
	}
	name, list, _ := strings.Cut(head, " ")
	properties = map[string]string{}
	for pair := range strings.SplitSeq(list, ",") {
		key, value, _ := strings.Cut(pair, "=")
		properties[key] = strings.NewReplacer("%0D", "\r", "%0A", "\n", "%3A", ":", "%2C", ",", "%25", "%").Replace(value)
	}
	return name, properties, strings.NewReplacer("%0D", "\r", "%0A", "\n", "%25", "%").Replace(message), true
}

// TestGitHubReadsBack: the runner sees one command a finding, with the place and
// the texts that were meant, and nothing that a text smuggled in.
func TestGitHubReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawn(t)
		out := write(t, "github", r, Options{})
		lines := strings.FieldsFunc(out, func(c rune) bool { return c == '\n' || c == '\r' })
		var seen []string
		for _, line := range lines[:len(lines)-1] {
			name, properties, message, ok := command(line)
			if !ok || !slices.Contains([]string{"error", "warning", "notice"}, name) || len(properties) != 3 {
				t.Fatalf("%q is command %q with %q", line, name, properties)
			}
			if n, err := strconv.Atoi(properties["line"]); err != nil || n < 1 {
				t.Fatalf("line %q", properties["line"])
			}
			seen = append(seen, fmt.Sprint(name, properties["file"], properties["title"], message))
		}
		if _, _, _, ok := command(lines[len(lines)-1]); ok || strings.Contains(out, "##") {
			t.Fatalf("%q is a command", out)
		}
		var want []string
		for _, f := range r.Findings {
			if f.Suppressed != "" {
				continue
			}
			file, _ := place(f, sorted(r.Findings))
			message := plain(f.Message)
			if f.Field != "" {
				message = plain(f.Field) + ": " + message
			}
			if f.Fix != "" {
				message += "\nFix: " + plain(f.Fix)
			}
			want = append(want, fmt.Sprint(githubLevel(f.Severity), plain(file), plain(title(f.Rule, r.names())+" "+f.Object), message+"\nSee docs/rules/"+f.Rule+".md"))
		}
		slices.Sort(seen)
		slices.Sort(want)
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Fatalf("the runner reads (-want +got):\n%s", diff)
		}
	})
}

// TestGitLabReaders: each issue has what GitLab demands, and a name of its own;
// of two with one name it shows one.
func TestGitLabReaders(t *testing.T) {
	schema := schemaOf(t, "testdata/schema/gitlab-code-quality.json")
	validate(t, schema, write(t, "gitlab", rich(), Options{}))
	rapid.Check(t, func(t *rapid.T) {
		r := drawn(t)
		text := write(t, "gitlab", r, Options{})
		validate(t, schema, text)
		var issues []struct{ Fingerprint string }
		if err := json.Unmarshal([]byte(text), &issues); err != nil {
			t.Fatal(err)
		}
		c, seen := Count(r.Findings), map[string]bool{}
		for _, issue := range issues {
			if seen[issue.Fingerprint] {
				t.Fatalf("%s twice", issue.Fingerprint)
			}
			seen[issue.Fingerprint] = true
		}
		if len(issues) != c.Errors+c.Warnings+c.Infos {
			t.Fatalf("%d issues of %v", len(issues), c)
		}
	})
}

// TestJUnitOfNothing: a rule that had no workload to judge is not said to hold.
func TestJUnitOfNothing(t *testing.T) {
	for workloads, want := range map[int]string{0: `skipped="1"`, 1: `skipped="0"`} {
		out, err := junit(Report{Objects: 3, Workloads: workloads, Rules: []Rule{{ID: "OL001", Name: "pre-stop-too-short"}}}, Options{})
		if err != nil || !strings.Contains(string(out), want) || strings.Contains(string(out), "no workload") != (workloads == 0) {
			t.Errorf("%d workloads (%v):\n%s", workloads, err, out)
		}
	}
}
