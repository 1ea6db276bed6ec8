// SPDX-License-Identifier: Apache-2.0

package build

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outlast-ci/outlast/core/event"
)

// buildKit is a world with the real programs, or a skip that says what it
// lacks. They can be had from lab/buildkit: go tool -n buildkitd names the one
// that it makes.
func buildKit(t *testing.T) World {
	t.Helper()
	w := realWorld(t)
	if os.Getuid() != 0 {
		t.Skip("not root: a buildkitd of root is started here")
	}
	for _, name := range []string{"buildctl", "buildkitd", "runc"} {
		if _, err := w.lookup(name); err != nil {
			t.Skip(name + " is not on PATH")
		}
	}
	return w
}

// realWorld has this machine's PATH, but no settings of the user who runs the
// tests. Its folder's path is short, for sockets lie there.
func realWorld(t *testing.T) World {
	t.Helper()
	dir, err := os.MkdirTemp("", "build")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return World{Environ: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}, TempDir: dir, UID: os.Getuid()}
}

// tool is a static program for RUN, since an image from scratch has none.
func tool(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("go is not on PATH: it compiles the program that the images' RUN lines call")
	}
	dir := source(t, map[string]string{"go.mod": "module example.com/tool\n\ngo 1.26\n", "main.go": `package main

import ("fmt"; "os"; "strconv"; "time")

func main() {
	n, _ := strconv.Atoi(os.Args[2])
	switch os.Args[1] {
	case "sleep":
		fmt.Println("asleep")
		time.Sleep(time.Duration(n) * time.Second)
	case "fail":
		for i := range 25 { fmt.Println("line", i+1) }
		os.Exit(n)
	case "write":
		fmt.Println("writing")
		os.WriteFile("/written", []byte(os.Args[2]), 0o644)
	}
}
`})
	cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", "tool", ".")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(dir, "tool"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// daemon starts a buildkitd for the test alone, and gives a world that points
// at it and the command, for tests that end it early.
func daemon(t *testing.T, w World) (World, *exec.Cmd) {
	t.Helper()
	path, err := w.lookup("buildkitd")
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(realWorld(t).TempDir, "d.sock")
	log, err := os.Create(socket + ".log")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--addr", "unix://"+socket, "--root", socket+".root", "--otel-socket-path", socket+".otel", "--containerd-worker=false")
	cmd.Env, cmd.Stdout, cmd.Stderr = w.Environ, log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt) //nolint:errcheck // the test may have ended it
		cmd.Wait()                       //nolint:errcheck // it ends by a signal
		log.Close()
	})
	w.Environ = append(w.Environ, "BUILDKIT_HOST=unix://"+socket)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if _, err := Find(context.Background(), w, "buildkit"); err == nil {
			return w, cmd
		}
	}
	t.Fatalf("buildkitd does not answer: %s", tail(log.Name()))
	return w, nil
}

func find(t *testing.T, w World, want string, kind Kind) Builder {
	t.Helper()
	b, err := Find(context.Background(), w, want)
	if err != nil || b.Kind != kind {
		t.Fatalf("found %q, %v; want %q", b.Kind, err, kind)
	}
	return b
}

// contents is what an image holds, as its own files tell.
type contents struct {
	Architecture string
	Created      time.Time
	Config       struct {
		Env    []string
		Labels map[string]string
	}
	files map[string]string
}

// inspect reads an image from its layout and checks each digest on the way.
func inspect(t *testing.T, layout, digest string) (c contents) {
	t.Helper()
	blob := func(digest string) []byte {
		text, err := os.ReadFile(filepath.Join(layout, "blobs", strings.Replace(digest, ":", "/", 1)))
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(text); "sha256:"+hex.EncodeToString(sum[:]) != digest {
			t.Fatalf("blob %s is of another digest", digest)
		}
		return text
	}
	var manifest struct {
		Config struct{ Digest string }
		Layers []struct{ Digest string }
	}
	if err := json.Unmarshal(blob(digest), &manifest); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(blob(manifest.Config.Digest), &c); err != nil {
		t.Fatal(err)
	}
	c.files = map[string]string{}
	for _, l := range manifest.Layers {
		zipped, err := gzip.NewReader(strings.NewReader(string(blob(l.Digest))))
		if err != nil {
			t.Fatal(err)
		}
		files := tar.NewReader(zipped)
		for {
			h, err := files.Next()
			if errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if h.Typeflag == tar.TypeReg {
				text, err := io.ReadAll(files)
				if err != nil {
					t.Fatal(err)
				}
				c.files[h.Name] = string(text)
			}
		}
	}
	return c
}

