// SPDX-License-Identifier: Apache-2.0

// Package access reads many objects with few requests, and writes under a
// fence: only while the deploy is the one that may, and only over what was read.
package access

import (
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outlast-ci/outlast/core/apply/internal/objects"
)

// Cluster is an API server.
type Cluster interface {
	Reader
	Writer
}

// Reader reads objects; Get gives nil for one that is not there.
type Reader interface {
	Get(ctx context.Context, apiVersion, kind, namespace, name string) (*unstructured.Unstructured, error)
	List(ctx context.Context, apiVersion, kind, namespace, labels string) ([]unstructured.Unstructured, error)
}

// Writer applies and deletes.
type Writer interface {
	Apply(ctx context.Context, obj *unstructured.Unstructured, dryRun bool) (*unstructured.Unstructured, error)
	Delete(ctx context.Context, apiVersion, kind, namespace, name string, uid types.UID) error
}

// Fence tells whether this deploy may still write.
type Fence interface {
	Ours(ctx context.Context) error
	Recheck(ctx context.Context) error
}

// Client is an API server behind a fence.
type Client struct {
	Cluster Cluster
	Fence   Fence                     // nil: none
	Own     map[schema.GroupKind]bool // kinds that the manifests define
}

const (
	// AtOnce is how many requests are under way at most: a third of what the API
	// server's fairness gives a plain user. The cluster's client lowers it while
	// the server says that it is too much.
	AtOnce = 16
	// Attempts is how often an object that changes meanwhile is written anew:
	// with the pauses between, controllers that write a status settle.
	Attempts = 12
	// graceful is how long a write may go on after the run was told to end:
	// less than what any CI leaves between its signals.
	graceful = 5 * time.Second
	// absent is a version that no object ever has: the server creates what is
	// sent with it, and refuses it when there is an object already.
	absent = "1"
)

// Write applies an object, provided that what is there is still live (nil:
// nothing). Else the error is Stale.
func (c Client) Write(ctx context.Context, obj, live *unstructured.Unstructured) (written *unstructured.Unstructured, err error) {
	body := obj.DeepCopy()
	body.SetResourceVersion(absent)
	if live != nil {
		body.SetResourceVersion(live.GetResourceVersion())
		body.SetUID(live.GetUID()) // a server creates an object that is gone anew, but not one with a UID
	}
	err = c.Change(ctx, func(ctx context.Context) error {
		written, err = c.Cluster.Apply(ctx, body, false)
		return err
	})
	return written, err
}

// Delete deletes an object as it was read. One that is gone is no error.
func (c Client) Delete(ctx context.Context, live *unstructured.Unstructured) error {
	err := c.Change(ctx, func(ctx context.Context) error {
		return c.Cluster.Delete(ctx, live.GetAPIVersion(), live.GetKind(), live.GetNamespace(), live.GetName(), live.GetUID())
	})
	if Stale(err) {
		return fmt.Errorf("deleting %s: there is another object of that name now, which is left alone: %w", objects.ID(live), err)
	}
	return err
}

// Change calls write if this deploy may still write. The write outlives ctx for
// a moment: cut short, it may have been accepted without our knowing.
func (c Client) Change(ctx context.Context, write func(context.Context) error) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if c.Fence != nil {
		if err := c.Fence.Ours(ctx); err != nil {
			return err
		}
	}
	own, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-own.Done():
		case <-time.After(graceful):
			cancel(context.Cause(ctx))
		}
	})
	defer stop()
	return write(own)
}

// Again reads an object that somebody else wrote after it was read: a
// controller its status, or another deploy, which the fence tells. It waits a
// little longer at each try.
func (c Client) Again(ctx context.Context, obj *unstructured.Unstructured, cause error, try int) (*unstructured.Unstructured, error) {
	if c.Fence != nil {
		if err := c.Fence.Recheck(ctx); err != nil {
			return nil, fmt.Errorf("%w (%s was written by somebody else: %w)", err, objects.ID(obj), cause)
		}
	}
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-time.After(min(10*time.Millisecond<<try, time.Second)):
	}
	return c.Cluster.Get(ctx, obj.GetAPIVersion(), obj.GetKind(), obj.GetNamespace(), obj.GetName())
}

// Gone waits until an object that is being deleted is not there any more.
func (c Client) Gone(ctx context.Context, live *unstructured.Unstructured, limit time.Duration, tell func(string)) error {
	ended := time.Now().Add(limit)
	for {
		now, err := c.Cluster.Get(ctx, live.GetAPIVersion(), live.GetKind(), live.GetNamespace(), live.GetName())
		if err != nil {
			return err
		}
		if now == nil || now.GetUID() != live.GetUID() {
			return nil
		}
		if time.Now().After(ended) {
			return fmt.Errorf("creating %s: after %s the object of that name is being deleted still; its finalizers are %s: is what removes them running?", objects.ID(live), limit, strings.Join(now.GetFinalizers(), ", "))
		}
		tell("waiting until it is deleted")
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}
