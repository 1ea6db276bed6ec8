// SPDX-License-Identifier: Apache-2.0

package build

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// dockerWorld starts a Docker engine that shares nothing with one that the
// machine may run, and gives a world whose docker has buildx.
func dockerWorld(t *testing.T) World {
	t.Helper()
	if os.Getenv("TEST_DOCKER") != "1" {
		t.Skip("TEST_DOCKER is not 1: a Docker engine would be started, as root")
	}
	if os.Getuid() != 0 {
		t.Skip("not root: a Docker engine is started here")
	}
	w := realWorld(t)
	for _, name := range []string{"docker", "dockerd", "containerd", "runc", "go"} {
		if _, err := w.lookup(name); err != nil {
			t.Skip(name + " is not on PATH")
		}
	}
	dir := realWorld(t).TempDir
	w.Environ = append(w.Environ, "DOCKER_HOST=unix://"+dir+"/sock", "DOCKER_CONFIG="+dir+"/config")
	plugin(t, filepath.Join(dir, "config/cli-plugins/docker-buildx"))
	engine(t, w, dir)
	return w
}

// plugin puts buildx, as lab/buildx makes it, where docker looks for it.
func plugin(t *testing.T, path string) {
	t.Helper()
	cmd := exec.Command("go", "tool", "-n", "github.com/docker/buildx/cmd/buildx")
	cmd.Dir, cmd.Env, cmd.Stderr = "../../lab/buildx", append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off"), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(strings.TrimSpace(string(out)), path); err != nil {
		t.Fatal(err)
	}
}

// engine runs dockerd without a bridge or rules for packets, so that the
// machine's network stays as it is. RUN lines need the bridge: there are none.
func engine(t *testing.T, w World, dir string) {
	t.Helper()
	write(t, filepath.Join(dir, "daemon.json"), "{}", 0o644)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	path, err := w.lookup("dockerd")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--config-file", dir+"/daemon.json", "--host", "unix://"+dir+"/sock", "--data-root", dir+"/data", "--exec-root", dir+"/exec", "--pidfile", dir+"/pid",
		"--iptables=false", "--ip6tables=false", "--ip-forward=false", "--bridge=none", "--userland-proxy=false")
	cmd.Env, cmd.Stdout, cmd.Stderr = w.Environ, log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended by itself
		cmd.Wait()                          //nolint:errcheck // how it ends is not the question
		log.Close()
		if left := using(t, dir); len(left) > 0 {
			t.Errorf("still at work: %q", left)
		}
	})
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if _, err := dockerSays(w, "version"); err == nil {
			return
		}
	}
	t.Fatalf("dockerd does not answer: %s", tail(log.Name()))
}

func dockerSays(w World, args ...string) (string, error) {
	path, err := w.lookup("docker")
	if err != nil {
		return "", err
	}
	return w.probe(context.Background(), path, args...)
}

// archived is an archive's files by name, and what docker made of it.
func archived(t *testing.T, path string) (files map[string]string, configs, tags []string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	files = map[string]string{}
	for in := tar.NewReader(f); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = string(text)
	}
	var manifest []struct {
		Config   string
		RepoTags []string
	}
	if err := json.Unmarshal([]byte(files["manifest.json"]), &manifest); err != nil {
		t.Fatal(err)
	}
	for _, m := range manifest {
		configs, tags = append(configs, m.Config), append(tags, m.RepoTags...)
	}
	return files, configs, tags
}

