// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

// User is an identity with a long-lived key, and whom it is in Kubernetes.
type User struct {
	AccessKeyID     string
	SecretAccessKey string
	ARN             string // "": a user of that name in the account
	Name            string
	// Deny lists operations that the user may not call, as IAM spells them
	// ("ecr:DescribeRepositories", "elasticloadbalancing:*"); the rest is allowed.
	Deny []string

	// Trust says who may become a role; for others, anybody of the account.
	Trust Trust

	KubernetesUser   string
	KubernetesGroups []string
}

// Trust is a role's trust policy. Empty fields ask for nothing.
type Trust struct {
	Subject    string // of an ID token: the role is for the CI only
	Role       string // name of the one role that may assume this one
	ExternalID string
}

// Session is a temporary credential of AssumeRole.
type Session struct {
	AccessKeyID     string
	SecretAccessKey string
	Token           string
	ARN             string // of the assumed role and session name
	UserID          string
	User            string // name of the User whose role was assumed
	Expires         time.Time
}

// Identity is who signed.
type Identity struct {
	wire.Caller
	User User
}

// Keys knows all keys. It is safe for concurrent use.
type Keys struct {
	Account string
	Now     func() time.Time // nil: time.Now

	mu       sync.Mutex
	users    []User
	sessions map[string]Session
}

// NewKeys returns the keys of users.
func NewKeys(account string, users []User, now func() time.Time) *Keys {
	if now == nil {
		now = time.Now
	}
	return &Keys{Account: account, Now: now, users: slices.Clone(users), sessions: map[string]Session{}}
}

// Sessions returns the sessions that have not expired, for the snapshot.
func (k *Keys) Sessions() []Session {
	k.mu.Lock()
	defer k.mu.Unlock()
	var live []Session
	for _, s := range k.sessions {
		if k.Now().Before(s.Expires) {
			live = append(live, s)
		}
	}
	slices.SortFunc(live, func(a, b Session) int { return strings.Compare(a.AccessKeyID, b.AccessKeyID) })
	return live
}

// AddSession makes a session known.
func (k *Keys) AddSession(s Session) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sessions[s.AccessKeyID] = s
}

// UserByARN finds the user with that ARN.
func (k *Keys) UserByARN(arn string) (User, bool) {
	for _, u := range k.users {
		if u.ARN == arn {
			return u, true
		}
	}
	return User{}, false
}

// lookup returns the secret of a key and whom it belongs to.
func (k *Keys) lookup(id, token string) (string, Identity, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, u := range k.users {
		if u.AccessKeyID == id && id != "" { // a role has no key of its own
			if token != "" {
				return "", Identity{}, ErrToken
			}
			return u.SecretAccessKey, Identity{User: u, Caller: wire.Caller{
				ARN: u.ARN, AccessKeyID: id, Name: u.Name, UserID: UserID("AIDA", u.ARN),
			}}, nil
		}
	}
	s, ok := k.sessions[id]
	if !ok {
		return "", Identity{}, ErrUnknown
	}
	if s.Token != token {
		return "", Identity{}, ErrToken
	}
	if !k.Now().Before(s.Expires) {
		return "", Identity{}, ErrExpired
	}
	i := slices.IndexFunc(k.users, func(u User) bool { return u.Name == s.User })
	if i < 0 {
		return "", Identity{}, ErrUnknown
	}
	return s.SecretAccessKey, Identity{User: k.users[i], Caller: wire.Caller{
		ARN: s.ARN, AccessKeyID: id, Name: s.User, UserID: s.UserID,
	}}, nil
}

// UserID derives the unique id that IAM would have given to an ARN.
func UserID(prefix, arn string) string {
	sum := sha256.Sum256([]byte(arn))
	return prefix + strings.ToUpper(hex.EncodeToString(sum[:]))[:17]
}

