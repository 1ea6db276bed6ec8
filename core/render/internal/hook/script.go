// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/outlast-ci/outlast/core/drain"
)

// script is what is known of a shell's: the sleeps that it begins with, and whether
// anything follows that takes its time.
type script struct {
	sleeps []sleep
	more   bool
}

// sleep is one, and where its time stands in the text.
type sleep struct {
	seconds  drain.Seconds
	from, to int
}

// parse reads a script as bash does, which knows all that others do. One with a NUL is
// none: no program can be started with it.
func parse(text string) ([]*syntax.Stmt, bool) {
	f, err := syntax.NewParser().Parse(strings.NewReader(text), "")
	if err != nil || strings.Contains(text, "\x00") {
		return nil, false
	}
	return f.Stmts, true
}

// read finds the sleeps that a script begins with. One in the background, in a pipe, or
// whose argument no sleep takes, ends at once: it counts for none.
func read(text string) (out script) {
	all, _ := parse(text)
	steps := flatten(all)
	for i, step := range steps {
		s, last, ok := asSleep(step)
		if !ok || !sleepTime.MatchString(text[s.from:s.to]) { // a time that goes on in the next line is not there as it is read
			out.more = slices.ContainsFunc(steps[i:], func(s *syntax.Stmt) bool { return !ends(s) })
			return out
		}
		if out.sleeps = append(out.sleeps, s); last {
			return out
		}
	}
	return out
}

// flatten lists what runs one after the other. What follows || runs when a sleep
// fails, which it does not.
func flatten(all []*syntax.Stmt) (out []*syntax.Stmt) {
	for _, s := range all {
		binary, ok := s.Cmd.(*syntax.BinaryCmd)
		switch {
		case !ok || !simple(s):
			out = append(out, s)
		case binary.Op == syntax.AndStmt:
			out = append(out, flatten([]*syntax.Stmt{binary.X, binary.Y})...)
		case binary.Op == syntax.OrStmt && isSleep(binary.X):
			out = append(out, binary.X)
		default:
			out = append(out, s)
		}
	}
	return out
}

func isSleep(s *syntax.Stmt) bool { _, _, ok := asSleep(s); return ok }

// simple tells whether a statement runs in the foreground, with nothing around it.
func simple(s *syntax.Stmt) bool {
	return !s.Background && !s.Coprocess && !s.Disown && !s.Negated && len(s.Redirs) == 0
}

// words are a command's, when all are written out.
func words(s *syntax.Stmt) (texts []string, at []*syntax.Word) {
	call, ok := s.Cmd.(*syntax.CallExpr)
	if !ok || len(call.Assigns) > 0 {
		return nil, nil
	}
	for _, w := range call.Args {
		text := w.Lit()
		if text == "" {
			return nil, nil
		}
		texts = append(texts, text)
	}
	return texts, call.Args
}

// asSleep reads sleep N; the last thing that a script does is exec sleep N.
func asSleep(s *syntax.Stmt) (out sleep, last, ok bool) {
	texts, at := words(s)
	if len(texts) == 3 && texts[0] == "exec" {
		texts, at, last = texts[1:], at[1:], true
	}
	if len(texts) != 2 || !simple(s) || !sleepWord.MatchString(texts[0]) {
		return sleep{}, false, false
	}
	n, ok := seconds(texts[1])
	from := int(at[1].Pos().Offset())
	return sleep{n, from, from + len(texts[1])}, last, ok
}

// ends tells whether a command ends at once, whatever the image.
func ends(s *syntax.Stmt) bool {
	texts, _ := words(s)
	return len(texts) > 0 && simple(s) && slices.Contains([]string{"true", ":", "exit", "false"}, texts[0])
}

// Forwards tells whether SIGTERM to a shell that runs a script reaches the
// application: the shell traps the signal, or has replaced itself by it. dash, which is
// sh on Debian, does that for exec only; bash and busybox for the last command, too
// (seen of dash 0.5.12, bash 5.2 and busybox 1.35). What cannot be read is taken to be fine.
func Forwards(shell, text string) bool {
	all, ok := parse(text)
	if !ok || len(all) == 0 {
		return true
	}
	found := false
	syntax.Walk(&syntax.File{Stmts: all}, func(n syntax.Node) bool {
		if call, ok := n.(*syntax.CallExpr); ok && len(call.Args) > 0 {
			name := call.Args[0].Lit()
			found = found || name == "trap" || name == "exec" && len(call.Args) > 1
		}
		return true
	})
	dash := slices.Contains([]string{"sh", "dash"}, path.Base(shell))
	return found || !dash && replaces(all[len(all)-1])
}

// replaces tells whether a shell runs its last statement in its own place.
func replaces(s *syntax.Stmt) bool {
	if !simple(s) {
		return false
	}
	switch cmd := s.Cmd.(type) {
	case *syntax.CallExpr:
		return len(cmd.Args) > 0 && !slices.Contains([]string{"wait", "echo", "printf", "exit", "true", "false", ":", "cd", "kill"}, cmd.Args[0].Lit()) // the shell's own
	case *syntax.BinaryCmd:
		return cmd.Op == syntax.AndStmt && replaces(cmd.Y)
	}
	return false
}
