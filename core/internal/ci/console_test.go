// SPDX-License-Identifier: Apache-2.0

package ci

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

func TestTheConsoleSpeaksItsHostsLanguage(t *testing.T) {
	script := func(c *Console) {
		c.Open("gate")
		c.Hide("s3cret,100%\n::x")
		c.Annotate(Warning, "outlast gate: a,b", "100% sure\nof ::error::it")
		c.Annotate(Failure, "t", "m")
		c.Shut("gate")
	}
	cases := map[string]struct {
		env  string
		want string // times are 0
	}{
		"GitHub": {"GITHUB_ACTIONS=true", "::group::outlast gate\n::add-mask::s3cret,100%25%0A::x\n" +
			"::warning title=outlast gate%3A a%2Cb::100%25 sure%0Aof ::error::it\n::error title=t::m\n::endgroup::\n"},
		"GitLab":                          {"GITLAB_CI=true", "\x1b[0Ksection_start:0:outlast_gate\r\x1b[0Koutlast gate\n\x1b[0Ksection_end:0:outlast_gate\r\x1b[0K\n"},
		"Jenkins, which knows none of it": {"JENKINS_URL=x", ""},
		"a terminal":                      {"CI=", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			script(World{Environ: []string{c.env}}.Console(&out))
			if got := regexp.MustCompile(`:\d{9,}:`).ReplaceAllString(out.String(), ":0:"); got != c.want {
				t.Errorf("%q\nwant %q", got, c.want)
			}
		})
	}
}

func TestAnnotationsAreCapped(t *testing.T) {
	var out strings.Builder
	c := World{Environ: []string{"GITHUB_ACTIONS=true"}}.Console(&out)
	for i := range 25 {
		c.Annotate(Warning, "t", fmt.Sprint("w", i))
		c.Annotate(Failure, "t", fmt.Sprint("e", i))
	}
	for _, level := range []string{"warning", "error"} {
		if n := strings.Count(out.String(), "::"+level+" title="); n != 10 {
			t.Errorf("%d of level %s", n, level)
		}
		if !strings.Contains(out.String(), "::"+level+" title=outlast::There are more than 9 of these: see the log and the summary.\n") {
			t.Errorf("the last %s does not tell of more", level)
		}
	}
}

// broken is a log that is gone.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("gone") }

func TestALogThatIsGoneEndsNothing(t *testing.T) {
	c := World{Environ: []string{"GITHUB_ACTIONS=true"}}.Console(broken{})
	c.Open("build")
	c.Annotate(Failure, "t", "m")
	c.Hide("secret")
	c.Shut("build")
}
