// SPDX-License-Identifier: Apache-2.0

package elb

import (
	"maps"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

// check tells whether a value is allowed; the string says what would be.
type check struct {
	ok   func(string) bool
	want string
}

func number(low, high int) check {
	return check{want: "a number from " + strconv.Itoa(low) + " to " + strconv.Itoa(high), ok: func(s string) bool {
		n, err := strconv.Atoi(s)
		return err == nil && n >= low && n <= high
	}}
}

func oneOf(words ...string) check {
	return check{want: "one of " + quoted(words), ok: func(s string) bool { return slices.Contains(words, s) }}
}

func either(a, b check) check {
	return check{want: a.want + " or " + b.want, ok: func(s string) bool { return a.ok(s) || b.ok(s) }}
}

func anyText() check { return check{ok: func(string) bool { return true }} }

func quoted(words []string) string {
	s := ""
	for i, w := range words {
		if i > 0 {
			s += ", "
		}
		s += "'" + w + "'"
	}
	return s
}

// targetGroupDefaults are the attributes of a new target group of type ip
// behind an application load balancer, with AWS's defaults.
func targetGroupDefaults() map[string]string {
	return map[string]string{
		"deregistration_delay.timeout_seconds":                                           "300",
		"slow_start.duration_seconds":                                                    "0",
		"load_balancing.algorithm.type":                                                  "round_robin",
		"load_balancing.algorithm.anomaly_mitigation":                                    "off",
		"load_balancing.cross_zone.enabled":                                              "use_load_balancer_configuration",
		"stickiness.enabled":                                                             "false",
		"stickiness.type":                                                                "lb_cookie",
		"stickiness.lb_cookie.duration_seconds":                                          "86400",
		"stickiness.app_cookie.cookie_name":                                              "",
		"stickiness.app_cookie.duration_seconds":                                         "86400",
		"target_group_health.dns_failover.minimum_healthy_targets.count":                 "1",
		"target_group_health.dns_failover.minimum_healthy_targets.percentage":            "off",
		"target_group_health.unhealthy_state_routing.minimum_healthy_targets.count":      "1",
		"target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": "off",
	}
}

func targetGroupChecks() map[string]check {
	truth := oneOf("true", "false")
	return map[string]check{
		"deregistration_delay.timeout_seconds":                                           number(0, 3600),
		"slow_start.duration_seconds":                                                    either(oneOf("0"), number(30, 900)),
		"load_balancing.algorithm.type":                                                  oneOf("round_robin", "least_outstanding_requests", "weighted_random"),
		"load_balancing.algorithm.anomaly_mitigation":                                    oneOf("on", "off"),
		"load_balancing.cross_zone.enabled":                                              oneOf("true", "false", "use_load_balancer_configuration"),
		"stickiness.enabled":                                                             truth,
		"stickiness.type":                                                                oneOf("lb_cookie", "app_cookie"),
		"stickiness.lb_cookie.duration_seconds":                                          number(1, 604800),
		"stickiness.app_cookie.cookie_name":                                              anyText(),
		"stickiness.app_cookie.duration_seconds":                                         number(1, 604800),
		"target_group_health.dns_failover.minimum_healthy_targets.count":                 either(oneOf("off"), number(1, 1000)),
		"target_group_health.dns_failover.minimum_healthy_targets.percentage":            either(oneOf("off"), number(1, 100)),
		"target_group_health.unhealthy_state_routing.minimum_healthy_targets.count":      number(1, 1000),
		"target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": either(oneOf("off"), number(1, 100)),
	}
}

// loadBalancerDefaults are the attributes of a new application load balancer.
func loadBalancerDefaults() map[string]string {
	return map[string]string{
		"idle_timeout.timeout_seconds":                             "60",
		"client_keep_alive.seconds":                                "3600",
		"deletion_protection.enabled":                              "false",
		"access_logs.s3.enabled":                                   "false",
		"access_logs.s3.bucket":                                    "",
		"access_logs.s3.prefix":                                    "",
		"connection_logs.s3.enabled":                               "false",
		"connection_logs.s3.bucket":                                "",
		"connection_logs.s3.prefix":                                "",
		"health_check_logs.s3.enabled":                             "false",
		"health_check_logs.s3.bucket":                              "",
		"health_check_logs.s3.prefix":                              "",
		"load_balancing.cross_zone.enabled":                        "true",
		"routing.http2.enabled":                                    "true",
		"routing.http.desync_mitigation_mode":                      "defensive",
		"routing.http.drop_invalid_header_fields.enabled":          "false",
		"routing.http.preserve_host_header.enabled":                "false",
		"routing.http.x_amzn_tls_version_and_cipher_suite.enabled": "false",
		"routing.http.xff_client_port.enabled":                     "false",
		"routing.http.xff_header_processing.mode":                  "append",
		"waf.fail_open.enabled":                                    "false",
		"zonal_shift.config.enabled":                               "false",
	}
}

func loadBalancerChecks() map[string]check {
	checks := map[string]check{}
	for key, value := range loadBalancerDefaults() {
		checks[key] = anyText()
		if value == "true" || value == "false" {
			checks[key] = oneOf("true", "false")
		}
	}
	checks["idle_timeout.timeout_seconds"] = number(1, 4000)
	checks["client_keep_alive.seconds"] = number(60, 604800)
	checks["load_balancing.cross_zone.enabled"] = oneOf("true") // always on for application load balancers
	checks["routing.http.desync_mitigation_mode"] = oneOf("monitor", "defensive", "strictest")
	checks["routing.http.xff_header_processing.mode"] = oneOf("append", "preserve", "remove")
	return checks
}

// listenerDefaults are the attributes of an HTTP listener.
func listenerDefaults() map[string]string {
	return map[string]string{
		"routing.http.response.server.enabled":                                "true",
		"routing.http.response.strict_transport_security.header_value":        "",
		"routing.http.response.access_control_allow_origin.header_value":      "",
		"routing.http.response.access_control_allow_methods.header_value":     "",
		"routing.http.response.access_control_allow_headers.header_value":     "",
		"routing.http.response.access_control_allow_credentials.header_value": "",
		"routing.http.response.access_control_expose_headers.header_value":    "",
		"routing.http.response.access_control_max_age.header_value":           "",
		"routing.http.response.content_security_policy.header_value":          "",
		"routing.http.response.x_content_type_options.header_value":           "",
		"routing.http.response.x_frame_options.header_value":                  "",
	}
}

type pair struct{ key, value string }

// change checks all pairs against the checks, then returns the attributes with them.
func change(noun string, have map[string]string, checks map[string]check, pairs []pair) (map[string]string, error) {
	if len(pairs) == 0 {
		return nil, invalid("At least one attribute must be specified")
	}
	if len(pairs) > maxAttributesChanged {
		return nil, invalid("1 validation error detected: Value at 'attributes' failed to satisfy constraint: Member must have length less than or equal to %d", maxAttributesChanged)
	}
	out := maps.Clone(have)
	seen := map[string]bool{}
	for _, p := range pairs {
		c, known := checks[p.key]
		switch {
		case !known:
			return nil, invalid("%s attribute key '%s' is not recognized", noun, p.key)
		case seen[p.key]:
			return nil, invalid("%s attribute key '%s' cannot be specified more than once", noun, p.key)
		case !c.ok(p.value):
			return nil, invalid("%s attribute '%s' must be %s, not '%s'", noun, p.key, c.want, p.value)
		}
		seen[p.key] = true
		out[p.key] = p.value
	}
	return out, nil
}

func (a API) modifyTargetGroupAttributes(r *Region, _ wire.Call, in *sdk.ModifyTargetGroupAttributesInput) (*sdk.ModifyTargetGroupAttributesOutput, error) {
	tg, err := r.targetGroup(in.TargetGroupArn)
	if err != nil {
		return nil, err
	}
	var pairs []pair
	for _, x := range in.Attributes {
		pairs = append(pairs, pair{aws.ToString(x.Key), aws.ToString(x.Value)})
	}
	next, err := change("Target group", tg.Attributes, targetGroupChecks(), pairs)
	if err != nil {
		return nil, err
	}
	if next["slow_start.duration_seconds"] != "0" && next["load_balancing.algorithm.type"] != "round_robin" {
		return nil, wire.Errorf("InvalidConfigurationRequest", "Slow start mode cannot be used with the load balancing algorithm '%s'", next["load_balancing.algorithm.type"])
	}
	tg.Attributes = next
	if err := a.pushTargetGroup(tg); err != nil {
		return nil, err
	}
	return &sdk.ModifyTargetGroupAttributesOutput{Attributes: groupAttributes(tg)}, nil
}

func groupAttributes(tg *TargetGroup) []types.TargetGroupAttribute {
	var out []types.TargetGroupAttribute
	for _, k := range slices.Sorted(maps.Keys(tg.Attributes)) {
		out = append(out, types.TargetGroupAttribute{Key: aws.String(k), Value: aws.String(tg.Attributes[k])})
	}
	return out
}

func (a API) describeTargetGroupAttributes(r *Region, _ wire.Call, in *sdk.DescribeTargetGroupAttributesInput) (*sdk.DescribeTargetGroupAttributesOutput, error) {
	tg, err := r.targetGroup(in.TargetGroupArn)
	if err != nil {
		return nil, err
	}
	return &sdk.DescribeTargetGroupAttributesOutput{Attributes: groupAttributes(tg)}, nil
}

func (a API) modifyLoadBalancerAttributes(r *Region, _ wire.Call, in *sdk.ModifyLoadBalancerAttributesInput) (*sdk.ModifyLoadBalancerAttributesOutput, error) {
	lb, err := r.loadBalancer(in.LoadBalancerArn)
	if err != nil {
		return nil, err
	}
	var pairs []pair
	for _, x := range in.Attributes {
		pairs = append(pairs, pair{aws.ToString(x.Key), aws.ToString(x.Value)})
	}
	next, err := change("Load balancer", lb.Attributes, loadBalancerChecks(), pairs)
	if err != nil {
		return nil, err
	}
	lb.Attributes = next
	if err := a.pushLoadBalancer(r, lb); err != nil {
		return nil, err
	}
	return &sdk.ModifyLoadBalancerAttributesOutput{Attributes: balancerAttributes(lb)}, nil
}

func balancerAttributes(lb *LoadBalancer) []types.LoadBalancerAttribute {
	var out []types.LoadBalancerAttribute
	for _, k := range slices.Sorted(maps.Keys(lb.Attributes)) {
		out = append(out, types.LoadBalancerAttribute{Key: aws.String(k), Value: aws.String(lb.Attributes[k])})
	}
	return out
}

func (a API) describeLoadBalancerAttributes(r *Region, _ wire.Call, in *sdk.DescribeLoadBalancerAttributesInput) (*sdk.DescribeLoadBalancerAttributesOutput, error) {
	lb, err := r.loadBalancer(in.LoadBalancerArn)
	if err != nil {
		return nil, err
	}
	return &sdk.DescribeLoadBalancerAttributesOutput{Attributes: balancerAttributes(lb)}, nil
}

func (a API) modifyListenerAttributes(r *Region, _ wire.Call, in *sdk.ModifyListenerAttributesInput) (*sdk.ModifyListenerAttributesOutput, error) {
	l, err := r.listener(in.ListenerArn)
	if err != nil {
		return nil, err
	}
	checks := map[string]check{}
	for key := range listenerDefaults() {
		checks[key] = anyText()
	}
	checks["routing.http.response.server.enabled"] = oneOf("true", "false")
	var pairs []pair
	for _, x := range in.Attributes {
		pairs = append(pairs, pair{aws.ToString(x.Key), aws.ToString(x.Value)})
	}
	next, err := change("Listener", l.Attributes, checks, pairs)
	if err != nil {
		return nil, err
	}
	l.Attributes = next
	return &sdk.ModifyListenerAttributesOutput{Attributes: listenerAttributes(l)}, nil
}

func listenerAttributes(l *Listener) []types.ListenerAttribute {
	var out []types.ListenerAttribute
	for _, k := range slices.Sorted(maps.Keys(l.Attributes)) {
		out = append(out, types.ListenerAttribute{Key: aws.String(k), Value: aws.String(l.Attributes[k])})
	}
	return out
}

func (a API) describeListenerAttributes(r *Region, _ wire.Call, in *sdk.DescribeListenerAttributesInput) (*sdk.DescribeListenerAttributesOutput, error) {
	l, err := r.listener(in.ListenerArn)
	if err != nil {
		return nil, err
	}
	return &sdk.DescribeListenerAttributesOutput{Attributes: listenerAttributes(l)}, nil
}
