// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/gate"
)

// account is an ELBv2 with 700 load balancers, of which number 650 has 45 target groups.
type account struct {
	calls     map[string]int // different ones
	seen      map[string]bool
	throttled string // action that is refused
	denied    string
}

func (a *account) answer(_ int, form url.Values, _ string) (int, string) {
	action := form.Get("Action")
	if q := form.Encode(); !a.seen[q] { // the SDK may have to ask again: see retryConnections
		a.seen[q] = true
		a.calls[action]++
	}
	switch action {
	case a.throttled:
		return http.StatusBadRequest, queryError("Throttling", "Rate exceeded")
	case a.denied:
		return http.StatusForbidden, queryError("AccessDenied", "no")
	case "DescribeLoadBalancers":
		return http.StatusOK, page(action, "LoadBalancers", form, 700, 300, func(i int) string {
			return fmt.Sprintf("<LoadBalancerArn>lb-%d</LoadBalancerArn><DNSName>Front-%d.Example</DNSName>", i, i)
		})
	case "DescribeTargetGroups":
		return a.groups(form)
	case "DescribeTags":
		arns := members(form, "ResourceArns")
		if len(arns) > 20 {
			return http.StatusBadRequest, queryError("ValidationError", "at most 20")
		}
		body := ""
		for _, arn := range arns {
			body += "<member><ResourceArn>" + arn + "</ResourceArn><Tags><member><Key>other</Key><Value>dev/front-web:80</Value></member><member><Key>ingress.k8s.aws/resource</Key><Value>dev/front-" + strings.Replace(arn, "tg-44", "web", 1) + ":80</Value></member></Tags></member>"
		}
		return http.StatusOK, "<DescribeTagsResponse><DescribeTagsResult><TagDescriptions>" + body + "</TagDescriptions></DescribeTagsResult></DescribeTagsResponse>"
	case "DescribeTargetGroupAttributes":
		return http.StatusOK, "<DescribeTargetGroupAttributesResponse><DescribeTargetGroupAttributesResult><Attributes><member><Key>deregistration_delay.timeout_seconds</Key><Value>65</Value></member></Attributes></DescribeTargetGroupAttributesResult></DescribeTargetGroupAttributesResponse>"
	}
	return http.StatusBadRequest, queryError("InvalidAction", action)
}

// groups answers for a load balancer, page by page, and for ARNs or names, of which all have to be there.
func (a *account) groups(form url.Values) (int, string) {
	wanted := append(members(form, "TargetGroupArns"), members(form, "Names")...)
	if len(wanted) > 20 {
		return http.StatusBadRequest, queryError("ValidationError", "at most 20")
	}
	if slices.ContainsFunc(wanted, func(arn string) bool { return strings.HasPrefix(arn, "gone") }) {
		return http.StatusBadRequest, queryError("TargetGroupNotFound", "One or more target groups not found")
	}
	describe := func(arn string) string {
		return "<TargetGroupArn>" + arn + "</TargetGroupArn><TargetGroupName>name-" + arn + "</TargetGroupName><TargetType>ip</TargetType><Protocol>HTTP</Protocol><HealthCheckIntervalSeconds>15</HealthCheckIntervalSeconds>" +
			"<HealthCheckTimeoutSeconds>5</HealthCheckTimeoutSeconds><HealthyThresholdCount>2</HealthyThresholdCount><UnhealthyThresholdCount>3</UnhealthyThresholdCount><Matcher><HttpCode>200-299</HttpCode></Matcher><LoadBalancerArns><member>lb-650</member></LoadBalancerArns>"
	}
	if lb := form.Get("LoadBalancerArn"); lb != "" {
		n := 0
		if lb == "lb-650" {
			n = 45
		}
		return http.StatusOK, page("DescribeTargetGroups", "TargetGroups", form, n, 20, func(i int) string { return describe(fmt.Sprint("tg-", i)) })
	}
	return http.StatusOK, page("DescribeTargetGroups", "TargetGroups", form, len(wanted), 20, func(i int) string { return describe(wanted[i]) })
}

