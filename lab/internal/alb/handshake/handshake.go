// SPDX-License-Identifier: Apache-2.0

// Package handshake is the TLS side of an HTTPS listener: its certificates and
// its security policy go in, and the configuration of one handshake comes out,
// with which certificate was presented and how an access log spells the rest.
package handshake

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"time"
)

// Certificate is one that a listener may present.
type Certificate struct {
	ARN  string
	pair tls.Certificate
}

// Parse reads a certificate, with its chain behind it, and its key, both PEM.
func Parse(arn string, cert, key []byte) (Certificate, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return Certificate{}, fmt.Errorf("reading certificate %q: %w", arn, err)
	}
	return Certificate{ARN: arn, pair: pair}, nil
}

// Listener is what one negotiates by.
type Listener struct {
	Certificates []Certificate // the first one is the default
	Policy       string        // security policy; "": DefaultPolicy
	HTTP2        bool
}

// Config is the configuration of the handshake that hello begins. presented is
// told the ARN of the certificate; it is not when an earlier session goes on.
func (l Listener) Config(presented func(hello *tls.ClientHelloInfo, arn string)) *tls.Config {
	low, high, _ := Versions(l.Policy)
	t := &tls.Config{MinVersion: low, MaxVersion: high, NextProtos: []string{"http/1.1"}}
	if l.HTTP2 {
		t.NextProtos = []string{"h2", "http/1.1"}
	}
	t.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		c := l.choose(hello)
		presented(hello, c.ARN)
		return &c.pair, nil
	}
	return t
}

// Knows tells whether a certificate of the listener is for the server name.
func (l Listener) Knows(name string) bool {
	for _, c := range l.Certificates {
		if c.isFor(name) {
			return true
		}
	}
	return false
}

func (c Certificate) isFor(name string) bool {
	return name != "" && c.pair.Leaf.VerifyHostname(name) == nil
}

// choose gives the default certificate to a client without a server name or
// with an unknown one, and else the best that is for the name and that the
// client supports (user guide, "SSL certificates": certificate list).
func (l Listener) choose(hello *tls.ClientHelloInfo) Certificate {
	best := -1
	for i, c := range l.Certificates[1:] {
		if !c.isFor(hello.ServerName) || hello.SupportsCertificate(&c.pair) != nil {
			continue
		}
		if best < 0 || better(c.pair.Leaf, l.Certificates[best].pair.Leaf, time.Now()) {
			best = i + 1
		}
	}
	return l.Certificates[max(best, 0)]
}

// better compares by the guide's criteria, in its order: public key algorithm,
// expiration, hash, key length, validity period. Nobody says which validity is
// the better one; the later end is taken.
func better(a, b *x509.Certificate, now time.Time) bool {
	for _, by := range []func(*x509.Certificate) int{
		func(c *x509.Certificate) int { return one(c.PublicKeyAlgorithm == x509.ECDSA) },
		func(c *x509.Certificate) int { return one(now.Before(c.NotAfter)) },
		hashSize,
		keySize,
		func(c *x509.Certificate) int { return int(c.NotAfter.Unix()) },
	} {
		if x, y := by(a), by(b); x != y {
			return x > y
		}
	}
	return false
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func hashSize(c *x509.Certificate) int {
	switch c.SignatureAlgorithm {
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		return 512
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		return 384
	case x509.SHA256WithRSA, x509.SHA256WithRSAPSS, x509.ECDSAWithSHA256:
		return 256
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1:
		return 1
	}
	return 0
}

func keySize(c *x509.Certificate) int {
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen()
	case *ecdsa.PublicKey:
		return k.Curve.Params().BitSize
	}
	return 0
}

// Cipher spells a cipher suite as the access logs do: TLS 1.3's as they are,
// older ones in OpenSSL's way.
func Cipher(suite uint16) string {
	name := tls.CipherSuiteName(suite)
	key, cipher, old := strings.Cut(strings.TrimPrefix(name, "TLS_"), "_WITH_")
	if !old {
		return name
	}
	name = strings.NewReplacer("AES_128_CBC", "AES128", "AES_256_CBC", "AES256", "AES_", "AES",
		"CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305").Replace(cipher)
	if key != "RSA" {
		name = key + "-" + name
	}
	return strings.ReplaceAll(name, "_", "-")
}

// Protocol spells a TLS version likewise: TLSv1.3, and TLSv1 for 1.0.
func Protocol(version uint16) string {
	return strings.TrimSuffix(strings.Replace(tls.VersionName(version), "TLS 1", "TLSv1", 1), ".0")
}
