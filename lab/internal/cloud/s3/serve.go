// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"bytes"
	"encoding/xml"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/outlast-ci/outlast/lab/internal/cloud/region"
	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

// Request is one verified request.
type Request struct {
	wire.Call
	Body   []byte
	Bucket string
	Key    string
}

// Address finds bucket and key of a request: in the host name, when it ends in
// one of ours, or in the path. hosts are names that the endpoint has.
func Address(r *http.Request, regionName string, hosts ...string) (bucket, key string) {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	path := strings.TrimPrefix(r.URL.Path, "/")
	for _, h := range append(hosts, "localhost", "s3."+regionName+"."+region.DNSSuffix(regionName)) {
		if b, ok := strings.CutSuffix(host, "."+h); ok && h != "" && net.ParseIP(host) == nil {
			return b, path
		}
	}
	bucket, key, _ = strings.Cut(path, "/")
	return bucket, key
}

// Operation names what a request asks for as IAM spells the permission; "" is
// what the lab does not have.
func Operation(r *http.Request, bucket, key string) string {
	q := r.URL.Query()
	switch {
	case bucket == "" || subresource(q):
		return ""
	case key == "" && r.Method == http.MethodPut:
		return "CreateBucket"
	case key == "" && (r.Method == http.MethodHead || r.Method == http.MethodGet && q.Get("list-type") == "2"):
		return "ListBucket"
	case key != "" && r.Method == http.MethodPut && r.Header.Get("X-Amz-Copy-Source") == "":
		return "PutObject"
	case key != "" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		return "GetObject"
	}
	return ""
}

func subresource(q url.Values) bool {
	for _, name := range []string{"acl", "policy", "versions", "uploads", "uploadId", "tagging", "location", "versioning", "versionId", "lifecycle", "encryption"} {
		if q.Has(name) {
			return true
		}
	}
	return false
}

// Serve answers a request whose signature and permission were checked.
func (s *Store) Serve(w http.ResponseWriter, r *http.Request, q Request) {
	w.Header().Set("X-Amz-Request-Id", q.RequestID)
	err := s.regional(q)
	if err == nil {
		switch q.Operation {
		case "CreateBucket":
			err = s.create(w, q)
		case "ListBucket":
			err = s.bucket(w, r, q)
		case "PutObject":
			err = s.put(w, r, q)
		case "GetObject":
			err = s.get(w, r, q)
		default:
			err = fail("NotImplemented", "A header or query you provided implies functionality that is not implemented.").WithStatus(http.StatusNotImplemented)
		}
	}
	if err != nil {
		WriteError(w, r, q, err)
	}
}

// regional refuses requests for a bucket of another region, as S3 does.
func (s *Store) regional(q Request) error {
	if q.Operation == "CreateBucket" || q.Operation == "" {
		return nil
	}
	home, err := s.Region(q.Bucket)
	if err == nil && home != q.Region {
		return fail("AuthorizationHeaderMalformed", "The authorization header is malformed; the region '%s' is wrong; expecting '%s'", q.Region, home)
	}
	return err
}

