// SPDX-License-Identifier: Apache-2.0

// Package tools builds the programs that the lab runs from their Go modules,
// once: a program is kept under a hash of all that it is made from. It also
// installs the few Debian packages that are no Go programs.
package tools

import (
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
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
	"time"
)

// Tool is one program.
type Tool struct {
	Name    string
	Module  string // folder of its module, below the lab's
	Package string // import path, or "." for the module's own
	LDFlags string
	About   string // for the progress line
}

const kubeVersion = "-X k8s.io/component-base/version.gitVersion=v1.37.2 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37"

// All lists the programs in the order in which they are built.
func All() []Tool {
	return []Tool{
		{"kube", "kube", ".", kubeVersion, "Kubernetes 1.37.2: control plane, kubelet, kube-proxy; 6 minutes on 2 cores"},
		{"kubectl", "kube", "k8s.io/kubernetes/cmd/kubectl", kubeVersion, "half a minute"},
		{"aws-load-balancer-controller", "lbc", "sigs.k8s.io/aws-load-balancer-controller", "", "2 minutes"},
		{"buildkitd", "buildkit", "github.com/moby/buildkit/cmd/buildkitd", "", "1 minute"},
		{"buildctl", "buildkit", "github.com/moby/buildkit/cmd/buildctl", "", "seconds"},
		{"pause", ".", "./cmd/pause", "", "seconds"},
	}
}

// Builder builds programs into Cache.
type Builder struct {
	Source string // the lab's folder, with the modules' folders in it
	Cache  string
	Log    func(format string, args ...any)
}

// Build gives the path of a program, and builds it if need be.
func (b Builder) Build(ctx context.Context, t Tool) (string, error) {
	sum, err := b.hash(ctx, t)
	if err != nil {
		return "", fmt.Errorf("building %s: %w", t.Name, err)
	}
	path := filepath.Join(b.Cache, t.Name+"-"+sum)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(b.Cache, 0o755); err != nil {
		return "", fmt.Errorf("building %s: %w", t.Name, err)
	}
	started := time.Now()
	b.Log("building %s from its Go module (%s; once)", t.Name, t.About)
	tmp := path + ".new"
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w "+t.LDFlags, "-o", tmp, t.Package)
	cmd.Dir = filepath.Join(b.Source, t.Module)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off")
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(15 * time.Second):
				b.Log("  still building %s, %s so far", t.Name, time.Since(started).Round(time.Second))
			}
		}
	}()
	out, err := cmd.CombinedOutput()
	close(done)
	if err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", t.Name, err, lastLines(string(out), 10))
	}
	if err := os.Rename(tmp, path); err != nil {
		return "", fmt.Errorf("building %s: %w", t.Name, err)
	}
	b.Log("built %s in %s", t.Name, time.Since(started).Round(time.Second))
	return path, nil
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// hash covers the module's files, the flags, and the Go version.
func (b Builder) hash(ctx context.Context, t Tool) (string, error) {
	version, err := exec.CommandContext(ctx, "go", "env", "GOVERSION").Output()
	if err != nil {
		return "", fmt.Errorf("asking go for its version (is Go on PATH?): %w", err)
	}
	h := sha256.New()
	fmt.Fprintln(h, t.Package, t.LDFlags, strings.TrimSpace(string(version)), runtime.GOARCH)
	dir := filepath.Join(b.Source, t.Module)
	if strings.HasPrefix(t.Package, "./") { // one of the lab's own programs
		dir = filepath.Join(dir, t.Package)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	for _, e := range entries { // sorted by name
		if e.IsDir() || !slices.Contains([]string{".go", ".mod", ".sum"}, filepath.Ext(e.Name())) {
			continue
		}
		f, err := os.Open(filepath.Join(dir, e.Name()))
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, e.Name())
		_, err = io.Copy(h, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// Module gives the folder of a dependency of a module, e.g. for the CRDs that
// come with the controller.
func (b Builder) Module(ctx context.Context, module, dependency string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", dependency)
	cmd.Dir = filepath.Join(b.Source, module)
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off")
	out, err := cmd.Output()
	if err != nil || strings.TrimSpace(string(out)) == "" {
		return "", fmt.Errorf("finding module %s: %w", dependency, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// packages are the Debian packages that the lab needs, each with a program
// that proves it is there.
var packages = map[string]string{
	"containerd": "/usr/bin/containerd", "runc": "/usr/sbin/runc", "containernetworking-plugins": "/usr/lib/cni/bridge", "nftables": "/usr/sbin/nft",
	"iproute2": "/sbin/ip", "iptables": "/usr/sbin/iptables", "conntrack": "/usr/sbin/conntrack", "busybox-static": "/bin/busybox", "git": "/usr/bin/git", "ca-certificates": "/etc/ssl/certs/ca-certificates.crt",
}

// Docker is needed by the tests of outlast's builders only.
var Docker = map[string]string{"docker.io": "/usr/sbin/dockerd"}

// static says whether a program needs no shared libraries. Debian's busybox
// does, and has the path of busybox-static: images made of it have no shell.
func static(path string) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return !slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
}

// Packages installs what of the lab's packages, and of extra ones, is missing
// with apt.
func Packages(ctx context.Context, extra map[string]string, log func(string, ...any)) error {
	var missing []string
	wanted := maps.Clone(packages)
	maps.Copy(wanted, extra)
	for name, path := range wanted {
		if _, err := os.Stat(path); err != nil || name == "busybox-static" && !static(path) {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("these Debian packages are missing and there is no apt-get to install them: %s", strings.Join(missing, " "))
	}
	log("installing Debian packages: %s", strings.Join(missing, " "))
	for _, args := range [][]string{{"update", "-qq"}, append([]string{"install", "-y", "-qq", "--no-install-recommends"}, missing...)} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("installing Debian packages: apt-get %s: %w\n%s", args[0], err, lastLines(string(out), 5))
		}
	}
	return nil
}
