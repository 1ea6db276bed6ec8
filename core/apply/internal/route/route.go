// SPDX-License-Identifier: Apache-2.0

// Package route waits for the AWS Load Balancer Controller: until it has bound
// target groups to Services, and until these show the deregistration delay that
// was written. It also holds a delay back.
package route

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/apply/internal/objects"
	"github.com/outlast-ci/outlast/core/internal/attribute"
)

// Limit is how long is waited when nothing else is said.
const Limit = 3 * time.Minute

// ErrNoBindings tells that the controller is not installed.
var ErrNoBindings = errors.New("the cluster knows no TargetGroupBindings")

var errUnbound = errors.New("no target group binding")

// bindings lists the TargetGroupBindings of some Services (namespace/name), over
// both API groups: the controller's own and EKS Auto Mode's.
func bindings(ctx context.Context, cluster objects.Lister, services []string) (bound map[string][]unstructured.Unstructured, err error) {
	known := false
	bound = map[string][]unstructured.Unstructured{}
	seen := map[string]bool{}
	for _, s := range services {
		ns, _, _ := strings.Cut(s, "/")
		if seen[ns] {
			continue
		}
		seen[ns] = true
		for _, version := range []string{"elbv2.k8s.aws/v1beta1", "eks.amazonaws.com/v1"} {
			list, err := cluster.List(ctx, version, "TargetGroupBinding", ns, "")
			if meta.IsNoMatchError(err) {
				continue
			}
			if err != nil {
				return nil, err
			}
			known = true
			for _, b := range list {
				name, _, _ := unstructured.NestedString(b.Object, "spec", "serviceRef", "name")
				bound[ns+"/"+name] = append(bound[ns+"/"+name], b)
			}
		}
	}
	if !known {
		return nil, ErrNoBindings
	}
	return bound, nil
}

func unbound(ctx context.Context, cluster objects.Lister, services []string) (missing []string, err error) {
	bound, err := bindings(ctx, cluster, services)
	for _, s := range services {
		if len(bound[s]) == 0 {
			missing = append(missing, s)
		}
	}
	return missing, err
}

// Bound waits until each of the Services of a new workload has a target group
// binding. The controller's webhook gives readiness gates only to pods that are
// created after them, and without a gate a rollout does not wait for the
// balancer; so this is a condition of the write, not of its effect.
func Bound(ctx context.Context, cluster objects.Lister, obj *unstructured.Unstructured, services []string, limit time.Duration, tell func(string)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errUnbound)
	defer cancel()
	missing := services
	for {
		seen, err := unbound(ctx, cluster, services)
		if errors.Is(err, ErrNoBindings) {
			return err
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		if err == nil && len(seen) == 0 {
			return nil
		}
		if err == nil { // else the limit cut the look short, and the last whole one counts
			missing = seen
		}
		tell(fmt.Sprintf("not created yet: the controller has bound no target group to Service %v", missing))
		select {
		case <-ctx.Done():
			return whyUnbound(ctx, cluster, obj, missing, limit)
		case <-time.After(time.Second):
		}
	}
}

// whyUnbound ends the wait for a binding with what the controller said about
// the objects that should have made one.
func whyUnbound(ctx context.Context, cluster objects.Lister, obj *unstructured.Unstructured, missing []string, limit time.Duration) error {
	if !errors.Is(context.Cause(ctx), errUnbound) {
		return context.Cause(ctx)
	}
	return fmt.Errorf("creating %s: after %s the AWS Load Balancer Controller has bound no target group to Service %s, so its pods would get no readiness gates%s; is the controller running, and is the Ingress of its class?",
		objects.ID(obj), limit, strings.Join(missing, ", "), said(ctx, cluster, obj.GetNamespace()))
}

// said is the controller's last warning in a namespace, whatever became of ctx.
func said(ctx context.Context, cluster objects.Lister, namespace string) (text string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	events, err := cluster.List(ctx, "v1", "Event", namespace, "")
	for _, e := range events {
		kind, _, _ := unstructured.NestedString(e.Object, "involvedObject", "kind")
		severity, _, _ := unstructured.NestedString(e.Object, "type")
		message, _, _ := unstructured.NestedString(e.Object, "message")
		if (kind == "Ingress" || kind == "Service") && severity == "Warning" {
			text = "; the controller says: " + message
		}
	}
	if err != nil {
		text = "; its events cannot be read: " + err.Error()
	}
	return text
}

// Groups reads the attributes of a target group; an error means unknown.
type Groups interface {
	Attributes(ctx context.Context, arn string) (map[string]string, error)
}

// pace is the time between two questions to ELBv2, whose budget the whole
// account shares.
const pace = time.Second

// Delays waits until the target groups of Services (namespace/name) have the
// deregistration delays that were written for them. What cannot be read is
// asked again until the limit, and is no success.
func Delays(ctx context.Context, cluster objects.Lister, groups Groups, want map[string]time.Duration, limit time.Duration, tell func(string)) error {
	var services []string
	for s := range want {
		services = append(services, s)
	}
	slices.Sort(services)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errUnbound)
	defer cancel()
	shown := map[string]bool{} // ARNs
	why := "nothing was read"
	for {
		open, err := round(ctx, cluster, groups, services, want, shown)
		switch {
		case errors.Is(err, ErrNoBindings):
			return err
		case ctx.Err() == nil && err != nil:
			return err
		case ctx.Err() == nil && open == "":
			return nil
		case ctx.Err() == nil:
			why = open
			tell("waiting: " + why)
		}
		select {
		case <-ctx.Done():
			if !errors.Is(context.Cause(ctx), errUnbound) {
				return context.Cause(ctx)
			}
			ns, _, _ := strings.Cut(services[0], "/")
			return fmt.Errorf("waiting for the target groups to show what was written: after %s %s%s; is the AWS Load Balancer Controller running, and does nothing else set the attribute?", limit, why, said(ctx, cluster, ns))
		case <-time.After(pace):
		}
	}
}

// round asks each group that has not shown its delay once. open says in words
// what is missing still.
func round(ctx context.Context, cluster objects.Lister, groups Groups, services []string, want map[string]time.Duration, shown map[string]bool) (open string, err error) {
	bound, err := bindings(ctx, cluster, services)
	if err != nil {
		return "", err
	}
	asked := false
	for _, s := range services {
		if len(bound[s]) == 0 {
			open = "no target group is bound to Service " + s
		}
		for _, b := range bound[s] {
			arn, _, _ := unstructured.NestedString(b.Object, "spec", "targetGroupARN")
			if arn == "" {
				open = "TargetGroupBinding " + b.GetNamespace() + "/" + b.GetName() + " names no target group yet"
			}
			if arn == "" || shown[arn] {
				continue
			}
			if asked {
				select {
				case <-ctx.Done():
					return open, nil
				case <-time.After(pace):
				}
			}
			asked = true
			has, err := groups.Attributes(ctx, arn)
			seconds := strconv.Itoa(int(want[s] / time.Second))
			switch have := has[attribute.Delay]; {
			case err != nil:
				open = "the attributes of " + arn + " are not known: " + err.Error()
			case have == seconds:
				shown[arn] = true
			default:
				open = fmt.Sprintf("%s has a deregistration delay of %q s, not %s", arn, have, seconds)
			}
		}
	}
	return open, nil
}
