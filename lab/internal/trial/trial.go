// SPDX-License-Identifier: Apache-2.0

// Package trial deploys the example to the lab the way a user does, with the
// outlast program and a git checkout, and looks at the service from a client's
// side. The demo and the end-to-end tests are made of it.
package trial

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

	"github.com/outlast-ci/outlast/lab/internal/cluster"
	"github.com/outlast-ci/outlast/lab/internal/labstate"
)

// Trial is a checkout of the example next to a built outlast.
type Trial struct {
	Lab     labstate.State
	Outlast string // program
	Dir     string // the checkout, a git repository of its own
}

// Build compiles outlast from the product's folder into the lab's.
func Build(ctx context.Context, s labstate.State, product string) (string, error) {
	to := s.Path("bin", "outlast")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", to, "./core/cmd/outlast")
	cmd.Dir = product
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building outlast: %w\n%s", err, out)
	}
	return to, nil
}

// New builds outlast and makes a fresh checkout of the example in dir, on the
// branch develop, with a first commit.
func New(ctx context.Context, s labstate.State, product, dir string) (*Trial, error) {
	program, err := Build(ctx, s, product)
	if err != nil {
		return nil, err
	}
	t := &Trial{Lab: s, Outlast: program, Dir: dir}
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(product, "examples", "web"))); err != nil {
		return nil, fmt.Errorf("copying the example: %w", err)
	}
	if err := os.RemoveAll(filepath.Join(dir, ".outlast")); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, ".gitignore"), []byte(".outlast/\n"), 0o644); err != nil {
		return nil, err
	}
	if err := t.git(ctx, "init", "-q", "-b", "develop"); err != nil {
		return nil, err
	}
	return t, t.Commit(ctx, "Add the service")
}

// Clone makes a second checkout of the same commit, as another CI job has it.
func (t *Trial) Clone(ctx context.Context, dir string) (*Trial, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	other := *t
	other.Dir = dir
	return &other, t.git(ctx, "clone", "-q", t.Dir, dir)
}

func (t *Trial) git(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "user.name=lab", "-c", "user.email=lab@example.com", "-c", "init.defaultBranch=develop"}, args...)...)
	cmd.Dir = t.Dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("running git %s: %w: %s", args[0], err, bytes.TrimSpace(out))
	}
	return nil
}

// Commit commits all there is, also when nothing changed: a new version.
func (t *Trial) Commit(ctx context.Context, message string) error {
	if err := t.git(ctx, "add", "-A"); err != nil {
		return err
	}
	return t.git(ctx, "commit", "-q", "--allow-empty", "-m", message)
}

// Command is one call of outlast.
type Command struct {
	Args   []string
	Stdin  string            // what comes in on standard input
	Env    []string          // NAME=value, on top of the lab's
	Stderr io.Writer         // a copy of what outlast says; may be nil
	Signal func(line string) // called with each line of stderr; may be nil
	// Interrupt is sent SIGINT by closing it.
	Interrupt <-chan struct{}
}

// Run is what became of it.
type Run struct {
	Exit   int
	Took   time.Duration
	Stdout string
	Stderr string
	Report Report // zero when none was written
}

// Run calls outlast in the checkout as the lab's deployer. The environment has
// nothing but what the lab gives, so that this machine's own CI, credentials
// and kubeconfig change nothing.
func (t *Trial) Run(ctx context.Context, c Command) (Run, error) {
	cmd := exec.CommandContext(ctx, t.Outlast, c.Args...)
	cmd.Dir = t.Dir
	cmd.Env = append([]string{"PATH=" + t.Lab.Path("bin") + ":" + os.Getenv("PATH"), "HOME=" + t.Lab.Path("home")}, t.Lab.Env("deployer")...)
	cmd.Env = append(cmd.Env, c.Env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stdin = &out, strings.NewReader(c.Stdin)
	watch := &lines{each: c.Signal}
	cmd.Stderr = io.MultiWriter(&errs, watch)
	if c.Stderr != nil {
		cmd.Stderr = io.MultiWriter(&errs, watch, c.Stderr)
	}
	report := filepath.Join(t.Dir, ".outlast", "report.json")
	if err := os.Remove(report); err != nil && !errors.Is(err, os.ErrNotExist) {
		return Run{}, err
	}
	started := time.Now()
	if err := cmd.Start(); err != nil {
		return Run{}, fmt.Errorf("starting outlast: %w", err)
	}
	done := make(chan struct{})
	if c.Interrupt != nil {
		go func() {
			select {
			case <-c.Interrupt:
				cmd.Process.Signal(syscall.SIGINT) //nolint:errcheck // it may be gone
			case <-done:
			}
		}()
	}
	err := cmd.Wait()
	close(done)
	r := Run{Exit: cmd.ProcessState.ExitCode(), Took: time.Since(started), Stdout: out.String(), Stderr: errs.String()}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return r, fmt.Errorf("running outlast: %w", err)
	}
	text, err := os.ReadFile(report)
	if errors.Is(err, os.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r.Report); err != nil {
		return r, fmt.Errorf("reading %s: %w", report, err)
	}
	return r, nil
}

