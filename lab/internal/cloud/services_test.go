// SPDX-License-Identifier: Apache-2.0

package cloud_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

func TestEC2AnswersWhatTheControllerReads(t *testing.T) {
	l := newLab(t, "cn-northwest-1")
	c, ctx := l.ec2(), context.Background()
	vpcs := must(c.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{VpcIds: []string{l.VPCID()}}))(t).Vpcs
	if len(vpcs) != 1 || *vpcs[0].CidrBlockAssociationSet[0].CidrBlock != "10.244.0.0/16" || vpcs[0].CidrBlockAssociationSet[0].CidrBlockState.State != ec2types.VpcCidrBlockStateCodeAssociated {
		t.Errorf("got VPCs %+v", vpcs)
	}
	id := l.ProviderID()[strings.LastIndex(l.ProviderID(), "/")+1:]
	res := must(c.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}}))(t).Reservations
	node := res[0].Instances[0]
	if *node.Placement.AvailabilityZone != "cn-northwest-1a" || node.State.Name != ec2types.InstanceStateNameRunning || *node.PrivateIpAddress != "10.77.0.2" {
		t.Errorf("got instance %+v", node)
	}
	has := false
	for _, a := range node.NetworkInterfaces[0].PrivateIpAddresses {
		has = has || *a.PrivateIpAddress == "10.244.0.77"
	}
	if !has {
		t.Error("the node's interface does not hold the pod address 10.244.0.77")
	}
	enis := must(c.DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{Filters: []ec2types.Filter{
		{Name: aws.String("vpc-id"), Values: []string{l.VPCID()}}, {Name: aws.String("addresses.private-ip-address"), Values: []string{"10.244.0.77"}},
	}}))(t).NetworkInterfaces
	if len(enis) != 1 || *enis[0].Attachment.InstanceId != id {
		t.Errorf("got interfaces %+v", enis)
	}
	zones := must(c.DescribeAvailabilityZones(ctx, &ec2.DescribeAvailabilityZonesInput{Filters: []ec2types.Filter{{Name: aws.String("zone-type"), Values: []string{"availability-zone"}}}}))(t)
	if len(zones.AvailabilityZones) != 3 || *zones.AvailabilityZones[0].ZoneId != "cnnw1-az1" {
		t.Errorf("got zones %+v", zones.AvailabilityZones)
	}
	tables := must(c.DescribeRouteTables(ctx, &ec2.DescribeRouteTablesInput{}))(t).RouteTables
	if !strings.HasPrefix(*tables[0].Routes[1].GatewayId, "igw-") || !*tables[0].Associations[0].Main {
		t.Errorf("got route tables %+v", tables)
	}
	{
		p := ec2.NewDescribeSubnetsPaginator(c, &ec2.DescribeSubnetsInput{MaxResults: aws.Int32(1), Filters: []ec2types.Filter{{Name: aws.String("tag-key"), Values: []string{"kubernetes.io/cluster/*"}}}})
		n, pages := 0, 0
		for p.HasMorePages() {
			n += len(must(p.NextPage(ctx))(t).Subnets)
			pages++
		}
		if n != 2 || pages != 2 {
			t.Errorf("got %d subnets on %d pages of one", n, pages)
		}
	}
}

