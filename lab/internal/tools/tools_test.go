// SPDX-License-Identifier: Apache-2.0

package tools

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAProgramIsBuiltOnceForWhatItIsMadeFrom(t *testing.T) {
	source, cache := t.TempDir(), t.TempDir()
	write(t, source, map[string]string{"hello/go.mod": "module hello\n\ngo 1.26\n", "hello/main.go": "package main\n\nvar word string\n\nfunc main() { println(word) }\n"})
	var log []string
	b := Builder{Source: source, Cache: cache, Log: func(format string, args ...any) { log = append(log, fmt.Sprintf(format, args...)) }}
	tool := Tool{Name: "hello", Module: "hello", Package: ".", LDFlags: "-X main.word=hi", About: "a moment"}
	build := func() string {
		t.Helper()
		path, err := b.Build(t.Context(), tool)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	first := build()
	if out, err := exec.Command(first).CombinedOutput(); err != nil || string(out) != "hi\n" {
		t.Errorf("the program says %q (%v)", out, err)
	}
	if told := strings.Join(log, "\n"); !strings.Contains(told, "building hello from its Go module (a moment; once)") || !strings.Contains(told, "built hello in ") {
		t.Errorf("progress: %s", told)
	}
	log = nil
	if again := build(); again != first || len(log) > 0 {
		t.Errorf("it was built again: %s, %v", again, log)
	}
	tool.LDFlags = "-X main.word=ho"
	if other := build(); other == first {
		t.Error("other flags give the same program")
	}
	tool.LDFlags = "-X main.word=hi"
	write(t, source, map[string]string{"hello/main.go": "package main\n\nfunc main() {}\n"})
	if other := build(); other == first {
		t.Error("another source gives the same program")
	}
}

func TestAProgramThatDoesNotCompileLeavesNothing(t *testing.T) {
	source, cache := t.TempDir(), t.TempDir()
	write(t, source, map[string]string{"bad/go.mod": "module bad\n\ngo 1.26\n", "bad/main.go": "package main\n\nfunc main() { nonsense() }\n"})
	b := Builder{Source: source, Cache: cache, Log: func(string, ...any) {}}
	_, err := b.Build(t.Context(), Tool{Name: "bad", Module: "bad", Package: "."})
	if err == nil || !strings.Contains(err.Error(), "building bad") || !strings.Contains(err.Error(), "undefined: nonsense") {
		t.Errorf("error: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(cache, "bad-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestEveryToolHasItsModule(t *testing.T) {
	for _, tool := range All() {
		if _, err := os.Stat(filepath.Join("..", "..", tool.Module, "go.mod")); err != nil {
			t.Errorf("%s: %v", tool.Name, err)
		}
	}
}

func TestWhichProgramsNeedNoSharedLibraries(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"text": "#!/bin/sh\n"})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		path string
		want bool
	}{
		"this test, built without cgo": {self, true},
		"Debian's apt-get":             {"/usr/bin/apt-get", false},
		"a script":                     {filepath.Join(dir, "text"), false},
		"a file that is not there":     {filepath.Join(dir, "none"), false},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := os.Stat(tt.path); err != nil && !strings.HasPrefix(tt.path, dir) {
				t.Skip(err)
			}
			if got := static(tt.path); got != tt.want {
				t.Errorf("%s: got %t", tt.path, got)
			}
		})
	}
}
