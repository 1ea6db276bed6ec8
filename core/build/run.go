// SPDX-License-Identifier: Apache-2.0

package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// buildctl builds through a BuildKit daemon into an OCI layout.
func (b Builder) buildctl(ctx context.Context, w World, opt Options, address, layout string, p *progress) error {
	file := opt.dockerfile()
	args := []string{"--addr", address, "build", "--progress", "rawjson", "--frontend", "dockerfile.v0",
		"--local", "context=" + opt.Context, "--local", "dockerfile=" + filepath.Dir(file), "--opt", "filename=" + filepath.Base(file),
		"--output", opt.output(layout)}
	for _, a := range w.arguments(opt) {
		args = append(args, "--opt", "build-arg:"+a)
	}
	for _, k := range slices.Sorted(maps.Keys(opt.Labels)) {
		args = append(args, "--opt", "label:"+k+"="+opt.Labels[k])
	}
	if opt.Target != "" {
		args = append(args, "--opt", "target="+opt.Target)
	}
	if opt.Platform != "" {
		args = append(args, "--opt", "platform="+opt.Platform)
	}
	if opt.NoCache {
		args = append(args, "--no-cache")
	}
	args = append(args, w.secrets()...)
	return w.run(ctx, p, b.tools["buildctl"], args...)
}

// buildx builds through docker buildx. Attestations are off: they would turn
// the image into an index that older engines and registries stumble over.
func (b Builder) buildx(ctx context.Context, w World, opt Options, output []string, p *progress) error {
	args := append([]string{"buildx", "build", "--progress", "rawjson", "--provenance=false", "--sbom=false", "--file", opt.dockerfile()}, output...)
	for _, a := range w.arguments(opt) {
		args = append(args, "--build-arg", a)
	}
	for _, k := range slices.Sorted(maps.Keys(opt.Labels)) {
		args = append(args, "--label", k+"="+opt.Labels[k])
	}
	if opt.Target != "" {
		args = append(args, "--target", opt.Target)
	}
	if opt.Platform != "" {
		args = append(args, "--platform", opt.Platform)
	}
	if opt.NoCache {
		args = append(args, "--no-cache")
	}
	args = append(args, w.secrets()...)
	return w.run(ctx, p, b.tools["docker"], append(args, opt.Context)...)
}

// secrets are files that RUN lines may mount, which no layer keeps.
func (w World) secrets() []string {
	if w.CA == "" {
		return nil
	}
	return []string{"--secret", "id=ca-bundle,src=" + w.CA}
}

// engine builds with the Docker engine's own BuildKit: into the engine's store
// under a name of our own, from there to an archive, and out of the store.
func (b Builder) engine(ctx context.Context, w World, opt Options, img *Image, p *progress) error {
	tag := fmt.Sprintf("outlast-build:%d-%d", os.Getpid(), time.Now().UnixNano())
	if err := b.buildx(ctx, w, opt, []string{"--load", "--tag", tag}, p); err != nil {
		return err
	}
	clean := context.WithoutCancel(ctx)
	defer w.probe(clean, b.tools["docker"], "rmi", tag) //nolint:errcheck // a tag left over in the engine is no reason to fail
	out, err := w.probe(ctx, b.tools["docker"], "image", "inspect", "--format", "{{.Id}}", tag)
	if err != nil {
		return fmt.Errorf("asking the engine for the image: %s", lastLine(out, err))
	}
	img.Archive, img.Layout = img.Layout+".tar", ""
	if err := w.run(ctx, p, b.tools["docker"], "save", "--output", img.Archive, tag); err != nil {
		return fmt.Errorf("saving the image from the engine: %w", err)
	}
	img.Digest = strings.TrimSpace(out)
	return nil
}

// patience is how long a client, or a daemon of our own, may take to end. Both together
// leave time for the report: GitHub kills a cancelled job after 10 seconds
// (https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-cancellation).
const patience = 4 * time.Second

