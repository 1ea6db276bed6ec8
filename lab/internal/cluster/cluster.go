// SPDX-License-Identifier: Apache-2.0

// Package cluster brings the lab up and takes it down: one step after the
// other, each skipped when what it makes is there already.
package cluster

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"text/template"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/labstate"
	"github.com/outlast-ci/outlast/lab/internal/node"
	"github.com/outlast-ci/outlast/lab/internal/pki"
	"github.com/outlast-ci/outlast/lab/internal/proc"
	"github.com/outlast-ci/outlast/lab/internal/tools"
)

//go:embed files
var files embed.FS

// Programs are the names of what the lab runs, in the order in which it is started.
var Programs = []string{"cloud", "kube", "containerd", "kubelet", "kube-proxy", "buildkitd", "controller"}

// pauseTag is the sandbox image's name in containerd.
const pauseTag = "localhost/outlast-lab/pause:1"

// NodeName is the one node of the cluster.
const NodeName = "node-1"

// DefaultRequeue is the time between two looks of the controller at readiness gates.
// Its own default is 15s.
const DefaultRequeue = "3s"

// Options of Up.
type Options struct {
	Dir    string // state
	Source string // the lab's module folder
	Self   string // this program, for the parts of the lab that it runs itself
	Region string
	// How the balancers lag. Empty and nil: as before, at first labstate's.
	Propagation, Registration, Jitter string  // MIN-MAX each
	Seed                              *uint64 // of their draws
	Requeue                           string  // how often the controller looks at readiness gates; empty: as before, at first DefaultRequeue
	Log                               func(format string, args ...any)
}

// lab is one Up in progress.
type lab struct {
	opt     Options
	state   labstate.State
	builder tools.Builder
}

// Up brings the lab up, or what of it is missing.
func Up(ctx context.Context, opt Options) (labstate.State, error) {
	l := &lab{opt: opt, builder: tools.Builder{Source: opt.Source, Cache: filepath.Join(filepath.Dir(opt.Dir), "bin"), Log: opt.Log}}
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"machine", l.machine},
		{"state", l.makeState},
		{"programs", l.programs},
		{"certificates and files", l.configure},
		{"network", func(ctx context.Context) error { return node.Up(ctx, opt.Dir) }},
		{"AWS", l.cloud},
		{"control plane", l.controlPlane},
		{"BuildKit", l.buildkit},
		{"node", l.node},
		{"base images", l.baseImages},
		{"cluster objects", l.objects},
		{"load balancer controller", l.controller},
		{"node ready", l.nodeReady},
	} {
		started := time.Now()
		if err := step.do(ctx); err != nil {
			return l.state, fmt.Errorf("lab up: %s: %w", step.name, err)
		}
		if took := time.Since(started); took > 200*time.Millisecond {
			opt.Log("✓ %s (%.1f s)", step.name, took.Seconds())
		}
	}
	l.state.Started = true
	return l.state, l.state.Save()
}

// machine refuses early what cannot work.
func (l *lab) machine(ctx context.Context) error {
	switch {
	case runtime.GOOS != "linux":
		return fmt.Errorf("the lab runs real containers and needs Linux; this is %s", runtime.GOOS)
	case os.Geteuid() != 0:
		return errors.New("the lab makes a network namespace and runs containerd: run it as root")
	}
	filesystems, err := os.ReadFile("/proc/filesystems")
	if err != nil || !strings.Contains(string(filesystems), "overlay") {
		return errors.New("the kernel has no overlayfs, which containerd needs")
	}
	var fs syscall.Statfs_t
	if err := os.MkdirAll(l.opt.Dir, 0o755); err != nil {
		return err
	}
	if err := syscall.Statfs(l.opt.Dir, &fs); err != nil {
		return err
	}
	running := slices.ContainsFunc(Programs, func(name string) bool { _, ok := proc.Find(l.opt.Dir, name); return ok })
	if free := fs.Bavail * uint64(fs.Bsize) >> 30; free < 6 && !running { // what runs has room
		return fmt.Errorf("%d GiB are free where %s is; the lab needs 6", free, l.opt.Dir)
	}
	if memory, err := memoryGiB(); err == nil && memory < 5 {
		return fmt.Errorf("the machine has %d GiB of memory; building Kubernetes takes 6", memory)
	}
	return tools.Packages(ctx, nil, l.opt.Log)
}

