// SPDX-License-Identifier: Apache-2.0

package elb

import (
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

// newTags checks the tags of a request.
func newTags(in []types.Tag) (map[string]string, error) {
	tags := map[string]string{}
	for _, t := range in {
		key := aws.ToString(t.Key)
		if key == "" || strings.HasPrefix(key, "aws:") {
			return nil, invalid("The tag key '%s' is not valid", key)
		}
		if _, ok := tags[key]; ok {
			return nil, wire.Errorf("DuplicateTagKeys", "Tag key '%s' was specified more than once", key)
		}
		tags[key] = aws.ToString(t.Value)
	}
	if len(tags) > maxTags {
		return nil, wire.Errorf("TooManyTags", "The maximum number of tags on a resource is %d", maxTags)
	}
	return tags, nil
}

// tagsOf returns where the tags of a resource are.
func (r *Region) tagsOf(arn string) (*map[string]string, error) {
	switch {
	case strings.Contains(arn, ":loadbalancer/"):
		x, err := r.loadBalancer(&arn)
		if err != nil {
			return nil, err
		}
		return &x.Tags, nil
	case strings.Contains(arn, ":targetgroup/"):
		x, err := r.targetGroup(&arn)
		if err != nil {
			return nil, err
		}
		return &x.Tags, nil
	case strings.Contains(arn, ":listener/"):
		x, err := r.listener(&arn)
		if err != nil {
			return nil, err
		}
		return &x.Tags, nil
	case strings.Contains(arn, ":listener-rule/"):
		x, err := r.rule(&arn)
		if err != nil {
			return nil, err
		}
		return &x.Tags, nil
	}
	return nil, invalid("'%s' is not a valid ARN of a taggable resource", arn)
}

func (a API) addTags(r *Region, _ wire.Call, in *sdk.AddTagsInput) (*sdk.AddTagsOutput, error) {
	add, err := newTags(in.Tags)
	if err != nil {
		return nil, err
	}
	for _, arn := range in.ResourceArns {
		tags, err := r.tagsOf(arn)
		if err != nil {
			return nil, err
		}
		next := map[string]string{}
		maps.Copy(next, *tags)
		maps.Copy(next, add)
		if len(next) > maxTags {
			return nil, wire.Errorf("TooManyTags", "The maximum number of tags on a resource is %d", maxTags)
		}
		*tags = next
	}
	return &sdk.AddTagsOutput{}, nil
}

func (a API) removeTags(r *Region, _ wire.Call, in *sdk.RemoveTagsInput) (*sdk.RemoveTagsOutput, error) {
	for _, arn := range in.ResourceArns {
		tags, err := r.tagsOf(arn)
		if err != nil {
			return nil, err
		}
		for _, k := range in.TagKeys {
			delete(*tags, k)
		}
	}
	return &sdk.RemoveTagsOutput{}, nil
}

func (a API) describeTags(r *Region, _ wire.Call, in *sdk.DescribeTagsInput) (*sdk.DescribeTagsOutput, error) {
	if n := len(in.ResourceArns); n < 1 || n > maxTagsDescribed {
		return nil, invalid("1 to %d resource ARNs must be specified, not %d", maxTagsDescribed, n)
	}
	out := []types.TagDescription{}
	for _, arn := range in.ResourceArns {
		tags, err := r.tagsOf(arn)
		if err != nil {
			return nil, err
		}
		d := types.TagDescription{ResourceArn: aws.String(arn), Tags: []types.Tag{}}
		for _, k := range slices.Sorted(maps.Keys(*tags)) {
			d.Tags = append(d.Tags, types.Tag{Key: aws.String(k), Value: aws.String((*tags)[k])})
		}
		out = append(out, d)
	}
	return &sdk.DescribeTagsOutput{TagDescriptions: out}, nil
}
