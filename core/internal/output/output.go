// SPDX-License-Identifier: Apache-2.0

// Package output writes what a run leaves behind for machines and people: a
// Report goes in, and the files of the output folder come out, the same on
// every CI. They are written for failed runs, too.
package output

import (
	"cmp"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/outlast-ci/outlast/core"
	"github.com/outlast-ci/outlast/core/gate"
	"github.com/outlast-ci/outlast/core/internal/ci"
	"github.com/outlast-ci/outlast/core/internal/xunit"
)

// Write writes all files but events.ndjson, which grows during the run.
// report is where report.json goes; empty: into dir. mask hides secrets that a
// pod or a tool may have told; nil: none are known.
func Write(dir, report string, r core.Report, mask func(string) string) error {
	if report == "" {
		report = filepath.Join(dir, "report.json")
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	files := map[string][]byte{
		report:                               append(text, '\n'),
		filepath.Join(dir, "outputs.env"):    []byte(Env(r)),
		filepath.Join(dir, "report.xml"):     junit(r),
		filepath.Join(dir, "summary.md"):     []byte(Summary(r)),
		filepath.Join(dir, "timeline.svg"):   []byte(timeline(r)),
		filepath.Join(dir, "manifests.yaml"): redact(r.YAML()),
	}
	var errs []error
	for path, text := range files {
		if text == nil {
			continue
		}
		if mask != nil {
			text = []byte(mask(string(text)))
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			errs = append(errs, fmt.Errorf("writing the outputs: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Output is one value that a run leaves for the next job.
type Output struct {
	Name  string // image-digest: a wrapper's output; in outputs.env OUTLAST_OUT_IMAGE_DIGEST
	Doc   string
	value func(core.Report) string
	most  int // bytes kept of it; zero: 300
}

// Variable is the output's name in outputs.env.
func (o Output) Variable() string {
	return "OUTLAST_OUT_" + strings.ToUpper(strings.ReplaceAll(o.Name, "-", "_"))
}

// Value gives the output of a run: one line of plain words, maybe empty.
func (o Output) Value(r core.Report) string {
	v := o.value(r)
	return word(v[:min(len(v), cmp.Or(o.most, 300))])
}

// Outputs lists all outputs, in order.
func Outputs() []Output {
	image := func(get func(ref, digest, tag string) string) func(core.Report) string {
		return func(r core.Report) string {
			if len(r.Refs) == 0 {
				return ""
			}
			return get(r.Refs[0].String(), r.Refs[0].Digest, r.Refs[0].Tag)
		}
	}
	return []Output{
		{Name: "result", Doc: "passed, failed or interrupted", value: func(r core.Report) string { return string(r.Result) }},
		{Name: "reason", Doc: "one word of the list in docs/exit-codes.md; ok when it passed", value: func(r core.Report) string { return r.Reason }},
		{Name: "app", Doc: "name of the application", value: func(r core.Report) string { return r.Run.App }},
		{Name: "environment", Doc: "environment of outlast.yaml", value: func(r core.Report) string { return r.Run.Environment }},
		{Name: "commit", Doc: "commit that was shipped", value: func(r core.Report) string { return r.Run.Commit }},
		{Name: "region", Doc: "AWS region", value: func(r core.Report) string { return r.Run.Region }},
		{Name: "cluster", Doc: "EKS cluster", value: func(r core.Report) string { return r.Run.Cluster }},
		{Name: "image", Doc: "first image, repository@digest", value: image(func(ref, _, _ string) string { return ref })},
		{Name: "image-digest", Doc: "its digest", value: image(func(_, digest, _ string) string { return digest })},
		{Name: "image-tag", Doc: "its tag", value: image(func(_, _, tag string) string { return tag })},
		{Name: "images", Doc: "all images, repository@digest with commas between them", most: 1500, value: func(r core.Report) string {
			var all []string
			for _, ref := range r.Refs {
				all = append(all, ref.String())
			}
			return strings.Join(all, ",")
		}},
		{Name: "manifests-sha256", Doc: "SHA-256 of what was rendered", value: func(r core.Report) string {
			if r.Manifests == nil {
				return ""
			}
			return r.Manifests.SHA256
		}},
		{Name: "seconds", Doc: "how long the run took", value: func(r core.Report) string { return fmt.Sprint(int(r.Finished.Sub(r.Started).Seconds())) }},
	}
}

// Pairs are the outputs of a run as a CI is told of them.
func Pairs(r core.Report) (pairs []ci.Pair) {
	for _, o := range Outputs() {
		pairs = append(pairs, ci.Pair{Name: o.Name, Variable: o.Variable(), Value: o.Value(r)})
	}
	return pairs
}

// Env gives the OUTLAST_OUT_ pairs of outputs.env: safe for GitLab's dotenv and
// for `set -a; . file`.
func Env(r core.Report) string {
	var b strings.Builder
	for _, o := range Outputs() {
		fmt.Fprintf(&b, "%s=%s\n", o.Variable(), o.Value(r))
	}
	return b.String()
}

// word keeps what no shell and no dotenv reader takes for syntax.
func word(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@,+", r) {
			return r
		}
		return '_'
	}, s)
}

// suite is JUnit's form of a run.
type suite struct {
	XMLName  xml.Name     `xml:"testsuite"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Cases    []xunit.Case `xml:"testcase"`
}

func (s *suite) add(c xunit.Case) {
	c.Count(&s.Tests, &s.Failures, &s.Skipped)
	s.Cases = append(s.Cases, c)
}

// tell adds one case a stage, one a workload, and one for the probe; where says in which of several
// clusters.
func (s *suite) tell(r core.Report, stages []core.StageRecord, where string) {
	for _, st := range stages {
		c := xunit.Case{Class: "outlast.stage", Name: st.Name + where, Time: fmt.Sprintf("%.3f", st.Seconds)}
		switch st.Result {
		case core.Failed, core.Interrupted:
			c.Failure = &xunit.Text{Message: string(st.Result), Text: printable(r.Error)}
		case core.Pending, core.Skipped:
			c.Skipped = &xunit.Text{Message: "not run"}
		}
		s.add(c)
	}
	for _, c := range gateCases(r) {
		c.Name += where
		s.add(c)
	}
}

// junit gives the cases of a run, or of what it did in each cluster.
func junit(r core.Report) []byte {
	s := suite{Name: "outlast " + r.Run.App + " " + r.Run.Environment}
	stages := r.Stages
	if len(r.Clusters) > 0 {
		stages = slices.DeleteFunc(slices.Clone(stages), func(s core.StageRecord) bool { return slices.Contains(ownStages(r), s) })
	}
	s.tell(r, stages, "")
	for _, one := range r.Clusters {
		s.tell(one, ownStages(one), " in "+printable(one.Run.Where()))
	}
	if s.Failures == 0 && r.Result == core.Failed { // found before the first stage
		s.add(xunit.Case{Class: "outlast.stage", Name: "checks", Time: "0.000", Failure: &xunit.Text{Message: printable(r.Reason), Text: printable(r.Error)}})
	}
	text, err := xml.MarshalIndent(s, "", "  ")
	if err != nil { // only for types that XML cannot hold, and these are strings
		return []byte("<!-- " + err.Error() + " -->\n")
	}
	return append([]byte(xml.Header), append(text, '\n')...)
}

// gateCases are those of the workloads that were waited for, and of the probe.
func gateCases(r core.Report) (cases []xunit.Case) {
	if r.Gate == nil {
		return nil
	}
	took := fmt.Sprintf("%.3f", r.Gate.Finished.Sub(r.Gate.Started).Seconds())
	for _, w := range r.Gate.Workloads {
		c := xunit.Case{Class: "outlast.gate", Name: w.Object, Time: took}
		if len(w.Problems) > 0 {
			c.Failure = &xunit.Text{Message: printable(w.Problems[0]), Text: printable(strings.Join(w.Problems, "\n"))}
		}
		cases = append(cases, c)
	}
	if p := r.Gate.Probe; p != nil {
		c := xunit.Case{Class: "outlast.gate", Name: printable("probe " + p.URL), Time: took}
		if r.Reason == string(gate.ProbeFailed) {
			c.Failure = &xunit.Text{Message: printable(p.Words()), Text: printable(r.Error)}
		}
		cases = append(cases, c)
	}
	for _, a := range r.Gate.Alarms {
		c := xunit.Case{Class: "outlast.gate", Name: printable("alarm " + a.Name), Time: took}
		if a.Raised() {
			c.Failure = &xunit.Text{Message: printable(a.Words()), Text: printable(a.Why)}
		}
		cases = append(cases, c)
	}
	return cases
}

// printable drops what XML and terminals do not take.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\n' && r != '\t' || r == 0x7f || r == 0xfffd {
			return -1
		}
		return r
	}, s)
}
