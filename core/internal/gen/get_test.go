// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// machine is where get-outlast runs: a PATH of its own, nothing of this one's.
type machine struct {
	t                 *testing.T
	dir, bin          string
	script            string
	env               []string
	served            map[string][]byte
	mu                sync.Mutex
	asked             []string
	stdout, stderr    string
	code              int
	asset, sum, fetch string
}

const program = "#!/bin/sh\n[ \"$1\" = version ] && echo v1.2.3 || echo \"ran $*\"\n"

func newMachine(t *testing.T, version string) *machine {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("there is no POSIX shell here")
	}
	m := &machine{t: t, dir: t.TempDir(), served: map[string][]byte{}}
	m.bin = filepath.Join(m.dir, "bin")
	for _, tool := range []string{"sh", "uname", "mktemp", "mkdir", "mv", "rm", "tar", "gzip", "chmod", "sha256sum", "curl", "dirname", "cp"} {
		m.link(tool)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.asked = append(m.asked, r.URL.Path)
		body, ok := m.served[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Write(body) //nolint:errcheck // a client that left is its own problem
	}))
	t.Cleanup(s.Close)
	release := Release{Releases: s.URL}
	if version != "" {
		m.asset = fmt.Sprintf("outlast_%s_%s_%s.tar.gz", strings.TrimPrefix(version, "v"), runtime.GOOS, runtime.GOARCH)
		archive := tarGz(t, "outlast", program)
		sum := sha256.Sum256(archive)
		m.sum = hex.EncodeToString(sum[:])
		release.Version = version
		release.Sums = []Sum{{"outlast_1.2.3_plan9_amd64.tar.gz", strings.Repeat("0", 64)}, {m.asset, m.sum}}
		m.served["/"+version+"/"+m.asset] = archive
		m.served["/mirror/"+m.asset] = archive
	}
	m.fetch = s.URL
	text, err := GetOutlast(release)
	if err != nil {
		t.Fatal(err)
	}
	m.script = filepath.Join(m.dir, "get-outlast")
	if err := os.WriteFile(m.script, text, 0o755); err != nil {
		t.Fatal(err)
	}
	m.env = []string{"PATH=" + m.bin, "HOME=" + filepath.Join(m.dir, "home"), "TMPDIR=" + t.TempDir()}
	return m
}

// link puts one of this machine's programs on the other's PATH.
func (m *machine) link(tool string) {
	m.t.Helper()
	path, err := exec.LookPath(tool)
	if err != nil {
		m.t.Skip(tool + " is not on PATH")
	}
	if err := os.MkdirAll(m.bin, 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Symlink(path, filepath.Join(m.bin, tool)); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) write(name, text string, mode os.FileMode) string {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		m.t.Fatal(err)
	}
	return path
}

