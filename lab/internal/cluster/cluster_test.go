// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/labstate"
	"github.com/outlast-ci/outlast/lab/internal/proc"
)

func newLab(t *testing.T) *lab {
	t.Helper()
	dir := t.TempDir()
	l := &lab{opt: Options{Dir: dir, Self: "/bin/lab", Region: "cn-northwest-1", Propagation: "15s-17s", Log: t.Logf}}
	if err := l.makeState(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestTheStateIsChosenOnce(t *testing.T) {
	l := newLab(t)
	first := l.state
	ports := map[int]bool{}
	for name, p := range first.Ports {
		if p == 0 || ports[p] {
			t.Errorf("port %s: %d", name, p)
		}
		ports[p] = true
	}
	if first.Users["deployer"].SecretAccessKey == first.Users["controller"].SecretAccessKey || len(first.Users["deployer"].SecretAccessKey) < 40 {
		t.Error("the users' keys are no secrets")
	}
	if first.Seed != labstate.Seed || first.Registration != labstate.Registration || first.Jitter != labstate.Jitter {
		t.Errorf("nothing was asked for, and it draws by %d from %s and %s", first.Seed, first.Registration, first.Jitter)
	}
	seed := uint64(0)
	l.opt.Region, l.opt.Propagation, l.opt.Seed = "", "1s-2s", &seed
	if err := l.makeState(t.Context()); err != nil {
		t.Fatal(err)
	}
	if l.state.Region != "cn-northwest-1" || l.state.Propagation != "1s-2s" || l.state.Jitter != first.Jitter || l.state.Seed != 0 || l.state.Ports["kube"] != first.Ports["kube"] || l.state.Users["node"] != first.Users["node"] {
		t.Errorf("a second up changed the state: %+v", l.state)
	}
	l.opt.Region = "eu-west-1"
	if err := l.makeState(t.Context()); err == nil || !strings.Contains(err.Error(), "lab down --purge") {
		t.Errorf("another region: %v", err)
	}
}

// Of eight ports that were found one by one, two were the same in one of 135 labs.
func TestNoPortIsGivenTwice(t *testing.T) {
	var names []string
	for i := range 500 {
		names = append(names, fmt.Sprint(i))
	}
	ports, err := freePorts(names...)
	if err != nil {
		t.Fatal(err)
	}
	taken := map[int]bool{}
	for _, p := range ports {
		taken[p] = true
	}
	if len(taken) != len(names) {
		t.Errorf("%d ports for %d names", len(taken), len(names))
	}
}

func TestEveryFileIsFilledIn(t *testing.T) {
	l := newLab(t)
	if err := l.configure(t.Context()); err != nil {
		t.Fatal(err)
	}
	entries, err := files.ReadDir("files")
	if err != nil || len(entries) < 8 {
		t.Fatalf("%d files: %v", len(entries), err)
	}
	for _, e := range entries {
		text, err := l.render(e.Name())
		if err != nil {
			t.Errorf("%s: %v", e.Name(), err)
		}
		if len(text) == 0 || strings.Contains(string(text), "<no value>") || strings.Contains(string(text), "{{") {
			t.Errorf("%s:\n%s", e.Name(), text)
		}
	}
	hosts, err := os.ReadFile(l.state.Path("node", "certs.d", l.state.Registry(), "hosts.toml"))
	if err != nil || !strings.Contains(string(hosts), "http://"+l.state.Registry()) {
		t.Errorf("containerd would not find the registry: %s %v", hosts, err)
	}
}

func TestAProgramThatEndsIsReportedWithItsLog(t *testing.T) {
	l := newLab(t)
	never := func(context.Context) error { return errors.New("no answer") }
	// It ends when it is known, not before: what ends at once is told in other words.
	err := l.start(t.Context(), "faulty", nil, never, "sh", "-c", "until [ -e pids/faulty.json ]; do sleep 0.05; done; echo no such flag >&2; exit 1")
	if err == nil || !strings.Contains(err.Error(), "faulty ended: no such flag") || !strings.Contains(err.Error(), filepath.Join("logs", "faulty.log")) {
		t.Errorf("error: %v", err)
	}
}

// A unit test must not touch the network of a lab that runs on this machine, so
// taking down is tested without one.
func TestWhereNoLabWasMadeDownDoesNothing(t *testing.T) {
	if err := Down(t.Context(), t.TempDir(), true, func(string, ...any) { t.Error("it said something") }); err != nil {
		t.Error(err)
	}
}

func TestWaitingEndsWithItsTime(t *testing.T) {
	l := newLab(t)
	asked := 0
	ready := func(context.Context) error {
		if asked++; asked < 3 {
			return errors.New("not yet")
		}
		return nil
	}
	t.Cleanup(func() { _ = proc.Stop(l.opt.Dir, "good", 0) })
	if err := l.start(t.Context(), "good", nil, ready, "sleep", "600"); err != nil || asked != 3 {
		t.Errorf("after %d questions: %v", asked, err)
	}
	if err := l.wait(t.Context(), "good", 50*time.Millisecond, func(context.Context) error { return fmt.Errorf("never") }); err == nil || !strings.Contains(err.Error(), "good is not ready after 50ms: never") {
		t.Errorf("error: %v", err)
	}
	if err := proc.Stop(l.opt.Dir, "good", time.Second); err != nil {
		t.Error(err)
	}
}

func TestAnAnswerOfAnotherStatusIsNone(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	if err := answers(t.Context(), s.URL, http.StatusNotFound); err != nil {
		t.Error(err)
	}
	if err := answers(t.Context(), s.URL, http.StatusOK); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("error: %v", err)
	}
}
