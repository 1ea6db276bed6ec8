// SPDX-License-Identifier: Apache-2.0

package elb

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

func (a API) createListener(r *Region, c wire.Call, in *sdk.CreateListenerInput) (*sdk.CreateListenerOutput, error) {
	lb, err := r.loadBalancer(in.LoadBalancerArn)
	if err != nil {
		return nil, err
	}
	secure, err := a.secure(c, types.Listener{Protocol: in.Protocol, Port: in.Port, SslPolicy: in.SslPolicy, MutualAuthentication: in.MutualAuthentication}, in.Certificates)
	if err != nil {
		return nil, err
	}
	actions, err := a.actions(r, *lb.LB.LoadBalancerArn, in.DefaultActions)
	if err != nil {
		return nil, err
	}
	for _, l := range r.Listeners {
		if *l.L.LoadBalancerArn != *lb.LB.LoadBalancerArn || *l.L.Port != *in.Port {
			continue
		}
		if l.L.Protocol == in.Protocol && sameActions(l.L.DefaultActions, actions) && sameSecurity(l.L, secure) {
			return &sdk.CreateListenerOutput{Listeners: []types.Listener{l.L}}, nil
		}
		return nil, wire.Errorf("DuplicateListener", "A listener already exists on this port for this load balancer '%s'", *lb.LB.LoadBalancerArn)
	}
	if r.listenersOf(*lb.LB.LoadBalancerArn) >= maxListeners {
		return nil, wire.Errorf("TooManyListeners", "The maximum number of listeners, %d, of load balancer '%s' has been reached", maxListeners, *lb.LB.LoadBalancerArn)
	}
	tags, err := newTags(in.Tags)
	if err != nil {
		return nil, err
	}
	path := tail(*lb.LB.LoadBalancerArn, "loadbalancer") + "/" + wire.Hex(16)
	l := &Listener{Attributes: listenerDefaults(), Tags: tags, L: types.Listener{
		ListenerArn: aws.String(arnOf(c, "listener/"+path)), LoadBalancerArn: lb.LB.LoadBalancerArn, Port: in.Port, Protocol: in.Protocol, DefaultActions: actions,
		SslPolicy: secure.SslPolicy, Certificates: secure.Certificates, MutualAuthentication: secure.MutualAuthentication,
	}}
	rule := &Rule{Listener: *l.L.ListenerArn, R: types.Rule{
		RuleArn: aws.String(arnOf(c, "listener-rule/"+path+"/"+wire.Hex(16))), Priority: aws.String("default"), IsDefault: aws.Bool(true),
		Actions: actions, Conditions: []types.RuleCondition{},
	}}
	r.Listeners[*l.L.ListenerArn], r.Rules[*rule.R.RuleArn] = l, rule
	if err := a.pushLoadBalancer(r, lb); err != nil {
		r.dropListener(*l.L.ListenerArn)
		return nil, err
	}
	return &sdk.CreateListenerOutput{Listeners: []types.Listener{l.L}}, nil
}

func (a API) describeListeners(r *Region, _ wire.Call, in *sdk.DescribeListenersInput) (*sdk.DescribeListenersOutput, error) {
	if (in.LoadBalancerArn == nil) == (len(in.ListenerArns) == 0) {
		return nil, invalid("You must specify either listener ARNs or a load balancer ARN")
	}
	if in.LoadBalancerArn != nil {
		if _, err := r.loadBalancer(in.LoadBalancerArn); err != nil {
			return nil, err
		}
	}
	for i := range in.ListenerArns {
		if _, err := r.listener(&in.ListenerArns[i]); err != nil {
			return nil, err
		}
	}
	found := []types.Listener{}
	for _, l := range sorted(r.Listeners) {
		if in.LoadBalancerArn != nil && *l.L.LoadBalancerArn != *in.LoadBalancerArn ||
			len(in.ListenerArns) > 0 && !slices.Contains(in.ListenerArns, *l.L.ListenerArn) {
			continue
		}
		found = append(found, l.L)
	}
	page, next, err := paginate(found, func(l types.Listener) string { return *l.ListenerArn }, in.Marker, in.PageSize)
	if err != nil {
		return nil, err
	}
	return &sdk.DescribeListenersOutput{Listeners: page, NextMarker: next}, nil
}

func (a API) modifyListener(r *Region, c wire.Call, in *sdk.ModifyListenerInput) (*sdk.ModifyListenerOutput, error) {
	l, err := r.listener(in.ListenerArn)
	if err != nil {
		return nil, err
	}
	before, next, list := l.L, l.L, l.Certificates
	replace(&next.Port, in.Port)
	replace(&next.SslPolicy, in.SslPolicy)
	replace(&next.MutualAuthentication, in.MutualAuthentication)
	if in.Protocol != "" {
		next.Protocol = in.Protocol
	}
	if before.Protocol == types.ProtocolEnumHttps && next.Protocol == types.ProtocolEnumHttp {
		next.SslPolicy, next.Certificates, list = in.SslPolicy, nil, nil
	}
	if next, err = a.secure(c, next, in.Certificates); err != nil {
		return nil, err
	}
	for _, other := range r.Listeners {
		if other != l && *other.L.LoadBalancerArn == *l.L.LoadBalancerArn && *other.L.Port == *next.Port {
			return nil, wire.Errorf("DuplicateListener", "A listener already exists on this port for this load balancer '%s'", *l.L.LoadBalancerArn)
		}
	}
	if len(in.DefaultActions) > 0 {
		if next.DefaultActions, err = a.actions(r, *l.L.LoadBalancerArn, in.DefaultActions); err != nil {
			return nil, err
		}
	}
	def := r.defaultRule(*l.L.ListenerArn)
	kept := l.Certificates
	l.L, l.Certificates, def.R.Actions = next, list, next.DefaultActions
	if err := a.pushLoadBalancer(r, r.LoadBalancers[*l.L.LoadBalancerArn]); err != nil {
		l.L, l.Certificates, def.R.Actions = before, kept, before.DefaultActions
		return nil, err
	}
	return &sdk.ModifyListenerOutput{Listeners: []types.Listener{l.L}}, nil
}

func (a API) deleteListener(r *Region, _ wire.Call, in *sdk.DeleteListenerInput) (*sdk.DeleteListenerOutput, error) {
	l, err := r.listener(in.ListenerArn)
	if err != nil {
		return nil, err
	}
	lb := r.LoadBalancers[*l.L.LoadBalancerArn]
	r.dropListener(*l.L.ListenerArn)
	if err := a.pushLoadBalancer(r, lb); err != nil {
		return nil, err
	}
	return &sdk.DeleteListenerOutput{}, nil
}

func (r *Region) listenersOf(lb string) int {
	n := 0
	for _, l := range r.Listeners {
		if *l.L.LoadBalancerArn == lb {
			n++
		}
	}
	return n
}

// dropListener forgets a listener and its rules.
func (r *Region) dropListener(arn string) {
	delete(r.Listeners, arn)
	for k, rule := range r.Rules {
		if rule.Listener == arn {
			delete(r.Rules, k)
		}
	}
}

// rulesOf are the listener's rules by priority, the default one last.
func (r *Region) rulesOf(listener string) []*Rule {
	var out []*Rule
	for _, rule := range sorted(r.Rules) {
		if rule.Listener == listener {
			out = append(out, rule)
		}
	}
	slices.SortStableFunc(out, func(x, y *Rule) int { return priority(x) - priority(y) })
	return out
}

func (r *Region) defaultRule(listener string) *Rule {
	rules := r.rulesOf(listener)
	return rules[len(rules)-1]
}
