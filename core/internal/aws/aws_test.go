// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"

	"github.com/outlast-ci/outlast/core/gate"
)

// service speaks AWS's query and REST protocols with scripted answers.
type service struct {
	*httptest.Server
	mu      sync.Mutex
	asked   []url.Values
	headers []http.Header
	answer  func(n int, form url.Values, path string) (status int, body string)
}

func newService(t *testing.T, answer func(n int, form url.Values, path string) (int, string)) *service {
	t.Helper()
	s := &service{answer: answer}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		s.asked, s.headers = append(s.asked, r.Form), append(s.headers, r.Header)
		n := len(s.asked)
		s.mu.Unlock()
		status, body := s.answer(n, r.Form, r.URL.Path)
		if strings.HasPrefix(body, "{") {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("X-Amzn-Errortype", "ResourceNotFoundException")
		} else {
			w.Header().Set("Content-Type", "text/xml")
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(s.Close)
	return s
}

func queryError(code, message string) string {
	return "<ErrorResponse><Error><Type>Sender</Type><Code>" + code + "</Code><Message>" + message + "</Message></Error></ErrorResponse>"
}

// bare gives a process's environment without anything of this machine's.
func bare(t *testing.T, pairs ...string) {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
			os.Unsetenv(name) //nolint:errcheck // set above, so that it comes back
		}
	}
	dir := t.TempDir()
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "config"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "credentials"))
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		t.Setenv(name, value)
	}
}

func TestWithoutARegionNothingIsAsked(t *testing.T) {
	bare(t, "AWS_ACCESS_KEY_ID=AKIA", "AWS_SECRET_ACCESS_KEY=secret")
	_, err := Load(t.Context(), Options{})
	var auth *AuthError
	if !errors.As(err, &auth) || !strings.Contains(err.Error(), "no region is set; give --region, region in outlast.yaml, or AWS_REGION") {
		t.Errorf("error: %v", err)
	}
}

func TestWhereTheRegionAndTheKeyComeFrom(t *testing.T) {
	bare(t, "AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=AKIAENV", "AWS_SECRET_ACCESS_KEY=secret")
	files := map[string]string{"AWS_CONFIG_FILE": "[profile china]\nregion = cn-north-1\n", "AWS_SHARED_CREDENTIALS_FILE": "[china]\naws_access_key_id = AKIACHINA\naws_secret_access_key = secret\n"}
	for name, text := range files {
		if err := os.WriteFile(os.Getenv(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cases := map[string]struct {
		opt         Options
		region, key string
	}{
		"the environment":          {Options{}, "eu-west-1", "AKIAENV"},
		"our own option before it": {Options{Region: "cn-northwest-1"}, "cn-northwest-1", "AKIAENV"},
		"a profile's key":          {Options{Profile: "china", Region: "cn-north-1"}, "cn-north-1", "AKIACHINA"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			cfg, err := Load(t.Context(), c.opt)
			if err != nil {
				t.Fatal(err)
			}
			key, err := cfg.Credentials.Retrieve(t.Context())
			if err != nil || cfg.Region != c.region || key.AccessKeyID != c.key {
				t.Errorf("%s, %s (%v); want %s, %s", cfg.Region, key.AccessKeyID, err, c.region, c.key)
			}
		})
	}
	if _, err := Load(t.Context(), Options{Profile: "absent"}); err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("a profile that is not there: %v", err)
	}
}

func TestWhatSTSSaysOfALogin(t *testing.T) {
	cases := map[string]struct {
		code, said string
		auth       bool
	}{
		"an unknown key":    {"InvalidClientTokenId", "AWS does not accept the credentials (wrong key, or the key of another partition)", true},
		"a wrong secret":    {"SignatureDoesNotMatch", "AWS does not accept the credentials", true},
		"expired ones":      {"ExpiredToken", "the AWS credentials have expired; renew them", true},
		"a denied call":     {"AccessDenied", "not allowed; add the action to the role's policy", true},
		"something unusual": {"Unusual", "asking STS who we are in cn-northwest-1: said AWS (Unusual)", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			sts := newService(t, func(int, url.Values, string) (int, string) {
				return http.StatusForbidden, queryError(c.code, "said AWS")
			})
			_, err := WhoAmI(t.Context(), login(sts))
			var auth *AuthError
			if err == nil || errors.As(err, &auth) != c.auth || !strings.Contains(err.Error(), c.said) || strings.Contains(err.Error(), "secret") {
				t.Errorf("error %v", err)
			}
		})
	}
	bare(t, "AWS_REGION=cn-northwest-1")
	cfg, err := Load(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = WhoAmI(t.Context(), cfg)
	var auth *AuthError
	if !errors.As(err, &auth) || !strings.Contains(err.Error(), "finding AWS credentials: none in the environment") {
		t.Errorf("no credentials: %v", err)
	}
}

// retryConnections tries again only when a connection broke: the SDK closes a
// request's body while net/http may still look whether there is more of it,
// which now and then ends the connection (github.com/aws/aws-sdk-go-v2/issues/2737).
func retryConnections() awssdk.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.Retryables = []retry.IsErrorRetryable{retry.RetryableConnectionError{}}
	})
}