func TestSecurityGroups(t *testing.T) {
	l := newLab(t, "us-east-1")
	c, ctx := l.ec2(), context.Background()
	g := *must(c.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{GroupName: aws.String("k8s-lb"), Description: aws.String("d"), VpcId: aws.String(l.VPCID()),
		TagSpecifications: []ec2types.TagSpecification{{ResourceType: ec2types.ResourceTypeSecurityGroup, Tags: []ec2types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}}}))(t).GroupId
	perm := func(port int32, cidrs ...string) []ec2types.IpPermission {
		p := ec2types.IpPermission{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(port), ToPort: aws.Int32(port)}
		for _, x := range cidrs {
			p.IpRanges = append(p.IpRanges, ec2types.IpRange{CidrIp: aws.String(x), Description: aws.String("why")})
		}
		return []ec2types.IpPermission{p}
	}
	must(c.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &g, IpPermissions: perm(80, "0.0.0.0/0", "10.0.0.0/8")}))(t)
	_, err := c.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &g, IpPermissions: perm(80, "10.0.0.0/8")})
	wantCode(t, err, "InvalidPermission.Duplicate")
	_, err = c.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: &g, IpPermissions: perm(81, "10.0.0.0/8")})
	wantCode(t, err, "InvalidPermission.NotFound")
	must(c.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: &g, IpPermissions: perm(80, "10.0.0.0/8")}))(t)
	out := must(c.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: []ec2types.Filter{{Name: aws.String("tag:k"), Values: []string{"v"}}}}))(t).SecurityGroups
	if len(out) != 1 || len(out[0].IpPermissions) != 1 || len(out[0].IpPermissions[0].IpRanges) != 1 || *out[0].IpPermissions[0].IpRanges[0].Description != "why" || *out[0].IpPermissions[0].FromPort != 80 {
		t.Errorf("got groups %+v", out)
	}
	lb := must(l.elb().CreateLoadBalancer(ctx, &elbv2.CreateLoadBalancerInput{Name: aws.String("x"), Subnets: l.subnets(t), SecurityGroups: []string{g}}))(t).LoadBalancers[0].LoadBalancerArn
	_, err = c.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: &g})
	wantCode(t, err, "DependencyViolation")
	must(l.elb().DeleteLoadBalancer(ctx, &elbv2.DeleteLoadBalancerInput{LoadBalancerArn: lb}))(t)
	must(c.DeleteTags(ctx, &ec2.DeleteTagsInput{Resources: []string{g}, Tags: []ec2types.Tag{{Key: aws.String("k")}}}))(t)
	must(c.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: &g}))(t)
	_, err = c.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{GroupIds: []string{g}})
	wantCode(t, err, "InvalidGroup.NotFound")
	_, err = c.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: []ec2types.Filter{{Name: aws.String("nonsense"), Values: []string{"x"}}}})
	wantCode(t, err, "InvalidParameterValue")
}

func TestEKSAndECRKeepToTheirRegion(t *testing.T) {
	l := newLab(t, "cn-northwest-1")
	ctx := context.Background()
	cl := must(l.eks().DescribeCluster(ctx, &eks.DescribeClusterInput{Name: aws.String("lab")}))(t).Cluster
	if *cl.Endpoint != "https://10.77.0.1:6443" || *cl.Arn != "arn:aws-cn:eks:cn-northwest-1:123456789012:cluster/lab" || *cl.CertificateAuthority.Data != "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg==" || cl.CreatedAt.Year() < 2020 {
		t.Errorf("got cluster %+v", cl)
	}
	elsewhere := l.sdk("us-east-1", keyID, secret, "")
	_, err := eks.NewFromConfig(elsewhere).DescribeCluster(ctx, &eks.DescribeClusterInput{Name: aws.String("lab")})
	wantCode(t, err, "ResourceNotFoundException")
	if !strings.Contains(err.Error(), "No cluster found for name: lab.") {
		t.Errorf("got %v", err)
	}
	if err := l.CreateRepository("cn-northwest-1", "web", true); err != nil {
		t.Fatal(err)
	}
	in := &ecr.DescribeRepositoriesInput{RepositoryNames: []string{"web"}}
	r := must(l.ecr().DescribeRepositories(ctx, in))(t).Repositories[0]
	if *r.RepositoryUri != l.reg.Listener.Addr().String()+"/web" || r.ImageTagMutability != "IMMUTABLE" || *r.RepositoryArn != "arn:aws-cn:ecr:cn-northwest-1:123456789012:repository/web" {
		t.Errorf("got repository %+v", r)
	}
	_, err = ecr.NewFromConfig(elsewhere).DescribeRepositories(ctx, in)
	wantCode(t, err, "RepositoryNotFoundException")
	if !strings.Contains(err.Error(), "The repository with name 'web' does not exist in the registry with id '123456789012'") {
		t.Errorf("got %v", err)
	}
	_, err = l.ecr().CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String("web")})
	wantCode(t, err, "RepositoryAlreadyExistsException")
	_, err = l.ecr().CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String("Web")})
	wantCode(t, err, "InvalidParameterException")
	_, err = l.ecr().ListImages(ctx, &ecr.ListImagesInput{RepositoryName: aws.String("web")})
	wantCode(t, err, "UnknownOperationException")
	for _, n := range []string{"a1", "a2", "a3"} {
		must(l.ecr().CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String(n)}))(t)
	}
	p, n := ecr.NewDescribeRepositoriesPaginator(l.ecr(), &ecr.DescribeRepositoriesInput{MaxResults: aws.Int32(3)}), 0
	for p.HasMorePages() {
		n += len(must(p.NextPage(ctx))(t).Repositories)
	}
	if n != 4 {
		t.Errorf("got %d repositories on pages of three", n)
	}
}

