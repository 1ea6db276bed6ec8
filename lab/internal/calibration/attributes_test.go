// SPDX-License-Identifier: Apache-2.0

package calibration

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
)

// attribute is a row of the guide's table of what the imitation accepts.
type attribute struct {
	of, key string // a target group's, a load balancer's or a listener's
	obeyed  bool
	note    string
}

const (
	ofGroup    = "target group"
	ofBalancer = "load balancer"
	ofListener = "listener"
)

// attributes are all that may be set. Those that are not obeyed change nothing.
func attributes() []attribute {
	all := []attribute{
		{ofGroup, "deregistration_delay.timeout_seconds", true, ""},
		{ofGroup, "load_balancing.algorithm.anomaly_mitigation", false, ""},
		{ofGroup, "load_balancing.algorithm.type", true, "`weighted_random` is served as `round_robin`"},
		{ofGroup, "load_balancing.cross_zone.enabled", true, ""},
		{ofGroup, "slow_start.duration_seconds", true, ""},
		{ofGroup, "stickiness.app_cookie.cookie_name", false, ""},
		{ofGroup, "stickiness.app_cookie.duration_seconds", false, ""},
		{ofGroup, "stickiness.enabled", true, ""},
		{ofGroup, "stickiness.lb_cookie.duration_seconds", true, ""},
		{ofGroup, "stickiness.type", true, "with `app_cookie` there is no stickiness"},
		{ofGroup, "target_group_health.dns_failover.minimum_healthy_targets.count", false, "there is no DNS"},
		{ofGroup, "target_group_health.dns_failover.minimum_healthy_targets.percentage", false, "there is no DNS"},
		{ofGroup, "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count", true, ""},
		{ofGroup, "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage", true, ""},

		{ofBalancer, "access_logs.s3.bucket", true, ""},
		{ofBalancer, "access_logs.s3.enabled", true, ""},
		{ofBalancer, "access_logs.s3.prefix", true, ""},
		{ofBalancer, "client_keep_alive.seconds", true, ""},
		{ofBalancer, "connection_logs.s3.bucket", false, ""},
		{ofBalancer, "connection_logs.s3.enabled", false, "no such log is written"},
		{ofBalancer, "connection_logs.s3.prefix", false, ""},
		{ofBalancer, "deletion_protection.enabled", true, ""},
		{ofBalancer, "health_check_logs.s3.bucket", false, ""},
		{ofBalancer, "health_check_logs.s3.enabled", false, "no such log is written"},
		{ofBalancer, "health_check_logs.s3.prefix", false, ""},
		{ofBalancer, "idle_timeout.timeout_seconds", true, ""},
		{ofBalancer, "load_balancing.cross_zone.enabled", true, "`true` is all that is accepted, as by the service"},
		{ofBalancer, "routing.http.desync_mitigation_mode", false, "what Go's HTTP server does not take is refused with a 400"},
		{ofBalancer, "routing.http.drop_invalid_header_fields.enabled", true, ""},
		{ofBalancer, "routing.http.preserve_host_header.enabled", true, "without it the listener's port is added, unless it is the protocol's"},
		{ofBalancer, "routing.http.x_amzn_tls_version_and_cipher_suite.enabled", true, ""},
		{ofBalancer, "routing.http.xff_client_port.enabled", true, ""},
		{ofBalancer, "routing.http.xff_header_processing.mode", true, ""},
		{ofBalancer, "routing.http2.enabled", true, ""},
		{ofBalancer, "waf.fail_open.enabled", false, "there is no WAF"},
		{ofBalancer, "zonal_shift.config.enabled", false, ""},

		{ofListener, "routing.http.response.server.enabled", false, "the balancer's own answers always say `awselb/2.0`"},
	}
	for _, header := range []string{"access_control_allow_credentials", "access_control_allow_headers", "access_control_allow_methods", "access_control_allow_origin", "access_control_expose_headers",
		"access_control_max_age", "content_security_policy", "strict_transport_security", "x_content_type_options", "x_frame_options"} {
		all = append(all, attribute{ofListener, "routing.http.response." + header + ".header_value", false, ""})
	}
	return all
}

