// SPDX-License-Identifier: Apache-2.0

package calibration

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

	"github.com/outlast-ci/outlast/lab/internal/alb"
	"github.com/outlast-ci/outlast/lab/internal/alb/accesslog"
	"github.com/outlast-ci/outlast/lab/internal/alb/handshake"
	"github.com/outlast-ci/outlast/lab/internal/cloud/ecr"
	"github.com/outlast-ci/outlast/lab/internal/cloud/elb"
	"github.com/outlast-ci/outlast/lab/internal/cloud/trouble"
	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
	"github.com/outlast-ci/outlast/lab/internal/labstate"
)

var update = flag.Bool("update", false, "write the tables of constants and attributes into docs/lab.md")

const repository = "../../../" // from here

// constant is a row of the guide's table. Its value comes from the code.
type constant struct {
	what, value  string
	file, symbol string // where it is written, from lab/internal on
	source       string
}

const (
	issues    = "measured: the controller's issues 2366, 905 and 1719"
	assumed   = "assumed; nobody documents it"
	inTrouble = "user guide, troubleshooting"
	quotas    = "user guide, quotas"
	ours      = "ours"
)

// constants are all that the model's behaviour follows from.
func constants(t *testing.T) []constant {
	d, limits := alb.Defaults(), trouble.AWSLimits()
	c := newControlPlane(t)
	rate := func(b trouble.Bucket) string { return fmt.Sprintf("%g at once, %g a second", b.Size, b.Refill) }
	all := []constant{
		{"deregistration accepted until a node sends nothing more (P), drawn for each node", span(d.Deregister), "alb/alb.go", "o.Deregister.or(", issues},
		{"the same, in a lab for which none was asked", strings.Replace(labstate.Propagation, "-", " to ", 1), "labstate/labstate.go", "	Propagation =", "the slow end of the measured range"},
		{"registration accepted until a node knows the target (in T_reg), drawn for each node", span(d.Registration), "alb/alb.go", "o.Registration.or(", assumed + "; the seed's gate took 17 s in all"},
		{"the same, in a lab for which none was asked", strings.Replace(labstate.Registration, "-", " to ", 1), "labstate/labstate.go", "	Registration =", "likewise"},
		{"the delay's end until the target is unused (J)", span(d.Jitter), "alb/alb.go", "o.Jitter.or(", assumed + ": all that Outlast plans for; 11 s may be read from issue 2366"},
		{"the same, in a lab for which none was asked", strings.Replace(labstate.Jitter, "-", " to ", 1), "labstate/labstate.go", "	Jitter =", "short, since each rollout waits for it; the experiment's balancers have all of J"},
		{"seed of all three, in a lab for which none was asked", fmt.Sprint(labstate.Seed), "labstate/labstate.go", "	Seed uint64", ours + ": any would do, if it stays"},
		{"connect to a target", short(alb.ConnectTimeout), "alb/constants.go", "ConnectTimeout ", inTrouble + ", 504"},
		{"TLS handshake with a target", short(alb.HandshakeTimeout), "alb/constants.go", "HandshakeTimeout ", inTrouble + ", 502"},
		{"idle timeout, of clients' and targets' connections", short(alb.DefaultIdleTimeout), "alb/constants.go", "DefaultIdleTimeout ", "user guide, load balancer attributes"},
		{"client keep-alive", short(alb.DefaultClientKeepAlive), "alb/constants.go", "DefaultClientKeepAlive ", "user guide, load balancer attributes"},
		{"deregistration delay", short(alb.DefaultDeregistrationDelay), "alb/constants.go", "DefaultDeregistrationDelay ", "user guide, target group attributes"},
		{"stickiness", short(alb.DefaultStickiness), "alb/constants.go", "DefaultStickiness ", "user guide, target group attributes"},
		{"request head", kib(alb.MaxRequestHead), "alb/constants.go", "MaxRequestHead ", quotas},
		{"answer's head; a longer one is a 502", kib(alb.MaxResponseHead), "alb/constants.go", "MaxResponseHead ", inTrouble + ", 502"},
		{"wait for a request's head", short(alb.HeadTimeout), "alb/constants.go", "HeadTimeout ", ours},
		{"requests at once on one HTTP/2 connection", fmt.Sprint(alb.MaxStreams), "alb/constants.go", "MaxStreams ", "user guide, listeners"},
		{"security policy of an HTTPS listener without one", handshake.DefaultPolicy, "alb/handshake/policy.go", "DefaultPolicy ", "API reference, CreateListener; moto"},
		{"health check of a target group: interval, timeout, healthy, unhealthy", c.health(), "cloud/elb/targetgroup.go", "orDefault(&tg.HealthCheckIntervalSeconds", "API reference, CreateTargetGroup; the controller asks for 15 s, 5 s, 2, 2"},
		{"one access log object covers", short(accesslog.Interval), "alb/accesslog/collector.go", "const Interval", "user guide, access log files"},
		{"fields of an access log line", fmt.Sprint(len(strings.Fields(string(accesslog.Entry{}.AppendLine(nil))))), "alb/accesslog/entry.go", "func (e Entry) AppendLine", "user guide, access log entries"},
		{"user agent in a line", kib(alb.MaxUserAgent), "alb/constants.go", "MaxUserAgent ", "user guide, access log entries"},
		{"throttle of `Describe*`", rate(limits.Read), "cloud/trouble/throttle.go", "func AWSLimits", "API reference, request throttling"},
		{"throttle of `RegisterTargets` and `DeregisterTargets`", rate(limits.Register), "cloud/trouble/throttle.go", "func AWSLimits", "the controller's issue 2809; the service's is not documented"},
		{"throttle of other calls of ELBv2", rate(limits.Write), "cloud/trouble/throttle.go", "func AWSLimits", "likewise"},
	}
	all = append(all, c.limits()...)
	for _, x := range []struct{ what, name, file, source string }{
		{"tags of a resource", "maxTags", "cloud/elb/quota.go", quotas},
		{"items on a page of ELBv2's answers", "pageMost", "cloud/elb/page.go", "API reference, PageSize"},
		{"ARNs in one `DescribeLoadBalancers`", "maxBalancersDescribed", "cloud/elb/quota.go", "API reference"},
		{"ARNs in one `DescribeTags`", "maxTagsDescribed", "cloud/elb/quota.go", "API reference"},
		{"attributes changed at once", "maxAttributesChanged", "cloud/elb/quota.go", "terraform-provider-aws's pull request 46496"},
		{"certificates of a region in ACM", "maxCertificates", "cloud/acm/model.go", "ACM user guide, quotas"},
		{"names of a requested certificate", "maxNames", "cloud/acm/model.go", "ACM user guide, quotas"},
		{"tags of a certificate", "maxTags", "cloud/acm/model.go", "API reference"},
		{"items on a page of `ListCertificates`", "maxPage", "cloud/acm/model.go", "API reference, MaxItems"},
		{"bytes of a private key", "maxKey", "cloud/acm/model.go", "API reference, ImportCertificate"},
	} {
		all = append(all, constant{x.what, written(t, x.file, x.name), x.file, x.name, x.source})
	}
	return append(all,
		constant{"life of a registry token", short(ecr.TokenLife), "cloud/ecr/model.go", "const TokenLife", "API reference, GetAuthorizationToken"},
		constant{"planning values in the lab's environment", strings.Join(labstate.State{Propagation: labstate.Propagation, Jitter: labstate.Jitter}.Planning(), ", "), "labstate/labstate.go", "func (s State) Planning", "what is above, rounded up; Outlast's own are for real load balancers"},
	)
}

