// SPDX-License-Identifier: Apache-2.0

// Package job waits for a Job: its pods' logs go to the events, and it comes
// back when the Job has succeeded, has failed, or takes too long.
package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/apply/internal/objects"
)

// Cluster is what is needed of an API server.
type Cluster interface {
	Get(ctx context.Context, apiVersion, kind, namespace, name string) (*unstructured.Unstructured, error)
	List(ctx context.Context, apiVersion, kind, namespace, labels string) ([]unstructured.Unstructured, error)
}

// Logs reads the last lines of a container.
type Logs interface {
	Logs(ctx context.Context, namespace, pod, container string, lines int, previous bool) (string, error)
}

// Finished tells how a Job ended.
func Finished(job *unstructured.Unstructured) (done, succeeded bool, why string) {
	conditions, _, _ := unstructured.NestedSlice(job.Object, "status", "conditions")
	for _, c := range conditions {
		m, _ := c.(map[string]any)
		if m["status"] != "True" {
			continue
		}
		reason, _ := m["reason"].(string)
		message, _ := m["message"].(string)
		switch m["type"] {
		case "Complete":
			return true, true, ""
		case "Failed":
			return true, false, strings.TrimSpace(reason + ": " + message)
		}
	}
	return false, false, ""
}

// Succeeded tells whether a Job has ended well.
func Succeeded(job *unstructured.Unstructured) bool {
	_, succeeded, _ := Finished(job)
	return succeeded
}

// pace is the time between two looks, heartbeat that between two words on a Job that runs
// on, and lines is how much of a log is read at each look and told of a failure.
const (
	pace      = time.Second
	heartbeat = 15 * time.Second
	lines     = 200
	lastWord  = 20
)

// Wait waits for a Job to succeed. Line is called for each line of its pods'
// logs; logs may be nil.
func Wait(ctx context.Context, cluster Cluster, logs Logs, job *unstructured.Unstructured, limit time.Duration, line func(pod, text string), tell func(string)) error {
	w := &waiter{cluster: cluster, logs: logs, job: job, line: line, seen: map[string][]string{}}
	started, told := time.Now(), time.Time{}
	errLate := errors.New("late")
	timed, cancel := context.WithTimeoutCause(ctx, limit, errLate)
	defer cancel()
	for {
		now, err := cluster.Get(timed, job.GetAPIVersion(), job.GetKind(), job.GetNamespace(), job.GetName())
		switch {
		case timed.Err() != nil:
		case err != nil:
			return err
		case now == nil || now.GetUID() != job.GetUID():
			return fmt.Errorf("waiting for %s: it went before it was seen to finish; is its ttlSecondsAfterFinished less than a few seconds, or does something else delete it?", objects.ID(job))
		default:
			done, succeeded, why := Finished(now)
			w.follow(timed)
			if done && succeeded {
				return nil
			}
			if done {
				return fmt.Errorf("running %s: it failed (%s), and the workloads are as they were%s", objects.ID(job), why, w.last())
			}
			if runs := time.Since(started); runs < limit && time.Since(told) >= heartbeat { // at the limit the error says it
				told = time.Now()
				tell(fmt.Sprintf("running for %s", runs.Round(time.Second)))
			}
		}
		select {
		case <-timed.Done():
			if !errors.Is(context.Cause(timed), errLate) {
				return context.Cause(timed)
			}
			return fmt.Errorf("running %s: it has not finished within %s, and the workloads are as they were; it runs on%s", objects.ID(job), limit, w.last())
		case <-time.After(pace):
		}
	}
}

// waiter follows the logs of one Job.
type waiter struct {
	cluster Cluster
	logs    Logs
	job     *unstructured.Unstructured
	line    func(pod, text string)
	seen    map[string][]string // last lines, by pod and container
	newest  string              // pod and container that spoke last
}

// follow tells what the Job's pods said since the last look. A log that cannot
// be read says nothing: the container may not have started.
func (w *waiter) follow(ctx context.Context) {
	if w.logs == nil {
		return
	}
	pods, err := w.cluster.List(ctx, "v1", "Pod", w.job.GetNamespace(), "batch.kubernetes.io/controller-uid="+string(w.job.GetUID()))
	if err != nil {
		return
	}
	slices.SortFunc(pods, func(a, b unstructured.Unstructured) int {
		return cmp.Or(a.GetCreationTimestamp().Compare(b.GetCreationTimestamp().Time), cmp.Compare(a.GetName(), b.GetName()))
	})
	for _, p := range pods {
		for _, list := range []string{"initContainers", "containers"} {
			containers, _, _ := unstructured.NestedSlice(p.Object, "spec", list)
			for _, c := range containers {
				m, _ := c.(map[string]any)
				name, _ := m["name"].(string)
				text, err := w.logs.Logs(ctx, p.GetNamespace(), p.GetName(), name, lines, false)
				if err == nil {
					w.said(p.GetName(), name, text)
				}
			}
		}
	}
}

func (w *waiter) said(pod, container, text string) {
	key := pod + " " + container
	var now []string
	if text != "" {
		now = strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	}
	for _, text := range fresh(w.seen[key], now) {
		w.line(pod, text)
		w.newest = key
	}
	w.seen[key] = now
}

// fresh gives the lines that came since the last look: those behind the
// longest end of before that now begins with.
func fresh(before, now []string) []string {
	for n := min(len(before), len(now)); n > 0; n-- {
		if slices.Equal(before[len(before)-n:], now[:n]) {
			return now[n:]
		}
	}
	return now
}

// last is what was said last, for an error.
func (w *waiter) last() string {
	said := w.seen[w.newest]
	if len(said) == 0 {
		return ""
	}
	pod, container, _ := strings.Cut(w.newest, " ")
	return fmt.Sprintf("; the last lines of container %s of pod %s:\n%s", container, pod, strings.Join(said[max(0, len(said)-lastWord):], "\n"))
}
