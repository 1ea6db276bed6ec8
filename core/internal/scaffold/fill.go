// SPDX-License-Identifier: Apache-2.0

package scaffold

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

//go:embed files
var files embed.FS

var mark = regexp.MustCompile(`\{%(\??)([A-Za-z]+)%\}`)

// fill fills in a template: {%name%} is a value, and a line that starts with
// {%?name%} is there when the value is not empty, {%?noName%} when it is. An
// unknown name is an error. (text/template would make the linker keep every
// exported method of the program, which adds a third to its size.)
func fill(name string, values map[string]string) (string, error) {
	text, err := files.ReadFile("files/" + name)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for line := range strings.Lines(string(text)) {
		keep := true
		line = mark.ReplaceAllStringFunc(line, func(m string) string {
			parts := mark.FindStringSubmatch(m)
			key, want := parts[2], true
			if rest, ok := strings.CutPrefix(key, "no"); ok && parts[1] != "" {
				key, want = strings.ToLower(rest[:1])+rest[1:], false
			}
			value, known := values[key]
			if !known && err == nil {
				err = fmt.Errorf("filling in %s: no value is called %s", name, key)
			}
			if parts[1] != "" {
				keep = (value != "") == want
				return ""
			}
			return value
		})
		if keep {
			out.WriteString(line)
		}
	}
	return out.String(), err
}

var (
	plainScalar = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._/-]*$`)
	yamlWords   = []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
)

// quote writes a YAML scalar: as it is when no reader takes it for anything but
// text, else as JSON. Nothing stays nothing.
func quote(s string) string {
	if s == "" || plainScalar.MatchString(s) && !slices.Contains(yamlWords, strings.ToLower(s)) {
		return s
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes
	return strings.TrimSuffix(out.String(), "\n")
}

// list writes a YAML list in one line.
func list(items []string) string {
	if len(items) == 0 {
		return ""
	}
	quoted := make([]string, len(items))
	for i, item := range items {
		quoted[i] = quote(item)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// groovy writes a string that Groovy takes as it is.
func groovy(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`).Replace(s) + "'"
}
