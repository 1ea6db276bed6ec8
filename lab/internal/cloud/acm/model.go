// SPDX-License-Identifier: Apache-2.0

// Package acm imitates the part of AWS Certificate Manager that a load balancer
// with HTTPS needs. Certificates go in, imported or requested; out come their
// descriptions as the service words them, and the texts that a listener
// presents. A requested certificate is issued at once, since the lab has no DNS
// in which to prove a domain's ownership.
//
// Not imitated: private authorities, export, renewal, revocation and ACME; a
// call for one of these is refused.
package acm

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

// The service's quotas and defaults (ACM user guide, quotas; API reference).
const (
	maxCertificates = 2500 // of a region, imported and issued alike
	maxNames        = 10   // of a requested certificate
	maxTags         = 50
	maxPage         = 1000 // of ListCertificates
	maxKey          = 5120 // bytes of a private key
	tokenLife       = time.Hour
)

// Certificate is one certificate with its key.
type Certificate struct {
	ARN              string
	Cert, Chain, Key []byte // PEM
	Requested        bool   // else it was imported
	Created          time.Time
	Tags             map[string]string
	Method           string // of a requested one: DNS or EMAIL
	Token            string // its idempotency token
}

// Region is all that ACM holds in one region, by ARN. It survives JSON.
type Region struct {
	Certificates map[string]*Certificate
}

// NewRegion returns an empty region.
func NewRegion() *Region { return &Region{Certificates: map[string]*Certificate{}} }

// API is ACM with its connections.
type API struct {
	// Issue makes a certificate for names and a public key, with its chain, all PEM but the key.
	Issue func(names []string, public any) (cert, chain []byte, err error)
	// Users lists the resources that use a certificate, by ARN.
	Users func(region, arn string) []string
}

// request holds the parameters of all operations; blobs come as base64.
type request struct {
	CertificateArn                            string
	Certificate, PrivateKey, CertificateChain []byte
	Tags                                      []tag

	DomainName, ValidationMethod, KeyAlgorithm, IdempotencyToken, CertificateAuthorityArn string
	SubjectAlternativeNames                                                               []string

	CertificateStatuses []string
	Includes            filters
	MaxItems            *int
	NextToken           string
	SortBy, SortOrder   string
}

// filters are spelt otherwise on the wire than other fields: in lower case at
// the beginning. JSON does not mind.
type filters struct {
	KeyTypes         []string
	KeyUsage         []string
	ExtendedKeyUsage []string
	ExportOption     string
}

type tag struct {
	Key   string
	Value *string `json:",omitempty"`
}

// Operations are what the lab's ACM can do.
func Operations() []string {
	return []string{"ImportCertificate", "RequestCertificate", "ListCertificates", "DescribeCertificate",
		"GetCertificate", "ListTagsForCertificate", "DeleteCertificate"}
}

// Answer runs one operation; ok is false when the lab does not have it.
func (a API) Answer(r *Region, c wire.Call, body []byte) (out any, ok bool, err error) {
	if !slices.Contains(Operations(), c.Operation) {
		return nil, false, nil
	}
	var in request
	if err := json.Unmarshal(body, &in); err != nil && len(body) > 0 {
		return nil, true, wire.Errorf("SerializationException", "%v", err)
	}
	switch c.Operation {
	case "ImportCertificate":
		out, err = a.importCertificate(r, c, in)
	case "RequestCertificate":
		out, err = a.requestCertificate(r, c, in)
	case "ListCertificates":
		out, err = a.listCertificates(r, c, in)
	default:
		out, err = a.ofOne(r, c, in)
	}
	return out, true, err
}

// ofOne runs an operation on the certificate that the request names.
func (a API) ofOne(r *Region, c wire.Call, in request) (any, error) {
	x, err := r.find(in.CertificateArn)
	if err != nil {
		return nil, err
	}
	switch c.Operation {
	case "GetCertificate":
		out := map[string]string{"Certificate": string(x.Cert)}
		if len(x.Chain) > 0 {
			out["CertificateChain"] = string(x.Chain)
		}
		return out, nil
	case "ListTagsForCertificate":
		return map[string]any{"Tags": shownTags(x.Tags)}, nil
	case "DeleteCertificate":
		if len(a.Users(c.Region, x.ARN)) > 0 {
			return nil, wire.Errorf("ResourceInUseException", "Certificate %s in account %s is in use.", x.ARN, c.Account)
		}
		delete(r.Certificates, x.ARN)
		return map[string]any{}, nil
	}
	return map[string]any{"Certificate": a.detail(x, c)}, nil
}

func (r *Region) find(arn string) (*Certificate, error) {
	if arn == "" {
		return nil, invalid("1 validation error detected: Value null at 'certificateArn' failed to satisfy constraint: Member must not be null")
	}
	if ok, _ := regexp.MatchString(`^arn:[\w+=/,.@-]+:acm:[\w+=/,.@-]*:[0-9]+:[\w+=,.@-]+(/[\w+=,.@-]+)*$`, arn); !ok {
		return nil, wire.Errorf("InvalidArnException", "Invalid certificate ARN: %s", arn)
	}
	if x := r.Certificates[arn]; x != nil {
		return x, nil
	}
	return nil, wire.Errorf("ResourceNotFoundException", "Could not find certificate %s.", arn)
}

func invalid(format string, a ...any) error { return wire.Errorf("ValidationException", format, a...) }

// newTags checks the tags of a request.
func newTags(in []tag) (map[string]string, error) {
	if len(in) > maxTags {
		return nil, wire.Errorf("TooManyTagsException", "A resource can have at most %d tags", maxTags)
	}
	tags := map[string]string{}
	for _, t := range in {
		if t.Key == "" || len(t.Key) > 128 || strings.HasPrefix(t.Key, "aws:") {
			return nil, wire.Errorf("InvalidTagException", "The tag key '%s' is not valid", t.Key)
		}
		tags[t.Key] = ""
		if t.Value != nil {
			tags[t.Key] = *t.Value
		}
	}
	return tags, nil
}

// leaf is the certificate as X.509. It was checked when it came.
func (x *Certificate) leaf() *x509.Certificate {
	block, _ := pem.Decode(x.Cert)
	leaf, _ := x509.ParseCertificate(block.Bytes)
	return leaf
}

// Names are the domain names of the certificate.
func (x *Certificate) Names() []string { return names(x.leaf()) }

// algorithm of a public key as requests and filters spell it; "" for one that ACM does not take.
func algorithm(public any) string {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); slices.Contains([]int{1024, 2048, 3072, 4096}, bits) {
			return "RSA_" + strconv.Itoa(bits)
		}
	case *ecdsa.PublicKey:
		return map[string]string{"P-256": "EC_prime256v1", "P-384": "EC_secp384r1", "P-521": "EC_secp521r1"}[k.Curve.Params().Name]
	}
	return ""
}

// names of a certificate: the common name, then the others.
func names(leaf *x509.Certificate) []string {
	var out []string
	for _, n := range append([]string{leaf.Subject.CommonName}, leaf.DNSNames...) {
		if n != "" && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}
