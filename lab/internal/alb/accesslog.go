// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/alb/accesslog"
	"github.com/outlast-ci/outlast/lab/internal/alb/handshake"
	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

// LogTo hands the access log entry of every finished request to add, if the
// attributes access_logs.s3.* of its load balancer ask for it. add is called
// from many goroutines and must not block for long.
func (e *Engine) LogTo(add func(accesslog.Source, accesslog.Entry)) { e.logTo.Store(&add) }

// access hands a request over. attributes are its load balancer's.
func (e *Engine) access(attributes map[string]string, l *RequestLog, at time.Time) {
	add := e.logTo.Load()
	if add == nil || attributes["access_logs.s3.enabled"] != "true" {
		return
	}
	(*add)(accesslog.Source{LoadBalancer: l.LoadBalancer, Node: l.Node,
		Bucket: attributes["access_logs.s3.bucket"], Prefix: attributes["access_logs.s3.prefix"]}, entryOf(l, at))
}

func entryOf(l *RequestLog, at time.Time) accesslog.Entry {
	e := accesslog.Entry{
		Type: l.Type, Time: at, LoadBalancer: l.LoadBalancer, Client: l.Client, Target: l.Target,
		RequestTime: l.RequestTime, TargetTime: l.TargetTime, ResponseTime: l.ResponseTime,
		Status: l.Status, TargetStatus: l.TargetStatus, Received: l.Received, Sent: l.Sent,
		Request: l.Method + " " + l.URL + " " + l.Proto, UserAgent: l.UserAgent[:min(len(l.UserAgent), MaxUserAgent)],
		Cipher: l.Cipher, Protocol: l.TLS, TargetGroup: l.TargetGroup, TraceID: l.TraceID, Domain: l.Domain,
		Certificate: l.Certificate, Priority: l.Priority, Created: l.Created, Actions: l.Action,
		RedirectURL: l.RedirectURL, Targets: l.Target, ConnTraceID: l.ConnTraceID,
	}
	if _, id, ok := strings.Cut(l.LoadBalancer, ":loadbalancer/"); ok {
		e.LoadBalancer = id
	}
	if l.TargetStatus != 0 {
		e.TargetStatuses = strconv.Itoa(l.TargetStatus)
	}
	return e
}

// connInfo is what a client connection has for all of its requests.
type connInfo struct {
	start time.Time
	trace string
	raw   net.Conn // below TLS
}

type connKey struct{}

func startOfConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, connInfo{time.Now(), "TID_" + wire.Hex(32), rawOf(c)})
}

func rawOf(c net.Conn) net.Conn {
	if t, ok := c.(*tls.Conn); ok {
		return t.NetConn()
	}
	return c
}

func connOf(r *http.Request) connInfo {
	c, _ := r.Context().Value(connKey{}).(connInfo)
	return c
}

// secured notes what the log says of a request's TLS connection: the server
// name only if a certificate is for it.
func (f *front) secured(l *RequestLog, c *frontConfig, r *http.Request) {
	l.Cipher, l.TLS = handshake.Cipher(r.TLS.CipherSuite), handshake.Protocol(r.TLS.Version)
	if c.tls.Knows(r.TLS.ServerName) {
		l.Domain = r.TLS.ServerName
	}
	if r.TLS.DidResume {
		l.Certificate = "session-reused"
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	l.Certificate = f.presented[connOf(r).raw]
}

// headSize is about how many bytes the head of a message took: a log counts them, too.
func headSize(first int, h http.Header) int64 {
	n := first + 2 + 2
	for k, vs := range h {
		for _, v := range vs {
			n += len(k) + len(v) + 4
		}
	}
	return int64(n)
}

func requestHead(r *http.Request) int64 {
	return headSize(len(r.Method)+len(r.URL.RequestURI())+len(r.Proto)+2, r.Header) + int64(len("Host: \r\n")+len(r.Host))
}

// withPort is host as the log's URL has it, always with a port.
func withPort(host string, port int) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return host + ":" + strconv.Itoa(port)
}
