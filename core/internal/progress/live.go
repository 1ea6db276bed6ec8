// SPDX-License-Identifier: Apache-2.0

package progress

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// maxObjects is how many objects the live table shows; the rest are counted.
const maxObjects = 16

// table is the live view: a line a stage, and below the running one its objects.
func (s *state) table(now time.Time, width int) []string {
	var lines []string
	add := func(format string, args ...any) {
		lines = append(lines, cut(fmt.Sprintf(format, args...), width))
	}
	for _, st := range s.stages {
		switch {
		case st.start.IsZero():
			add("  · %-7s", st.name)
			continue
		case st.end.IsZero():
			add("  %s %-7s %s", spinner(now), st.name, round(now.Sub(st.start)))
		case st.failed != "":
			add("  ✗ %-7s %s  %s", st.name, round(st.end.Sub(st.start)), st.failed)
			continue
		default:
			add("  ✓ %-7s %s", st.name, round(st.end.Sub(st.start)))
			continue
		}
		for i, o := range s.objects {
			if i == maxObjects {
				add("      … and %d more", len(s.objects)-i)
				break
			}
			add("      %-34s %s", o.name, o.text)
		}
		for _, l := range s.logs {
			add("      | %s", l)
		}
	}
	return lines
}

func spinner(now time.Time) string {
	return string([]rune("⠋⠙⠹⠸⠼⠴⠦⠧")[now.UnixMilli()/200%8])
}

// cut keeps a line from wrapping, which would break the redraw.
func cut(s string, width int) string {
	if width < 20 || utf8.RuneCountInString(s) <= width-1 {
		return s
	}
	return string([]rune(s)[:width-2]) + "…"
}

// draw replaces the table on the screen.
func (d *Display) draw(now time.Time) {
	d.erase()
	lines := d.state.table(now, d.opt.Width())
	if len(lines) > 0 {
		fmt.Fprint(d.opt.W, strings.Join(lines, "\n")+"\n")
	}
	d.drawn = len(lines)
}

// erase takes the table off the screen: cursor up, clear to the end (ECMA-48 CUU, ED).
func (d *Display) erase() {
	if d.drawn > 0 {
		fmt.Fprintf(d.opt.W, "\x1b[%dA\x1b[J", d.drawn)
		d.drawn = 0
	}
}
