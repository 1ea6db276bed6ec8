// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const migration = `
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, namespace: dev, annotations: {outlast/phase: pre-deploy}}
spec: {template: {spec: {containers: [{name: main, image: "shop/web@sha256:1"}]}}}
`

const migrationKey = "batch/v1 Job dev/migrate"

// runner ends Jobs some time after they were created, and keeps their logs.
type runner struct {
	*server
	ends  func(job *unstructured.Unstructured) (after time.Duration, failed string)
	began time.Time
	log   func(after time.Duration) string
}

func (r *runner) watch(t *testing.T) {
	r.after = func(_ context.Context, verb, kind, name string) error {
		if verb != "apply" || kind != "Job" {
			return nil
		}
		r.mu.Lock()
		job := r.objects["batch/v1 Job dev/"+name]
		r.mu.Unlock()
		r.began = time.Now()
		r.add(t, fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: %s-%s, namespace: dev, labels: {batch.kubernetes.io/controller-uid: %s}}\nspec: {containers: [{name: main}]}", name, job.GetUID(), job.GetUID()))
		after, failed := r.ends(job)
		if after == 0 {
			return nil
		}
		time.AfterFunc(after, func() { r.end(job, failed) })
		return nil
	}
}

func (r *runner) end(job *unstructured.Unstructured, failed string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	live := r.objects[r.key(job)]
	if live == nil || live.GetUID() != job.GetUID() {
		return
	}
	c := map[string]any{"type": "Complete", "status": "True"}
	if failed != "" {
		c = map[string]any{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": failed}
	}
	live.Object["status"] = map[string]any{"conditions": []any{c}}
	r.stamp(live)
}

func (r *runner) Logs(_ context.Context, namespace, pod, container string, lines int, previous bool) (string, error) {
	if r.log == nil {
		return "", errors.New("container is waiting to start")
	}
	return r.log(time.Since(r.began)), nil
}

func after(d time.Duration, failed string) func(*unstructured.Unstructured) (time.Duration, string) {
	return func(*unstructured.Unstructured) (time.Duration, string) { return d, failed }
}

// TestPreDeployJob: the Job runs before the workloads are touched, and its
// failure leaves them alone.
func TestPreDeployJob(t *testing.T) {
	newer := strings.Replace(web, "sha256:1", "sha256:2", 1)
	for name, tc := range map[string]struct {
		ends   time.Duration
		failed string
		limit  time.Duration
		took   time.Duration
		err    string
	}{
		"it succeeds":          {4500 * time.Millisecond, "", 0, 5 * time.Second, ""},
		"it fails":             {4500 * time.Millisecond, "Job has reached the specified backoff limit", 0, 5 * time.Second, "running Job/dev/migrate: it failed (BackoffLimitExceeded: Job has reached the specified backoff limit), and the workloads are as they were; the last lines of container main of pod migrate-uid-"},
		"it takes too long":    {0, "", 0, 10 * time.Minute, "running Job/dev/migrate: it has not finished within 10m0s, and the workloads are as they were; it runs on"},
		"it has its own limit": {0, "", 7 * time.Second, 7 * time.Second, "it has not finished within 7s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, rec := &runner{server: running(t, web), ends: after(tc.ends, tc.failed), log: func(d time.Duration) string { return "table users\ntable orders\n" }}, &recorder{}
				r.watch(t)
				started := time.Now()
				var phases []string
				rollout, err := Apply(t.Context(), r, []byte(newer+"---"+migration), Options{Logs: r, JobTimeout: tc.limit, Observe: rec.observe, Journal: func(p string) { phases = append(phases, p) }})
				if took := time.Since(started); took != tc.took {
					t.Errorf("took %s, want %s", took, tc.took)
				}
				if told := strings.Count(rec.text(), ": running for "); told != 1+int((tc.took-time.Second)/(15*time.Second)) {
					t.Errorf("in %s it was told %d times that it runs", tc.took, told)
				}
				if strings.Count(rec.text(), "apply log Pod/dev/migrate-uid-") != 2 || !strings.Contains(rec.text(), ": table orders map[]") {
					t.Errorf("events:\n%s", rec.text())
				}
				image := fmt.Sprint(r.objects["apps/v1 Deployment dev/web"].Object["spec"])
				if tc.err == "" {
					if err != nil || !strings.Contains(image, "sha256:2") || len(rollout.Changes) != 2 || rollout.Changes[1].Action != Created || !slices.Equal(phases, []string{"jobs", "workloads"}) {
						t.Errorf("%v, %+v, phases %v", err, rollout.Changes, phases)
					}
					return
				}
				if err == nil || !strings.Contains(err.Error(), tc.err) || !strings.Contains(image, "sha256:1") || len(rollout.Workloads) > 0 {
					t.Errorf("%v, want %q; web is %s", err, tc.err, image)
				}
				if tc.failed != "" && !strings.Contains(err.Error(), "table users\ntable orders") {
					t.Errorf("no last words in %v", err)
				}
			})
		})
	}
}

// TestJobIsReplaced: a Job of the name is deleted and made anew, never patched,
// unless it is this very attempt's.
func TestJobIsReplaced(t *testing.T) {
	other := strings.Replace(migration, "sha256:1", "sha256:0", 1)
	for name, tc := range map[string]struct {
		before   string // manifests of an earlier Apply
		attempt  string // of that
		manifest string
		now      string // attempt
		state    string // of the Job: running, complete or failed
		action   Action
		runs     int
		took     time.Duration
	}{
		"one with another content":                                    {other, "1", migration, "2", "complete", Replaced, 1, 2 * time.Second},
		"one with the same content, of an earlier deploy":             {migration, "1", migration, "2", "complete", Replaced, 1, 2 * time.Second},
		"one that failed in this attempt":                             {migration, "1", migration, "1", "failed", Replaced, 1, 2 * time.Second},
		"one that succeeded in this attempt is not run again":         {migration, "1", migration, "1", "complete", Unchanged, 0, 0},
		"nor is one that this attempt has left running":               {migration, "1", migration, "1", "running", Configured, 0, 4 * time.Second},
		"without attempts each deploy runs it":                        {migration, "", migration, "", "complete", Replaced, 1, 2 * time.Second},
		"in this attempt, though with another content, it runs":       {other, "1", migration, "1", "complete", Replaced, 1, 2 * time.Second},
		"one that an earlier attempt left running ends, then it runs": {other, "1", migration, "2", "running", Replaced, 1, 6 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &runner{server: newServer(t, ""), ends: after(1500*time.Millisecond, "")}
				r.watch(t)
				if _, err := Apply(t.Context(), r, []byte(tc.before), Options{Attempt: tc.attempt}); err != nil {
					t.Fatal(err)
				}
				job := r.objects[migrationKey]
				switch tc.state {
				case "failed":
					r.end(job, "no")
				case "running":
					delete(job.Object, "status")
					time.AfterFunc(3500*time.Millisecond, func() { r.end(job, "") })
				}
				r.writes, r.deleted = nil, nil
				started, uid := time.Now(), job.GetUID()
				plan, err := Diff(t.Context(), r, []byte(tc.manifest), Options{Attempt: tc.now})
				if err != nil || plan.Changes[0].Action != tc.action {
					t.Errorf("the plan: %+v, %v", plan.Changes, err)
				}
				rollout, err := Apply(t.Context(), r, []byte(tc.manifest), Options{Attempt: tc.now})
				if err != nil || rollout.Changes[0].Action != tc.action || len(r.writes) != tc.runs || len(r.deleted) != tc.runs {
					t.Errorf("%+v, %v; wrote %v, deleted %v", rollout.Changes, err, r.writes, r.deleted)
				}
				if took := time.Since(started); took != tc.took {
					t.Errorf("took %s, want %s", took, tc.took)
				}
				if now := r.objects[migrationKey]; (now.GetUID() != uid) != (tc.runs > 0) || !strings.Contains(fmt.Sprint(now.Object["spec"]), "sha256:1") {
					t.Errorf("the Job is %v", now.Object)
				}
			})
		})
	}
}

// TestJobThatNeverEnds: a Job that an earlier attempt left running is neither
// cut short nor waited for without an end.
func TestJobThatNeverEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &runner{server: newServer(t, ""), ends: after(0, "")}
		r.watch(t)
		if _, err := Apply(t.Context(), r, []byte(migration), Options{Attempt: "1", JobTimeout: time.Second}); err == nil {
			t.Fatal("it has ended")
		}
		started, uid := time.Now(), r.objects[migrationKey].GetUID()
		_, err := Apply(t.Context(), r, []byte(web+"---"+migration), Options{Attempt: "2"})
		if err == nil || !strings.Contains(err.Error(), "running Job/dev/migrate: it has not finished within 10m0s") || time.Since(started) != 10*time.Minute || r.objects[migrationKey].GetUID() != uid || r.objects["apps/v1 Deployment dev/web"] != nil {
			t.Errorf("%v after %s", err, time.Since(started))
		}
	})
}

// TestJobsOfOtherKinds: a Job without the annotation is applied like anything.
func TestJobsOfOtherKinds(t *testing.T) {
	plain := strings.Replace(migration, ", annotations: {outlast/phase: pre-deploy}", "", 1)
	r := &runner{server: newServer(t, ""), ends: after(0, "")}
	rollout, err := Apply(t.Context(), r, []byte(plain), Options{})
	if err != nil || rollout.Changes[0].Action != Created {
		t.Errorf("%+v, %v", rollout.Changes, err)
	}
}

// TestJobMeetsTrouble: what ends the wait for a Job other than its end.
func TestJobMeetsTrouble(t *testing.T) {
	for name, tc := range map[string]struct {
		do  func(t *testing.T, r *runner, cancel func())
		err string
	}{
		"somebody deletes it": {func(t *testing.T, r *runner, _ func()) {
			r.mu.Lock()
			defer r.mu.Unlock()
			delete(r.objects, migrationKey)
		}, "waiting for Job/dev/migrate: it went before it was seen to finish; is its ttlSecondsAfterFinished less than a few seconds"},
		"the run is told to end": {func(_ *testing.T, _ *runner, cancel func()) { cancel() }, "context canceled"},
		"it cannot be read any more": {func(_ *testing.T, r *runner, _ func()) {
			r.before = func(_ context.Context, verb, kind, _ string) error {
				if verb == "get" && kind == "Job" {
					return errors.New("reading Job: not allowed")
				}
				return nil
			}
		}, "reading Job: not allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				r := &runner{server: newServer(t, ""), ends: after(0, "")}
				r.watch(t)
				time.AfterFunc(3500*time.Millisecond, func() { tc.do(t, r, cancel) })
				started := time.Now()
				_, err := Apply(ctx, r, []byte(web+"---"+migration), Options{Logs: r})
				if took := time.Since(started); err == nil || !strings.Contains(err.Error(), tc.err) || took > 5*time.Second || r.objects["apps/v1 Deployment dev/web"] != nil {
					t.Errorf("got %v after %s, want %q", err, took, tc.err)
				}
			})
		})
	}
}

// TestJobRunsOnce: the answer to a Job's creation is lost; it is not run twice.
func TestJobRunsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &runner{server: newServer(t, ""), ends: after(1500*time.Millisecond, "")}
		r.watch(t)
		answer, once := r.after, true
		r.after = func(ctx context.Context, verb, kind, name string) error {
			err := answer(ctx, verb, kind, name)
			if verb == "apply" && once {
				once = false
				return modified(r.objects[migrationKey])
			}
			return err
		}
		rollout, err := Apply(t.Context(), r, []byte(migration), Options{})
		if err != nil || len(r.writes) != 1 || len(r.deleted) > 0 || len(rollout.Changes) != 1 {
			t.Errorf("%+v, %v; wrote %v, deleted %v", rollout.Changes, err, r.writes, r.deleted)
		}
	})
}

// TestJobLogs: each line is told once, however the tail of the log moves.
func TestJobLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, rec := &runner{server: newServer(t, ""), ends: after(9500*time.Millisecond, "")}, &recorder{}
		r.log = func(d time.Duration) string {
			var lines []string
			for i := range int(d/time.Second) * 3 {
				lines = append(lines, fmt.Sprintf("line %d", i))
			}
			return strings.Join(lines[max(0, len(lines)-10):], "\n") + "\n" // as tailLines cuts it
		}
		r.watch(t)
		if _, err := Apply(t.Context(), r, []byte(migration), Options{Logs: r, Observe: rec.observe}); err != nil {
			t.Fatal(err)
		}
		for i := range 30 {
			if n := strings.Count(rec.text(), fmt.Sprintf(": line %d map", i)); n != 1 {
				t.Errorf("line %d is told %d times", i, n)
			}
		}
	})
}
