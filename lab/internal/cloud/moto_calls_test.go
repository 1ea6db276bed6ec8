// SPDX-License-Identifier: Apache-2.0

package cloud_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	ec2sdk "github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	ecrsdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	ekssdk "github.com/aws/aws-sdk-go-v2/service/eks"
	ekstypes "github.com/aws/aws-sdk-go-v2/service/eks/types"
	s3sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	stssdk "github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/outlast-ci/outlast/lab/internal/cloud/acm"
	"github.com/outlast-ci/outlast/lab/internal/cloud/ec2"
	"github.com/outlast-ci/outlast/lab/internal/cloud/elb"
	"github.com/outlast-ci/outlast/lab/internal/cloud/monitoring"
)

// operations are all that the lab offers, as the SDK's clients name them.
func operations() (all []string) {
	for name := range (elb.API{}).Operations() {
		all = append(all, "Elastic Load Balancing v2 "+name)
	}
	for name := range (ec2.API{}).Operations() {
		all = append(all, "EC2 "+name)
	}
	for _, name := range monitoring.Operations() {
		all = append(all, "CloudWatch "+name)
	}
	for _, name := range acm.Operations() {
		all = append(all, "ACM "+name)
	}
	return append(all, "ECR GetAuthorizationToken", "ECR DescribeRepositories", "ECR CreateRepository", "ECR PutImageTagMutability", "ECR DescribeImages", "ECR BatchGetImage",
		"EKS ListClusters", "EKS DescribeCluster", "STS GetCallerIdentity", "STS AssumeRole", "STS AssumeRoleWithWebIdentity",
		"S3 CreateBucket", "S3 HeadBucket", "S3 ListObjectsV2", "S3 PutObject", "S3 GetObject", "S3 HeadObject")
}

// fromLab fills in what the lab has from the start.
func (s *side) fromLab(t *testing.T, l *lab) {
	t.Helper()
	s.vpc, s.role, s.address = l.VPCID(), roleARN(l.region), "10.244.0.9"
	s.subnets = l.subnets(t)
	s.instance = l.ProviderID()[strings.LastIndex(l.ProviderID(), "/")+1:]
	if err := l.CreateRepository(l.region, "pushed", false); err != nil {
		t.Fatal(err)
	}
	auth, _ := l.login(t, l.region)
	if err := remote.Write(l.ref(t, "pushed:v1"), newImage(t), auth); err != nil {
		t.Fatal(err)
	}
}

// fromMoto makes there what the lab has from the start.
func (s *side) fromMoto(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	vpc := must(s.ec2.DescribeVpcs(ctx, &ec2sdk.DescribeVpcsInput{}))(t).Vpcs[0]
	s.vpc, s.role, s.address = *vpc.VpcId, roleARN("cn-northwest-1"), "172.31.0.9"
	for _, n := range must(s.ec2.DescribeSubnets(ctx, &ec2sdk.DescribeSubnetsInput{}))(t).Subnets[:2] {
		s.subnets = append(s.subnets, *n.SubnetId)
	}
	run := must(s.ec2.RunInstances(ctx, &ec2sdk.RunInstancesInput{ImageId: aws.String("ami-12c6146b"), MinCount: aws.Int32(1), MaxCount: aws.Int32(1), SubnetId: &s.subnets[0]}))(t)
	s.instance = *run.Instances[0].InstanceId
	gateway := must(s.ec2.CreateInternetGateway(ctx, &ec2sdk.CreateInternetGatewayInput{}))(t).InternetGateway.InternetGatewayId
	must(s.ec2.AttachInternetGateway(ctx, &ec2sdk.AttachInternetGatewayInput{InternetGatewayId: gateway, VpcId: &s.vpc}))(t)
	must(s.eks.CreateCluster(ctx, &ekssdk.CreateClusterInput{Name: aws.String("lab"), Version: aws.String("1.37"), RoleArn: &s.role,
		ResourcesVpcConfig: &ekstypes.VpcConfigRequest{SubnetIds: s.subnets}}))(t)
	must(s.ecr.CreateRepository(ctx, &ecrsdk.CreateRepositoryInput{RepositoryName: aws.String("pushed")}))(t)
	manifest := string(must(newImage(t).RawManifest())(t))
	must(s.ecr.PutImage(ctx, &ecrsdk.PutImageInput{RepositoryName: aws.String("pushed"), ImageTag: aws.String("v1"), ImageManifest: &manifest}))(t)
}