// callEach calls one read of each service.
func callEach(l *lab, cfg aws.Config) map[string]error {
	ctx := context.Background()
	errs := map[string]error{}
	_, errs["ec2"] = ec2.NewFromConfig(cfg).DescribeVpcs(ctx, &ec2.DescribeVpcsInput{})
	_, errs["elb"] = elbv2.NewFromConfig(cfg).DescribeTargetGroups(ctx, &elbv2.DescribeTargetGroupsInput{})
	_, errs["sts"] = sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	_, errs["ecr"] = ecr.NewFromConfig(cfg).DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{})
	_, errs["eks"] = eks.NewFromConfig(cfg).ListClusters(ctx, &eks.ListClustersInput{})
	_, errs["cloudwatch"] = cloudwatch.NewFromConfig(cfg).DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{})
	return errs
}

func TestEachServiceRefusesInItsOwnWords(t *testing.T) {
	l := newLab(t, "us-east-1")
	role := roleARN("us-east-1")
	cr := must(l.sts().AssumeRole(context.Background(), &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("ci"), DurationSeconds: aws.Int32(900)}))(t).Credentials
	for name, x := range map[string]struct {
		cfg  aws.Config
		move time.Duration
		want map[string]string
	}{
		"unknown key": {l.sdk("us-east-1", "AKIANOBODY", "x", ""), 0,
			map[string]string{"ec2": "AuthFailure", "elb": "InvalidClientTokenId", "cloudwatch": "InvalidClientTokenId", "sts": "InvalidClientTokenId", "ecr": "UnrecognizedClientException", "eks": "UnrecognizedClientException"}},
		"wrong secret": {l.sdk("us-east-1", keyID, "wrong", ""), 0,
			map[string]string{"ec2": "AuthFailure", "elb": "SignatureDoesNotMatch", "cloudwatch": "SignatureDoesNotMatch", "sts": "SignatureDoesNotMatch", "ecr": "InvalidSignatureException", "eks": "InvalidSignatureException"}},
		"session token of somebody else": {l.sdk("us-east-1", *cr.AccessKeyId, *cr.SecretAccessKey, "other"), 0,
			map[string]string{"ec2": "AuthFailure", "elb": "InvalidClientTokenId", "cloudwatch": "InvalidClientTokenId", "sts": "InvalidClientTokenId", "ecr": "UnrecognizedClientException", "eks": "UnrecognizedClientException"}},
		"denied by policy": {l.sdk("us-east-1", "AKIALABNARROW0000001", "narrow-secret", ""), 0,
			map[string]string{"ec2": "UnauthorizedOperation", "elb": "AccessDenied", "cloudwatch": "AccessDenied", "sts": "", "ecr": "AccessDeniedException", "eks": "AccessDeniedException"}},
		"assumed role": {l.sdk("us-east-1", *cr.AccessKeyId, *cr.SecretAccessKey, *cr.SessionToken), 0,
			map[string]string{"ec2": "", "elb": "", "cloudwatch": "", "sts": "", "ecr": "", "eks": ""}},
		"expired session": {l.sdk("us-east-1", *cr.AccessKeyId, *cr.SecretAccessKey, *cr.SessionToken), 901 * time.Second,
			map[string]string{"ec2": "RequestExpired", "elb": "ExpiredToken", "cloudwatch": "ExpiredToken", "sts": "ExpiredToken", "ecr": "ExpiredTokenException", "eks": "ExpiredTokenException"}},
		"clock of the caller behind": {l.own(), 16 * time.Minute,
			map[string]string{"ec2": "AuthFailure", "elb": "SignatureDoesNotMatch", "cloudwatch": "SignatureDoesNotMatch", "sts": "SignatureDoesNotMatch", "ecr": "InvalidSignatureException", "eks": "InvalidSignatureException"}},
	} {
		t.Run(name, func(t *testing.T) {
			l.clock.move(x.move)
			defer l.clock.move(-x.move)
			for service, err := range callEach(l, x.cfg) {
				if code := x.want[service]; code != "" {
					wantCode(t, err, code)
				} else if err != nil {
					t.Errorf("%s: %v", service, err)
				}
			}
		})
	}
}

