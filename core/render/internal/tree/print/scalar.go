// SPDX-License-Identifier: Apache-2.0

package print

import (
	"regexp"
	"strconv"
	"strings"

	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// width is where the encoder begins to break lines at spaces.
const width = 80

// key writes a key of one word.
func (w *writer) key(s string) bool {
	if len(s) >= 100 || strings.Contains(s, " ") {
		return false
	}
	switch style(s) {
	case plain:
		w.b = append(append(w.b, s...), ':')
	case double:
		w.b = append(append(append(w.b, '"'), s...), '"', ':')
	default:
		return false
	}
	return true
}

// scalar writes a value that is not empty of meaning: texts, whole numbers,
// booleans and null.
func (w *writer) scalar(n *kyaml.Node, indent int, flow bool) bool {
	tag := n.ShortTag()
	if !usual(n, tag, flow) {
		return false
	}
	switch s := n.Value; tag {
	case "!!str":
		return w.text(s, n.Style, indent)
	case "!!int":
		if !integer.MatchString(s) || n.Style != 0 {
			return false
		}
		w.b = append(w.b, s...)
	case "!!bool":
		if s != "true" && s != "false" || n.Style != 0 {
			return false
		}
		w.b = append(w.b, s...)
	case "!!null":
		if n.Style != 0 || s != "null" && s != "~" && (s != "" || flow || n.Tag == "") {
			return false
		}
		w.b = append(w.b, "null"...)
	default:
		return false
	}
	w.b = append(w.b, '\n')
	return true
}

var integer = regexp.MustCompile(`^(0|-?[1-9][0-9]{0,15})$`)

// text writes a text of ASCII.
func (w *writer) text(s string, was kyaml.Style, indent int) bool {
	if strings.Contains(s, "\n") {
		return was&kyaml.FoldedStyle == 0 && w.literal(s, indent) // what is folded changes when it is encoded
	}
	if was&kyaml.FoldedStyle != 0 && strings.Contains(s, " ") {
		return false
	}
	start := len(w.b)
	switch style(s) {
	case plain:
		w.b = append(w.b, s...)
	case single:
		w.b = append(append(append(w.b, '\''), strings.ReplaceAll(s, "'", "''")...), '\'')
	case double:
		w.b = append(append(append(w.b, '"'), s...), '"')
	default:
		return false
	}
	if strings.Contains(s, " ") && w.column(start)+len(w.b)-start >= width {
		return false
	}
	w.b = append(w.b, '\n')
	return true
}

// column is where a place in the text stands in its line.
func (w *writer) column(at int) int {
	for i := at; i > 0; i-- {
		if w.b[i-1] == '\n' {
			return at - i
		}
	}
	return at
}

// literal writes a text of several lines behind a |.
func (w *writer) literal(s string, indent int) bool {
	if s[0] == ' ' || s[0] == '\n' || s[len(s)-1] == ' ' || strings.Contains(s, " \n") {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '\n' && (c < ' ' || c > '~') {
			return false
		}
	}
	w.b = append(w.b, '|')
	switch body := strings.TrimRight(s, "\n"); len(s) - len(body) {
	case 0:
		w.b = append(w.b, '-')
	case 1:
	default:
		return false
	}
	w.b = append(w.b, '\n')
	for line := range strings.Lines(s) {
		if line != "\n" {
			w.indent(indent + 2)
		}
		w.b = append(w.b, line...)
	}
	if s[len(s)-1] != '\n' {
		w.b = append(w.b, '\n')
	}
	return true
}

// The styles in which the encoder writes a text of one line.
const (
	unknown = iota
	plain
	single
	double
)

// style follows the encoder (go.yaml.in/yaml/v2: stringv, analyze_scalar).
func style(s string) int {
	if s == "" {
		return double
	}
	quoted := strings.IndexByte("#,[]{}&*!|>'\"%@`", s[0]) >= 0 || s[0] == ' ' || s[len(s)-1] == ' ' || strings.HasPrefix(s, "---") || strings.HasPrefix(s, "...")
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c > '~' {
			return unknown
		}
		blank := i+1 == len(s) || s[i+1] == ' ' // behind it
		switch c {
		case ':':
			quoted = quoted || blank
		case '?', '-':
			quoted = quoted || i == 0 && blank
		case '#':
			quoted = quoted || i > 0 && s[i-1] == ' '
		}
	}
	switch {
	case date.MatchString(s):
		return unknown
	case !resolved(s) && quoted:
		return single
	case !resolved(s):
		return plain
	case strings.ContainsAny(s, `"\`):
		return unknown
	}
	return double
}

// resolved: without quotes the text would be a number, a boolean or so to YAML
// 1.1.
func resolved(s string) bool {
	switch s[0] {
	case '+', '-', '.', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return reserved[s] || number(s)
	case 'y', 'Y', 'n', 'N', 't', 'T', 'f', 'F', 'o', 'O', '~':
		return reserved[s]
	}
	return false
}

// reserved are the words of YAML 1.1.
var reserved = map[string]bool{
	"y": true, "Y": true, "yes": true, "Yes": true, "YES": true, "on": true, "On": true, "ON": true, "true": true, "True": true, "TRUE": true,
	"n": true, "N": true, "no": true, "No": true, "NO": true, "off": true, "Off": true, "OFF": true, "false": true, "False": true, "FALSE": true,
	"null": true, "Null": true, "NULL": true, "~": true,
	".nan": true, ".NaN": true, ".NAN": true, ".inf": true, ".Inf": true, ".INF": true, "+.inf": true, "+.Inf": true, "+.INF": true, "-.inf": true, "-.Inf": true, "-.INF": true,
}

var (
	float  = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
	base60 = regexp.MustCompile(`^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$`)
	date   = regexp.MustCompile(`^[0-9]{4}-[0-9]`)
)

func number(s string) bool {
	bare := strings.ReplaceAll(s, "_", "")
	if _, err := strconv.ParseInt(bare, 0, 64); err == nil {
		return true
	}
	if _, err := strconv.ParseUint(bare, 0, 64); err == nil {
		return true
	}
	if s[0] == '.' {
		_, err := strconv.ParseFloat(s, 64)
		return err == nil
	}
	if float.MatchString(bare) {
		_, err := strconv.ParseFloat(bare, 64)
		return err == nil
	}
	return base60.MatchString(s)
}
