// SPDX-License-Identifier: Apache-2.0

package running

import (
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/outlast-ci/outlast/core/drain"
)

func TestRead(t *testing.T) {
	for name, tc := range map[string]struct {
		spec        string
		annotations map[string]string
		want        drain.Given
		known       bool
	}{
		"a sleep and a grace":         {`{terminationGracePeriodSeconds: 90, containers: [{name: a, lifecycle: {preStop: {sleep: {seconds: 40}}}}]}`, nil, drain.Given{PreStop: 40, GracePeriod: 90}, true},
		"nothing at all":              {`{containers: [{name: a}]}`, nil, drain.Given{GracePeriod: 30}, true},
		"the shortest of two":         {`{containers: [{name: a, lifecycle: {preStop: {sleep: {seconds: 40}}}}, {name: b, lifecycle: {preStop: {exec: {command: [sleep, "7"]}}}}]}`, nil, drain.Given{PreStop: 7, GracePeriod: 30}, true},
		"only the request path":       {`{containers: [{name: a, lifecycle: {preStop: {sleep: {seconds: 40}}}}, {name: logs}]}`, map[string]string{"outlast/request-path": "a"}, drain.Given{PreStop: 40, GracePeriod: 30}, true},
		"a hook that nobody knows":    {`{containers: [{name: a, lifecycle: {preStop: {httpGet: {path: /quit}}}}]}`, nil, drain.Given{GracePeriod: 30}, false},
		"a hook whose length is told": {`{containers: [{name: a, lifecycle: {preStop: {httpGet: {path: /quit}}}}]}`, map[string]string{"outlast/hook-seconds.a": "25s"}, drain.Given{PreStop: 25, GracePeriod: 30}, true},
	} {
		t.Run(name, func(t *testing.T) {
			pod := map[string]any{}
			if err := yaml.Unmarshal([]byte("spec: "+tc.spec), &pod); err != nil {
				t.Fatal(err)
			}
			got, known, err := Read(pod, tc.annotations)
			if err != nil || got != tc.want || known != tc.known {
				t.Errorf("%+v, %v, %v", got, known, err)
			}
		})
	}
}
