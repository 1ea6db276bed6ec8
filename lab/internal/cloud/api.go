// SPDX-License-Identifier: Apache-2.0

package cloud

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/outlast-ci/outlast/lab/internal/cloud/auth"
	"github.com/outlast-ci/outlast/lab/internal/cloud/eks"
	"github.com/outlast-ci/outlast/lab/internal/cloud/monitoring"
	"github.com/outlast-ci/outlast/lab/internal/cloud/sts"
	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

const maxBody = 8 << 20

// The namespaces of the answers of the query services, which differ in nothing else.
const (
	elbNamespace = "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"
	stsNamespace = "https://sts.amazonaws.com/doc/2011-06-15/"
)

// API serves all services on one URL; the signature's scope tells which one is meant.
func (c *Cloud) API() http.Handler { return http.HandlerFunc(c.serve) }

func (c *Cloud) serve(w http.ResponseWriter, r *http.Request) {
	id := wire.NewRequestID()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if c.unsigned(w, r, body, id) {
		return
	}
	caller, scope, err := c.keys.Verify(r, body)
	if scope.Service == "s3" {
		c.serveS3(w, r, body, wire.Call{Service: "s3", Region: scope.Region, Account: c.cfg.Account, Caller: caller.Caller, Now: c.cfg.Now(), RequestID: id}, caller.User, err)
		return
	}
	service := scope.Service
	if service == "" {
		service = guess(r)
	}
	protocol := wire.ProtocolOf(service)
	if err != nil {
		c.log(fmt.Sprintf("%s: refused: %v", service, err))
		wire.WriteError(w, protocol, id, auth.Refusal(service, err))
		return
	}
	form, err := formOf(r, body)
	if err != nil {
		wire.WriteError(w, protocol, id, wire.Errorf("MalformedQueryString", "%v", err))
		return
	}
	call := wire.Call{Service: service, Region: scope.Region, Account: c.cfg.Account, Caller: caller.Caller, Now: c.cfg.Now(), RequestID: id}
	cluster := ""
	switch protocol {
	case wire.JSON:
		_, call.Operation, _ = strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	case wire.REST:
		call.Operation, cluster = eks.Operation(r)
	case wire.CBOR:
		call.Operation = wire.RPCOperation(r)
	default:
		call.Operation, call.Resources = form.Get("Action"), arns(form)
	}
	if caller.User.Denied(permission(service), call.Operation) && call.Operation != "GetCallerIdentity" {
		wire.WriteError(w, protocol, id, denied(protocol, call))
		return
	}
	if c.troubled(w, r, protocol, call) {
		return
	}
	out, err := c.answer(call, form, body, cluster)
	if err != nil {
		c.refuse(w, protocol, call, err)
		return
	}
	c.reply(w, protocol, call, out)
}

// arns are those that a call's parameters are, in no order.
func arns(form url.Values) (all []string) {
	for _, values := range form {
		for _, v := range values {
			if strings.HasPrefix(v, "arn:") {
				all = append(all, v)
			}
		}
	}
	return all
}

// troubled tells whether the call ended in throttling or in a fault that was ordered.
func (c *Cloud) troubled(w http.ResponseWriter, r *http.Request, p wire.Protocol, call wire.Call) bool {
	e, done := c.trouble.Meet(w, r, call)
	if e != nil {
		c.log(fmt.Sprintf("%s: %s: %s", call.Service, call.Operation, e.Code))
		wire.WriteError(w, p, call.RequestID, e)
	}
	return e != nil || done
}

// Control is the lab's own API, by which tests order faults and set limits.
func (c *Cloud) Control() http.Handler { return c.trouble.Control() }

// unsigned serves the one call that has an ID token in a signature's stead.
func (c *Cloud) unsigned(w http.ResponseWriter, r *http.Request, body []byte, id string) bool {
	form, err := formOf(r, body)
	if err != nil || form.Get("Action") != "AssumeRoleWithWebIdentity" || c.cfg.Issuer == nil {
		return false
	}
	call := wire.Call{Service: "sts", Operation: "AssumeRoleWithWebIdentity", Region: c.cfg.Region, Account: c.cfg.Account, Now: c.cfg.Now(), RequestID: id}
	if c.troubled(w, r, wire.Query, call) {
		return true
	}
	c.mu.Lock()
	out, err := sts.AssumeRoleWithWebIdentity(c.keys, c.cfg.Issuer, call, form)
	if err == nil {
		err = c.save()
	}
	c.mu.Unlock()
	if err != nil {
		c.log(fmt.Sprintf("sts: a token is refused: %v", err))
		c.refuse(w, wire.Query, call, err)
	} else {
		c.reply(w, wire.Query, call, out)
	}
	return true
}

// guess tells an unsigned request's service by its shape.
func guess(r *http.Request) string {
	switch {
	case strings.HasPrefix(r.Header.Get("X-Amz-Target"), "AmazonEC2ContainerRegistry"):
		return "ecr"
	case strings.HasPrefix(r.Header.Get("X-Amz-Target"), "CertificateManager"):
		return "acm"
	case strings.HasPrefix(r.URL.Path, "/clusters"):
		return "eks"
	case strings.HasPrefix(r.URL.Path, "/service/"):
		return "monitoring"
	}
	return "elasticloadbalancing"
}