// page is one page of an answer, with a marker when there are more.
func page(action, list string, form url.Values, n, size int, item func(int) string) string {
	from, _ := strconv.Atoi(form.Get("Marker")) // none is the beginning
	body := ""
	for i := from; i < min(n, from+size); i++ {
		body += "<member>" + item(i) + "</member>"
	}
	body = "<" + list + ">" + body + "</" + list + ">"
	if from+size < n {
		body += fmt.Sprintf("<NextMarker>%d</NextMarker>", from+size)
	}
	return "<" + action + "Response><" + action + "Result>" + body + "</" + action + "Result></" + action + "Response>"
}

// members reads a list of the query protocol.
func members(form url.Values, name string) (out []string) {
	for i := 1; form.Has(fmt.Sprintf("%s.member.%d", name, i)); i++ {
		out = append(out, form.Get(fmt.Sprintf("%s.member.%d", name, i)))
	}
	return out
}

// unlimited is a Balancer of an account that makes calls at once.
func unlimited(t *testing.T, a *account) *Balancer {
	t.Helper()
	a.calls, a.seen = map[string]int{}, map[string]bool{}
	b := NewBalancer(login(newService(t, a.answer)))
	b.budget = rate.NewLimiter(rate.Inf, 1)
	return b
}

func group(arn, resource string, delay *drain.Seconds) gate.TargetGroup {
	return gate.TargetGroup{ARN: arn, Name: "name-" + arn, TargetType: "ip", Protocol: "HTTP", LoadBalancers: []string{"lb-650"}, Resource: resource, Interval: 15 * time.Second, Timeout: 5 * time.Second, Healthy: 2, Unhealthy: 3, Matcher: "200-299", Delay: delay}
}