// call is one that both sides get.
type call struct {
	say string // the operation, and with what
	do  func(context.Context, *side) (any, error)
}

// keep notes what a call made, for later ones.
func keep[T any](s *side, name string, out T, err error, of func(T) *string) (any, error) {
	if err != nil {
		return nil, err
	}
	s.made[name] = aws.ToString(of(out))
	return out, nil
}

func (s *side) arn(name string) *string { return aws.String(s.made[name]) }

// other is the ARN of something that is not there.
func (s *side) other(name string) *string {
	parts := strings.Split(s.made[name], "/")
	parts[len(parts)-1] = "0123456789abcdef"
	return aws.String(strings.Join(parts, "/"))
}

func sameCalls(t *testing.T) []call {
	t.Helper()
	var all []call
	for _, calls := range [][]call{networkCalls(), balancerCalls(), groupCalls(), listenerCalls(), certificateCalls(t), ruleCalls(), tagCalls(), balancerErrors(), groupErrors(), ruleErrors(), deletions(), registryCalls(), accountCalls(), bucketCalls(), alarmCalls()} {
		all = append(all, calls...)
	}
	return all
}

func networkCalls() []call {
	group := func(s *side) *string { return s.arn("group") }
	web := func(port int32) []ec2types.IpPermission {
		return []ec2types.IpPermission{{IpProtocol: aws.String("tcp"), FromPort: &port, ToPort: &port, IpRanges: []ec2types.IpRange{{CidrIp: aws.String("10.0.0.0/8"), Description: aws.String("why")}}}}
	}
	filter := func(name, value string) []ec2types.Filter {
		return []ec2types.Filter{{Name: &name, Values: []string{value}}}
	}
	return []call{
		{"DescribeVpcs by id", func(ctx context.Context, s *side) (any, error) {
			return s.ec2.DescribeVpcs(ctx, &ec2sdk.DescribeVpcsInput{VpcIds: []string{s.vpc}})
		}},
		{"DescribeVpcs of one that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.ec2.DescribeVpcs(ctx, &ec2sdk.DescribeVpcsInput{VpcIds: []string{"vpc-0123456789abcdef0"}})
		}},
		{"DescribeSubnets by id", func(ctx context.Context, s *side) (any, error) {
			return s.ec2.DescribeSubnets(ctx, &ec2sdk.DescribeSubnetsInput{SubnetIds: s.subnets[:1]})
		}},
		{"DescribeSubnets of one that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.ec2.DescribeSubnets(ctx, &ec2sdk.DescribeSubnetsInput{SubnetIds: []string{"subnet-0123456789abcdef0"}})
		}},
		{"DescribeAvailabilityZones by name", func(ctx context.Context, s *side) (any, error) {
			return s.ec2.DescribeAvailabilityZones(ctx, &ec2sdk.DescribeAvailabilityZonesInput{Filters: filter("zone-name", "cn-northwest-1a")})
		}},
		{"DescribeInstances by id", func(ctx context.Context, s *side) (any, error) {
			out, err := s.ec2.DescribeInstances(ctx, &ec2sdk.DescribeInstancesInput{InstanceIds: []string{s.instance}})
			if err != nil {
				return nil, err
			}
			// The lab's node is known by what the controller reads of it.
			i := out.Reservations[0].Instances[0]
			return ec2types.Instance{InstanceId: i.InstanceId, VpcId: i.VpcId, SubnetId: i.SubnetId, State: i.State, Placement: i.Placement, PrivateIpAddress: i.PrivateIpAddress}, nil
		}},
		{"DescribeInstances of one that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.ec2.DescribeInstances(ctx, &ec2sdk.DescribeInstancesInput{InstanceIds: []string{"i-0123456789abcdef0"}})
		}},
		{"DescribeNetworkInterfaces of the instance", func(ctx context.Context, s *side) (any, error) {
			out, err := s.ec2.DescribeNetworkInterfaces(ctx, &ec2sdk.DescribeNetworkInterfacesInput{Filters: filter("attachment.instance-id", s.instance)})
			if err != nil || len(out.NetworkInterfaces) == 0 {
				return out, err
			}
			n := out.NetworkInterfaces[0]
			return ec2types.NetworkInterface{NetworkInterfaceId: n.NetworkInterfaceId, VpcId: n.VpcId, SubnetId: n.SubnetId, PrivateIpAddress: n.PrivateIpAddress, Status: n.Status, InterfaceType: n.InterfaceType}, nil
		}},
		{"DescribeRouteTables of the VPC", func(ctx context.Context, s *side) (any, error) {
			return s.ec2.DescribeRouteTables(ctx, &ec2sdk.DescribeRouteTablesInput{Filters: filter("vpc-id", s.vpc)})
		}},
		{"DescribeInternetGateways of the VPC", func(ctx context.Context, s *side) (any, error) {
			return s.ec2.DescribeInternetGateways(ctx, &ec2sdk.DescribeInternetGatewaysInput{Filters: filter("attachment.vpc-id", s.vpc)})
		}},
		{"CreateSecurityGroup with a tag", func(ctx context.Context, s *side) (any, error) {
			out, err := s.ec2.CreateSecurityGroup(ctx, &ec2sdk.CreateSecurityGroupInput{GroupName: aws.String("k8s-lb"), Description: aws.String("d"), VpcId: &s.vpc,
				TagSpecifications: []ec2types.TagSpecification{{ResourceType: ec2types.ResourceTypeSecurityGroup, Tags: []ec2types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}}})
			return keep(s, "group", out, err, func(o *ec2sdk.CreateSecurityGroupOutput) *string { return o.GroupId })
		}},
		{"CreateSecurityGroup of a name that is taken", func(ctx context.Context, s *side) (any, error) {
			return s.ec2.CreateSecurityGroup(ctx, &ec2sdk.CreateSecurityGroupInput{GroupName: aws.String("k8s-lb"), Description: aws.String("d"), VpcId: &s.vpc})
		}},
		{"AuthorizeSecurityGroupIngress of a port", func(ctx context.Context, s *side) (any, error) {
			return s.ec2.AuthorizeSecurityGroupIngress(ctx, &ec2sdk.AuthorizeSecurityGroupIngressInput{GroupId: group(s), IpPermissions: web(80)})
		}},
		{"AuthorizeSecurityGroupIngress of the same again", func(ctx context.Context, s *side) (any, error) {
			return s.ec2.AuthorizeSecurityGroupIngress(ctx, &ec2sdk.AuthorizeSecurityGroupIngressInput{GroupId: group(s), IpPermissions: web(80)})
		}},
		{"DescribeSecurityGroups by id", func(ctx context.Context, s *side) (any, error) {
			return s.ec2.DescribeSecurityGroups(ctx, &ec2sdk.DescribeSecurityGroupsInput{GroupIds: []string{*group(s)}})
		}},
		{"DescribeSecurityGroups of one that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.ec2.DescribeSecurityGroups(ctx, &ec2sdk.DescribeSecurityGroupsInput{GroupIds: []string{"sg-0123456789abcdef0"}})
		}},
		{"RevokeSecurityGroupIngress of a port that is not open", func(ctx context.Context, s *side) (any, error) {
			return s.ec2.RevokeSecurityGroupIngress(ctx, &ec2sdk.RevokeSecurityGroupIngressInput{GroupId: group(s), IpPermissions: web(81)})
		}},
		{"RevokeSecurityGroupIngress of the open port", func(ctx context.Context, s *side) (any, error) {
			return s.ec2.RevokeSecurityGroupIngress(ctx, &ec2sdk.RevokeSecurityGroupIngressInput{GroupId: group(s), IpPermissions: web(80)})
		}},
		{"CreateTags of a security group", func(ctx context.Context, s *side) (any, error) {
			return s.ec2.CreateTags(ctx, &ec2sdk.CreateTagsInput{Resources: []string{*group(s)}, Tags: []ec2types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}})
		}},
		{"DeleteTags of a security group", func(ctx context.Context, s *side) (any, error) {
			return s.ec2.DeleteTags(ctx, &ec2sdk.DeleteTagsInput{Resources: []string{*group(s)}, Tags: []ec2types.Tag{{Key: aws.String("a")}}})
		}},
	}
}

