// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/outlast-ci/outlast/core"
	"github.com/outlast-ci/outlast/core/internal/aws"
	"github.com/outlast-ci/outlast/core/internal/ci"
)

// ownCredentials are variables by which a job shows that it has a login
// to AWS already; configure-aws-credentials and the SDK's chain look at the same.
var ownCredentials = []string{"AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"}

// Login settles which authorities to trust and which AWS roles to become. It asks
// nobody yet.
func (c *Call) Login() (err error) {
	if c.trusted, err = c.authorities(); err != nil {
		return err
	}
	c.role, err = c.becomes()
	return err
}

// becomes settles which AWS roles to become, and by what.
func (c *Call) becomes() (aws.Role, error) {
	s := c.Settings
	r := aws.Role{ARN: s.Text("role-arn"), Chain: s.Text("chain-role-arn"), ExternalID: s.Text("external-id"), Session: s.Text("role-session-name"),
		Duration: s.Duration("role-duration"), Audience: s.Text("id-token-audience")}
	identity := s.Text("identity")
	if r.ARN == "" && identity == "ci" {
		return r, fmt.Errorf("reading %s: the CI's ID token is for becoming a role; name it with role-arn", s.Source("identity"))
	}
	if r.ARN != "" && identity != "aws" {
		own := s.Text("profile")
		for _, name := range ownCredentials {
			own = cmp.Or(own, c.Env.Getenv(name))
		}
		token, lacks := ci.IDTokens(c.Host(), r.Audience)
		switch {
		case identity == "ci" && token == nil:
			return r, fmt.Errorf("reading %s: %s", s.Source("identity"), lacks)
		case identity == "ci" || own == "" && token != nil:
			r.Token = func(ctx context.Context, audience string) (string, error) {
				text, err := token(ctx, audience)
				c.Secrets.Add(text)
				return text, err
			}
		case own == "":
			c.noToken = lacks
		}
	}
	if err := r.Check(); err != nil {
		return r, fmt.Errorf("reading the AWS roles: %w", err)
	}
	return r, nil
}

// bundle is the PEM file of authorities to trust besides the system's, and who
// named it; both are empty when nobody did.
func (c *Call) bundle() (path, source string) {
	if path = c.Settings.Path("ca-bundle", c.Env.Dir); path != "" {
		return path, c.Settings.Source("ca-bundle")
	}
	if path = c.Env.Getenv("AWS_CA_BUNDLE"); path != "" {
		return path, "AWS_CA_BUNDLE"
	}
	return "", ""
}

// authorities reads that file; nil when there is none.
func (c *Call) authorities() (*x509.CertPool, error) {
	path, source := c.bundle()
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", source, err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("reading %s: %s holds no certificate in PEM form", source, path)
	}
	return pool, nil
}

// Trust hands the authorities to the programs that build. BuildKit's are
// written in Go, which reads all files of the folders in SSL_CERT_DIR besides
// the system's bundle.
func (c *Call) Trust(cfg *core.Config) error {
	path, source := c.bundle()
	if path == "" {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading %s: %w", source, err)
	}
	dir := filepath.Join(cfg.World.TempDir, "authorities")
	cfg.World.CA = filepath.Join(dir, "ca-bundle.pem")
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(cfg.World.CA, text, 0o644)); err != nil {
		return fmt.Errorf("copying %s for the builder: %w", path, err)
	}
	folders := cmp.Or(c.Env.Getenv("SSL_CERT_DIR"), "/etc/ssl/certs:/etc/pki/tls/certs")
	cfg.World.Environ = append(slices.Clone(cfg.World.Environ), "SSL_CERT_DIR="+dir+":"+folders)
	return nil
}

// Host is the CI as its surfaces need it.
func (c *Call) Host() ci.World {
	t, ok := http.DefaultTransport.(*http.Transport)
	if ok && c.trusted != nil {
		t = t.Clone()
		t.TLSClientConfig = &tls.Config{RootCAs: c.trusted, MinVersion: tls.VersionTLS12}
	}
	return ci.World{Environ: c.Env.Environ, Dir: c.Env.Dir, Client: &http.Client{Transport: t, Timeout: 30 * time.Second}}
}

// hint adds what the CI lacks to a login that failed.
func (c *Call) hint(err error) error {
	var auth *aws.AuthError
	if c.noToken == "" || !errors.As(err, &auth) {
		return err
	}
	return &aws.AuthError{Err: fmt.Errorf("%w; for role-arn by the CI's own identity: %s", err, c.noToken)}
}