// The load balancer is on the third page, its group on the group's third, and its tags in the third question.
func TestAGroupIsFoundByHostNameAndTag(t *testing.T) {
	a := &account{}
	got, err := unlimited(t, a).TargetGroups(t.Context(), gate.GroupQuery{Hostnames: []string{"dualstack.front-650.EXAMPLE"}, Resources: []string{"dev/front-web:"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]gate.TargetGroup{group("tg-44", "dev/front-web:80", nil)}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int{"DescribeLoadBalancers": 3, "DescribeTargetGroups": 3, "DescribeTags": 3}, a.calls); diff != "" {
		t.Error(diff)
	}
}

func TestAHostNameThatNobodyHas(t *testing.T) {
	cases := map[string]struct {
		q     gate.GroupQuery
		calls map[string]int
	}{
		"no load balancer's":              {gate.GroupQuery{Hostnames: []string{"absent.example"}, Resources: []string{"dev/front-web:"}}, map[string]int{"DescribeLoadBalancers": 3}},
		"one without groups":              {gate.GroupQuery{Hostnames: []string{"front-1.example"}, Resources: []string{"dev/front-web:"}}, map[string]int{"DescribeLoadBalancers": 1, "DescribeTargetGroups": 1}},
		"one whose tags name another":     {gate.GroupQuery{Hostnames: []string{"front-650.example"}, Resources: []string{"prod/front-web:"}}, map[string]int{"DescribeLoadBalancers": 3, "DescribeTargetGroups": 3, "DescribeTags": 3}},
		"nor is a resource found by half": {gate.GroupQuery{Hostnames: []string{"front-650.example"}, Resources: []string{"dev/front-we:"}}, map[string]int{"DescribeLoadBalancers": 3, "DescribeTargetGroups": 3, "DescribeTags": 3}},
		"nothing":                         {gate.GroupQuery{}, map[string]int{}},
	}
	for name, c := range cases {
		a := &account{}
		got, err := unlimited(t, a).TargetGroups(t.Context(), c.q)
		if diff := cmp.Diff(c.calls, a.calls); err != nil || len(got) > 0 || diff != "" {
			t.Errorf("%s: %v, %v\n%s", name, got, err, diff)
		}
	}
}

// More groups than fit a call, and one that is gone, which ELBv2 answers by naming none.
func TestGroupsAreDescribed(t *testing.T) {
	var arns []string
	for i := range 45 {
		arns = append(arns, fmt.Sprint("arn-", i))
	}
	a := &account{}
	got, err := unlimited(t, a).TargetGroups(t.Context(), gate.GroupQuery{ARNs: arns})
	if err != nil || len(got) != 45 || a.calls["DescribeTargetGroups"] != 3 || a.calls["DescribeTargetGroupAttributes"] != 45 {
		t.Fatalf("%d groups, %v, %v", len(got), err, a.calls)
	}
	if diff := cmp.Diff(group("arn-44", "", new(drain.Seconds(65))), got[44]); diff != "" {
		t.Error(diff)
	}
	got, err = unlimited(t, a).TargetGroups(t.Context(), gate.GroupQuery{ARNs: []string{"arn-1", "gone-1"}, Names: []string{"gone-2", "name-3"}})
	if err != nil || len(got) != 2 || got[0].ARN != "arn-1" || got[1].ARN != "name-3" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestWhatMayNotBeRead(t *testing.T) {
	named, behind := gate.GroupQuery{ARNs: []string{"arn"}}, gate.GroupQuery{Hostnames: []string{"front-650.example"}, Resources: []string{"dev/front-web:"}}
	cases := map[string]struct {
		account account
		q       gate.GroupQuery
		said    string // empty: no error
	}{
		"attributes: the delay is unknown": {account{denied: "DescribeTargetGroupAttributes"}, named, ""},
		"attributes, throttled: all of it": {account{throttled: "DescribeTargetGroupAttributes"}, named, "the ELB API is throttled"},
		"groups":                           {account{denied: "DescribeTargetGroups"}, named, "describing target groups arn: not allowed; add the action to the role's policy"},
		"groups, throttled":                {account{throttled: "DescribeTargetGroups"}, named, "the ELB API is throttled"},
		"load balancers":                   {account{denied: "DescribeLoadBalancers"}, behind, "listing the load balancers of cn-northwest-1: not allowed"},
		"the groups of one":                {account{denied: "DescribeTargetGroups"}, behind, "not allowed"},
		"tags":                             {account{denied: "DescribeTags"}, behind, "describing the tags of tg-0, "},
		"tags, throttled":                  {account{throttled: "DescribeTags"}, behind, "the ELB API is throttled"},
	}
	for name, c := range cases {
		got, err := unlimited(t, &c.account).TargetGroups(t.Context(), c.q)
		switch {
		case c.said == "" && (err != nil || len(got) != 1 || got[0].Delay != nil):
			t.Errorf("%s: %+v, %v", name, got, err)
		case c.said != "" && (err == nil || !strings.Contains(err.Error(), c.said) || errors.Is(err, gate.ErrThrottled) != (c.account.throttled != "")):
			t.Errorf("%s: %v", name, err)
		}
		for action, n := range c.account.calls {
			if n > 3 {
				t.Errorf("%s: %s was called %d times", name, action, n)
			}
		}
	}
}

// Another account's groups are asked for as the role that its binding names; the budget stays one.
func TestAnotherAccountIsAskedAsItsRole(t *testing.T) {
	var signed []string
	var s *service
	s = newService(t, func(n int, form url.Values, _ string) (int, string) {
		signed = append(signed, form.Get("Action")+" "+s.headers[n-1].Get("Authorization"))
		if form.Get("Action") == "AssumeRole" {
			if form.Get("RoleArn") != "arn:aws-cn:iam::444455556666:role/far" || form.Get("ExternalId") != "shared" {
				t.Errorf("asked: %v", form)
			}
			return http.StatusOK, assumed("ASIAFAR")
		}
		return http.StatusOK, health
	})
	near := NewBalancer(login(s))
	far, err := near.As(t.Context(), "arn:aws-cn:iam::444455556666:role/far", "shared")
	if err != nil {
		t.Fatal(err)
	}
	if targets, err := far.TargetHealth(t.Context(), "arn"); err != nil || len(targets) != 3 {
		t.Fatalf("%v, %v", targets, err)
	}
	if len(signed) != 2 || !strings.Contains(signed[0], "AssumeRole") || !strings.Contains(signed[0], "Credential=AKIA/") || !strings.Contains(signed[1], "Credential=ASIAFAR/") {
		t.Errorf("%q", signed)
	}
	if far.(*Balancer).budget != near.budget {
		t.Error("the other account has a budget of its own")
	}
	if _, err := near.As(t.Context(), "far", ""); err == nil || !strings.Contains(err.Error(), `"far" is no ARN of an IAM role`) {
		t.Errorf("%v", err)
	}
}
