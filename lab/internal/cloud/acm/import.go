// SPDX-License-Identifier: Apache-2.0

package acm

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/cloud/region"
	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

func newARN(c wire.Call) string {
	return region.ARN("acm", c.Region, c.Account, "certificate/"+wire.NewRequestID())
}

func (a API) importCertificate(r *Region, c wire.Call, in request) (any, error) {
	leaf, err := validImport(in, c.Now)
	if err != nil {
		return nil, err
	}
	tags, err := newTags(in.Tags)
	if err != nil {
		return nil, err
	}
	x := &Certificate{ARN: in.CertificateArn, Cert: in.Certificate, Chain: in.CertificateChain, Key: in.PrivateKey, Created: c.Now.UTC(), Tags: tags}
	switch old, err := r.find(x.ARN); {
	case x.ARN == "" && len(r.Certificates) >= maxCertificates:
		return nil, full()
	case x.ARN == "":
		x.ARN = newARN(c)
	case err != nil:
		return nil, err
	default:
		if err := validReimport(old, leaf, tags); err != nil {
			return nil, err
		}
		x.Tags = old.Tags
	}
	r.Certificates[x.ARN] = x
	return map[string]string{"CertificateArn": x.ARN}, nil
}

func full() error {
	return wire.Errorf("LimitExceededException", "You have reached the maximum number of certificates. Delete certificates that are not in use, or contact AWS Support to request an increase.")
}

// validImport checks what the user guide asks of a certificate that is
// imported; texts are the service's where they are known.
func validImport(in request, now time.Time) (*x509.Certificate, error) {
	certs, ok := certificates(in.Certificate)
	if !ok || len(certs) == 0 {
		return nil, invalid("The certificate body provided is not in a valid PEM format")
	}
	if len(certs) > 1 {
		return nil, invalid("The certificate field contains more than one certificate. You can specify only one certificate in this field.")
	}
	leaf := certs[0]
	if len(in.PrivateKey) > maxKey {
		return nil, invalid("The private key must be at most %d bytes", maxKey)
	}
	if block, _ := pem.Decode(in.PrivateKey); block == nil || block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
		return nil, invalid("The private key is not PEM-encoded, or is encrypted")
	}
	if algorithm(leaf.PublicKey) == "" {
		return nil, invalid("The private key is not supported.")
	}
	if _, err := tls.X509KeyPair(in.Certificate, in.PrivateKey); err != nil {
		return nil, invalid("The private key does not match the certificate")
	}
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return nil, invalid("The certificate is valid from %s to %s, and not now", leaf.NotBefore.Format(time.RFC3339), leaf.NotAfter.Format(time.RFC3339))
	}
	return leaf, validChain(leaf, in.CertificateChain)
}

// validChain checks that each certificate certifies the one before it. The
// root may be left out; without a chain the certificate must be self-signed.
func validChain(leaf *x509.Certificate, chain []byte) error {
	certs, ok := certificates(chain)
	if !ok {
		return invalid("The certificate chain provided is not in a valid PEM format")
	}
	if len(certs) == 0 {
		if leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) != nil {
			return invalid("Provided certificate is not a valid self signed. Please provide either a valid self-signed certificate or certificate chain.")
		}
		return nil
	}
	for last := leaf; len(certs) > 0; last, certs = certs[0], certs[1:] {
		if last.Equal(certs[0]) || !bytes.Equal(last.RawIssuer, certs[0].RawSubject) || last.CheckSignatureFrom(certs[0]) != nil {
			return invalid("Could not validate the certificate with the certificate chain.")
		}
	}
	return nil
}

// validReimport checks what a certificate that replaces another one must keep
// (user guide, "Reimport a certificate").
func validReimport(old *Certificate, leaf *x509.Certificate, tags map[string]string) error {
	before := old.leaf()
	switch {
	case old.Requested:
		return invalid("The certificate %s was not imported, and cannot be replaced by an imported one", old.ARN)
	case len(tags) > 0:
		return invalid("Tagging is not permitted on re-import.")
	case algorithm(before.PublicKey) != algorithm(leaf.PublicKey):
		return invalid("The key algorithm of a certificate cannot be changed from %s to %s", algorithm(before.PublicKey), algorithm(leaf.PublicKey))
	case before.KeyUsage&^leaf.KeyUsage != 0:
		return invalid("Key usages cannot be removed from a certificate")
	case len(names(leaf)) == 0 && len(names(before)) > 0:
		return invalid("All domain names cannot be removed from a certificate")
	}
	return nil
}

