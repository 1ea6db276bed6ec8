// SPDX-License-Identifier: Apache-2.0

package cloud_test

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	acmtypes "github.com/aws/aws-sdk-go-v2/service/acm/types"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/outlast-ci/outlast/lab/internal/alb/accesslog"
)

const tls13 = "ELBSecurityPolicy-TLS13-1-2-2021-06"

// secure is a load balancer with an HTTPS listener on port 18443, whose default
// certificate is for web.test and whose list has one for api.test.
type secure struct {
	world
	*issuer
	web, api string // ARNs of certificates
}

func certs(arns ...string) (out []types.Certificate) {
	for _, a := range arns {
		out = append(out, types.Certificate{CertificateArn: aws.String(a)})
	}
	return out
}

func (l *lab) newSecure(t *testing.T) *secure {
	t.Helper()
	s := &secure{world: l.newWorld(t), issuer: newIssuer(t, acmtypes.KeyAlgorithmEcPrime256v1)}
	s.web, s.api = l.imported(t, s.issuer, newKey(t, acmtypes.KeyAlgorithmEcPrime256v1), "web.test"), l.imported(t, s.issuer, newKey(t, acmtypes.KeyAlgorithmEcPrime256v1), "api.test")
	out := must(l.elb().CreateListener(t.Context(), &elbv2.CreateListenerInput{LoadBalancerArn: &s.lb, Port: aws.Int32(18443), Protocol: types.ProtocolEnumHttps,
		Certificates: certs(s.web), SslPolicy: aws.String(tls13), DefaultActions: forward(s.tg)}))(t).Listeners[0]
	if *out.SslPolicy != tls13 || len(out.Certificates) != 1 || *out.Certificates[0].CertificateArn != s.web || out.Certificates[0].IsDefault != nil || *out.MutualAuthentication.Mode != "off" {
		t.Errorf("the new listener: %+v", out)
	}
	s.listener = *out.ListenerArn
	must(l.elb().AddListenerCertificates(t.Context(), &elbv2.AddListenerCertificatesInput{ListenerArn: &s.listener, Certificates: certs(s.api)}))(t)
	return s
}

// target serves h as the target 10.244.0.9 and waits until it is healthy.
func (l *lab) target(t *testing.T, group string, h http.HandlerFunc) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	l.servers.Store("10.244.0.9:8080", srv.Listener.Addr().String())
	in := []types.TargetDescription{{Id: aws.String("10.244.0.9"), Port: aws.Int32(8080)}}
	must(l.elb().RegisterTargets(t.Context(), &elbv2.RegisterTargetsInput{TargetGroupArn: &group, Targets: in}))(t)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		h := must(l.elb().DescribeTargetHealth(t.Context(), &elbv2.DescribeTargetHealthInput{TargetGroupArn: &group}))(t).TargetHealthDescriptions[0].TargetHealth
		if h.State == types.TargetHealthStateEnumHealthy {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the target is %+v after a minute", h)
		}
	}
}

