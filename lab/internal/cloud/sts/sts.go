// SPDX-License-Identifier: Apache-2.0

// Package sts is the part of the Security Token Service that a deployment
// needs: who am I, and becoming a role. Decoded requests go in, the SDK's
// output structs come out.
package sts

import (
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

func assumeRole(k *auth.Keys, c wire.Call, in *sts.AssumeRoleInput) (*sts.AssumeRoleOutput, error) {
	role, session := aws.ToString(in.RoleArn), aws.ToString(in.RoleSessionName)
	if ok, _ := regexp.MatchString(`^[\w+=,.@-]{2,64}$`, session); !ok {
		return nil, wire.Errorf("ValidationError", "1 validation error detected: Value '%s' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*", session)
	}
	seconds := int32(3600)
	if in.DurationSeconds != nil {
		seconds = *in.DurationSeconds
	}
	if seconds < 900 || seconds > 43200 {
		return nil, wire.Errorf("ValidationError", "1 validation error detected: Value '%d' at 'durationSeconds' failed to satisfy constraint: Member must have value between 900 and 43200", seconds)
	}
	user, ok := k.UserByARN(role)
	_, path, isRole := strings.Cut(role, ":role/")
	if !ok || !isRole {
		return nil, wire.Errorf("AccessDenied", "User: %s is not authorized to perform: sts:AssumeRole on resource: %s", c.Caller.ARN, role).WithStatus(http.StatusForbidden)
	}
	name := path[strings.LastIndex(path, "/")+1:]
	s := auth.Session{
		AccessKeyID: "ASIA" + strings.ToUpper(wire.Hex(16)), SecretAccessKey: wire.Hex(40), Token: "IQoJ" + wire.Hex(200), User: user.Name,
		ARN:     region.ARN("sts", c.Region, c.Account, fmt.Sprintf("assumed-role/%s/%s", name, session)),
		UserID:  auth.UserID("AROA", role) + ":" + session,
		Expires: c.Now.Add(time.Duration(seconds) * time.Second).UTC().Truncate(time.Second),
	}
	k.AddSession(s)
	return &sts.AssumeRoleOutput{
		AssumedRoleUser: &types.AssumedRoleUser{Arn: aws.String(s.ARN), AssumedRoleId: aws.String(s.UserID)},
		Credentials: &types.Credentials{AccessKeyId: aws.String(s.AccessKeyID), SecretAccessKey: aws.String(s.SecretAccessKey),
			SessionToken: aws.String(s.Token), Expiration: aws.Time(s.Expires)},
	}, nil
}
