// SPDX-License-Identifier: Apache-2.0

package build

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// docker is a docker command whose engine, plugin and builder answer with the
// given pieces of shell.
func docker(engine, plugin, inspect string) string {
	return `case "$*" in
"version --format {{.Server.Version}}") ` + engine + `;;
"buildx version") ` + plugin + `;;
"buildx inspect --bootstrap") ` + inspect + `;;
*) echo "unexpected: $*"; exit 99;;
esac`
}

// inspected prints a recording of buildx inspect.
func inspected(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs("testdata/inspect/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return `while IFS= read -r line; do echo "$line"; done <` + path
}

const (
	answers    = `echo 20.10.24`
	noEngine   = `echo "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?" >&2; exit 1`
	noPlugin   = `echo "docker: 'buildx' is not a docker command." >&2; exit 1`
	noImage    = `echo "#1 pulling image moby/buildkit"; echo "ERROR: Error response from daemon: dial tcp: no such host" >&2; exit 1`
	onlyDaemon = `test "$*" = "--addr tcp://bk:1234 debug workers"`
)

func TestFind(t *testing.T) {
	engine20, engine29 := inspected(t, "engine-20.10.txt"), inspected(t, "engine-29.txt")
	works := docker(answers, "", engine20)
	child := map[string]string{"buildctl": "exit 1", "buildkitd": "exit 1", "runc": ""}
	with := func(more map[string]string, name, text string) map[string]string {
		out := maps.Clone(more)
		out[name] = text
		return out
	}
	for name, tc := range map[string]struct {
		programs map[string]string
		env      []string
		want     string
		uid      int
		kind     Kind
		says     []string // of Why, or of the error when there is no kind
		silent   []string // texts that the error must not hold
	}{
		"a daemon that answers at BUILDKIT_HOST is used": {
			programs: map[string]string{"buildctl": onlyDaemon}, env: []string{"BUILDKIT_HOST=tcp://bk:1234"},
			kind: Daemon, says: []string{"BUILDKIT_HOST is set and answers"}},
		"a dead BUILDKIT_HOST is an error, whatever else would do": {
			programs: with(with(child, "buildctl", "echo first; echo 'error: connection refused'; exit 1"), "docker", works), env: []string{"BUILDKIT_HOST=tcp://bk:1"},
			says: []string{"BUILDKIT_HOST is tcp://bk:1 but nothing answers there (error: connection refused)", "start buildkitd, or unset the variable"}, silent: []string{"first", "docker"}},
		"BUILDKIT_HOST without buildctl says what to install": {
			programs: map[string]string{"docker": works}, env: []string{"BUILDKIT_HOST=tcp://bk:1234"},
			says: []string{"BUILDKIT_HOST is tcp://bk:1234 but buildctl is not on PATH", "install BuildKit"}},
		"an empty BUILDKIT_HOST counts as not set": {
			programs: child, env: []string{"BUILDKIT_HOST="}, kind: Child},
		"the last of two values of a variable counts": {
			programs: map[string]string{"buildctl": onlyDaemon}, env: []string{"BUILDKIT_HOST=tcp://old:1", "BUILDKIT_HOST=tcp://bk:1234"}, kind: Daemon},
		"whoever wants docker gets it in spite of BUILDKIT_HOST": {
			programs: map[string]string{"docker": works, "buildctl": onlyDaemon}, env: []string{"BUILDKIT_HOST=tcp://bk:1234"}, want: "docker", kind: DockerEngine},
		"buildkitd on PATH is started, before any docker": {
			programs: with(child, "docker", works), kind: Child, says: []string{"buildkitd is on PATH", "stopped after it"}},
		"BuildKit's own runc will do": {
			programs: map[string]string{"buildctl": "", "buildkitd": "", "buildkit-runc": ""}, kind: Child},
		"buildkitd without a runc is not enough": {
			programs: map[string]string{"buildctl": "", "buildkitd": ""}, want: "buildkit", says: []string{"neither runc nor buildkit-runc", "install runc"}},
		"buildkitd without a runc leaves it to docker": {
			programs: map[string]string{"buildctl": "", "buildkitd": "", "docker": works}, kind: DockerEngine},
		"buildctl alone starts nothing": {
			programs: map[string]string{"buildctl": ""}, says: []string{"buildkitd is not on PATH"}},
		"a user who is not root needs rootlesskit": {
			programs: with(child, "rootlesskit", ""), uid: 1000, kind: Child, says: []string{"stopped after it"}},
		"or unshare and mount": {
			programs: with(with(child, "unshare", ""), "mount", ""), uid: 1000, kind: Child, says: []string{"without rootlesskit on PATH a RUN line fails"}},
		"without either the first that is missing is named": {
			programs: with(child, "mount", ""), uid: 1000, want: "buildkit", says: []string{"unshare is not on PATH", "as root or rootless"}},
		"a Docker engine of its own store saves an archive": {
			programs: map[string]string{"docker": works}, kind: DockerEngine, says: []string{"Docker engine 20.10.24 answers", "docker archive"}},
		"a Docker engine with containerd's store exports layouts": {
			programs: map[string]string{"docker": docker(answers, "", engine29)}, kind: DockerContainer, says: []string{"with the driver docker"}},
		"a buildx builder of another driver exports layouts": {
			programs: map[string]string{"docker": docker(answers, "", "echo 'Driver: remote'")}, kind: DockerContainer, says: []string{"with the driver remote"}},
		"docker without an engine says what docker said": {
			programs: map[string]string{"docker": docker(noEngine, "", engine20)}, says: []string{"docker is on PATH but no engine answers (Cannot connect to the Docker daemon", "set DOCKER_HOST"}},
		"docker without buildx says what to install": {
			programs: map[string]string{"docker": docker(answers, noPlugin, engine20)}, says: []string{"buildx plugin is missing (docker: 'buildx' is not a docker command.)", "install docker-buildx"}},
		"a builder whose image cannot be pulled says so": {
			programs: map[string]string{"docker": docker(answers, "", noImage)}, says: []string{"buildx's current builder does not start (ERROR: Error response from daemon: dial tcp: no such host)", "docker buildx ls"}, silent: []string{"#1"}},
		"a program that fails without a word shows its exit status": {
			programs: map[string]string{"docker": docker("exit 3", "", "")}, says: []string{"no engine answers (exit status 3)"}},
		"with nothing at all the error lists each way and how to get it": {
			says: []string{"finding a builder: none answers:", "\n  - BUILDKIT_HOST is not set: run buildkitd somewhere", "\n  - buildctl is not on PATH: with BuildKit's buildctl and buildkitd (and runc) there", "\n  - docker is not on PATH: install a Docker engine with the buildx plugin"}},
		"whoever wants buildkit is told nothing of docker": {
			programs: map[string]string{"docker": works}, want: "buildkit", says: []string{"buildctl is not on PATH"}, silent: []string{"docker is", "Docker engine"}},
		"whoever wants docker is told nothing of buildctl": {
			programs: child, want: "docker", says: []string{"docker is not on PATH"}, silent: []string{"buildctl"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := world(t, bin(t, tc.programs), tc.env...)
			w.UID = tc.uid
			b, err := Find(context.Background(), w, tc.want)
			if b.Kind != tc.kind || (err == nil) != (tc.kind != "") {
				t.Fatalf("found %q (%s), %v; want %q", b.Kind, b.Why, err, tc.kind)
			}
			said := b.Why
			if err != nil {
				said = err.Error()
			}
			for _, part := range tc.says {
				if !strings.Contains(said, part) {
					t.Errorf("%q is missing in: %s", part, said)
				}
			}
			for _, part := range tc.silent {
				if strings.Contains(said, part) {
					t.Errorf("%q is in: %s", part, said)
				}
			}
		})
	}
}

// TestFindKeeps: what was found is what will run.
func TestFindKeeps(t *testing.T) {
	dir := bin(t, map[string]string{"buildctl": "", "buildkitd": "", "runc": "", "rootlesskit": ""})
	w := world(t, dir, "BUILDKIT_HOST=unix:///x")
	b, err := Find(context.Background(), w, "")
	if err != nil || b.address != "unix:///x" || b.tools["buildctl"] != filepath.Join(dir, "buildctl") {
		t.Errorf("the daemon is %+v, %v", b, err)
	}
	w = world(t, dir)
	w.UID = 1000
	b, err = Find(context.Background(), w, "")
	if err != nil || len(b.tools) != 3 || b.tools["buildkitd"] != filepath.Join(dir, "buildkitd") || b.tools["rootlesskit"] != filepath.Join(dir, "rootlesskit") {
		t.Errorf("the child's tools are %v, %v", b.tools, err)
	}
	w.UID = 0
	if b, err = Find(context.Background(), w, ""); err != nil || b.tools["rootlesskit"] != "" {
		t.Errorf("root's tools are %v, %v", b.tools, err)
	}
}

func TestFindStops(t *testing.T) {
	gone := errors.New("the runner is going away")
	never := "exec /bin/sleep 60"
	for name, tc := range map[string]struct {
		programs map[string]string
		env      []string
	}{
		"while a daemon does not answer": {map[string]string{"buildctl": never}, []string{"BUILDKIT_HOST=tcp://bk:1"}},
		"while an engine does not":       {map[string]string{"docker": docker(never, "", "")}, nil},
		"while an image is pulled":       {map[string]string{"docker": docker(answers, "", "/bin/sleep 60")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(context.Background())
			defer time.AfterFunc(200*time.Millisecond, func() { cancel(gone) }).Stop()
			b, err := Find(ctx, world(t, bin(t, tc.programs), tc.env...), "")
			if !errors.Is(err, gone) || b.Kind != "" {
				t.Errorf("found %q, %v; want the cause of the cancellation", b.Kind, err)
			}
		})
	}
}

func TestLookup(t *testing.T) {
	first, second := bin(t, map[string]string{"a": ""}), bin(t, map[string]string{"a": "", "b": ""})
	write(t, filepath.Join(first, "b"), "#!/bin/sh\n", 0o644)
	write(t, filepath.Join(first, "c", "file"), "", 0o644)
	write(t, filepath.Join(second, "d.exe"), "", 0o644)
	t.Chdir(bin(t, map[string]string{"f": ""}))
	w := world(t, strings.Join([]string{"", filepath.Join(first, "nowhere"), first, second}, string(filepath.ListSeparator)))
	for name, tc := range map[string]struct{ program, want string }{
		"the first of two wins":                 {"a", filepath.Join(first, "a")},
		"a file that may not run is passed by":  {"b", filepath.Join(second, "b")},
		"a folder is no program":                {"c", ""},
		"Windows needs no mode, but an ending":  {"d", filepath.Join(second, "d.exe")},
		"what is nowhere is not found":          {"e", ""},
		"an empty entry is not the work folder": {"f", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := w.lookup(tc.program)
			if got != tc.want || (err == nil) != (tc.want != "") {
				t.Errorf("%s, %v; want %s", got, err, tc.want)
			}
		})
	}
}