// TestDocker: the engine's own BuildKit, as Debian's docker.io or a later one
// has it, with buildx of today.
func TestDocker(t *testing.T) {
	w := dockerWorld(t)
	b, err := Find(context.Background(), w, "docker")
	if err != nil {
		t.Fatal(err)
	}
	info, err := dockerSays(w, "info", "--format", "{{.DriverStatus}}")
	if err != nil {
		t.Fatal(info, err)
	}
	want := DockerEngine
	if strings.Contains(info, "io.containerd.snapshotter") {
		want = DockerContainer
	}
	if b.Kind != want {
		t.Errorf("found %q (%s) for an engine whose store is %s", b.Kind, b.Why, info)
	}
	opt := Options{Name: "web", Labels: map[string]string{"a": "x=1, y=2"}, Args: map[string]string{"A": "x=1, y=2"},
		Context: source(t, map[string]string{"Dockerfile": "FROM scratch AS first\nARG A\nENV A=$A\nCOPY a /\nFROM scratch\n", "a": "a"}), Target: "first"}

	t.Run("the image is on disk, and no more of it in the engine", func(t *testing.T) {
		img, err := Build(context.Background(), w, b, opt)
		if err != nil {
			t.Fatal(err)
		}
		if img.Archive == "" {
			if diff := cmp.Diff(map[string]string{"a": "a"}, inspect(t, img.Layout, img.Digest).files); diff != "" {
				t.Error(diff)
			}
		} else {
			files, configs, tags := archived(t, img.Archive)
			if len(configs) != 1 || configs[0] != strings.TrimPrefix(img.Digest, "sha256:")+".json" || len(tags) != 1 || !strings.HasPrefix(tags[0], "outlast-build:") {
				t.Errorf("the archive of %s holds %v as %v", img.Digest, configs, tags)
			}
			var c contents
			if err := json.Unmarshal([]byte(files[configs[0]]), &c); err != nil || c.Config.Labels["a"] != "x=1, y=2" || !strings.Contains(strings.Join(c.Config.Env, "\n"), "A=x=1, y=2") {
				t.Errorf("the image's config is %+v (%v)", c, err)
			}
		}
		if out, err := dockerSays(w, "images", "--quiet"); err != nil || strings.TrimSpace(out) != "" {
			t.Errorf("the engine keeps %s (%v)", out, err)
		}
		again, err := Build(context.Background(), w, b, opt)
		if err != nil || again.Cached == 0 {
			t.Errorf("built again, %d of %d steps come from the cache (%v)", again.Cached, again.Steps, err)
		}
		if err := errors.Join(os.RemoveAll(img.Layout), os.RemoveAll(img.Archive)); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("what fails is told", func(t *testing.T) {
		for file, want := range map[string]string{"FROM scratch\nCOPY nothing /\n": "/nothing", "FROM scratch\nCOPPY a /\n": "COPPY"} {
			_, err := Build(context.Background(), w, b, Options{Name: "web", Context: source(t, map[string]string{"Dockerfile": file})})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
	})
	t.Run("a cancelled build ends docker and buildx", func(t *testing.T) {
		address, reached := stuck(t)
		cancelled(t, w, b, Options{Name: "web", Context: source(t, map[string]string{"Dockerfile": "FROM scratch\nADD " + address + " /\n"})}, reached)
	})
	t.Run("a builder in a container that cannot be pulled is an error with the reason", func(t *testing.T) {
		if out, err := dockerSays(w, "buildx", "create", "--name", "far", "--driver", "docker-container", "--driver-opt", "image=127.0.0.1:1/moby/buildkit"); err != nil {
			t.Fatal(out, err)
		}
		far := w
		far.Environ = append(far.Environ[:len(far.Environ):len(far.Environ)], "BUILDX_BUILDER=far")
		_, err := Find(context.Background(), far, "docker")
		if err == nil || !strings.Contains(err.Error(), "buildx's current builder does not start (") || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("%v", err)
		}
	})
	t.Run("a builder elsewhere exports a layout", func(t *testing.T) {
		near, _ := daemon(t, buildKit(t))
		if out, err := dockerSays(w, "buildx", "create", "--name", "near", "--driver", "remote", near.getenv("BUILDKIT_HOST")); err != nil {
			t.Fatal(out, err)
		}
		via := w
		via.Environ = append(via.Environ[:len(via.Environ):len(via.Environ)], "BUILDX_BUILDER=near")
		b := find(t, via, "docker", DockerContainer)
		opt := opt
		opt.Epoch = time.Unix(1700000000, 0)
		img, err := Build(context.Background(), via, b, opt)
		if err != nil {
			t.Fatal(err)
		}
		got := inspect(t, img.Layout, img.Digest)
		if diff := cmp.Diff(map[string]string{"a": "a"}, got.files); diff != "" || !got.Created.Equal(opt.Epoch) || got.Config.Labels["a"] != "x=1, y=2" {
			t.Errorf("made at %s with %v: %s", got.Created, got.Config, diff)
		}
	})
}