// login is a login to a service.
func login(s *service) awssdk.Config {
	return awssdk.Config{Region: "cn-northwest-1", BaseEndpoint: &s.URL, Retryer: retryConnections, Credentials: credentials.NewStaticCredentialsProvider("AKIA", "secret", "")}
}

func TestAClusterOfEKS(t *testing.T) {
	ca := base64.StdEncoding.EncodeToString([]byte("PEM"))
	cases := map[string]struct {
		status int
		body   string
		want   Cluster
		said   string
	}{
		"one that is there":         {200, `{"cluster":{"name":"dev","status":"ACTIVE","version":"1.37","endpoint":"https://kube","certificateAuthority":{"data":"` + ca + `"}}}`, Cluster{"https://kube", []byte("PEM"), "1.37"}, ""},
		"one that is updated":       {200, `{"cluster":{"status":"UPDATING","endpoint":"https://kube","certificateAuthority":{"data":"` + ca + `"}}}`, Cluster{"https://kube", []byte("PEM"), ""}, ""},
		"one that is made":          {200, `{"cluster":{"status":"CREATING"}}`, Cluster{}, "it has no endpoint yet"},
		"one without an endpoint":   {200, `{"cluster":{"status":"ACTIVE","certificateAuthority":{"data":"` + ca + `"}}}`, Cluster{}, "it has no endpoint yet"},
		"one without a certificate": {200, `{"cluster":{"status":"ACTIVE","endpoint":"https://kube"}}`, Cluster{}, "it has no endpoint yet"},
		"one that is removed":       {200, `{"cluster":{"status":"DELETING","endpoint":"https://kube","certificateAuthority":{"data":"` + ca + `"}}}`, Cluster{}, "its status is DELETING, not ACTIVE"},
		"a broken certificate":      {200, `{"cluster":{"status":"ACTIVE","endpoint":"https://kube","certificateAuthority":{"data":"%"}}}`, Cluster{}, "reading its certificate"},
		"none of that name":         {404, `{"message":"No cluster found for name: dev."}`, Cluster{}, "describing EKS cluster dev in cn-northwest-1: there is none of this name in that region and account; check the name and the region"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var path string
			eks := newService(t, func(_ int, _ url.Values, p string) (int, string) { path = p; return c.status, c.body })
			got, err := DescribeCluster(t.Context(), login(eks), "dev")
			if diff := cmp.Diff(c.want, got); diff != "" || (err == nil) != (c.said == "") || err != nil && !strings.Contains(err.Error(), c.said) {
				t.Errorf("error %v, cluster (-want +got):\n%s", err, diff)
			}
			if path != "/clusters/dev" {
				t.Errorf("asked for %s", path)
			}
		})
	}
}

