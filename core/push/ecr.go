// SPDX-License-Identifier: Apache-2.0

package push

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// ECR is what push needs of Amazon ECR.
type ECR interface {
	GetAuthorizationToken(context.Context, *ecr.GetAuthorizationTokenInput, ...func(*ecr.Options)) (*ecr.GetAuthorizationTokenOutput, error)
	DescribeRepositories(context.Context, *ecr.DescribeRepositoriesInput, ...func(*ecr.Options)) (*ecr.DescribeRepositoriesOutput, error)
}

// NewECR makes the SDK's client.
func NewECR(cfg aws.Config) ECR { return ecr.NewFromConfig(cfg) }

// authenticator is a login that can be renewed.
type authenticator interface {
	authn.Authenticator
	renew(refused string)
}

// transport is the library's, with other authorities when there are some.
func (opt Options) transport() http.RoundTripper {
	base, ok := remote.DefaultTransport.(*http.Transport)
	if opt.CA == nil || !ok {
		return remote.DefaultTransport
	}
	t := base.Clone()
	t.TLSClientConfig = &tls.Config{RootCAs: opt.CA, MinVersion: tls.VersionTLS12}
	return t
}

// open finds a repository and the login to it.
func open(ctx context.Context, client ECR, opt Options) (repository, error) {
	r := repository{agent: opt.UserAgent, transport: opt.transport()}
	host, path := splitHost(opt.Repository)
	if path == "" {
		return r, fmt.Errorf("pushing image %q: no repository is given; set repository in outlast.yaml", opt.Name)
	}
	if host == "" {
		return r.openECR(ctx, client, opt, "", path)
	}
	// A full address may be ECR's or any other's; ECR itself knows.
	if client != nil {
		if ecrRepo, err := r.openECR(ctx, client, opt, host, path); err == nil {
			return ecrRepo, nil
		} else if !errors.Is(err, errOtherRegistry) && looksLikeECR(host) {
			return r, err
		}
	}
	full, err := name.NewRepository(opt.Repository, name.StrictValidation)
	if err != nil {
		return r, fmt.Errorf("pushing image %q: reading the repository: %w", opt.Name, err)
	}
	auth, err := authn.DefaultKeychain.Resolve(full)
	if err != nil {
		return r, &AuthError{fmt.Errorf("pushing image %q: reading docker's credentials for %s: %w", opt.Name, full.RegistryStr(), err)}
	}
	r.name, r.auth = full, stored{auth}
	return r, nil
}

// NeedsECR tells whether a repository cannot do without ECR's client: it is
// named without a registry, or by an address of ECR's. Others need no AWS login.
func NeedsECR(repository string) bool {
	host, _ := splitHost(repository)
	return host == "" || looksLikeECR(host)
}

// splitHost takes the registry's host off a repository: its first part, when
// that has a dot or a port, or is localhost.
func splitHost(repository string) (host, path string) {
	first, rest, ok := strings.Cut(repository, "/")
	if ok && (strings.ContainsAny(first, ".:") || first == "localhost") {
		return first, rest
	}
	return "", repository
}

// looksLikeECR decides only which of two errors to show: the host's second and
// third labels, in every partition.
func looksLikeECR(host string) bool {
	return strings.Contains(host, ".dkr.ecr") || strings.Contains(host, ".dkr-ecr")
}

var errOtherRegistry = errors.New("not this account's ECR registry")

func (r repository) openECR(ctx context.Context, client ECR, opt Options, host, path string) (repository, error) {
	login := &ecrLogin{ctx: ctx, client: client, learn: opt.Learn}
	endpoint, err := login.endpoint()
	if err != nil {
		return r, fmt.Errorf("pushing image %q: %w", opt.Name, err)
	}
	if host != "" && host != endpoint.Host {
		return r, fmt.Errorf("pushing image %q: %s: %w, which is %s", opt.Name, host, errOtherRegistry, endpoint.Host)
	}
	full, err := lookUp(ctx, client, endpoint.Host, path)
	if err != nil {
		return r, fmt.Errorf("pushing image %q: %w", opt.Name, err)
	}
	var opts []name.Option
	if endpoint.Scheme == "http" { // a local registry; ECR says https
		opts = append(opts, name.Insecure)
	}
	if r.name, err = name.NewRepository(full, opts...); err != nil {
		return r, fmt.Errorf("pushing image %q: reading the repository: %w", opt.Name, err)
	}
	r.auth, r.transport = login, &relogin{next: r.transport, login: login}
	return r, nil
}

// lookUp asks for the repository's own address. A denied look-up means
// unknown: the push will tell, and may create it from a template.
func lookUp(ctx context.Context, client ECR, host, path string) (string, error) {
	out, err := client.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{path}})
	var missing *types.RepositoryNotFoundException
	var api smithy.APIError
	switch {
	case errors.As(err, &missing):
		return "", fmt.Errorf("the ECR repository %q does not exist in %s: create it (aws ecr create-repository --repository-name %s), or correct repository and region in outlast.yaml", path, host, path)
	case errors.As(err, &api) && strings.HasPrefix(api.ErrorCode(), "AccessDenied"):
		return host + "/" + path, nil
	case err != nil:
		return "", classify(err, "looking up the ECR repository "+path)
	case len(out.Repositories) == 1 && aws.ToString(out.Repositories[0].RepositoryUri) != "":
		return *out.Repositories[0].RepositoryUri, nil
	}
	return host + "/" + path, nil
}