func registryCalls() []call {
	name := func(n string) *string { return &n }
	return []call{
		{"CreateRepository", func(ctx context.Context, s *side) (any, error) {
			return s.ecr.CreateRepository(ctx, &ecrsdk.CreateRepositoryInput{RepositoryName: name("web")})
		}},
		{"CreateRepository of a name that is taken", func(ctx context.Context, s *side) (any, error) {
			return s.ecr.CreateRepository(ctx, &ecrsdk.CreateRepositoryInput{RepositoryName: name("web")})
		}},
		{"CreateRepository of a name that is none", func(ctx context.Context, s *side) (any, error) {
			return s.ecr.CreateRepository(ctx, &ecrsdk.CreateRepositoryInput{RepositoryName: name("Web")})
		}},
		{"PutImageTagMutability to IMMUTABLE", func(ctx context.Context, s *side) (any, error) {
			return s.ecr.PutImageTagMutability(ctx, &ecrsdk.PutImageTagMutabilityInput{RepositoryName: name("web"), ImageTagMutability: ecrtypes.ImageTagMutabilityImmutable})
		}},
		{"DescribeRepositories by name", func(ctx context.Context, s *side) (any, error) {
			return s.ecr.DescribeRepositories(ctx, &ecrsdk.DescribeRepositoriesInput{RepositoryNames: []string{"web"}})
		}},
		{"DescribeRepositories of one that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.ecr.DescribeRepositories(ctx, &ecrsdk.DescribeRepositoriesInput{RepositoryNames: []string{"gone"}})
		}},
		{"DescribeImages by tag", func(ctx context.Context, s *side) (any, error) {
			return s.ecr.DescribeImages(ctx, &ecrsdk.DescribeImagesInput{RepositoryName: name("pushed"), ImageIds: []ecrtypes.ImageIdentifier{{ImageTag: name("v1")}}})
		}},
		{"DescribeImages of a tag that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.ecr.DescribeImages(ctx, &ecrsdk.DescribeImagesInput{RepositoryName: name("pushed"), ImageIds: []ecrtypes.ImageIdentifier{{ImageTag: name("v2")}}})
		}},
		{"BatchGetImage by tag", func(ctx context.Context, s *side) (any, error) {
			return s.ecr.BatchGetImage(ctx, &ecrsdk.BatchGetImageInput{RepositoryName: name("pushed"), ImageIds: []ecrtypes.ImageIdentifier{{ImageTag: name("v1")}}})
		}},
		{"BatchGetImage of a tag that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.ecr.BatchGetImage(ctx, &ecrsdk.BatchGetImageInput{RepositoryName: name("pushed"), ImageIds: []ecrtypes.ImageIdentifier{{ImageTag: name("v2")}}})
		}},
		{"BatchGetImage of a repository that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.ecr.BatchGetImage(ctx, &ecrsdk.BatchGetImageInput{RepositoryName: name("gone"), ImageIds: []ecrtypes.ImageIdentifier{{ImageTag: name("v2")}}})
		}},
		{"GetAuthorizationToken", func(ctx context.Context, s *side) (any, error) {
			return s.ecr.GetAuthorizationToken(ctx, &ecrsdk.GetAuthorizationTokenInput{})
		}},
	}
}

