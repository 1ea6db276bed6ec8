// SPDX-License-Identifier: Apache-2.0

package scaffold

import (
	"cmp"
	"slices"
)

// assignBranches guesses which branch deploys to which environment: the one of
// its name, then main or master to production and develop to development.
// A branch deploys to one environment. Where git knows no branch at all, the
// usual ones are taken.
func (p *project) assignBranches() {
	known := p.Repository.Branches
	if len(known) == 0 {
		known = []string{"main"}
		if slices.ContainsFunc(p.environments, func(e environment) bool { return slices.Contains(devWords, e.Name) }) {
			known = append(known, "develop")
		}
	}
	taken := map[string]bool{}
	assign := func(e *environment, candidates ...string) {
		for _, b := range candidates {
			if e.Branch == "" && b != "" && slices.Contains(known, b) && !taken[b] {
				e.Branch, taken[b] = b, true
			}
		}
	}
	trunk := cmp.Or(p.Repository.Default, "main")
	each := func(do func(e *environment)) {
		for i := range p.environments {
			do(&p.environments[i])
		}
	}
	if len(p.environments) == 1 {
		each(func(e *environment) { assign(e, trunk) })
	}
	each(func(e *environment) { assign(e, e.Name) })
	each(func(e *environment) {
		switch {
		case slices.Contains(prodWords, e.Name):
			assign(e, "production", "prod", "main", "master")
		case slices.Contains(devWords, e.Name):
			assign(e, "develop", "dev", "development")
		}
	})
	each(func(e *environment) { // a trunk of another name
		if slices.Contains(prodWords, e.Name) {
			assign(e, trunk)
		}
	})
	each(func(e *environment) {
		if e.Branch == "" {
			p.miss("which branch deploys to %s: environments.%s.branches in outlast.yaml; until then it is deployed with --environment %s", e.Name, e.Name, e.Name)
		}
	})
}

// branches lists those that deploy, each once.
func (p *project) branches() (all []string) {
	for _, e := range p.environments {
		if e.Branch != "" {
			all = append(all, e.Branch)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
