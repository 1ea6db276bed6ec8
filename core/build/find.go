// SPDX-License-Identifier: Apache-2.0

package build

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Kind is a way to run BuildKit.
type Kind string

const (
	Daemon          Kind = "buildkitd"        // one that runs already, at BUILDKIT_HOST
	Child           Kind = "buildkitd-child"  // one that we start and stop
	DockerContainer Kind = "docker-container" // buildx with a driver that exports OCI layouts
	DockerEngine    Kind = "docker-engine"    // buildx with the engine's own BuildKit, which may export none
)

// Builder is a way that answered, and why it was taken.
type Builder struct {
	Kind    Kind
	Why     string
	address string // of a Daemon
	tools   map[string]string
}

// probeTime is how long a builder may take to answer; a buildx container is
// started by the first probe.
const probeTime = 30 * time.Second

// Find chooses the builder: a BuildKit daemon that the user points at, one
// that can be started here, then Docker. want narrows it to "buildkit" or
// "docker". When none answers, the error tells what was tried, what was seen,
// and how to get each.
func Find(ctx context.Context, w World, want string) (Builder, error) {
	var tried []string
	attempt := func(find func(context.Context, World) (Builder, string)) (Builder, bool) {
		b, failed := find(ctx, w)
		if failed != "" {
			tried = append(tried, "  - "+failed)
		}
		return b, failed == ""
	}
	if want != "docker" {
		if host := w.getenv("BUILDKIT_HOST"); host != "" { // said outright: no silent way around it
			b, failed := findDaemon(ctx, w, host)
			if failed == "" {
				return b, nil
			} else if ctx.Err() != nil {
				return Builder{}, context.Cause(ctx)
			}
			return Builder{}, fmt.Errorf("finding a builder: %s", failed)
		}
		if b, ok := attempt(findChild); ok {
			return b, nil
		}
	}
	if want != "buildkit" {
		if b, ok := attempt(findDocker); ok {
			return b, nil
		}
	}
	if err := ctx.Err(); err != nil {
		return Builder{}, context.Cause(ctx)
	}
	return Builder{}, fmt.Errorf("finding a builder: none answers:\n  - BUILDKIT_HOST is not set: run buildkitd somewhere and point BUILDKIT_HOST at it, e.g. tcp://buildkitd:1234\n%s", strings.Join(tried, "\n"))
}

func findDaemon(ctx context.Context, w World, host string) (Builder, string) {
	buildctl, err := w.lookup("buildctl")
	if err != nil {
		return Builder{}, "BUILDKIT_HOST is " + host + " but buildctl is not on PATH: install BuildKit's release or the package that holds it"
	}
	if out, err := w.probe(ctx, buildctl, "--addr", host, "debug", "workers"); err != nil {
		return Builder{}, fmt.Sprintf("BUILDKIT_HOST is %s but nothing answers there (%s): start buildkitd, or unset the variable", host, lastLine(out, err))
	}
	return Builder{Kind: Daemon, Why: "BUILDKIT_HOST is set and answers", address: host, tools: map[string]string{"buildctl": buildctl}}, ""
}

func findChild(_ context.Context, w World) (Builder, string) {
	tools := map[string]string{}
	need := []string{"buildctl", "buildkitd"}
	if w.UID != 0 {
		if path, err := w.lookup("rootlesskit"); err == nil {
			tools["rootlesskit"] = path
		} else {
			need = append(need, "unshare", "mount")
		}
	}
	for _, name := range need {
		path, err := w.lookup(name)
		if err != nil {
			return Builder{}, name + " is not on PATH: with BuildKit's buildctl and buildkitd (and runc) there, a daemon is started for the build, as root or rootless"
		}
		tools[name] = path
	}
	if _, err := w.lookup("runc"); err != nil {
		if _, err := w.lookup("buildkit-runc"); err != nil {
			return Builder{}, "buildkitd is on PATH, but neither runc nor buildkit-runc, which it needs: install runc"
		}
	}
	why := "buildkitd is on PATH; it is started for this build and stopped after it"
	if tools["unshare"] != "" { // runc mounts /dev/pts for a group that this namespace does not know
		why += "; without rootlesskit on PATH a RUN line fails"
	}
	return Builder{Kind: Child, Why: why, tools: tools}, ""
}

func findDocker(ctx context.Context, w World) (Builder, string) {
	docker, err := w.lookup("docker")
	if err != nil {
		return Builder{}, "docker is not on PATH: install a Docker engine with the buildx plugin"
	}
	version, err := w.probe(ctx, docker, "version", "--format", "{{.Server.Version}}")
	if err != nil {
		return Builder{}, fmt.Sprintf("docker is on PATH but no engine answers (%s): start it, or set DOCKER_HOST", lastLine(version, err))
	}
	if out, err := w.probe(ctx, docker, "buildx", "version"); err != nil {
		return Builder{}, fmt.Sprintf("a Docker engine answers, but its buildx plugin is missing (%s): install docker-buildx", lastLine(out, err))
	}
	out, err := w.probe(ctx, docker, "buildx", "inspect", "--bootstrap")
	if err != nil {
		return Builder{}, fmt.Sprintf("buildx's current builder does not start (%s): look at docker buildx ls", lastLine(out, err))
	}
	tools := map[string]string{"docker": docker}
	driver := field(out, "Driver:")
	// The label by which buildx itself knows an engine with containerd's image store.
	if driver == "docker" && field(out, "org.mobyproject.buildkit.worker.snapshotter:") == "" {
		return Builder{Kind: DockerEngine, tools: tools,
			Why: "Docker engine " + strings.TrimSpace(version) + " answers; its own driver exports no OCI layout, so a docker archive is saved"}, ""
	}
	return Builder{Kind: DockerContainer, tools: tools, Why: "buildx's builder answers, with the driver " + driver}, ""
}

// field gives the value of a line `Name: value` of buildx inspect.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), name); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// lookup finds a program in World's PATH.
func (w World) lookup(name string) (string, error) {
	for _, dir := range filepath.SplitList(w.getenv("PATH")) {
		if dir == "" {
			continue
		}
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return path, nil
		}
		if info, err := os.Stat(path + ".exe"); err == nil && !info.IsDir() { // Windows
			return path + ".exe", nil
		}
	}
	return "", exec.ErrNotFound
}

func (w World) probe(ctx context.Context, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	out, err := w.command(ctx, time.Second, program, args...).CombinedOutput()
	return string(out), err
}

func lastLine(out string, err error) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		return last
	}
	return err.Error()
}