// permission is the service as IAM calls it, which for one is not what its signatures do.
func permission(service string) string {
	if service == "monitoring" {
		return "cloudwatch"
	}
	return service
}

func formOf(r *http.Request, body []byte) (url.Values, error) {
	form := r.URL.Query()
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return form, nil
	}
	posted, err := url.ParseQuery(string(body))
	for k, v := range posted {
		form[k] = v
	}
	return form, err
}

func denied(p wire.Protocol, c wire.Call) *wire.Error {
	text := fmt.Sprintf("User: %s is not authorized to perform: %s:%s because no identity-based policy allows the %s:%s action",
		c.Caller.ARN, permission(c.Service), c.Operation, permission(c.Service), c.Operation)
	switch p {
	case wire.EC2:
		return wire.Errorf("UnauthorizedOperation", "You are not authorized to perform this operation. %s", text).WithStatus(http.StatusForbidden)
	case wire.JSON:
		return wire.Errorf("AccessDeniedException", "%s", text)
	case wire.REST:
		return wire.Errorf("AccessDeniedException", "%s", text).WithStatus(http.StatusForbidden)
	}
	return wire.Errorf("AccessDenied", "%s", text).WithStatus(http.StatusForbidden)
}

// errNoOperation marks what the lab does not have.
var errNoOperation = errors.New("not in the lab")

// answer runs the operation and saves what it changed.
func (c *Cloud) answer(call wire.Call, form url.Values, body []byte, cluster string) (any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.in(call.Region)
	var out any
	var err error
	ok := true
	switch call.Service {
	case "ec2":
		op := c.ec2Ops[call.Operation]
		if ok = op != nil; ok {
			out, err = op(r.EC2, call, form)
		}
	case "elasticloadbalancing":
		op := c.elbOps[call.Operation]
		if ok = op != nil; ok {
			out, err = op(r.ELB, call, form)
		}
	case "sts":
		out, ok, err = sts.Answer(c.keys, call, form)
	case "ecr":
		out, ok, err = c.ecr.Answer(r.ECR, call, body)
	case "acm":
		if out, ok, err = c.acm.Answer(r.ACM, call, body); err == nil && call.Operation == "ImportCertificate" {
			err = c.elb.PushAll(r.ELB) // a listener may present the one that was replaced
		}
	case "monitoring":
		out, ok, err = monitoring.Answer(r.Monitoring, call, body)
	case "eks":
		if ok = call.Operation != ""; ok {
			out, err = eks.Answer(call, c.clusters(call.Region), cluster)
		}
	default:
		ok = false
	}
	if !ok {
		return nil, errNoOperation
	}
	if err == nil && changes(call.Operation) {
		err = c.save()
	}
	return out, err
}

// changes tells whether an operation may have changed something.
func changes(operation string) bool {
	for _, p := range []string{"Describe", "Get", "List", "BatchGet"} {
		if strings.HasPrefix(operation, p) {
			return false
		}
	}
	return true
}

func (c *Cloud) refuse(w http.ResponseWriter, p wire.Protocol, call wire.Call, err error) {
	var e *wire.Error
	switch {
	case errors.Is(err, errNoOperation):
		c.log(fmt.Sprintf("%s: operation %q is not imitated", call.Service, call.Operation))
		e = wire.Errorf("InvalidAction", "The action %s is not valid for this web service.", call.Operation)
		if p == wire.JSON || p == wire.REST || p == wire.CBOR {
			e = wire.Errorf("UnknownOperationException", "The operation %q is not imitated by the lab.", call.Operation)
		}
	case errors.As(err, &e):
	default:
		c.log(fmt.Sprintf("%s: %s: %v", call.Service, call.Operation, err))
		e = wire.Errorf("InternalFailure", "%v", err).WithStatus(http.StatusInternalServerError)
	}
	wire.WriteError(w, p, call.RequestID, e)
}

func (c *Cloud) reply(w http.ResponseWriter, p wire.Protocol, call wire.Call, out any) {
	switch p {
	case wire.JSON, wire.REST:
		wire.WriteJSON(w, p, http.StatusOK, call.RequestID, out)
	case wire.CBOR:
		wire.WriteCBOR(w, http.StatusOK, call.RequestID, wire.EncodeCBOR(out))
	case wire.EC2:
		b, err := wire.EncodeEC2(call.Operation, call.RequestID, out)
		if err != nil {
			c.refuse(w, p, call, err)
			return
		}
		wire.WriteXML(w, http.StatusOK, call.RequestID, b)
	default:
		namespace := elbNamespace
		if call.Service == "sts" {
			namespace = stsNamespace
		}
		wire.WriteXML(w, http.StatusOK, call.RequestID, wire.EncodeQuery(call.Operation, namespace, call.RequestID, out))
	}
}
