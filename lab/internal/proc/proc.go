// SPDX-License-Identifier: Apache-2.0

// Package proc starts the lab's long-running programs, knows them again later
// and ends them. A program is known by its pid and its start time, so that a
// pid which the kernel gave to somebody else is never touched.
package proc

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is one program that was started.
type Process struct {
	Name  string    `json:"name"`
	PID   int       `json:"pid"`
	Ticks uint64    `json:"ticks"` // start time since boot, field 22 of /proc/PID/stat
	Since time.Time `json:"since"`
}

// Start starts a program that outlives us; its output goes to a log file.
func Start(dir, name string, env []string, args ...string) (Process, error) {
	logs := filepath.Join(dir, "logs")
	if err := os.MkdirAll(logs, 0o755); err != nil {
		return Process{}, err
	}
	log, err := os.OpenFile(filepath.Join(logs, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return Process{}, fmt.Errorf("starting %s: %w", name, err)
	}
	defer log.Close()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.Dir = env, log, log, dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return Process{}, fmt.Errorf("starting %s: %w", name, err)
	}
	p := Process{Name: name, PID: cmd.Process.Pid, Since: time.Now()}
	if p.Ticks, err = startTicks(p.PID); err != nil {
		return Process{}, fmt.Errorf("starting %s: it ended at once; see %s", name, log.Name())
	}
	go cmd.Wait() //nolint:errcheck // reaped while we live; init does it after us
	return p, save(dir, p)
}

func file(dir, name string) string { return filepath.Join(dir, "pids", name+".json") }

func save(dir string, p Process) error {
	if err := os.MkdirAll(filepath.Join(dir, "pids"), 0o755); err != nil {
		return err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return os.WriteFile(file(dir, p.Name), text, 0o644)
}

// Find gives a program that was started under this name and still runs.
func Find(dir, name string) (Process, bool) {
	var p Process
	text, err := os.ReadFile(file(dir, name))
	if err != nil || json.Unmarshal(text, &p) != nil {
		return p, false
	}
	return p, p.alive()
}

func (p Process) alive() bool {
	ticks, err := startTicks(p.PID)
	return err == nil && ticks == p.Ticks
}

// startTicks reads the start time of a pid; a zombie counts as gone.
func startTicks(pid int) (uint64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(text), ") ") // the name before may hold spaces
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 || fields[0] == "Z" {
		return 0, errors.New("gone")
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// Stop ends a program: SIGTERM, and SIGKILL after the patience.
func Stop(dir, name string, patience time.Duration) error {
	p, alive := Find(dir, name)
	if !alive {
		return errIfExists(os.Remove(file(dir, name)))
	}
	if err := p.signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stopping %s (pid %d): %w", name, p.PID, err)
	}
	if !p.gone(patience) {
		if err := p.signal(syscall.SIGKILL); err != nil {
			return fmt.Errorf("killing %s (pid %d): %w", name, p.PID, err)
		}
		p.gone(time.Hour)
	}
	return errIfExists(os.Remove(file(dir, name)))
}

// Kill ends a program as an OOM kill or a lost machine does. It is gone when Kill
// returns: what is killed lives on for a moment, and looks as if it ran.
func Kill(dir, name string) error {
	p, alive := Find(dir, name)
	if !alive {
		return fmt.Errorf("killing %s: it does not run", name)
	}
	if err := p.signal(syscall.SIGKILL); err != nil {
		return fmt.Errorf("killing %s (pid %d): %w", name, p.PID, err)
	}
	p.gone(time.Hour)
	return nil
}

// signal sends one; to a program that has ended meanwhile it sends none.
func (p Process) signal(s syscall.Signal) error {
	if err := syscall.Kill(p.PID, s); err != nil && p.alive() {
		return err
	}
	return nil
}

// gone waits until a program has ended, and tells whether it has.
func (p Process) gone(patience time.Duration) bool {
	for deadline := time.Now().Add(patience); p.alive(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

func errIfExists(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// RSS is the memory of a program in MiB.
func (p Process) RSS() int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.PID))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0
	}
	return pages * os.Getpagesize() >> 20
}
