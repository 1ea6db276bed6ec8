// SPDX-License-Identifier: Apache-2.0

// Package kube is the one home of client-go: how to reach a cluster goes in,
// and a Client comes out that reads and server-side-applies any object, as
// apply and gate want it. It never forces a write and never prints.
package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"github.com/outlast-ci/outlast/core/event"
)

// FieldManager is the name that owns the fields which Outlast applies.
const FieldManager = "outlast"

// Client talks to one API server.
type Client struct {
	host   string
	wire   *patient
	rest   rest.Interface
	dyn    dynamic.Interface
	disco  *discovery.DiscoveryClient
	mu     sync.Mutex
	mapper meta.RESTMapper // nil until the first use
}

// New makes a client; it connects to nothing yet.
func New(access Access) (*Client, error) {
	cfg, err := access.config()
	if err != nil {
		return nil, err
	}
	cfg.QPS = -1 // the server's own fairness limits us; client-go's 5/s makes a deploy crawl
	cfg.UserAgent = access.UserAgent
	cfg.WarningHandlerWithContext = rest.NoWarnings{}
	base, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("reading the cluster's address %q: %w", cfg.Host, err)
	}
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return &homebound{next: next, base: base} })
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return newWindow(next) }) // below the patience: a pause is no request under way
	c := &Client{host: cfg.Host}
	if err := c.connect(cfg, access.Host == "", access.Observe); err != nil {
		return nil, fmt.Errorf("making a client for %s: %w", cfg.Host, err)
	}
	return c, nil
}

// connect makes the clients of client-go. They share one way to the server,
// else each would make tokens of its own.
func (c *Client) connect(cfg *rest.Config, renews bool, observe event.Func) error {
	one, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return err
	}
	c.wire = &patient{next: one.Transport, renews: renews, observe: observe, patience: patience, hello: hello}
	one.Transport = c.wire
	raw := rest.CopyConfig(cfg)
	raw.GroupVersion, raw.APIPath, raw.NegotiatedSerializer = &schema.GroupVersion{Version: "v1"}, "/api", plainText{}
	plain, err := rest.RESTClientForConfigAndClient(raw, one)
	if err != nil {
		return err
	}
	every := dynamic.ConfigFor(cfg)
	every.GroupVersion, every.APIPath = nil, "/set-by-each-request"
	objects, err := rest.UnversionedRESTClientForConfigAndClient(every, one)
	if err != nil {
		return err
	}
	disco, err := discovery.NewDiscoveryClientForConfigAndClient(cfg, one)
	if err != nil {
		return err
	}
	c.rest, c.dyn, c.disco = single{plain}, dynamic.New(single{objects}), discovery.NewDiscoveryClient(single{disco.RESTClient()})
	return nil
}

// Ping asks for the server's version, which tells an unreachable server, a
// wrong certificate and a refused login apart.
func (c *Client) Ping(ctx context.Context) (string, error) {
	text, err := read(ctx, c.rest.Get().AbsPath("/version"))
	if err != nil {
		return "", c.explain(err, "asking for its version", "")
	}
	var version struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := json.Unmarshal(text, &version); err != nil || version.GitVersion == "" {
		return "", fmt.Errorf("asking %s for its version: the answer is not a Kubernetes API server's", c.host)
	}
	return version.GitVersion, nil
}

// resource finds where objects of a kind live on the server. An unknown kind
// is looked up a second time, since the deploy itself may have created it.
// What is to be done there is for the error.
func (c *Client) resource(ctx context.Context, what, apiVersion, kind, namespace string) (dynamic.ResourceInterface, error) {
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return nil, fmt.Errorf("%s: reading apiVersion %q: %w", what, apiVersion, err)
	}
	mapping, err := c.mapping(ctx, gv.WithKind(kind), false)
	if meta.IsNoMatchError(err) {
		mapping, err = c.mapping(ctx, gv.WithKind(kind), true)
	}
	if meta.IsNoMatchError(err) {
		return nil, fmt.Errorf("%s: the cluster serves no such kind; is its CustomResourceDefinition installed, and the apiVersion right? %w", what, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		if namespace == "" {
			namespace = "default"
		}
		return c.dyn.Resource(mapping.Resource).Namespace(namespace), nil
	}
	return c.dyn.Resource(mapping.Resource), nil
}

