// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/outlast-ci/outlast/core"
	"github.com/outlast-ci/outlast/core/build"
	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/event"
	"github.com/outlast-ci/outlast/core/gate"
	"github.com/outlast-ci/outlast/core/internal/aws"
	"github.com/outlast-ci/outlast/core/internal/cli/exit"
	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
	"github.com/outlast-ci/outlast/core/internal/config"
	"github.com/outlast-ci/outlast/core/internal/kube"
	"github.com/outlast-ci/outlast/core/internal/live"
	"github.com/outlast-ci/outlast/core/push"
	"github.com/outlast-ci/outlast/core/render"
)

// Config turns the settings into a run.
func (c *Call) Config() (core.Config, error) {
	s, env := c.Settings, c.Env
	cfg := core.Config{
		From: s.Text("from"), To: s.Text("to"), Builder: s.Text("builder"),
		World: build.World{Environ: env.Environ, UID: env.UID, CacheDir: cacheDir(env.Getenv)},
		Gate:  core.Gate{Timeout: s.Duration("gate-timeout"), Interval: s.Duration("gate-interval"), Alarms: s.Alarms()},
		Run: core.Run{Version: env.Version, App: cmp.Or(s.Text("app"), filepath.Base(s.Dir)), Environment: s.Env.Name, Commit: c.Facts.Commit, Branch: c.Facts.Branch,
			RunURL: c.Facts.RunURL, Actor: c.Facts.Actor, Region: cmp.Or(s.Text("region"), env.Getenv("AWS_REGION"), env.Getenv("AWS_DEFAULT_REGION")), Cluster: c.cluster()},
		Rollout: core.Strategy(s.Text("rollout")), Legacy: core.Strategy(s.Text("legacy-pods")),
		OnFailure: core.OnFailure(s.Text("on-failure")), Namespace: s.Text("namespace"), Holder: c.holder(), StealLock: s.Bool("steal-lock"),
	}
	if text := s.Text("keep-revisions"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 100 {
			return cfg, fmt.Errorf("reading %s: %q is no number from 1 to 100", s.Source("keep-revisions"), text)
		}
		cfg.Keep = n
	}
	if all := core.Stages(); cfg.From != "" && cfg.To != "" && slices.Index(all, cfg.From) > slices.Index(all, cfg.To) {
		return cfg, fmt.Errorf("reading %s and %s: %s comes after %s", s.Source("from"), s.Source("to"), cfg.From, cfg.To)
	}
	switch pull := c.Facts.PullRequest != ""; {
	case pull && c.Command == "deploy":
		cfg.From, cfg.To = "render", "render"
	case pull && !c.Alone && c.Command != "render" && c.Command != "build" && c.Command != "history" && c.Command != "plan" && c.Command != "status":
		return cfg, fmt.Errorf("this is a pull request (%s): outlast %s would change something; pull requests build and render only", c.Facts.PullRequest, c.Command)
	}
	var err error
	if c.trusted, err = c.authorities(); err != nil {
		return cfg, err
	}
	if cfg.To != "build" && cfg.To != "render" { // which ask nobody
		if s.Text("environment") == "" && c.Facts.Branch == "" && len(s.Env.Branches) > 0 {
			return cfg, fmt.Errorf("choosing an environment: %s is for the branches %v, and no branch is known (detached checkout, no CI variable); name the branch with --branch, or the environment with --environment %s",
				s.Env.Name, s.Env.Branches, s.Env.Name)
		}
		if c.role, err = c.becomes(); err != nil {
			return cfg, err
		}
	}
	if cfg.Images, cfg.Render.Images, err = c.Images(cfg.Run.App); err != nil {
		return cfg, err
	}
	if cfg.To == "build" || cfg.To == "push" {
		return cfg, nil
	}
	images := cfg.Render.Images
	cfg.Render, err = c.Rendering()
	cfg.Render.Images = images
	if c.Alone && errors.Is(err, errNoManifests) {
		cfg.Render.Drain, err = s.Drain(drain.Defaults())
	}
	if err == nil {
		cfg.Gate.Probe, err = c.probe()
	}
	return cfg, err
}

