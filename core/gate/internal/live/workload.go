// SPDX-License-Identifier: Apache-2.0

package live

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/gate/internal/model"
)

// progress reads how far a rollout is: how many pods are wanted by now, what it lacks,
// in words, and why its controller gave up.
func progress(obj *unstructured.Unstructured, s *model.Snapshot) {
	o := obj.Object
	want := int64(1)
	if n, found, _ := unstructured.NestedInt64(o, "spec", "replicas"); found {
		want = n
	}
	updated, ready, total := num(o, "status", "updatedReplicas"), num(o, "status", "readyReplicas"), num(o, "status", "replicas")
	available := num(o, "status", "availableReplicas")
	if obj.GetKind() == "DaemonSet" {
		want, updated = num(o, "status", "desiredNumberScheduled"), num(o, "status", "updatedNumberScheduled")
		ready, available, total = num(o, "status", "numberReady"), num(o, "status", "numberAvailable"), num(o, "status", "currentNumberScheduled")
	}
	s.Desired, s.Unavailable = int(want), unavailable(obj, int(want))
	s.MinReady = time.Duration(num(o, "spec", "minReadySeconds")) * time.Second
	for _, c := range list(o, "status", "conditions") {
		kind, message := str(c, "type"), str(c, "message")
		switch {
		case kind == "Progressing" && str(c, "reason") == "ProgressDeadlineExceeded":
			s.Stalled = message
		case kind == "ReplicaFailure" && str(c, "status") == "True":
			s.Refused = cmp.Or(message, str(c, "reason"))
		}
	}
	if paused, _, _ := unstructured.NestedBool(o, "spec", "paused"); paused {
		s.Stalled = "spec.paused is true: nothing rolls out until somebody resumes it"
	}
	if obj.GetKind() == "Rollout" && str(o, "status", "phase") == "Degraded" {
		s.Stalled = cmp.Or(str(o, "status", "message"), "its phase is Degraded")
	}
	partition := num(o, "spec", "updateStrategy", "rollingUpdate", "partition")
	switch {
	case updated < want && partition > 0:
		s.Complete = fmt.Sprintf("%d of %d pods are of the new version, and by its partition the first %d keep the old one until somebody lowers it", updated, want, partition)
	case updated < want && (obj.GetKind() == "StatefulSet" || obj.GetKind() == "DaemonSet") && str(o, "spec", "updateStrategy", "type") == "OnDelete":
		s.Complete = fmt.Sprintf("%d of %d pods are of the new version, and by its updateStrategy OnDelete somebody has to delete the old ones", updated, want)
	case updated < want:
		s.Complete = fmt.Sprintf("%d of %d pods are of the new version", updated, want)
	case total > updated:
		s.Complete = fmt.Sprintf("%d pods of the old version run", total-updated)
	case ready < want:
		s.Complete = fmt.Sprintf("%d of %d pods are ready", ready, want)
	case available < want:
		s.Complete = fmt.Sprintf("%d of %d pods have been ready for minReadySeconds", available, want)
	}
}

// earlier tells whether a Deployment's controller gave up another template than the
// newest: after a rollback to pods that never left, what it said of the bad ones stays
// until it counts the first of them gone.
func earlier(stalled string, newest mark) bool {
	name, ok := strings.CutPrefix(stalled, `ReplicaSet "`)
	name, _, _ = strings.Cut(name, `"`)
	return ok && newest.value != "" && !strings.HasSuffix(name, "-"+newest.value)
}

// unavailable is maxUnavailable, resolved: for a Deployment a quarter, rounded down,
// where nothing is written, for the others one pod.
func unavailable(obj *unstructured.Unstructured, want int) int {
	switch obj.GetKind() {
	case "StatefulSet", "DaemonSet":
		return min(want, share(obj, want, false, "1", "spec", "updateStrategy", "rollingUpdate", "maxUnavailable"))
	case "Rollout":
		return min(want, share(obj, want, false, "25%", "spec", "strategy", "canary", "maxUnavailable"))
	case "Deployment":
		if str(obj.Object, "spec", "strategy", "type") == "Recreate" {
			return want
		}
	}
	return min(want, share(obj, want, false, "25%", "spec", "strategy", "rollingUpdate", "maxUnavailable"))
}

// surge is maxSurge, resolved: for a Deployment a quarter, rounded up, where nothing is written.
func surge(obj *unstructured.Unstructured, want int) int {
	switch obj.GetKind() {
	case "StatefulSet":
		return 0
	case "DaemonSet":
		return share(obj, want, true, "0", "spec", "updateStrategy", "rollingUpdate", "maxSurge")
	case "Rollout":
		return share(obj, want, true, "25%", "spec", "strategy", "canary", "maxSurge")
	}
	if str(obj.Object, "spec", "strategy", "type") == "Recreate" {
		return 0
	}
	return share(obj, want, true, "25%", "spec", "strategy", "rollingUpdate", "maxSurge")
}

// share reads a number, or a percentage of what is wanted.
func share(obj *unstructured.Unstructured, want int, up bool, unset string, path ...string) int {
	text := unset
	if value, _, _ := unstructured.NestedFieldNoCopy(obj.Object, path...); value != nil {
		text = strings.TrimSpace(fmt.Sprint(value))
	}
	number, percent := strings.CutSuffix(text, "%")
	n, err := strconv.Atoi(number)
	switch {
	case err != nil:
		return 0
	case percent && up:
		return (want*n + 99) / 100
	case percent:
		return want * n / 100
	}
	return n
}