func (c *Client) mapping(ctx context.Context, gvk schema.GroupVersionKind, again bool) (*meta.RESTMapping, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mapper == nil || again {
		groups, err := restmapper.GetAPIGroupResourcesWithContext(ctx, c.disco)
		if err != nil {
			return nil, c.explain(err, "asking which kinds it serves", "")
		}
		c.mapper = restmapper.NewDiscoveryRESTMapper(groups)
	}
	return c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
}

// Get reads one object; nil without an error means that it does not exist.
func (c *Client) Get(ctx context.Context, apiVersion, kind, namespace, name string) (*unstructured.Unstructured, error) {
	r, err := c.resource(ctx, "reading "+id(kind, namespace, name), apiVersion, kind, namespace)
	if err != nil {
		return nil, err
	}
	obj, err := r.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, c.explain(err, "reading", id(kind, namespace, name))
	}
	return obj, nil
}

// List reads the objects of a kind in a namespace that match a label
// selector; an empty selector matches all.
func (c *Client) List(ctx context.Context, apiVersion, kind, namespace, labels string) ([]unstructured.Unstructured, error) {
	r, err := c.resource(ctx, "listing "+id(kind, namespace, labels), apiVersion, kind, namespace)
	if err != nil {
		return nil, err
	}
	var all []unstructured.Unstructured
	opt := metav1.ListOptions{LabelSelector: labels, Limit: 500}
	for {
		page, err := r.List(ctx, opt)
		if err != nil {
			return nil, c.explain(err, "listing", id(kind, namespace, labels))
		}
		all = append(all, page.Items...)
		if opt.Continue = page.GetContinue(); opt.Continue == "" {
			return all, nil
		}
	}
}

// Apply sends an object by server-side apply, or asks what that would give
// (dryRun). It never takes a field from another manager.
func (c *Client) Apply(ctx context.Context, obj *unstructured.Unstructured, dryRun bool) (*unstructured.Unstructured, error) {
	return c.patch(ctx, obj, metav1.PatchOptions{FieldManager: FieldManager, FieldValidation: metav1.FieldValidationStrict, DryRun: dry(dryRun)})
}

func (c *Client) patch(ctx context.Context, obj *unstructured.Unstructured, opt metav1.PatchOptions) (*unstructured.Unstructured, error) {
	what := id(obj.GetKind(), obj.GetNamespace(), obj.GetName())
	r, err := c.resource(ctx, "applying "+what, obj.GetAPIVersion(), obj.GetKind(), obj.GetNamespace())
	if err != nil {
		return nil, err
	}
	body, err := obj.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("writing %s as JSON: %w", what, err)
	}
	got, err := r.Patch(ctx, obj.GetName(), types.ApplyPatchType, body, opt)
	if err != nil {
		return nil, c.explain(err, "applying", what)
	}
	return got, nil
}

// Logs reads the last lines of a container; previous means the one before its
// last restart.
func (c *Client) Logs(ctx context.Context, namespace, pod, container string, lines int, previous bool) (string, error) {
	req := c.rest.Get().Namespace(namespace).Resource("pods").Name(pod).SubResource("log").
		Param("container", container).Param("tailLines", fmt.Sprint(lines)).Param("limitBytes", "65536")
	if previous {
		req = req.Param("previous", "true")
	}
	text, err := read(ctx, req)
	if err != nil {
		return "", c.explain(err, "reading the log of", id("Pod", namespace, pod))
	}
	return string(text), nil
}

// read gives an answer as it came; unlike DoRaw, it reads a refusal's reason.
func read(ctx context.Context, req *rest.Request) ([]byte, error) {
	res := req.Do(ctx)
	if err := res.Error(); err != nil {
		return nil, err
	}
	return res.Raw()
}

func id(kind, namespace, name string) string {
	if namespace == "" {
		return kind + "/" + name
	}
	return kind + "/" + namespace + "/" + name
}
