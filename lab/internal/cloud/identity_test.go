// SPDX-License-Identifier: Apache-2.0

package cloud_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/outlast-ci/outlast/lab/internal/cloud"
	"github.com/outlast-ci/outlast/lab/internal/cloud/auth"
)

func TestAJobsTokenBecomesARole(t *testing.T) {
	ctx := context.Background()
	ci, deploy := "arn:aws-cn:iam::123456789012:role/ci", "arn:aws-cn:iam::123456789012:role/deploy-all"
	key := filepath.Join(t.TempDir(), "issuer.pem")
	issuer, err := auth.LoadIssuer(key, "sts.amazonaws.com.cn")
	if err != nil {
		t.Fatal(err)
	}
	l := newLab(t, "cn-northwest-1")
	l.cfg.Issuer = issuer
	l.cfg.Users = append(l.cfg.Users,
		cloud.User{Name: "role-ci", ARN: ci, Deny: []string{"ecr:*"}, Trust: auth.Trust{Subject: "web"}},
		cloud.User{Name: "role-deploy", ARN: deploy, Trust: auth.Trust{Role: "role-ci", ExternalID: "x"}})
	l.open(t)
	again, err := auth.LoadIssuer(key, issuer.Audience) // the same key, from its file
	if err != nil {
		t.Fatal(err)
	}
	other, err := auth.LoadIssuer(filepath.Join(t.TempDir(), "other.pem"), issuer.Audience)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(i *auth.Issuer, subject, audience string, at time.Time) string {
		token, err := i.Sign(subject, audience, at)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	now := l.clock.now()
	good := sign(again, "web", issuer.Audience, now)
	become := func(token, role string) (*sts.AssumeRoleWithWebIdentityOutput, error) {
		return sts.NewFromConfig(l.sdk("cn-northwest-1", "", "", "")).AssumeRoleWithWebIdentity(ctx,
			&sts.AssumeRoleWithWebIdentityInput{RoleArn: &role, RoleSessionName: aws.String("job"), WebIdentityToken: &token},
			func(o *sts.Options) { o.Retryer = aws.NopRetryer{} })
	}
	for name, c := range map[string]struct{ token, role, code string }{
		"another partition's audience": {sign(again, "web", "sts.amazonaws.com", now), ci, "InvalidIdentityToken"},
		"another issuer's key":         {sign(other, "web", issuer.Audience, now), ci, "InvalidIdentityToken"},
		"no token at all":              {"a.b.c", ci, "InvalidIdentityToken"},
		"an old token":                 {sign(again, "web", issuer.Audience, now.Add(-time.Hour)), ci, "ExpiredTokenException"},
		"another repository":           {sign(again, "evil", issuer.Audience, now), ci, "AccessDenied"},
		"a role that trusts no token":  {good, deploy, "AccessDenied"},
		"a role that is not there":     {good, ci + "x", "AccessDenied"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := become(c.token, c.role)
			wantCode(t, err, c.code)
		})
	}
	first := must(become(good, ci))(t)
	if !strings.HasSuffix(*first.AssumedRoleUser.Arn, "assumed-role/ci/job") || *first.SubjectFromWebIdentityToken != "web" {
		t.Errorf("became %s for %s", *first.AssumedRoleUser.Arn, *first.SubjectFromWebIdentityToken)
	}
	as := sts.NewFromConfig(l.sdk("cn-northwest-1", *first.Credentials.AccessKeyId, *first.Credentials.SecretAccessKey, *first.Credentials.SessionToken))
	assume := func(by *sts.Client, role string, id *string) error {
		_, err := by.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("job"), ExternalId: id})
		return err
	}
	wantCode(t, assume(as, deploy, nil), "AccessDenied")
	wantCode(t, assume(as, deploy, aws.String("y")), "AccessDenied")
	wantCode(t, assume(l.sts(), deploy, aws.String("x")), "AccessDenied") // somebody else
	wantCode(t, assume(l.sts(), ci, nil), "AccessDenied")                 // it trusts tokens only
	if err := assume(as, deploy, aws.String("x")); err != nil {
		t.Error(err)
	}
	// A role has no key, so an empty one is nobody's.
	_, err = sts.NewFromConfig(l.sdk("cn-northwest-1", "", "x", "")).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err == nil {
		t.Error("an empty key is taken")
	}
}
