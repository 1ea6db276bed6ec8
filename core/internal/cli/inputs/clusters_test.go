// SPDX-License-Identifier: Apache-2.0

package inputs

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outlast-ci/outlast/core/internal/config"
)

const several = `
region: eu-west-1
clusterName: top
environments:
  one:
    clusters: [{clusterName: a, region: r}]
  prod:
    roleArn: shared
    clusters:
      - {clusterName: a, roleArn: own}
      - {clusterName: b, region: cn-north-1}
      - {clusterName: b, region: cn-northwest-1}
      - {kubeContext: lab, kubeconfig: lab.yaml}
`

// TestClustersOfAnEnvironment: what reaches each, as cluster-name, kube-context,
// region, role-arn; the first line is for runs that know one only.
func TestClustersOfAnEnvironment(t *testing.T) {
	all := []string{"top eu-west-1 shared", "a eu-west-1 own", "b cn-north-1 shared", "b cn-northwest-1 shared", "lab eu-west-1 shared"}
	for name, c := range map[string]struct {
		env   string
		flags map[string][]string
		vars  []string
		want  []string
		err   string
	}{
		"all of them, in order":                      {"prod", nil, nil, all, ""},
		"an environment with a list of one":          {"one", nil, nil, []string{"a r -"}, ""},
		"a name chooses":                             {"prod", map[string][]string{"cluster-name": {"a"}}, nil, []string{"a eu-west-1 own"}, ""},
		"another name of the flag, too":              {"prod", map[string][]string{"cluster": {"a"}}, nil, []string{"a eu-west-1 own"}, ""},
		"a variable chooses, and a flag wins":        {"prod", map[string][]string{"role-arn": {"mine"}}, []string{"OUTLAST_CLUSTER_NAME=a"}, []string{"a eu-west-1 mine"}, ""},
		"a context chooses":                          {"prod", map[string][]string{"kube-context": {"lab"}}, nil, []string{"lab eu-west-1 shared"}, ""},
		"of two with one name the region chooses":    {"prod", map[string][]string{"cluster-name": {"b"}, "region": {"cn-north-1"}}, nil, []string{"b cn-north-1 shared"}, ""},
		"a name that two have":                       {"prod", map[string][]string{"cluster-name": {"b"}}, nil, nil, `environment prod has several called "b"; tell them apart with --region`},
		"a name that none has":                       {"prod", map[string][]string{"cluster-name": {"c"}}, nil, nil, `"c" is none of environment prod, whose clusters are a, b cn-north-1, b cn-northwest-1, lab`},
		"a region for all where some have their own": {"prod", nil, []string{"OUTLAST_REGION=x"}, nil, "reading OUTLAST_REGION: clusters of environment prod have a region of their own"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Read(c.flags, append(c.vars, "OUTLAST_ENVIRONMENT="+c.env))
			if err != nil {
				t.Fatal(err)
			}
			if s.File, err = config.Parse("outlast.yaml", []byte(several), ScalarKeys()); err != nil {
				t.Fatal(err)
			}
			err = s.Choose("")
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Fatalf("got %v, want %q", err, c.err)
			}
			if err != nil {
				return
			}
			var got []string
			for _, one := range append([]*Settings{s}, s.Clusters()...) {
				role := one.Text("role-arn")
				if role == "" {
					role = "-"
				}
				got = append(got, fmt.Sprintf("%s %s %s", one.Cluster(), one.Text("region"), role))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for i, one := range s.Clusters() {
				if len(one.Clusters()) > 0 {
					t.Errorf("cluster %d is several itself", i)
				}
				if path := one.Path("kubeconfig", "/work"); i == 3 && path != "lab.yaml" {
					t.Errorf("the kubeconfig of the file is at %q", path)
				}
			}
		})
	}
}
