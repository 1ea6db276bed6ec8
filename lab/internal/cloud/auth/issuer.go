// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// IssuerURL is who signs the ID tokens of the lab's jobs: the one identity
// provider that the lab's account has.
const IssuerURL = "https://ci.lab.invalid"

// Issuer signs ID tokens, as a CI does, and knows its own again, as STS does.
type Issuer struct {
	Audience string // that the identity provider lists
	key      *ecdsa.PrivateKey
}

// LoadIssuer reads the key in a file, which is made when it is missing.
func LoadIssuer(path, audience string) (*Issuer, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
			return nil, fmt.Errorf("making the key of ID tokens: %w", err)
		}
		return &Issuer{audience, key}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the key of ID tokens: %w", err)
	}
	key, err := jwt.ParseECPrivateKeyFromPEM(text)
	if err != nil {
		return nil, fmt.Errorf("reading the key of ID tokens %s: %w", path, err)
	}
	return &Issuer{audience, key}, nil
}

// Sign gives the token of a job that subject names, good for five minutes.
func (i *Issuer) Sign(subject, audience string, now time.Time) (string, error) {
	return jwt.NewWithClaims(jwt.SigningMethodES256, jwt.RegisteredClaims{Issuer: IssuerURL, Subject: subject, Audience: jwt.ClaimStrings{audience},
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(5 * time.Minute))}).SignedString(i.key)
}

// The ways in which a token is no good.
var (
	ErrNoProvider = errors.New("no identity provider for the token's issuer")
	ErrAudience   = errors.New("incorrect token audience")
	ErrTokenEnded = errors.New("token expired")
)

// Subject tells whom a token is about.
func (i *Issuer) Subject(token string, now time.Time) (string, error) {
	var claims jwt.RegisteredClaims
	_, err := jwt.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return &i.key.PublicKey, nil },
		jwt.WithValidMethods([]string{"ES256"}), jwt.WithTimeFunc(func() time.Time { return now }), jwt.WithExpirationRequired())
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return "", ErrTokenEnded
	case err != nil || claims.Issuer != IssuerURL:
		return "", ErrNoProvider
	case !slices.Contains(claims.Audience, i.Audience):
		return "", ErrAudience
	}
	return claims.Subject, nil
}