func span(d alb.Delay) string { return short(d.Min) + " to " + short(d.Max) }

// short is a duration without the zeros: 5m, not 5m0s.
func short(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if rest, ok := strings.CutSuffix(s, zero); ok {
			s = rest + zero[:1]
		}
	}
	return s
}

func kib(bytes int) string { return fmt.Sprintf("%d KiB", bytes>>10) }

// written is the value of a constant that its package keeps to itself.
func written(t *testing.T, file, name string) string {
	t.Helper()
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, filepath.Join("..", file), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	value := ""
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if ok && spec.Names[0].Name == name && len(spec.Values) == 1 {
			v, err := types.Eval(set, nil, token.NoPos, types.ExprString(spec.Values[0]))
			if err != nil {
				t.Fatalf("%s in %s: %v", name, file, err)
			}
			value = v.Value.String()
		}
		return true
	})
	if value == "" {
		t.Fatalf("%s has no constant %s", file, name)
	}
	return value
}

// controlPlane is ELBv2's, without HTTP.
type controlPlane struct {
	*testing.T
	engine *alb.Engine
	ops    map[string]elb.Operation
	region *elb.Region
}

// aNetwork has every VPC and subnet that is asked for.
type aNetwork struct{}

func (aNetwork) Subnet(_, id string) (elb.Subnet, bool) {
	return elb.Subnet{VPC: "vpc-1", Zone: id, Public: true}, true
}
func (aNetwork) SecurityGroupVPC(string, string) (string, bool) { return "", false }
func (aNetwork) VPC(string, string) (elb.VPC, bool)             { return elb.VPC{}, true }