// errNoManifests is in the error of a search for manifests that found none.
var errNoManifests = errors.New("finding the manifests")

// cluster names the EKS cluster, or all of several.
func (c *Call) cluster() string {
	var names []string
	for _, s := range c.Settings.Clusters() {
		names = append(names, s.Cluster())
	}
	if len(names) > 0 {
		return strings.Join(names, ",")
	}
	return c.Settings.Text("cluster-name")
}

// one refuses a run that acts on one cluster where there are several.
func (c *Call) one() error {
	if len(c.Settings.Clusters()) == 0 {
		return nil
	}
	return exit.Usage(fmt.Errorf("environment %s has several clusters, and outlast %s works on one: choose it with --cluster-name (or --kube-context): %s", c.Settings.Env.Name, c.Command, c.cluster()))
}

// Targets gives the clusters of an environment that has several, in the order in
// which they are rolled; none when a run reaches the only one, or asks none.
func (c *Call) Targets(cfg core.Config) (targets []core.Target, err error) {
	if cfg.To == "build" || cfg.To == "push" || cfg.To == "render" {
		return nil, nil
	}
	for _, s := range c.Settings.Clusters() {
		one := *c
		one.Settings = s
		if one.role, err = one.becomes(); err != nil {
			return nil, err
		}
		run := cfg.Run
		run.Region, run.Cluster = cmp.Or(s.Text("region"), run.Region), s.Cluster()
		targets = append(targets, core.Target{Run: run, Clients: one.Clients(cfg)})
	}
	return targets, nil
}

// Rendering says what to render and how, without the images.
func (c *Call) Rendering() (opt render.Options, err error) {
	s, env := c.Settings, c.Env
	if opt.Path, err = c.manifests(); err != nil {
		return opt, err
	}
	if opt.Path == render.Stdin {
		if opt.Stream, err = env.ReadStdin("manifests"); err != nil {
			return opt, err
		}
	} else if opt.Root = s.Path("root", env.Dir); opt.Root == "" {
		opt.Root = cmp.Or(inputs.RepositoryTop(s.Dir), s.Dir)
		if rel, err := filepath.Rel(opt.Root, opt.Path); err != nil || strings.HasPrefix(rel, "..") {
			opt.Root = "" // manifests elsewhere, named outright: their own checkout
		}
	}
	if opt.Kubelet = s.Text("kubelet-version"); opt.Kubelet != "" && !kubeletVersion.MatchString(opt.Kubelet) {
		return opt, fmt.Errorf("reading %s: %q is no version of Kubernetes: write it like 1.29", s.Source("kubelet-version"), opt.Kubelet)
	}
	opt.Shell = s.Text("shell")
	for _, img := range s.File.Images {
		opt.Built = append(opt.Built, img.Name)
	}
	opt.Policy = render.Policy(s.Text("drain-policy"))
	opt.Drain, err = s.Drain(drain.Defaults())
	return opt, err
}

// legs tell apart what runs at the same time under one address of a CI run: legs of a
// matrix, nodes of a parallel job, stages side by side.
var legs = []string{"GITHUB_JOB", "RUNNER_NAME", "CIRCLE_NODE_INDEX", "STAGE_NAME", "NODE_NAME", "EXECUTOR_NUMBER"}

// holder names this run for the lock. No two that live may have the same name, since each
// would take the lock for its own; a job that is run again elsewhere has another name, and
// waits until the lock of the killed one expires.
func (c *Call) holder() string {
	if c.Facts.RunURL != "" {
		name := c.Facts.RunURL
		for _, leg := range legs {
			if v := c.Env.Getenv(leg); v != "" {
				name += " " + v
			}
		}
		return name
	}
	host, err := os.Hostname()
	if err != nil {
		host = "an unnamed host"
	}
	return fmt.Sprintf("%s on %s, process %d", cmp.Or(c.Facts.Actor, c.Env.Getenv("USER"), "somebody"), host, os.Getpid())
}

var kubeletVersion = regexp.MustCompile(`^v?[0-9]+\.[0-9]+`)

func cacheDir(getenv func(string) string) string {
	if dir := getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "outlast")
	}
	if home := getenv("HOME"); home != "" && runtime.GOOS == "linux" {
		return filepath.Join(home, ".cache", "outlast")
	}
	return ""
}