func (m *machine) run(env ...string) {
	m.t.Helper()
	cmd := exec.CommandContext(m.t.Context(), filepath.Join(m.bin, "sh"), m.script)
	cmd.Env, cmd.Dir = append(m.env, env...), m.dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		m.t.Fatal(err)
	}
	m.stdout, m.stderr, m.code = out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func tarGz(t *testing.T, name, body string) []byte {
	t.Helper()
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	tw := tar.NewWriter(zw)
	if err := tw.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(body))}); err != nil {
		t.Fatal(err)
	}
	if _, err := tw.Write([]byte(body)); err != nil {
		t.Fatal(err)
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestWhereOutlastIsFound(t *testing.T) {
	cases := map[string]struct {
		version string
		prepare func(*machine) (env []string)
		at      string // the path printed, below the machine's folder
		says    string
		asks    int // requests
	}{
		"a path that was named": {"v1.2.3", func(m *machine) []string {
			return []string{"OUTLAST_BINARY=" + m.write("my/outlast", program, 0o755)}
		}, "my/outlast", "OUTLAST_BINARY: ", 0},
		"a path that was named from here": {"v1.2.3", func(m *machine) []string {
			m.write("my/outlast", program, 0o755)
			return []string{"OUTLAST_BINARY=my/outlast"}
		}, "my/outlast", "OUTLAST_BINARY: ", 0},
		"a path with blanks and signs": {"v1.2.3", func(m *machine) []string {
			return []string{"OUTLAST_BINARY=" + m.write("my $(reboot) 'dir'/outlast", program, 0o755)}
		}, "my $(reboot) 'dir'/outlast", "OUTLAST_BINARY: ", 0},
		"PATH, in the version wanted": {"v1.2.3", func(m *machine) []string {
			m.write("bin/outlast", program, 0o755)
			return nil
		}, "bin/outlast", "on PATH: ", 0},
		"PATH, in any version where none is wanted": {"", func(m *machine) []string {
			m.write("bin/outlast", strings.ReplaceAll(program, "v1.2.3", "v9"), 0o755)
			return nil
		}, "bin/outlast", "(v9)", 0},
		"a release, when PATH has another version": {"v1.2.3", func(m *machine) []string {
			m.write("bin/outlast", strings.ReplaceAll(program, "v1.2.3", "v1.2.2"), 0o755)
			return nil
		}, "home/.cache/outlast/v1.2.3-" + runtime.GOOS + "-" + runtime.GOARCH + "/outlast", "whose SHA-256 is right", 1},
		"a mirror of the releases": {"v1.2.3", func(m *machine) []string { return []string{"OUTLAST_DOWNLOAD_URL=" + m.fetch + "/mirror"} },
			"home/.cache/outlast/v1.2.3-" + runtime.GOOS + "-" + runtime.GOARCH + "/outlast", "/mirror/outlast_1.2.3", 1},
		"a release that was kept": {"v1.2.3", func(m *machine) []string {
			m.run()
			m.asked = nil
			return nil
		}, "home/.cache/outlast/v1.2.3-" + runtime.GOOS + "-" + runtime.GOARCH + "/outlast", "kept from an earlier run", 0},
		"a kept one whose archive is not what was released is fetched again": {"v1.2.3", func(m *machine) []string {
			m.run()
			m.asked = nil
			m.write("home/.cache/outlast/v1.2.3-"+runtime.GOOS+"-"+runtime.GOARCH+"/"+m.asset, "rot", 0o644)
			return nil
		}, "home/.cache/outlast/v1.2.3-" + runtime.GOOS + "-" + runtime.GOARCH + "/outlast", "whose SHA-256 is right", 1},
		"a kept one beside which somebody put another program": {"v1.2.3", func(m *machine) []string {
			m.run()
			m.asked = nil
			m.write("home/.cache/outlast/v1.2.3-"+runtime.GOOS+"-"+runtime.GOARCH+"/outlast", "#!/bin/sh\necho another\n", 0o755)
			return nil
		}, "home/.cache/outlast/v1.2.3-" + runtime.GOOS + "-" + runtime.GOARCH + "/outlast", "kept from an earlier run", 0},
		"a cache named from where it runs": {"v1.2.3", func(*machine) []string { return []string{"OUTLAST_CACHE=c"} },
			"c/v1.2.3-" + runtime.GOOS + "-" + runtime.GOARCH + "/outlast", "whose SHA-256 is right", 1},
		"a checkout, with Go": {"", func(m *machine) []string {
			m.write("src/core/cmd/outlast/main.go", "package main\n", 0o644)
			m.write("bin/go", "#!/bin/sh\n[ \"$1\" = version ] && echo go1 && exit\nwhile [ \"$1\" != -o ]; do shift; done\nprintf '%s' '"+strings.ReplaceAll(program, "'", "")+"' > \"$2\"\n", 0o755)
			return []string{"OUTLAST_SOURCE=" + filepath.Join(m.dir, "src")}
		}, "home/.cache/outlast/built/outlast", "built: ", 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, c.version)
			m.run(c.prepare(m)...)
			if m.code != 0 || m.stdout != filepath.Join(m.dir, c.at)+"\n" || !strings.Contains(m.stderr, c.says) {
				t.Fatalf("exit %d, printed %q, said %s", m.code, m.stdout, m.stderr)
			}
			if len(m.asked) != c.asks {
				t.Errorf("asked for %v", m.asked)
			}
			if text, err := os.ReadFile(strings.TrimSpace(m.stdout)); err != nil || !strings.Contains(string(text), `[ "$1" = version ] && echo v`) {
				t.Errorf("found %q (%v)", text, err)
			}
		})
	}
}

