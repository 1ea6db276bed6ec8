// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"io"
	"strings"
)

// Tame gives a writer of text that may quote what somebody else wrote, such as
// the name of an object: no line of it is a command to the CI (::error::, ##[),
// and no control character moves the terminal's cursor. Each Write holds whole lines.
func Tame(w io.Writer) io.Writer { return tame{w} }

type tame struct{ w io.Writer }

func (t tame) Write(p []byte) (int, error) {
	lines := strings.Split(string(p), "\n")
	for i, line := range lines {
		line = strings.Map(func(r rune) rune {
			if r < 0x20 && r != '\t' || r >= 0x7f && r < 0xa0 {
				return ' '
			}
			return r
		}, line)
		if start := strings.TrimLeft(line, " \t"); strings.HasPrefix(start, "::") || strings.HasPrefix(start, "##[") {
			line = "> " + line
		}
		lines[i] = line
	}
	if _, err := io.WriteString(t.w, strings.Join(lines, "\n")); err != nil {
		return 0, err
	}
	return len(p), nil
}
