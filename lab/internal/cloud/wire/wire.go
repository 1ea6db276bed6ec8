// SPDX-License-Identifier: Apache-2.0

// Package wire speaks the protocols of the AWS APIs the lab imitates: AWS
// query (ELBv2, STS), EC2 query, JSON 1.1 (ECR, ACM), REST JSON (EKS) and Smithy
// RPC with CBOR (CloudWatch). Requests go in as form values, JSON or CBOR and come
// out as the structs of the operations; answers and errors go the other way, spelt
// as each service spells them.
package wire

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"time"
)

// Caller is who signed the request.
type Caller struct {
	ARN         string
	UserID      string // what GetCallerIdentity answers as UserId
	AccessKeyID string
	Name        string // the lab's name of the user
}

// Call is one verified request.
type Call struct {
	Service   string // as in the signature's scope: ec2, elasticloadbalancing, ...
	Operation string
	Resources []string // ARNs that a call of the query protocol names
	Region    string   // of the signature's scope
	Account   string
	Caller    Caller
	Now       time.Time
	RequestID string
}

// Error is an error of an AWS API.
type Error struct {
	Code    string
	Message string
	Status  int // HTTP status; 0 means 400
}

// Error reads as the SDKs print it.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Errorf makes an Error with status 400.
func Errorf(code, format string, a ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, a...)}
}

// WithStatus sets the HTTP status and returns e.
func (e *Error) WithStatus(status int) *Error {
	e.Status = status
	return e
}

func (e *Error) status() int {
	if e.Status == 0 {
		return http.StatusBadRequest
	}
	return e.Status
}

// fault says whose the error is, the caller's or the service's.
func (e *Error) fault() string {
	if e.status() >= http.StatusInternalServerError {
		return "Receiver"
	}
	return "Sender"
}

// NewRequestID makes an id of the form AWS gives every answer.
func NewRequestID() string {
	h := Hex(32)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// Hex returns n random hexadecimal digits, for ids.
func Hex(n int) string {
	b := make([]byte, (n+1)/2)
	_, _ = rand.Read(b) // crypto/rand never fails
	return hex.EncodeToString(b)[:n]
}