// EKS accepts a request to the region's public STS host only, signed together
// with the cluster's name.
func TestTheTokenForEKS(t *testing.T) {
	for region, host := range map[string]string{
		"us-east-1": "sts.us-east-1.amazonaws.com", "eu-west-1": "sts.eu-west-1.amazonaws.com",
		"cn-northwest-1": "sts.cn-northwest-1.amazonaws.com.cn", "us-gov-west-1": "sts.us-gov-west-1.amazonaws.com",
	} {
		t.Run(region, func(t *testing.T) {
			bare(t, "AWS_REGION="+region, "AWS_ACCESS_KEY_ID=AKIA", "AWS_SECRET_ACCESS_KEY=secret", "AWS_SESSION_TOKEN=session", "AWS_ENDPOINT_URL_STS=http://127.0.0.1:1", "AWS_ENDPOINT_URL=http://127.0.0.1:1", "AWS_STS_REGIONAL_ENDPOINTS=legacy")
			cfg, err := Load(t.Context(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			token, ends, err := Token(t.Context(), cfg, "dev")
			if err != nil {
				t.Fatal(err)
			}
			body, ok := strings.CutPrefix(token, "k8s-aws-v1.")
			text, err := base64.RawURLEncoding.DecodeString(body)
			if !ok || err != nil {
				t.Fatalf("token %q: %v", token, err)
			}
			u, err := url.Parse(string(text))
			if err != nil {
				t.Fatal(err)
			}
			q := u.Query()
			if u.Scheme != "https" || u.Host != host || q.Get("Action") != "GetCallerIdentity" || q.Get("X-Amz-Expires") != "60" || q.Get("X-Amz-Security-Token") != "session" {
				t.Errorf("presigned: %s", u)
			}
			if signed := strings.Split(q.Get("X-Amz-SignedHeaders"), ";"); !slices.Contains(signed, "x-k8s-aws-id") || !slices.Contains(signed, "host") {
				t.Errorf("signed headers: %v", signed)
			}
			if !strings.HasPrefix(q.Get("X-Amz-Credential"), "AKIA/") || !strings.Contains(q.Get("X-Amz-Credential"), "/"+region+"/sts/") {
				t.Errorf("credential: %s", q.Get("X-Amz-Credential"))
			}
			if left := time.Until(ends); left < 13*time.Minute || left > 15*time.Minute {
				t.Errorf("it is kept for %s; EKS takes it for 15 minutes", left)
			}
		})
	}
}

const health = `<DescribeTargetHealthResponse><DescribeTargetHealthResult><TargetHealthDescriptions>
<member><Target><Id>10.0.0.1</Id><Port>8080</Port></Target><TargetHealth><State>healthy</State></TargetHealth></member>
<member><Target><Id>10.0.0.2</Id><Port>8081</Port></Target><TargetHealth><State>unhealthy</State><Reason>Target.ResponseCodeMismatch</Reason><Description>codes: [503]</Description></TargetHealth></member>
<member><Target><Id>10.0.0.3</Id><Port>8080</Port></Target><TargetHealth><State>draining</State><Reason>Target.DeregistrationInProgress</Reason></TargetHealth></member>
<member><Target><Id>10.0.0.4</Id></Target></member>
</TargetHealthDescriptions></DescribeTargetHealthResult></DescribeTargetHealthResponse>`

func TestTheHealthOfTargets(t *testing.T) {
	elb := newService(t, func(int, url.Values, string) (int, string) { return http.StatusOK, health })
	got, err := NewBalancer(login(elb)).TargetHealth(t.Context(), "arn")
	if err != nil {
		t.Fatal(err)
	}
	want := []gate.Target{
		{ID: "10.0.0.1", Port: 8080, State: "healthy"},
		{ID: "10.0.0.2", Port: 8081, State: "unhealthy", Reason: "Target.ResponseCodeMismatch", Description: "codes: [503]"},
		{ID: "10.0.0.3", Port: 8080, State: "draining", Reason: "Target.DeregistrationInProgress"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if f := elb.asked[0]; f.Get("Action") != "DescribeTargetHealth" || f.Get("TargetGroupArn") != "arn" || f.Get("Targets.member.1.Id") != "" {
		t.Errorf("asked: %v", f)
	}
}

func TestWhatELBRefuses(t *testing.T) {
	cases := map[string]struct {
		code  string
		check string // what Check says; empty: it passes
		auth  bool
	}{
		"no target group at all is an answer": {"TargetGroupNotFound", "", false},
		"a refusal":                           {"AccessDenied", "not allowed; add the action to the role's policy: said AWS (AccessDenied) (the gate needs elasticloadbalancing:DescribeTargetHealth and DescribeTargetGroups)", true},
		"an error":                            {"Unusual", "asking ELBv2 for target groups: said AWS (Unusual)", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			elb := newService(t, func(int, url.Values, string) (int, string) {
				return http.StatusBadRequest, queryError(c.code, "said AWS")
			})
			b := NewBalancer(login(elb))
			err := b.Check(t.Context())
			var auth *AuthError
			if (err == nil) != (c.check == "") || err != nil && !strings.Contains(err.Error(), c.check) || errors.As(err, &auth) != c.auth {
				t.Errorf("check: %v", err)
			}
			if targets, err := b.TargetHealth(t.Context(), "arn"); err == nil || targets != nil {
				t.Errorf("an error must not look like no targets: %v, %v", targets, err)
			}
		})
	}
}

// A wait asks once a second at most; a check of manifests, for whose answer somebody
// waits, ten times at once and then twice a second.
func TestTheBudgetOfCalls(t *testing.T) {
	cases := map[string]struct {
		make func(awssdk.Config) *Balancer
		want func(calls int) time.Duration
	}{
		"a wait":  {NewBalancer, func(calls int) time.Duration { return time.Duration(calls-1) * time.Second }},
		"a check": {NewAttributes, func(calls int) time.Duration { return time.Duration(max(0, calls-10)) * time.Second / 2 }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := c.make(awssdk.Config{Region: "cn-northwest-1", Credentials: credentials.NewStaticCredentialsProvider("AKIA", "secret", ""),
					HTTPClient: client(func(r *http.Request) (*http.Response, error) {
						return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Request: r, Body: io.NopCloser(strings.NewReader(health))}, nil
					})})
				began := time.Now()
				for i := range 16 {
					if _, err := b.TargetHealth(t.Context(), "arn"); err != nil {
						t.Fatal(err)
					}
					if took, want := time.Since(began), c.want(i+1); took != want {
						t.Errorf("%d calls took %s, want %s", i+1, took, want)
					}
				}
			})
		})
	}
}

func TestACallWithoutBudgetIsNotMade(t *testing.T) {
	elb := newService(t, func(int, url.Values, string) (int, string) { return http.StatusOK, health })
	b := NewBalancer(login(elb))
	b.budget = rate.NewLimiter(0, 0)
	if _, err := b.TargetHealth(t.Context(), "arn"); err == nil || len(elb.asked) > 0 {
		t.Errorf("%d calls, error %v", len(elb.asked), err)
	}
}