func memoryGiB() (uint64, error) {
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err != nil {
		return 0, err
	}
	return info.Totalram * uint64(info.Unit) >> 30, nil
}

// makeState reads lab.json, or makes it: free ports and keys, chosen once.
func (l *lab) makeState(context.Context) error {
	s, err := labstate.Load(l.opt.Dir)
	if err != nil && !errors.Is(err, labstate.ErrNone) {
		return err
	}
	if errors.Is(err, labstate.ErrNone) {
		s = labstate.State{Dir: l.opt.Dir, Region: l.opt.Region, Account: "111122223333", Cluster: "lab", HostIP: node.HostIP, NodeIP: node.NodeIP, Seed: labstate.Seed, Users: map[string]labstate.User{}}
		if s.Ports, err = freePorts("api", "registry", "hook", "kube", "etcd", "webhook", "metrics", "health"); err != nil {
			return err
		}
		for _, name := range []string{"deployer", "controller", "node"} {
			s.Users[name] = labstate.User{AccessKeyID: "AKIALAB" + strings.ToUpper(random(6)), SecretAccessKey: random(20)}
		}
	}
	if s.Region != l.opt.Region && l.opt.Region != "" {
		return fmt.Errorf("the lab was made in %s, not %s; take it down first (lab down --purge)", s.Region, l.opt.Region)
	}
	s.Propagation = cmp.Or(l.opt.Propagation, s.Propagation, labstate.Propagation)
	s.Registration = cmp.Or(l.opt.Registration, s.Registration, labstate.Registration)
	s.Jitter = cmp.Or(l.opt.Jitter, s.Jitter, labstate.Jitter)
	if l.opt.Seed != nil {
		s.Seed = *l.opt.Seed
	}
	s.Requeue = cmp.Or(l.opt.Requeue, s.Requeue, DefaultRequeue)
	s.Tools = map[string]string{"lab": l.opt.Self}
	l.state = s
	return s.Save()
}

func random(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b) //nolint:errcheck // never fails (crypto/rand)
	return hex.EncodeToString(b)
}

