// SPDX-License-Identifier: Apache-2.0

package cloud_test

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/outlast-ci/outlast/lab/internal/alb/accesslog"
)

func (l *lab) s3(o ...func(*s3.Options)) *s3.Client { return s3.NewFromConfig(l.own(), o...) }

// put makes a bucket with objects whose bodies are their keys.
func (l *lab) put(t *testing.T, bucket string, keys ...string) {
	t.Helper()
	if err := l.CreateBucket(l.region, bucket); err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		must(l.s3().PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String(k), Body: strings.NewReader(k)}))(t)
	}
}

func TestS3ListingIsOrderedFilteredAndPaged(t *testing.T) {
	l := newLab(t, "cn-northwest-1")
	l.put(t, "logs", "b/2", "a/1", "b/1 +&%?=é", "b/c/3", "b/c/4", "c")
	for name, tt := range map[string]struct {
		prefix, delimiter string
		size              int32
		want              []string
		pages             int
	}{
		"all of them in one page":               {"", "", 0, []string{"a/1", "b/1 +&%?=é", "b/2", "b/c/3", "b/c/4", "c"}, 1},
		"a prefix, two to a page":               {"b/", "", 2, []string{"b/1 +&%?=é", "b/2", "b/c/3", "b/c/4"}, 2},
		"a delimiter groups":                    {"b/", "/", 0, []string{"b/1 +&%?=é", "b/2", "b/c/"}, 1},
		"a group is listed once, one to a page": {"", "/", 1, []string{"a/", "b/", "c"}, 3},
		"nothing has the prefix":                {"x", "", 0, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			in := &s3.ListObjectsV2Input{Bucket: aws.String("logs"), Prefix: &tt.prefix}
			if tt.delimiter != "" {
				in.Delimiter = &tt.delimiter
			}
			if tt.size > 0 {
				in.MaxKeys = &tt.size
			}
			var got []string
			pages := 0
			for p := s3.NewListObjectsV2Paginator(l.s3(), in); p.HasMorePages(); pages++ {
				out := must(p.NextPage(t.Context()))(t)
				for _, o := range out.Contents {
					got = append(got, *o.Key)
				}
				for _, c := range out.CommonPrefixes {
					got = append(got, *c.Prefix)
				}
			}
			if !slices.Equal(got, tt.want) || pages != tt.pages {
				t.Errorf("got %q in %d pages, want %q in %d", got, pages, tt.want, tt.pages)
			}
		})
	}
}

func TestS3ObjectsComeBackAlsoAfterARestart(t *testing.T) {
	l := newLab(t, "cn-northwest-1")
	const key = "b/1 +&%?=é//x"
	l.put(t, "logs", key)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l.open(t)
	onHost := func(o *s3.Options) { // localhost, and every name below it, is the test's server
		o.BaseEndpoint = aws.String(strings.Replace(l.api.URL, "127.0.0.1", "localhost", 1))
		o.HTTPClient = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, l.api.Listener.Addr().String())
		}}}
	}
	for name, c := range map[string]*s3.Client{
		"path style, as for an address": l.s3(),
		"virtual host":                  l.s3(onHost),
		"path style on a name":          l.s3(onHost, func(o *s3.Options) { o.UsePathStyle = true }),
	} {
		t.Run(name, func(t *testing.T) {
			out := must(c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("logs"), Key: aws.String(key)}))(t)
			body := must(io.ReadAll(out.Body))(t)
			if string(body) != key || aws.ToString(out.ETag) == "" || out.LastModified.IsZero() {
				t.Errorf("got %q, ETag %q, %v", body, aws.ToString(out.ETag), out.LastModified)
			}
			part := must(c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("logs"), Key: aws.String(key), Range: aws.String("bytes=2-3")}))(t)
			if b := must(io.ReadAll(part.Body))(t); string(b) != key[2:4] {
				t.Errorf("a range: got %q", b)
			}
			head := must(c.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String("logs")}))(t)
			if aws.ToString(head.BucketRegion) != l.region {
				t.Errorf("region %q", aws.ToString(head.BucketRegion))
			}
			url := must(s3.NewPresignClient(c).PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("logs"), Key: aws.String(key)}))(t)
			req := must(http.NewRequestWithContext(t.Context(), "GET", url.URL, nil))(t)
			resp := must(c.Options().HTTPClient.Do(req))(t)
			defer func() { _ = resp.Body.Close() }()
			if b := must(io.ReadAll(resp.Body))(t); resp.StatusCode != 200 || string(b) != key {
				t.Errorf("presigned: %d %q", resp.StatusCode, b)
			}
		})
	}
}