func accountCalls() []call {
	session := aws.String("ci")
	return []call{
		{"ListClusters", func(ctx context.Context, s *side) (any, error) {
			return s.eks.ListClusters(ctx, &ekssdk.ListClustersInput{})
		}},
		{"DescribeCluster", func(ctx context.Context, s *side) (any, error) {
			return s.eks.DescribeCluster(ctx, &ekssdk.DescribeClusterInput{Name: aws.String("lab")})
		}},
		{"DescribeCluster of one that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.eks.DescribeCluster(ctx, &ekssdk.DescribeClusterInput{Name: aws.String("gone")})
		}},
		{"GetCallerIdentity", func(ctx context.Context, s *side) (any, error) {
			return s.sts.GetCallerIdentity(ctx, &stssdk.GetCallerIdentityInput{})
		}},
		{"AssumeRole", func(ctx context.Context, s *side) (any, error) {
			return s.sts.AssumeRole(ctx, &stssdk.AssumeRoleInput{RoleArn: &s.role, RoleSessionName: session})
		}},
		{"AssumeRole for a minute", func(ctx context.Context, s *side) (any, error) {
			return s.sts.AssumeRole(ctx, &stssdk.AssumeRoleInput{RoleArn: &s.role, RoleSessionName: session, DurationSeconds: aws.Int32(60)})
		}},
		{"AssumeRoleWithWebIdentity by a token of nobody", func(ctx context.Context, s *side) (any, error) {
			return s.sts.AssumeRoleWithWebIdentity(ctx, &stssdk.AssumeRoleWithWebIdentityInput{RoleArn: &s.role, RoleSessionName: session, WebIdentityToken: aws.String("e30.e30.c2ln")})
		}},
	}
}

