// SPDX-License-Identifier: Apache-2.0

package live

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/gate/internal/model"
)

// readPod takes out of a pod what the judge needs.
func readPod(obj *unstructured.Unstructured, current mark) model.Pod {
	p := model.Pod{
		UID: string(obj.GetUID()), Name: obj.GetName(), IP: str(obj.Object, "status", "podIP"), Created: obj.GetCreationTimestamp().Time,
		New:   current.value != "" && obj.GetLabels()[current.label] == current.value,
		Grace: time.Duration(num(obj.Object, "spec", "terminationGracePeriodSeconds")) * time.Second,
		Gates: map[string]string{}, Ports: map[string]int{},
	}
	for _, ip := range list(obj.Object, "status", "podIPs") {
		p.IPs = append(p.IPs, str(ip, "ip"))
	}
	if at := obj.GetDeletionTimestamp(); at != nil { // the time when it will be gone at the latest
		p.Deleted = at.Time
		if grace := obj.GetDeletionGracePeriodSeconds(); grace != nil {
			p.Grace = time.Duration(*grace) * time.Second
			p.Deleted = at.Add(-p.Grace)
		}
	}
	conditions(&p, obj.Object)
	for _, field := range []string{"containers", "initContainers"} {
		for _, c := range list(obj.Object, "spec", field) {
			p.Containers = append(p.Containers, str(c, "name"))
			p.PreStop = max(p.PreStop, preStop(c))
			for _, port := range list(c, "ports") {
				p.Ports[str(port, "name")] = int(num(port, "containerPort"))
			}
		}
	}
	p.PreStop = min(p.PreStop, cmp.Or(p.Grace, p.PreStop))
	for _, field := range []string{"containerStatuses", "initContainerStatuses"} {
		for _, c := range list(obj.Object, "status", field) {
			container(&p, c, field == "containerStatuses")
		}
	}
	return p
}

func conditions(p *model.Pod, obj map[string]any) {
	status := map[string]string{}
	for _, c := range list(obj, "status", "conditions") {
		kind := str(c, "type")
		status[kind] = str(c, "status")
		switch {
		case kind == "PodScheduled" && status[kind] == "False":
			p.Waiting, p.Detail = str(c, "reason"), str(c, "message")
		case kind == "ContainersReady" && status[kind] == "True":
			p.ContainersReady, p.Started = true, when(str(c, "lastTransitionTime"))
		}
	}
	p.Ready = status["Ready"] == "True"
	for _, g := range list(obj, "spec", "readinessGates") {
		name := str(g, "conditionType")
		p.Gates[name] = status[name]
	}
}

// container takes one container's status in.
func container(p *model.Pod, c map[string]any, main bool) {
	p.Restarts = max(p.Restarts, int(num(c, "restartCount")))
	if reason := str(c, "state", "waiting", "reason"); reason != "" && reason != "ContainerCreating" && reason != "PodInitializing" {
		p.Waiting, p.Detail = reason, str(c, "state", "waiting", "message")
	}
	if reason := str(c, "lastState", "terminated", "reason"); reason != "" && (p.Waiting == "" || p.Waiting == "CrashLoopBackOff") {
		p.Detail = strings.TrimSpace(fmt.Sprintf("%s (its container %s ended before: %s, exit code %d)", strings.SplitN(p.Detail, " (its container", 2)[0], str(c, "name"), reason, num(c, "lastState", "terminated", "exitCode")))
	}
	if ended := when(str(c, "state", "terminated", "finishedAt")); !ended.IsZero() && main && !p.Deleted.IsZero() {
		if p.Ended.IsZero() || ended.Before(p.Ended) {
			p.Ended = ended
		}
		p.Killed = p.Killed || num(c, "state", "terminated", "exitCode") == 137
	}
}

// when reads a time; what is none is zero.
func when(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return t
}

// slept finds the time of the first sleep in a command.
var slept = regexp.MustCompile(`(?:^|[\s/])sleep ([0-9]+)`)

// preStop is how long a container's hook takes, as far as it can be told.
func preStop(container map[string]any) time.Duration {
	if n := num(container, "lifecycle", "preStop", "sleep", "seconds"); n > 0 {
		return time.Duration(n) * time.Second
	}
	words, _, _ := unstructured.NestedStringSlice(container, "lifecycle", "preStop", "exec", "command")
	if m := slept.FindStringSubmatch(strings.Join(words, " ")); m != nil {
		n, _ := strconv.Atoi(m[1]) // digits; what overflows is no time
		return time.Duration(n) * time.Second
	}
	return 0
}
