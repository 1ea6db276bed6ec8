// SPDX-License-Identifier: Apache-2.0

package cloud_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

// known is a difference between the lab and moto, of one call or of several.
type known struct {
	call, field string // both may have a * for any text
	lab, moto   string // as compare writes them; likewise
	right       string // lab, moto, both or neither
	why         string
}

func (k known) covers(d difference) bool {
	return glob(k.call, d.call) && glob(k.field, d.field) && glob(k.lab, d.lab) && glob(k.moto, d.moto)
}

// differencesFromMoto are judged by the API references (the SDK's comments) and
// the user guides. docs/lab.md shows the table.
var differencesFromMoto = []known{
	// ELBv2: load balancers.
	{"*LoadBalancer*", "LoadBalancers[0].Scheme", "internet-facing", "absent", "lab", "internet-facing is the default"},
	{"*LoadBalancer*", "LoadBalancers[0].DNSName", "*.amazonaws.com.cn", "*.amazonaws.com", "lab", "names in aws-cn end with .cn"},
	{"*LoadBalancer*", "LoadBalancers[0].CanonicalHostedZoneId", "*", "Z2P70J7EXAMPLE", "both", "made up on both sides"},
	{"*LoadBalancerAttributes*", "Attributes[load_balancing.cross_zone.enabled]", "true", "false", "lab", "always on for application load balancers"},
	{"*LoadBalancerAttributes*", "Attributes[*]", "*", "absent", "lab", "all attributes have a default and are described"},
	{"ModifyLoadBalancerAttributes to an idle timeout of 5000", "error", "ValidationError", "no error", "lab", "1 to 4000 seconds"},
	{"ModifyLoadBalancerAttributes of one that is none", "error", "ValidationError", "InvalidConfigurationRequest", "lab", "as terraform-provider-aws's issue 23971 saw it"},
	{"SetSubnets", "IpAddressType", "ipv4", "absent", "lab", "part of the answer"},
	{"DescribeCapacityReservation", "CapacityReservationState[0].State.Code", "absent", "provisioned", "neither", "what the service says without a reservation is not documented"},
	{"DescribeCapacityReservation", "DecreaseRequestsRemaining", "2", "absent", "neither", "likewise"},
	{"DescribeAccountLimits", "[*network-load-balancer*]", "absent", "*", "moto", "the lab has no network load balancers"},
	{"DescribeAccountLimits", "[application-load-balancers]", "50", "20", "lab", "user guide, quotas"},
	{"DescribeAccountLimits", "[targets-per-application-load-balancer]", "1000", "30", "lab", "user guide, quotas"},
	{"DescribeAccountLimits", "[target-groups-per-*]", "*", "absent", "lab", "API reference, Limit"},
	{"CreateLoadBalancer in a subnet that is absent", "error", "SubnetNotFound", "InvalidSubnetID.NotFound", "lab", "ELBv2 has an error of its own; moto's is EC2's"},
	{"CreateLoadBalancer in one subnet", "error", "ValidationError", "no error", "lab", "two zones at least"},
	{"CreateLoadBalancer of a name that is taken", "error", "DuplicateLoadBalancerName", "no error", "lab", "unless all settings are the same"},
	// ELBv2: target groups and targets.
	{"*TargetGroupAttributes of *", "Attributes[waf.fail_open.enabled]", "absent", "false", "lab", "an attribute of load balancers"},
	{"*TargetGroupAttributes of *", "Attributes[*]", "*", "absent", "lab", "all attributes have a default and are described, also in the answer to a change"},
	{"ModifyTargetGroupAttributes of one that is none", "error", "ValidationError", "no error", "lab", "unknown keys are refused"},
	{"DescribeTargetHealth *", "TargetHealthDescriptions[0].HealthCheckPort", "8080", "traffic-port", "lab", "the port that is checked"},
	{"DescribeTargetHealth *", "TargetHealthDescriptions[0].Target.AvailabilityZone", "cn-northwest-1a", "absent", "lab", "that of the address's subnet"},
	{"DescribeTargetHealth of a group without a listener", "TargetHealthDescriptions[0].TargetHealth.State", "unused", "healthy", "lab", "moto checks nothing"},
	{"DescribeTargetHealth of a group without a listener", "TargetHealthDescriptions[0].TargetHealth.Reason", "Target.NotInUse", "absent", "lab", "it goes with unused"},
	{"DescribeTargetHealth of a group without a listener", "TargetHealthDescriptions[0].TargetHealth.Description", "Target group is not configured to receive traffic from the load balancer", "absent", "lab", "likewise"},
	{"DescribeTargetHealth of a target in use", "TargetHealthDescriptions[0].TargetHealth.State", "initial", "healthy", "lab", "moto checks nothing"},
	{"DescribeTargetHealth of a target in use", "TargetHealthDescriptions[0].TargetHealth.Reason", "Elb.InitialHealthChecking", "absent", "lab", "it goes with initial"},
	{"DescribeTargetHealth of a target in use", "TargetHealthDescriptions[0].TargetHealth.Description", "Initial health checks in progress", "absent", "lab", "likewise"},
	{"DescribeTargetHealth of a target that was never registered", "TargetHealthDescriptions[0].TargetHealth.State", "unused", "unavailable", "lab", "Target.NotRegistered goes with unused"},
	{"DescribeTargetHealth of a target that was never registered", "TargetHealthDescriptions[0].TargetHealth.Description", "Target is not registered to the target group", "Target is not registered", "both", "words"},
	{"DescribeTargetHealth of a target that was deregistered", "TargetHealthDescriptions[0].TargetHealth.State", "draining", "unused", "lab", "it drains for the deregistration delay; moto drops it at once"},
	{"DescribeTargetHealth of a target that was deregistered", "TargetHealthDescriptions[0].TargetHealth.Reason", "Target.DeregistrationInProgress", "Target.NotRegistered", "lab", "likewise"},
	{"DescribeTargetHealth of a target that was deregistered", "TargetHealthDescriptions[0].TargetHealth.Description", "Target deregistration is in progress", "Target is not registered to the target group", "lab", "likewise"},
	{"RegisterTargets of no address", "error", "InvalidTarget", "no error", "lab", "a group of type ip takes addresses only"},
	{"DeregisterTargets of what was never registered", "error", "no error", "InvalidTarget", "lab", "API reference: if the target does not exist, the action returns successfully"},
	// ELBv2: listeners and rules.
	{"*Listener*", "Listeners[0].SslPolicy", "absent", "ELBSecurityPolicy-2016-08", "lab", "HTTP listeners have none"},
	{"*Listener*", "Listeners[0].DefaultActions[0].ForwardConfig.*", "*", "absent", "lab", "a forward to one group is described in both forms"},
	{"*ListenerAttributes*", "Attributes[tcp.idle_timeout.seconds]", "absent", "350", "lab", "of network load balancers' listeners"},
	{"*ListenerAttributes*", "Attributes[*]", "*", "absent", "lab", "all attributes have a default and are described"},
	{"CreateListener on a port that is taken", "error", "DuplicateListener", "no error", "lab", "one listener a port"},
	{"*Rule*", "Rules[0].Actions[0].ForwardConfig.*", "*", "absent", "lab", "a forward to one group is described in both forms"},
	{"*Rule*", "Rules[*].Conditions[0].Values[0]", "*", "absent", "lab", "path and host are described in both forms"},
	{"DescribeRules of a listener", "Rules[2].RuleArn", "*:listener-rule/app/web/ID/ID/ID", "*:listener-rule/app/web/ID/ID/1*", "lab", "the last part of a rule's ARN has 16 hexadecimal digits"},
	{"DescribeTargetGroups of one that no rule names any more", "TargetGroups[0].LoadBalancerArns[0]", "absent", "*", "lab", "moto remembers the listener that did"},
	{"DeleteRule that is absent", "error", "RuleNotFound", "no error", "lab", "API reference, DeleteRule"},
	// ACM, and listeners with HTTPS.
	{"ImportCertificate with the key of another", "error", "ValidationException", "no error", "lab", "API reference, ImportCertificate: the key must match"},
	{"*Certificate*", "*KeyAlgorithm", "RSA-2048", "RSA_2048", "lab", "user guide: an answer has a hyphen where a request has an underscore"},
	{"*Certificate*", "*KeyUsages[*]*", "*", "absent", "lab", "API reference, CertificateDetail"},
	{"DescribeCertificate that was imported", "Certificate.Options.CertificateTransparencyLoggingPreference", "DISABLED", "ENABLED", "lab", "nobody logs what was imported"},
	{"DescribeCertificate that was imported", "Certificate.Serial", "0f:ac:cb", "1027275", "lab", "hexadecimal, with colons"},
	{"DescribeCertificate that was requested", "Certificate.Serial", "bytes with colons", "a large number", "lab", "likewise"},
	{"DescribeCertificate that was requested", "Certificate.DomainValidationOptions[0].ResourceRecord.Value", "_HEX.lab.acm-validations.aws.", "_HEX.*.acm-validations.aws.", "both", "made up on both sides"},
	{"DescribeCertificate that was requested", "*Status", "*", "PENDING_VALIDATION", "moto", "the lab has no DNS and issues at once"},
	{"DescribeCertificate that was requested", "Certificate.Issuer", "outlast lab", "Amazon", "both", "the lab's authority"},
	{"DescribeCertificate that was requested", "Certificate.SignatureAlgorithm", "SHA256WITHECDSA", "SHA512WITHRSA", "both", "likewise; the service's is SHA256WITHRSA"},
	{"GetCertificate that was imported", "CertificateChain", "absent", "a long text", "lab", "a self-signed certificate has no chain; moto adds a root of Amazon's"},
	{"ListTagsForCertificate", "Tags[k]", "v", "absent", "lab", "tags stay when a certificate is replaced"},
	{"ListCertificates *", "CertificateSummaryList[0].*", "*", "absent", "lab", "API reference, CertificateSummary"},
	{"ListCertificates *", "CertificateSummaryList[1].*", "*", "absent", "both", "the one that was requested, which moto has not issued yet"},
	{"*Listener *", "Listeners[0].MutualAuthentication.Mode", "off", "absent", "lab", "API reference, MutualAuthenticationAttributes: the default"},
	{"CreateListener with HTTPS without a certificate", "error", "ValidationError", "no error", "lab", "as pulumi's issue 15712 saw it"},
	{"AddListenerCertificates", "Certificates[0].IsDefault", "false", "absent", "lab", "API reference, AddListenerCertificates: example"},
	{"AddListenerCertificates", "Certificates[1].CertificateArn", "absent", "*", "lab", "the list is answered, to which the default certificate does not belong"},
	{"ModifyListener to another security policy", "Listeners[0].Certificates[1].CertificateArn", "absent", "*", "lab", "likewise"},
	{"DeleteCertificate that a listener presents", "error", "ResourceInUseException", "no error", "lab", "API reference, DeleteCertificate"},
	// EC2.
	{"*", "*Arn", "arn:aws-cn:*", "arn:aws:*", "lab", "the partition of the region is aws-cn"},
	{"DescribeVpcs by id", "Vpcs[0].DhcpOptionsId", "dopt-ID", "default", "lab", "an id"},
	{"Describe*", "*.Tags[*]", "*", "absent", "both", "the lab's network has the tags that the controller looks for"},
	{"DescribeVpcs by id", "Vpcs[0].IsDefault", "false", "true", "both", "moto's network is its default VPC"},
	{"DescribeSubnets by id", "Subnets[0].DefaultForAz", "false", "true", "both", "likewise"},
	{"DescribeSubnets by id", "Subnets[0].AvailableIpAddressCount", "200", "4090", "both", "likewise"},
	{"DescribeSubnets by id", "Subnets[0].*", "absent", "*", "moto", "IPv6 and host names are left out"},
	{"DescribeAvailabilityZones by name", "AvailabilityZones[0].*", "*", "absent", "lab", "API reference, AvailabilityZone"},
	{"DescribeInstances by id", "Placement.GroupName", "absent", "", "moto", "placement groups are left out"},
	{"DescribeRouteTables of the VPC", "RouteTables[0].Routes[1].*", "*", "absent", "both", "moto's default VPC has no route to its gateway"},
	{"CreateSecurityGroup with a tag", "Tags[k]", "v", "absent", "lab", "API reference, CreateSecurityGroup"},
	{"AuthorizeSecurityGroupIngress of a port", "SecurityGroupRules[0].*", "absent", "*", "moto", "the lab does not give rules ids"},
	{"DeleteSecurityGroup that a load balancer uses", "error", "DependencyViolation", "no error", "lab", "its network interfaces use it"},
	{"DeleteSecurityGroup", "error", "no error", "InvalidGroup.NotFound", "both", "moto deleted it before"},
	// ECR.
	{"*Repositor*", "*RepositoryUri", "IP/web", "*.dkr.ecr.cn-northwest-1.amazonaws.com/web", "both", "the lab's registry is on the loopback; in aws-cn the host ends with .cn"},
	{"GetAuthorizationToken", "AuthorizationData[0].ProxyEndpoint", "http://IP", "*", "both", "likewise"},
	{"GetAuthorizationToken", "AuthorizationData[0].AuthorizationToken", "a long text", "*", "both", "the lab's registry asks for it"},
	{"DescribeImages by tag", "ImageDetails[0].ImageSizeInBytes", "7*", "721", "lab", "the size of the layers; moto counts the manifest"},
	// EKS.
	{"DescribeCluster", "Cluster.ResourcesVpcConfig.*", "*", "absent", "lab", "API reference, VpcConfigResponse"},
	{"DescribeCluster", "Cluster.AccessConfig.AuthenticationMode", "API", "absent", "lab", "API reference, AccessConfigResponse"},
	{"DescribeCluster", "Cluster.*", "absent", "*", "moto", "logging, OIDC issuer, service network and request token are left out"},
	{"DescribeCluster", "Cluster.CertificateAuthority.Data", "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0*", "a long text", "both", "another cluster"},
	{"DescribeCluster", "Cluster.Endpoint", "https://IP", "https://*.cn-northwest-1.eks.amazonaws.com/", "both", "another cluster"},
	{"DescribeCluster", "Cluster.PlatformVersion", "eks.1", "eks.4", "both", "another cluster"},
	{"DescribeCluster", "Cluster.RoleArn", "arn:aws-cn:iam::123456789012:role/lab-cluster", "arn:aws-cn:iam::123456789012:role/ci/deploy", "both", "another cluster"},
	// CloudWatch, of which moto is asked in JSON: it does not speak CBOR.
	{"PutMetricAlarm for more than a week", "error", "ValidationError", "no error", "lab", "API reference, PutMetricAlarm, Period"},
	{"DescribeAlarms *", "MetricAlarms[0].StateTransitionedTimestamp", "a time", "absent", "lab", "API reference, MetricAlarm"},
	{"DescribeAlarms that was made", "MetricAlarms[0].StateValue", "INSUFFICIENT_DATA", "OK", "lab", "API reference, PutMetricAlarm: the state of a new alarm"},
	{"DescribeAlarms that was made", "MetricAlarms[0].StateReasonData", "absent", "{}", "lab", "nothing has decided it yet"},
	{"PutCompositeAlarm", "error", "no error", "no answer that the SDK can read", "lab", "moto has no composite alarm in JSON"},
	{"DescribeAlarms of both types, in ALARM", "CompositeAlarms[0].*", "*", "absent", "lab", "likewise"},
	{"DescribeAlarms on too large a page", "error", "ValidationError", "no error", "lab", "as boto3's issue 3475 saw it"},
	{"DescribeAlarms by names and a prefix", "error", "InvalidParameterCombination", "no error", "lab", "API reference, DescribeAlarms: not both"},
	{"DeleteAlarms that a composite one follows", "error", "ValidationError", "no error", "lab", "API reference, DeleteAlarms: what a composite alarm depends on stays"},
	// STS.
	{"GetCallerIdentity", "Arn", "*:iam::123456789012:user/deployer", "*:sts::123456789012:user/moto", "lab", "a user's ARN is IAM's; moto has a made-up one"},
	{"GetCallerIdentity", "UserId", "AIDA…", "AKIA…", "lab", "AIDA is a user's id, AKIA an access key's"},
	{"AssumeRole", "Credentials.SessionToken", "IQoJ…", "a long text", "both", "opaque"},
	{"AssumeRole", "PackedPolicySize", "absent", "6", "lab", "only with a session policy or tags"},
	{"AssumeRole for a minute", "error", "ValidationError", "no error", "lab", "900 seconds at least"},
	{"AssumeRoleWithWebIdentity by a token of nobody", "error", "MissingAuthenticationToken", "no error", "neither", "the test's lab has no identity provider; the service says InvalidIdentityToken"},
}