// TestRealBuild: what Options say is in the image that BuildKit makes.
func TestRealBuild(t *testing.T) {
	w, _ := daemon(t, buildKit(t))
	b := find(t, w, "", Daemon)
	all := map[string]string{
		"Dockerfile": "FROM scratch AS base\nARG A=default\nENV A=$A\nCOPY a /a\nFROM base AS last\nCOPY b /b\n",
		"a":          "a", "b": "b",
		"all.dockerfile": "FROM scratch\nCOPY . /\n",
	}
	with := func(name, text string) map[string]string {
		out := map[string]string{name: text}
		for k, v := range all {
			if k != name {
				out[k] = v
			}
		}
		return out
	}
	for name, tc := range map[string]struct {
		files  map[string]string
		opt    Options
		want   map[string]string // files
		env    string
		labels map[string]string
		arch   string
	}{
		"the last stage is the image":              {files: all, want: map[string]string{"a": "a", "b": "b"}, env: "A=default"},
		"a target is the image":                    {files: all, opt: Options{Target: "base"}, want: map[string]string{"a": "a"}},
		"a build argument arrives whole":           {files: all, opt: Options{Args: map[string]string{"A": "x=1, y=2"}}, want: map[string]string{"a": "a", "b": "b"}, env: "A=x=1, y=2"},
		"labels arrive whole":                      {files: all, opt: Options{Labels: map[string]string{"org.a": "x=1, y=2", "b": ""}}, want: map[string]string{"a": "a", "b": "b"}, labels: map[string]string{"org.a": "x=1, y=2", "b": ""}},
		"another platform":                         {files: all, opt: Options{Platform: "linux/arm64"}, want: map[string]string{"a": "a", "b": "b"}, arch: "arm64"},
		"a Dockerfile of another name":             {files: all, opt: Options{Dockerfile: "all.dockerfile"}, want: all},
		"an ignored file stays out":                {files: with(".dockerignore", "b\nDockerfile\n*.dockerfile\n.dockerignore\n"), opt: Options{Dockerfile: "all.dockerfile"}, want: map[string]string{"a": "a"}},
		"a Dockerfile may have ignores of its own": {files: with("all.dockerfile.dockerignore", "*\n!a\n"), opt: Options{Dockerfile: "all.dockerfile"}, want: map[string]string{"a": "a"}},
		"a byte order mark is no fault":            {files: with("Dockerfile", "\xef\xbb\xbfFROM scratch\nCOPY a /a\n"), want: map[string]string{"a": "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			opt := tc.opt
			opt.Name, opt.Context = "web", source(t, tc.files)
			img, err := Build(context.Background(), w, b, opt)
			if err != nil {
				t.Fatal(err)
			}
			got := inspect(t, img.Layout, img.Digest)
			if diff := cmp.Diff(tc.want, got.files); diff != "" {
				t.Errorf("its files: %s", diff)
			}
			if diff := cmp.Diff(tc.labels, got.Config.Labels); diff != "" {
				t.Errorf("its labels: %s", diff)
			}
			if tc.arch != "" && got.Architecture != tc.arch {
				t.Errorf("it is for %s", got.Architecture)
			}
			if tc.env != "" && !strings.Contains(strings.Join(got.Config.Env, "\n"), tc.env) {
				t.Errorf("its environment is %q, want %q", got.Config.Env, tc.env)
			}
			if img.Steps < 3 {
				t.Errorf("%d steps", img.Steps)
			}
		})
	}
	t.Run("a Dockerfile outside of the context", func(t *testing.T) {
		file := filepath.Join(source(t, map[string]string{"x/my.dockerfile": "FROM scratch\nCOPY b /\n"}), "x/my.dockerfile")
		img, err := Build(context.Background(), w, b, Options{Name: "web", Context: source(t, all), Dockerfile: file})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{"b": "b"}, inspect(t, img.Layout, img.Digest).files); diff != "" {
			t.Error(diff)
		}
	})
}

