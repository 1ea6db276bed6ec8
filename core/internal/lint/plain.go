// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
)

const joiner = '\u200d' // holds emoji together

// plain makes text safe to show in one line: white space is a space, and what
// does not print (control characters, and those that turn the direction of
// writing) is shown by its number. Marks that log readers take for commands
// anywhere in a line, as "##[" on GitHub, are split.
func plain(s string) string {
	var b strings.Builder
	var last rune
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		switch {
		case unicode.IsSpace(r):
			b.WriteByte(' ')
		case r == '#' && last == '#':
			b.WriteString(`\#`)
		case unicode.IsPrint(r) || r == joiner:
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		last = r
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// lineStart keeps what begins a line from being a workflow command of GitHub,
// which spaces before it do not hinder.
func lineStart(s string) string {
	if strings.HasPrefix(s, "::") {
		return `\` + s
	}
	return s
}

// marshal gives indented JSON that is safe to print in a job's log, too: what
// does not print is an escape, and so is the second of two "#". Outside of its
// strings JSON has neither.
func marshal(v any) ([]byte, error) {
	var raw bytes.Buffer
	enc := json.NewEncoder(&raw)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	var last rune
	for _, r := range raw.String() {
		switch {
		case r == '#' && last == '#', r != '\n' && !unicode.IsPrint(r) && r < 0x10000:
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			out.WriteRune(r)
		}
		last = r
	}
	return out.Bytes(), nil
}
