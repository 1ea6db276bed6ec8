// SPDX-License-Identifier: Apache-2.0

// Package hook reads the preStop hooks that authors write: how long one takes, and
// whether that can be known.
package hook

import (
	"math"
	"regexp"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/render/internal/node"
)

// Hook is one container's preStop.
type Hook struct {
	Name    string // of the container
	Path    []string
	Written bool          // there is a preStop
	Seconds drain.Seconds // how long it takes: exactly, or at least when more follows a sleep
	Known   bool          // seconds can be trusted
	Sidecar bool          // of a native sidecar: it is not asked for, but the grace has to cover it
	Native  bool          // sleep: needs no program in the image
	Stated  bool          // the author says how long it takes
	What    string        // how messages name it
	Program string        // what an exec hook runs
	Script  []string      // path of the string in which a leading sleep stands, when more follows it
}

// Shell matches the words for a shell; a script may be a sleep, or begin with one and go on.
var (
	sleepWord = regexp.MustCompile(`^(?:/usr)?(?:/bin/)?sleep$`)
	Shell     = regexp.MustCompile(`^(?:(?:/usr)?/bin/)?(?:sh|bash|ash|dash|busybox)$`)
	sleepLine = regexp.MustCompile(`^\s*(?:exec\s+)?(?:(?:/usr)?/bin/)?sleep\s+([0-9]+(?:\.[0-9]+)?[smh]?)\s*(.*)$`)
)

// Read understands sleep, exec of sleep N, and a shell's sleep N, alone or before something else.
func Read(c *yaml.RNode) Hook {
	pre := node.At(c, "lifecycle", "preStop")
	if pre == nil {
		return Hook{Known: true}
	}
	h := Hook{Written: true}
	if n, ok := node.Int(pre, "sleep", "seconds"); ok {
		h.Seconds, h.Native, h.Known, h.What = drain.Seconds(min(max(n, 0), 86_400)), true, true, "sleep"
		return h
	}
	var words []string
	for _, e := range node.Elements(pre, "exec", "command") {
		words = append(words, e.YNode().Value)
	}
	switch n := len(words); {
	case n == 0:
		h.What = "a handler that is no exec and no sleep"
		for _, kind := range []string{"httpGet", "tcpSocket"} {
			if node.At(pre, kind) != nil {
				h.What = kind
			}
		}
	case n == 2 && sleepWord.MatchString(words[0]):
		h.Program = words[0]
		h.Seconds, h.Known = sleepTime(words[1])
	case n == 3 && Shell.MatchString(words[0]) && strings.HasPrefix(words[1], "-") && strings.Contains(words[1], "c"):
		h.Program = words[0]
		if m := sleepLine.FindStringSubmatch(strings.ReplaceAll(words[2], "\n", "; ")); m != nil {
			h.Seconds, h.Known = sleepTime(m[1])
			if rest := strings.Trim(m[2], "; \t"); rest != "" {
				h.Script = []string{"exec", "command", "2"}
			}
		}
	default:
		h.Program = words[0]
	}
	if len(words) > 0 {
		h.What = "exec " + strings.Join(words, " ")
	}
	return h
}

// sleepTime reads sleep's argument, rounded down to whole seconds.
func sleepTime(text string) (drain.Seconds, bool) {
	unit := 1.0
	switch {
	case strings.HasSuffix(text, "m"):
		unit = 60
	case strings.HasSuffix(text, "h"):
		unit = 3600
	}
	n, err := strconv.ParseFloat(strings.TrimRight(text, "smh"), 64)
	if err != nil || n < 0 || math.IsNaN(n) || n*unit > 86_400 {
		return 0, false
	}
	return drain.Seconds(n * unit), true
}

// Resleep puts another time into the sleep that a script begins with.
func Resleep(script string, want drain.Seconds) string {
	at := sleepLine.FindStringSubmatchIndex(strings.ReplaceAll(script, "\n", ";"))
	if at == nil {
		return script
	}
	return script[:at[2]] + strconv.FormatInt(int64(want), 10) + script[at[3]:]
}
