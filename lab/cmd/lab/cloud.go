// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/alb"
	"github.com/outlast-ci/outlast/lab/internal/alb/watch"
	"github.com/outlast-ci/outlast/lab/internal/cloud"
	"github.com/outlast-ci/outlast/lab/internal/cloud/auth"
	"github.com/outlast-ci/outlast/lab/internal/cloud/region"
	"github.com/outlast-ci/outlast/lab/internal/cloud/trouble"
	"github.com/outlast-ci/outlast/lab/internal/cluster"
	"github.com/outlast-ci/outlast/lab/internal/labstate"
	"github.com/outlast-ci/outlast/lab/internal/node"
)

// runCloud is the imitated AWS: its API, the registry, the token authenticator
// and the load balancers, until a signal ends it.
func runCloud(ctx context.Context, _ string, args []string) error {
	fs := flag.NewFlagSet("lab cloud", flag.ContinueOnError)
	dir := fs.String("dir", "", "the lab's folder")
	if err := fs.Parse(args); err != nil {
		return err
	}
	s, err := labstate.Load(*dir)
	if err != nil {
		return err
	}
	hub := &watch.Hub{}
	opt, err := balancing(s)
	if err != nil {
		return err
	}
	opt.Observe = func(e alb.Event) {
		hub.Observe(e)
		tellClosed(e.Request)
	}
	engine := alb.New(opt)
	defer engine.Close()
	c, err := newCloud(s, engine)
	if err != nil {
		return err
	}
	for name, immutable := range map[string]bool{"web": true, "mirror/golang": false, "mirror/static": false, "mirror/scm": false, "mirror/buildkit": false, "outlast": true} {
		if err := c.CreateRepository(s.Region, name, immutable); err != nil {
			return err
		}
	}
	if err := c.CreateBucket(s.Region, s.LogBucket()); err != nil {
		return err
	}
	for name, text := range map[string]string{"vpc-id": c.VPCID(), "provider-id": c.ProviderID()} {
		if err := os.WriteFile(s.Path("cloud", name), []byte(text+"\n"), 0o644); err != nil {
			return err
		}
	}
	err = serve(ctx, map[string]http.Handler{
		fmt.Sprintf("127.0.0.1:%d", s.Ports["api"]):    c.API(),
		fmt.Sprintf("%s:%d", s.HostIP, s.Ports["api"]): c.API(),
		s.Registry(): c.Registry(),
		fmt.Sprintf("127.0.0.1:%d", s.Ports["hook"]): private(c, engine, hub),
	})
	return errors.Join(err, c.Close())
}

// tellClosed tells the log what the access log has no field for: what a target did that was not
// draining, and closed a connection though a request was on it.
func tellClosed(r *alb.RequestLog) {
	if r != nil && r.Cause == alb.CauseTargetClosed && !r.Draining {
		fmt.Fprintf(os.Stderr, "%s alb: 502 of %s: target %s: %s (a kept connection: %t; created %s)\n", time.Now().UTC().Format(time.RFC3339), r.URL, r.Target, r.Detail, r.Reused, r.Created.UTC().Format("15:04:05.000"))
	}
}

// balancing is how the lab's balancers lag.
func balancing(s labstate.State) (alb.Options, error) {
	opt := alb.Options{Seed: s.Seed}
	for _, x := range []struct {
		name, between string
		to            *alb.Delay
	}{{"propagation", s.Propagation, &opt.Deregister}, {"registration", s.Registration, &opt.Registration}, {"jitter", s.Jitter, &opt.Jitter}} {
		var err error
		if *x.to, err = watch.ParseRange(x.between); err != nil {
			return opt, fmt.Errorf("the lab's %s: %w; make the lab anew: lab down --purge", x.name, err)
		}
	}
	return opt, nil
}

// private serves what only the lab itself asks for: the API server's token
// reviews, the addresses of a balancer's nodes, its targets as they change, its
// propagation and jitter, and faults that are ordered.
func private(c *cloud.Cloud, engine *alb.Engine, hub *watch.Hub) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /nodes", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(engine.Addresses(r.URL.Query().Get("arn"))) //nolint:errcheck // the asker went away
	})
	mux.HandleFunc("POST /_lab/access-logs", func(http.ResponseWriter, *http.Request) { c.DeliverLogs() })
	watch.Mount(mux, engine, hub, c.Save)
	mux.Handle("/_lab/", c.Control())
	mux.Handle("/", c.TokenReview())
	return mux
}

