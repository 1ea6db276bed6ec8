// SPDX-License-Identifier: Apache-2.0

// Package hook reads the preStop hooks that authors write: how long one takes, and
// whether that can be known.
package hook

import (
	"fmt"
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
	Time    []string      // path, below Path, of the string in which the time of an exec hook stands; nil: it cannot be told
	Rest    drain.Seconds // of Seconds, what sleeps after the first take
	More    bool          // more follows the sleeps, and has to stay
}

// Shell matches the words for a shell.
var Shell = regexp.MustCompile(`^(?:/.*/|/)?(?:sh|bash|ash|dash|ksh|zsh|busybox)$`)

var (
	sleepWord = regexp.MustCompile(`^(?:/.*/|/)?sleep$`)
	dashC     = regexp.MustCompile(`^-[a-z]*c$`)
	sleepTime = regexp.MustCompile(`^([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhd]?)$`)
)

// longest is more than any hook may take.
const longest = 86_400

// Read understands sleep, exec of sleep N, and a shell's sleep N, alone or before something
// else. A preStop without a handler is none: the API server refuses it.
func Read(c *yaml.RNode) Hook {
	pre := node.At(c, "lifecycle", "preStop")
	if pre == nil || pre.YNode().Kind != yaml.MappingNode || len(pre.YNode().Content) == 0 {
		return Hook{Known: true}
	}
	h := Hook{Written: true}
	if sleep := node.At(pre, "sleep"); sleep != nil {
		n, _ := node.Int(sleep, "seconds")
		h.Seconds, h.Native, h.Known, h.What = drain.Seconds(min(max(n, 0), longest)), true, true, "sleep"
		return h
	}
	var words []string
	for _, e := range node.Elements(pre, "exec", "command") {
		words = append(words, e.YNode().Value)
	}
	if len(words) == 0 {
		h.What = "a handler that is no exec and no sleep"
		for _, kind := range []string{"httpGet", "tcpSocket"} {
			if node.At(pre, kind) != nil {
				h.What = kind
			}
		}
		return h
	}
	h.Program, h.What = words[0], "exec "+words[0]
	if h.command(words); h.Known { // other commands may hold a secret
		h.What = "exec " + strings.Join(words, " ")
		if h.More {
			h.What = fmt.Sprintf("exec %s: sleep %d and more", words[0], int64(h.Seconds))
		}
	}
	return h
}

// command reads what is run, and where its time stands.
func (h *Hook) command(words []string) {
	last := len(words) - 1
	if last > 1 && strings.HasSuffix("/"+words[0], "/busybox") { // sleep, sh and the like are its first argument
		words = words[1:]
	}
	at := []string{"exec", "command", strconv.Itoa(last)}
	switch {
	case len(words) == 2 && sleepWord.MatchString(words[0]):
		if h.Seconds, h.Known = seconds(words[1]); h.Known {
			h.Time = at
		}
	case len(words) == 3 && Shell.MatchString(words[0]) && dashC.MatchString(words[1]):
		found := read(words[2])
		if len(found.sleeps) == 0 {
			return
		}
		for i, sleep := range found.sleeps {
			if h.Seconds += sleep.seconds; i > 0 {
				h.Rest += sleep.seconds
			}
		}
		h.Known, h.Time, h.More = h.Seconds <= longest, at, found.more
	}
}

// seconds reads sleep's argument, rounded down to whole seconds.
func seconds(text string) (drain.Seconds, bool) {
	m := sleepTime.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	unit := map[string]float64{"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}[m[2]]
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil || n*unit > longest {
		return 0, false
	}
	return drain.Seconds(n * unit), true
}

// Resleep puts another time into sleep's argument, or into the first of the sleeps that
// a script begins with.
func Resleep(text string, want drain.Seconds) string {
	to := strconv.FormatInt(int64(want), 10)
	if sleepTime.MatchString(text) {
		return to
	}
	found := read(text)
	if len(found.sleeps) == 0 {
		return text
	}
	return text[:found.sleeps[0].from] + to + text[found.sleeps[0].to:]
}
