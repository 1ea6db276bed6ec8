// SPDX-License-Identifier: Apache-2.0

package ci

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/sethvargo/go-githubactions"
)

// Console gives a job's log the structure that its host can show: a fold for
// each stage, notes beside the log, and secrets that later steps may not print
// either. On a host without such things it writes nothing. Safe for concurrent use.
type Console struct {
	host string
	out  io.Writer

	mu   sync.Mutex
	told map[Level]int
}

// Level is how bad an annotation is.
type Level string

// The levels that hosts know.
const (
	Warning Level = "warning"
	Failure Level = "error"
)

// annotations is how many of a level GitHub shows of one step; it drops the
// rest without a word. https://github.com/orgs/community/discussions/26680
const annotations = 10

// Console writes to out, the job's log.
func (w World) Console(out io.Writer) *Console {
	return &Console{host: Detect(w.Getenv).Host, out: out, told: map[Level]int{}}
}

// Open starts the fold of a stage.
func (c *Console) Open(stage string) {
	switch c.host {
	case "github":
		c.write(githubLines(nil, func(a *githubactions.Action) { a.Group("outlast " + stage) }))
	case "gitlab":
		c.write(section("start", stage) + "outlast " + stage + "\n")
	}
}

// Shut ends it. What is written next stays in sight.
func (c *Console) Shut(stage string) {
	switch c.host {
	case "github":
		c.write(githubLines(nil, func(a *githubactions.Action) { a.EndGroup() }))
	case "gitlab":
		c.write(section("end", stage) + "\n")
	}
}

// section is GitLab's mark: https://docs.gitlab.com/ci/jobs/job_logs/#custom-collapsible-sections
func section(edge, stage string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '_'
	}, stage)
	return fmt.Sprintf("\x1b[0Ksection_%s:%d:outlast_%s\r\x1b[0K", edge, time.Now().Unix(), name)
}

// Hide keeps a secret out of what later steps of the job print.
func (c *Console) Hide(secret string) {
	if c.host == "github" {
		c.write(githubLines(nil, func(a *githubactions.Action) { a.AddMask(secret) }))
	}
}

// Annotate notes something beside the log. Of more than the host shows, the
// last one says that there are more.
func (c *Console) Annotate(level Level, title, message string) {
	if c.host != "github" {
		return
	}
	c.mu.Lock()
	c.told[level]++
	n := c.told[level]
	c.mu.Unlock()
	switch {
	case n > annotations:
		return
	case n == annotations:
		title, message = "outlast", fmt.Sprintf("There are more than %d of these: see the log and the summary.", annotations-1)
	}
	c.write(githubLines(map[string]string{"title": title}, func(a *githubactions.Action) {
		if level == Failure {
			a.Errorf("%s", message)
		} else {
			a.Warningf("%s", message)
		}
	}))
}

// write writes in one piece, so that lines of other writers stay whole.
func (c *Console) write(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	io.WriteString(c.out, strings.ReplaceAll(text, "\r\n", "\n")) //nolint:errcheck // a log that is gone is no reason to end a deploy
}
