// SPDX-License-Identifier: Apache-2.0

//go:build e2e

// Package e2e deploys the example to a running lab and looks at it from the
// client's side. The lab is real but for AWS itself: pods, kubelet, controller,
// BuildKit and registry are what users have.
package e2e

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/cluster"
	"github.com/outlast-ci/outlast/lab/internal/labstate"
	"github.com/outlast-ci/outlast/lab/internal/load"
	"github.com/outlast-ci/outlast/lab/internal/trial"
)

const (
	namespace = "dev"
	port      = 1325
	rate      = 60 // requests per second; at least 50 are asked for
)

// world is the lab with a checkout of the example in it.
type world struct {
	*trial.Trial
	front trial.Front
}

// TestDeploys is one story: each part starts with what the one before left.
func TestDeploys(t *testing.T) {
	w := begin(t)
	parts := []struct {
		name string
		run  func(*testing.T, *world)
	}{
		{"the first version goes to an empty namespace", firstDeploy},
		{"the next version replaces it under load, and no request fails", nextDeploy},
		{"the same commit again changes nothing", sameCommit},
		{"check --live agrees with what runs, and sees what does not", liveCheck},
		{"nor does it from a fresh clone with an empty BuildKit", freshClone},
		{"bad input is refused before anything is changed", badInput},
		{"with a third of the computed preStop the same rollout loses requests", shortPreStop},
		{"an image that never becomes ready fails the gate, and the old version is rolled back to", neverReady},
		{"a deploy that is interrupted ends with 130 and is finished by the next one", interrupted},
	}
	for _, part := range parts {
		if !t.Run(part.name, func(t *testing.T) { part.run(t, w) }) {
			t.Fatal("the parts after this one start with what it should have left")
		}
	}
}

