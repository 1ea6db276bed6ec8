// SPDX-License-Identifier: Apache-2.0

package handshake

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"
)

// maker makes certificates whose ARNs are their serial numbers.
type maker struct {
	*testing.T
	rsa, long *rsa.PrivateKey
	ec        *ecdsa.PrivateKey
}

func newMaker(t *testing.T) *maker {
	t.Helper()
	m := &maker{T: t}
	for bits, k := range map[int]**rsa.PrivateKey{2048: &m.rsa, 3072: &m.long} {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		*k = key
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	m.ec = key
	return m
}

func (m *maker) make(arn string, key crypto.Signer, hash x509.SignatureAlgorithm, ends time.Duration, names ...string) Certificate {
	m.Helper()
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: names, SignatureAlgorithm: hash,
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(ends)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		m.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		m.Fatal(err)
	}
	c, err := Parse(arn, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	if err != nil {
		m.Fatal(err)
	}
	return c
}

// shake makes a handshake and returns the ARN that was presented, and what the client saw.
func shake(t *testing.T, l Listener, client *tls.Config) (arn string, seen tls.ConnectionState, err error) {
	t.Helper()
	here, there := net.Pipe()
	defer func() { _ = here.Close() }()
	client.InsecureSkipVerify = true // the test reads what comes
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = tls.Server(there, l.Config(func(_ *tls.ClientHelloInfo, a string) { arn = a })).Handshake()
		_ = there.Close()
	}()
	c := tls.Client(here, client)
	err = c.HandshakeContext(t.Context())
	seen = c.ConnectionState()
	_ = here.Close()
	<-done
	return arn, seen, err
}

func TestWhichCertificateIsPresented(t *testing.T) {
	m := newMaker(t)
	const year = 365 * 24 * time.Hour
	def := m.make("default", m.ec, 0, year, "default.test")
	cert := func(arn string, names ...string) Certificate { return m.make(arn, m.ec, 0, year, names...) }
	old := &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}}
	for name, tt := range map[string]struct {
		list   []Certificate
		server string
		client *tls.Config
		want   string
		knows  bool
	}{
		"no server name: the default":             {list: []Certificate{cert("a", "a.test")}, want: "default"},
		"an unknown name: the default":            {list: []Certificate{cert("a", "a.test")}, server: "b.test", want: "default"},
		"a name of the default":                   {list: []Certificate{cert("a", "a.test")}, server: "default.test", want: "default", knows: true},
		"a name in the list":                      {list: []Certificate{cert("a", "a.test"), cert("b", "b.test")}, server: "b.test", want: "b", knows: true},
		"a wildcard":                              {list: []Certificate{cert("a", "*.a.test")}, server: "x.a.test", want: "a", knows: true},
		"a wildcard is one level":                 {list: []Certificate{cert("a", "*.a.test")}, server: "x.y.a.test", want: "default"},
		"the list goes before the default":        {list: []Certificate{cert("a", "default.test")}, server: "default.test", want: "a", knows: true},
		"ECDSA is better than RSA":                {list: []Certificate{m.make("rsa", m.long, 0, 2*year, "a.test"), m.make("ec", m.ec, 0, -time.Hour, "a.test")}, server: "a.test", want: "ec", knows: true},
		"a client that only knows RSA":            {list: []Certificate{m.make("ec", m.ec, 0, year, "a.test"), m.make("rsa", m.rsa, 0, year, "a.test")}, server: "a.test", client: old, want: "rsa", knows: true},
		"a certificate that has not expired":      {list: []Certificate{m.make("expired", m.rsa, x509.SHA512WithRSA, -time.Hour, "a.test"), m.make("valid", m.rsa, 0, year, "a.test")}, server: "a.test", want: "valid", knows: true},
		"the longer hash":                         {list: []Certificate{m.make("256", m.long, x509.SHA256WithRSA, year, "a.test"), m.make("512", m.rsa, x509.SHA512WithRSA, year, "a.test")}, server: "a.test", want: "512", knows: true},
		"the longer key":                          {list: []Certificate{m.make("2048", m.rsa, 0, 2*year, "a.test"), m.make("3072", m.long, 0, year, "a.test")}, server: "a.test", want: "3072", knows: true},
		"the later end":                           {list: []Certificate{m.make("soon", m.rsa, 0, year, "a.test"), m.make("late", m.rsa, 0, 2*year, "a.test")}, server: "a.test", want: "late", knows: true},
		"the first of two that are equally good":  {list: []Certificate{cert("1", "a.test"), cert("2", "a.test")}, server: "a.test", want: "1", knows: true},
		"no other name than the server name does": {list: []Certificate{cert("a", "a.test")}, server: "A.TEST", want: "a", knows: true},
	} {
		t.Run(name, func(t *testing.T) {
			l := Listener{Certificates: append([]Certificate{def}, tt.list...), Policy: "ELBSecurityPolicy-TLS13-1-2-2021-06"}
			client := &tls.Config{}
			if tt.client != nil {
				client = tt.client.Clone()
			}
			client.ServerName = tt.server
			got, _, err := shake(t, l, client)
			if err != nil || got != tt.want || l.Knows(tt.server) != tt.knows {
				t.Errorf("presented %q (%v), knows the name: %v; want %q, %v", got, err, l.Knows(tt.server), tt.want, tt.knows)
			}
		})
	}
}

