// SPDX-License-Identifier: Apache-2.0

// Package model holds the values that the parts of the gate hand to one
// another: what is to be waited for, what the cluster and the balancer said,
// and what became of each pod. Package gate gives them their public names.
package model

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/drain"
)

// Cluster is what the gate needs of an API server.
type Cluster interface {
	// Get reads one object; nil without an error when it does not exist.
	Get(ctx context.Context, apiVersion, kind, namespace, name string) (*unstructured.Unstructured, error)
	// List reads the objects of a kind that match a label selector; an empty namespace means all.
	List(ctx context.Context, apiVersion, kind, namespace, labels string) ([]unstructured.Unstructured, error)
	// Logs reads the last lines of a container, or of its run before the last restart.
	Logs(ctx context.Context, namespace, pod, container string, lines int, previous bool) (string, error)
}

// Balancer is what the gate needs of ELBv2. An error means unknown; one that is
// ErrThrottled or ErrNoTargetGroup says more.
type Balancer interface {
	// TargetHealth lists the registered targets of a group, draining ones too.
	TargetHealth(ctx context.Context, groupARN string) ([]Target, error)
	// TargetGroups describes target groups; those that do not exist are left out.
	TargetGroups(ctx context.Context, which GroupQuery) ([]TargetGroup, error)
	// As asks as another role: of the account that a target group belongs to.
	As(ctx context.Context, roleARN, externalID string) (Balancer, error)
}

var (
	// ErrThrottled is in the error of a call that the ELB API refused for its rate.
	ErrThrottled = errors.New("the ELB API is throttled")
	// ErrNoTargetGroup is in the error of a call about a group that does not exist.
	ErrNoTargetGroup = errors.New("there is no such target group")
)

// GroupQuery says which target groups to describe: by ARN, by name, or those
// of the load balancers with a host name that are tagged as a resource's.
type GroupQuery struct {
	ARNs, Names []string
	// Hostnames are those of load balancers, as an Ingress's or Service's status
	// tells them. Resources are what the tags ingress.k8s.aws/resource and
	// service.k8s.aws/resource of their groups begin with: NAMESPACE/INGRESS-SERVICE: or NAMESPACE/SERVICE:.
	Hostnames, Resources []string
}

// TargetGroup is what ELBv2 says of one.
type TargetGroup struct {
	ARN, Name     string
	TargetType    string   // ip, instance, lambda, alb
	Protocol      string   // HTTP, HTTPS; of an NLB: TCP, TLS, UDP, TCP_UDP
	LoadBalancers []string // ARNs; none: it is on no listener
	Resource      string   // the tag that a query by host name matched
	Interval      time.Duration
	Timeout       time.Duration
	Healthy       int            // checks in a row
	Unhealthy     int            // checks in a row
	Matcher       string         // status codes that are healthy
	Delay         *drain.Seconds // deregistration delay; nil: not read
}

// Target is one registered target as DescribeTargetHealth tells it.
type Target struct {
	ID          string `json:"id"` // address
	Port        int    `json:"port"`
	State       string `json:"state"`            // initial, healthy, unhealthy, draining, unused, unavailable
	Reason      string `json:"reason,omitempty"` // Target.FailedHealthChecks, ...
	Description string `json:"description,omitempty"`
}

// Listed tells whether the target is registered, were it for draining only.
func (t Target) Listed() bool {
	return t.State != "" && (t.State != "unused" || t.Reason != "Target.NotRegistered")
}

// Workload is one object to wait for.
type Workload struct {
	APIVersion, Kind, Namespace, Name string
	Generation                        int64      // as accepted by the API server; older status is not looked at
	UID                               string     // of the object that was applied; empty: not known
	Images                            []string   // that its template has to name still
	Replaced                          []Replaced // pods that have to be gone
	Behind                            bool       // behind a load balancer: target groups are required
	Plan                              drain.Plan // timings, when Behind
	Until                             Until      // how far to wait; empty: to the end
	Stays                             Mark       // of the pods that count as new ones; zero: those of the newest template
}

// Mark is a label that some of a workload's pods have, and the others have not, or
// with another value.
type Mark struct{ Label, Value string }

// Until is how far a workload's rollout is waited for.
type Until string

const (
	End    Until = ""       // new pods serve, old ones have drained and are gone
	Ready  Until = "ready"  // new pods serve; old ones may go on
	Unused Until = "unused" // new pods serve, and the targets of the old ones, which run, have drained
)

// Replaced is a pod that the new template replaces.
type Replaced struct{ UID, Name, IP string }

// ID is how messages name the workload: Kind/namespace/name.
func (w Workload) ID() string { return w.Kind + "/" + w.Namespace + "/" + w.Name }

// Group is one target group of a workload's Services.
type Group struct {
	ARN, Binding     string // Binding: name of its TargetGroupBinding, or of the group
	TargetPort       string // number or name
	Role, ExternalID string // to ask as, when it belongs to another account
	Shared           bool   // by several clusters
	IPv6             bool
	Current          bool        // its Service selects the newest template: new pods are required in it
	Info             TargetGroup // zero: not read
}

// Reading is one answer about a group's targets. What it shows was true at some
// moment between the two times.
type Reading struct {
	From, At time.Time // asked, answered
	Targets  []Target
}

// Snapshot is what one look at the cluster saw of one workload. Unknown says
// what could not be read: nothing is concluded from a look with a gap.
type Snapshot struct {
	From, At    time.Time // asked, answered
	Unknown     []string
	Missing     bool   // the workload does not exist
	Superseded  string // how the object is not the one that was applied
	PodsKnown   bool   // Pods is all there is
	GroupsKnown bool   // Groups is all there is
	Complete    string // what the rollout still lacks; empty: complete
	Stalled     string // message of ProgressDeadlineExceeded
	Refused     string // why pods cannot be created
	Desired     int    // live: an autoscaler's, or the number of nodes
	Unavailable int    // maxUnavailable, resolved
	MinReady    time.Duration
	Pods        []Pod
	Others      []Pod // live pods of other workloads behind the same Services, when they were asked for
	Groups      []Group
	Warnings    []string
}

// Pod is one pod of the workload.
type Pod struct {
	UID, Name       string
	IP              string
	IPs             []string // all addresses, where there are two families
	New             bool     // of the newest template
	Ready           bool
	ContainersReady bool
	Created         time.Time
	Started         time.Time         // when the containers became ready, by the kubelet's word
	Deleted         time.Time         // when its deletion was accepted; zero: not terminating
	Grace           time.Duration     // it is killed after
	PreStop         time.Duration     // longest hook, as far as it can be told
	Gates           map[string]string // readiness gates and their status
	Waiting         string            // worst reason of a waiting container
	Detail          string            // what the kubelet says about it
	Restarts        int
	Ended           time.Time // first container's end while terminating
	Killed          bool
	Containers      []string
	Ports           map[string]int // by name, to resolve a Service's targetPort
}
