// SPDX-License-Identifier: Apache-2.0

// Package aws is the one home of the AWS SDK's config, sts, eks and elbv2:
// settings go in; a config, the way into an EKS cluster and the states of
// targets come out. Endpoints, regions and partitions are the SDK's business
// (AWS_ENDPOINT_URL_* and the like work), and nothing is built by string.
package aws

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	ekstypes "github.com/aws/aws-sdk-go-v2/service/eks/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Options say as whom and where. Empty fields are the SDK's default chain.
type Options struct {
	Region, Profile string
	UserAgent       string
	CA              *x509.CertPool // trusted authorities; nil: AWS_CA_BUNDLE's or the system's
	Learn           func(string)   // told of each secret of a session, so that it can be hidden; may be nil
	Role            Role
}

// AuthError is a login that failed or a permission that lacks.
type AuthError struct{ Err error }

func (e *AuthError) Error() string { return e.Err.Error() }
func (e *AuthError) Unwrap() error { return e.Err }

// Load makes the SDK's config and proves that there is a region. Requests that are
// throttled are tried for a minute and more: the SDK's own 3 tries give up after a few
// seconds of the ELB API's throttling.
func Load(ctx context.Context, opt Options) (awssdk.Config, error) {
	load := []func(*config.LoadOptions) error{
		config.WithRetryer(lasting.retryer),
		config.WithAppID(opt.UserAgent),
	}
	if opt.CA != nil {
		load = append(load, config.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
			t.TLSClientConfig = &tls.Config{RootCAs: opt.CA, MinVersion: tls.VersionTLS12}
		})))
	}
	if opt.Region != "" {
		load = append(load, config.WithRegion(opt.Region))
	}
	if opt.Profile != "" {
		load = append(load, config.WithSharedConfigProfile(opt.Profile))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return cfg, &AuthError{fmt.Errorf("reading the AWS configuration: %w", err)}
	}
	if cfg.Region == "" {
		return cfg, &AuthError{errors.New("reading the AWS configuration: no region is set; give --region, region in outlast.yaml, or AWS_REGION")}
	}
	cfg.Credentials = opt.Role.on(cfg)
	if opt.Learn != nil {
		cfg.Credentials = learning{cfg.Credentials, opt.Learn}
	}
	return cfg, nil
}

// learning tells of each secret that it hands on.
type learning struct {
	awssdk.CredentialsProvider
	learn func(string)
}

// Retrieve is called for each request.
func (l learning) Retrieve(ctx context.Context) (awssdk.Credentials, error) {
	c, err := l.CredentialsProvider.Retrieve(ctx)
	l.learn(c.SecretAccessKey)
	l.learn(c.SessionToken)
	return c, err
}

// Identity is who the credentials belong to.
type Identity struct{ Account, ARN string }

// WhoAmI asks STS, which tells missing, wrong and expired credentials apart.
func WhoAmI(ctx context.Context, cfg awssdk.Config) (Identity, error) {
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		var auth *AuthError
		if errors.As(err, &auth) { // the CI gave no token
			return Identity{}, auth
		}
		var api smithy.APIError
		if errors.As(err, &api) { // there are some, but STS gives no role for them
			return Identity{}, &AuthError{explain(err, "getting a role's credentials (the role must trust the caller)", "in "+cfg.Region)}
		}
		return Identity{}, &AuthError{fmt.Errorf("finding AWS credentials: none in the environment, the shared files, a web identity, or the instance's or pod's role; "+
			"set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or an OIDC role: %w", shorten(err))}
	}
	out, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, nil)
	if err != nil {
		return Identity{}, explain(err, "asking STS who we are", "in "+cfg.Region)
	}
	return Identity{Account: awssdk.ToString(out.Account), ARN: awssdk.ToString(out.Arn)}, nil
}

// Cluster is what EKS says of one.
type Cluster struct {
	Endpoint string
	CA       []byte // PEM
	Version  string
}

