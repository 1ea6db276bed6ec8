// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outlast-ci/outlast/core/apply/internal/diff"
	"github.com/outlast-ci/outlast/core/event"
)

// Cluster is what apply needs of an API server.
type Cluster interface {
	Reader
	Writer
	Adopter
}

// Reader reads objects.
type Reader interface {
	// Get reads one object; nil without an error when it does not exist.
	Get(ctx context.Context, apiVersion, kind, namespace, name string) (*unstructured.Unstructured, error)
	// List reads the objects of a kind that match a label selector. An
	// apiVersion that ends with its slash, or is empty, leaves the version to
	// the server. A namespace means nothing to a kind that lives in none.
	List(ctx context.Context, apiVersion, kind, namespace, labels string) ([]unstructured.Unstructured, error)
}

// Writer writes objects.
type Writer interface {
	// Apply server-side-applies an object, or tells what that would give. It
	// takes no field from another manager.
	Apply(ctx context.Context, obj *unstructured.Unstructured, dryRun bool) (*unstructured.Unstructured, error)
	// Delete deletes one object and, in the background, what it owns. One that
	// is gone is no error; another of its name, with another UID, is a conflict.
	Delete(ctx context.Context, apiVersion, kind, namespace, name string, uid types.UID) error
}

// Adopter takes over the objects of other tools.
type Adopter interface {
	// Adopt moves the fields that the managers wrote to the manager that Apply
	// writes as, or tells what that would give. No value changes, and an object
	// that was written since it was read is refused as a conflict.
	Adopt(ctx context.Context, live *unstructured.Unstructured, managers []string, dryRun bool) (*unstructured.Unstructured, error)
	// Forced tells what an Apply would give that took each field from its owner.
	// It writes nothing.
	Forced(ctx context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error)
	// Replaced tells what the server would make of an object that is written as
	// a whole. It writes nothing.
	Replaced(ctx context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error)
}

// Groups reads the attributes of target groups. An error means unknown.
type Groups interface {
	Attributes(ctx context.Context, arn string) (map[string]string, error)
}

// Logs reads the last lines of a container's log; previous means the one
// before its last restart.
type Logs interface {
	Logs(ctx context.Context, namespace, pod, container string, lines int, previous bool) (string, error)
}

// Fence keeps a deploy that was taken over from writing: a lease, say.
type Fence interface {
	// Ours returns nil while this deploy may write, as far as is known here; it
	// is called before each write and should be quick.
	Ours(ctx context.Context) error
	// Recheck asks anew, after a write was refused because its object had changed.
	Recheck(ctx context.Context) error
}

// Options tune an Apply. The zero value is right for a plain one.
type Options struct {
	// Routed says what load balancers route to, by workload (Kind/namespace/name).
	Routed map[string]Route
	Groups Groups        // nil: the live target groups are not asked
	Hold   []string      // objects (Kind/namespace/name) whose deregistration delay stays as it is live; leave out their Route.Delay
	Bound  time.Duration // longest wait for a target group to be bound, and to show what was written; zero: 3 minutes

	Set   *Set     // whom the objects belong to; nil: nobody
	Keep  [][]byte // further manifests whose objects pruning spares: those of the last release whose gate passed
	Fence Fence    // nil: none
	Adopt []string // field managers that are adopted beside those of kubectl and Helm
	Undo  bool     // these are an earlier release's manifests: pruning spares the pre-deploy Jobs that did not succeed

	// Attempt names this attempt. A pre-deploy Job that has succeeded in the
	// same attempt with the same content is not run again. Empty: each Apply is one.
	Attempt    string
	JobTimeout time.Duration // longest run of a pre-deploy Job; zero: 10 minutes
	Logs       Logs          // nil: Jobs run without their logs being shown

	Key     []byte             // of the hashes that stand for the data of Secrets; empty: a random one each time
	Journal func(phase string) // told when a phase begins, see Phases; may be nil
	Observe event.Func
}

// Route is how a load balancer reaches a workload.
type Route struct {
	// Services (namespace/name) that it routes to. Before such a workload is
	// created, its target group bindings are waited for.
	Services []string
	// Delay is the deregistration delay that the manifests write for the target
	// groups of these Services. After the routing phase they are waited for
	// until they show it. Zero: they are not asked.
	Delay time.Duration
}

// Set is an ApplySet (KEP-3659): its parent is the ConfigMap of this name and
// namespace, and each object of it has a label that names the parent.
type Set struct{ Name, Namespace string }

// Action says what happens to an object.
type Action string

const (
	Created    Action = "created"
	Configured Action = "configured"
	Unchanged  Action = "unchanged"
	Adopted    Action = "adopted"  // taken over from another tool, and configured if Fields says so
	Replaced   Action = "replaced" // a Job: deleted and created
	Pruned     Action = "pruned"   // deleted, since no manifest has it
	Held       Action = "held"     // left as it is in this Apply, see Options.Hold
)

// Change is one object and what happens to it.
type Change struct {
	Object string  `json:"object"` // Kind/namespace/name
	Action Action  `json:"action"`
	Fields []Field `json:"fields,omitempty"` // what differs; of created and pruned objects nothing
	Lost   []Field `json:"lost,omitempty"`   // fields that the other tool had set and the manifests do not have
	Unsure bool    `json:"unsure,omitempty"` // some of Lost are defaults of the server's, which stay: this identity may not ask which
	Was    string  `json:"was,omitempty"`    // adopted: the field managers before, with commas
	Note   string  `json:"note,omitempty"`   // what else there is to know
}

// Field is one field of an object before and after, as JSON texts; empty: it
// is not there. Secret data is shown as a keyed hash.
type Field = diff.Field

// Plan is what an Apply of the same manifests would do now, and then Prune.
// It survives JSON.
type Plan struct {
	Changes   []Change   `json:"changes"`
	Workloads []Workload `json:"workloads"` // with the pods that would be replaced
}

// Rollout is what Apply did. It survives JSON.
type Rollout struct {
	Started   time.Time  `json:"started"`
	Changes   []Change   `json:"changes"`
	Workloads []Workload `json:"workloads"`
}

// Workload is one object that runs pods, as the API server accepted it.
type Workload struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
	UID        string `json:"uid"`
	Generation int64  `json:"generation"`
	Action     Action `json:"action"`
	Replaced   []Pod  `json:"replaced,omitempty"` // pods that the new template replaces
	Unsure     bool   `json:"unsure,omitempty"`   // it replaces them only if one of the fields that are not known to stay goes
}

// ID is how messages name the workload: Kind/namespace/name.
func (w Workload) ID() string { return w.Kind + "/" + w.Namespace + "/" + w.Name }

// Pod is one pod that is to be replaced.
type Pod struct {
	UID  string `json:"uid"`
	Name string `json:"name"`
	IP   string `json:"ip,omitempty"`
}
