// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/gate/internal/live"
	"github.com/outlast-ci/outlast/core/gate/internal/pace"
)

// Which names workloads of a cluster, whoever changed them.
type Which struct {
	Refs      []string     // KIND/NAME or KIND/NAMESPACE/NAME, as kubectl spells the kinds, short names too
	Selector  string       // or by label, in Namespace
	All       bool         // or all of Namespace; who wants no pods and has none is left out, of Refs, too
	Namespace string       // of those that name none; empty: default
	Inputs    drain.Inputs // planning values; the zero value is drain.Defaults()
}

// kind is one that runs pods.
type kind struct {
	version, name string
	words         []string
}

// kinds are those that Find knows.
var kinds = []kind{
	{"apps/v1", "Deployment", []string{"deployment", "deployments", "deploy"}},
	{"apps/v1", "StatefulSet", []string{"statefulset", "statefulsets", "sts"}},
	{"apps/v1", "DaemonSet", []string{"daemonset", "daemonsets", "ds"}},
	{"argoproj.io/v1alpha1", "Rollout", []string{"rollout", "rollouts", "ro"}},
}

// nothing is a gate that has nothing to prove anything with.
func nothing(format string, args ...any) error {
	return &Error{Reason: NothingToWaitFor, Problems: []string{fmt.Sprintf(format, args...)}}
}

// Find reads workloads as they are, after helm, kubectl or a GitOps controller changed
// them: nothing that we left behind is needed. The pods to be replaced are all
// those of older templates, what leads to a workload says whether it stands behind a load balancer,
// and its plan is made of the timings that run: the template's preStop and grace, and the target groups'
// own deregistration delay and health checks. Nothing to wait for is an Error.
func Find(ctx context.Context, cluster Cluster, balancer Balancer, which Which) ([]Workload, error) {
	objects, err := which.objects(ctx, cluster)
	if err != nil {
		return nil, err
	}
	reader := live.NewReader(cluster, balancer)
	var out []Workload
	for _, obj := range objects {
		w := Workload{APIVersion: obj.GetAPIVersion(), Kind: obj.GetKind(), Namespace: obj.GetNamespace(), Name: obj.GetName(),
			Generation: obj.GetGeneration(), UID: string(obj.GetUID()), Images: live.Images(&obj)}
		seen, err := reader.Read(ctx, &obj)
		if err != nil {
			return nil, fmt.Errorf("finding what leads to %s: %w", w.ID(), err)
		}
		if seen.Observed && seen.Snapshot.Desired == 0 && len(seen.Pods) == 0 {
			if !which.All && which.Selector == "" {
				return nil, nothing("%s wants 0 replicas: there is no pod to prove anything with", w.ID())
			}
			continue
		}
		if w.Behind = len(seen.Groups) > 0 || seen.Expected; w.Behind {
			if w.Plan, err = which.plan(seen); err != nil {
				return nil, fmt.Errorf("reading the timings of %s: %w", w.ID(), err)
			}
		}
		for _, p := range seen.Pods {
			if seen.Observed && !p.New {
				w.Replaced = append(w.Replaced, Replaced{UID: p.UID, Name: p.Name, IP: p.IP})
			}
		}
		out = append(out, w)
	}
	if len(out) == 0 {
		return nil, nothing("every workload that was found wants 0 replicas: there is no pod to prove anything with")
	}
	return out, nil
}

// Check says whether anybody can know what is meant; it asks nobody.
func (w Which) Check() error {
	switch {
	case len(w.Refs) == 0 && w.Selector == "" && !w.All:
		return errors.New("finding workloads: none is named; name one by KIND/NAME, or several by a label selector")
	case len(w.Refs) > 0 && w.Selector != "":
		return errors.New("finding workloads: name them, or select them by label, but not both")
	}
	if _, err := labels.Parse(w.Selector); err != nil {
		return fmt.Errorf("finding workloads by label: %w", err)
	}
	for _, ref := range w.Refs {
		if _, _, _, err := parse(ref, w.Namespace); err != nil {
			return err
		}
	}
	return nil
}