func newControlPlane(t *testing.T) controlPlane {
	t.Helper()
	engine := alb.New(alb.Options{})
	t.Cleanup(func() { _ = engine.Close() })
	return controlPlane{t, engine, elb.API{Engine: engine, Network: aNetwork{}}.Operations(), elb.NewRegion()}
}

func (c controlPlane) do(operation string, form url.Values) any {
	c.Helper()
	out, err := c.ops[operation](c.region, wire.Call{Region: "us-east-1", Account: "123456789012"}, form)
	if err != nil {
		c.Fatal(err)
	}
	return out
}

func (c controlPlane) group() *elbv2.CreateTargetGroupOutput {
	return c.do("CreateTargetGroup", url.Values{"Name": {"web"}, "Protocol": {"HTTP"}, "Port": {"80"}, "VpcId": {"vpc-1"}, "TargetType": {"ip"}}).(*elbv2.CreateTargetGroupOutput)
}

func (c controlPlane) health() string {
	g := c.group().TargetGroups[0]
	return fmt.Sprintf("%d s, %d s, %d, %d", *g.HealthCheckIntervalSeconds, *g.HealthCheckTimeoutSeconds, *g.HealthyThresholdCount, *g.UnhealthyThresholdCount)
}

// limits are the quotas as DescribeAccountLimits tells them.
func (c controlPlane) limits() (all []constant) {
	for _, l := range c.do("DescribeAccountLimits", nil).(*elbv2.DescribeAccountLimitsOutput).Limits {
		all = append(all, constant{"quota: `" + aws.ToString(l.Name) + "`", aws.ToString(l.Max), "cloud/elb/quota.go", "describeAccountLimits(", quotas})
	}
	return all
}

// A load balancer without an attribute must behave as the API says that it does.
func TestDataPlaneAndAPIHaveTheSameDefaults(t *testing.T) {
	c := newControlPlane(t)
	got := map[string]string{}
	group := c.group().TargetGroups[0].TargetGroupArn
	for _, a := range c.do("DescribeTargetGroupAttributes", url.Values{"TargetGroupArn": {*group}}).(*elbv2.DescribeTargetGroupAttributesOutput).Attributes {
		got[*a.Key] = *a.Value
	}
	lb := c.do("CreateLoadBalancer", url.Values{"Name": {"web"}, "Subnets.member.1": {"a"}, "Subnets.member.2": {"b"}}).(*elbv2.CreateLoadBalancerOutput).LoadBalancers[0].LoadBalancerArn
	for _, a := range c.do("DescribeLoadBalancerAttributes", url.Values{"LoadBalancerArn": {*lb}}).(*elbv2.DescribeLoadBalancerAttributesOutput).Attributes {
		got[*a.Key] = *a.Value
	}
	for key, d := range map[string]time.Duration{
		"idle_timeout.timeout_seconds": alb.DefaultIdleTimeout, "client_keep_alive.seconds": alb.DefaultClientKeepAlive,
		"deregistration_delay.timeout_seconds": alb.DefaultDeregistrationDelay, "stickiness.lb_cookie.duration_seconds": alb.DefaultStickiness,
	} {
		if want := fmt.Sprint(d.Seconds()); got[key] != want {
			t.Errorf("%s is %s by the API, and %s for the data plane", key, got[key], want)
		}
	}
}

// The table is written by: go test ./internal/calibration -run TestGuide -update.
func TestGuideShowsTheConstants(t *testing.T) {
	var table strings.Builder
	table.WriteString("| constant | value | where, in lab/internal | source |\n|---|---|---|---|\n")
	for _, c := range constants(t) {
		text, err := os.ReadFile(filepath.Join("..", c.file))
		if err != nil || !strings.Contains(string(text), c.symbol) {
			t.Errorf("%s: %s does not have %q (%v)", c.what, c.file, c.symbol, err)
		}
		fmt.Fprintf(&table, "| %s | %s | `%s` | %s |\n", c.what, c.value, c.file, c.source)
	}
	guideShows(t, "constants", table.String())
}

// guideShows wants a table in the guide between two comments, or writes it there.
func guideShows(t *testing.T, name, table string) {
	t.Helper()
	begin, end := "<!-- "+name+": begin -->\n", "<!-- "+name+": end -->\n"
	guide := filepath.Join(repository, "docs", "lab.md")
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(text), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no %q and %q", guide, begin, end)
	}
	want := before + begin + table + end + after
	if want == string(text) {
		return
	}
	if !*update {
		t.Fatalf("%s shows other %s than the code has; write them with -update", guide, name)
	}
	if err := os.WriteFile(guide, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}