func TestUnsignedRequestsAreRefused(t *testing.T) {
	l := newLab(t, "us-east-1")
	for name, x := range map[string]struct{ path, target, want string }{
		"query": {"/?Action=DescribeLoadBalancers", "", "<Code>MissingAuthenticationToken</Code>"},
		"ECR":   {"/", "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories", `"__type":"MissingAuthenticationTokenException"`},
		"EKS":   {"/clusters/lab", "", `"__type":"MissingAuthenticationTokenException"`},
		"RPC":   {"/service/GraniteServiceVersion20100801/operation/DescribeAlarms", "", "f__typex\x1aMissingAuthenticationToken"},
	} {
		t.Run(name, func(t *testing.T) {
			req := must(http.NewRequest(http.MethodGet, l.api.URL+x.path, nil))(t)
			if x.target != "" {
				req.Header.Set("X-Amz-Target", x.target)
			}
			resp := must(http.DefaultClient.Do(req))(t)
			defer func() { _ = resp.Body.Close() }()
			body := string(must(io.ReadAll(resp.Body))(t))
			if resp.StatusCode < 400 || !strings.Contains(body, x.want) {
				t.Errorf("got %s %s", resp.Status, body)
			}
		})
	}
}

func TestCallerIdentity(t *testing.T) {
	l := newLab(t, "cn-northwest-1")
	ctx := context.Background()
	id := must(l.sts().GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}))(t)
	if *id.Arn != "arn:aws-cn:iam::123456789012:user/deployer" || *id.Account != account {
		t.Errorf("got %s of %s", *id.Arn, *id.Account)
	}
	role := roleARN("cn-northwest-1")
	cr := must(l.sts().AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("ci")}))(t).Credentials
	as := sts.NewFromConfig(l.sdk("cn-northwest-1", *cr.AccessKeyId, *cr.SecretAccessKey, *cr.SessionToken))
	id = must(as.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}))(t)
	if *id.Arn != "arn:aws-cn:sts::123456789012:assumed-role/deploy/ci" {
		t.Errorf("got %s", *id.Arn)
	}
	_, err := l.sts().AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: aws.String(role + "x"), RoleSessionName: aws.String("ci")})
	wantCode(t, err, "AccessDenied")
	_, err = l.sts().AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("ci"), DurationSeconds: aws.Int32(60)})
	wantCode(t, err, "ValidationError")
}
