// SPDX-License-Identifier: Apache-2.0

package cloud_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/outlast-ci/outlast/lab/internal/cloud/trouble"
)

// order asks the control API, and returns its answer.
func (l *lab) order(t *testing.T, method, path, body string) string {
	t.Helper()
	w := httptest.NewRecorder()
	l.Control().ServeHTTP(w, httptest.NewRequest(method, "/_lab/"+path, strings.NewReader(body)))
	if w.Code >= 300 {
		t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	return w.Body.String()
}

// fault orders the only fault there is.
func (l *lab) fault(t *testing.T, f trouble.Fault) {
	t.Helper()
	l.order(t, "DELETE", "faults", "")
	body := must(json.Marshal(f))(t)
	l.order(t, "POST", "faults", string(body))
}

func (l *lab) hits(t *testing.T) int {
	t.Helper()
	var all []trouble.Fault
	if err := json.Unmarshal([]byte(l.order(t, "GET", "faults", "")), &all); err != nil || len(all) != 1 {
		t.Fatalf("got %+v, %v, want one fault", all, err)
	}
	return all[0].Hits
}

// untilHit is the context of a client that gives up once its call waits in the lab, and not
// before: by no time, in which a busy machine may not even have sent the call.
func (l *lab) untilHit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	go func() {
		defer cancel()
		var all []trouble.Fault
		for ctx.Err() == nil && (len(all) != 1 || all[0].Hits == 0) {
			time.Sleep(time.Millisecond)
			w := httptest.NewRecorder()
			l.Control().ServeHTTP(w, httptest.NewRequest("GET", "/_lab/faults", nil))
			all = nil
			_ = json.Unmarshal(w.Body.Bytes(), &all) // what cannot be read is no hit
		}
	}()
	return ctx
}

// impatient never tries again, so that a test sees the first answer.
func impatient() aws.Retryer { return aws.NopRetryer{} }

// The SDK's own judgement of an error.
func isThrottle(err error) bool {
	return retry.ThrottleErrorCode{Codes: retry.DefaultThrottleErrorCodes}.IsErrorThrottle(err) == aws.TrueTernary
}

func isRetryable(err error) bool {
	return retry.NewStandard().IsErrorRetryable(err)
}

// burst sends that many reads at once, half by each client, and tells how many
// passed. Every refusal must be the SDK's throttling error.
func burst(t *testing.T, calls int, clients ...*elbv2.Client) (passed int) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			_, err := clients[i%len(clients)].DescribeTargetGroups(t.Context(), &elbv2.DescribeTargetGroupsInput{})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				passed++
				return
			}
			var api smithy.APIError
			if !errors.As(err, &api) || api.ErrorCode() != "Throttling" || api.ErrorMessage() != "Rate exceeded" || !isThrottle(err) {
				t.Errorf("got %v, want what the SDK takes for throttling", err)
			}
		})
	}
	wg.Wait()
	return passed
}

// The controller and outlast are two callers of one account: what one of them
// takes from the bucket the other lacks.
func TestTwoClientsShareOneBucket(t *testing.T) {
	l := newLab(t, "cn-northwest-1")
	l.clock.stop()
	l.order(t, "PUT", "limits", string(must(json.Marshal(trouble.AWSLimits()))(t)))
	client := func(region, id, secret string) *elbv2.Client {
		return elbv2.NewFromConfig(l.sdk(region, id, secret, ""), func(o *elbv2.Options) { o.Retryer = impatient() })
	}
	outlast, controller := client(l.region, keyID, secret), client(l.region, "AKIALABROLE000000001", "role-secret")
	if n := burst(t, 50, outlast, controller); n != 40 {
		t.Errorf("%d of 50 calls passed a full bucket, want 40", n)
	}
	if n := burst(t, 3, outlast) + burst(t, 3, controller); n != 0 {
		t.Errorf("%d calls passed an empty bucket", n)
	}
	if n := burst(t, 1, client("eu-west-1", keyID, secret)); n != 1 {
		t.Error("another region has no bucket of its own")
	}
	l.clock.move(1500 * time.Millisecond)
	if n := burst(t, 30, controller, outlast); n != 15 {
		t.Errorf("%d of 30 calls passed after 1.5 s, want 15", n)
	}
	l.clock.move(time.Minute)
	if n := burst(t, 25, controller); n != 25 {
		t.Errorf("%d of 25 calls of the controller passed after a minute, want all", n)
	}
	if n := burst(t, 25, outlast); n != 15 {
		t.Errorf("%d of 25 calls of outlast passed what the controller had left, want 15", n)
	}
}

