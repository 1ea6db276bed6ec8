// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	first  = "arn:aws-cn:iam::111122223333:role/ci"
	second = "arn:aws-cn:iam::444455556666:role/team/deploy"
)

// issuer is an STS that gives a session for every role, named after the call.
func issuer(t *testing.T, life time.Duration) *service {
	return newService(t, func(n int, form url.Values, _ string) (int, string) {
		action := form.Get("Action")
		if action == "GetCallerIdentity" {
			return http.StatusOK, `<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws-cn:sts::111122223333:assumed-role/deploy/outlast</Arn><Account>111122223333</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`
		}
		return http.StatusOK, fmt.Sprintf(`<%[1]sResponse><%[1]sResult><Credentials><AccessKeyId>ASIA%[2]d</AccessKeyId><SecretAccessKey>secret%[2]d</SecretAccessKey><SessionToken>session%[2]d</SessionToken><Expiration>%[3]s</Expiration></Credentials></%[1]sResult></%[1]sResponse>`,
			action, n, time.Now().Add(life).UTC().Format(time.RFC3339))
	})
}

// calls tells what STS was asked, and by which key.
func calls(s *service) (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, form := range s.asked {
		words := []string{form.Get("Action")}
		for _, name := range []string{"RoleArn", "RoleSessionName", "ExternalId", "DurationSeconds", "WebIdentityToken"} {
			if v := form.Get(name); v != "" {
				words = append(words, v)
			}
		}
		key, _, _ := strings.Cut(strings.TrimPrefix(s.headers[i].Get("Authorization"), "AWS4-HMAC-SHA256 Credential="), "/")
		all = append(all, strings.TrimSpace(strings.Join(words, " ")+" by "+key))
	}
	return all
}

func TestRolesOneOnTopOfTheOther(t *testing.T) {
	token := func(_ context.Context, audience string) (string, error) { return "jwt-for-" + audience, nil }
	cases := map[string]struct {
		role Role
		want []string
	}{
		"none": {Role{}, []string{"GetCallerIdentity by AKIA"}},
		"one by the credentials that are there": {Role{ARN: first, ExternalID: "ours"},
			[]string{"AssumeRole " + first + " outlast ours 3600 by AKIA", "GetCallerIdentity by ASIA1"}},
		"two, the external id for the second": {Role{ARN: first, Chain: second, ExternalID: "ours", Session: "ship", Duration: 2 * time.Hour},
			[]string{"AssumeRole " + first + " ship 7200 by AKIA", "AssumeRole " + second + " ship ours 3600 by ASIA1", "GetCallerIdentity by ASIA2"}},
		"one by the CI's token, whose call nobody signs": {Role{ARN: first, Token: token},
			[]string{"AssumeRoleWithWebIdentity " + first + " outlast 3600 jwt-for-sts.amazonaws.com.cn by", "GetCallerIdentity by ASIA1"}},
		"by a token, then chained": {Role{ARN: first, Token: token, Audience: "mine", Chain: second, ExternalID: "ours", Duration: 30 * time.Minute},
			[]string{"AssumeRoleWithWebIdentity " + first + " outlast 1800 jwt-for-mine by", "AssumeRole " + second + " outlast ours 1800 by ASIA1", "GetCallerIdentity by ASIA2"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			sts := issuer(t, time.Hour)
			bare(t, "AWS_REGION=cn-northwest-1", "AWS_ACCESS_KEY_ID=AKIA", "AWS_SECRET_ACCESS_KEY=secret", "AWS_ENDPOINT_URL_STS="+sts.URL)
			var learnt []string
			cfg, err := Load(t.Context(), Options{Role: c.role, Learn: func(s string) { learnt = append(learnt, s) }})
			if err != nil {
				t.Fatal(err)
			}
			if len(calls(sts)) > 0 {
				t.Error("loading alone asked for something")
			}
			who, err := WhoAmI(t.Context(), cfg)
			if err != nil || who.Account != "111122223333" {
				t.Fatalf("%+v, %v", who, err)
			}
			if diff := cmp.Diff(c.want, calls(sts)); diff != "" {
				t.Error(diff)
			}
			if last := fmt.Sprintf("session%d", len(c.want)-1); c.role.ARN != "" && !slices.Contains(learnt, last) || !slices.ContainsFunc(learnt, func(s string) bool { return strings.HasPrefix(s, "secret") }) {
				t.Errorf("secrets learnt: %q", learnt)
			}
		})
	}
}