// freePorts gives each name a port of its own: all are held until the last is found, since
// the kernel may give again what was given back.
func freePorts(names ...string) (map[string]int, error) {
	ports := map[string]int{}
	for _, name := range names {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("finding a free port: %w", err)
		}
		defer l.Close()
		ports[name] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

// programs builds what is missing and links each under its plain name in bin/.
func (l *lab) programs(ctx context.Context) error {
	bin := l.state.Path("bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	link := func(name, path string) error {
		to := filepath.Join(bin, name)
		l.state.Tools[name] = to
		if now, err := os.Readlink(to); err == nil && now == path {
			return nil
		}
		os.Remove(to) //nolint:errcheck // it need not be there
		return os.Symlink(path, to)
	}
	for _, t := range tools.All() {
		path, err := l.builder.Build(ctx, t)
		if err != nil {
			return err
		}
		if err := link(t.Name, path); err != nil {
			return err
		}
	}
	// the kubelet looks its credential provider up by name in one folder
	// and Docker's clients their credential helper
	for _, name := range []string{"ecr-credential-provider", "docker-credential-outlast-lab"} {
		if err := link(name, l.opt.Self); err != nil {
			return err
		}
	}
	return l.state.Save()
}

// view is what the templates see.
type view struct {
	labstate.State
	Registry, Pause, PodCIDR, ProviderID, CABundle string
}

// configure makes certificates, kubeconfigs and configuration files.
func (l *lab) configure(context.Context) error {
	s := l.state
	dir := s.Path("pki")
	ips := []string{"127.0.0.1", node.HostIP, "10.96.0.1"}
	certs := []pki.Cert{
		{Name: "apiserver", CommonName: "kube-apiserver", IPs: ips, DNS: []string{"localhost", "kubernetes", "kubernetes.default.svc"}},
		{Name: "apiserver-kubelet", CommonName: "kube-apiserver-kubelet-client", Organization: []string{"system:masters"}},
		{Name: "admin", CommonName: "admin", Organization: []string{"system:masters"}},
		{Name: "node", CommonName: "system:node:" + NodeName, Organization: []string{"system:nodes"}, IPs: []string{node.NodeIP}, DNS: []string{NodeName}},
		{Name: "tls", CommonName: "controller", IPs: []string{"127.0.0.1", node.HostIP}},
	}
	if err := pki.Make(dir, certs); err != nil {
		return err
	}
	for _, name := range []string{"admin", "node"} {
		if err := pki.Kubeconfig(dir, name, s.Kube()); err != nil {
			return err
		}
	}
	for name, to := range map[string]string{
		"containerd.toml": "node/containerd.toml", "hosts.toml": "node/certs.d/" + s.Registry() + "/hosts.toml", "cni.conflist": "node/cni/10-bridge.conflist",
		"credentials.yaml": "node/credentials.yaml", "buildkitd.toml": "buildkit/buildkitd.toml", "token-webhook.yaml": "token-webhook.yaml", "docker.json": "docker/config.json",
	} {
		if err := l.file(name, s.Path(to)); err != nil {
			return err
		}
	}
	return nil
}

// file renders one of the embedded files.
func (l *lab) file(name, to string) error {
	text, err := l.render(name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o644)
}

func (l *lab) render(name string) ([]byte, error) {
	raw, err := files.ReadFile("files/" + name)
	if err != nil {
		return nil, err
	}
	t, err := template.New(name).Option("missingkey=error").Parse(string(raw))
	if err != nil {
		return nil, err
	}
	v := view{State: l.state, Registry: l.state.Registry(), Pause: pauseTag, PodCIDR: node.PodCIDR}
	if ca, err := os.ReadFile(l.state.Path("pki", "ca.crt")); err == nil {
		v.CABundle = base64.StdEncoding.EncodeToString(ca)
	}
	if id, err := os.ReadFile(l.state.Path("cloud", "provider-id")); err == nil {
		v.ProviderID = strings.TrimSpace(string(id))
	}
	var out bytes.Buffer
	err = t.Execute(&out, v)
	return out.Bytes(), err
}

// start starts a program unless it runs, and waits until it is ready.
func (l *lab) start(ctx context.Context, name string, env []string, ready func(context.Context) error, args ...string) error {
	if _, running := proc.Find(l.opt.Dir, name); !running {
		if _, err := proc.Start(l.opt.Dir, name, append(os.Environ(), env...), args...); err != nil {
			return err
		}
	}
	return l.wait(ctx, name, 90*time.Second, ready)
}

// wait asks until ready, the program's end, or the time is over.
func (l *lab) wait(ctx context.Context, name string, limit time.Duration, ready func(context.Context) error) error {
	log := l.state.Path("logs", name+".log")
	for deadline := time.Now().Add(limit); ; {
		probe, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := ready(probe)
		cancel()
		if err == nil {
			return nil
		}
		if _, running := proc.Find(l.opt.Dir, name); !running {
			return fmt.Errorf("%s ended: %s\n(its log: %s)", name, lastLines(log, 5), log)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not ready after %s: %w\n%s\n(its log: %s)", name, limit, err, lastLines(log, 5), log)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func lastLines(path string, n int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// kubectl runs kubectl as the administrator.
func (l *lab) kubectl(ctx context.Context, stdin []byte, args ...string) (string, error) {
	return Kubectl(ctx, l.state, stdin, args...)
}

// Kubectl runs kubectl as the lab's administrator.
func Kubectl(ctx context.Context, s labstate.State, stdin []byte, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.Tools["kubectl"], append([]string{"--kubeconfig", s.Kubeconfig()}, args...)...)
	cmd.Stdin = bytes.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}
