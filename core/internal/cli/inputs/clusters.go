// SPDX-License-Identifier: Apache-2.0

package inputs

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/outlast-ci/outlast/core/internal/config"
)

// Clusters gives the settings that reach each of the environment's clusters, in
// the order in which they are rolled; nil when these settings reach the only one.
func (s *Settings) Clusters() []*Settings { return s.clusters }

// Cluster is what people call the cluster that these settings reach; empty: the
// one of the kubeconfig, or of the pod.
func (s *Settings) Cluster() string {
	return config.Cluster{"clusterName": s.values["cluster-name"], "kubeContext": s.values["kube-context"], "kubeconfig": s.values["kubeconfig"]}.Name()
}

// placed is a cluster and where it stands in the environment's list.
type placed struct {
	config.Cluster
	at int
}

// spread takes the values of the environment's clusters. A name that was given by a
// flag or a variable chooses among them, and so does the region where two have it.
func (s *Settings) spread() error {
	var left []placed
	for i, c := range s.Env.Clusters {
		if s.means("cluster-name", c) && s.means("kube-context", c) {
			left = append(left, placed{c, i})
		}
	}
	chosen := len(left) < len(s.Env.Clusters)
	if chosen && len(left) > 1 {
		left = slices.DeleteFunc(left, func(c placed) bool { return !s.means("region", c.Cluster) })
	}
	switch {
	case len(s.Env.Clusters) == 0:
		return nil
	case len(left) == 0:
		return fmt.Errorf("choosing a cluster: %q is none of environment %s, whose clusters are %s", s.Cluster(), s.Env.Name, strings.Join(s.clusterNames(), ", "))
	case len(left) == 1:
		return s.reach(left[0])
	case chosen:
		return fmt.Errorf("choosing a cluster: environment %s has several called %q; tell them apart with --region: %s", s.Env.Name, s.Cluster(), strings.Join(s.clusterNames(), ", "))
	}
	own := clusterInputs()
	for _, c := range left {
		for _, name := range slices.Sorted(maps.Keys(own)) {
			if key := own[name]; c.Cluster[key] != "" && s.given(name) {
				return fmt.Errorf("reading %s: clusters of environment %s have a %s of their own; leave it out, or choose one cluster with --cluster-name: %s",
					s.source[name], s.Env.Name, key, strings.Join(s.clusterNames(), ", "))
			}
		}
		one := *s
		one.clusters, one.values, one.source = nil, maps.Clone(s.values), maps.Clone(s.source)
		if err := one.reach(c); err != nil {
			return err
		}
		s.clusters = append(s.clusters, &one)
	}
	return nil
}

// reach takes one cluster's values, below flags and variables.
func (s *Settings) reach(c placed) error {
	for name, key := range clusterInputs() {
		switch {
		case s.given(name):
		case c.Cluster[key] != "":
			s.put(name, c.Cluster[key], fmt.Sprintf("%s: environments.%s.clusters[%d].%s", s.File.Path, s.Env.Name, c.at, key))
		case name == "cluster-name": // the environment's would win over the cluster's own kubeContext
			s.put(name, "", "")
		}
	}
	return s.check()
}

// means tells whether an input leaves a cluster among those that are meant.
func (s *Settings) means(name string, c config.Cluster) bool {
	return !s.given(name) || c[clusterInputs()[name]] == s.values[name]
}

// given tells whether a flag or a variable set an input.
func (s *Settings) given(name string) bool {
	source := s.source[name]
	return source != "" && !strings.HasPrefix(source, s.File.Path+":")
}

// clusterInputs are the inputs that a cluster has values of its own for, and their
// keys.
func clusterInputs() map[string]string {
	keys := map[string]string{}
	for _, k := range config.ClusterKeys() {
		for _, in := range All() {
			if in.Key == k.Name {
				keys[in.Name] = k.Name
			}
		}
	}
	return keys
}

func (s *Settings) clusterNames() (names []string) {
	for _, c := range s.Env.Clusters {
		names = append(names, strings.TrimSpace(c.Name()+" "+c["region"]))
	}
	return names
}
