// SPDX-License-Identifier: Apache-2.0

package cloud_test

import (
	"context"
	"errors"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/outlast-ci/outlast/lab/internal/alb"
	"github.com/outlast-ci/outlast/lab/internal/cloud"
)

const (
	account = "123456789012"
	keyID   = "AKIALABDEPLOYER00001"
	secret  = "lab-secret-of-the-deployer-0123456789abc"
)

// clock is a clock that tests move, and may stop.
type clock struct {
	mu    sync.Mutex
	add   time.Duration
	stood time.Time // when it was stopped; zero: it goes
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stood.IsZero() {
		return c.stood.Add(c.add)
	}
	return time.Now().Add(c.add)
}

func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stood = time.Now()
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add += d
}

// lab is a cloud behind real HTTP servers.
type lab struct {
	*cloud.Cloud
	region   string
	api, reg *httptest.Server
	clock    *clock
	cfg      cloud.Config
	engine   *alb.Engine
	servers  sync.Map // where a target's address is on this machine
}

func newLab(t *testing.T, region string) *lab {
	t.Helper()
	l := &lab{region: region, clock: &clock{}}
	l.cfg = cloud.Config{
		Dir: t.TempDir(), Account: account, Region: region,
		Users: []cloud.User{
			{Name: "deployer", AccessKeyID: keyID, SecretAccessKey: secret, KubernetesUser: "deployer", KubernetesGroups: []string{"outlast:deployers"}},
			{Name: "stranger", AccessKeyID: "AKIALABSTRANGER00001", SecretAccessKey: "stranger-secret"},
			{Name: "narrow", AccessKeyID: "AKIALABNARROW0000001", SecretAccessKey: "narrow-secret", Deny: []string{"ecr:DescribeRepositories", "elasticloadbalancing:*", "ec2:DescribeVpcs", "eks:*", "cloudwatch:DescribeAlarms"}},
			{Name: "role", AccessKeyID: "AKIALABROLE000000001", SecretAccessKey: "role-secret", ARN: roleARN(region), KubernetesUser: "role-user"},
		},
		Cluster: cloud.Cluster{Name: "lab", Endpoint: "https://10.77.0.1:6443", CAData: "-----BEGIN CERTIFICATE-----\n", Version: "1.37"},
		VPC:     cloud.VPC{NodeIP: "10.77.0.2"}, Now: l.clock.now, Log: func(s string) { t.Log(s) },
	}
	// The log must not be used once the test is over.
	l.open(t)
	return l
}

func roleARN(region string) string {
	return "arn:" + map[string]string{"cn-northwest-1": "aws-cn"}[region] + map[string]string{"us-east-1": "aws"}[region] + ":iam::" + account + ":role/ci/deploy"
}

func (l *lab) open(t *testing.T) {
	t.Helper()
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if at, ok := l.servers.Load(address); ok {
			address = at.(string)
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	l.engine = alb.New(alb.Options{Dialer: dial, Registration: alb.Delay{Max: time.Millisecond}, Deregister: alb.Delay{Max: time.Millisecond}, Jitter: alb.Delay{Max: time.Millisecond}})
	engine := l.engine
	t.Cleanup(func() { _ = engine.Close() })
	l.cfg.Engine = l.engine
	l.reg = httptest.NewUnstartedServer(nil)
	l.cfg.RegistryURL = "http://" + l.reg.Listener.Addr().String()
	c, err := cloud.New(l.cfg)
	if err != nil {
		t.Fatal(err)
	}
	l.Cloud = c
	l.api = httptest.NewServer(c.API())
	l.reg.Config.Handler = c.Registry()
	l.reg.Start()
	t.Cleanup(l.api.Close)
	t.Cleanup(l.reg.Close)
	t.Cleanup(func() { _ = c.Close() })
}

// retryConnections tries again only when a connection broke: the SDK closes a
// request's body while net/http may still look whether there is more of it,
// which now and then ends the connection (github.com/aws/aws-sdk-go-v2/issues/2737).
func retryConnections() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.Retryables = []retry.IsErrorRetryable{retry.RetryableConnectionError{}}
	})
}

// sdk returns the configuration of a client in a region with a key.
func (l *lab) sdk(region, id, secret, token string) aws.Config {
	return aws.Config{Region: region, BaseEndpoint: aws.String(l.api.URL), Retryer: retryConnections,
		Credentials: credentials.NewStaticCredentialsProvider(id, secret, token)}
}

func (l *lab) own() aws.Config { return l.sdk(l.region, keyID, secret, "") }

func (l *lab) elb() *elbv2.Client { return elbv2.NewFromConfig(l.own()) }
func (l *lab) ec2() *ec2.Client   { return ec2.NewFromConfig(l.own()) }
func (l *lab) ecr() *ecr.Client   { return ecr.NewFromConfig(l.own()) }
func (l *lab) eks() *eks.Client   { return eks.NewFromConfig(l.own()) }
func (l *lab) sts() *sts.Client   { return sts.NewFromConfig(l.own()) }

// wantCode fails unless err is an API error with that code.
func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) {
		t.Fatalf("got %v, want an API error %s", err, code)
	}
	if api.ErrorCode() != code {
		t.Fatalf("got %s (%s), want %s", api.ErrorCode(), api.ErrorMessage(), code)
	}
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
