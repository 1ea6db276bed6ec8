// SPDX-License-Identifier: Apache-2.0

// Package sts is the part of the Security Token Service that a deployment
// needs: who am I, and becoming a role. Decoded requests go in, the SDK's
// output structs come out.
package sts

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/outlast-ci/outlast/lab/internal/cloud/auth"
	"github.com/outlast-ci/outlast/lab/internal/cloud/region"
	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

// Answer runs one operation; ok is false when the lab does not have it.
func Answer(k *auth.Keys, c wire.Call, form url.Values) (out any, ok bool, err error) {
	switch c.Operation {
	case "GetCallerIdentity":
		return &sts.GetCallerIdentityOutput{Account: aws.String(c.Account), Arn: aws.String(c.Caller.ARN), UserId: aws.String(c.Caller.UserID)}, true, nil
	case "AssumeRole":
		in := new(sts.AssumeRoleInput)
		if err := wire.DecodeQuery(form, in); err != nil {
			return nil, true, err
		}
		out, err := assumeRole(k, c, in)
		if err != nil {
			return nil, true, err
		}
		return out, true, nil
	}
	return nil, false, nil
}

// assumeRole checks what AWS checks, and opens the session.
func assumeRole(k *auth.Keys, c wire.Call, in *sts.AssumeRoleInput) (*sts.AssumeRoleOutput, error) {
	role, err := lookUp(k, aws.ToString(in.RoleArn), aws.ToString(in.RoleSessionName), in.DurationSeconds)
	trusted := err == nil && role.user.Trust.Subject == "" && (role.user.Trust.Role == "" || role.user.Trust.Role == c.Caller.Name) &&
		role.user.Trust.ExternalID == aws.ToString(in.ExternalId)
	if errors.Is(err, errNoRole) || err == nil && !trusted {
		return nil, wire.Errorf("AccessDenied", "User: %s is not authorized to perform: sts:AssumeRole on resource: %s", c.Caller.ARN, aws.ToString(in.RoleArn)).WithStatus(http.StatusForbidden)
	}
	if err != nil {
		return nil, err
	}
	user, credentials := role.open(k, c)
	return &sts.AssumeRoleOutput{AssumedRoleUser: user, Credentials: credentials}, nil
}

// AssumeRoleWithWebIdentity is the one call that nobody signs: an ID token is
// in its stead.
func AssumeRoleWithWebIdentity(k *auth.Keys, issuer *auth.Issuer, c wire.Call, form url.Values) (*sts.AssumeRoleWithWebIdentityOutput, error) {
	in := new(sts.AssumeRoleWithWebIdentityInput)
	if err := wire.DecodeQuery(form, in); err != nil {
		return nil, err
	}
	subject, err := issuer.Subject(aws.ToString(in.WebIdentityToken), c.Now)
	switch {
	case errors.Is(err, auth.ErrTokenEnded):
		return nil, wire.Errorf("ExpiredTokenException", "Token expired: current date/time must be before the expiration date/time")
	case errors.Is(err, auth.ErrAudience):
		return nil, wire.Errorf("InvalidIdentityToken", "Incorrect token audience")
	case err != nil:
		return nil, wire.Errorf("InvalidIdentityToken", "No OpenIDConnect provider found in your account for the token's issuer")
	}
	role, err := lookUp(k, aws.ToString(in.RoleArn), aws.ToString(in.RoleSessionName), in.DurationSeconds)
	if errors.Is(err, errNoRole) || err == nil && role.user.Trust.Subject != subject {
		return nil, wire.Errorf("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity").WithStatus(http.StatusForbidden)
	}
	if err != nil {
		return nil, err
	}
	user, credentials := role.open(k, c)
	return &sts.AssumeRoleWithWebIdentityOutput{AssumedRoleUser: user, Credentials: credentials, SubjectFromWebIdentityToken: &subject, Audience: &issuer.Audience, Provider: aws.String(auth.IssuerURL)}, nil
}

// errNoRole stands for AWS's refusal, which does not tell whether there is such a role.
var errNoRole = errors.New("no such role")

// session is one that may be opened.
type session struct {
	user          auth.User
	role, session string
	life          time.Duration
}

func lookUp(k *auth.Keys, role, name string, duration *int32) (session, error) {
	if ok, _ := regexp.MatchString(`^[\w+=,.@-]{2,64}$`, name); !ok {
		return session{}, wire.Errorf("ValidationError", "1 validation error detected: Value '%s' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*", name)
	}
	seconds := int32(3600)
	if duration != nil {
		seconds = *duration
	}
	if seconds < 900 || seconds > 43200 {
		return session{}, wire.Errorf("ValidationError", "1 validation error detected: Value '%d' at 'durationSeconds' failed to satisfy constraint: Member must have value between 900 and 43200", seconds)
	}
	user, ok := k.UserByARN(role)
	if !ok || !strings.Contains(role, ":role/") {
		return session{}, errNoRole
	}
	return session{user, role, name, time.Duration(seconds) * time.Second}, nil
}

// open makes the session's credentials known.
func (s session) open(k *auth.Keys, c wire.Call) (*types.AssumedRoleUser, *types.Credentials) {
	_, path, _ := strings.Cut(s.role, ":role/")
	name := path[strings.LastIndex(path, "/")+1:]
	made := auth.Session{
		AccessKeyID: "ASIA" + strings.ToUpper(wire.Hex(16)), SecretAccessKey: wire.Hex(40), Token: "IQoJ" + wire.Hex(200), User: s.user.Name,
		ARN:     region.ARN("sts", c.Region, c.Account, fmt.Sprintf("assumed-role/%s/%s", name, s.session)),
		UserID:  auth.UserID("AROA", s.role) + ":" + s.session,
		Expires: c.Now.Add(s.life).UTC().Truncate(time.Second),
	}
	k.AddSession(made)
	return &types.AssumedRoleUser{Arn: aws.String(made.ARN), AssumedRoleId: aws.String(made.UserID)},
		&types.Credentials{AccessKeyId: aws.String(made.AccessKeyID), SecretAccessKey: aws.String(made.SecretAccessKey),
			SessionToken: aws.String(made.Token), Expiration: aws.Time(made.Expires)}
}
