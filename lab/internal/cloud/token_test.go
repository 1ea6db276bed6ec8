// SPDX-License-Identifier: Apache-2.0

package cloud_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// presign makes an EKS token with the SDK's presigner, as its users do.
func presign(t *testing.T, cfg aws.Config, cluster, expires string) string {
	t.Helper()
	cfg.BaseEndpoint = nil // the region's public host
	p := sts.NewPresignClient(sts.NewFromConfig(cfg))
	out, err := p.PresignGetCallerIdentity(context.Background(), &sts.GetCallerIdentityInput{}, func(o *sts.PresignOptions) {
		o.ClientOptions = append(o.ClientOptions, func(o *sts.Options) {
			if cluster != "" {
				o.APIOptions = append(o.APIOptions, smithyhttp.SetHeaderValue("x-k8s-aws-id", cluster))
			}
			if expires != "" {
				o.APIOptions = append(o.APIOptions, smithyhttp.SetHeaderValue("X-Amz-Expires", expires))
			}
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.URL
}

func encode(url string) string {
	return "k8s-aws-v1." + base64.RawURLEncoding.EncodeToString([]byte(url))
}

type review struct {
	Status struct {
		Authenticated bool
		User          struct {
			Username string
			Groups   []string
			Extra    map[string][]string
		}
		Error string
	}
}

func (l *lab) review(t *testing.T, token string) review {
	t.Helper()
	body := must(json.Marshal(map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": map[string]string{"token": token}}))(t)
	w := httptest.NewRecorder()
	l.TokenReview().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body)))
	var r review
	if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	return r
}

func TestTokenOfTheSDKsPresignerIsTaken(t *testing.T) {
	for _, region := range []string{"us-east-1", "cn-northwest-1"} {
		t.Run(region, func(t *testing.T) {
			l := newLab(t, region)
			r := l.review(t, encode(presign(t, l.own(), "lab", "60")))
			if !r.Status.Authenticated || r.Status.User.Username != "deployer" || r.Status.User.Groups[0] != "outlast:deployers" {
				t.Fatalf("got %+v", r)
			}
			l.clock.move(14 * time.Minute) // 15 minutes it is, whatever X-Amz-Expires says
			old := presign(t, l.own(), "lab", "60")
			if r := l.review(t, encode(old)); !r.Status.Authenticated {
				t.Errorf("after 14 minutes: %s", r.Status.Error)
			}
			role := roleARN(region)
			l.clock.move(-14 * time.Minute)
			cr := must(l.sts().AssumeRole(context.Background(), &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("ci")}))(t).Credentials
			r = l.review(t, encode(presign(t, l.sdk(region, *cr.AccessKeyId, *cr.SecretAccessKey, *cr.SessionToken), "lab", "60")))
			if r.Status.User.Username != "role-user" || !strings.Contains(r.Status.User.Extra["arn"][0], ":assumed-role/deploy/ci") {
				t.Errorf("assumed role: got %+v", r)
			}
		})
	}
}

func TestTokensAreRefused(t *testing.T) {
	l := newLab(t, "cn-northwest-1")
	good := presign(t, l.own(), "lab", "60")
	for name, x := range map[string]struct {
		token string
		move  time.Duration
		want  string
	}{
		"no token":                     {"", 0, "does not begin with"},
		"not base64":                   {"k8s-aws-v1.***", 0, "base64url"},
		"another host":                 {encode(strings.Replace(good, "sts.cn-northwest-1.amazonaws.com.cn", "sts.example.com", 1)), 0, "only asks https://sts.cn-northwest-1.amazonaws.com.cn/"},
		"the lab's own endpoint":       {encode(strings.Replace(good, "https://sts.cn-northwest-1.amazonaws.com.cn", l.api.URL, 1)), 0, "only asks"},
		"plain http":                   {encode(strings.Replace(good, "https://", "http://", 1)), 0, "only asks"},
		"presigned for another region": {encode(presign(t, l.sdk("us-east-1", keyID, secret, ""), "lab", "60")), 0, "only asks"},
		"another cluster":              {encode(presign(t, l.own(), "prod", "60")), 0, "another cluster than \"lab\""},
		"cluster not signed":           {encode(presign(t, l.own(), "", "60")), 0, "not among the signed headers"},
		"without X-Amz-Expires":        {encode(presign(t, l.own(), "lab", "")), 0, "X-Amz-Expires is \"\""},
		"living too long":              {encode(presign(t, l.own(), "lab", "901")), 0, "not a number from 0 to 900"},
		"16 minutes old":               {encode(good), 16 * time.Minute, "too old"},
		"from the future":              {encode(good), -16 * time.Minute, "too old or from the future"},
		"signature changed":            {encode(flip(good)), 0, "does not match"},
		"parameter added":              {encode(good + "&Evil=1"), 0, "does not belong"},
		"another action":               {encode(strings.Replace(good, "GetCallerIdentity", "GetSessionToken", 1)), 0, "not GetCallerIdentity"},
		"unknown key":                  {encode(presign(t, l.sdk("cn-northwest-1", "AKIANOBODY", "x", ""), "lab", "60")), 0, "the access key is not known"},
		"wrong secret":                 {encode(presign(t, l.sdk("cn-northwest-1", keyID, "wrong", ""), "lab", "60")), 0, "does not match"},
		"user without access entry":    {encode(presign(t, l.sdk("cn-northwest-1", "AKIALABSTRANGER00001", "stranger-secret", ""), "lab", "60")), 0, "no access entry"},
	} {
		t.Run(name, func(t *testing.T) {
			l.clock.move(x.move)
			defer l.clock.move(-x.move)
			r := l.review(t, x.token)
			if r.Status.Authenticated || !strings.Contains(r.Status.Error, x.want) {
				t.Errorf("got %+v, want a refusal with %q", r.Status, x.want)
			}
			if strings.Contains(r.Status.Error, secret) {
				t.Error("the refusal shows the secret")
			}
		})
	}
}

// flip changes the last digit of the signature.
func flip(url string) string {
	i := strings.Index(url, "X-Amz-Signature=") + len("X-Amz-Signature=")
	c := byte('0')
	if url[i] == '0' {
		c = '1'
	}
	return url[:i] + string(c) + url[i+1:]
}