// get asks the HTTPS listener in the name of server, on a connection of its
// own, and returns the body and what the handshake agreed on.
func (l *lab) get(t *testing.T, s *secure, server string, http2 bool) (string, *tls.ConnectionState) {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(s.root)
	address := net.JoinHostPort(l.engine.Addresses(s.lb)[0].String(), "18443")
	rt := &http.Transport{ForceAttemptHTTP2: http2, TLSClientConfig: &tls.Config{RootCAs: pool}, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	defer rt.CloseIdleConnections()
	req := must(http.NewRequestWithContext(t.Context(), "GET", "https://"+server+":18443/x", nil))(t)
	resp := must(rt.RoundTrip(req))(t)
	defer func() { _ = resp.Body.Close() }()
	return string(must(io.ReadAll(resp.Body))(t)), resp.TLS
}

func TestHTTPSFromImportToAccessLog(t *testing.T) {
	l := newLab(t, "cn-northwest-1")
	l.put(t, "logs")
	s := l.newSecure(t)
	must(l.elb().ModifyLoadBalancerAttributes(t.Context(), &elbv2.ModifyLoadBalancerAttributesInput{LoadBalancerArn: &s.lb, Attributes: []types.LoadBalancerAttribute{
		{Key: aws.String("access_logs.s3.enabled"), Value: aws.String("true")}, {Key: aws.String("access_logs.s3.bucket"), Value: aws.String("logs")}}}))(t)
	l.target(t, s.tg, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto+" "+r.Header.Get("X-Forwarded-Proto")+" "+r.Header.Get("X-Forwarded-Port"))
	})
	for _, x := range []struct {
		server string
		http2  bool
		kind   string
		cert   string
	}{{"web.test", true, "h2", s.web}, {"api.test", false, "https", s.api}} {
		body, state := l.get(t, s, x.server, x.http2)
		if body != "HTTP/1.1 https 18443" || state.PeerCertificates[0].DNSNames[0] != x.server || state.Version != tls.VersionTLS13 || (state.NegotiatedProtocol == "h2") != x.http2 {
			t.Errorf("%s: got %q, %+v", x.server, body, state)
		}
		var e accesslog.Entry
		for end := time.Now().Add(time.Minute); e.Domain != x.server && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			l.DeliverLogs() // what was answered may have yet to be logged
			e = l.lastLine(t)
		}
		if e.Type != x.kind || e.Domain != x.server || e.Certificate != x.cert || e.Protocol != "TLSv1.3" || e.Cipher != "TLS_AES_128_GCM_SHA256" || e.TargetGroup != s.tg ||
			!strings.HasPrefix(e.Request, "GET https://"+x.server+":18443/x HTTP/") || e.Status != 200 || e.TargetStatus != 200 {
			t.Errorf("logged %+v", e)
		}
	}
}

// lastLine is the newest line of all access log objects, whose own times are whole seconds.
func (l *lab) lastLine(t *testing.T) (last accesslog.Entry) {
	t.Helper()
	for _, o := range must(l.s3().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("logs")}))(t).Contents {
		out := must(l.s3().GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("logs"), Key: o.Key}))(t)
		for line := range strings.Lines(string(must(io.ReadAll(must(gzip.NewReader(out.Body))(t)))(t))) {
			if e := must(accesslog.Parse(strings.TrimSpace(line)))(t); e.Time.After(last.Time) {
				last = e
			}
		}
	}
	return last
}

func TestListenerCertificates(t *testing.T) {
	l := newLab(t, "us-east-1")
	s := l.newSecure(t)
	c := l.elb()
	shown := func() (out string) {
		p := elbv2.NewDescribeListenerCertificatesPaginator(c, &elbv2.DescribeListenerCertificatesInput{ListenerArn: &s.listener, PageSize: aws.Int32(1)})
		for p.HasMorePages() {
			for _, x := range must(p.NextPage(t.Context()))(t).Certificates {
				out += map[string]string{s.web: "web", s.api: "api"}[*x.CertificateArn] + map[bool]string{true: "*", false: ""}[*x.IsDefault] + " "
			}
		}
		return out
	}
	users := func(arn string) []string {
		return must(l.acm().DescribeCertificate(t.Context(), &acm.DescribeCertificateInput{CertificateArn: &arn}))(t).Certificate.InUseBy
	}
	change := func(in elbv2.ModifyListenerInput) types.Listener {
		in.ListenerArn = &s.listener
		return must(c.ModifyListener(t.Context(), &in))(t).Listeners[0]
	}
	steps := []struct {
		say  string
		do   func()
		want string
	}{
		{"as it was made", func() {}, "web* api "},
		{"adding one again", func() {
			must(c.AddListenerCertificates(t.Context(), &elbv2.AddListenerCertificatesInput{ListenerArn: &s.listener, Certificates: certs(s.api)}))(t)
		}, "web* api "},
		{"adding the default one to the list", func() {
			must(c.AddListenerCertificates(t.Context(), &elbv2.AddListenerCertificatesInput{ListenerArn: &s.listener, Certificates: certs(s.web)}))(t)
		}, "web* api web "},
		{"another default, that is in the list, too", func() { change(elbv2.ModifyListenerInput{Certificates: certs(s.api)}) }, "api* api web "},
		{"removing one from the list", func() {
			must(c.RemoveListenerCertificates(t.Context(), &elbv2.RemoveListenerCertificatesInput{ListenerArn: &s.listener, Certificates: certs(s.web)}))(t)
		}, "api* api "},
		{"another policy leaves the certificates", func() {
			if x := change(elbv2.ModifyListenerInput{SslPolicy: aws.String("ELBSecurityPolicy-TLS13-1-3-2021-06")}); *x.SslPolicy != "ELBSecurityPolicy-TLS13-1-3-2021-06" {
				t.Errorf("got policy %s", *x.SslPolicy)
			}
		}, "api* api "},
		{"removing the last of the list", func() {
			must(c.RemoveListenerCertificates(t.Context(), &elbv2.RemoveListenerCertificatesInput{ListenerArn: &s.listener, Certificates: certs(s.api)}))(t)
		}, "api* "},
	}
	for _, x := range steps {
		x.do()
		if got := shown(); got != x.want {
			t.Errorf("%s: got %q, want %q", x.say, got, x.want)
		}
	}
	if got := users(s.api); !slices.Equal(got, []string{s.lb}) || len(users(s.web)) != 0 {
		t.Errorf("users are %q and %q, want the load balancer of the one and nobody of the other", got, users(s.web))
	}
	_, err := l.acm().DeleteCertificate(t.Context(), &acm.DeleteCertificateInput{CertificateArn: &s.api})
	wantCode(t, err, "ResourceInUseException")
	if x := change(elbv2.ModifyListenerInput{Protocol: types.ProtocolEnumHttp}); x.SslPolicy != nil || len(x.Certificates) != 0 || shown() != "" {
		t.Errorf("changed to HTTP: %+v, certificates %q", x, shown())
	}
	must(l.acm().DeleteCertificate(t.Context(), &acm.DeleteCertificateInput{CertificateArn: &s.api}))(t)
}

