// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// unwilling is a cluster that takes no Deployment any more.
type unwilling struct {
	*memory
	err error
}

func (r unwilling) Apply(ctx context.Context, obj *unstructured.Unstructured, dryRun bool) (*unstructured.Unstructured, error) {
	if obj.GetKind() == "Deployment" {
		return nil, r.err
	}
	return r.memory.Apply(ctx, obj, dryRun)
}

// What the API server refuses now and took when the plan was made has moved; that it
// cannot be asked says nothing of the world.
func TestAnAgreedPlanThatTheServerRefuses(t *testing.T) {
	web := schema.GroupResource{Group: "apps", Resource: "deployments"}
	for name, tc := range map[string]struct {
		err   error
		moved bool
	}{
		"somebody scaled it":                    {apierrors.NewConflict(web, "web", errors.New(`conflict with "kubectl" using apps/v1: .spec.replicas`)), true},
		"somebody made another one of its name": {apierrors.NewInvalid(schema.GroupKind{Group: "apps", Kind: "Deployment"}, "web", nil), true},
		"its namespace is gone":                 {apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "dev"), true},
		"the identity may not":                  {apierrors.NewForbidden(web, "web", errors.New("no")), false},
		"the server is down":                    {errors.New("connection refused"), false},
		"the server has an error of its own":    {apierrors.NewInternalError(errors.New("etcd")), false},
	} {
		t.Run(name, func(t *testing.T) {
			var log []string
			m := newMemory("a", &log)
			cfg := shipping(t, v1)
			plan, err := MakePlan(t.Context(), cfg, m.clients(), Report{})
			if err != nil {
				t.Fatal(err)
			}
			cfg.Plan = &plan
			clients := m.clients()
			ask := clients.Cluster
			clients.Cluster = func(ctx context.Context) (Cluster, error) {
				c, err := ask(ctx)
				c.Apply = unwilling{m, tc.err}
				return c, err
			}
			_, err = Deploy(t.Context(), cfg, clients, Report{})
			if moved := (*MovedError)(nil); errors.As(err, &moved) != tc.moved || !strings.Contains(err.Error(), tc.err.Error()) || len(log) > 0 {
				t.Errorf("got %v, %q", err, log)
			}
		})
	}
}