// With the SDK's own retries throttling costs time and nothing else.
func TestAClientThatBacksOffGetsThrough(t *testing.T) {
	l := newLab(t, "us-east-1")
	l.order(t, "PUT", "limits", `{"read":{"size":1,"refill":10}}`)
	patient := elbv2.NewFromConfig(l.own(), func(o *elbv2.Options) {
		o.Retryer = retry.NewStandard(func(s *retry.StandardOptions) { s.MaxAttempts, s.MaxBackoff = 20, 200*time.Millisecond })
	})
	began := time.Now()
	for range 4 {
		must(patient.DescribeTargetGroups(t.Context(), &elbv2.DescribeTargetGroupsInput{}))(t)
	}
	if d := time.Since(began); d < 250*time.Millisecond {
		t.Errorf("4 calls took %s: a bucket of one that gains 10 a second lets them through in 300 ms at the earliest", d)
	}
}

// Each service's client takes what the lab says for what it is.
func TestFaultsAreWhatEachClientKnows(t *testing.T) {
	l := newLab(t, "cn-northwest-1")
	l.put(t, "logs")
	cfg := l.own()
	cfg.Retryer = impatient
	calls := map[string]func(context.Context) error{
		"elasticloadbalancing": func(ctx context.Context) error {
			_, err := elbv2.NewFromConfig(cfg).DescribeTargetGroups(ctx, &elbv2.DescribeTargetGroupsInput{})
			return err
		},
		"ec2": func(ctx context.Context) error {
			_, err := ec2.NewFromConfig(cfg).DescribeVpcs(ctx, &ec2.DescribeVpcsInput{})
			return err
		},
		"monitoring": func(ctx context.Context) error {
			_, err := cloudwatch.NewFromConfig(cfg).DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{})
			return err
		},
		"acm": func(ctx context.Context) error {
			_, err := acm.NewFromConfig(cfg).ListCertificates(ctx, &acm.ListCertificatesInput{})
			return err
		},
		"ecr": func(ctx context.Context) error {
			_, err := ecr.NewFromConfig(cfg).DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{})
			return err
		},
		"eks": func(ctx context.Context) error {
			_, err := eks.NewFromConfig(cfg).ListClusters(ctx, &eks.ListClustersInput{})
			return err
		},
		"sts": func(ctx context.Context) error {
			_, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
			return err
		},
		"s3": func(ctx context.Context) error {
			_, err := s3.NewFromConfig(cfg).ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String("logs")})
			return err
		},
	}
	is := map[string]func(error) bool{
		trouble.KindThrottle: isThrottle,
		trouble.KindServer: func(err error) bool {
			var status interface{ HTTPStatusCode() int }
			return errors.As(err, &status) && status.HTTPStatusCode() >= 500 && isRetryable(err)
		},
		trouble.KindReset: func(err error) bool {
			return retry.RetryableConnectionError{}.IsErrorRetryable(err) == aws.TrueTernary
		},
		trouble.KindLatency: func(err error) bool { return errors.Is(err, context.Canceled) },
	}
	for kind, want := range is {
		for service := range calls {
			t.Run(kind+" of "+service, func(t *testing.T) {
				f := trouble.Fault{Kind: kind, Service: service}
				if kind == trouble.KindLatency {
					f.Milliseconds = 60_000
				}
				l.fault(t, f)
				for name, call := range calls {
					ctx := t.Context()
					if kind == trouble.KindLatency && name == service {
						ctx = l.untilHit(t)
					}
					switch err := call(ctx); {
					case name != service && err != nil:
						t.Errorf("%s got %v, and is not the service with the fault", name, err)
					case name == service && (err == nil || !want(err)):
						t.Errorf("%s got %v, which its client does not take for %s", name, err, kind)
					}
				}
				if n := l.hits(t); n != 1 {
					t.Errorf("the lab counts %d hits, want 1", n)
				}
			})
		}
	}
}

