// SPDX-License-Identifier: Apache-2.0

package source

import (
	"fmt"
	"strconv"
	"strings"

	"pgregory.net/rapid"
)

// object is a mapping in its order.
type object []entry

type entry struct {
	key   string
	value any // object, []any or a scalar
}

// plain makes of it what the YAML decoder gives.
func plain(v any) any {
	switch v := v.(type) {
	case object:
		m := map[string]any{}
		for _, e := range v {
			m[e.key] = plain(e.value)
		}
		return m
	case []any:
		l := []any{}
		for _, e := range v {
			l = append(l, plain(e))
		}
		return l
	}
	return v
}

var (
	keys   = []string{"a", "b", "name", "key", "on", "123", "x.y/z", "it's", "two words", "é", "a: b", "null", "#", "~", "true", ""}
	words  = []string{"x", "sleep", "many words in one line", "a,b", "http://x/y", "it's", "é ß", "x#y", "-1s", "a[0]{b}", "5m"}
	tricky = []string{"", "true", "0", "on", "null", "a: b", "x # y", " lead", "trail ", "- x", "{x}", "[", "&a", "*a", "!t", "%", "@", "\"q\"", "'s'", "\ttab", "back\\slash", "1e3", "0x10", "2001-01-01", "<<", "=", "|", "---"}
	many   = []string{"one\n", "one\ntwo\n", "one\n\n# two\n  three\n", "#!/bin/sh\nsleep 5", "one\n\n", "a: b\n- c\n\n\n"}
)

func scalars() *rapid.Generator[any] {
	return rapid.OneOf(
		rapid.SampledFrom(append(append(append([]string{}, words...), tricky...), many...)).AsAny(),
		rapid.SampledFrom([]any{0, 40, -1, true, false, nil, 1.5}),
	)
}

// values are scalars, and lists and mappings that are not too deep.
func values(depth int) *rapid.Generator[any] {
	if depth == 0 {
		return scalars()
	}
	return rapid.Custom(func(t *rapid.T) any {
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0, 1:
			return objects(depth).Draw(t, "object")
		case 2:
			return rapid.SliceOfN(values(depth-1), 0, 4).Draw(t, "list")
		}
		return scalars().Draw(t, "scalar")
	})
}

func objects(depth int) *rapid.Generator[object] {
	return rapid.Custom(func(t *rapid.T) object {
		o := object{}
		for _, k := range rapid.SliceOfNDistinct(rapid.SampledFrom(keys), 0, 5, rapid.ID).Draw(t, "keys") {
			o = append(o, entry{k, values(depth-1).Draw(t, "value")})
		}
		return o
	})
}

// printer writes values in every style that YAML has, and notes which lines
// each takes.
type printer struct {
	t     *rapid.T
	b     strings.Builder
	line  int // from 1
	at    map[string]span
	calm  bool // empty lines would belong to the scalar above
	quiet bool // no comments
}

// span is the lines of a value with its key.
type span struct {
	first, last int
	flow        bool // of its parent
}

func (p *printer) put(s string) {
	p.b.WriteString(s)
	p.line += strings.Count(s, "\n")
}

func (p *printer) coin(name string) bool { return rapid.IntRange(0, 3).Draw(p.t, name) == 3 }

func (p *printer) spaces(least int) string {
	return strings.Repeat(" ", least+max(0, rapid.IntRange(-6, 3).Draw(p.t, "spaces")))
}

// eol ends a line, often with a comment.
func (p *printer) eol() {
	if !p.quiet && p.coin("comment") {
		p.put(rapid.SampledFrom([]string{" # c", "\t# c\t: d", "   #", " # 'x: {", " "}).Draw(p.t, "comment"))
	}
	p.put("\n")
}

// between writes comments and empty lines before an entry.
func (p *printer) between(col int) {
	for !p.quiet && p.coin("between") {
		if p.calm {
			p.put(strings.Repeat(" ", col) + "# below\n")
		} else {
			p.put(rapid.SampledFrom([]string{"\n", strings.Repeat(" ", col) + "# above: x\n", " \n"}).Draw(p.t, "between"))
		}
		p.calm = false
	}
	p.calm = false
}

// block writes a value that follows "key:" or "-" on its line; indent is the
// column that lines of it must be deeper than.
func (p *printer) block(v any, path string, indent int, inMapping bool) {
	switch v := v.(type) {
	case object:
		if len(v) == 0 || p.coin("flow") {
			break
		}
		col := indent + 1 + rapid.IntRange(0, 4).Draw(p.t, "deeper")
		if !inMapping && !p.coin("below") { // - a: b
			pad := p.spaces(1)
			p.put(pad)
			p.object(v, path, indent+1+len(pad), true)
			return
		}
		p.below(inMapping)
		p.object(v, path, col, false)
		return
	case []any:
		if len(v) == 0 || p.coin("flow") {
			break
		}
		if !inMapping && !p.coin("below") { // - - a
			pad := p.spaces(1)
			p.put(pad)
			p.list(v, path, indent+1+len(pad), true)
			return
		}
		col := indent + 1 + rapid.IntRange(0, 2).Draw(p.t, "deeper")
		if inMapping && indent >= 0 && p.coin("same") {
			col = indent
		}
		p.below(inMapping)
		p.list(v, path, col, false)
		return
	}
	if v == nil && p.coin("nothing") {
		p.below(inMapping)
		return
	}
	p.put(p.spaces(1))
	if s, ok := v.(string); ok && strings.HasSuffix(s, "\n") && p.coin("literal") {
		p.literal(s, indent)
		return
	}
	p.flow(v, path, indent+1, false)
	p.eol()
}