func TestASessionIsRenewedByANewToken(t *testing.T) {
	sts, asked := issuer(t, 4*time.Minute), 0 // within the five minutes before its end
	bare(t, "AWS_REGION=eu-west-1", "AWS_ENDPOINT_URL_STS="+sts.URL)
	cfg, err := Load(t.Context(), Options{Role: Role{ARN: first, Token: func(_ context.Context, audience string) (string, error) {
		asked++
		return fmt.Sprint(audience, asked), nil
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := cfg.Credentials.Retrieve(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := calls(sts); len(got) != 2 || !strings.Contains(got[1], "sts.amazonaws.com2") {
		t.Errorf("calls: %q", got)
	}
}

func TestWhyNoRoleComesOfAToken(t *testing.T) {
	cases := map[string]struct {
		token error
		code  string
		said  []string
	}{
		"the CI gives none":        {errors.New("403 from the CI"), "", []string{"getting an ID token of the CI for the audience sts.amazonaws.com.cn: 403 from the CI"}},
		"no provider for it":       {nil, "InvalidIdentityToken", []string{"STS does not take the CI's ID token", "identity provider", "audience"}},
		"the role does not trust":  {nil, "AccessDenied", []string{"the role must trust the caller"}},
		"the token is too old now": {nil, "ExpiredTokenException", []string{"expired"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			sts := newService(t, func(int, url.Values, string) (int, string) { return 400, queryError(c.code, "said AWS") })
			bare(t, "AWS_REGION=cn-north-1", "AWS_ENDPOINT_URL_STS="+sts.URL)
			cfg, err := Load(t.Context(), Options{Role: Role{ARN: first, Token: func(context.Context, string) (string, error) { return "jwt", c.token }}})
			if err != nil {
				t.Fatal(err)
			}
			_, err = WhoAmI(t.Context(), cfg)
			var auth *AuthError
			if !errors.As(err, &auth) || strings.Contains(err.Error(), "jwt") {
				t.Fatalf("error %v", err)
			}
			for _, words := range c.said {
				if !strings.Contains(err.Error(), words) {
					t.Errorf("error %v; want %q", err, words)
				}
			}
		})
	}
}

func TestRolesThatAreRefused(t *testing.T) {
	token := func(context.Context, string) (string, error) { return "", nil }
	cases := map[string]struct {
		role Role
		said string
	}{
		"none":                    {Role{}, ""},
		"all":                     {Role{ARN: first, Chain: second, ExternalID: "x", Session: "a.b", Duration: time.Hour, Token: token}, ""},
		"an ARN that is none":     {Role{ARN: "deploy"}, `role-arn: "deploy" is no ARN of an IAM role`},
		"a user's ARN":            {Role{ARN: "arn:aws:iam::111122223333:user/x"}, "is no ARN of an IAM role"},
		"an assumed role's":       {Role{ARN: first, Chain: "arn:aws:sts::111122223333:assumed-role/x/y"}, "chain-role-arn: "},
		"a chain from nowhere":    {Role{Chain: second}, "with one role, name it role-arn"},
		"an id without a role":    {Role{ExternalID: "x"}, "external-id belongs to a role"},
		"an id beside a token":    {Role{ARN: first, ExternalID: "x", Token: token}, "by an ID token takes none"},
		"a session with blanks":   {Role{ARN: first, Session: "a b"}, "role-session-name"},
		"a session of one letter": {Role{ARN: first, Session: "a"}, "role-session-name"},
		"too short a life":        {Role{ARN: first, Duration: 14 * time.Minute}, "role-duration"},
		"too long a life":         {Role{ARN: first, Duration: 13 * time.Hour}, "role-duration"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := c.role.Check()
			if c.said == "" && err != nil || c.said != "" && (err == nil || !strings.Contains(err.Error(), c.said)) {
				t.Errorf("error %v, want %q", err, c.said)
			}
		})
	}
}

func TestTheAudienceOfARegion(t *testing.T) {
	for region, want := range map[string]string{"eu-west-1": "sts.amazonaws.com", "us-east-1": "sts.amazonaws.com", "cn-northwest-1": "sts.amazonaws.com.cn", "cn-north-1": "sts.amazonaws.com.cn", "us-gov-west-1": "sts.amazonaws.com"} {
		if got, err := Audience(t.Context(), region); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", region, got, err, want)
		}
	}
}