func TestPoliciesAndProtocols(t *testing.T) {
	m := newMaker(t)
	cert := m.make("a", m.rsa, 0, time.Hour, "a.test")
	for name, tt := range map[string]struct {
		policy       string
		http2        bool
		client       *tls.Config
		fails        bool
		version, app string
		cipher       string
	}{
		"the default has no TLS 1.3":       {client: &tls.Config{CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}}, version: "TLSv1.2", cipher: "ECDHE-RSA-AES128-GCM-SHA256"},
		"the default takes TLS 1.0":        {client: &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}, version: "TLSv1", cipher: "ECDHE-RSA-AES128-SHA"},
		"TLS 1.3":                          {policy: "ELBSecurityPolicy-TLS13-1-2-Res-2021-06", version: "TLSv1.3", cipher: "TLS_AES_128_GCM_SHA256"},
		"TLS 1.2 where 1.3 is the best":    {policy: "ELBSecurityPolicy-TLS13-1-2-Res-2021-06", client: &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256}}, version: "TLSv1.2", cipher: "ECDHE-RSA-CHACHA20-POLY1305"},
		"TLS 1.2 where 1.3 is the only":    {policy: "ELBSecurityPolicy-TLS13-1-3-2021-06", client: &tls.Config{MaxVersion: tls.VersionTLS12}, fails: true},
		"TLS 1.1 where 1.2 is the least":   {policy: "ELBSecurityPolicy-TLS-1-2-2017-01", client: &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, fails: true},
		"h2 when both want it":             {http2: true, client: &tls.Config{NextProtos: []string{"h2", "http/1.1"}}, version: "TLSv1.2", app: "h2"},
		"HTTP/1.1 when h2 is off":          {client: &tls.Config{NextProtos: []string{"h2", "http/1.1"}}, version: "TLSv1.2", app: "http/1.1"},
		"HTTP/1.1 for a client without h2": {http2: true, client: &tls.Config{NextProtos: []string{"http/1.1"}}, version: "TLSv1.2", app: "http/1.1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, seen, err := shake(t, Listener{Certificates: []Certificate{cert}, Policy: tt.policy, HTTP2: tt.http2}, cmp.Or(tt.client, &tls.Config{}))
			if tt.fails {
				if err == nil {
					t.Errorf("agreed on %s", Protocol(seen.Version))
				}
				return
			}
			if err != nil || Protocol(seen.Version) != tt.version || seen.NegotiatedProtocol != tt.app || tt.cipher != "" && Cipher(seen.CipherSuite) != tt.cipher {
				t.Errorf("got %s %s %q (%v), want %s %s %q", Protocol(seen.Version), Cipher(seen.CipherSuite), seen.NegotiatedProtocol, err, tt.version, tt.cipher, tt.app)
			}
		})
	}
	for _, unknown := range []string{"ELBSecurityPolicy-2099-01", "2016-08"} {
		if _, _, ok := Versions(unknown); ok {
			t.Errorf("policy %s is known", unknown)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	m := newMaker(t)
	keyDER, err := x509.MarshalPKCS8PrivateKey(m.ec)
	if err != nil {
		t.Fatal(err)
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.make("a", m.rsa, 0, time.Hour, "a.test").pair.Certificate[0]})
	for name, text := range map[string][]byte{"a key of another certificate": cert, "a text that is no certificate": []byte("x")} {
		if _, err := Parse("a", text, key); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