// create makes a bucket. Outside of us-east-1, the service wants to be told the
// region in the body, too.
func (s *Store) create(w http.ResponseWriter, q Request) error {
	var in struct{ LocationConstraint string }
	if err := xml.Unmarshal(q.Body, &in); err != nil && len(q.Body) > 0 {
		return fail("MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
	}
	switch {
	case in.LocationConstraint == "" && q.Region != "us-east-1":
		return fail("IllegalLocationConstraintException", "The unspecified location constraint is incompatible for the region specific endpoint this request was sent to.")
	case in.LocationConstraint != "" && (in.LocationConstraint != q.Region || q.Region == "us-east-1"):
		return fail("IllegalLocationConstraintException", "The %s location constraint is incompatible for the region specific endpoint this request was sent to.", in.LocationConstraint)
	}
	fresh, err := s.CreateBucket(q.Bucket, q.Region)
	if err != nil {
		return err
	}
	if !fresh {
		return fail("BucketAlreadyOwnedByYou", "Your previous request to create the named bucket succeeded and you already own it.").WithStatus(http.StatusConflict)
	}
	w.Header().Set("Location", "/"+q.Bucket)
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Store) bucket(w http.ResponseWriter, r *http.Request, q Request) error {
	if r.Method == http.MethodHead {
		w.Header().Set("X-Amz-Bucket-Region", q.Region)
		w.WriteHeader(http.StatusOK)
		return nil
	}
	out, err := s.listing(q.Bucket, r.URL.Query())
	if err != nil {
		return err
	}
	return writeXML(w, http.StatusOK, out)
}

func (s *Store) put(w http.ResponseWriter, r *http.Request, q Request) error {
	if strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		return fail("NotImplemented", "The lab does not take bodies in chunks: send a body that can be read twice.").WithStatus(http.StatusNotImplemented)
	}
	o, err := s.Put(q.Bucket, q.Key, r.Header.Get("Content-Type"), q.Body)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", o.ETag)
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Store) get(w http.ResponseWriter, r *http.Request, q Request) error {
	o, body, err := s.Get(q.Bucket, q.Key)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", o.ETag)
	w.Header().Set("Content-Type", o.Type)
	http.ServeContent(w, r, "", o.Modified, bytes.NewReader(body))
	return nil
}

func fail(code, format string, a ...any) *wire.Error { return wire.Errorf(code, format, a...) }

func noSuchBucket() *wire.Error {
	return fail("NoSuchBucket", "The specified bucket does not exist").WithStatus(http.StatusNotFound)
}

func noSuchKey() *wire.Error {
	return fail("NoSuchKey", "The specified key does not exist.").WithStatus(http.StatusNotFound)
}

// Refusal turns a refusal of the query services into S3's words.
func Refusal(e *wire.Error) *wire.Error {
	out := *e
	switch e.Code {
	case "MissingAuthenticationToken":
		return fail("AccessDenied", "Access Denied").WithStatus(http.StatusForbidden)
	case "IncompleteSignature":
		out.Code, out.Status = "AuthorizationHeaderMalformed", http.StatusBadRequest
	case "InvalidClientTokenId":
		return fail("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.").WithStatus(http.StatusForbidden)
	case "ExpiredToken":
		return fail("ExpiredToken", "The provided token has expired.")
	case "SignatureDoesNotMatch":
		if strings.HasPrefix(e.Message, "Signature not yet current") {
			return fail("RequestTimeTooSkewed", "The difference between the request time and the current time is too large.").WithStatus(http.StatusForbidden)
		}
	}
	return &out
}

// WriteError sends an error as S3's XML; the answer to HEAD has no body.
func WriteError(w http.ResponseWriter, r *http.Request, q Request, err error) {
	var e *wire.Error
	if !errors.As(err, &e) {
		e = fail("InternalError", "%v", err).WithStatus(http.StatusInternalServerError)
	}
	status := e.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	if r.Method == http.MethodHead {
		w.WriteHeader(status)
		return
	}
	out := struct {
		XMLName    xml.Name `xml:"Error"`
		Code       string
		Message    string
		BucketName string `xml:",omitempty"`
		Key        string `xml:",omitempty"`
		RequestID  string `xml:"RequestId"`
		HostID     string `xml:"HostId"`
	}{Code: e.Code, Message: e.Message, RequestID: q.RequestID, HostID: "outlast-lab"}
	switch e.Code {
	case "NoSuchBucket":
		out.BucketName = q.Bucket
	case "NoSuchKey":
		out.Key = q.Key
	}
	_ = writeXML(w, status, out) // the asker went away
}

func writeXML(w http.ResponseWriter, status int, out any) error {
	b, err := xml.Marshal(out)
	if err != nil {
		return err
	}
	b = append([]byte(xml.Header), b...)
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, err = w.Write(b)
	return err
}