func bucketCalls() []call {
	logs, gone := aws.String("outlast-logs"), aws.String("outlast-gone")
	return []call{
		{"CreateBucket", func(ctx context.Context, s *side) (any, error) {
			return s.s3.CreateBucket(ctx, &s3sdk.CreateBucketInput{Bucket: logs, CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: "cn-northwest-1"}})
		}},
		{"CreateBucket again", func(ctx context.Context, s *side) (any, error) {
			return s.s3.CreateBucket(ctx, &s3sdk.CreateBucketInput{Bucket: logs, CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: "cn-northwest-1"}})
		}},
		{"CreateBucket without a region, outside of us-east-1", func(ctx context.Context, s *side) (any, error) {
			return s.s3.CreateBucket(ctx, &s3sdk.CreateBucketInput{Bucket: gone})
		}},
		{"HeadBucket", func(ctx context.Context, s *side) (any, error) {
			return s.s3.HeadBucket(ctx, &s3sdk.HeadBucketInput{Bucket: logs})
		}},
		{"HeadBucket of one that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.s3.HeadBucket(ctx, &s3sdk.HeadBucketInput{Bucket: gone})
		}},
		{"PutObject", func(ctx context.Context, s *side) (any, error) {
			return s.s3.PutObject(ctx, &s3sdk.PutObjectInput{Bucket: logs, Key: aws.String("a/b"), Body: bytes.NewReader([]byte("hello")), ContentType: aws.String("text/plain")})
		}},
		{"PutObject into a bucket that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.s3.PutObject(ctx, &s3sdk.PutObjectInput{Bucket: gone, Key: aws.String("a"), Body: bytes.NewReader([]byte("hello"))})
		}},
		{"ListObjectsV2 by prefix and delimiter", func(ctx context.Context, s *side) (any, error) {
			return s.s3.ListObjectsV2(ctx, &s3sdk.ListObjectsV2Input{Bucket: logs, Prefix: aws.String("a"), Delimiter: aws.String("/")})
		}},
		{"ListObjectsV2 by prefix", func(ctx context.Context, s *side) (any, error) {
			return s.s3.ListObjectsV2(ctx, &s3sdk.ListObjectsV2Input{Bucket: logs, Prefix: aws.String("a/")})
		}},
		{"ListObjectsV2 of a bucket that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.s3.ListObjectsV2(ctx, &s3sdk.ListObjectsV2Input{Bucket: gone})
		}},
		{"GetObject", func(ctx context.Context, s *side) (any, error) {
			out, err := s.s3.GetObject(ctx, &s3sdk.GetObjectInput{Bucket: logs, Key: aws.String("a/b")})
			if err != nil {
				return nil, err
			}
			body, err := io.ReadAll(out.Body)
			_ = out.Body.Close()
			out.Body = nil
			return struct {
				Body string
				Out  *s3sdk.GetObjectOutput
			}{string(body), out}, err
		}},
		{"GetObject of a key that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.s3.GetObject(ctx, &s3sdk.GetObjectInput{Bucket: logs, Key: aws.String("gone")})
		}},
		{"HeadObject", func(ctx context.Context, s *side) (any, error) {
			return s.s3.HeadObject(ctx, &s3sdk.HeadObjectInput{Bucket: logs, Key: aws.String("a/b")})
		}},
		{"HeadObject of a key that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.s3.HeadObject(ctx, &s3sdk.HeadObjectInput{Bucket: logs, Key: aws.String("gone")})
		}},
	}
}