// below ends the line of a key or a dash; no tab may follow a dash.
func (p *printer) below(key bool) {
	if key {
		p.eol()
		return
	}
	p.put(rapid.SampledFrom([]string{"\n", " \n"}).Draw(p.t, "below"))
}

func (p *printer) literal(s string, indent int) {
	body := strings.TrimRight(s, "\n")
	switch len(s) - len(body) {
	case 1:
		p.put("|")
	default:
		p.put("|+")
		p.calm = true
	}
	p.eol()
	pad := strings.Repeat(" ", max(0, indent)+rapid.IntRange(1, 4).Draw(p.t, "literal"))
	for l := range strings.Lines(body) {
		if l != "\n" {
			p.put(pad)
		}
		p.put(l)
	}
	p.put(s[len(body):])
}

func (p *printer) object(o object, path string, col int, inline bool) {
	for i, e := range o {
		if i > 0 || !inline {
			p.between(col)
			p.put(strings.Repeat(" ", col))
		}
		first, sub := p.line, path+"/"+e.key
		p.key(e.key, false)
		p.put(":")
		p.block(e.value, sub, col, true)
		p.at[sub] = span{first, p.line - 1, false}
	}
}

func (p *printer) list(l []any, path string, col int, inline bool) {
	for i, v := range l {
		if i > 0 || !inline {
			p.between(col)
			p.put(strings.Repeat(" ", col))
		}
		first, sub := p.line, path+"/"+strconv.Itoa(i)
		p.put("-")
		p.block(v, sub, col, false)
		p.at[sub] = span{first, p.line - 1, false}
	}
}

func (p *printer) key(k string, flow bool) {
	if map[string]bool{"a": true, "b": true, "name": true, "key": true, "x.y/z": true, "two words": true, "é": true, "it's": true, "123": true}[k] && !p.coin("quoted") {
		p.put(k)
		return
	}
	p.quoted(k)
}

func (p *printer) quoted(s string) {
	if !strings.Contains(s, "\n") && p.coin("single") {
		p.put("'" + strings.ReplaceAll(s, "'", "''") + "'")
		return
	}
	p.put(strconv.Quote(s))
}

// gap is what may stand between the tokens of a flow.
func (p *printer) gap(indent int) {
	switch rapid.IntRange(0, 9).Draw(p.t, "gap") {
	case 0:
		p.put(" ")
	case 1:
		p.put("\n" + strings.Repeat(" ", indent+1))
	case 2:
		if !p.quiet {
			p.put(" # {, in a flow\n" + strings.Repeat(" ", indent))
		}
	}
}

// flow writes a value into a line, or several in brackets and quotes.
func (p *printer) flow(v any, path string, indent int, inFlow bool) {
	switch v := v.(type) {
	case object:
		p.put("{")
		p.gap(indent)
		for i, e := range v {
			first, sub := p.line, path+"/"+e.key
			p.key(e.key, true)
			p.put(": ")
			p.gap(indent)
			p.flow(e.value, sub, indent, true)
			p.at[sub] = span{first, p.line, true}
			p.comma(i == len(v)-1, indent)
		}
		p.put("}")
	case []any:
		p.put("[")
		p.gap(indent)
		for i, e := range v {
			first, sub := p.line, path+"/"+strconv.Itoa(i)
			p.flow(e, sub, indent, true)
			p.at[sub] = span{first, p.line, true}
			p.comma(i == len(v)-1, indent)
		}
		p.put("]")
	case string:
		p.word(v, indent, inFlow)
	case nil:
		p.put(rapid.SampledFrom([]string{"null", "~"}).Draw(p.t, "null"))
	default:
		p.put(fmt.Sprint(v))
	}
}

func (p *printer) comma(last bool, indent int) {
	p.gap(indent)
	if !last || p.coin("trailing") {
		p.put(",")
		p.gap(indent)
	}
}

func (p *printer) word(s string, indent int, inFlow bool) {
	for _, b := range words {
		if b != s || inFlow && strings.ContainsAny(s, ",[]{}") || p.coin("quoted") {
			continue
		}
		if p.coin("folded") {
			s = strings.ReplaceAll(s, " ", "\n"+strings.Repeat(" ", indent+1))
		}
		p.put(s)
		return
	}
	if strings.Contains(s, " ") && !strings.Contains(s, "\n") && p.coin("continued") {
		first, second, _ := strings.Cut(strconv.Quote(s), " ")
		p.put(first + " \\\n" + strings.Repeat(" ", indent+1) + second)
		return
	}
	p.quoted(s)
}