// DescribeCluster asks EKS how to reach a cluster.
func DescribeCluster(ctx context.Context, cfg awssdk.Config, name string) (Cluster, error) {
	out, err := eks.NewFromConfig(cfg).DescribeCluster(ctx, &eks.DescribeClusterInput{Name: &name})
	if err != nil {
		return Cluster{}, explain(err, "describing EKS cluster "+name, "in "+cfg.Region)
	}
	c := out.Cluster
	if c == nil || c.Endpoint == nil || c.CertificateAuthority == nil {
		return Cluster{}, fmt.Errorf("describing EKS cluster %s in %s: it has no endpoint yet", name, cfg.Region)
	}
	if c.Status != ekstypes.ClusterStatusActive && c.Status != ekstypes.ClusterStatusUpdating {
		return Cluster{}, fmt.Errorf("describing EKS cluster %s in %s: its status is %s, not ACTIVE", name, cfg.Region, c.Status)
	}
	ca, err := base64.StdEncoding.DecodeString(awssdk.ToString(c.CertificateAuthority.Data))
	if err != nil {
		return Cluster{}, fmt.Errorf("describing EKS cluster %s in %s: reading its certificate: %w", name, cfg.Region, err)
	}
	return Cluster{Endpoint: *c.Endpoint, CA: ca, Version: awssdk.ToString(c.Version)}, nil
}

// Token life: EKS accepts a presigned request for 15 minutes, whatever expiry
// it carries; tools keep it for 14.
const (
	tokenLife   = 14 * time.Minute
	tokenPrefix = "k8s-aws-v1."
)

// Token presigns the request by which EKS learns who we are. It is signed for
// the region's public STS host even when AWS_ENDPOINT_URL_STS points
// elsewhere, since EKS accepts no other. The token is a bearer secret.
func Token(ctx context.Context, cfg awssdk.Config, cluster string) (string, time.Time, error) {
	signed, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return "", time.Time{}, explain(err, "signing the login to EKS cluster "+cluster, "in "+cfg.Region)
	}
	// Options of a client come after what the SDK reads from its surroundings.
	client := sts.NewFromConfig(cfg, func(o *sts.Options) {
		o.BaseEndpoint = nil
		o.Credentials = awssdk.CredentialsProviderFunc(func(context.Context) (awssdk.Credentials, error) { return signed, nil })
	})
	req, err := sts.NewPresignClient(client).PresignGetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}, func(o *sts.PresignOptions) {
		o.ClientOptions = append(o.ClientOptions, sts.WithAPIOptions(
			smithyhttp.SetHeaderValue("x-k8s-aws-id", cluster),
			smithyhttp.SetHeaderValue("X-Amz-Expires", "60")))
	})
	if err != nil {
		return "", time.Time{}, explain(err, "signing the login to EKS cluster "+cluster, "in "+cfg.Region)
	}
	ends := time.Now().Add(tokenLife)
	if signed.CanExpire && signed.Expires.Before(ends) { // STS takes no request that an expired session has signed
		ends = signed.Expires
	}
	return tokenPrefix + base64.RawURLEncoding.EncodeToString([]byte(req.URL)), ends, nil
}

// explain sorts AWS's errors: a login or permission that lacks is an AuthError
// that says what to do.
func explain(err error, verb, where string) error {
	what := strings.TrimSpace(verb + " " + where)
	var api smithy.APIError
	if !errors.As(err, &api) {
		return fmt.Errorf("%s: %w", what, shorten(err))
	}
	said := fmt.Sprintf("%s (%s)", api.ErrorMessage(), api.ErrorCode())
	switch api.ErrorCode() {
	case "ExpiredToken", "ExpiredTokenException", "RequestExpired":
		return &AuthError{fmt.Errorf("%s: the AWS credentials have expired; renew them: %s", what, said)}
	case "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidSignatureException", "MissingAuthenticationToken", "MissingAuthenticationTokenException", "AuthFailure":
		return &AuthError{fmt.Errorf("%s: AWS does not accept the credentials (wrong key, or the key of another partition): %s", what, said)}
	case "InvalidIdentityToken", "IDPRejectedClaim":
		return &AuthError{fmt.Errorf("%s: STS does not take the CI's ID token; does the account have an IAM identity provider for its issuer, and does that list the token's audience? %s", what, said)}
	case "AccessDenied", "AccessDeniedException", "UnauthorizedOperation":
		return &AuthError{fmt.Errorf("%s: not allowed; add the action to the role's policy: %s", what, said)}
	case "ResourceNotFoundException":
		return fmt.Errorf("%s: there is none of this name in that region and account; check the name and the region: %s", what, said)
	}
	return fmt.Errorf("%s: %s", what, said)
}

// shorten keeps the innermost reasons of an SDK error, which repeats itself.
func shorten(err error) error {
	text := err.Error()
	if i := strings.LastIndex(text, "exceeded maximum number of attempts"); i >= 0 {
		text = text[i:]
	}
	return errors.New(strings.Join(strings.Fields(text), " "))
}
