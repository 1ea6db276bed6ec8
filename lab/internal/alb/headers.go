// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
)

// headers makes of the client's headers those that the target gets, by the
// attributes routing.http.*.
func (x *exchange) headers(p *httputil.ProxyRequest) {
	a, in, out := x.config.lb.Attributes, p.In, p.Out
	if a["routing.http.drop_invalid_header_fields.enabled"] == "true" {
		for name := range out.Header {
			if strings.ContainsFunc(name, invalidInName) {
				delete(out.Header, name)
			}
		}
	}
	if a["routing.http.preserve_host_header.enabled"] != "true" {
		out.Host = hostAt(in.Host, x.config.listener)
	}
	out.Header["X-Forwarded-For"] = x.forwardedFor(in)
	out.Header.Set("X-Forwarded-Proto", x.scheme())
	out.Header.Set("X-Forwarded-Port", strconv.Itoa(x.config.listener.Port))
	out.Header.Set("X-Amzn-Trace-Id", x.log.TraceID)
	if a["routing.http.x_amzn_tls_version_and_cipher_suite.enabled"] == "true" && in.TLS != nil {
		out.Header.Set("X-Amzn-Tls-Version", x.log.TLS)
		out.Header.Set("X-Amzn-Tls-Cipher-Suite", x.log.Cipher)
	}
}

// invalidInName: valid names have nothing but letters, digits and hyphens.
func invalidInName(r rune) bool {
	return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}

// hostAt is the host as an ALB changes it: with the listener's port, unless it
// has one or the port is the protocol's own.
func hostAt(host string, l Listener) string {
	if l.Port == 80 && l.Protocol == "HTTP" || l.Port == 443 && l.Protocol == "HTTPS" || host == "" {
		return host
	}
	return withPort(host, l.Port)
}

// forwardedFor is the header X-Forwarded-For; nil: none.
func (x *exchange) forwardedFor(in *http.Request) []string {
	before, a := in.Header.Values("X-Forwarded-For"), x.config.lb.Attributes
	switch a["routing.http.xff_header_processing.mode"] {
	case "remove":
		return nil
	case "preserve":
		return before
	}
	client := clientAddr(in).String()
	if a["routing.http.xff_client_port.enabled"] == "true" {
		if _, port, err := net.SplitHostPort(in.RemoteAddr); err == nil {
			client = net.JoinHostPort(client, port)
		}
	}
	return []string{strings.Join(append(before[:len(before):len(before)], client), ", ")}
}
