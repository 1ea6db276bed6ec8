// SPDX-License-Identifier: Apache-2.0

package parts

import "slices"

// connect gives each object its edges, and finds the hubs.
func (p *planner) connect() bool {
	named := make([]int, len(p.objects)) // by how many others
	for i := range p.objects {
		o := &p.objects[i]
		for _, h := range o.mentions {
			for _, j := range p.named[h] {
				if j != i && p.objects[j].target() {
					o.edges = append(o.edges, j)
				}
			}
		}
		o.mentions = nil
		slices.Sort(o.edges)
		o.edges = slices.Compact(o.edges)
		for _, j := range o.edges {
			named[j]++
		}
	}
	for _, group := range p.named {
		p.share(group)
	}
	for _, h := range p.all {
		for _, j := range p.named[h] {
			if p.objects[j].target() {
				p.objects[j].hub = true
				p.anyHubs = append(p.anyHubs, j)
			}
		}
	}
	var hubs []int
	for i := range p.objects {
		o := &p.objects[i]
		if o.hub = o.hub || named[i] > p.sizes.Hub; o.hub {
			hubs = append(hubs, i)
		}
	}
	// A hub comes with all that it must see.
	for len(hubs) > 0 {
		i := hubs[len(hubs)-1]
		hubs = hubs[:len(hubs)-1]
		for _, j := range p.objects[i].edges {
			if !p.objects[j].hub {
				p.objects[j].hub = true
				hubs = append(hubs, j)
			}
		}
	}
	return true
}

// share connects those who may have the same name: two of one kind may clash,
// and a reference to one may be followed to the other.
func (p *planner) share(group []int) {
	last := map[string]int{}
	for _, i := range group {
		o := &p.objects[i]
		keys := []string{o.kind}
		if o.target() {
			keys = append(keys, "")
		}
		for _, key := range keys {
			if j, ok := last[key]; ok {
				o.edges = append(o.edges, j)
				p.objects[j].edges = append(p.objects[j].edges, i)
			}
			last[key] = i
		}
	}
}

// pack makes groups of objects that stay together, and adds to each the hubs
// that it needs.
func (p *planner) pack() (groups [][]int) {
	parent := make([]int, len(p.objects))
	for i := range parent {
		parent[i] = i
	}
	find := func(i int) int {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	for i, o := range p.objects {
		for _, j := range o.edges {
			if !o.hub && !p.objects[j].hub {
				parent[max(find(i), find(j))] = min(find(i), find(j))
			}
		}
	}
	clusters := map[int][]int{}
	var order []int
	for i, o := range p.objects {
		if !o.hub {
			root := find(i)
			if root == i {
				order = append(order, i)
			}
			clusters[root] = append(clusters[root], i)
		}
	}
	var group []int
	for _, root := range order {
		if len(group) > 0 && len(group)+len(clusters[root]) > p.sizes.Part {
			groups = append(groups, group)
			group = nil
		}
		group = append(group, clusters[root]...)
	}
	if len(group) > 0 {
		groups = append(groups, group)
	}
	return p.addHubs(groups)
}

func (p *planner) addHubs(groups [][]int) [][]int {
	used := make([]bool, len(p.objects))
	reach := func(group []int) []int {
		in := map[int]bool{}
		for at := 0; at < len(group); at++ {
			for _, j := range p.objects[group[at]].edges {
				if p.objects[j].hub && !in[j] {
					in[j], used[j] = true, true
					group = append(group, j)
				}
			}
		}
		return group
	}
	with := func(group []int, hubs []int) []int {
		for _, j := range hubs {
			if !slices.Contains(group, j) {
				group = append(group, j)
				used[j] = true
			}
		}
		return group
	}
	slices.Sort(p.anyHubs)
	p.anyHubs = slices.Compact(p.anyHubs)
	for g := range groups {
		groups[g] = reach(with(groups[g], p.anyHubs))
	}
	if len(groups) == 0 {
		return nil
	}
	var rest []int
	for i, o := range p.objects {
		if o.hub && !used[i] {
			rest = append(rest, i)
		}
	}
	groups[0] = reach(with(groups[0], rest))
	for g := range groups {
		slices.Sort(groups[g])
		groups[g] = slices.Compact(groups[g])
	}
	return groups
}