// lines hands each line written to it to a function.
type lines struct {
	rest []byte
	each func(string)
}

func (l *lines) Write(p []byte) (int, error) {
	if l.each == nil {
		return len(p), nil
	}
	l.rest = append(l.rest, p...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 {
			return len(p), nil
		}
		l.each(string(l.rest[:i]))
		l.rest = l.rest[i+1:]
	}
}

// Front is where clients reach a service.
type Front struct {
	URL       string   // with the balancer's DNS name, as users call it
	Addresses []string // of the balancer's nodes, which no DNS of this machine knows
	ARN       string   // of the balancer
}

// ErrNoFront says that an Ingress has no balancer (yet).
var ErrNoFront = errors.New("the Ingress has no load balancer")

// Front asks the Ingress for its balancer, and the lab for its nodes.
func (t *Trial) Front(ctx context.Context, namespace, ingress string, port int) (Front, error) {
	host, err := cluster.Kubectl(ctx, t.Lab, nil, "get", "ingress", ingress, "-n", namespace, "--ignore-not-found", "-o", "jsonpath={.status.loadBalancer.ingress[0].hostname}")
	if err != nil {
		return Front{}, err
	}
	if host == "" {
		return Front{}, fmt.Errorf("finding the balancer of Ingress %s/%s: %w", namespace, ingress, ErrNoFront)
	}
	client := elbv2.NewFromConfig(t.Lab.AWS("deployer"))
	for pages := elbv2.NewDescribeLoadBalancersPaginator(client, &elbv2.DescribeLoadBalancersInput{}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return Front{}, fmt.Errorf("listing the load balancers: %w", err)
		}
		for _, lb := range page.LoadBalancers {
			if aws.ToString(lb.DNSName) != host {
				continue
			}
			arn := aws.ToString(lb.LoadBalancerArn)
			nodes, err := t.nodes(ctx, arn)
			return Front{URL: fmt.Sprintf("http://%s:%d/", host, port), Addresses: nodes, ARN: arn}, err
		}
	}
	return Front{}, fmt.Errorf("finding the balancer of Ingress %s/%s: no load balancer is called %s", namespace, ingress, host)
}

func (t *Trial) nodes(ctx context.Context, arn string) (list []string, err error) {
	var addrs []netip.Addr
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.Lab.Control()+"/nodes?arn="+url.QueryEscape(arn), http.NoBody)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking the lab for a balancer's nodes: %w", err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&addrs); err != nil || len(addrs) == 0 {
		return nil, fmt.Errorf("asking the lab for the nodes of %s: %s, %d nodes (%w)", arn, res.Status, len(addrs), err)
	}
	for _, a := range addrs {
		list = append(list, a.String())
	}
	return list, nil
}

// Version asks the service through its balancer which version answers.
func (f Front) Version(ctx context.Context) (string, error) {
	u, err := url.Parse(f.URL)
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+f.Addresses[0]+":"+u.Port()+"/", http.NoBody)
	if err != nil {
		return "", err
	}
	req.Host = u.Host
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	if err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the balancer answers %s", res.Status)
	}
	version, _, _ := strings.Cut(string(body), " ")
	return version, nil
}
