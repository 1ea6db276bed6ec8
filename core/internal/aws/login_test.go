// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/outlast-ci/outlast/core/gate"
)

// assumed is STS's answer to AssumeRole.
func assumed(key string) string {
	return `<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>` + key + `</AccessKeyId><SecretAccessKey>secret-` + key + `</SecretAccessKey><SessionToken>session-` + key + `</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`
}

const caller = `<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>us</Arn><Account>111122223333</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`

// configFile writes the shared config of this test.
func configFile(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(os.Getenv("AWS_CONFIG_FILE"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A profile that assumes a role of its own is the ground on which ours stands.
func TestRolesAreChained(t *testing.T) {
	sts := newService(t, func(_ int, form url.Values, _ string) (int, string) {
		switch form.Get("RoleArn") {
		case "":
			return http.StatusOK, caller
		case "arn:aws-cn:iam::111122223333:role/first":
			return http.StatusOK, assumed("ASIAFIRST")
		default:
			return http.StatusOK, assumed("ASIASECOND")
		}
	})
	bare(t, "AWS_ENDPOINT_URL_STS="+sts.URL)
	configFile(t, `
[profile base]
aws_access_key_id = AKIABASE
aws_secret_access_key = secret
[profile first]
region = cn-northwest-1
source_profile = base
role_arn = arn:aws-cn:iam::111122223333:role/first
`)
	cfg, err := Load(t.Context(), Options{Profile: "first", Role: Role{ARN: "arn:aws-cn:iam::444455556666:role/second", Session: "ci-42"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := WhoAmI(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if len(sts.asked) != 3 {
		t.Fatalf("asked: %v", sts.asked)
	}
	for i, key := range []string{"AKIABASE", "ASIAFIRST", "ASIASECOND"} {
		if signed := sts.headers[i].Get("Authorization"); !strings.Contains(signed, "Credential="+key+"/") || !strings.Contains(signed, "/cn-northwest-1/sts/") {
			t.Errorf("call %d is signed by %s, want %s", i, signed, key)
		}
	}
	second := sts.asked[1]
	if second.Get("RoleArn") != "arn:aws-cn:iam::444455556666:role/second" || second.Get("RoleSessionName") != "ci-42" || second.Has("ExternalId") {
		t.Errorf("asked: %v", second)
	}
}

func TestTheRegionOfAProfileIsTaken(t *testing.T) {
	bare(t)
	configFile(t, "[profile china]\nregion = cn-north-1\n")
	if cfg, err := Load(t.Context(), Options{Profile: "china"}); err != nil || cfg.Region != "cn-north-1" {
		t.Errorf("%q, %v", cfg.Region, err)
	}
}

func TestAConfigThatCannotBeReadIsAboutTheLogin(t *testing.T) {
	bare(t, "AWS_REGION=cn-northwest-1", "AWS_MAX_ATTEMPTS=many")
	_, err := Load(t.Context(), Options{})
	var auth *AuthError
	if !errors.As(err, &auth) || !strings.Contains(err.Error(), "reading the AWS configuration: ") || errors.Unwrap(auth) == nil {
		t.Errorf("error: %v", err)
	}
}

func TestWeAreNamedInTheUserAgent(t *testing.T) {
	sts := newService(t, func(int, url.Values, string) (int, string) { return http.StatusOK, caller })
	bare(t, "AWS_REGION=cn-northwest-1", "AWS_ACCESS_KEY_ID=AKIA", "AWS_SECRET_ACCESS_KEY=secret", "AWS_ENDPOINT_URL="+sts.URL)
	cfg, err := Load(t.Context(), Options{UserAgent: "outlast"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := WhoAmI(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if agent := sts.headers[0].Get("User-Agent"); !strings.Contains(agent, "app/outlast") {
		t.Errorf("user agent %q", agent)
	}
}

// With credentials at hand but no role for them, advice to set credentials
// would lead astray.
func TestARoleThatSTSDoesNotGive(t *testing.T) {
	cases := map[string]struct{ code, said string }{
		"a role that does not trust us":             {"AccessDenied", "not allowed; add the action to the role's policy: said AWS (AccessDenied)"},
		"a session that has ended":                  {"ExpiredToken", "the AWS credentials have expired; renew them"},
		"a key that is none":                        {"InvalidClientTokenId", "AWS does not accept the credentials"},
		"a role's name that STS does not recognise": {"ValidationError", "said AWS (ValidationError)"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			sts := newService(t, func(int, url.Values, string) (int, string) {
				return http.StatusForbidden, queryError(c.code, "said AWS")
			})
			bare(t, "AWS_REGION=cn-northwest-1", "AWS_ACCESS_KEY_ID=AKIA", "AWS_SECRET_ACCESS_KEY=secret", "AWS_ENDPOINT_URL_STS="+sts.URL)
			cfg, err := Load(t.Context(), Options{Role: Role{ARN: "role-arn"}})
			if err != nil {
				t.Fatal(err)
			}
			_, err = WhoAmI(t.Context(), cfg)
			var auth *AuthError
			if !errors.As(err, &auth) || !strings.Contains(err.Error(), "getting a role's credentials (the role must trust the caller) in cn-northwest-1: "+c.said) {
				t.Errorf("error: %v", err)
			}
			if strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") || strings.Contains(err.Error(), "secret") {
				t.Errorf("error: %v", err)
			}
		})
	}
}

// client answers requests without a network.
type client func(*http.Request) (*http.Response, error)

func (c client) Do(r *http.Request) (*http.Response, error) { return c(r) }

// A region that does not exist has no host.
func TestARegionThatIsNoneIsNamed(t *testing.T) {
	cfg := awssdk.Config{Region: "eu-wst-1", Retryer: func() awssdk.Retryer { return awssdk.NopRetryer{} },
		Credentials: credentials.NewStaticCredentialsProvider("AKIA", "secret", ""),
		HTTPClient: client(func(r *http.Request) (*http.Response, error) {
			return nil, &net.DNSError{Err: "no such host", Name: r.URL.Host, IsNotFound: true}
		})}
	cases := map[string]func(context.Context) error{
		"asking STS who we are in eu-wst-1: ":      func(ctx context.Context) error { _, err := WhoAmI(ctx, cfg); return err },
		"describing EKS cluster dev in eu-wst-1: ": func(ctx context.Context) error { _, err := DescribeCluster(ctx, cfg, "dev"); return err },
		"asking ELBv2 for target groups: ":         func(ctx context.Context) error { return NewBalancer(cfg).Check(ctx) },
		"describing the target health of some-group:": func(ctx context.Context) error {
			_, err := NewBalancer(cfg).TargetHealth(ctx, "some-group")
			return err
		},
	}
	for said, call := range cases {
		err := call(t.Context())
		var auth *AuthError
		if err == nil || errors.As(err, &auth) || !strings.HasPrefix(err.Error(), said) || !strings.Contains(err.Error(), "no such host") || !strings.Contains(err.Error(), "eu-wst-1") || strings.Contains(err.Error(), "\n") {
			t.Errorf("error: %v", err)
		}
	}
}

func TestWhatEKSRefuses(t *testing.T) {
	cases := map[string]struct {
		status int
		code   string
		said   string
		auth   bool
	}{
		"a caller without permission":    {403, "AccessDeniedException", "describing EKS cluster dev in cn-northwest-1: not allowed; add the action to the role's policy: said AWS", true},
		"a session that has ended":       {403, "ExpiredTokenException", "the AWS credentials have expired; renew them", true},
		"the key of another partition":   {403, "UnrecognizedClientException", "the key of another partition", true},
		"a clock that is far off":        {403, "InvalidSignatureException", "AWS does not accept the credentials", true},
		"a request without a key":        {403, "MissingAuthenticationTokenException", "AWS does not accept the credentials", true},
		"a name that EKS does not allow": {400, "InvalidParameterException", "describing EKS cluster dev in cn-northwest-1: said AWS (InvalidParameterException)", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			eks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("X-Amzn-Errortype", c.code)
				w.WriteHeader(c.status)
				fmt.Fprint(w, `{"message":"said AWS"}`)
			}))
			t.Cleanup(eks.Close)
			got, err := DescribeCluster(t.Context(), login(&service{Server: eks}), "dev")
			var auth *AuthError
			if err == nil || errors.As(err, &auth) != c.auth || !strings.Contains(err.Error(), c.said) || got.Endpoint != "" {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// EKS verifies a token by sending its request to STS, with the name of the
// cluster in a header; STS signs it anew and compares. So do we.
func TestATokenIsGoodForItsClusterOnly(t *testing.T) {
	bare(t, "AWS_REGION=cn-northwest-1", "AWS_ACCESS_KEY_ID=AKIA", "AWS_SECRET_ACCESS_KEY=secret")
	cfg, err := Load(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := Token(t.Context(), cfg, "dev")
	if err != nil || strings.Contains(token, "secret") {
		t.Fatal(err)
	}
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, "k8s-aws-v1."))
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	made, err := time.Parse("20060102T150405Z", q.Get("X-Amz-Date"))
	if err != nil {
		t.Fatal(err)
	}
	for cluster, good := range map[string]bool{"dev": true, "prod": false, "": false} {
		u.RawQuery = url.Values{"Action": q["Action"], "Version": q["Version"], "X-Amz-Expires": q["X-Amz-Expires"]}.Encode()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u.String(), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("x-k8s-aws-id", cluster)
		const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
		signed, _, err := v4.NewSigner().PresignHTTP(t.Context(), awssdk.Credentials{AccessKeyID: "AKIA", SecretAccessKey: "secret"}, req, empty, "sts", "cn-northwest-1", made)
		if err != nil {
			t.Fatal(err)
		}
		again, err := url.Parse(signed)
		if err != nil {
			t.Fatal(err)
		}
		if same := again.Query().Get("X-Amz-Signature") == q.Get("X-Amz-Signature"); same != good {
			t.Errorf("for cluster %q the signature is good: %t", cluster, same)
		}
	}
}

// An endpoint may be set for a profile, too.
func TestTheTokenHeedsNoEndpointOfAProfile(t *testing.T) {
	bare(t)
	configFile(t, "[profile lab]\nregion = cn-northwest-1\naws_access_key_id = AKIA\naws_secret_access_key = secret\nservices = lab\n[services lab]\nsts =\n  endpoint_url = http://127.0.0.1:1\n")
	cfg, err := Load(t.Context(), Options{Profile: "lab"})
	if err != nil {
		t.Fatal(err)
	}
	base := "http://127.0.0.1:1"
	cfg.BaseEndpoint = &base
	token, _, err := Token(t.Context(), cfg, "dev")
	if err != nil {
		t.Fatal(err)
	}
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, "k8s-aws-v1."))
	if err != nil || !strings.HasPrefix(string(text), "https://sts.cn-northwest-1.amazonaws.com.cn/?") {
		t.Errorf("%s, %v", text, err)
	}
	if cfg.BaseEndpoint != &base {
		t.Error("the caller's config was changed")
	}
}

func TestATokenIsRenewedAMinuteBeforeItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := awssdk.Config{Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("AKIA", "secret", "")}
		first, ends, err := Token(t.Context(), cfg, "dev")
		if err != nil || time.Until(ends) != 14*time.Minute {
			t.Errorf("kept for %s, %v", time.Until(ends), err)
		}
		time.Sleep(time.Until(ends))
		if second, _, err := Token(t.Context(), cfg, "dev"); err != nil || second == first {
			t.Errorf("the same token after 14 minutes (%v)", err)
		}
	})
}

func TestNoTokenWithoutCredentials(t *testing.T) {
	bare(t, "AWS_REGION=cn-northwest-1")
	cfg, err := Load(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := Token(t.Context(), cfg, "dev")
	if err == nil || token != "" || !strings.Contains(err.Error(), "signing the login to EKS cluster dev in cn-northwest-1: ") {
		t.Errorf("%q, %v", token, err)
	}
}

// refusing is a balancer whose service answers nothing but Throttling.
func refusing(t *testing.T, asked *int) *Balancer {
	t.Helper()
	cfg, err := Load(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	cfg.HTTPClient = client(func(r *http.Request) (*http.Response, error) {
		*asked++
		return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{"Content-Type": {"text/xml"}}, Request: r,
			Body: io.NopCloser(strings.NewReader(queryError("Throttling", "Rate exceeded")))}, nil
	})
	return NewBalancer(cfg)
}

// A poll that is throttled is the caller's to repeat; what is asked once, before
// anything is changed, outlives a minute of it. Neither differs by the SDK's new way to retry.
func TestHowLongThrottlingIsLivedWith(t *testing.T) {
	for _, env := range []string{"false", "true"} {
		t.Run("AWS_NEW_RETRIES_2026="+env, func(t *testing.T) {
			bare(t, "AWS_REGION=cn-northwest-1", "AWS_ACCESS_KEY_ID=AKIA", "AWS_SECRET_ACCESS_KEY=secret", "AWS_NEW_RETRIES_2026="+env)
			synctest.Test(t, func(t *testing.T) {
				asked, began := 0, time.Now()
				_, err := refusing(t, &asked).TargetHealth(t.Context(), "arn")
				if !errors.Is(err, gate.ErrThrottled) || !strings.Contains(err.Error(), "describing the target health of arn: Rate exceeded (Throttling)") || asked != 1 || time.Since(began) > 0 {
					t.Errorf("a poll: after %d tries in %s: %v", asked, time.Since(began), err)
				}
				asked = 0
				err = refusing(t, &asked).Check(t.Context())
				if took := time.Since(began); err == nil || asked != 18 || took < 65*time.Second || took > 150*time.Second {
					t.Errorf("the check: after %d tries in %s: %v", asked, took, err)
				}
			})
		})
	}
}

func TestWhatIsThrottling(t *testing.T) {
	cases := map[string]struct {
		code, message string
		want          bool
	}{
		"by its code":                        {"Throttling", "slow", true},
		"by another":                         {"RequestLimitExceeded", "slow", true},
		"by the words of a validation error": {"ValidationError", "Request limit exceeded for account", true},
		"by others, of whatever case":        {"ValidationException", "RATE EXCEEDED", true},
		"not a validation error":             {"ValidationError", "1 validation error detected", false},
		"not a group that is not there":      {"TargetGroupNotFound", "One or more target groups not found", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			elb := newService(t, func(int, url.Values, string) (int, string) {
				return http.StatusBadRequest, queryError(c.code, c.message)
			})
			_, err := NewBalancer(login(elb)).TargetHealth(t.Context(), "arn")
			if err == nil || errors.Is(err, gate.ErrThrottled) != c.want || errors.Is(err, gate.ErrNoTargetGroup) != (c.code == "TargetGroupNotFound") {
				t.Errorf("%v", err)
			}
		})
	}
}

// Connections and servers that fail are tried again, a poll a few times only.
func TestWhatIsBrokenIsTriedAgain(t *testing.T) {
	bare(t, "AWS_REGION=cn-northwest-1", "AWS_ACCESS_KEY_ID=AKIA", "AWS_SECRET_ACCESS_KEY=secret")
	synctest.Test(t, func(t *testing.T) {
		cfg, err := Load(t.Context(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		asked := 0
		cfg.HTTPClient = client(func(r *http.Request) (*http.Response, error) {
			asked++
			return &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{}, Request: r, Body: io.NopCloser(strings.NewReader(queryError("ServiceUnavailable", "sorry")))}, nil
		})
		if _, err := NewBalancer(cfg).TargetHealth(t.Context(), "arn"); err == nil || asked != 3 {
			t.Errorf("a poll: %d tries, %v", asked, err)
		}
		asked = 0
		if err := NewBalancer(cfg).Check(t.Context()); err == nil || asked != 8 {
			t.Errorf("a check: %d tries, %v", asked, err)
		}
	})
}

func TestACancelledCallStopsWaitingForAWS(t *testing.T) {
	bare(t, "AWS_REGION=cn-northwest-1", "AWS_ACCESS_KEY_ID=AKIA", "AWS_SECRET_ACCESS_KEY=secret")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
		defer cancel()
		asked, began := 0, time.Now()
		b := refusing(t, &asked)
		if targets, err := b.TargetHealth(ctx, "arn"); err == nil || targets != nil || time.Since(began) > time.Nanosecond {
			t.Errorf("%v, %v after %s", targets, err, time.Since(began))
		}
		if _, err := b.TargetHealth(ctx, "arn"); err == nil || asked > 1 {
			t.Errorf("%d calls, %v", asked, err)
		}
	})
}

func TestWhatTargetHealthRefuses(t *testing.T) {
	cases := map[string]struct {
		code, said string
		auth       bool
	}{
		"a group that is gone":        {"TargetGroupNotFound", "describing the target health of some-group: said AWS (TargetGroupNotFound)", false},
		"a caller without permission": {"AccessDenied", "describing the target health of some-group: not allowed; add the action to the role's policy: said AWS (AccessDenied)", true},
		"a session that has ended":    {"ExpiredToken", "the AWS credentials have expired; renew them", true},
		"a request that came late":    {"RequestExpired", "the AWS credentials have expired; renew them", true},
		"a request without a key":     {"MissingAuthenticationToken", "AWS does not accept the credentials", true},
		"a key that ELB cannot use":   {"AuthFailure", "AWS does not accept the credentials", true},
		"an operation that is closed": {"UnauthorizedOperation", "not allowed; add the action", true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			elb := newService(t, func(int, url.Values, string) (int, string) {
				return http.StatusBadRequest, queryError(c.code, "said AWS")
			})
			targets, err := NewBalancer(login(elb)).TargetHealth(t.Context(), "some-group")
			var auth *AuthError
			if err == nil || targets != nil || errors.As(err, &auth) != c.auth || !strings.Contains(err.Error(), c.said) {
				t.Errorf("%v, %v", targets, err)
			}
		})
	}
}

func TestCheckAsksForOneGroupOnly(t *testing.T) {
	elb := newService(t, func(int, url.Values, string) (int, string) {
		return http.StatusOK, `<DescribeTargetGroupsResponse><DescribeTargetGroupsResult><TargetGroups/></DescribeTargetGroupsResult></DescribeTargetGroupsResponse>`
	})
	if err := NewBalancer(login(elb)).Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f := elb.asked[0]; f.Get("Action") != "DescribeTargetGroups" || f.Get("PageSize") != "1" {
		t.Errorf("asked: %v", f)
	}
}

// An empty group is no error, and no target may be made of nothing.
func TestAGroupWithoutTargets(t *testing.T) {
	elb := newService(t, func(int, url.Values, string) (int, string) {
		return http.StatusOK, `<DescribeTargetHealthResponse><DescribeTargetHealthResult><TargetHealthDescriptions><member><TargetHealth><State>healthy</State></TargetHealth></member></TargetHealthDescriptions></DescribeTargetHealthResult></DescribeTargetHealthResponse>`
	})
	if targets, err := NewBalancer(login(elb)).TargetHealth(t.Context(), "arn"); err != nil || len(targets) != 0 {
		t.Errorf("%v, %v", targets, err)
	}
}

func TestTheReasonOfAnSDKErrorIsKeptAndItsRepetitionDropped(t *testing.T) {
	cases := map[string]struct{ in, want string }{
		"retries are named once":    {"operation error STS: GetCallerIdentity, exceeded maximum number of attempts, 8, dial tcp: refused", "exceeded maximum number of attempts, 8, dial tcp: refused"},
		"the innermost retries win": {"exceeded maximum number of attempts, 3, exceeded maximum number of attempts, 8, refused", "exceeded maximum number of attempts, 8, refused"},
		"lines become one":          {"no\n  host\tthere", "no host there"},
	}
	for name, c := range cases {
		if got := shorten(errors.New(c.in)).Error(); got != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A web identity's token is a file: CI's OIDC hands it over.
func TestAWebIdentity(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("secret-oidc"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, works := range map[string]bool{"a token that STS takes": true, "a token that STS refuses": false} {
		t.Run(name, func(t *testing.T) {
			sts := newService(t, func(_ int, form url.Values, _ string) (int, string) {
				switch {
				case form.Get("Action") != "AssumeRoleWithWebIdentity":
					return http.StatusOK, caller
				case works && form.Get("WebIdentityToken") == "secret-oidc":
					return http.StatusOK, strings.ReplaceAll(assumed("ASIAWEB"), "AssumeRole", "AssumeRoleWithWebIdentity")
				default:
					return http.StatusForbidden, queryError("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
				}
			})
			bare(t, "AWS_REGION=cn-northwest-1", "AWS_WEB_IDENTITY_TOKEN_FILE="+file, "AWS_ROLE_ARN=role-arn", "AWS_ENDPOINT_URL_STS="+sts.URL)
			cfg, err := Load(t.Context(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			_, err = WhoAmI(t.Context(), cfg)
			var auth *AuthError
			switch {
			case works && err != nil:
				t.Error(err)
			case !works && (!errors.As(err, &auth) || !strings.Contains(err.Error(), "the role must trust the caller") || !strings.Contains(err.Error(), "sts:AssumeRoleWithWebIdentity") || strings.Contains(err.Error(), "secret")):
				t.Errorf("error: %v", err)
			}
		})
	}
}
