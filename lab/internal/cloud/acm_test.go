// SPDX-License-Identifier: Apache-2.0

package cloud_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	"github.com/aws/aws-sdk-go-v2/service/acm/types"
)

func (l *lab) acm() *acm.Client { return acm.NewFromConfig(l.own()) }

// issuer makes certificates for tests to import: a root, and what it certifies.
type issuer struct {
	*testing.T
	root *x509.Certificate
	key  crypto.Signer
}

func newKey(t *testing.T, algorithm types.KeyAlgorithm) crypto.Signer {
	t.Helper()
	switch algorithm {
	case types.KeyAlgorithmEcPrime256v1:
		return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	case types.KeyAlgorithmRsa3072:
		return must(rsa.GenerateKey(rand.Reader, 3072))(t)
	}
	return must(rsa.GenerateKey(rand.Reader, 2048))(t)
}

func newIssuer(t *testing.T, algorithm types.KeyAlgorithm) *issuer {
	t.Helper()
	i := &issuer{T: t, key: newKey(t, algorithm)}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "a root"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(9, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	i.root = must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, tmpl, tmpl, i.key.Public(), i.key))(t)))(t)
	return i
}

func certText(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func keyText(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))(t)})
}

// input is a request to import a certificate for names, changed by edit.
func (i *issuer) input(key crypto.Signer, edit func(*x509.Certificate), names ...string) *acm.ImportCertificateInput {
	i.Helper()
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(0x0faccb), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if edit != nil {
		edit(tmpl)
	}
	return &acm.ImportCertificateInput{Certificate: certText(must(x509.CreateCertificate(rand.Reader, tmpl, i.root, key.Public(), i.key))(i.T)),
		PrivateKey: keyText(i.T, key), CertificateChain: certText(i.root.Raw)}
}

// imported imports a certificate and returns its ARN.
func (l *lab) imported(t *testing.T, i *issuer, key crypto.Signer, names ...string) string {
	t.Helper()
	return *must(l.acm().ImportCertificate(t.Context(), i.input(key, nil, names...)))(t).CertificateArn
}

func TestAnImportedCertificateIsDescribed(t *testing.T) {
	l := newLab(t, "cn-northwest-1")
	i := newIssuer(t, types.KeyAlgorithmRsa2048)
	in := i.input(i.key, nil, "web.test", "*.web.test")
	in.Tags = []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}, {Key: aws.String("alone")}}
	arn := must(l.acm().ImportCertificate(t.Context(), in))(t).CertificateArn
	if !strings.HasPrefix(*arn, "arn:aws-cn:acm:cn-northwest-1:"+account+":certificate/") {
		t.Errorf("ARN %s", *arn)
	}
	d := must(l.acm().DescribeCertificate(t.Context(), &acm.DescribeCertificateInput{CertificateArn: arn}))(t).Certificate
	if *d.DomainName != "web.test" || !slices.Equal(d.SubjectAlternativeNames, []string{"web.test", "*.web.test"}) || d.Status != types.CertificateStatusIssued ||
		d.Type != types.CertificateTypeImported || d.KeyAlgorithm != "RSA-2048" || *d.SignatureAlgorithm != "SHA256WITHRSA" || *d.Serial != "0f:ac:cb" || *d.Issuer != "a root" ||
		*d.Subject != "CN=web.test" || d.ImportedAt == nil || d.CreatedAt != nil || len(d.InUseBy) != 0 || d.RenewalEligibility != types.RenewalEligibilityIneligible ||
		d.KeyUsages[0].Name != types.KeyUsageNameDigitalSignature || d.ExtendedKeyUsages[0].Name != types.ExtendedKeyUsageNameTlsWebServerAuthentication || d.NotAfter.Before(time.Now().AddDate(0, 11, 0)) {
		t.Errorf("got %+v", d)
	}
	g := must(l.acm().GetCertificate(t.Context(), &acm.GetCertificateInput{CertificateArn: arn}))(t)
	if *g.Certificate != string(in.Certificate) || *g.CertificateChain != string(in.CertificateChain) {
		t.Errorf("got another certificate than was imported: %s", *g.Certificate)
	}
	tags := must(l.acm().ListTagsForCertificate(t.Context(), &acm.ListTagsForCertificateInput{CertificateArn: arn}))(t).Tags
	if len(tags) != 2 || *tags[0].Key != "alone" || *tags[1].Key != "k" || *tags[1].Value != "v" {
		t.Errorf("got tags %+v", tags)
	}
	l.clock.move(4 * time.Minute) // what is imported again is new, and keeps its ARN and tags
	again := i.input(i.key, nil, "web.test", "more.test")
	again.CertificateArn = arn
	must(l.acm().ImportCertificate(t.Context(), again))(t)
	e := must(l.acm().DescribeCertificate(t.Context(), &acm.DescribeCertificateInput{CertificateArn: arn}))(t).Certificate
	tags = must(l.acm().ListTagsForCertificate(t.Context(), &acm.ListTagsForCertificateInput{CertificateArn: arn}))(t).Tags
	if !slices.Equal(e.SubjectAlternativeNames, []string{"web.test", "more.test"}) || e.ImportedAt.Sub(*d.ImportedAt) < 4*time.Minute || len(tags) != 2 {
		t.Errorf("imported again: %+v %+v", e, tags)
	}
	must(l.acm().DeleteCertificate(t.Context(), &acm.DeleteCertificateInput{CertificateArn: arn}))(t)
	_, err := l.acm().DescribeCertificate(t.Context(), &acm.DescribeCertificateInput{CertificateArn: arn})
	wantCode(t, err, "ResourceNotFoundException")
}

