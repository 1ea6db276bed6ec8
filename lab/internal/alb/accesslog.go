// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/alb/accesslog"
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
		Request: l.Method + " " + l.URL + " " + l.Proto, UserAgent: l.UserAgent[:min(len(l.UserAgent), 8<<10)],
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
}

type connKey struct{}

func startOfConn(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, connInfo{time.Now(), "TID_" + wire.Hex(32)})
}

func connOf(r *http.Request) connInfo {
	c, _ := r.Context().Value(connKey{}).(connInfo)
	return c
}

// secured notes what the log says of a TLS connection.
func (l *RequestLog) secured(c *frontConfig, s *tls.ConnectionState) {
	l.Cipher, l.TLS = opensslName(s.CipherSuite), strings.Replace(tls.VersionName(s.Version), "TLS 1", "TLSv1", 1)
	l.Domain = s.ServerName
	if s.DidResume {
		l.Certificate = "session-reused"
		return
	}
	for i, k := range c.certs {
		leaf, err := x509.ParseCertificate(k.Certificate[0])
		if i == 0 || err == nil && s.ServerName != "" && leaf.VerifyHostname(s.ServerName) == nil {
			l.Certificate = c.listener.Certificates[i].ARN
			if i > 0 {
				return
			}
			if err == nil && leaf.VerifyHostname(s.ServerName) == nil {
				return
			}
		}
	}
}

// opensslName spells a cipher suite as the logs do: TLS 1.3's as they are,
// older ones in OpenSSL's way.
func opensslName(suite uint16) string {
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