// certificates reads a PEM text; ok is false when there is something else in it.
func certificates(text []byte) (all []*x509.Certificate, ok bool) {
	for rest := bytes.TrimSpace(text); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		block, more := pem.Decode(rest)
		if block == nil || block.Type != "CERTIFICATE" || !bytes.HasPrefix(rest, []byte("-----BEGIN")) {
			return nil, false
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, false
		}
		all, rest = append(all, c), more
	}
	return all, true
}

func (a API) requestCertificate(r *Region, c wire.Call, in request) (any, error) {
	all, err := validRequest(in)
	if err != nil {
		return nil, err
	}
	tags, err := newTags(in.Tags)
	if err != nil {
		return nil, err
	}
	for _, x := range r.Certificates {
		if in.IdempotencyToken != "" && x.Token == in.IdempotencyToken && c.Now.Sub(x.Created) < tokenLife && slices.Equal(names(x.leaf()), all) {
			return map[string]string{"CertificateArn": x.ARN}, nil
		}
	}
	if len(r.Certificates) >= maxCertificates {
		return nil, full()
	}
	x := &Certificate{ARN: newARN(c), Requested: true, Created: c.Now.UTC(), Tags: tags, Method: in.ValidationMethod, Token: in.IdempotencyToken}
	if x.Key, x.Cert, x.Chain, err = a.issue(all, in.KeyAlgorithm); err != nil {
		return nil, fmt.Errorf("issuing a certificate for %q: %w", in.DomainName, err)
	}
	r.Certificates[x.ARN] = x
	return map[string]string{"CertificateArn": x.ARN}, nil
}

// domainName is ACM's own pattern of the API.
var domainName = regexp.MustCompile(`^(\*\.)?(((?:[A-Za-z0-9-]{0,62}[A-Za-z0-9])|\[)\.)+([A-Za-z0-9-]{0,62}[A-Za-z0-9])$`)

// validRequest checks a request and returns all names, the first one once.
func validRequest(in request) ([]string, error) {
	if in.CertificateAuthorityArn != "" {
		return nil, invalid("Private certificate authorities are not available in the lab: leave CertificateAuthorityArn out")
	}
	if !slices.Contains([]string{"", "DNS", "EMAIL"}, in.ValidationMethod) {
		return nil, enum("validationMethod", in.ValidationMethod, "[DNS, EMAIL, HTTP]")
	}
	if !slices.Contains([]string{"", "RSA_2048", "EC_prime256v1", "EC_secp384r1"}, in.KeyAlgorithm) {
		return nil, wire.Errorf("InvalidParameterException", "The key algorithm %s cannot be requested: RSA_2048, EC_prime256v1 or EC_secp384r1", in.KeyAlgorithm)
	}
	var all []string
	for _, n := range append([]string{in.DomainName}, in.SubjectAlternativeNames...) {
		if !domainName.MatchString(n) || len(n) > 253 || n == in.DomainName && len(n) > 64 {
			return nil, invalid("1 validation error detected: Value '%s' at 'domainName' failed to satisfy constraint: Member must be a fully qualified domain name", n)
		}
		if !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	if len(all) > maxNames {
		return nil, wire.Errorf("LimitExceededException", "A certificate can have at most %d domain names", maxNames)
	}
	return all, nil
}

func enum(parameter, value, allowed string) error {
	return invalid("1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: Member must satisfy enum value set: %s", value, parameter, allowed)
}

// issue makes a key of the algorithm, RSA_2048 if it is "", and has it certified.
func (a API) issue(names []string, algorithm string) (key, cert, chain []byte, err error) {
	var private crypto.Signer
	switch algorithm {
	case "EC_prime256v1":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EC_secp384r1":
		private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	default:
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		return nil, nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, nil, err
	}
	cert, chain, err = a.Issue(names, private.Public())
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), cert, chain, err
}