// TestRealSame: the same source gives the same digest, though a checkout of
// another day gives its files other times and nothing is cached.
func TestRealSame(t *testing.T) {
	w, _ := daemon(t, buildKit(t))
	b := find(t, w, "", Daemon)
	program := tool(t)
	epoch := time.Unix(1700000000, 0)
	once := func(age time.Duration, opt Options) Image {
		t.Helper()
		opt.Name, opt.Context, opt.Epoch = "web", source(t, map[string]string{"Dockerfile": "FROM scratch\nWORKDIR /srv\nCOPY --chmod=755 tool a /\nRUN [\"/tool\", \"write\", \"x\"]\n", "a": "a", "tool": program}), epoch
		day := time.Now().Add(-age)
		if err := os.Chtimes(filepath.Join(opt.Context, "a"), day, day); err != nil {
			t.Fatal(err)
		}
		img, err := Build(context.Background(), w, b, opt)
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
	first := once(0, Options{})
	if got := inspect(t, first.Layout, first.Digest); !got.Created.Equal(epoch) || got.files["written"] != "x" {
		t.Errorf("made at %s with %d files", got.Created, len(got.files))
	}
	time.Sleep(1100 * time.Millisecond) // archives know whole seconds only
	seen := &recorder{}
	if again := once(24*time.Hour, Options{NoCache: true, Observe: seen.observe}); again.Digest != first.Digest {
		t.Errorf("another checkout gives %s, want %s", again.Digest, first.Digest)
	}
	if !seen.has(event.Log, "RUN", "writing") { // not Cached: BuildKit calls a WORKDIR cached even now
		t.Error("the RUN line was not run anew")
	}
	seen = &recorder{}
	if third := once(24*time.Hour, Options{Observe: seen.observe}); third.Digest != first.Digest || third.Cached < 2 || seen.has(event.Log, "RUN", "writing") {
		t.Errorf("the cache gives %s in %d cached steps of %d", third.Digest, third.Cached, third.Steps)
	}
}

// TestRealFailure: BuildKit's refusals reach the user.
func TestRealFailure(t *testing.T) {
	w, server := daemon(t, buildKit(t))
	b := find(t, w, "", Daemon)
	program := tool(t)
	try := func(t *testing.T, ctx context.Context, dockerfile string, opt Options) (Image, error) {
		t.Helper()
		opt.Name, opt.Context = "web", source(t, map[string]string{"Dockerfile": dockerfile, "tool": program})
		return Build(ctx, w, b, opt)
	}
	for name, tc := range map[string]struct {
		dockerfile string
		opt        Options
		want       []string
	}{
		"a RUN that fails":           {"FROM scratch\nCOPY --chmod=755 tool /\nRUN [\"/tool\", \"fail\", \"3\"]\n", Options{}, []string{`[2/2] RUN ["/tool", "fail", "3"]: `, "exit code: 3", "\n  | line 6\n", "\n  | line 25"}},
		"a RUN of nothing":           {"FROM scratch\nRUN [\"/nothing\"]\n", Options{}, []string{`RUN ["/nothing"]: `, "no such file"}},
		"a COPY of nothing":          {"FROM scratch\nCOPY nothing /\n", Options{}, []string{"COPY nothing /: ", `"/nothing": not found`}},
		"a target that is not there": {"FROM scratch\n", Options{Target: "x"}, []string{`target stage "x" could not be found`}},
		"a mistyped line":            {"FROM scratch\nCOPPY a /\n", Options{}, []string{"did you mean COPY?"}},
		"a platform of nonsense":     {"FROM scratch\nCOPY tool /\n", Options{Platform: "linux/arm64/v9/x"}, []string{"platform"}},
	} {
		t.Run(name, func(t *testing.T) {
			img, err := try(t, context.Background(), tc.dockerfile, tc.opt)
			if err == nil || img.Digest != "" {
				t.Fatalf("%+v, %v", img, err)
			}
			for _, part := range tc.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is missing in: %v", part, err)
				}
			}
			if _, err := os.Stat(img.Layout); err == nil {
				t.Errorf("%s is left", img.Layout)
			}
		})
	}
	t.Run("a daemon that goes away is an error, not a wait", func(t *testing.T) {
		address, reached := stuck(t)
		when(t, reached, func() { server.Process.Kill() }) //nolint:errcheck // then the build lasts, and the test fails
		_, err := try(t, context.Background(), "FROM scratch\nADD "+address+" /\n", Options{})
		if err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if _, err := Find(context.Background(), w, ""); err == nil || !strings.Contains(err.Error(), "nothing answers there") {
			t.Errorf("a dead daemon is found: %v", err)
		}
	})
}