// Images lists what to build, and what was made elsewhere.
func (c *Call) Images(app string) (made []core.Image, given []render.Image, err error) {
	s := c.Settings
	if given, err = pinned(s.List("image")); err != nil {
		return nil, nil, err
	}
	list := slices.Clone(s.File.Images)
	if len(list) == 0 && (s.File.Path == "" || s.Text("repository") != "") && c.Command != "render" {
		list = []config.Image{{Name: app}}
	}
	if len(list) == 1 {
		list[0].Repository = cmp.Or(s.Text("repository"), list[0].Repository)
		list[0].Dockerfile = cmp.Or(s.Text("dockerfile"), list[0].Dockerfile)
		list[0].Context = cmp.Or(s.Path("context", c.Env.Dir), list[0].Context)
	} else if extra := cmp.Or(s.Source("repository"), s.Source("dockerfile"), s.Source("context")); extra != "" && len(list) > 1 {
		return nil, nil, fmt.Errorf("reading %s: outlast.yaml lists %d images; set it for each of them there", extra, len(list))
	}
	args, err := c.buildArgs()
	if err != nil {
		return nil, nil, err
	}
	repositories := map[string]string{}
	for _, img := range list {
		repository := cmp.Or(img.Repository, img.Name)
		if other, taken := repositories[repository]; taken {
			return nil, nil, fmt.Errorf("reading %s: images %s and %s have the same repository %s, and both would get the commit as their tag; give each a repository of its own", s.File.Path, other, img.Name, repository)
		}
		repositories[repository] = img.Name
	}
	for _, img := range list {
		if slices.ContainsFunc(given, func(g render.Image) bool { return g.Name == img.Name }) {
			continue
		}
		made = append(made, c.image(img, args))
	}
	return made, given, nil
}

func (c *Call) image(img config.Image, args map[string]string) core.Image {
	s := c.Settings
	dir := img.Context
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(s.Dir, dir)
	}
	all := maps.Clone(img.Args)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, args)
	out := core.Image{
		Build: build.Options{Name: img.Name, Context: dir, Dockerfile: img.Dockerfile, Target: img.Target, Platform: cmp.Or(s.Text("platform"), img.Platform), Args: all, NoCache: s.Bool("no-cache")},
		Push: push.Options{Name: img.Name, Repository: cmp.Or(img.Repository, img.Name), Tag: s.Text("tag"), UserAgent: "outlast/" + c.Env.Version,
			CA: c.trusted, Learn: c.Secrets.Add},
	}
	// The checkout is the commit that is shipped, and nothing in it differs.
	clean := !c.InGit || !c.Git.Dirty && strings.HasPrefix(c.Git.Commit, c.Facts.Commit)
	if out.Push.Tag == "" && c.Facts.Commit != "" && clean {
		out.Push.Tag, out.Push.Reuse = c.Facts.Commit, true
	}
	if seconds, err := strconv.ParseInt(c.Git.Seconds, 10, 64); err == nil && clean {
		out.Build.Epoch = time.Unix(seconds, 0)
	}
	return out
}

// buildArgs reads NAME=VALUE, or NAME with the value from the environment.
func (c *Call) buildArgs() (map[string]string, error) {
	args := map[string]string{}
	for _, item := range c.Settings.List("build-arg") {
		name, value, ok := strings.Cut(item, "=")
		if name == "" {
			return nil, fmt.Errorf("reading --build-arg %q: want NAME=VALUE", item)
		}
		if !ok {
			value = c.Env.Getenv(name)
		}
		args[name] = value
	}
	return args, nil
}

// manifests finds what to render.
func (c *Call) manifests() (string, error) {
	s := c.Settings
	if s.Text("manifests") == render.Stdin {
		return render.Stdin, nil
	}
	if path := s.Path("manifests", c.Env.Dir); path != "" {
		return path, nil
	}
	places := []string{"kustomization.yaml", "deploy/kustomization.yaml"}
	if e := s.Env.Name; e != "" {
		for _, base := range []string{"deploy/overlays", "deploy", "k8s/overlays", "k8s", "overlays"} {
			places = append([]string{filepath.Join(base, e, "kustomization.yaml")}, places...)
		}
	}
	for _, p := range places {
		if _, err := os.Stat(filepath.Join(s.Dir, p)); err == nil {
			return filepath.Dir(filepath.Join(s.Dir, p)), nil
		}
	}
	return "", fmt.Errorf("%w: none of %s is in %s; set manifests in outlast.yaml, or --manifests", errNoManifests, strings.Join(places, ", "), s.Dir)
}

