// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
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
	"github.com/outlast-ci/outlast/core/gate"
	"github.com/outlast-ci/outlast/core/internal/aws"
	"github.com/outlast-ci/outlast/core/internal/config"
	"github.com/outlast-ci/outlast/core/internal/kube"
	"github.com/outlast-ci/outlast/core/push"
	"github.com/outlast-ci/outlast/core/render"
)

func stageNames() []string { return core.Stages() }

// config turns the settings into a run.
func (c *call) config() (core.Config, error) {
	s, env := c.settings, c.app.env
	cfg := core.Config{
		From: s.values["from"], To: s.values["to"], Builder: s.values["builder"],
		World: build.World{Environ: env.Environ, UID: env.UID, CacheDir: cacheDir(env.Getenv)},
		Gate:  core.Gate{Timeout: s.duration("gate-timeout"), Interval: s.duration("gate-interval")},
		Run: core.Run{Version: env.Version, App: firstOf(s.values["app"], filepath.Base(s.dir)), Environment: s.env.Name, Commit: c.facts.Commit, Branch: c.facts.Branch,
			RunURL: c.facts.RunURL, Actor: c.facts.Actor, Region: firstOf(s.values["region"], env.Getenv("AWS_REGION"), env.Getenv("AWS_DEFAULT_REGION")), Cluster: s.values["cluster-name"]},
	}
	if c.facts.PullRequest != "" && c.command == "deploy" {
		cfg.From, cfg.To = "render", "render"
	}
	var err error
	if cfg.Images, cfg.Render.Images, err = c.images(cfg.Run.App); err != nil {
		return cfg, err
	}
	if cfg.To == "build" || cfg.To == "push" {
		return cfg, nil
	}
	if cfg.Render.Path, err = c.manifests(); err != nil {
		return cfg, err
	}
	if cfg.Render.Root = s.path("root", env.Dir); cfg.Render.Root == "" {
		cfg.Render.Root = firstOf(repositoryTop(s.dir), s.dir)
		if rel, err := filepath.Rel(cfg.Render.Root, cfg.Render.Path); err != nil || strings.HasPrefix(rel, "..") {
			cfg.Render.Root = "" // manifests elsewhere, named outright: their own checkout
		}
	}
	cfg.Render.Policy = render.Policy(s.values["drain-policy"])
	cfg.Render.Drain, err = c.drain()
	return cfg, err
}

func cacheDir(getenv func(string) string) string {
	if dir := getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "outlast")
	}
	if home := getenv("HOME"); home != "" && runtime.GOOS == "linux" {
		return filepath.Join(home, ".cache", "outlast")
	}
	return ""
}

// images lists what to build, and what was made elsewhere.
func (c *call) images(app string) (made []core.Image, given []render.Image, err error) {
	s := c.settings
	for _, item := range s.lists["image"] {
		name, ref, ok := strings.Cut(item, "=")
		if !ok || !strings.Contains(ref, "@sha256:") {
			return nil, nil, fmt.Errorf("reading --image %q: want NAME=REPOSITORY@sha256:DIGEST", item)
		}
		given = append(given, render.Image{Name: name, Ref: ref})
	}
	list := slices.Clone(s.file.Images)
	if len(list) == 0 && (s.file.Path == "" || s.values["repository"] != "") && c.command != "render" {
		list = []config.Image{{Name: app}}
	}
	if len(list) == 1 {
		list[0].Repository = firstOf(s.values["repository"], list[0].Repository)
		list[0].Dockerfile = firstOf(s.values["dockerfile"], list[0].Dockerfile)
		list[0].Context = firstOf(s.path("context", c.app.env.Dir), list[0].Context)
	} else if extra := firstOf(s.source["repository"], s.source["dockerfile"], s.source["context"]); extra != "" && len(list) > 1 {
		return nil, nil, fmt.Errorf("reading %s: outlast.yaml lists %d images; set it for each of them there", extra, len(list))
	}
	args, err := c.buildArgs()
	if err != nil {
		return nil, nil, err
	}
	for _, img := range list {
		if slices.ContainsFunc(given, func(g render.Image) bool { return g.Name == img.Name }) {
			continue
		}
		made = append(made, c.image(img, args))
	}
	return made, given, nil
}

func (c *call) image(img config.Image, args map[string]string) core.Image {
	s := c.settings
	dir := img.Context
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(s.dir, dir)
	}
	all := maps.Clone(img.Args)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, args)
	out := core.Image{
		Build: build.Options{Name: img.Name, Context: dir, Dockerfile: img.Dockerfile, Target: img.Target, Platform: firstOf(s.values["platform"], img.Platform), Args: all, NoCache: s.bool("no-cache")},
		Push:  push.Options{Name: img.Name, Repository: firstOf(img.Repository, img.Name), Tag: s.values["tag"], UserAgent: "outlast/" + c.app.env.Version},
	}
	clean := !c.inGit || !c.git.Dirty
	if out.Push.Tag == "" && c.facts.Commit != "" && clean {
		out.Push.Tag, out.Push.Reuse = c.facts.Commit, true
	}
	if seconds, err := strconv.ParseInt(c.git.Seconds, 10, 64); err == nil && clean {
		out.Build.Epoch = time.Unix(seconds, 0)
	}
	return out
}