func TestWhereNoOutlastIsFound(t *testing.T) {
	cases := map[string]struct {
		version string
		prepare func(*machine) (env []string)
		says    []string
	}{
		"nowhere": {"", func(*machine) []string { return nil },
			[]string{"no outlast program was found:", "outlast is not on PATH", "belongs to no release", "OUTLAST_SOURCE names no checkout"}},
		"a path that was named must be right": {"v1.2.3", func(m *machine) []string {
			m.write("bin/outlast", program, 0o755)
			return []string{"OUTLAST_BINARY=" + filepath.Join(m.dir, "absent")}
		}, []string{"absent, which is no program that can be run here"}},
		"a file that is no program": {"v1.2.3", func(m *machine) []string { return []string{"OUTLAST_BINARY=" + m.write("f", "x", 0o644)} }, []string{"which is no program"}},
		"what was downloaded is not what was released": {"v1.2.3", func(m *machine) []string {
			m.served["/v1.2.3/"+m.asset] = tarGz(m.t, "outlast", "#!/bin/sh\ntouch "+m.dir+"/ran\n")
			return nil
		}, []string{"is wanted: it is not what was released"}},
		"no sum can be made": {"v1.2.3", func(m *machine) []string {
			if err := os.Remove(filepath.Join(m.bin, "sha256sum")); err != nil {
				m.t.Fatal(err)
			}
			return nil
		}, []string{"cannot be checked: neither sha256sum nor shasum is on PATH"}},
		"nothing can download": {"v1.2.3", func(m *machine) []string {
			if err := os.Remove(filepath.Join(m.bin, "curl")); err != nil {
				m.t.Fatal(err)
			}
			return nil
		}, []string{"neither curl nor wget is on PATH", "could not be fetched; OUTLAST_DOWNLOAD_URL names a mirror"}},
		"the server has none": {"v1.2.3", func(m *machine) []string { m.served = nil; return nil }, []string{"could not be fetched"}},
		"no asset for this machine": {"v1.2.3", func(m *machine) []string {
			if err := os.Remove(filepath.Join(m.bin, "uname")); err != nil {
				m.t.Fatal(err)
			}
			m.write("bin/uname", "#!/bin/sh\necho Haiku\n", 0o755)
			return nil
		}, []string{"release v1.2.3 has nothing for Haiku/Haiku"}},
		"a source that is none": {"", func(m *machine) []string { return []string{"OUTLAST_SOURCE=" + m.dir} }, []string{"which is no checkout of the project"}},
		"a source without Go": {"", func(m *machine) []string {
			m.write("src/core/cmd/outlast/main.go", "package main\n", 0o644)
			return []string{"OUTLAST_SOURCE=" + filepath.Join(m.dir, "src")}
		}, []string{"could be built, but go is not on PATH"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, c.version)
			m.run(c.prepare(m)...)
			if m.code != 4 || m.stdout != "" {
				t.Errorf("exit %d, printed %q", m.code, m.stdout)
			}
			for _, want := range c.says {
				if !strings.Contains(m.stderr, want) {
					t.Errorf("%q was not said:\n%s", want, m.stderr)
				}
			}
			if _, err := os.Stat(filepath.Join(m.dir, "ran")); err == nil {
				t.Error("what was not checked was run")
			}
		})
	}
}

func TestTheScriptIsPlainPOSIX(t *testing.T) {
	text, err := GetOutlast(Release{Version: "v1", Releases: "https://example.com", Sums: []Sum{{"a", "b"}}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "get-outlast")
	if err := os.WriteFile(path, text, 0o755); err != nil {
		t.Fatal(err)
	}
	check, err := exec.LookPath("shellcheck")
	if err != nil {
		t.Skip("shellcheck is not on PATH")
	}
	if out, err := exec.Command(check, "--shell=sh", path).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