func newCloud(s labstate.State, engine *alb.Engine) (*cloud.Cloud, error) {
	ca, err := os.ReadFile(s.Path("pki", "ca.crt"))
	if err != nil {
		return nil, err
	}
	var users []cloud.User
	for name, u := range s.Users {
		user := cloud.User{Name: name, AccessKeyID: u.AccessKeyID, SecretAccessKey: u.SecretAccessKey}
		if name == "deployer" {
			user.KubernetesUser, user.KubernetesGroups = "deployer", []string{"outlast:deployers"}
		}
		users = append(users, user)
	}
	issuer, err := auth.LoadIssuer(s.IssuerKey(), "sts."+region.DNSSuffix(s.Region))
	if err != nil {
		return nil, err
	}
	users = append(users, roles(s)...)
	return cloud.New(cloud.Config{
		Issuer: issuer,
		Dir:    s.Path("cloud"), Account: s.Account, Region: s.Region, Users: users, Engine: engine,
		Cluster:     cloud.Cluster{Name: s.Cluster, Endpoint: s.Kube(), CAData: string(ca), Version: "1.37"},
		RegistryURL: "http://" + s.Registry(), PublicURL: s.API(), PKI: s.Path("pki"),
		Limits: trouble.AWSLimits(),
		VPC:    cloud.VPC{CIDR: node.VPCCIDR, PodCIDR: node.PodCIDR, NodeIP: s.NodeIP, NodeName: cluster.NodeName},
		Log:    func(text string) { fmt.Println(time.Now().UTC().Format(time.RFC3339), text) },
	})
}

// roles are what a job with an ID token becomes: ci, which may do nothing but
// become deploy, which is the deployer with an external id.
func roles(s labstate.State) []cloud.User {
	role := func(name string) string { return region.ARN("iam", s.Region, s.Account, "role/"+name) }
	return []cloud.User{
		{Name: "role-ci", ARN: role("ci"), Deny: []string{"ecr:*", "eks:*", "ec2:*", "elasticloadbalancing:*", "cloudwatch:*"}, Trust: auth.Trust{Subject: "repo:acme/web:ref:refs/heads/develop"}},
		{Name: "role-deploy", ARN: role("deploy"), Trust: auth.Trust{Role: "role-ci", ExternalID: "outlast-lab"},
			KubernetesUser: "deployer", KubernetesGroups: []string{"outlast:deployers"}},
	}
}

// serve serves each handler on its address until ctx ends.
func serve(ctx context.Context, handlers map[string]http.Handler) error {
	failed := make(chan error, len(handlers))
	var servers []*http.Server
	for address, h := range handlers {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		srv := &http.Server{Handler: h, ReadHeaderTimeout: 30 * time.Second}
		servers = append(servers, srv)
		go func() { failed <- srv.Serve(l) }()
	}
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	for _, srv := range servers {
		err = errors.Join(err, srv.Close())
	}
	return err
}

// credentialsCommand speaks the kubelet's credential provider protocol: a
// request on stdin, a login on stdout. The real provider for ECR does the same
// call; it only knows ECR's public host names.
func credentialsCommand(ctx context.Context, _ string, args []string) error {
	fs := flag.NewFlagSet("lab credentials", flag.ContinueOnError)
	dir := fs.String("dir", "", "the lab's folder")
	if err := fs.Parse(args); err != nil {
		return err
	}
	var request struct {
		APIVersion, Kind, Image string
	}
	if err := json.NewDecoder(os.Stdin).Decode(&request); err != nil {
		return fmt.Errorf("reading the kubelet's request: %w", err)
	}
	s, err := labstate.Load(*dir)
	if err != nil {
		return err
	}
	user, password, err := cluster.Login(ctx, s, "node")
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"apiVersion": "credentialprovider.kubelet.k8s.io/v1", "kind": "CredentialProviderResponse",
		"cacheKeyType": "Registry", "cacheDuration": "1h",
		"auth": map[string]any{s.Registry(): map[string]string{"username": user, "password": password}},
	})
}

// dockerCredential speaks the protocol of Docker's credential helpers, as the
// helper for ECR does: `get` with a registry on stdin.
func dockerCredential(ctx context.Context, dir string, args []string) error {
	if len(args) != 1 || args[0] != "get" {
		return fmt.Errorf("want the command get, not %q", args)
	}
	s, err := labstate.Load(dir)
	if err != nil {
		return err
	}
	user, password, err := cluster.Login(ctx, s, "deployer")
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]string{"ServerURL": s.Registry(), "Username": user, "Secret": password})
}