func TestACMRefuses(t *testing.T) {
	l := newLab(t, "us-east-1")
	i, c := newIssuer(t, types.KeyAlgorithmEcPrime256v1), l.acm()
	ec := newKey(t, types.KeyAlgorithmEcPrime256v1)
	good := i.input(ec, nil, "web.test")
	have := must(c.ImportCertificate(t.Context(), i.input(ec, func(x *x509.Certificate) { x.KeyUsage |= x509.KeyUsageKeyAgreement }, "web.test")))(t).CertificateArn
	requested := must(c.RequestCertificate(t.Context(), &acm.RequestCertificateInput{DomainName: aws.String("web.test"), KeyAlgorithm: types.KeyAlgorithmEcPrime256v1}))(t).CertificateArn
	absent := aws.String((*have)[:len(*have)-1] + "x")
	imports := func(edit func(*acm.ImportCertificateInput)) func() error {
		return func() error {
			in := *good
			edit(&in)
			_, err := c.ImportCertificate(t.Context(), &in)
			return err
		}
	}
	requests := func(in acm.RequestCertificateInput) func() error {
		return func() error { _, err := c.RequestCertificate(t.Context(), &in); return err }
	}
	type in = acm.ImportCertificateInput
	for name, x := range map[string]struct {
		code, says string
		call       func() error
	}{
		"no PEM":                        {"ValidationException", "valid PEM", imports(func(in *in) { in.Certificate = []byte("x") })},
		"text before the PEM":           {"ValidationException", "valid PEM", imports(func(in *in) { in.Certificate = append([]byte("x\n"), in.Certificate...) })},
		"two certificates in one field": {"ValidationException", "more than one certificate", imports(func(in *in) { in.Certificate = slices.Concat(in.Certificate, in.CertificateChain) })},
		"a chain that is no PEM":        {"ValidationException", "chain provided", imports(func(in *in) { in.CertificateChain = []byte("x") })},
		"no chain, and not self-signed": {"ValidationException", "not a valid self signed", imports(func(in *in) { in.CertificateChain = nil })},
		"the chain of another":          {"ValidationException", "Could not validate", imports(func(in *in) { in.CertificateChain = certText(newIssuer(t, types.KeyAlgorithmEcPrime256v1).root.Raw) })},
		"itself in its chain":           {"ValidationException", "Could not validate", imports(func(in *in) { in.CertificateChain = in.Certificate })},
		"the key of another":            {"ValidationException", "does not match", imports(func(in *in) { in.PrivateKey = keyText(t, newKey(t, types.KeyAlgorithmEcPrime256v1)) })},
		"a key that is encrypted": {"ValidationException", "encrypted", imports(func(in *in) {
			in.PrivateKey = bytes.ReplaceAll(in.PrivateKey, []byte("PRIVATE"), []byte("ENCRYPTED PRIVATE"))
		})},
		"a key that is too long": {"ValidationException", "5120", imports(func(in *in) { in.PrivateKey = append(in.PrivateKey, make([]byte, 5120)...) })},
		"one that has expired": {"ValidationException", "not now", func() error {
			_, err := c.ImportCertificate(t.Context(), i.input(ec, func(x *x509.Certificate) { x.NotAfter = time.Now().Add(-time.Minute) }, "web.test"))
			return err
		}},
		"one that is not valid yet": {"ValidationException", "not now", func() error {
			_, err := c.ImportCertificate(t.Context(), i.input(ec, func(x *x509.Certificate) { x.NotBefore = time.Now().Add(time.Minute) }, "web.test"))
			return err
		}},
		"a curve that ACM does not know": {"ValidationException", "not supported", func() error {
			_, err := c.ImportCertificate(t.Context(), i.input(must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))(t), nil, "web.test"))
			return err
		}},
		"tags on a re-import": {"ValidationException", "Tagging", imports(func(in *in) { in.CertificateArn, in.Tags = have, []types.Tag{{Key: aws.String("k")}} })},
		"another key type on a re-import": {"ValidationException", "EC_prime256v1 to RSA_2048", func() error {
			in := i.input(newKey(t, types.KeyAlgorithmRsa2048), func(x *x509.Certificate) { x.KeyUsage |= x509.KeyUsageKeyAgreement }, "web.test")
			in.CertificateArn = have
			_, err := c.ImportCertificate(t.Context(), in)
			return err
		}},
		"fewer key usages on a re-import":  {"ValidationException", "Key usages", imports(func(in *in) { in.CertificateArn = have })},
		"a re-import over a requested one": {"ValidationException", "was not imported", imports(func(in *in) { in.CertificateArn = requested })},
		"a re-import over nothing":         {"ResourceNotFoundException", "Could not find certificate", imports(func(in *in) { in.CertificateArn = absent })},
		"a tag of AWS":                     {"InvalidTagException", "aws:x", imports(func(in *in) { in.Tags = []types.Tag{{Key: aws.String("aws:x")}} })},
		"51 tags":                          {"TooManyTagsException", "50", imports(func(in *in) { in.Tags = slices.Repeat([]types.Tag{{Key: aws.String("k")}}, 51) })},
		"a request for no domain":          {"ValidationException", "domainName", requests(acm.RequestCertificateInput{DomainName: aws.String("localhost")})},
		"a request for a wildcard inside":  {"ValidationException", "domainName", requests(acm.RequestCertificateInput{DomainName: aws.String("a.*.test")})},
		"a request for eleven names":       {"LimitExceededException", "10", requests(acm.RequestCertificateInput{DomainName: aws.String("a.test"), SubjectAlternativeNames: strings.Split("b.a.test c.a.test d.a.test e.a.test f.a.test g.a.test h.a.test i.a.test j.a.test k.a.test", " ")})},
		"a request for a long RSA key":     {"InvalidParameterException", "RSA_4096", requests(acm.RequestCertificateInput{DomainName: aws.String("a.test"), KeyAlgorithm: types.KeyAlgorithmRsa4096})},
		"a request to a private authority": {"ValidationException", "not available in the lab", requests(acm.RequestCertificateInput{DomainName: aws.String("a.test"), CertificateAuthorityArn: aws.String("arn:aws:acm-pca:us-east-1:123456789012:certificate-authority/12345678-1234-1234-1234-123456789012")})},
		"a request by an unknown method":   {"ValidationException", "enum value set", requests(acm.RequestCertificateInput{DomainName: aws.String("a.test"), ValidationMethod: "PIGEON"})},
		"describing what is absent": {"ResourceNotFoundException", "Could not find certificate", func() error {
			_, err := c.DescribeCertificate(t.Context(), &acm.DescribeCertificateInput{CertificateArn: absent})
			return err
		}},
		"getting what has no ARN": {"InvalidArnException", "Invalid certificate ARN", func() error {
			_, err := c.GetCertificate(t.Context(), &acm.GetCertificateInput{CertificateArn: aws.String("web.test, the certificate")})
			return err
		}},
		"deleting what is absent": {"ResourceNotFoundException", "Could not find certificate", func() error {
			_, err := c.DeleteCertificate(t.Context(), &acm.DeleteCertificateInput{CertificateArn: absent})
			return err
		}},
		"a page of none": {"ValidationException", "maxItems", func() error {
			_, err := c.ListCertificates(t.Context(), &acm.ListCertificatesInput{MaxItems: aws.Int32(0)})
			return err
		}},
		"a token of nobody": {"InvalidArgsException", "next token", func() error {
			_, err := c.ListCertificates(t.Context(), &acm.ListCertificatesInput{NextToken: aws.String("?")})
			return err
		}},
		"an order without a field": {"InvalidArgsException", "SortBy", func() error {
			_, err := c.ListCertificates(t.Context(), &acm.ListCertificatesInput{SortOrder: types.SortOrderAscending})
			return err
		}},
		"an operation the lab has not": {"UnknownOperationException", "", func() error {
			_, err := c.ExportCertificate(t.Context(), &acm.ExportCertificateInput{CertificateArn: have, Passphrase: []byte("pass")})
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			err := x.call()
			wantCode(t, err, x.code)
			if !strings.Contains(err.Error(), x.says) {
				t.Errorf("got %v, want it to say %q", err, x.says)
			}
		})
	}
	narrow := acm.NewFromConfig(l.sdk(l.region, "AKIALABNARROW0000001", "wrong", ""))
	_, err := narrow.ListCertificates(t.Context(), &acm.ListCertificatesInput{})
	wantCode(t, err, "InvalidSignatureException")
}

