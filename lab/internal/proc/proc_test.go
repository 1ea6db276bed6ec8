// SPDX-License-Identifier: Apache-2.0

package proc

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// says waits until a program's log is these words, however long a busy machine takes to start it.
func says(t *testing.T, dir, name, want string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		log, err := os.ReadFile(filepath.Join(dir, "logs", name+".log"))
		if string(log) == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the log of %s: %q, %v", name, log, err)
		}
	}
}

func TestAProgramIsFoundAgainAndStopped(t *testing.T) {
	dir := t.TempDir()
	p, err := Start(dir, "sleeper", []string{"WORD=hello"}, "sh", "-c", `echo "$WORD"; exec sleep 60`)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Stop(dir, "sleeper", time.Second) })
	found, running := Find(dir, "sleeper")
	if !running || found.PID != p.PID || found.RSS() < 0 {
		t.Fatalf("found %+v, running %t", found, running)
	}
	if _, running := Find(dir, "other"); running {
		t.Error("a program that was never started runs")
	}
	says(t, dir, "sleeper", "hello\n")
	if err := Stop(dir, "sleeper", time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, running := Find(dir, "sleeper"); running {
		t.Error("it runs after it was stopped")
	}
	if err := Stop(dir, "sleeper", time.Second); err != nil {
		t.Errorf("stopping it again: %v", err)
	}
}

func TestAProgramThatIgnoresSIGTERMIsKilled(t *testing.T) {
	dir := t.TempDir()
	p, err := Start(dir, "stubborn", nil, "sh", "-c", `trap "" TERM; echo ready; while :; do sleep 0.05; done`)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(p.PID, syscall.SIGKILL) })
	says(t, dir, "stubborn", "ready\n") // SIGTERM is ignored from now on
	began := time.Now()
	if err := Stop(dir, "stubborn", 200*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("it got no patience: %s", took)
	}
	if p.alive() {
		t.Error("it lives")
	}
}

// A large program takes the kernel a while to take down; Kill does not return before.
func TestWhatWasKilledIsGone(t *testing.T) {
	dir := t.TempDir()
	if err := Kill(dir, "large"); err == nil || !strings.Contains(err.Error(), "killing large: it does not run") {
		t.Errorf("of what does not run: %v", err)
	}
	for range 5 {
		if _, err := Start(dir, "large", nil, "python3", "-c", "b = bytearray(300 << 20); b[::4096] = b'x' * len(b[::4096]); open('ready', 'w').close(); import time; time.sleep(60)"); err != nil {
			t.Fatal(err)
		}
		ready := filepath.Join(dir, "ready")
		for range 3000 {
			if _, err := os.Stat(ready); err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if err := errors.Join(os.Remove(ready), Kill(dir, "large")); err != nil {
			t.Fatal(err)
		}
		if _, running := Find(dir, "large"); running {
			t.Error("it runs after it was killed")
		}
	}
}

// A pid that the kernel has given to somebody else is not ours to end.
func TestAPidOfSomebodyElseIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	other := exec.Command("sleep", "60")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { other.Process.Kill(); other.Wait() }() //nolint:errcheck // it was alive a moment ago
	ticks, err := startTicks(other.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := save(dir, Process{Name: "old", PID: other.Process.Pid, Ticks: ticks - 1}); err != nil {
		t.Fatal(err)
	}
	if _, running := Find(dir, "old"); running {
		t.Error("another process counts as ours")
	}
	if err := Stop(dir, "old", time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := startTicks(other.Process.Pid); err != nil {
		t.Error("the other process was ended")
	}
}

func TestAProgramThatIsNotThereIsAnError(t *testing.T) {
	if _, err := Start(t.TempDir(), "absent", nil, "/nonexistent/program"); err == nil || !strings.Contains(err.Error(), "starting absent") {
		t.Errorf("error: %v", err)
	}
}
