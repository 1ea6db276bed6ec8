// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
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
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOnlyAReleaseIsReplaced(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		ok    bool
	}{
		"an empty folder":       {nil, true},
		"an older release":      {map[string]string{"SHA256SUMS": "", "x.tar.gz": "x"}, true},
		"somebody's own folder": {map[string]string{"thesis.txt": "x"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, c.files)
			if err := replaceable(dir); (err == nil) != c.ok {
				t.Error(err)
			}
		})
	}
	if err := replaceable(filepath.Join(t.TempDir(), "absent")); err != nil {
		t.Errorf("a folder that is not there: %v", err)
	}
}

func TestSumsAreOfFilesAtTheTop(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"b": "b", "a": "", "tree/c": "c", "SHA256SUMS": "old"})
	if err := writeSums(dir); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, sumsFile))
	want := "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  a\n3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d  b\n"
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
}

func TestADifferenceOfTwoRunsIsTold(t *testing.T) {
	for name, c := range map[string][3]string{
		"none":               {"1  a\n2  b\n", "1  a\n2  b\n", ""},
		"another sum":        {"1  a\n2  b\n", "1  a\n3  b\n", "- 2  b\n+ 3  b\n"},
		"a file more":        {"1  a\n", "1  a\n2  b\n", "+ 2  b\n"},
		"the end of another": {"11  a\n", "1  a\n", "- 11  a\n+ 1  a\n"},
		"an order":           {"1  a\n2  b\n", "2  b\n1  a\n", "the same lines in another order"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := different(c[0], c[1]); got != c[2] {
				t.Errorf("%q, want %q", got, c[2])
			}
		})
	}
}

func TestWhatCannotBeReleased(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		said string
	}{
		"no version":             {nil, "make release VERSION=v1.2.3"},
		"a version without v":    {[]string{"--version", "1.2.3"}, `reading the version "1.2.3"`},
		"what git describe says": {[]string{"--version", "1ca786c-dirty"}, "want vMAJOR.MINOR.PATCH"},
		"an image perhaps":       {[]string{"--version", "v1.2.3", "--image", "maybe"}, "want auto, yes or no"},
		"a word too much":        {[]string{"--version", "v1.2.3", "now"}, `"now" is no flag`},
	} {
		t.Run(name, func(t *testing.T) {
			if err := run(t.Context(), c.args); err == nil || !strings.Contains(err.Error(), c.said) {
				t.Errorf("error: %v", err)
			}
		})
	}
}

// checkout is a git repository with one commit, of the second 1000000000.
func checkout(t *testing.T) (dir string, git func(args ...string)) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not on PATH")
	}
	dir = t.TempDir()
	at := "1000000000 +0000"
	git = func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_COMMITTER_DATE="+at, "GIT_AUTHOR_DATE="+at)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v %s", args, err, out)
		}
		if args[0] == "commit" {
			at = "2000000000 +0000"
		}
	}
	write(t, dir, map[string]string{"core/x.go": "x", "core/internal/gen/release.json": "{}", "actions/run.sh": "x"})
	git("init", "-q")
	git("add", ".")
	git("commit", "-q", "-m", "one")
	return dir, git
}

func TestTheCommitThatPinsTheWrappersDoesNotChangeTheArchivesTime(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "")
	dir, git := checkout(t)
	r := &release{root: dir}
	write(t, dir, map[string]string{"core/internal/gen/release.json": `{"version":"v1.0.0"}`, "actions/run.sh": "pinned"})
	git("commit", "-q", "-a", "-m", "pin")
	if at, err := r.time(t.Context()); err != nil || at.Unix() != 1000000000 {
		t.Errorf("%d, %v", at.Unix(), err)
	}
	write(t, dir, map[string]string{"core/x.go": "y"})
	git("commit", "-q", "-a", "-m", "change")
	if at, err := r.time(t.Context()); err != nil || at.Unix() != 2000000000 {
		t.Errorf("%d, %v", at.Unix(), err)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "3000")
	if at, err := r.time(t.Context()); err != nil || at.Unix() != 3000 {
		t.Errorf("%d, %v", at.Unix(), err)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "now")
	if _, err := r.time(t.Context()); err == nil || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH") {
		t.Errorf("error: %v", err)
	}
}

func TestACheckoutThatDiffersFromItsCommitIsNoRelease(t *testing.T) {
	dir, _ := checkout(t)
	r := &release{root: dir}
	if err := r.clean(t.Context()); err != nil {
		t.Error(err)
	}
	write(t, dir, map[string]string{"new": "x"})
	if err := r.clean(t.Context()); err == nil || !strings.Contains(err.Error(), "?? new") {
		t.Errorf("error: %v", err)
	}
}

