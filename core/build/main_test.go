// SPDX-License-Identifier: Apache-2.0

package build

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/outlast-ci/outlast/core/event"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bin is a folder that serves as a whole PATH: programs by name, their text
// being shell. A text of "" makes a program that succeeds.
func bin(t *testing.T, programs map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range programs {
		write(t, filepath.Join(dir, name), "#!/bin/sh\n"+text+"\n", 0o755)
	}
	return dir
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// world is one whose children see nothing but PATH and what env adds.
func world(t *testing.T, path string, env ...string) World {
	t.Helper()
	return World{Environ: append([]string{"PATH=" + path}, env...), TempDir: t.TempDir()}
}

// source is a build context with these files.
func source(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		write(t, filepath.Join(dir, name), text, 0o644)
	}
	return dir
}

// recorder keeps events; a build may send them from several goroutines.
type recorder struct {
	sync.Mutex
	events []event.Event
}

func (r *recorder) observe(e event.Event) {
	r.Lock()
	defer r.Unlock()
	r.events = append(r.events, e)
}

// has tells whether an event of this kind holds both texts.
func (r *recorder) has(kind event.Kind, object, message string) bool {
	r.Lock()
	defer r.Unlock()
	for _, e := range r.events {
		if e.Kind == kind && strings.Contains(e.Object, object) && strings.Contains(e.Message, message) {
			return true
		}
	}
	return false
}

// empty complains about what is left in a folder.
func empty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("%s is left in %s", e.Name(), dir)
	}
}

// alive tells whether a process runs; a zombie has ended.
func alive(pid string) bool {
	text, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// stuck is the address of a file that never comes, and a channel that closes
// when somebody waits for it: a build that ADDs it is surely at work.
func stuck(t *testing.T) (address string, reached <-chan struct{}) {
	t.Helper()
	waiting := make(chan struct{})
	var once sync.Once
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		once.Do(func() { close(waiting) })
		<-r.Context().Done()
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL + "/file", waiting
}

// when calls do once a channel closes, unless the test is over first.
func when(t *testing.T, c <-chan struct{}, do func()) {
	t.Helper()
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-c:
			do()
		case <-over:
		}
	}()
	t.Cleanup(func() {
		close(over)
		<-done
	})
}