// Verify checks the signature in the headers of r, or in its URL when it is
// presigned, over a body that was read before.
func (k *Keys) Verify(r *http.Request, body []byte) (Identity, Scope, error) {
	if r.Header.Get("Authorization") == "" && r.URL.Query().Get("X-Amz-Signature") != "" {
		return k.verifyURL(r.Method, r.URL, func(name string) string { return header(r, name) })
	}
	s, err := parseHeader(r)
	if err != nil {
		return Identity{}, Scope{}, err
	}
	secret, id, err := k.lookup(s.scope.AccessKeyID, s.token)
	if err != nil {
		return Identity{}, s.scope, err
	}
	sum := sha256.Sum256(body)
	payload := hex.EncodeToString(sum[:])
	// S3 lets a client leave the body out; the other services do not.
	if sent := r.Header.Get("X-Amz-Content-Sha256"); s.scope.Service == "s3" && (sent == unsigned || strings.HasPrefix(sent, "STREAMING-")) {
		payload = sent
	}
	computed := s.compute(secret, r.Method, r.URL.EscapedPath(), r.URL.Query(), func(name string) string { return header(r, name) }, payload)
	if !s.matches(computed) {
		return Identity{}, s.scope, ErrSignature
	}
	if d := k.Now().Sub(s.time); d > maxSkew || d < -maxSkew {
		return Identity{}, s.scope, fmt.Errorf("%w: signed at %s, now it is %s", ErrSkew, s.time.Format(timeFormat), k.Now().UTC().Format(timeFormat))
	}
	return id, s.scope, nil
}

// verifyURL checks a presigned URL. STS takes one for 15 minutes after
// X-Amz-Date, whatever X-Amz-Expires says (aws-iam-authenticator pull 160).
func (k *Keys) verifyURL(method string, u *url.URL, head func(string) string) (Identity, Scope, error) {
	s, err := parseQuery(u.Query())
	if err != nil {
		return Identity{}, Scope{}, err
	}
	secret, id, err := k.lookup(s.scope.AccessKeyID, s.token)
	if err != nil {
		return Identity{}, s.scope, err
	}
	payload := emptySHA
	if s.scope.Service == "s3" {
		payload = unsigned
	}
	if !s.matches(s.compute(secret, method, u.EscapedPath(), u.Query(), head, payload)) {
		return Identity{}, s.scope, ErrSignature
	}
	if d := k.Now().Sub(s.time); d > maxSkew || d < -maxSkew {
		return Identity{}, s.scope, fmt.Errorf("%w: signed at %s, now it is %s", ErrSkew, s.time.Format(timeFormat), k.Now().UTC().Format(timeFormat))
	}
	return id, s.scope, nil
}

// header returns a header as the client signed it: net/http moves two of them.
func header(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		return fmt.Sprint(r.ContentLength)
	}
	return strings.Join(r.Header.Values(name), ",")
}

// Denied tells whether the user may not call service:operation.
func (u User) Denied(service, operation string) bool {
	return slices.ContainsFunc(u.Deny, func(d string) bool {
		s, op, _ := strings.Cut(d, ":")
		return s == service && (op == "*" || op == operation)
	})
}

// Refusal turns an error of Verify into the answer of a service.
func Refusal(service string, err error) *wire.Error {
	code, message, status := words(err)
	switch wire.ProtocolOf(service) {
	case wire.EC2:
		if code == "SignatureDoesNotMatch" || code == "InvalidClientTokenId" {
			return wire.Errorf("AuthFailure", "AWS was not able to validate the provided access credentials").WithStatus(http.StatusUnauthorized)
		}
		if code == "ExpiredToken" {
			return wire.Errorf("RequestExpired", "Request has expired.")
		}
	case wire.JSON, wire.REST:
		code = map[string]string{
			"MissingAuthenticationToken": "MissingAuthenticationTokenException",
			"IncompleteSignature":        "IncompleteSignatureException",
			"InvalidClientTokenId":       "UnrecognizedClientException",
			"SignatureDoesNotMatch":      "InvalidSignatureException",
			"ExpiredToken":               "ExpiredTokenException",
		}[code]
		if service == "ecr" {
			status = http.StatusBadRequest
		}
	}
	return wire.Errorf(code, "%s", message).WithStatus(status)
}