func TestSumsAreSignedWhereThereIsAKey(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{sumsFile: "sums\n"})
	r := &release{version: "v1.2.3", dist: dir}
	t.Run("no key", func(t *testing.T) {
		t.Setenv("MINISIGN_KEY", "")
		if err := r.sign(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(dir, sumsFile+".minisig")); err == nil {
			t.Error("it was signed by nobody")
		}
	})
	t.Run("a key, and no minisign", func(t *testing.T) {
		t.Setenv("MINISIGN_KEY", "key")
		t.Setenv("PATH", dir)
		if err := r.sign(t.Context()); err == nil || !strings.Contains(err.Error(), "minisign is not on PATH") {
			t.Errorf("error: %v", err)
		}
	})
	t.Run("a key", func(t *testing.T) {
		if _, err := exec.LookPath("minisign"); err != nil {
			t.Skip("minisign is not on PATH")
		}
		key, public := filepath.Join(dir, "key"), filepath.Join(dir, "key.pub")
		if out, err := exec.Command("minisign", "-G", "-W", "-f", "-s", key, "-p", public).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		t.Setenv("MINISIGN_KEY", key)
		if err := r.sign(t.Context()); err != nil {
			t.Fatal(err)
		}
		verify := exec.Command("minisign", "-V", "-p", public, "-m", sumsFile)
		verify.Dir = dir
		if out, err := verify.CombinedOutput(); err != nil || !strings.Contains(string(out), "outlast v1.2.3") {
			t.Errorf("%v: %s", err, out)
		}
		write(t, dir, map[string]string{sumsFile: "others\n"})
		verify = exec.Command("minisign", "-V", "-p", public, "-m", sumsFile)
		verify.Dir = dir
		if out, err := verify.CombinedOutput(); err == nil {
			t.Errorf("other sums pass: %s", out)
		}
	})
}

func TestAShallowCloneHasNoTime(t *testing.T) {
	dir := t.TempDir()
	git := func(in string, args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...)
		cmd.Dir = in
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v: %s", args[0], err, out)
		}
	}
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	write(t, one, map[string]string{"go.mod": "module x\n"})
	git(one, "init", "-q")
	git(one, "add", ".")
	git(one, "commit", "-q", "-m", "first")
	git(one, "commit", "-q", "--allow-empty", "-m", "second")
	git(dir, "clone", "-q", "--depth", "1", "file://"+one, two)
	t.Setenv("SOURCE_DATE_EPOCH", "")
	if _, err := (&release{root: one}).time(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := (&release{root: two}).time(t.Context()); err == nil || !strings.Contains(err.Error(), "shallow clone") {
		t.Errorf("error %v", err)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "7")
	if at, err := (&release{root: two}).time(t.Context()); err != nil || at.Unix() != 7 {
		t.Errorf("%v, %v", at, err)
	}
}

func TestThePinsAreComparedWithTheSums(t *testing.T) {
	sums := "11  outlast_1.2.3_linux_amd64.tar.gz\n22  outlast_1.2.3_linux_amd64.cdx.json\n"
	for name, c := range map[string]struct{ pins, said string }{
		"not pinned yet":         {"{}", ""},
		"pinned to another":      {`{"version":"v1.2.2","sums":[{"asset":"x","sha256":"33"}]}`, ""},
		"pinned to these":        {`{"version":"v1.2.3","sums":[{"asset":"outlast_1.2.3_linux_amd64.tar.gz","sha256":"11"}]}`, ""},
		"pinned to other sums":   {`{"version":"v1.2.3","sums":[{"asset":"outlast_1.2.3_linux_amd64.tar.gz","sha256":"1"}]}`, "with another sum of outlast_1.2.3_linux_amd64.tar.gz"},
		"pinned to more of them": {`{"version":"v1.2.3","sums":[{"asset":"outlast_1.2.3_plan9_amd64.tar.gz","sha256":"11"}]}`, "with another sum of outlast_1.2.3_plan9_amd64.tar.gz"},
		"pinned to nothing":      {`{"version":"v1.2.3"}`, "without any sum"},
		"no JSON":                {"{", "reading core/internal/gen/release.json"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, map[string]string{pinFile: c.pins, "dist/" + sumsFile: sums})
			err := (&release{root: dir, dist: filepath.Join(dir, "dist"), version: "v1.2.3"}).pinned()
			if (err == nil) != (c.said == "") || err != nil && !strings.Contains(err.Error(), c.said) {
				t.Errorf("error %v, want %q", err, c.said)
			}
		})
	}
}
