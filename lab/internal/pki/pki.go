// SPDX-License-Identifier: Apache-2.0

// Package pki makes the cluster's certificates and kubeconfigs in one folder.
// What is there already is kept, so that a second up changes nothing.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Cert is one certificate to make.
type Cert struct {
	Name         string // of the files: NAME.crt, NAME.key
	CommonName   string
	Organization []string
	IPs          []string
	DNS          []string
}

// Make makes the authority ca, the service account key sa and the certs.
func Make(dir string, certs []Cert) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making certificates: %w", err)
	}
	ca, key, err := authority(dir)
	if err != nil {
		return fmt.Errorf("making the certificate authority: %w", err)
	}
	if err := serviceAccountKey(dir); err != nil {
		return fmt.Errorf("making the service account key: %w", err)
	}
	for _, c := range certs {
		if err := c.make(dir, ca, key); err != nil {
			return fmt.Errorf("making certificate %s: %w", c.Name, err)
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func write(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

func read(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is no PEM file", path)
	}
	return block.Bytes, nil
}

func authority(dir string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	crt, keyFile := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key")
	if exists(crt) && exists(keyFile) {
		der, err := read(crt)
		if err != nil {
			return nil, nil, err
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, nil, err
		}
		if der, err = read(keyFile); err != nil {
			return nil, nil, err
		}
		key, err := x509.ParseECPrivateKey(der)
		return cert, key, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "outlast lab"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	return cert, key, errors.Join(err, write(crt, "CERTIFICATE", der), write(keyFile, "EC PRIVATE KEY", keyDER))
}

func serviceAccountKey(dir string) error {
	private, public := filepath.Join(dir, "sa.key"), filepath.Join(dir, "sa.pub")
	if exists(private) && exists(public) {
		return nil
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	return errors.Join(err, write(private, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)), write(public, "PUBLIC KEY", der))
}

func (c Cert) make(dir string, ca *x509.Certificate, caKey *ecdsa.PrivateKey) error {
	crt, keyFile := filepath.Join(dir, c.Name+".crt"), filepath.Join(dir, c.Name+".key")
	if exists(crt) && exists(keyFile) {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := c.sign(ca, caKey, key.Public())
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	return errors.Join(err, write(crt, "CERTIFICATE", der), write(keyFile, "EC PRIVATE KEY", keyDER))
}

func (c Cert) sign(ca *x509.Certificate, caKey *ecdsa.PrivateKey, public any) ([]byte, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: c.CommonName, Organization: c.Organization},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}, DNSNames: c.DNS,
	}
	for _, ip := range c.IPs {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(ip))
	}
	return x509.CreateCertificate(rand.Reader, template, ca, public, caKey)
}

// Issue certifies somebody's public key by the authority in dir, which is made
// when it is not there, for names, the first of which is the common name. It
// returns the certificate and the authority's, PEM.
func Issue(dir string, names []string, public any) (cert, chain []byte, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("issuing a certificate for %q: %w", names, err)
	}
	ca, key, err := authority(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("issuing a certificate for %q: %w", names, err)
	}
	der, err := Cert{CommonName: names[0], DNS: names}.sign(ca, key, public)
	if err != nil {
		return nil, nil, fmt.Errorf("issuing a certificate for %q: %w", names, err)
	}
	text := func(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}) }
	return text(der), text(ca.Raw), nil
}

// Kubeconfig writes NAME.kubeconfig, which logs in with the certificate NAME.
func Kubeconfig(dir, name, server string) error {
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: lab
clusters: [{name: lab, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: %s, user: {client-certificate: %q, client-key: %q}}]
contexts: [{name: lab, context: {cluster: lab, user: %s}}]
`, server, filepath.Join(dir, "ca.crt"), name, filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"), name)
	return os.WriteFile(filepath.Join(dir, name+".kubeconfig"), []byte(text), 0o600)
}
