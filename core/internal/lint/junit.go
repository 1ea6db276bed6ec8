// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/internal/xunit"
)

type junitSuite struct {
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Time     string       `xml:"time,attr"`
	Cases    []xunit.Case `xml:"testcase"`
}

// junit gives one test case a rule that held (skipped, where no workload is behind a
// balancer), and one a rule and object that it found: failed from FailOn on, skipped when
// all of it is suppressed, and passed with its text as output when it is milder.
func junit(r Report, o Options) ([]byte, error) {
	seconds := fmt.Sprintf("%.3f", r.Took.Seconds())
	s := junitSuite{Name: "outlast check", Time: seconds}
	known := map[string]bool{}
	for _, rule := range r.Rules {
		known[rule.ID] = true
		s.add(r, o, rule.ID)
	}
	for _, f := range r.Findings {
		if !known[f.Rule] {
			known[f.Rule] = true
			s.add(r, o, f.Rule)
		}
	}
	root := struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}{Name: s.Name, Tests: s.Tests, Failures: s.Failures, Time: seconds, Suites: []junitSuite{s}}
	out, err := xml.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, err
	}
	return append([]byte(xml.Header), append(out, '\n')...), nil
}

// add adds the cases of one rule.
func (s *junitSuite) add(r Report, o Options, rule string) {
	var objects []string
	found := map[string][]drain.Finding{}
	for _, f := range r.Findings {
		if f.Rule != rule {
			continue
		}
		if found[f.Object] == nil {
			objects = append(objects, f.Object)
		}
		found[f.Object] = append(found[f.Object], f)
	}
	name := plain(title(rule, r.names()))
	if len(objects) == 0 {
		held := xunit.Case{Class: "outlast.check", Name: name, Time: "0.000"}
		if r.Workloads == 0 { // a rule that had nothing to judge has not held
			held.Skipped = &xunit.Text{Message: "no workload is behind a balancer"}
		}
		s.count(held)
	}
	for _, object := range objects {
		c := xunit.Case{Class: "outlast.check", Name: strings.TrimSuffix(name+": "+plain(object), ": "), Time: "0.000"}
		judge(&c, found[object], o)
		s.count(c)
	}
}

func (s *junitSuite) count(c xunit.Case) {
	c.Count(&s.Tests, &s.Failures, &s.Skipped)
	s.Cases = append(s.Cases, c)
}

// judge fills in what one rule found about one object.
func judge(c *xunit.Case, findings []drain.Finding, o Options) {
	var bad, mild, suppressed []string
	severity := drain.Info
	for _, f := range findings {
		if c.File == "" {
			c.File = plain(f.File)
		}
		switch {
		case f.Suppressed != "":
			suppressed = append(suppressed, plain(f.Suppressed))
		case o.Fails(f):
			if rank(f.Severity) < rank(severity) {
				severity = f.Severity
			}
			bad = append(bad, lines(f))
		default:
			mild = append(mild, lines(f))
		}
	}
	switch {
	case len(bad) > 0:
		first, _, _ := strings.Cut(bad[0], "\n")
		c.Failure = &xunit.Text{Message: first, Type: string(severity), Text: strings.Join(append(bad, mild...), "\n\n")}
	case len(mild) > 0:
		c.Out = strings.Join(mild, "\n\n")
	default:
		c.Skipped = &xunit.Text{Message: "suppressed: " + strings.Join(suppressed, "; ")}
	}
}

// lines tells a finding in a few lines, what was seen first.
func lines(f drain.Finding) string {
	out := []string{lineStart(plain(f.Message))}
	if f.File != "" {
		out = append(out, fmt.Sprintf("at %s:%d", plain(f.File), max(f.Line, 1)))
	}
	if f.Field != "" {
		out = append(out, "field "+plain(f.Field))
	}
	if f.Fix != "" {
		out = append(out, "fix: "+plain(f.Fix))
	}
	return strings.Join(append(out, "see "+page(plain(f.Rule))), "\n")
}