// using lists the processes whose words hold a text.
func using(t *testing.T, text string) (found []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(files) == 0 {
		t.Fatalf("no /proc: %v", err)
	}
	for _, file := range files {
		if words, err := os.ReadFile(file); err == nil && strings.Contains(string(words), text) {
			found = append(found, strings.ReplaceAll(string(words), "\x00", " "))
		}
	}
	return found
}

// TestRealChild: a buildkitd of our own comes, builds and goes, with its
// processes, mounts and files; also when the build is cancelled halfway.
func TestRealChild(t *testing.T) {
	for name, uid := range map[string]int{"as root": 0, "in a namespace of its own": 1000} {
		t.Run(name, func(t *testing.T) {
			w := buildKit(t)
			w.UID = uid
			w.CacheDir = filepath.Join(realWorld(t).TempDir, "cache")
			b := find(t, w, "buildkit", Child)
			address, reached := stuck(t)
			opt := Options{Name: "web", Context: source(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY a /\n", "add.dockerfile": "FROM scratch\nCOPY a /\nADD " + address + " /\n", "a": "a"})}
			var digests []string
			for i := range 2 {
				img, err := Build(context.Background(), w, b, opt)
				if err != nil {
					t.Fatal(err)
				}
				inspect(t, img.Layout, img.Digest)
				digests = append(digests, img.Digest)
				if (img.Cached > 0) != (i > 0) {
					t.Errorf("build %d took %d of %d steps from the cache", i+1, img.Cached, img.Steps)
				}
				if err := os.RemoveAll(img.Layout); err != nil {
					t.Fatal(err)
				}
			}
			if digests[0] != digests[1] {
				t.Errorf("two digests of one source in one cache: %v", digests)
			}
			cancelled(t, w, b, Options{Name: "web", Context: opt.Context, Dockerfile: "add.dockerfile"}, reached)
		})
	}
}

// TestRealRun: a RUN line at work ends with the build that is cancelled.
func TestRealRun(t *testing.T) {
	w := buildKit(t)
	b := find(t, w, "buildkit", Child)
	nap := fmt.Sprint(100 + os.Getpid()) // known by its number among all processes
	asleep := make(chan struct{})
	opt := Options{Name: "web", Context: source(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY --chmod=755 tool /\nRUN [\"/tool\", \"sleep\", \"" + nap + "\"]\n", "tool": tool(t)})}
	opt.Observe = func(e event.Event) {
		if e.Kind == event.Log && e.Message == "asleep" {
			if len(using(t, "/tool\x00sleep\x00"+nap)) == 0 {
				t.Error("the RUN was not seen at work, so its end proves nothing")
			}
			close(asleep)
		}
	}
	cancelled(t, w, b, opt, asleep)
	if left := using(t, "/tool\x00sleep\x00"+nap); len(left) > 0 {
		t.Errorf("still at work: %q", left)
	}
}

// cancelled cancels a build when it is at work, and looks for what is left.
func cancelled(t *testing.T, w World, b Builder, opt Options, atWork <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	gone := errors.New("somebody pressed Ctrl-C")
	when(t, atWork, func() { cancel(gone) })
	if _, err := Build(ctx, w, b, opt); !errors.Is(err, gone) {
		t.Errorf("%v, want the cause of the cancellation", err)
	}
	for _, dir := range []string{w.TempDir, opt.Context} {
		if left := using(t, dir); len(left) > 0 {
			t.Errorf("still at work: %q", left)
		}
	}
	for _, dir := range []string{w.TempDir, w.CacheDir} {
		if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || dir != "" && strings.Contains(string(mounts), dir) {
			t.Errorf("a mount is left in %s (%v)", dir, err)
		}
	}
	empty(t, w.TempDir)
}