func TestARequestedCertificateIsIssuedAtOnce(t *testing.T) {
	l := newLab(t, "us-east-1")
	in := &acm.RequestCertificateInput{DomainName: aws.String("web.test"), SubjectAlternativeNames: []string{"*.web.test", "web.test"}, ValidationMethod: types.ValidationMethodDns,
		KeyAlgorithm: types.KeyAlgorithmEcPrime256v1, IdempotencyToken: aws.String("once")}
	arn := must(l.acm().RequestCertificate(t.Context(), in))(t).CertificateArn
	if again := must(l.acm().RequestCertificate(t.Context(), in))(t).CertificateArn; *again != *arn {
		t.Errorf("the same token gave %s, then %s", *arn, *again)
	}
	d := must(l.acm().DescribeCertificate(t.Context(), &acm.DescribeCertificateInput{CertificateArn: arn}))(t).Certificate
	if d.Status != types.CertificateStatusIssued || d.Type != types.CertificateTypeAmazonIssued || d.KeyAlgorithm != "EC-prime256v1" || d.CreatedAt == nil || d.IssuedAt == nil || d.ImportedAt != nil ||
		!slices.Equal(d.SubjectAlternativeNames, []string{"web.test", "*.web.test"}) || len(d.DomainValidationOptions) != 2 {
		t.Fatalf("got %+v", d)
	}
	if v := d.DomainValidationOptions[1]; v.ValidationStatus != types.DomainStatusSuccess || v.ResourceRecord.Type != types.RecordTypeCname || !strings.HasSuffix(*v.ResourceRecord.Name, ".web.test.") {
		t.Errorf("got validation %+v", v)
	}
	g := must(l.acm().GetCertificate(t.Context(), &acm.GetCertificateInput{CertificateArn: arn}))(t)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(*g.CertificateChain))
	block, _ := pem.Decode([]byte(*g.Certificate))
	if _, err := must(x509.ParseCertificate(block.Bytes))(t).Verify(x509.VerifyOptions{DNSName: "a.web.test", Roots: roots}); err != nil {
		t.Errorf("the lab's authority did not certify it: %v", err)
	}
	l.clock.move(4 * time.Minute)
	in.IdempotencyToken = aws.String("twice")
	if next := must(l.acm().RequestCertificate(t.Context(), in))(t).CertificateArn; *next == *arn {
		t.Error("another token gave the same certificate")
	}
}

