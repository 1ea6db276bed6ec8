// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

func TestServerAndClientTrustEachOther(t *testing.T) {
	dir := t.TempDir()
	certs := []Cert{{Name: "server", CommonName: "s", IPs: []string{"127.0.0.1"}, DNS: []string{"localhost"}}, {Name: "client", CommonName: "alice", Organization: []string{"people"}}}
	if err := Make(dir, certs); err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	load := func(name string) []tls.Certificate {
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{pair}
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		subject := r.TLS.PeerCertificates[0].Subject
		w.Header().Set("Who", subject.CommonName+"/"+subject.Organization[0])
	}))
	s.TLS = &tls.Config{Certificates: load("server"), ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	s.StartTLS()
	defer s.Close()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: load("client")}}}
	defer client.CloseIdleConnections()
	res, err := client.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if who := res.Header.Get("Who"); who != "alice/people" {
		t.Errorf("the server saw %q", who)
	}
}

func TestWhatIsThereIsKept(t *testing.T) {
	dir := t.TempDir()
	certs := []Cert{{Name: "a", CommonName: "a"}}
	all := func() string {
		if err := Make(dir, certs); err != nil {
			t.Fatal(err)
		}
		var text string
		for _, name := range []string{"ca.crt", "ca.key", "sa.key", "sa.pub", "a.crt", "a.key"} {
			file, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: mode %s (%v)", name, info.Mode(), err)
			}
			text += string(file)
		}
		return text
	}
	if first, second := all(), all(); first != second {
		t.Error("a second run made other files")
	}
}