// objects reads what is named.
func (w Which) objects(ctx context.Context, cluster Cluster) (out []unstructured.Unstructured, err error) {
	namespace := w.Namespace
	if namespace == "" {
		namespace = "default"
	}
	if err := w.Check(); err != nil {
		return nil, err
	}
	for _, ref := range w.Refs {
		k, ns, name, err := parse(ref, namespace)
		if err != nil {
			return nil, err
		}
		obj, err := cluster.Get(ctx, k.version, k.name, ns, name)
		switch {
		case err != nil:
			return nil, fmt.Errorf("finding %s: %w", ref, err)
		case obj == nil:
			return nil, nothing("finding %s: there is no %s of this name in namespace %s; check the name, the namespace and the cluster", ref, k.name, ns)
		}
		out = append(out, *obj)
	}
	for _, k := range kinds {
		if len(w.Refs) > 0 {
			break
		}
		found, err := cluster.List(ctx, k.version, k.name, namespace, w.Selector)
		if err != nil && !meta.IsNoMatchError(err) {
			return nil, fmt.Errorf("finding the workloads of namespace %s: %w", namespace, err)
		}
		out = append(out, found...)
	}
	labelled := ""
	if w.Selector != "" {
		labelled = " with the labels " + w.Selector
	}
	if len(out) == 0 {
		return nil, nothing("no Deployment, StatefulSet, DaemonSet or Rollout%s is in namespace %s; check the namespace and the cluster", labelled, namespace)
	}
	for i := range out { // a list's items need not say what they are
		if out[i].GetNamespace() == "" {
			out[i].SetNamespace(namespace)
		}
	}
	return out, nil
}

// parse reads a reference.
func parse(ref, namespace string) (k kind, ns, name string, err error) {
	parts := strings.Split(ref, "/")
	i := slices.IndexFunc(kinds, func(k kind) bool {
		word, _, _ := strings.Cut(strings.ToLower(parts[0]), ".") // deployment.apps
		return slices.Contains(k.words, word)
	})
	switch {
	case (len(parts) != 2 && len(parts) != 3) || slices.Contains(parts, ""):
		return k, "", "", fmt.Errorf("finding %q: want KIND/NAME or KIND/NAMESPACE/NAME", ref)
	case i < 0:
		return k, "", "", fmt.Errorf("finding %q: %s is no kind that the gate can wait for; it knows deployment, statefulset, daemonset and rollout", ref, parts[0])
	case len(parts) == 3:
		namespace = parts[1]
	}
	return kinds[i], namespace, parts[len(parts)-1], nil
}

// plan tells what follows from the timings that run. A deregistration delay that could
// not be read counts as none: then nothing is concluded from its end.
func (w Which) plan(seen live.Workload) (drain.Plan, error) {
	in := w.Inputs
	if in.Mode == "" {
		in = drain.Defaults()
	}
	in.Mode, in.Replicas, in.Surge = drain.Auto, max(1, seen.Snapshot.Desired), seen.Surge
	in.MinReady, in.ProgressDeadline = whole(seen.Snapshot.MinReady), whole(seen.Deadline)
	in.Groups, in.TargetGroups = nil, max(1, len(seen.Groups))
	for _, g := range seen.Groups {
		group := drain.Group{Name: g.Binding, Balancer: drain.ALB, Delay: new(drain.Seconds), HealthInterval: g.Info.Interval, HealthTimeout: g.Info.Timeout, HealthyCount: g.Info.Healthy, UnhealthyCount: g.Info.Unhealthy}
		if g.Info.Delay != nil {
			group.Delay = g.Info.Delay
		}
		if pace.NLB(g.Info) {
			group.Balancer = drain.NLB
		}
		in.Groups = append(in.Groups, group)
	}
	given := drain.Given{PreStop: whole(seen.PreStop), GracePeriod: whole(seen.Grace)}
	for _, g := range in.Groups {
		given.DeregistrationDelay = max(given.DeregistrationDelay, *g.Delay)
	}
	running := given
	for _, p := range seen.Pods {
		running.PreStop, running.GracePeriod = max(running.PreStop, whole(p.PreStop)), max(running.GracePeriod, whole(p.Grace))
	}
	in.Running = &running
	return drain.Adopt(given, in)
}

func whole(d time.Duration) drain.Seconds { return drain.Seconds(d / time.Second) }

// Lazy is a balancer that is made when it is asked first: a cluster without one needs
// no login to it.
type Lazy func(context.Context) (Balancer, error)

// TargetHealth asks the balancer.
func (make Lazy) TargetHealth(ctx context.Context, groupARN string) ([]Target, error) {
	b, err := make(ctx)
	if err != nil {
		return nil, err
	}
	return b.TargetHealth(ctx, groupARN)
}

// TargetGroups asks the balancer.
func (make Lazy) TargetGroups(ctx context.Context, which GroupQuery) ([]TargetGroup, error) {
	b, err := make(ctx)
	if err != nil {
		return nil, err
	}
	return b.TargetGroups(ctx, which)
}

// As asks the balancer.
func (make Lazy) As(ctx context.Context, roleARN, externalID string) (Balancer, error) {
	b, err := make(ctx)
	if err != nil {
		return nil, err
	}
	return b.As(ctx, roleARN, externalID)
}
