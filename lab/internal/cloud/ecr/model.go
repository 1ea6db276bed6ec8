// SPDX-License-Identifier: Apache-2.0

// Package ecr is ECR: the API that names repositories and hands out tokens,
// and the registry behind it, which is the distribution project's own with
// ECR's manners in front. API requests go in as JSON and come out as JSON;
// the registry is a http.Handler.
package ecr

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// Repository is a repository of one region.
type Repository struct {
	Name      string
	Immutable bool
	Created   time.Time
	Pushed    map[string]time.Time // when each digest was pushed first
}

// Region holds the repositories of one region by name. It survives JSON.
type Region struct {
	Repositories map[string]*Repository
}

// NewRegion returns a region without repositories.
func NewRegion() *Region { return &Region{Repositories: map[string]*Repository{}} }

// Tokens makes and checks registry passwords. A token says by itself whose it
// is and how long it lives, so that it survives a restart of the lab.
type Tokens struct {
	Key     []byte
	Life    time.Duration
	Account string
	Now     func() time.Time
}

// TokenLife is how long the service's tokens open a registry (API reference, GetAuthorizationToken).
const TokenLife = 12 * time.Hour

type claims struct {
	Account, Region, Caller string
	Expires                 time.Time
}

// The reasons for which a token is refused.
var (
	//lint:ignore ST1005 the service's words
	errExpired = errors.New("Your authorization token has expired. Reauthenticate and try again.")
	//lint:ignore ST1005 the service's words
	errForeign = errors.New("Your authorization token is invalid: it is not of this registry.")
)

// New makes a token for the registry of a region.
func (t Tokens) New(region, caller string) (string, time.Time) {
	c := claims{Account: t.Account, Region: region, Caller: caller, Expires: t.Now().Add(t.Life).UTC().Truncate(time.Second)}
	body, _ := json.Marshal(c) // strings and a time always encode
	enc := base64.RawURLEncoding.EncodeToString(body)
	return enc + "." + t.sign(enc), c.Expires
}

func (t Tokens) sign(s string) string {
	h := hmac.New(sha256.New, t.Key)
	h.Write([]byte(s))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// check returns nil when the token opens the registry of that region now.
func (t Tokens) check(token, region string) error {
	enc, sig, _ := strings.Cut(token, ".")
	if !hmac.Equal([]byte(sig), []byte(t.sign(enc))) {
		return errForeign
	}
	body, err := base64.RawURLEncoding.DecodeString(enc)
	if err != nil {
		return errForeign
	}
	var c claims
	if err := json.Unmarshal(body, &c); err != nil || c.Account != t.Account || c.Region != region {
		return errForeign
	}
	if !t.Now().Before(c.Expires) {
		return errExpired
	}
	return nil
}
