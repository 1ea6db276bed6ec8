// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// Role says which roles to become, one on top of the other. The zero value is
// none: the credentials that the SDK finds are used as they are.
type Role struct {
	ARN        string        // by Token, or else by the credentials that the SDK finds
	Chain      string        // then by ARN's
	ExternalID string        // of the role that is assumed last
	Session    string        // name of the session; empty: outlast
	Duration   time.Duration // of a session; zero: an hour, which is also the most that AWS allows a chained one
	// Token gives the CI's ID token for an audience; nil: there is none, and ARN
	// is assumed. It is called again when a session has to be renewed.
	Token    func(ctx context.Context, audience string) (string, error)
	Audience string // of the token; empty: the STS of the region's partition
}

// sessionName is what STS takes as a session's name.
var sessionName = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)

// Check says what is wrong with a role, before AWS is asked.
func (r Role) Check() error {
	for name, value := range map[string]string{"role-arn": r.ARN, "chain-role-arn": r.Chain} {
		if parsed, err := arn.Parse(value); value != "" && (err != nil || parsed.Service != "iam" || !strings.HasPrefix(parsed.Resource, "role/")) {
			return fmt.Errorf("%s: %q is no ARN of an IAM role (arn:PARTITION:iam::ACCOUNT:role/NAME)", name, value)
		}
	}
	switch {
	case r.Chain != "" && r.ARN == "":
		return errors.New("chain-role-arn is the role after role-arn; with one role, name it role-arn")
	case r.ExternalID != "" && r.ARN == "":
		return errors.New("external-id belongs to a role; name that with role-arn")
	case r.ExternalID != "" && r.Token != nil && r.Chain == "":
		return errors.New("external-id: becoming a role by an ID token takes none; it is for chain-role-arn, or for identity aws")
	case r.Session != "" && !sessionName.MatchString(r.Session):
		return fmt.Errorf("role-session-name: AWS takes 2 to 64 letters, digits and _+=,.@-, not %q", r.Session)
	case r.Duration != 0 && (r.Duration < 15*time.Minute || r.Duration > 12*time.Hour):
		return fmt.Errorf("role-duration: AWS takes 15m to 12h, not %s", r.Duration)
	}
	return nil
}

// on gives the credentials of the last role on top of a config's own.
func (r Role) on(cfg awssdk.Config) awssdk.CredentialsProvider {
	session := cmp.Or(r.Session, "outlast")
	life := cmp.Or(r.Duration, time.Hour) // the SDK's own is 15 minutes
	assume := func(arn, externalID string, life time.Duration) {
		client := sts.NewFromConfig(cfg)
		cfg.Credentials = awssdk.NewCredentialsCache(stscreds.NewAssumeRoleProvider(client, arn, func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName, o.Duration = session, life
			if externalID != "" {
				o.ExternalID = &externalID
			}
		}), early)
	}
	switch {
	case r.ARN == "":
	case r.Token != nil:
		// A token that is not known yet is tried again by the SDK; one that nobody will
		// ever know must not take a minute.
		client := sts.NewFromConfig(cfg, func(o *sts.Options) { o.Retryer = retry.AddWithMaxAttempts(o.Retryer, 3) })
		// The provider asks for a token without a context, so that each request has its own.
		cfg.Credentials = awssdk.NewCredentialsCache(awssdk.CredentialsProviderFunc(func(ctx context.Context) (awssdk.Credentials, error) {
			return stscreds.NewWebIdentityRoleProvider(client, r.ARN, token{ctx, r, cfg.Region}, func(o *stscreds.WebIdentityRoleOptions) {
				o.RoleSessionName, o.Duration = session, life
			}).Retrieve(ctx)
		}), early)
	case r.Chain == "":
		assume(r.ARN, r.ExternalID, life)
	default:
		assume(r.ARN, "", life)
	}
	if r.Chain != "" {
		assume(r.Chain, r.ExternalID, min(life, time.Hour))
	}
	return cfg.Credentials
}

// early renews credentials before a request can be caught by their end.
func early(o *awssdk.CredentialsCacheOptions) { o.ExpiryWindow = 5 * time.Minute }

// token fetches the CI's ID token; it has the shape that stscreds asks for.
type token struct {
	ctx    context.Context
	role   Role
	region string
}

// GetIdentityToken is called by stscreds.
func (t token) GetIdentityToken() ([]byte, error) {
	audience := t.role.Audience
	if audience == "" {
		var err error
		if audience, err = Audience(t.ctx, t.region); err != nil {
			return nil, &AuthError{err}
		}
	}
	text, err := t.role.Token(t.ctx, audience)
	if err != nil {
		return nil, &AuthError{fmt.Errorf("getting an ID token of the CI for the audience %s: %w", audience, err)}
	}
	return []byte(text), nil
}

// Audience is the audience that STS of a region's partition expects of an ID
// token: its host without the region (sts.amazonaws.com and, in China,
// sts.amazonaws.com.cn: https://docs.amazonaws.cn/en_us/IAM/latest/UserGuide/id_roles_providers_create_oidc.html).
func Audience(ctx context.Context, region string) (string, error) {
	endpoint, err := sts.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, sts.EndpointParameters{Region: &region})
	if err != nil {
		return "", fmt.Errorf("finding the STS of region %q: %w", region, err)
	}
	return strings.Replace(endpoint.URI.Hostname(), "."+region+".", ".", 1), nil
}
