// SPDX-License-Identifier: Apache-2.0

package build

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// busy is shell that leaves a child running and waits for it. The child tells its id in a file
// beside the program once it heeds SIGTERM, and makes another file when it is asked to end;
// that it ends proves little, since at last all are killed. It sleeps shortly, for a signal
// that comes just before a sleep is heeded after it. The count is the end of what a broken
// product leaves behind.
const busy = `/bin/sh -c 'trap "echo >\"$0.asked\"; exit" TERM; echo $$ >"$0.new"; /bin/mv "$0.new" "$0.pid"; n=0; while [ $n -lt 600 ]; do n=$((n+1)); /bin/sleep 0.1; done' "$0" & wait`

// whenBusy cancels as soon as the program has told its child's id.
func whenBusy(t *testing.T, program string, cancel func()) (child func() string) {
	t.Helper()
	done := make(chan string, 1)
	stop := make(chan struct{})
	go func() {
		defer cancel()
		for {
			if text, err := os.ReadFile(program + ".pid"); err == nil {
				done <- strings.TrimSpace(string(text))
				return
			}
			select {
			case <-stop:
				done <- ""
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() string { close(stop); return <-done }
}

// ended waits for a process that was told to end: the kernel needs a moment, and of a busy
// machine some seconds.
func ended(pid string) bool {
	for end := time.Now().Add(20 * time.Second); alive(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// TestCancel: whichever program is at work, a cancelled build ends it and its
// children, says why it was cancelled, and leaves nothing on disk.
func TestCancel(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("there is no /proc on this machine, which shows whether a process lives")
	}
	gone := errors.New("a newer commit is on its way")
	for name, tc := range map[string]struct {
		kind     Kind
		busy     string // the program that is at work
		programs map[string]string
	}{
		"buildctl at work": {Daemon, "buildctl", map[string]string{"buildctl": busy}},
		// Docker's own command up to 20.10 does this: it waits for buildx, which nobody told.
		"a docker that passes no signal on to its plugin":      {DockerContainer, "docker", map[string]string{"docker": "trap : TERM; " + busy + "; wait"}},
		"a client that is gone while its child holds the pipe": {DockerContainer, "docker", map[string]string{"docker": `trap 'exit 1' TERM; ` + busy}},
		"an engine that is saving the image":                   {DockerEngine, "docker", map[string]string{"docker": `case "$1" in rmi) echo >"$0.rmi";; save) echo half >"$3"; ` + busy + `;; esac`}},
		"a buildkitd that never answers":                       {Child, "buildkitd", map[string]string{"buildctl": "exit 1", "buildkitd": busy}},
		"buildctl at work with our own buildkitd": {Child, "buildctl", map[string]string{
			"buildctl": `test "$3" = build || exit 0; ` + busy, "buildkitd": "exec /bin/sleep 60"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := world(t, "")
			dir := bin(t, tc.programs)
			b := Builder{Kind: tc.kind, tools: map[string]string{}}
			for name := range tc.programs {
				b.tools[name] = filepath.Join(dir, name)
			}
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			child := whenBusy(t, filepath.Join(dir, tc.busy), func() { cancel(gone) })
			img, err := Build(ctx, w, b, Options{Name: "web", Context: source(t, map[string]string{"Dockerfile": scratch})})
			pid := child()
			if !errors.Is(err, gone) || img.Digest != "" {
				t.Errorf("%+v, %v; want the cause of the cancellation", img, err)
			}
			if pid == "" || !ended(pid) {
				t.Errorf("process %q is still alive", pid)
			}
			if _, err := os.Stat(filepath.Join(dir, tc.busy+".asked")); err != nil {
				t.Errorf("the child was not asked to end: %v", err)
			}
			if _, err := os.Stat(filepath.Join(dir, "docker.rmi")); tc.kind == DockerEngine && err != nil {
				t.Errorf("the image stays in the engine: %v", err)
			}
			empty(t, w.TempDir)
		})
	}
}

// TestCancelBefore: a build that is cancelled before it begins runs nothing.
func TestCancelBefore(t *testing.T) {
	w := world(t, "")
	dir := bin(t, map[string]string{"buildctl": client("")})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := Build(ctx, w, Builder{Kind: Daemon, tools: map[string]string{"buildctl": dir + "/buildctl"}},
		Options{Name: "web", Context: source(t, map[string]string{"Dockerfile": scratch})})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := os.Stat(dir + "/buildctl.args"); err == nil {
		t.Error("buildctl was run")
	}
}

// TestChildEndsAfterBuild: a buildkitd of our own outlives no build, whether it
// went well or not.
func TestChildEndsAfterBuild(t *testing.T) {
	for name, code := range map[string]string{"that went well": "0", "that failed": "1"} {
		t.Run(name, func(t *testing.T) {
			w := world(t, "")
			w.CacheDir = filepath.Join(t.TempDir(), "cache")
			layout := filepath.Join(w.TempDir, "layout-web")
			dir := bin(t, map[string]string{
				"buildctl":  client(`test "$3" = build || exec test -s "${0%ctl}kitd.pid"; ` + makes(layout) + `; exit ` + code),
				"buildkitd": client(`echo $$ >"$0.pid"; exec sleep 60`)})
			_, err := Build(context.Background(), w, Builder{Kind: Child, tools: map[string]string{"buildctl": dir + "/buildctl", "buildkitd": dir + "/buildkitd"}},
				Options{Name: "web", Context: source(t, map[string]string{"Dockerfile": scratch})})
			if (err == nil) != (code == "0") {
				t.Error(err)
			}
			pid, err := os.ReadFile(dir + "/buildkitd.pid")
			if err != nil || alive(strings.TrimSpace(string(pid))) {
				t.Errorf("buildkitd (%s) is still alive (%v)", pid, err)
			}
			words := strings.Join(told(t, dir+"/buildkitd"), " ")
			if !strings.Contains(words, "--root "+filepath.Join(w.CacheDir, "buildkit")) {
				t.Errorf("its cache is not kept in %s: %s", w.CacheDir, words)
			}
			if left, err := filepath.Glob(filepath.Join(w.TempDir, "buildkitd-*")); err != nil || len(left) > 0 {
				t.Errorf("left over: %v (%v)", left, err)
			}
		})
	}
}