func TestCertificatesAreListedByFilterAndPage(t *testing.T) {
	l := newLab(t, "us-east-1")
	rsaRoot, ecRoot := newIssuer(t, types.KeyAlgorithmRsa2048), newIssuer(t, types.KeyAlgorithmEcPrime256v1)
	names := map[string]string{} // by ARN
	for _, x := range []struct {
		name string
		in   *acm.ImportCertificateInput
	}{
		{"1-rsa", rsaRoot.input(rsaRoot.key, nil, "1-rsa.test")},
		{"2-ec", ecRoot.input(ecRoot.key, nil, "2-ec.test")},
		{"3-rsa3072", rsaRoot.input(newKey(t, types.KeyAlgorithmRsa3072), nil, "3-rsa3072.test")},
		{"4-rsa", rsaRoot.input(rsaRoot.key, func(x *x509.Certificate) { x.ExtKeyUsage, x.NotAfter = nil, time.Now().Add(10*time.Minute) }, "4-rsa.test")},
		{"5-rsa", rsaRoot.input(rsaRoot.key, nil, "5-rsa.test")},
	} {
		names[*must(l.acm().ImportCertificate(t.Context(), x.in))(t).CertificateArn] = x.name
		l.clock.move(time.Second)
	}
	all := types.KeyAlgorithm("").Values()
	for name, tt := range map[string]struct {
		in   acm.ListCertificatesInput
		move time.Duration
		want string
	}{
		"without filters, only short RSA keys": {acm.ListCertificatesInput{}, 0, "1-rsa 4-rsa 5-rsa"},
		"all key types, as the controller asks": {acm.ListCertificatesInput{CertificateStatuses: []types.CertificateStatus{types.CertificateStatusIssued}, Includes: &types.Filters{KeyTypes: all}}, 0,
			"1-rsa 2-ec 3-rsa3072 4-rsa 5-rsa"},
		"one key type":            {acm.ListCertificatesInput{Includes: &types.Filters{KeyTypes: []types.KeyAlgorithm{types.KeyAlgorithmEcPrime256v1}}}, 0, "2-ec"},
		"an extended usage":       {acm.ListCertificatesInput{Includes: &types.Filters{ExtendedKeyUsage: []types.ExtendedKeyUsageName{types.ExtendedKeyUsageNameTlsWebServerAuthentication}}}, 0, "1-rsa 5-rsa"},
		"a key usage nobody has":  {acm.ListCertificatesInput{Includes: &types.Filters{KeyUsage: []types.KeyUsageName{types.KeyUsageNameCrlSigning}}}, 0, ""},
		"what may be exported":    {acm.ListCertificatesInput{Includes: &types.Filters{ExportOption: types.CertificateExportEnabled}}, 0, ""},
		"the newest first":        {acm.ListCertificatesInput{SortBy: types.SortByCreatedAt, SortOrder: types.SortOrderDescending}, 0, "5-rsa 4-rsa 1-rsa"},
		"issued ones, later":      {acm.ListCertificatesInput{CertificateStatuses: []types.CertificateStatus{types.CertificateStatusIssued}}, 11 * time.Minute, "1-rsa 5-rsa"},
		"expired ones, later":     {acm.ListCertificatesInput{CertificateStatuses: []types.CertificateStatus{types.CertificateStatusExpired}}, 11 * time.Minute, "4-rsa"},
		"what waits for its name": {acm.ListCertificatesInput{CertificateStatuses: []types.CertificateStatus{types.CertificateStatusPendingValidation}}, 0, ""},
	} {
		for _, size := range []int32{1, 2, 1000} {
			l.clock.move(tt.move)
			tt.in.MaxItems = aws.Int32(size)
			var got []string
			pages := 0
			for p := acm.NewListCertificatesPaginator(l.acm(), &tt.in); p.HasMorePages(); pages++ {
				for _, s := range must(p.NextPage(t.Context()))(t).CertificateSummaryList {
					got = append(got, names[*s.CertificateArn])
					if *s.DomainName != names[*s.CertificateArn]+".test" || s.SubjectAlternativeNameSummaries[0] != *s.DomainName || s.NotAfter == nil || *s.InUse || *s.HasAdditionalSubjectAlternativeNames {
						t.Errorf("%s: summary %+v", name, s)
					}
				}
			}
			want := strings.Fields(tt.want)
			if !slices.Equal(got, want) || pages != max(1, (len(want)+int(size)-1)/int(size)) {
				t.Errorf("%s, %d to a page: got %q on %d pages, want %q", name, size, got, pages, want)
			}
			l.clock.move(-tt.move)
		}
	}
}

// A lab that was made before there was an ACM goes on, with an empty one.
func TestAStateWithoutACMIsTakenUp(t *testing.T) {
	l := newLab(t, "us-east-1")
	l.newWorld(t)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_ = l.engine.Close()
	path := filepath.Join(l.cfg.Dir, "state.json")
	var state map[string]any
	if err := json.Unmarshal(must(os.ReadFile(path))(t), &state); err != nil {
		t.Fatal(err)
	}
	region := state["Regions"].(map[string]any)["us-east-1"].(map[string]any)
	if region["ACM"] == nil {
		t.Fatalf("there is no ACM in the state to take out: %v", region)
	}
	delete(region, "ACM")
	if err := os.WriteFile(path, must(json.Marshal(state))(t), 0o600); err != nil {
		t.Fatal(err)
	}
	l.open(t)
	if list := must(l.acm().ListCertificates(t.Context(), &acm.ListCertificatesInput{}))(t).CertificateSummaryList; len(list) != 0 {
		t.Errorf("got %+v", list)
	}
}
