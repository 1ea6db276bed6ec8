// SPDX-License-Identifier: Apache-2.0

package inputs

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// argument is the word after the flag in a help text.
func (in Input) argument() string {
	switch in.Kind {
	case Choice:
		return " " + strings.Join(in.Choices, "|")
	case Boolean:
		return ""
	case List:
		return " ITEM..."
	case Duration:
		return " TIME"
	}
	return " TEXT"
}

// Help gives the flags of a command, a line each, under their groups'
// headings. Of deploy's, which has all of them, the rare ones are only named.
func Help(command string) string {
	var b strings.Builder
	var rare []string
	for _, g := range Table {
		var rows []string
		for _, in := range g.Inputs {
			switch {
			case !in.ReadBy(command):
			case in.Rare && command == "deploy":
				rare = append(rare, in.Name)
			default:
				rows = append(rows, fmt.Sprintf("  %-37s %s\n", "--"+in.Name+in.argument(), in.Doc))
			}
		}
		if len(rows) > 0 {
			fmt.Fprintf(&b, "%s\n%s", g.Title, strings.Join(rows, ""))
		}
	}
	if len(rare) > 0 {
		fmt.Fprintf(&b, "Also: %s\n", wrap(rare, 94))
	}
	return b.String()
}

// wrap joins words with spaces, in lines of at most width.
func wrap(words []string, width int) string {
	var b strings.Builder
	n := 0
	for i, w := range words {
		if n+len(w) > width {
			b.WriteString("\n     ")
			n = 0
		}
		if i > 0 {
			b.WriteString(" ")
		}
		b.WriteString(w)
		n += len(w) + 1
	}
	return b.String()
}

// Describe prints the whole table: each input's flag, variable, key of
// outlast.yaml, meaning, and what holds when it is unset.
func Describe(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	for i, g := range Table {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s\nFLAG\tVARIABLE\tOUTLAST.YAML\tMEANING\n", strings.ToUpper(g.Title))
		for _, in := range g.Inputs {
			key := in.Key
			if key == "" {
				key = "-"
			}
			also := ""
			if len(in.Aliases) > 0 {
				also = "; also called " + strings.Join(in.Aliases, ", ")
			}
			flag := "-"
			if in.ReadBy("deploy") {
				flag = "--" + in.Name + in.argument()
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s; unset: %s%s\n", flag, in.Variable(), key, in.Doc, in.Unset, also)
		}
	}
	return w.Flush()
}
