// SPDX-License-Identifier: Apache-2.0

// Package auth checks who signed a request: AWS Signature Version 4 in a
// header or in a presigned URL, recomputed from the key's secret, and the
// tokens made of such a URL that an EKS cluster accepts. Requests go in,
// a caller or the reason of the refusal comes out. It is written from the
// published algorithm and does not use the SDK's signer, so that the SDK as
// client is checked by something else than itself.
package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	timeFormat = "20060102T150405Z"
	maxSkew    = 15 * time.Minute
	unsigned   = "UNSIGNED-PAYLOAD"
	emptySHA   = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// The reasons for a refusal; each service has its own words for them.
var (
	ErrMissing   = errors.New("the request is not signed")
	ErrMalformed = errors.New("the signature cannot be read")
	ErrUnknown   = errors.New("the access key is not known")
	ErrSignature = errors.New("the signature does not match")
	ErrSkew      = errors.New("the signature is too old or from the future")
	ErrExpired   = errors.New("the session has expired")
	ErrToken     = errors.New("the session token is not that of the access key")
)

// Scope is what a signature is for.
type Scope struct {
	AccessKeyID string
	Date        string
	Region      string
	Service     string
}

func (s Scope) String() string {
	return s.Date + "/" + s.Region + "/" + s.Service + "/aws4_request"
}

// signature is one signature as it came, with what it was computed over.
type signature struct {
	scope   Scope
	time    time.Time
	headers []string
	value   string
	token   string // session token
}

// parseHeader reads the Authorization header of r.
func parseHeader(r *http.Request) (signature, error) {
	h := r.Header.Get("Authorization")
	if h == "" {
		return signature{}, ErrMissing
	}
	rest, ok := strings.CutPrefix(h, algorithm+" ")
	if !ok {
		return signature{}, fmt.Errorf("%w: the Authorization header does not begin with %s", ErrMalformed, algorithm)
	}
	part := map[string]string{}
	for p := range strings.SplitSeq(rest, ",") {
		k, v, _ := strings.Cut(strings.TrimSpace(p), "=")
		part[k] = v
	}
	return newSignature(part["Credential"], part["SignedHeaders"], part["Signature"],
		r.Header.Get("X-Amz-Date"), r.Header.Get("X-Amz-Security-Token"))
}

// parseQuery reads the signature of a presigned URL.
func parseQuery(q url.Values) (signature, error) {
	if q.Get("X-Amz-Signature") == "" {
		return signature{}, ErrMissing
	}
	if q.Get("X-Amz-Algorithm") != algorithm {
		return signature{}, fmt.Errorf("%w: X-Amz-Algorithm is %q, not %s", ErrMalformed, q.Get("X-Amz-Algorithm"), algorithm)
	}
	return newSignature(q.Get("X-Amz-Credential"), q.Get("X-Amz-SignedHeaders"), q.Get("X-Amz-Signature"),
		q.Get("X-Amz-Date"), q.Get("X-Amz-Security-Token"))
}

func newSignature(credential, headers, value, date, token string) (signature, error) {
	p := strings.Split(credential, "/")
	if len(p) != 5 || p[4] != "aws4_request" || value == "" || headers == "" {
		return signature{}, fmt.Errorf("%w: Credential, SignedHeaders and Signature are needed, the first as KEY/DATE/REGION/SERVICE/aws4_request", ErrMalformed)
	}
	t, err := time.Parse(timeFormat, date)
	if err != nil || t.Format("20060102") != p[1] {
		return signature{}, fmt.Errorf("%w: X-Amz-Date %q is not a time of the credential's day %s", ErrMalformed, date, p[1])
	}
	s := signature{
		scope: Scope{AccessKeyID: p[0], Date: p[1], Region: p[2], Service: p[3]},
		time:  t, headers: strings.Split(headers, ";"), value: value, token: token,
	}
	if !slices.Contains(s.headers, "host") {
		return signature{}, fmt.Errorf("%w: the host header is not signed", ErrMalformed)
	}
	return s, nil
}

// compute returns the signature that the secret makes of a request.
func (s signature) compute(secret, method, path string, query url.Values, header func(string) string, payloadSHA string) string {
	if s.scope.Service != "s3" {
		path = canonicalPath(path)
	}
	canonical := strings.Join([]string{
		method, path, canonicalQuery(query), s.canonicalHeaders(header), strings.Join(s.headers, ";"), payloadSHA,
	}, "\n")
	sum := sha256.Sum256([]byte(canonical))
	toSign := strings.Join([]string{algorithm, s.time.Format(timeFormat), s.scope.String(), hex.EncodeToString(sum[:])}, "\n")
	key := mac([]byte("AWS4"+secret), s.scope.Date)
	key = mac(mac(mac(key, s.scope.Region), s.scope.Service), "aws4_request")
	return hex.EncodeToString(mac(key, toSign))
}

func (s signature) matches(computed string) bool {
	return hmac.Equal([]byte(s.value), []byte(computed))
}

func (s signature) canonicalHeaders(header func(string) string) string {
	var b strings.Builder
	for _, name := range s.headers {
		b.WriteString(name + ":" + strings.Join(strings.Fields(header(name)), " ") + "\n")
	}
	return b.String()
}

func mac(key []byte, data string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(data))
	return h.Sum(nil)
}

// canonicalPath encodes an already encoded path once more, as all services but S3 do.
func canonicalPath(path string) string {
	if path == "" {
		return "/"
	}
	parts := strings.Split(path, "/")
	for i, p := range parts {
		parts[i] = escape(p)
	}
	return strings.Join(parts, "/")
}

func canonicalQuery(q url.Values) string {
	var pairs []string
	for k, vs := range q {
		if k == "X-Amz-Signature" {
			continue
		}
		for _, v := range vs {
			pairs = append(pairs, escape(k)+"="+escape(v))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// escape is RFC 3986 encoding of all but the unreserved characters.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("-_.~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