func TestS3Refusals(t *testing.T) {
	l := newLab(t, "cn-northwest-1")
	l.put(t, "logs", "a")
	with := func(region, id, secret string) *s3.Client { return s3.NewFromConfig(l.sdk(region, id, secret, "")) }
	get := func(c *s3.Client, bucket, key string) error {
		_, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
		return err
	}
	token := "no token!"
	_, badToken := l.s3().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("logs"), ContinuationToken: &token})
	_, again := l.s3().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("logs"), CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(l.region)}})
	_, elsewhere := l.s3().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("other"), CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: "eu-west-1"}})
	_, nowhere := l.s3().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("other")})
	_, acl := l.s3().GetBucketAcl(t.Context(), &s3.GetBucketAclInput{Bucket: aws.String("logs")})
	_, absent := l.s3().HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String("absent")})
	for name, tt := range map[string]struct {
		err  error
		code string
	}{
		"no such bucket":                {get(l.s3(), "absent", "a"), "NoSuchBucket"},
		"no such bucket, asked by HEAD": {absent, "NotFound"},
		"no such key":                   {get(l.s3(), "logs", "b"), "NoSuchKey"},
		"unknown access key":            {get(with(l.region, "AKIANOBODY", secret), "logs", "a"), "InvalidAccessKeyId"},
		"wrong secret":                  {get(with(l.region, keyID, "x"), "logs", "a"), "SignatureDoesNotMatch"},
		"bucket of another region":      {get(with("cn-north-1", keyID, secret), "logs", "a"), "AuthorizationHeaderMalformed"},
		"a token of somebody's own":     {badToken, "InvalidArgument"},
		"a bucket that is there":        {again, "BucketAlreadyOwnedByYou"},
		"what the lab does not have":    {acl, "NotImplemented"},
		"a bucket for another region":   {elsewhere, "IllegalLocationConstraintException"},
		"a bucket for no region":        {nowhere, "IllegalLocationConstraintException"},
	} {
		t.Run(name, func(t *testing.T) { wantCode(t, tt.err, tt.code) })
	}
}

// From a request to an object that the SDK reads, by nothing but AWS's calls.
func TestAccessLogsArriveInTheBucket(t *testing.T) {
	l := newLab(t, "cn-northwest-1")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l.cfg.AccessLogs = 300 * time.Millisecond
	l.open(t)
	l.put(t, "logs")
	lb := must(l.elb().CreateLoadBalancer(t.Context(), &elbv2.CreateLoadBalancerInput{Name: aws.String("web"), Subnets: l.subnets(t)}))(t).LoadBalancers[0].LoadBalancerArn
	must(l.elb().ModifyLoadBalancerAttributes(t.Context(), &elbv2.ModifyLoadBalancerAttributesInput{LoadBalancerArn: lb, Attributes: []elbtypes.LoadBalancerAttribute{
		{Key: aws.String("access_logs.s3.enabled"), Value: aws.String("true")}, {Key: aws.String("access_logs.s3.bucket"), Value: aws.String("logs")},
		{Key: aws.String("access_logs.s3.prefix"), Value: aws.String("p")}}}))(t)
	must(l.elb().CreateListener(t.Context(), &elbv2.CreateListenerInput{LoadBalancerArn: lb, Protocol: elbtypes.ProtocolEnumHttp, Port: aws.Int32(18084),
		DefaultActions: []elbtypes.Action{{Type: elbtypes.ActionTypeEnumFixedResponse, FixedResponseConfig: &elbtypes.FixedResponseActionConfig{StatusCode: aws.String("404")}}}}))(t)
	req := must(http.NewRequestWithContext(t.Context(), "GET", fmt.Sprintf("http://%s:18084/x", l.engine.Addresses(*lb)[0]), nil))(t)
	resp := must((&http.Transport{DisableKeepAlives: true}).RoundTrip(req))(t)
	_ = resp.Body.Close()
	var keys []string
	for deadline := time.Now().Add(time.Minute); len(keys) == 0 && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		for _, o := range must(l.s3().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("logs")}))(t).Contents {
			keys = append(keys, *o.Key)
		}
	}
	shape := regexp.MustCompile(`^p/AWSLogs/123456789012/elasticloadbalancing/cn-northwest-1/\d{4}/\d\d/\d\d/123456789012_elasticloadbalancing_cn-northwest-1_app\.web\.[0-9a-f]{16}_\d{8}T\d{4}Z_127\.80\.\d+\.\d+_[A-Z0-9]{8}\.log\.gz$`)
	if len(keys) != 1 || !shape.MatchString(keys[0]) {
		t.Fatalf("got objects %q, want one like %s", keys, shape)
	}
	out := must(l.s3().GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("logs"), Key: &keys[0]}))(t)
	text := string(must(io.ReadAll(must(gzip.NewReader(out.Body))(t)))(t))
	e := must(accesslog.Parse(text))(t)
	if e.Status != 404 || e.Actions != "fixed-response" || !strings.HasPrefix(e.LoadBalancer, "app/web/") || !strings.HasSuffix(e.Request, ":18084/x HTTP/1.1") {
		t.Errorf("got line %s", text)
	}
}
