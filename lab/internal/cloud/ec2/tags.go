// SPDX-License-Identifier: Apache-2.0

package ec2

import (
	"slices"
	"strings"

	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

type tagsInput struct {
	Resources []string `query:"ResourceId"`
	Tags      []Tag    `query:"Tag"`
}

// tagsOf returns where the tags of a resource are.
func (r *Region) tagsOf(id string) (*[]Tag, error) {
	switch {
	case r.VPCs[id] != nil:
		return &r.VPCs[id].Tags, nil
	case r.Subnets[id] != nil:
		return &r.Subnets[id].Tags, nil
	case r.SecurityGroups[id] != nil:
		return &r.SecurityGroups[id].Tags, nil
	case r.Instances[id] != nil:
		return &r.Instances[id].Tags, nil
	case r.Interfaces[id] != nil:
		return &r.Interfaces[id].Tags, nil
	}
	if strings.HasPrefix(id, "sg-") {
		return nil, wire.Errorf("InvalidGroup.NotFound", "The security group '%s' does not exist", id)
	}
	return nil, wire.Errorf("InvalidID", "The ID '%s' is not valid", id)
}

func createTags(r *Region, _ wire.Call, in *tagsInput) (any, error) {
	for _, id := range in.Resources {
		have, err := r.tagsOf(id)
		if err != nil {
			return nil, err
		}
		*have = merge(*have, in.Tags)
	}
	return nil, nil
}

func deleteTags(r *Region, _ wire.Call, in *tagsInput) (any, error) {
	for _, id := range in.Resources {
		have, err := r.tagsOf(id)
		if err != nil {
			return nil, err
		}
		*have = slices.DeleteFunc(*have, func(t Tag) bool {
			return slices.ContainsFunc(in.Tags, func(d Tag) bool { return d.Key == t.Key && (d.Value == "" || d.Value == t.Value) })
		})
	}
	return nil, nil
}

// merge adds tags, replacing the values of keys that are there.
func merge(have, add []Tag) []Tag {
	for _, t := range add {
		if i := slices.IndexFunc(have, func(h Tag) bool { return h.Key == t.Key }); i >= 0 {
			have[i].Value = t.Value
		} else {
			have = append(have, t)
		}
	}
	return have
}
