// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTargetGroup: three calls tell what is known of a target group and its balancer; what
// one of them refuses does not hide what others gave.
func TestTargetGroup(t *testing.T) {
	answers := map[string]string{
		"DescribeTargetGroupAttributes": `<DescribeTargetGroupAttributesResponse><DescribeTargetGroupAttributesResult><Attributes>
<member><Key>deregistration_delay.timeout_seconds</Key><Value>65</Value></member></Attributes></DescribeTargetGroupAttributesResult></DescribeTargetGroupAttributesResponse>`,
		"DescribeTargetGroups": `<DescribeTargetGroupsResponse><DescribeTargetGroupsResult><TargetGroups>
<member><TargetType>ip</TargetType><Protocol>HTTP</Protocol><ProtocolVersion>GRPC</ProtocolVersion><Port>8080</Port>
<HealthCheckProtocol>HTTP</HealthCheckProtocol><HealthCheckIntervalSeconds>15</HealthCheckIntervalSeconds>
<LoadBalancerArns><member>lb</member></LoadBalancerArns></member></TargetGroups></DescribeTargetGroupsResult></DescribeTargetGroupsResponse>`,
		"DescribeLoadBalancerAttributes": `<DescribeLoadBalancerAttributesResponse><DescribeLoadBalancerAttributesResult><Attributes>
<member><Key>idle_timeout.timeout_seconds</Key><Value>60</Value></member></Attributes></DescribeLoadBalancerAttributesResult></DescribeLoadBalancerAttributesResponse>`,
	}
	properties := map[string]string{"TargetType": "ip", "Protocol": "HTTP", "ProtocolVersion": "GRPC", "Port": "8080", "HealthCheckProtocol": "HTTP", "HealthCheckIntervalSeconds": "15"}
	attributes, balancer := map[string]string{"deregistration_delay.timeout_seconds": "65"}, map[string]string{"idle_timeout.timeout_seconds": "60"}
	const unattached = "an unattached group"
	for refused, want := range map[string][3]map[string]string{
		"":                               {properties, attributes, balancer},
		"DescribeTargetGroupAttributes":  {},
		"DescribeTargetGroups":           {nil, attributes, nil},
		"DescribeLoadBalancerAttributes": {properties, attributes, nil},
		unattached:                       {properties, attributes, nil},
	} {
		t.Run(refused, func(t *testing.T) {
			elb := newService(t, func(_ int, form url.Values, _ string) (int, string) {
				action := form.Get("Action")
				switch {
				case action == refused:
					return http.StatusForbidden, "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"
				case refused == unattached:
					return http.StatusOK, strings.Replace(answers[action], "<member>lb</member>", "", 1)
				}
				return http.StatusOK, answers[action]
			})
			a, b, c, err := NewBalancer(login(elb)).TargetGroup(t.Context(), "arn")
			if wanted := refused != "" && refused != unattached; (err != nil) != wanted {
				t.Errorf("%v", err)
			}
			if diff := cmp.Diff(want, [3]map[string]string{a, b, c}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
