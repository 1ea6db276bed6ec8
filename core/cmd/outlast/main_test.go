// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite what the scripts compare with")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"outlast": main})
}

// TestScripts runs the program the way a user does. Around it is a small AWS, a
// registry and an API server that answer enough to let every check pass; what
// writes to them is noted in the file $WORK/writes.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:             "testdata/script",
		UpdateScripts:   *update,
		ContinueOnError: true,
		Setup: func(env *testscript.Env) error {
			w, err := newWorld(env.WorkDir)
			if err != nil {
				return err
			}
			env.Defer(w.close)
			env.Vars = append(env.Vars, w.environ()...)
			env.Values["world"] = w
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name != "bash-completion" {
				return false, fmt.Errorf("unknown condition %s", name)
			}
			_, err := os.Stat(bashCompletion)
			return err == nil, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    exits,
			"fits":     fits,
			"unset":    unset,
			"nowrite":  noWrite,
			"released": released,
		},
	})
}

// bashCompletion is the library that bash's completion scripts call.
const bashCompletion = "/usr/share/bash-completion/bash_completion"

// exits CODE PROGRAM [ARG...] runs a program and wants its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if err != nil || neg {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG...]")
	}
	err = ts.Exec(args[1], args[2:]...)
	if code := exitCode(err); code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := err.(interface{ ExitCode() int }); ok {
		return exit.ExitCode()
	}
	return -1
}

// fits LINES WIDTH: the last stdout fits a screen of that size.
func fits(ts *testscript.TestScript, _ bool, args []string) {
	high, err := strconv.Atoi(args[0])
	ts.Check(err)
	wide, err := strconv.Atoi(args[1])
	ts.Check(err)
	lines := strings.Split(strings.TrimSuffix(ts.ReadFile("stdout"), "\n"), "\n")
	if len(lines) > high || len(lines) < 3 {
		ts.Fatalf("%d lines, the screen has %d", len(lines), high)
	}
	for _, line := range lines {
		if len(line) > wide {
			ts.Fatalf("%d columns, the screen has %d: %s", len(line), wide, line)
		}
	}
}

// unset NAME... empties variables: an empty one counts as unset.
func unset(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		ts.Setenv(name, "")
	}
}

// nowrite: nothing has been written to the registry or the cluster so far.
func noWrite(ts *testscript.TestScript, _ bool, _ []string) {
	text, err := os.ReadFile(ts.MkAbs(ts.Getenv("WORK") + "/writes"))
	if err != nil || len(text) > 0 {
		ts.Fatalf("written: %s %v", text, err)
	}
}