// accepted are the attributes that the API describes, which are those that it lets
// a caller change.
func (c controlPlane) accepted() map[string]bool {
	c.Helper()
	all := map[string]bool{}
	group := c.group().TargetGroups[0].TargetGroupArn
	for _, a := range c.do("DescribeTargetGroupAttributes", url.Values{"TargetGroupArn": {*group}}).(*elbv2.DescribeTargetGroupAttributesOutput).Attributes {
		all[ofGroup+" "+aws.ToString(a.Key)] = true
	}
	lb := c.do("CreateLoadBalancer", url.Values{"Name": {"web"}, "Subnets.member.1": {"a"}, "Subnets.member.2": {"b"}}).(*elbv2.CreateLoadBalancerOutput).LoadBalancers[0].LoadBalancerArn
	for _, a := range c.do("DescribeLoadBalancerAttributes", url.Values{"LoadBalancerArn": {*lb}}).(*elbv2.DescribeLoadBalancerAttributesOutput).Attributes {
		all[ofBalancer+" "+aws.ToString(a.Key)] = true
	}
	listener := c.do("CreateListener", url.Values{"LoadBalancerArn": {*lb}, "Protocol": {"HTTP"}, "Port": {"18097"}, "DefaultActions.member.1.Type": {"forward"},
		"DefaultActions.member.1.TargetGroupArn": {*group}}).(*elbv2.CreateListenerOutput).Listeners[0].ListenerArn
	for _, a := range c.do("DescribeListenerAttributes", url.Values{"ListenerArn": {*listener}}).(*elbv2.DescribeListenerAttributesOutput).Attributes {
		all[ofListener+" "+aws.ToString(a.Key)] = true
	}
	return all
}

// read says whether the imitation's code, besides the list of what is accepted,
// has anything of an attribute: its whole name, or all but the last part of it
// where the last part is added.
func read(t *testing.T, key string) bool {
	t.Helper()
	files, err := filepath.Glob("../alb/*.go")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	more, err := filepath.Glob("../cloud/elb/*.go")
	if err != nil || len(more) < 10 {
		t.Fatalf("%d files: %v", len(more), err)
	}
	stem := key[:strings.LastIndex(key, ".")+1]
	for _, file := range append(files, more...) {
		if strings.HasSuffix(file, "_test.go") || filepath.Base(file) == "attributes.go" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), `"`+key+`"`) || strings.Contains(string(text), `"`+stem+`"+`) {
			return true
		}
	}
	return false
}

// Nobody must believe that an attribute does something here which does nothing.
func TestEachAttributeThatIsAcceptedIsObeyedOrListed(t *testing.T) {
	accepted := newControlPlane(t).accepted()
	for _, a := range attributes() {
		if !accepted[a.of+" "+a.key] {
			t.Errorf("%s of a %s is listed, and not accepted (any more, or it is listed twice)", a.key, a.of)
		}
		delete(accepted, a.of+" "+a.key)
		if is := read(t, a.key); is != a.obeyed {
			t.Errorf("%s of a %s is listed with obeyed=%v, and whether the code reads it is %v", a.key, a.of, a.obeyed, is)
		}
	}
	for key := range accepted {
		t.Errorf("%s is accepted, and not listed: does anything obey it?", key)
	}
}

// The table is written by: go test ./internal/calibration -run TestGuide -update.
func TestGuideShowsTheAttributes(t *testing.T) {
	var table strings.Builder
	table.WriteString("| of | attribute | obeyed | |\n|---|---|---|---|\n")
	for _, a := range attributes() {
		fmt.Fprintf(&table, "| %s | `%s` | %s | %s |\n", a.of, a.key, map[bool]string{true: "yes", false: "no"}[a.obeyed], a.note)
	}
	guideShows(t, "attributes", table.String())
}