func TestHTTPSErrors(t *testing.T) {
	l := newLab(t, "us-east-1")
	s := l.newSecure(t)
	c := l.elb()
	noDomain := l.imported(t, s.issuer, newKey(t, acmtypes.KeyAlgorithmEcPrime256v1), "localhost")
	plain := must(c.DescribeListeners(t.Context(), &elbv2.DescribeListenersInput{LoadBalancerArn: &s.lb}))(t).Listeners
	plain = slices.DeleteFunc(plain, func(x types.Listener) bool { return x.Protocol != types.ProtocolEnumHttp })
	absent := strings.TrimRight(s.web, "0123456789abcdef") + "00000000000"
	create := func(edit func(*elbv2.CreateListenerInput)) func() error {
		return func() error {
			in := &elbv2.CreateListenerInput{LoadBalancerArn: &s.lb, Port: aws.Int32(18444), Protocol: types.ProtocolEnumHttps, Certificates: certs(s.web), DefaultActions: forward(s.tg)}
			edit(in)
			_, err := c.CreateListener(t.Context(), in)
			return err
		}
	}
	type in = elbv2.CreateListenerInput
	add := func(listener string, arns ...string) func() error {
		return func() error {
			_, err := c.AddListenerCertificates(t.Context(), &elbv2.AddListenerCertificatesInput{ListenerArn: &listener, Certificates: certs(arns...)})
			return err
		}
	}
	for name, x := range map[string]struct {
		code, says string
		call       func() error
	}{
		"no certificate":                     {"ValidationError", "A certificate must be specified", create(func(in *in) { in.Certificates = nil })},
		"two certificates":                   {"TooManyCertificates", "Up to '1'", create(func(in *in) { in.Certificates = certs(s.web, s.api) })},
		"a certificate that is absent":       {"CertificateNotFound", absent, create(func(in *in) { in.Certificates = certs(absent) })},
		"two ARNs in one":                    {"ValidationError", "is not valid", create(func(in *in) { in.Certificates = certs(s.web + "," + s.api) })},
		"a certificate without a domain":     {"UnsupportedCertificate", "fully-qualified domain name", create(func(in *in) { in.Certificates = certs(noDomain) })},
		"a policy that there is not":         {"SSLPolicyNotFound", "2099", create(func(in *in) { in.SslPolicy = aws.String("ELBSecurityPolicy-2099") })},
		"a certificate for an HTTP listener": {"ValidationError", "HTTP listeners", create(func(in *in) { in.Protocol = types.ProtocolEnumHttp })},
		"certificates of clients": {"ValidationError", "not available in the lab", create(func(in *in) {
			in.MutualAuthentication = &types.MutualAuthenticationAttributes{Mode: aws.String("passthrough")}
		})},
		"a policy for an HTTP listener": {"ValidationError", "HTTP listeners", create(func(in *in) {
			in.Protocol, in.Certificates, in.SslPolicy = types.ProtocolEnumHttp, nil, aws.String(tls13)
		})},
		"the port with another certificate": {"DuplicateListener", "already exists", create(func(in *in) {
			in.Port, in.SslPolicy, in.Certificates = aws.Int32(18443), aws.String(tls13), certs(s.api)
		})},
		"HTTPS in place of HTTP without any": {"ValidationError", "A certificate must be specified", func() error {
			_, err := c.ModifyListener(t.Context(), &elbv2.ModifyListenerInput{ListenerArn: plain[0].ListenerArn, Protocol: types.ProtocolEnumHttps})
			return err
		}},
		"adding to an HTTP listener":          {"ValidationError", "HTTPS listeners", add(*plain[0].ListenerArn, s.web)},
		"adding two at once":                  {"TooManyCertificates", "Up to '1'", add(s.listener, s.web, s.api)},
		"adding what is absent":               {"CertificateNotFound", absent, add(s.listener, absent)},
		"adding to a listener that is absent": {"ListenerNotFound", "", add(s.listener[:len(s.listener)-1]+"x", s.web)},
		"removing the default one": {"OperationNotPermitted", "default certificate", func() error {
			_, err := c.RemoveListenerCertificates(t.Context(), &elbv2.RemoveListenerCertificatesInput{ListenerArn: &s.listener, Certificates: certs(s.web)})
			return err
		}},
		"an action that asks who the caller is": {"InvalidLoadBalancerAction", "not available in the lab", create(func(in *in) { in.DefaultActions = []types.Action{{Type: types.ActionTypeEnumAuthenticateOidc}} })},
	} {
		t.Run(name, func(t *testing.T) {
			err := x.call()
			wantCode(t, err, x.code)
			if !strings.Contains(err.Error(), x.says) {
				t.Errorf("got %v, want it to say %q", err, x.says)
			}
		})
	}
	t.Run("the same listener again", func(t *testing.T) {
		if err := create(func(in *in) { in.Port, in.SslPolicy = aws.Int32(18443), aws.String(tls13) })(); err != nil {
			t.Error(err)
		}
	})
	t.Run("a certificate of another region", func(t *testing.T) {
		other := elbv2.NewFromConfig(l.sdk("eu-west-1", keyID, secret, ""))
		_, err := other.CreateListener(t.Context(), &elbv2.CreateListenerInput{LoadBalancerArn: &s.lb, Port: aws.Int32(1), Protocol: types.ProtocolEnumHttps, Certificates: certs(s.web), DefaultActions: forward(s.tg)})
		wantCode(t, err, "LoadBalancerNotFound")
	})
}

func TestCertificatesSurviveARestartAndAReplacement(t *testing.T) {
	l := newLab(t, "cn-northwest-1")
	s := l.newSecure(t)
	l.target(t, s.tg, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "v1") })
	serials := func() string {
		body, web := l.get(t, s, "web.test", true)
		other, api := l.get(t, s, "api.test", false)
		return fmt.Sprintf("%s %x %s %x", body, web.PeerCertificates[0].Signature, other, api.PeerCertificates[0].Signature)
	}
	before := serials()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_ = l.engine.Close()
	l.open(t)
	if after := serials(); after != before || !strings.HasPrefix(after, "v1 ") {
		t.Errorf("after a restart: %s, want %s", after, before)
	}
	in := s.input(newKey(t, acmtypes.KeyAlgorithmEcPrime256v1), nil, "api.test")
	in.CertificateArn = &s.api
	must(l.acm().ImportCertificate(t.Context(), in))(t)
	if after := serials(); after == before || strings.Fields(after)[1] != strings.Fields(before)[1] {
		t.Errorf("after a new api.test was imported: %s, want only the second to differ from %s", after, before)
	}
}
