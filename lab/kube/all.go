// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/embed"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	cliflag "k8s.io/component-base/cli/flag"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	apiopts "k8s.io/kubernetes/cmd/kube-apiserver/app/options"
	kcm "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	kcmopts "k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	sched "k8s.io/kubernetes/cmd/kube-scheduler/app"
	schedopts "k8s.io/kubernetes/cmd/kube-scheduler/app/options"
)

// allFlags configure `kube all`: etcd, API server, controller manager and
// scheduler as goroutines of one process, which starts in about 3 s.
type allFlags struct {
	dir, bind, port, etcdPort, webhook string
	bare                               bool
}

func (f allFlags) pki(name string) string { return filepath.Join(f.dir, "pki", name) }

func runAll(args []string) error {
	var f allFlags
	fs := pflag.NewFlagSet("all", pflag.ContinueOnError)
	fs.StringVar(&f.dir, "dir", "", "folder with pki/ and, later, etcd/")
	fs.StringVar(&f.bind, "bind", "127.0.0.1", "address of the API server")
	fs.StringVar(&f.port, "port", "16443", "port of the API server")
	fs.StringVar(&f.etcdPort, "etcd-port", "12379", "port of etcd on 127.0.0.1")
	fs.BoolVar(&f.bare, "bare", false, "etcd and the API server only, as if the controllers ran elsewhere")
	fs.StringVar(&f.webhook, "token-webhook", "", "kubeconfig of the token authenticator")
	if err := fs.Parse(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ended := make(chan error, 3)
	etcd, err := startEtcd(f)
	if err != nil {
		return fmt.Errorf("starting etcd: %w", err)
	}
	defer etcd.Close()
	starts := []func(context.Context, allFlags, chan<- error) error{startAPIServer, startControllers, startScheduler}
	if f.bare {
		starts = starts[:1]
	}
	for _, start := range starts {
		if err := start(ctx, f, ended); err != nil {
			return err
		}
	}
	select {
	case err := <-ended:
		if ctx.Err() == nil {
			return fmt.Errorf("a component ended: %w", err)
		}
	case <-ctx.Done():
	}
	return nil
}

func startEtcd(f allFlags) (*embed.Etcd, error) {
	cfg := embed.NewConfig()
	cfg.Dir = filepath.Join(f.dir, "etcd")
	client := url.URL{Scheme: "http", Host: "127.0.0.1:" + f.etcdPort}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.ListenPeerUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	cfg.AdvertisePeerUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:1"}}
	cfg.InitialCluster = cfg.Name + "=http://127.0.0.1:1"
	cfg.UnsafeNoFsync = true // a lab may lose its last writes with the power
	cfg.TickMs, cfg.ElectionMs = 10, 100
	cfg.LogLevel = "error"
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, err
	}
	<-e.Server.ReadyNotify()
	return e, nil
}

func flags(name string, sets cliflag.NamedFlagSets, args []string) error {
	fs := pflag.NewFlagSet(name, pflag.ContinueOnError)
	for _, set := range sets.FlagSets {
		fs.AddFlagSet(set)
	}
	if err := fs.Parse(args); err != nil {
		return fmt.Errorf("reading the flags of %s: %w", name, err)
	}
	return nil
}

func startAPIServer(ctx context.Context, f allFlags, ended chan<- error) error {
	opts := apiopts.NewServerRunOptions()
	args := []string{
		"--etcd-servers=http://127.0.0.1:" + f.etcdPort, "--bind-address=" + f.bind, "--secure-port=" + f.port, "--advertise-address=" + f.bind, "--endpoint-reconciler-type=none",
		"--tls-cert-file=" + f.pki("apiserver.crt"), "--tls-private-key-file=" + f.pki("apiserver.key"), "--client-ca-file=" + f.pki("ca.crt"),
		"--kubelet-client-certificate=" + f.pki("apiserver-kubelet.crt"), "--kubelet-client-key=" + f.pki("apiserver-kubelet.key"), "--kubelet-certificate-authority=" + f.pki("ca.crt"),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=" + f.pki("sa.pub"), "--service-account-signing-key-file=" + f.pki("sa.key"),
		"--service-cluster-ip-range=10.96.0.0/16", "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
	}
	if f.webhook != "" {
		args = append(args, "--authentication-token-webhook-config-file="+f.webhook, "--authentication-token-webhook-version=v1", "--authentication-token-webhook-cache-ttl=10s")
	}
	if err := flags("kube-apiserver", opts.Flags(), args); err != nil {
		return err
	}
	if err := opts.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return fmt.Errorf("setting feature gates: %w", err)
	}
	complete, err := opts.Complete(ctx)
	if err != nil {
		return fmt.Errorf("completing the API server's options: %w", err)
	}
	if errs := complete.Validate(); len(errs) > 0 {
		return fmt.Errorf("validating the API server's options: %w", errors.Join(errs...))
	}
	go func() { ended <- apiserver.Run(ctx, complete) }()
	return waitFor(ctx, f, func(cs kubernetes.Interface) error {
		_, err := cs.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return err
	})
}

func startControllers(ctx context.Context, f allFlags, ended chan<- error) error {
	opts, err := kcmopts.NewKubeControllerManagerOptions()
	if err != nil {
		return fmt.Errorf("making the controller manager's options: %w", err)
	}
	known, off, aliases := kcm.KnownControllers(), kcm.ControllersDisabledByDefault(), kcm.ControllerAliases()
	sets := opts.Flags(known, off, aliases)
	if err := flags("kube-controller-manager", sets, []string{
		"--kubeconfig=" + f.pki("admin.kubeconfig"), "--secure-port=0", "--leader-elect=false",
		"--service-account-private-key-file=" + f.pki("sa.key"), "--root-ca-file=" + f.pki("ca.crt"), "--kube-api-qps=1000", "--kube-api-burst=2000",
		"--allocate-node-cidrs=true", "--cluster-cidr=10.244.0.0/16", "--service-cluster-ip-range=10.96.0.0/16",
	}); err != nil {
		return err
	}
	opts.ParsedFlags = &sets
	cfg, err := opts.Config(ctx, known, off, aliases)
	if err != nil {
		return fmt.Errorf("configuring the controller manager: %w", err)
	}
	go func() { ended <- kcm.Run(ctx, cfg.Complete()) }()
	return nil
}

func startScheduler(ctx context.Context, f allFlags, ended chan<- error) error {
	opts := schedopts.NewOptions()
	if err := flags("kube-scheduler", *opts.Flags, []string{"--kubeconfig=" + f.pki("admin.kubeconfig"), "--secure-port=0", "--leader-elect=false", "--kube-api-qps=1000", "--kube-api-burst=2000"}); err != nil {
		return err
	}
	cfg, s, err := sched.Setup(ctx, opts)
	if err != nil {
		return fmt.Errorf("configuring the scheduler: %w", err)
	}
	go func() { ended <- sched.Run(ctx, cfg, s) }()
	return waitFor(ctx, f, func(cs kubernetes.Interface) error {
		_, err := cs.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

// waitFor asks until do succeeds.
func waitFor(ctx context.Context, f allFlags, do func(kubernetes.Interface) error) error {
	cfg, err := clientcmd.BuildConfigFromFlags("", f.pki("admin.kubeconfig"))
	if err != nil {
		return err
	}
	cs, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	for {
		err := do(cs)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the control plane: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func allMain(args []string) {
	if err := runAll(args); err != nil {
		fmt.Fprintln(os.Stderr, "kube all:", err)
		os.Exit(1)
	}
}
