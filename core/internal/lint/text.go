// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"fmt"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/core/drain"
)

// style of a terminal: ECMA-48 SGR parameters.
type style string

const (
	bold   style = "1"
	dim    style = "2"
	red    style = "1;31"
	yellow style = "1;33"
	cyan   style = "36"
	green  style = "32"
)

// sheet is the text as it grows.
type sheet struct {
	strings.Builder
	color bool
	width int
}

func (s *sheet) paint(text string, with style) string {
	if !s.color || text == "" {
		return text
	}
	return "\x1b[" + string(with) + "m" + text + "\x1b[0m"
}

// item writes a label and, in a column of its own, the text that it is about.
func (s *sheet) item(label, text string, with style) {
	const indent, column = 4, 13
	for i, line := range wrap(text, s.width-column) {
		if i > 0 {
			label = ""
		}
		fmt.Fprintf(s, "%*s%-*s%s\n", indent, "", column-indent, label, s.paint(line, with))
	}
}

// text is for people: by file and object, each finding with its place, what was
// seen and causes, the fix and the rule's page, and a line that counts.
func text(r Report, o Options) ([]byte, error) {
	s := &sheet{color: o.Color, width: o.Width}
	if s.width <= 0 {
		s.width = 100
	}
	s.width = max(s.width, 40)
	names := r.names()
	var suppressed []drain.Finding
	file, object, first := "", "", true
	for _, f := range r.Findings {
		if f.Suppressed != "" {
			suppressed = append(suppressed, f)
			continue
		}
		if first || f.File != file {
			fmt.Fprintf(s, "%s\n", s.paint(lineStart(or(fileName(f), "no file known")), bold))
		}
		if first || f.File != file || f.Object != object {
			fmt.Fprintf(s, "  %s\n", s.paint(lineStart(or(plain(f.Object), "all objects")), bold))
		}
		file, object, first = f.File, f.Object, false
		s.finding(f, names)
	}
	s.suppressed(suppressed, names)
	s.total(r)
	return []byte(s.String()), nil
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// fileName as people say it.
func fileName(f drain.Finding) string {
	if f.File == "-" {
		return "standard input"
	}
	return plain(f.File)
}

func (s *sheet) finding(f drain.Finding, names map[string]string) {
	word, with := string(f.Severity), cyan
	switch f.Severity {
	case drain.Error:
		with = red
	case drain.Warning:
		with = yellow
	}
	heading := plain(title(f.Rule, names))
	if f.Inequality != "" {
		heading += " (" + plain(f.Inequality) + ")"
	}
	if f.File != "" {
		heading += "  " + fmt.Sprintf("%s:%d", fileName(f), max(f.Line, 1))
	}
	fmt.Fprintf(s, "    %s%s%s\n", s.paint(plain(word), with), strings.Repeat(" ", max(1, 9-len(word))), s.paint(heading, bold))
	if f.Field != "" {
		s.item("at", plain(f.Field), "")
	}
	s.item("seen", plain(f.Message), "")
	if f.Fix != "" {
		s.item("fix", plain(f.Fix), green)
	}
	s.item("page", page(plain(f.Rule)), dim)
	s.WriteByte('\n')
}

// suppressed lists briefly what the author lives with.
func (s *sheet) suppressed(findings []drain.Finding, names map[string]string) {
	if len(findings) == 0 {
		return
	}
	fmt.Fprintf(s, "%s\n", s.paint("suppressed", bold))
	for _, f := range findings {
		indent := "  "
		for _, line := range wrap(plain(fmt.Sprintf("%s %s: %s", title(f.Rule, names), or(f.Object, "all objects"), f.Suppressed)), s.width-4) {
			fmt.Fprintf(s, "%s%s\n", indent, s.paint(line, dim))
			indent = "    "
		}
	}
	s.WriteByte('\n')
}

// total is the last line. What was looked at is in it: nothing found in nothing
// is no good news.
func (s *sheet) total(r Report) {
	c := Count(r.Findings)
	with := green
	switch {
	case c.Errors > 0:
		with = red
	case c.Warnings > 0:
		with = yellow
	}
	took := ""
	if r.Took > 0 {
		took = s.paint(fmt.Sprintf(" (%s)", r.Took.Round(time.Millisecond)), dim)
	}
	fmt.Fprintf(s, "%s: %s%s\n", r.Checked(), s.paint(c.String(), with), took)
}

// wrap breaks text of plain into lines of at most width columns: at spaces, and
// between characters that are two columns wide, as Chinese is written without
// spaces. A word that is longer stays whole, so that it can be copied.
func wrap(s string, width int) (lines []string) {
	line, used := "", 0
	end := func() { lines, line, used = append(lines, line), "", 0 }
	for _, word := range strings.Fields(s) {
		for i, part := range parts(word) {
			gap := ""
			if i == 0 && line != "" {
				gap = " "
			}
			if line != "" && used+len(gap)+columns(part) > width {
				end()
				gap = ""
			}
			if line == "" {
				part = lineStart(part)
			}
			line += gap + part
			used += len(gap) + columns(part)
		}
	}
	if line != "" || len(lines) == 0 {
		end()
	}
	return lines
}

// parts cuts a word where a line may end: after a wide character.
func parts(word string) (cut []string) {
	from := 0
	for i, r := range word {
		if i > from && cells(r) > 0 && r != joiner && wideBefore(word[from:i]) {
			cut = append(cut, word[from:i])
			from = i
		}
	}
	return append(cut, word[from:])
}

// wideBefore tells whether text ends in a wide character that nothing joins to the next.
func wideBefore(text string) bool {
	runes := []rune(text)
	for i := len(runes) - 1; i >= 0; i-- {
		if n := cells(runes[i]); n > 0 || runes[i] == joiner {
			return n == 2
		}
	}
	return false
}

func columns(s string) (n int) {
	for _, r := range s {
		n += cells(r)
	}
	return n
}