// A fault hits the operations it names in the time it names, and the SDK's
// retries get around one that ends.
func TestFaultsByOperationTimeAndCount(t *testing.T) {
	l := newLab(t, "us-east-1")
	l.clock.stop()
	cfg := l.own()
	cfg.Retryer = impatient
	groups := func() error {
		_, err := elbv2.NewFromConfig(cfg).DescribeTargetGroups(t.Context(), &elbv2.DescribeTargetGroupsInput{})
		return err
	}
	balancers := func() error {
		_, err := elbv2.NewFromConfig(cfg).DescribeLoadBalancers(t.Context(), &elbv2.DescribeLoadBalancersInput{})
		return err
	}
	t.Run("a pattern of operations", func(t *testing.T) {
		l.fault(t, trouble.Fault{Kind: trouble.KindServer, Service: "elasticloadbalancing", Operation: "DescribeTarget*"})
		wantCode(t, groups(), "ServiceUnavailable")
		if err := balancers(); err != nil {
			t.Errorf("an operation that was not named: %v", err)
		}
	})
	t.Run("one target group of two", func(t *testing.T) {
		mine, other := l.newGroup(t, "mine"), l.newGroup(t, "other")
		l.fault(t, trouble.Fault{Kind: trouble.KindServer, Resource: mine})
		health := func(group string) error {
			_, err := elbv2.NewFromConfig(cfg).DescribeTargetHealth(t.Context(), &elbv2.DescribeTargetHealthInput{TargetGroupArn: &group})
			return err
		}
		wantCode(t, health(mine), "ServiceUnavailable")
		if err := errors.Join(health(other), groups()); err != nil {
			t.Errorf("calls that do not name it: %v", err)
		}
	})
	t.Run("a window of time", func(t *testing.T) {
		l.fault(t, trouble.Fault{Kind: trouble.KindThrottle, After: 10, Seconds: 20})
		for _, x := range []struct {
			move time.Duration
			hit  bool
		}{{9 * time.Second, false}, {2 * time.Second, true}, {18 * time.Second, true}, {2 * time.Second, false}} {
			l.clock.move(x.move)
			if err := groups(); isThrottle(err) != x.hit || err != nil && !x.hit {
				t.Errorf("%s later: got %v, want a hit: %v", x.move, err, x.hit)
			}
		}
	})
	t.Run("latency makes the answer late, not wrong", func(t *testing.T) {
		l.fault(t, trouble.Fault{Kind: trouble.KindLatency, Milliseconds: 300, Count: 1})
		began := time.Now()
		if err := groups(); err != nil || time.Since(began) < 300*time.Millisecond {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if err := groups(); err != nil || l.hits(t) != 1 {
			t.Errorf("the next call: %v, %d hits", err, l.hits(t))
		}
	})
	t.Run("two resets and the third attempt", func(t *testing.T) {
		l.fault(t, trouble.Fault{Kind: trouble.KindReset, Operation: "DescribeTargetGroups", Count: 2})
		attempts := 0
		c := elbv2.NewFromConfig(l.own(), func(o *elbv2.Options) {
			o.Retryer = retry.NewStandard(func(s *retry.StandardOptions) { s.MaxAttempts, s.MaxBackoff = 3, time.Millisecond })
			o.HTTPClient = counted{&attempts}
		})
		if _, err := c.DescribeTargetGroups(t.Context(), &elbv2.DescribeTargetGroupsInput{}); err != nil || attempts != 3 || l.hits(t) != 2 {
			t.Errorf("got %v after %d attempts and %d hits, want success at the third", err, attempts, l.hits(t))
		}
	})
}

// counted counts what a client sends.
type counted struct{ n *int }

func (c counted) Do(r *http.Request) (*http.Response, error) {
	*c.n++
	return http.DefaultClient.Do(r)
}