var update = flag.Bool("update", false, "write the table of differences from moto into docs/lab.md")

// A row that lets both sides say anything could not fail.
func TestEachDifferenceSaysWhatItIs(t *testing.T) {
	for _, d := range differencesFromMoto {
		if d.lab == "*" && d.moto == "*" || d.field == "*" || d.lab == d.moto {
			t.Errorf("%s: %s may be %q here and %q there: say what at least one of them is, and that they differ", d.call, d.field, d.lab, d.moto)
		}
	}
}

// The guide shows the table; it is written by: go test ./internal/cloud -run TestGuideShows -update.
func TestGuideShowsTheDifferencesFromMoto(t *testing.T) {
	const guide, begin, end = "../../../docs/lab.md", "<!-- differences from moto: begin -->\n", "<!-- differences from moto: end -->\n"
	var table strings.Builder
	table.WriteString("| call | field | the lab | moto | right | why |\n|---|---|---|---|---|---|\n")
	cell := func(s string) string { return "`" + strings.ReplaceAll(s, "|", `\|`) + "`" }
	for _, d := range differencesFromMoto {
		fmt.Fprintf(&table, "| %s | %s | %s | %s | %s | %s |\n", strings.ReplaceAll(d.call, "*", `\*`), cell(d.field), value(d.lab), value(d.moto), d.right, d.why)
	}
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(text), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no %q and %q", guide, begin, end)
	}
	want := before + begin + table.String() + end + after
	if want == string(text) {
		return
	}
	if !*update {
		t.Fatalf("%s shows another table than differencesFromMoto; write it with -update", guide)
	}
	if err := os.WriteFile(guide, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// value is one side's answer for people.
func value(s string) string {
	switch s {
	case "*":
		return "its own"
	case "":
		return "empty"
	case "absent", "no error":
		return s
	}
	return "`" + s + "`"
}
