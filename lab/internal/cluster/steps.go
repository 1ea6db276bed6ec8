// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/outlast-ci/outlast/lab/internal/images"
	"github.com/outlast-ci/outlast/lab/internal/labstate"
	"github.com/outlast-ci/outlast/lab/internal/node"
)

// cloud starts the imitated AWS with its registry and its load balancers.
func (l *lab) cloud(ctx context.Context) error {
	return l.start(ctx, "cloud", nil, func(ctx context.Context) error {
		return answers(ctx, "http://"+l.state.Registry()+"/v2/", http.StatusUnauthorized)
	}, l.opt.Self, "cloud", "--dir", l.opt.Dir)
}

func answers(ctx context.Context, url string, want int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != want {
		return fmt.Errorf("%s answers %s (%w)", url, res.Status, err)
	}
	return nil
}

// controlPlane starts etcd, API server, controller manager and scheduler.
func (l *lab) controlPlane(ctx context.Context) error {
	s := l.state
	return l.start(ctx, "kube", nil, func(ctx context.Context) error {
		_, err := l.kubectl(ctx, nil, "get", "serviceaccount", "default", "-n", "default")
		return err
	}, s.Tools["kube"], "all", "--dir", l.opt.Dir, "--bind", node.HostIP, "--port", fmt.Sprint(s.Ports["kube"]), "--etcd-port", fmt.Sprint(s.Ports["etcd"]), "--token-webhook", s.Path("token-webhook.yaml"))
}

func (l *lab) buildkit(ctx context.Context) error {
	s := l.state
	return l.start(ctx, "buildkitd", nil, func(ctx context.Context) error {
		return exec.CommandContext(ctx, s.Tools["buildctl"], "--addr", "unix://"+s.Path("buildkit", "buildkitd.sock"), "debug", "workers").Run()
	}, s.Tools["buildkitd"], "--config", s.Path("buildkit", "buildkitd.toml"))
}

// node starts containerd, the kubelet and kube-proxy inside the namespace.
func (l *lab) node(ctx context.Context) error {
	s := l.state
	socket := s.Path("node", "containerd.sock")
	ctr := func(ctx context.Context, args ...string) error {
		out, err := exec.CommandContext(ctx, "ctr", append([]string{"-a", socket, "-n", "k8s.io"}, args...)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ctr %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
		}
		return nil
	}
	if err := l.start(ctx, "containerd", nil, func(ctx context.Context) error { return ctr(ctx, "version") }, node.Inside("containerd", "-c", s.Path("node", "containerd.toml"))...); err != nil {
		return err
	}
	if err := l.pause(ctx, ctr); err != nil {
		return err
	}
	if err := l.file("kubelet.yaml", s.Path("node", "kubelet.yaml")); err != nil { // the cloud knows the provider id by now
		return err
	}
	alive := func(context.Context) error { return nil }
	if err := l.start(ctx, "kubelet", nil, alive, node.Inside(s.Tools["kube"], "kubelet", "--config", s.Path("node", "kubelet.yaml"), "--kubeconfig", s.Path("pki", "node.kubeconfig"),
		"--root-dir", s.Path("node", "kubelet"), "--cert-dir", s.Path("node", "kubelet", "pki"), "--hostname-override", NodeName, "--node-ip", node.NodeIP,
		"--image-credential-provider-config", s.Path("node", "credentials.yaml"), "--image-credential-provider-bin-dir", s.Path("bin"))...); err != nil {
		return err
	}
	return l.start(ctx, "kube-proxy", nil, alive, node.Inside(s.Tools["kube"], "kube-proxy", "--proxy-mode", "nftables", "--kubeconfig", s.Kubeconfig(), "--hostname-override", NodeName,
		"--cluster-cidr", node.PodCIDR, "--bind-address", "127.0.0.1", "--metrics-bind-address", "127.0.0.1:10249", "--healthz-bind-address", "127.0.0.1:10256", "--conntrack-max-per-core", "0", "--nodeport-addresses", "primary")...)
}