func begin(t *testing.T) *world {
	dir, err := labstate.DefaultDir(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	lab, err := labstate.Load(dir)
	if err != nil || !lab.Started {
		t.Fatalf("the lab is not up; run these tests by `make e2e`: %v", err)
	}
	tr, err := trial.New(t.Context(), lab, "../..", filepath.Join(t.TempDir(), "web"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Trial: tr}
	// What an earlier run or the demo left; the namespace stays, since a deployer
	// of the lab, like most, may not create any.
	w.kubectl(t, "delete", "deployment,service,ingress", "--all", "-n", namespace, "--timeout=3m")
	w.kubectl(t, "wait", "pod,targetgroupbinding", "--all", "-n", namespace, "--for=delete", "--timeout=2m")
	return w
}

func duration(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (w *world) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := cluster.Kubectl(t.Context(), w.Lab, nil, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// outlast runs the program and wants an exit code.
func (w *world) outlast(t *testing.T, want int, c trial.Command) trial.Run {
	t.Helper()
	run, err := w.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("outlast %s: exit %d in %.1f s", strings.Join(c.Args, " "), run.Exit, run.Took.Seconds())
	if run.Exit != want {
		t.Fatalf("outlast %s: exit %d, want %d\n%s", strings.Join(c.Args, " "), run.Exit, want, run.Stderr)
	}
	return run
}

func (w *world) commit(t *testing.T, message string) {
	t.Helper()
	if err := w.Commit(t.Context(), message); err != nil {
		t.Fatal(err)
	}
}

// underLoad calls outlast between requests: some before it, some after.
func (w *world) underLoad(t *testing.T, want int, c trial.Command) (trial.Run, load.Report) {
	t.Helper()
	stop, sent := w.send(t)
	time.Sleep(2 * time.Second)
	run := w.outlast(t, want, c)
	time.Sleep(5 * time.Second)
	stop()
	r := <-sent
	t.Logf("%d requests at %.0f a second: %d slow, %d fresh, %d on kept connections; %d failed, %d missed; status %v, errors %v, versions %v",
		r.Sent, r.Achieved, r.Slow, r.Fresh, r.Reused, r.Failed, r.Missed, r.Status, r.Errors, r.Versions)
	if r.Achieved < 50 || r.Missed > 0 || r.Slow*11 < r.Sent || r.Fresh*10 < r.Sent || r.Reused*4 < r.Sent {
		t.Fatalf("this was not the load that was asked for: %+v", r)
	}
	return run, r
}

func (w *world) version(t *testing.T) string {
	t.Helper()
	v, err := w.front.Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// pod is what the API server says of one.
type pod struct {
	Metadata struct{ Name, UID string }
	Status   struct {
		ContainerStatuses []struct{ ImageID string }
	}
}

func (w *world) pods(t *testing.T) map[string]pod {
	t.Helper()
	var list struct{ Items []pod }
	if err := json.Unmarshal([]byte(w.kubectl(t, "get", "pods", "-n", namespace, "-o", "json")), &list); err != nil {
		t.Fatal(err)
	}
	byUID := map[string]pod{}
	for _, p := range list.Items {
		byUID[p.Metadata.UID] = p
	}
	return byUID
}

func deploy(version string, more ...string) trial.Command {
	return trial.Command{Args: append([]string{"deploy", "--build-arg", "VERSION=" + version}, more...)}
}

// complete checks that a passed run's report tells all it should.
func complete(t *testing.T, w *world, run trial.Run, oldPods int) {
	t.Helper()
	r := run.Report
	var names []string
	for _, s := range r.Stages {
		names = append(names, s.Name)
		if s.Result != "passed" || s.Note == "" {
			t.Errorf("stage %s: %s, note %q", s.Name, s.Result, s.Note)
		}
	}
	if got := strings.Join(names, " "); got != "build push render apply gate" || r.Result != "passed" || r.Reason != "ok" || r.Error != "" {
		t.Errorf("report: stages %q, result %s, reason %s, error %q", got, r.Result, r.Reason, r.Error)
	}
	if len(r.Refs) != 1 || len(r.Manifests.Workloads) != 1 || len(r.Gate.Workloads) != 1 || !r.Gate.Passed {
		t.Fatalf("report: %d refs, %d rendered and %d watched workloads, gate passed: %t", len(r.Refs), len(r.Manifests.Workloads), len(r.Gate.Workloads), r.Gate.Passed)
	}
	if p := r.Manifests.Workloads[0].Plan; p.Mode != "strict" || p.GracePeriod <= p.PreStop || p.PreStop <= p.DeregistrationDelay || p.DeregistrationDelay == 0 {
		t.Errorf("timings: %+v is not the strict order", p)
	}
	seen := r.Gate.Workloads[0]
	if len(seen.Groups) != 1 || !strings.HasPrefix(seen.Groups[0], "arn:aws-cn:elasticloadbalancing:cn-northwest-1:") {
		t.Errorf("target groups: %v", seen.Groups)
	}
	live, old := w.pods(t), 0
	for _, p := range seen.Pods {
		if p.New {
			if p.Healthy.IsZero() {
				t.Errorf("pod %s: the report does not say when its target was healthy", p.Name)
			}
			continue
		}
		old++
		if p.Deleted.IsZero() || p.Draining.IsZero() || p.Drained.IsZero() || p.Gone.IsZero() || p.Gone.Before(p.Drained) {
			t.Errorf("old pod %s: deleted %s, draining %s, drained %s, gone %s", p.Name, p.Deleted, p.Draining, p.Drained, p.Gone)
		}
		if p.Proof != "proven" || p.Margin <= 0 {
			t.Errorf("old pod %s: proof %q, margin %v", p.Name, p.Proof, p.Margin)
		}
	}
	if old != oldPods {
		t.Errorf("the report tells of %d old pods, want %d", old, oldPods)
	}
	if len(live) != 2 {
		t.Errorf("%d pods are there, want the 2 new ones", len(live))
	}
	for _, p := range live {
		for _, c := range p.Status.ContainerStatuses {
			if !strings.HasSuffix(c.ImageID, "@"+r.Refs[0].Digest) {
				t.Errorf("pod %s runs %s, not the digest %s", p.Metadata.Name, c.ImageID, r.Refs[0].Digest)
			}
		}
	}
	for _, name := range []string{"report.json", "outputs.env", "report.xml", "summary.md", "timeline.svg", "manifests.yaml", "events.ndjson"} {
		if info, err := os.Stat(filepath.Join(w.Dir, ".outlast", name)); err != nil || info.Size() == 0 {
			t.Errorf(".outlast/%s: %v", name, err)
		}
	}
}

func firstDeploy(t *testing.T, w *world) {
	run := w.outlast(t, 0, deploy("v1"))
	complete(t, w, run, 0)
	front, err := w.Front(t.Context(), namespace, "web", port)
	if err != nil {
		t.Fatal(err)
	}
	w.front = front
	if v := w.version(t); v != "v1" {
		t.Errorf("the balancer answers with %s", v)
	}
}

func nextDeploy(t *testing.T, w *world) {
	before := w.pods(t)
	w.commit(t, "Make v2")
	run, sent := w.underLoad(t, 0, deploy("v2"))
	if sent.Failed != 0 || sent.Versions["v1"] == 0 || sent.Versions["v2"] == 0 {
		t.Errorf("%d of %d requests failed, versions %v: %+v", sent.Failed, sent.Sent, sent.Versions, sent.Failures)
	}
	complete(t, w, run, 2)
	if min := run.Report.Gate.Workloads[0].MinHealthy; min < 2 {
		t.Errorf("%d targets were healthy at one moment, want 2 at any", min)
	}
	for uid := range w.pods(t) {
		if p, ok := before[uid]; ok {
			t.Errorf("old pod %s is there still", p.Metadata.Name)
		}
	}
}

// state tells of every object of the application: a resourceVersion changes with
// any write, the status included.
func (w *world) state(t *testing.T) string {
	t.Helper()
	return w.kubectl(t, "get", "deployment,service,ingress,targetgroupbinding,replicaset,pod", "-n", namespace, "-o", `jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.uid} {.metadata.resourceVersion}{"\n"}{end}`) +
		w.kubectl(t, "get", "namespace", namespace, "-o", "jsonpath={.metadata.resourceVersion}")
}

// unchanged wants a deploy to leave everything as it is.
func (w *world) unchanged(t *testing.T) {
	t.Helper()
	before := w.state(t)
	run := w.outlast(t, 0, deploy("v2"))
	if after := w.state(t); after != before {
		t.Errorf("something was written; before:\n%s\nafter:\n%s", before, after)
	}
	if run.Took > 40*time.Second { // minReadySeconds of readings within what the ELB API allows, or twice that where one was late; a rollout takes more
		t.Errorf("it took %s", run.Took)
	}
	for _, ref := range run.Report.Refs {
		if !ref.Reused || ref.BlobsUploaded > 0 {
			t.Errorf("something was pushed: %+v", ref)
		}
	}
	for _, c := range run.Report.Rollout.Changes {
		if c.Action != "unchanged" {
			t.Errorf("%s: %s", c.Object, c.Action)
		}
	}
	if len(run.Report.Refs) == 0 || len(run.Report.Rollout.Changes) < 4 {
		t.Errorf("the report tells of %d images and %d objects", len(run.Report.Refs), len(run.Report.Rollout.Changes))
	}
}

func sameCommit(t *testing.T, w *world) { w.unchanged(t) }

// liveCheck asks cluster and balancer about the manifests that were applied, and
// about others.
func liveCheck(t *testing.T, w *world) {
	rendered := w.outlast(t, 0, trial.Command{Args: []string{"render"}}).Stdout
	check := func(exit int, args ...string) (rules []string) {
		t.Helper()
		run := w.outlast(t, exit, trial.Command{Args: append([]string{"check", "-", "--live", "-o", "json", "--fail-on", "warning"}, args...), Stdin: rendered})
		if strings.Contains(run.Stderr, "not looked at") {
			t.Errorf("something could not be read: %s", run.Stderr)
		}
		var out struct {
			Objects  int `json:"objects"`
			Findings []struct{ Rule, Severity, Message string }
		}
		if err := json.Unmarshal([]byte(run.Stdout), &out); err != nil {
			t.Fatalf("%v in %s", err, run.Stdout)
		}
		for _, f := range out.Findings {
			if f.Severity != "info" {
				rules = append(rules, f.Rule+" "+f.Message)
			}
		}
		return rules
	}
	if rules := check(0); len(rules) > 0 {
		t.Errorf("what was applied and runs is found wrong: %q", rules)
	}
	rendered = strings.ReplaceAll(rendered, "deregistration_delay.timeout_seconds=", "deregistration_delay.timeout_seconds=1")
	if rules := check(5); !slices.ContainsFunc(rules, func(r string) bool { return strings.HasPrefix(r, "OL048 ") }) {
		t.Errorf("the balancer's delay is not the one of the manifests, and all that is found is %q", rules)
	}
	rendered = strings.ReplaceAll(rendered, "kind: Namespace", "kind: Namespaces") // not among the manifests: the cluster is asked
	if rules := check(5); slices.ContainsFunc(rules, func(r string) bool { return strings.HasPrefix(r, "OL011 ") }) {
		t.Errorf("the cluster's Namespace has the label, and yet %q", rules)
	}
}

func freshClone(t *testing.T, w *world) {
	w.buildctl(t, "prune", "--all")
	if left := w.buildctl(t, "du", "--format", "{{len .}}"); left != "0" {
		t.Logf("BuildKit still holds %s records after a prune", left)
	}
	clone, err := w.Clone(t.Context(), filepath.Join(t.TempDir(), "clone"))
	if err != nil {
		t.Fatal(err)
	}
	(&world{Trial: clone, front: w.front}).unchanged(t)
}

func badInput(t *testing.T, w *world) {
	for name, text := range map[string]string{
		"typo.yaml":                 "app: web\nclustrName: lab\n",
		"broken/kustomization.yaml": "resources: [absent.yaml]\n",
		"other/kustomization.yaml":  "namespace: default\nresources: [../deploy/base]\n",
		"dead.json":                 `{"apiVersion":"v1","kind":"Config","current-context":"c","clusters":[{"name":"c","cluster":{"server":"https://127.0.0.1:1"}}],"users":[{"name":"u","user":{"token":"t"}}],"contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}]}`,
	} {
		path := filepath.Join(w.Dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	w.commit(t, "Make a version that is never deployed")
	cases := map[string]struct {
		exit int
		args []string
		env  []string
		said string
	}{
		"a missing Dockerfile":                       {4, []string{"--dockerfile", "absent"}, nil, "reading its Dockerfile"},
		"a broken kustomization":                     {5, []string{"--manifests", "broken"}, nil, "absent.yaml"},
		"an unknown key of outlast.yaml":             {2, []string{"--config", "typo.yaml"}, nil, `did you mean "clusterName"`},
		"a cluster that does not answer":             {6, []string{"--kubeconfig", "dead.json"}, []string{"OUTLAST_CLUSTER_NAME="}, "127.0.0.1:1"},
		"a cluster that EKS does not know":           {6, []string{"--cluster-name", "other"}, nil, "describing EKS cluster other in cn-northwest-1"},
		"no credentials":                             {3, nil, []string{"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY="}, "finding AWS credentials"},
		"a key that AWS does not know":               {3, nil, []string{"AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE"}, "AWS does not accept the credentials"},
		"a secret that is not the key's":             {3, nil, []string{"AWS_SECRET_ACCESS_KEY=wrong"}, "AWS does not accept the credentials"},
		"the wrong region":                           {4, []string{"--region", "cn-north-1"}, nil, `the ECR repository "web" does not exist in`},
		"a missing repository":                       {4, []string{"--repository", "wbe"}, nil, `the ECR repository "wbe" does not exist in`},
		"a branch without an environment":            {2, []string{"--branch", "topic"}, nil, "topic"},
		"a namespace where the deployer may nothing": {3, []string{"--manifests", "other"}, nil, "before anything was changed"},
	}
	before := w.state(t)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := deploy("v3", c.args...)
			d.Env = c.env
			run := w.outlast(t, c.exit, d)
			if !strings.Contains(run.Stderr, c.said) {
				t.Errorf("stderr has no %q:\n%s", c.said, run.Stderr)
			}
			for _, s := range run.Report.Stages {
				if s.Result != "pending" {
					t.Errorf("stage %s: %s", s.Name, s.Result)
				}
			}
			if c.exit != 2 && run.Report.Result != "failed" {
				t.Errorf("the report says %q", run.Report.Result)
			}
		})
	}
	if after := w.state(t); after != before {
		t.Errorf("something was written; before:\n%s\nafter:\n%s", before, after)
	}
}

var imageLine = regexp.MustCompile(`(?m)image: \S+@sha256:[0-9a-f]{64}$`)

// manifests writes what was applied last, but for one change, as a set of
// manifests of their own, to be applied as they are.
func (w *world) manifests(t *testing.T, name, old, replacement string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(w.Dir, ".outlast", "manifests.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), old); n != 1 {
		t.Fatalf("%q stands %d times in the manifests", old, n)
	}
	changed := imageLine.ReplaceAllString(strings.Replace(string(text), old, replacement, 1), "image: web")
	if err := os.WriteFile(filepath.Join(w.Dir, name), []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	return []string{"--manifests", name, "--drain-policy", "off"}
}

func shortPreStop(t *testing.T, w *world) {
	run := w.outlast(t, 0, trial.Command{Args: []string{"render", "--image", "web=example.com/web@sha256:" + strings.Repeat("0", 64)}})
	computed := run.Report.Manifests.Workloads[0].Plan.PreStop
	short := strconv.Itoa(computed / 3)
	if least, _, _ := strings.Cut(w.Lab.Propagation, "-"); duration(t, least) <= time.Duration(computed/3)*time.Second {
		t.Fatalf("the lab's balancers may stop sending after %s already, before a preStop of %s is over: take it down with --purge, then up", least, short)
	}
	as := w.manifests(t, "short.yaml", "seconds: "+strconv.Itoa(computed)+"\n", "seconds: "+short+"\n")
	w.commit(t, "Make v3 with a third of the preStop")
	w.outlast(t, 0, deploy("v3", as...)) // its pods are the ones that will leave too early
	w.commit(t, "Make v4")
	_, sent := w.underLoad(t, 0, deploy("v4", as...))
	if sent.Failed == 0 {
		t.Errorf("preStop %s instead of %d lost nothing: these tests could not see a loss", short, computed)
	}
	w.commit(t, "Make v5 with what is computed")
	w.outlast(t, 0, deploy("v5"))
}

func neverReady(t *testing.T, w *world) {
	as := w.manifests(t, "never.yaml", "  minReadySeconds: 10\n", "  minReadySeconds: 10\n  progressDeadlineSeconds: 30\n")
	before := w.pods(t)
	w.commit(t, "Make v6, which is broken")
	run, sent := w.underLoad(t, 9, deploy("v6", append(as, "--build-arg", "READY_AFTER=never")...))
	if sent.Failed != 0 || len(sent.Versions) != 1 || sent.Versions["v5"] == 0 {
		t.Errorf("%d requests failed, versions %v", sent.Failed, sent.Versions)
	}
	if history := w.outlast(t, 0, trial.Command{Args: []string{"history"}}).Stdout; !strings.Contains(history, "rolled-back") || !strings.Contains(history, "rollback to revision") {
		t.Errorf("the history does not tell of the rollback:\n%s", history)
	}
	if run.Report.Result != "failed" || run.Report.Reason != "progress-deadline" || !strings.Contains(run.Report.Error, "Deployment/dev/web") {
		t.Errorf("result %s, reason %s, error %q", run.Report.Result, run.Report.Reason, run.Report.Error)
	}
	text, err := json.Marshal(run.Report.Gate.Evidence)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"not ready: the database of version v6 does not answer", "Readiness probe failed"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the report's evidence has no %q: %s", want, text)
		}
		if !strings.Contains(run.Stderr, want) {
			t.Errorf("people were not told of %q:\n%s", want, run.Stderr)
		}
	}
	for uid, p := range before {
		if _, ok := w.pods(t)[uid]; !ok {
			t.Errorf("pod %s of the good version is gone", p.Metadata.Name)
		}
	}
}

func interrupted(t *testing.T, w *world) {
	w.commit(t, "Make v7")
	stop := make(chan struct{})
	c := deploy("v7")
	c.Interrupt = stop
	c.Signal = func(line string) {
		if strings.Contains(line, " gate ") && strings.Contains(line, "started") {
			close(stop)
		}
	}
	run := w.outlast(t, 130, c)
	if r := run.Report; r.Result != "interrupted" || r.Reason != "interrupted" || len(r.Refs) != 1 || r.Stages[3].Result != "passed" || r.Stages[4].Result != "interrupted" {
		t.Errorf("report of the interrupted run: result %s, reason %s, stages %+v", r.Result, r.Reason, r.Stages)
	}
	if !strings.Contains(run.Stderr, "deploy was interrupted") || !strings.Contains(run.Stderr, "running it again goes on from there") {
		t.Errorf("people were told:\n%s", run.Stderr)
	}
	run = w.outlast(t, 0, deploy("v7"))
	if v := w.version(t); v != "v7" || !run.Report.Refs[0].Reused {
		t.Errorf("the balancer answers with %s; the image was reused: %t", v, run.Report.Refs[0].Reused)
	}
}
