// SPDX-License-Identifier: Apache-2.0

// Package bench is a program that applies manifests to a real API server, for
// the benchmark in lab/internal/applybench: it builds this test and runs it.
package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/apply"
	"github.com/outlast-ci/outlast/core/internal/kube"
)

// TestProgram prints what it did as JSON.
func TestProgram(t *testing.T) {
	kubeconfig := os.Getenv("OUTLAST_BENCH_KUBECONFIG")
	if kubeconfig == "" {
		t.Skip("run by lab/internal/applybench")
	}
	manifests, err := os.ReadFile(os.Getenv("OUTLAST_BENCH_MANIFESTS"))
	if err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	client, err := kube.New(kube.Access{Kubeconfig: kubeconfig, UserAgent: "outlast-bench"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	rollout, err := apply.Apply(t.Context(), client, manifests, apply.Options{Set: &apply.Set{Name: "outlast-bench", Namespace: "default"}})
	if err != nil {
		t.Fatal(err)
	}
	did := map[apply.Action]int{}
	for _, c := range rollout.Changes {
		did[c.Action]++
	}
	text, err := json.Marshal(map[string]any{"seconds": time.Since(started).Seconds(), "did": did})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(string(text))
}

// counting counts what is asked and written.
type counting struct {
	*kube.Client
	mu           sync.Mutex
	dry, written int
}

// Apply counts.
func (c *counting) Apply(ctx context.Context, obj *unstructured.Unstructured, dryRun bool) (*unstructured.Unstructured, error) {
	c.mu.Lock()
	if dryRun {
		c.dry++
	} else {
		c.written++
	}
	c.mu.Unlock()
	return c.Client.Apply(ctx, obj, dryRun)
}
