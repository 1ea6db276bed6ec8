// SPDX-License-Identifier: Apache-2.0

package inputs

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outlast-ci/outlast/core"
	"github.com/outlast-ci/outlast/core/internal/config"
)

func TestTheTable(t *testing.T) {
	seen := map[string]string{}
	kebab := regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	for _, in := range All() {
		for _, name := range in.Names() {
			if other := seen[name]; other != "" {
				t.Errorf("%s is a name of %s and of %s", name, other, in.Name)
			}
			seen[name] = in.Name
			if !kebab.MatchString(name) {
				t.Errorf("%s: names are lower-case words with hyphens", name)
			}
		}
		if in.Doc == "" || in.Unset == "" || strings.ContainsAny(in.Doc+in.Unset, "\n\"'|") && strings.Contains(in.Doc, "\n") {
			t.Errorf("%s: doc %q, unset %q", in.Name, in.Doc, in.Unset)
		}
		if (in.Kind == Choice) != (len(in.Choices) > 0) {
			t.Errorf("%s: kind %s with choices %v", in.Name, in.Kind, in.Choices)
		}
		for stage := range strings.FieldsSeq(in.Stages) {
			if stage != "all" && stage != getOutlast && !slices.Contains(core.Stages(), stage) {
				t.Errorf("%s: stage %q", in.Name, stage)
			}
		}
		if in.Stages == "" {
			t.Errorf("%s: nobody reads it", in.Name)
		}
	}
	if len(seen) < 40 {
		t.Errorf("%d names only", len(seen))
	}
}

func TestAValueOfEachSource(t *testing.T) {
	cases := map[string]struct {
		flags         map[string][]string
		environ       []string
		value, source string
		err           string
	}{
		"nothing":                                {nil, nil, "", "", ""},
		"a variable":                             {nil, []string{"OUTLAST_REGION=a"}, "a", "OUTLAST_REGION", ""},
		"a flag before it":                       {map[string][]string{"region": {"b"}}, []string{"OUTLAST_REGION=a"}, "b", "--region", ""},
		"an empty flag is unset":                 {map[string][]string{"region": {""}}, []string{"OUTLAST_REGION=a"}, "a", "OUTLAST_REGION", ""},
		"an empty variable is unset":             {nil, []string{"OUTLAST_REGION="}, "", "", ""},
		"the last of two flags":                  {map[string][]string{"region": {"a", "b"}}, nil, "b", "--region", ""},
		"another name":                           {map[string][]string{"aws-region": {"a"}}, nil, "a", "--aws-region", ""},
		"a flag of another name before one":      {map[string][]string{"aws-region": {"b"}}, []string{"OUTLAST_REGION=a"}, "b", "--aws-region", ""},
		"two names of one value":                 {nil, []string{"OUTLAST_REGION=a", "OUTLAST_AWS_REGION=a"}, "a", "OUTLAST_AWS_REGION", ""},
		"two names of two values":                {nil, []string{"OUTLAST_REGION=a", "OUTLAST_AWS_REGION=b"}, "", "", "reading OUTLAST_REGION and OUTLAST_AWS_REGION: they are two names of one input, and their values differ"},
		"two names of two values, one for flags": {map[string][]string{"region": {"a"}, "aws-region": {"b"}}, nil, "", "", "reading --region and --aws-region"},
		"an unknown variable":                    {nil, []string{"OUTLAST_REGOIN=a"}, "", "", `unknown variable OUTLAST_REGOIN: did you mean "OUTLAST_REGION"?`},
		"an unknown variable that is empty":      {nil, []string{"OUTLAST_REGOIN="}, "", "", ""},
		"our own output":                         {nil, []string{"OUTLAST_OUT_REASON=ok"}, "", "", ""},
		"a Service called outlast":               {nil, []string{"OUTLAST_SERVICE_HOST=1.2.3.4", "OUTLAST_PORT=tcp://1.2.3.4:80", "OUTLAST_PORT_80_TCP_ADDR=1.2.3.4"}, "", "", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s, err := Read(c.flags, c.environ)
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Fatalf("error: %v", err)
			}
			if err == nil && (s.Text("region") != c.value || s.Source("region") != c.source) {
				t.Errorf("%q from %q, want %q from %q", s.Text("region"), s.Source("region"), c.value, c.source)
			}
		})
	}
}

func TestItemsOfAListAddUp(t *testing.T) {
	s, err := Read(map[string][]string{"build-arg": {"C=3", " ", "D=two\nlines"}, "build-args": {"E=5"}}, []string{"OUTLAST_BUILD_ARG=A=1\n\n B=2 \n"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"A=1", "B=2", "C=3", "D=two\nlines", "E=5"}, s.List("build-arg")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhichAlarmsAreMeant(t *testing.T) {
	const file = "gate: {alarms: [top, latency, top]}\nenvironments: {dev: {}, prod: {gate: {alarms: [own]}}, calm: {gate: {alarms: []}}}"
	for _, c := range []struct {
		env   string
		flags []string
		want  string
	}{{"dev", nil, "[latency top]"}, {"prod", nil, "[own]"}, {"calm", nil, "[]"}, {"prod", []string{"mine", "b"}, "[b mine]"}} {
		s, err := Read(map[string][]string{"alarm": c.flags, "environment": {c.env}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if s.File, err = config.Parse("outlast.yaml", []byte(file), ScalarKeys()); err == nil {
			err = s.Choose("")
		}
		if got := fmt.Sprint(s.Alarms()); err != nil || got != c.want {
			t.Errorf("%s with %v: %s, want %s (%v)", c.env, c.flags, got, c.want, err)
		}
	}
}

func TestHelpNamesEveryInput(t *testing.T) {
	help := Help("deploy")
	var b strings.Builder
	if err := Describe(&b); err != nil {
		t.Fatal(err)
	}
	for _, in := range All() {
		if in.Stages == getOutlast || in.Secret {
			if in.ReadBy("deploy") || strings.Contains(help, "--"+in.Name+" ") || !strings.Contains(b.String(), in.Variable()) {
				t.Errorf("%s is no flag, but a variable: help says otherwise", in.Name)
			}
			continue
		}
		if !regexp.MustCompile(`(--|[ :])` + in.Name + `(\s|$)`).MatchString(help) {
			t.Errorf("deploy --help does not name %s", in.Name)
		}
		for _, word := range append([]string{"--" + in.Name, in.Variable(), in.Doc, in.Unset}, in.Aliases...) {
			if !strings.Contains(b.String(), word) {
				t.Errorf("outlast inputs does not say %q of %s", word, in.Name)
			}
		}
	}
}