// classify sorts ECR's errors: logins that fail are AuthErrors. Everything
// that is no answer of the service comes from finding or sending credentials.
func classify(err error, what string) error {
	var api smithy.APIError
	if errors.As(err, &api) {
		said := fmt.Errorf("%s: %s (%s)", what, api.ErrorMessage(), api.ErrorCode())
		switch code := api.ErrorCode(); {
		case strings.HasPrefix(code, "Expired"):
			return &AuthError{fmt.Errorf("%w; the AWS credentials have expired: renew them", said)}
		case strings.Contains(code, "AccessDenied"), strings.Contains(code, "Signature"), strings.Contains(code, "UnrecognizedClient"), strings.Contains(code, "InvalidClientToken"), strings.Contains(code, "MissingAuthentication"):
			return &AuthError{fmt.Errorf("%w; is it the right key, of the right partition, with a policy that allows it?", said)}
		}
		return said
	}
	text := strings.Join(strings.Fields(err.Error()), " ")
	if strings.Contains(text, "credentials") {
		return &AuthError{fmt.Errorf("%s: no AWS credentials: %s", what, text)}
	}
	return fmt.Errorf("%s: %s", what, text)
}

// ecrLogin is the Basic login that GetAuthorizationToken gives. The password
// is never part of an error or an event.
type ecrLogin struct {
	ctx    context.Context //nolint:containedctx // authn.Authenticator has no context of its own
	client ECR
	learn  func(string) // may be nil
	mu     sync.Mutex
	host   *url.URL
	config authn.AuthConfig
	ends   time.Time
}

func (l *ecrLogin) endpoint() (*url.URL, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.fetch(); err != nil {
		return nil, err
	}
	return l.host, nil
}

// fetch gets a token unless one is at hand; the caller holds the lock.
func (l *ecrLogin) fetch() error {
	if !l.ends.IsZero() && time.Until(l.ends) > time.Minute {
		return nil
	}
	out, err := l.client.GetAuthorizationToken(l.ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return classify(err, "asking ECR for a login")
	}
	if len(out.AuthorizationData) == 0 || out.AuthorizationData[0].AuthorizationToken == nil || out.AuthorizationData[0].ProxyEndpoint == nil {
		return errors.New("asking ECR for a login: the answer holds none")
	}
	data := out.AuthorizationData[0]
	pair, err := base64.StdEncoding.DecodeString(*data.AuthorizationToken)
	user, password, ok := strings.Cut(string(pair), ":")
	if err != nil || !ok {
		return errors.New("asking ECR for a login: its token is malformed")
	}
	if l.host, err = url.Parse(*data.ProxyEndpoint); err != nil || l.host.Host == "" {
		return fmt.Errorf("asking ECR for a login: its endpoint %q is no address", *data.ProxyEndpoint)
	}
	l.config = authn.AuthConfig{Username: user, Password: password}
	if l.learn != nil {
		l.learn(password)
		l.learn(*data.AuthorizationToken)
	}
	if l.ends = time.Now().Add(time.Hour); data.ExpiresAt != nil {
		l.ends = *data.ExpiresAt
	}
	return nil
}

// Authorization gives the login, a new one when the old one is about to end.
func (l *ecrLogin) Authorization() (*authn.AuthConfig, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.fetch(); err != nil {
		return nil, err
	}
	config := l.config
	return &config, nil
}

// renew forgets a password that was refused, unless somebody has renewed it
// already: uploads run side by side.
func (l *ecrLogin) renew(refused string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.config.Password == refused {
		l.ends = time.Time{}
	}
}

// stored is a login of docker's credential store, which cannot be renewed.
type stored struct{ authn.Authenticator }

func (stored) renew(string) {}

// relogin answers a refused request with a new login and one more try, for a
// push that outlives its token.
type relogin struct {
	next  http.RoundTripper
	login *ecrLogin
}

// RoundTrip sends a request, and once more after a 401 to our login.
func (t *relogin) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := t.next.RoundTrip(req)
	user, password, ours := req.BasicAuth()
	if err != nil || res.StatusCode != http.StatusUnauthorized || !ours || (req.Body != nil && req.Body != http.NoBody && req.GetBody == nil) {
		return res, err
	}
	t.login.renew(password)
	auth, err := t.login.Authorization()
	if err != nil || (auth.Username == user && auth.Password == password) {
		return res, nil //nolint:nilerr // the refusal itself is the better answer
	}
	again := req.Clone(req.Context())
	if req.GetBody != nil {
		if again.Body, err = req.GetBody(); err != nil {
			return res, nil //nolint:nilerr // as above
		}
	}
	again.SetBasicAuth(auth.Username, auth.Password)
	if err := res.Body.Close(); err != nil {
		return nil, err
	}
	return t.next.RoundTrip(again)
}