// buildArgs reads NAME=VALUE, or NAME with the value from the environment.
func (c *call) buildArgs() (map[string]string, error) {
	args := map[string]string{}
	for _, item := range c.settings.lists["build-arg"] {
		name, value, ok := strings.Cut(item, "=")
		if name == "" {
			return nil, fmt.Errorf("reading --build-arg %q: want NAME=VALUE", item)
		}
		if !ok {
			value = c.app.env.Getenv(name)
		}
		args[name] = value
	}
	return args, nil
}

// manifests finds what to render.
func (c *call) manifests() (string, error) {
	s := c.settings
	if path := s.path("manifests", c.app.env.Dir); path != "" {
		return path, nil
	}
	places := []string{"kustomization.yaml", "deploy/kustomization.yaml"}
	if e := s.env.Name; e != "" {
		for _, base := range []string{"deploy/overlays", "deploy", "k8s/overlays", "k8s", "overlays"} {
			places = append([]string{filepath.Join(base, e, "kustomization.yaml")}, places...)
		}
	}
	for _, p := range places {
		if _, err := os.Stat(filepath.Join(s.dir, p)); err == nil {
			return filepath.Dir(filepath.Join(s.dir, p)), nil
		}
	}
	return "", fmt.Errorf("finding the manifests: none of %s is in %s; set manifests in outlast.yaml, or --manifests", strings.Join(places, ", "), s.dir)
}

// drain fills in what the user knows about draining.
func (c *call) drain() (drain.Inputs, error) {
	s, in := c.settings, drain.Defaults()
	for _, symbol := range slices.Sorted(maps.Keys(s.set)) {
		if err := in.Set(symbol, s.set[symbol]); err != nil {
			return in, fmt.Errorf("reading %s: drain.set: %w", s.file.Path, err)
		}
	}
	if s.values["longest-request"] != "" {
		in.Request = s.duration("longest-request")
	}
	if s.values["shutdown"] != "" {
		in.Shutdown = s.duration("shutdown")
	}
	if v := s.values["on-sigterm"]; v != "" {
		in.App = drain.App(v)
	}
	if v := s.values["drain-mode"]; v != "" {
		in.Mode = drain.Mode(v)
	}
	for _, item := range s.lists["set"] {
		symbol, value, ok := strings.Cut(item, "=")
		if !ok {
			return in, fmt.Errorf("reading --set %q: want SYMBOL=VALUE, e.g. P=30", item)
		}
		if err := in.Set(symbol, value); err != nil {
			return in, fmt.Errorf("reading --set: %w", err)
		}
		s.set[symbol] = value
	}
	return in, nil
}

// planningValues lists the symbols that differ from the defaults by the user's
// word, since they carry the safety of the result.
func planningValues(set map[string]string) string {
	var all []string
	for _, symbol := range slices.Sorted(maps.Keys(set)) {
		all = append(all, symbol+"="+set[symbol])
	}
	return strings.Join(all, " ")
}

// clients builds each client when a stage asks for it, and the AWS login once.
func (c *call) clients(cfg core.Config) core.Clients {
	s, env := c.settings, c.app.env
	var mu sync.Mutex
	var loaded *awssdk.Config
	login := func(ctx context.Context) (awssdk.Config, error) {
		mu.Lock()
		defer mu.Unlock()
		if loaded != nil {
			return *loaded, nil
		}
		sdk, err := aws.Load(ctx, aws.Options{Region: s.values["region"], Profile: s.values["profile"], RoleARN: s.values["role-arn"], ExternalID: s.values["external-id"], UserAgent: "outlast"})
		if err != nil {
			return sdk, err
		}
		if _, err := aws.WhoAmI(ctx, sdk); err != nil {
			return sdk, err
		}
		loaded = &sdk
		return sdk, nil
	}
	return core.Clients{
		ECR: func(ctx context.Context) (push.ECR, error) {
			sdk, err := login(ctx)
			return push.NewECR(sdk), err
		},
		Cluster: func(ctx context.Context) (core.Cluster, error) {
			access := kube.Access{Kubeconfig: s.path("kubeconfig", env.Dir), Files: kube.DefaultFiles(env.Getenv("KUBECONFIG"), env.Getenv("HOME")), Context: s.values["kube-context"], UserAgent: "outlast/" + env.Version}
			if name := s.values["cluster-name"]; name != "" {
				sdk, err := login(ctx)
				if err != nil {
					return core.Cluster{}, err
				}
				eks, err := aws.DescribeCluster(ctx, sdk, name)
				if err != nil {
					return core.Cluster{}, err
				}
				access = kube.Access{Host: eks.Endpoint, CA: eks.CA, UserAgent: access.UserAgent,
					Token: func(ctx context.Context) (string, time.Time, error) { return aws.Token(ctx, sdk, name) }}
			}
			client, err := kube.New(access)
			if err != nil {
				return core.Cluster{}, err
			}
			return core.Cluster{Apply: client, Gate: client, Ping: client.Ping}, nil
		},
		Balancer: func(ctx context.Context) (gate.Balancer, error) {
			sdk, err := login(ctx)
			if err != nil {
				return nil, err
			}
			balancer := aws.NewBalancer(sdk)
			return balancer, balancer.Check(ctx)
		},
	}
}
