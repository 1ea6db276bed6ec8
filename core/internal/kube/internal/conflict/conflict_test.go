// SPDX-License-Identifier: Apache-2.0

package conflict

import (
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestExplain(t *testing.T) {
	const words = "; what is to stay theirs, leave out of the manifests; if somebody changed it by hand, write what is wanted into the manifests"
	command := func(get, hands string) string {
		return words + " and let kubectl let go of the object, which changes none of its values: `kubectl get " + get + " -o json --show-managed-fields | jq 'del(.metadata.managedFields[] | select(" + hands + "))' | kubectl replace -f -`: no"
	}
	for name, tc := range map[string]struct {
		object string
		by     []string // what is behind `conflict with`
		want   string
	}{
		"a hand":                         {"Deployment/dev/web", []string{`"kubectl-set" using apps/v1`}, command("Deployment web -n dev", `.manager == "kubectl-set"`)},
		"a hand that scaled":             {"Deployment/dev/web", []string{`"kubectl" with subresource "scale" using apps/v1`}, command("Deployment web -n dev", `.manager == "kubectl"`)},
		"two hands, one of them twice":   {"Secret/dev/s", []string{`"kubectl-edit"`, `"kubectl-patch"`, `"kubectl-edit"`}, command("Secret s -n dev", `.manager == "kubectl-edit" or .manager == "kubectl-patch"`)},
		"an object without a namespace":  {"ClusterRole/reader", []string{`"kubectl-edit"`}, command("ClusterRole reader", `.manager == "kubectl-edit"`)},
		"a controller takes it again":    {"Deployment/dev/web", []string{`"kube-controller-manager" using apps/v1`}, words + ": no"},
		"a hand and a controller":        {"Deployment/dev/web", []string{`"argocd"`, `"kubectl"`}, command("Deployment web -n dev", `.manager == "kubectl"`)},
		"a name that a shell would read": {"Deployment/dev/web", []string{`"kubectl'; reboot #"`}, words + ": no"},
		"an object that it would, too":   {"ClusterRole/a;reboot", []string{`"kubectl"`}, words + ": no"},
		"a message of another kind":      {"Deployment/dev/web", []string{``}, words + ": no"},
	} {
		t.Run(name, func(t *testing.T) {
			var causes []metav1.StatusCause
			for _, by := range tc.by {
				causes = append(causes, metav1.StatusCause{Type: metav1.CauseTypeFieldManagerConflict, Message: "conflict with " + by, Field: ".spec.x"})
			}
			answer := apierrors.NewApplyConflict(causes, "no")
			if !Is(answer) {
				t.Fatal("it is no conflict")
			}
			err := Explain(answer, tc.object)
			if !strings.HasSuffix(err.Error(), tc.want) || !strings.Contains(err.Error(), ".spec.x (conflict with "+tc.by[0]+")") || !errors.Is(err, answer) {
				t.Errorf("%v\nwant %s", err, tc.want)
			}
		})
	}
}