// PlanningValues lists the symbols that differ from the defaults by the user's
// word, since they carry the safety of the result.
func PlanningValues(set map[string]string) string {
	var all []string
	for _, symbol := range slices.Sorted(maps.Keys(set)) {
		all = append(all, symbol+"="+set[symbol])
	}
	return strings.Join(all, " ")
}

// login gives the login to AWS, which is made once.
func (c *Call) login() func(context.Context) (awssdk.Config, error) {
	s := c.Settings
	var mu sync.Mutex
	var loaded *awssdk.Config
	return func(ctx context.Context) (awssdk.Config, error) {
		mu.Lock()
		defer mu.Unlock()
		if loaded != nil {
			return *loaded, nil
		}
		sdk, err := aws.Load(ctx, aws.Options{Region: s.Text("region"), Profile: s.Text("profile"), UserAgent: "outlast", CA: c.trusted, Learn: c.Secrets.Add, Role: c.role})
		if err != nil {
			return sdk, err
		}
		if _, err := aws.WhoAmI(ctx, sdk); err != nil {
			return sdk, c.hint(err)
		}
		loaded = &sdk
		return sdk, nil
	}
}

// Clients builds each client when a stage asks for it, and the AWS login once.
func (c *Call) Clients(cfg core.Config) core.Clients {
	login := c.login()
	return core.Clients{
		ECR: func(ctx context.Context) (push.ECR, error) {
			sdk, err := login(ctx)
			return push.NewECR(sdk), err
		},
		Cluster: func(ctx context.Context) (core.Cluster, error) { return c.connect(ctx, cfg.Observe, login) },
		Balancer: func(ctx context.Context) (gate.Balancer, error) {
			sdk, err := login(ctx)
			if err != nil {
				return nil, err
			}
			balancer := aws.NewBalancer(sdk)
			if err := balancer.Check(ctx); err != nil {
				return nil, err
			}
			return balancer, nil
		},
		Attributes: func(ctx context.Context) (live.Attributes, error) {
			sdk, err := login(ctx)
			return aws.NewAttributes(sdk), err
		},
		Alarms: alarms(login),
		Glance: func(ctx context.Context) (gate.Balancer, error) {
			sdk, err := login(ctx)
			return aws.NewAttributes(sdk), err
		},
	}
}

// connect makes the client of the cluster: of EKS, by an AWS login, or of a kubeconfig.
func (c *Call) connect(ctx context.Context, observe event.Func, login func(context.Context) (awssdk.Config, error)) (core.Cluster, error) {
	if err := c.one(); err != nil {
		return core.Cluster{}, err
	}
	s, env := c.Settings, c.Env
	access := kube.Access{Kubeconfig: s.Path("kubeconfig", env.Dir), Files: kube.DefaultFiles(env.Getenv("KUBECONFIG"), env.Getenv("HOME")), Context: s.Text("kube-context"), UserAgent: "outlast/" + env.Version, Observe: observe}
	if name := s.Text("cluster-name"); name != "" {
		sdk, err := login(ctx)
		if err != nil {
			return core.Cluster{}, err
		}
		eks, err := aws.DescribeCluster(ctx, sdk, name)
		if err != nil {
			return core.Cluster{}, err
		}
		access = kube.Access{Host: eks.Endpoint, CA: eks.CA, UserAgent: access.UserAgent, Observe: access.Observe,
			Token: func(ctx context.Context) (string, time.Time, error) { return aws.Token(ctx, sdk, name) }}
	}
	client, err := kube.New(access)
	if err != nil {
		return core.Cluster{}, err
	}
	return core.Cluster{Apply: client, Gate: client, Records: client, Rights: client, Ping: client.Ping}, nil
}