// run runs a client and follows its progress.
func (w World) run(ctx context.Context, p *progress, program string, args ...string) error {
	cmd := w.command(ctx, patience, program, args...)
	said, stderr := io.Pipe()
	cmd.Stderr = stderr // no StderrPipe: what the client leaves behind may hold that open for ever
	done := make(chan struct{})
	go func() {
		p.read(said)
		close(done)
	}()
	err := cmd.Run()
	stderr.Close()
	<-done
	// Jenkins signals a step's processes from the youngest on: a client that a signal
	// ended most often is the first to hear of a cancelled job, and we hear of it next.
	if exit := new(exec.ExitError); errors.As(err, &exit) && !exit.Exited() {
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	if ctx.Err() != nil && cmd.Process != nil {
		signal(cmd.Process, syscall.SIGKILL) //nolint:errcheck // most often nobody is left of the group
	}
	if err != nil {
		return p.failure(fmt.Errorf("%s: %w", filepath.Base(program), err))
	}
	return nil
}

// command is a program that is asked to end with all that it started, and after
// patience is killed: an older docker passes no signal on to its plugin buildx.
func (w World) command(ctx context.Context, patience time.Duration, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = w.Environ
	cmd.SysProcAttr = ownGroup()
	cmd.Cancel = func() error { return signal(cmd.Process, syscall.SIGTERM) }
	cmd.WaitDelay = patience
	return cmd
}

// withChild runs do while a buildkitd of our own runs.
func (b Builder) withChild(ctx context.Context, w World, opt Options, do func(address string) error) (err error) {
	dir, err := os.MkdirTemp(w.TempDir, "buildkitd-")
	if err != nil {
		return fmt.Errorf("making a folder for buildkitd: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	state := filepath.Join(dir, "state")
	if w.CacheDir != "" {
		state = filepath.Join(w.CacheDir, "buildkit")
	}
	log, err := os.Create(filepath.Join(dir, "buildkitd.log"))
	if err != nil {
		return fmt.Errorf("making buildkitd's log: %w", err)
	}
	defer log.Close()
	address := "unix://" + filepath.Join(dir, "buildkitd.sock")
	ended, end, err := b.startChild(w, state, address, log)
	if err != nil {
		return err
	}
	defer end()
	for {
		if _, err := w.probe(ctx, b.tools["buildctl"], "--addr", address, "debug", "workers"); err == nil {
			return do(address)
		}
		select {
		case <-ended:
			return fmt.Errorf("starting buildkitd: it ended: %s", tail(log.Name()))
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// startChild starts buildkitd so that it dies with us, and gives a channel that
// closes when it ends and a function that ends it.
func (b Builder) startChild(w World, state, address string, log io.Writer) (<-chan struct{}, func(), error) {
	// Left to itself it would take, and in the end remove, the trace socket of a daemon that the machine runs.
	words := []string{b.tools["buildkitd"], "--addr", address, "--root", state, "--otel-socket-path", strings.TrimPrefix(address, "unix://") + ".otel"}
	if w.UID != 0 {
		words = append(words, "--rootless", "--oci-worker-no-process-sandbox")
		if kit := b.tools["rootlesskit"]; kit != "" {
			words = append([]string{kit}, words...)
		} else { // a namespace of our own, with a /run that buildkitd may write
			words = append([]string{b.tools["unshare"], "--user", "--map-root-user", "--mount", "sh", "-c", `mount -t tmpfs tmpfs /run && exec "$@"`, "sh"}, words...)
		}
	}
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = w.Environ, log, log
	cmd.SysProcAttr = dieWithParent()
	started, ended := make(chan error), make(chan struct{})
	go func() {
		// The kernel's parent-death signal follows the thread that started the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait() //nolint:errcheck // how it ended is in its log
			close(ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, nil, fmt.Errorf("starting buildkitd: %w", err)
	}
	return ended, func() {
		signal(cmd.Process, syscall.SIGTERM) //nolint:errcheck // it may have ended by itself
		select {
		case <-ended:
		case <-time.After(patience):
			signal(cmd.Process, syscall.SIGKILL) //nolint:errcheck // nothing more can be done
			<-ended
		}
	}, nil
}

// tail gives the last lines of a log, for an error.
func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], "; ")
}