// pause imports the sandbox image.
func (l *lab) pause(ctx context.Context, ctr func(context.Context, ...string) error) error {
	mark := l.state.Path("node", "pause.tar")
	if _, err := os.Stat(mark); err == nil {
		return nil
	}
	if err := images.Pause(l.state.Path("node"), l.state.Tools["pause"], pauseTag, mark+".new"); err != nil {
		return err
	}
	if err := ctr(ctx, "images", "import", mark+".new"); err != nil {
		return err
	}
	return os.Rename(mark+".new", mark)
}

func (l *lab) nodeReady(ctx context.Context) error {
	return l.wait(ctx, "kubelet", 90*time.Second, func(ctx context.Context) error {
		out, err := l.kubectl(ctx, nil, "get", "node", NodeName, "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
		if err == nil && out != "True" {
			err = fmt.Errorf("node %s: Ready is %q", NodeName, out)
		}
		return err
	})
}

// objects applies what a platform team sets up once.
func (l *lab) objects(ctx context.Context) error {
	dir, err := l.builder.Module(ctx, "lbc", "sigs.k8s.io/aws-load-balancer-controller")
	if err != nil {
		return err
	}
	if _, err := l.kubectl(ctx, nil, "apply", "--server-side", "--force-conflicts", "-f", filepath.Join(dir, "helm", "aws-load-balancer-controller", "crds", "crds.yaml")); err != nil {
		return err
	}
	for _, name := range []string{"base.yaml", "webhooks.yaml"} {
		text, err := l.render(name)
		if err != nil {
			return err
		}
		if _, err := l.kubectl(ctx, text, "apply", "--server-side", "--field-manager", "platform", "-f", "-"); err != nil {
			return err
		}
	}
	return nil
}

// controller starts the real AWS Load Balancer Controller.
func (l *lab) controller(ctx context.Context) error {
	s := l.state
	vpc, err := os.ReadFile(s.Path("cloud", "vpc-id"))
	if err != nil {
		return fmt.Errorf("reading the VPC's id: %w", err)
	}
	certs := s.Path("controller")
	if err := os.MkdirAll(certs, 0o755); err != nil {
		return err
	}
	for _, ext := range []string{".crt", ".key"} {
		os.Remove(filepath.Join(certs, "tls"+ext)) //nolint:errcheck // it need not be there
		if err := os.Symlink(s.Path("pki", "tls"+ext), filepath.Join(certs, "tls"+ext)); err != nil {
			return err
		}
	}
	api := s.API()
	u := s.Users["controller"]
	env := []string{"AWS_ACCESS_KEY_ID=" + u.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + u.SecretAccessKey, "AWS_REGION=" + s.Region, "AWS_EC2_METADATA_DISABLED=true"}
	return l.start(ctx, "controller", env, func(ctx context.Context) error {
		if err := answers(ctx, fmt.Sprintf("http://127.0.0.1:%d/healthz", s.Ports["health"]), http.StatusOK); err != nil {
			return err
		}
		conn, err := net.DialTimeout("tcp", fmt.Sprintf("%s:%d", node.HostIP, s.Ports["webhook"]), time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	}, s.Tools["aws-load-balancer-controller"], "--kubeconfig", s.Kubeconfig(), "--cluster-name", s.Cluster, "--aws-region", s.Region, "--aws-vpc-id", strings.TrimSpace(string(vpc)),
		"--aws-api-endpoints", fmt.Sprintf("EC2=%[1]s,Elastic Load Balancing v2=%[1]s,ACM=%[1]s,Resource Groups Tagging API=%[1]s,STS=%[1]s", api),
		"--enable-waf=false", "--enable-wafv2=false", "--enable-shield=false", "--webhook-bind-port", fmt.Sprint(s.Ports["webhook"]), "--webhook-cert-dir", certs,
		"--metrics-bind-addr", fmt.Sprintf("127.0.0.1:%d", s.Ports["metrics"]), "--health-probe-bind-addr", fmt.Sprintf("127.0.0.1:%d", s.Ports["health"]),
		"--default-target-type", "ip", "--enable-leader-election=false", "--targetgroupbinding-requeue-duration", s.Requeue)
}

// baseImages makes the images that Dockerfiles start from and pushes them, once
// for what they are made of.
func (l *lab) baseImages(ctx context.Context) error {
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT", "GOVERSION").Output()
	if err != nil {
		return fmt.Errorf("asking go for its root: %w", err)
	}
	root, version, _ := strings.Cut(strings.TrimSpace(string(goroot)), "\n")
	user, password, err := Login(ctx, l.state, "deployer")
	if err != nil {
		return err
	}
	opts := []remote.Option{remote.WithContext(ctx), remote.WithAuth(&authn.Basic{Username: user, Password: password})}
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return err
	}
	sum := sha256.Sum256(append(busybox, version+runtime.GOARCH+"recipe 3"...))
	mark := "made-" + hex.EncodeToString(sum[:8])
	tmp, err := os.MkdirTemp(l.opt.Dir, "images-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	for repo, made := range map[string]struct {
		tag  string
		make func() (v1.Image, error)
	}{
		"mirror/static": {"latest", func() (v1.Image, error) { return images.Static(tmp) }},
		"mirror/golang": {"latest", func() (v1.Image, error) { return images.Golang(tmp, root) }},
		"mirror/scm":    {"latest", func() (v1.Image, error) { return images.SCM(tmp) }},
		"mirror/buildkit": {"latest", func() (v1.Image, error) {
			return images.BuildKit(tmp, l.state.Tools["buildctl"], l.state.Tools["buildkitd"])
		}},
	} {
		full, err := name.NewRepository(l.state.Registry()+"/"+repo, name.Insecure)
		if err != nil {
			return err
		}
		if there, err := remote.Get(full.Tag(mark), opts...); err == nil {
			// The tag may be of another make, e.g. with another busybox, which was undone.
			if err := remote.Tag(full.Tag(made.tag), there, opts...); err != nil {
				return fmt.Errorf("tagging %s: %w", repo, err)
			}
			continue
		}
		l.opt.Log("making the base image %s:%s", repo, made.tag)
		img, err := made.make()
		if err != nil {
			return err
		}
		for _, tag := range []string{made.tag, mark} {
			if err := remote.Write(full.Tag(tag), img, opts...); err != nil {
				return fmt.Errorf("pushing %s: %w", repo, err)
			}
		}
	}
	return nil
}

// Login asks the lab's ECR for a registry login, as a user of the lab.
func Login(ctx context.Context, s labstate.State, as string) (user, password string, err error) {
	u := s.Users[as]
	cfg := aws.Config{Region: s.Region, Credentials: credentials.NewStaticCredentialsProvider(u.AccessKeyID, u.SecretAccessKey, "")}
	host := "127.0.0.1"
	if as == "node" { // asked from inside the node's network
		host = s.HostIP
	}
	client := ecr.NewFromConfig(cfg, func(o *ecr.Options) {
		o.BaseEndpoint = aws.String(fmt.Sprintf("http://%s:%d", host, s.Ports["api"]))
	})
	out, err := client.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return "", "", fmt.Errorf("asking the lab's ECR for a login: %w", err)
	}
	if len(out.AuthorizationData) == 0 {
		return "", "", errors.New("asking the lab's ECR for a login: no answer")
	}
	pair, err := base64.StdEncoding.DecodeString(aws.ToString(out.AuthorizationData[0].AuthorizationToken))
	user, password, ok := strings.Cut(string(pair), ":")
	if err != nil || !ok {
		return "", "", errors.New("asking the lab's ECR for a login: a malformed token")
	}
	return user, password, nil
}
