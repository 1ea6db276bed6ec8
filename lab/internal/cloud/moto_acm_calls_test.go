// SPDX-License-Identifier: Apache-2.0

package cloud_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	acmtypes "github.com/aws/aws-sdk-go-v2/service/acm/types"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// selfSigned is a request that imports a certificate of nobody's but its own.
func selfSigned(t *testing.T) *acm.ImportCertificateInput {
	t.Helper()
	key := newKey(t, acmtypes.KeyAlgorithmRsa2048)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(0x0faccb), Subject: pkix.Name{CommonName: "web.test"}, DNSNames: []string{"web.test", "*.web.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	return &acm.ImportCertificateInput{Certificate: certText(must(x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key))(t)), PrivateKey: keyText(t, key)}
}

func certificateCalls(t *testing.T) []call {
	good, other := selfSigned(t), sync.OnceValue(func() *acm.ImportCertificateInput { return selfSigned(t) })
	imports := func(say string, edit func(*side, *acm.ImportCertificateInput)) call {
		return call{"ImportCertificate " + say, func(ctx context.Context, s *side) (any, error) {
			in := *good
			edit(s, &in)
			return s.acm.ImportCertificate(ctx, &in)
		}}
	}
	return []call{
		{"ImportCertificate with a tag", func(ctx context.Context, s *side) (any, error) {
			in := *good
			in.Tags = []acmtypes.Tag{{Key: aws.String("k"), Value: aws.String("v")}}
			out, err := s.acm.ImportCertificate(ctx, &in)
			return keep(s, "cert", out, err, func(o *acm.ImportCertificateOutput) *string { return o.CertificateArn })
		}},
		imports("of no PEM", func(_ *side, in *acm.ImportCertificateInput) { in.Certificate = []byte("x") }),
		imports("with a key that is none", func(_ *side, in *acm.ImportCertificateInput) { in.PrivateKey = []byte("x") }),
		imports("over one that is absent", func(s *side, in *acm.ImportCertificateInput) { in.CertificateArn = s.otherCertificate() }),
		imports("over the first", func(s *side, in *acm.ImportCertificateInput) { in.CertificateArn = s.arn("cert") }),
		{"RequestCertificate by DNS", func(ctx context.Context, s *side) (any, error) {
			out, err := s.acm.RequestCertificate(ctx, &acm.RequestCertificateInput{DomainName: aws.String("api.test"), ValidationMethod: acmtypes.ValidationMethodDns, IdempotencyToken: aws.String("once")})
			return keep(s, "requested", out, err, func(o *acm.RequestCertificateOutput) *string { return o.CertificateArn })
		}},
		{"DescribeCertificate that was imported", func(ctx context.Context, s *side) (any, error) {
			return s.acm.DescribeCertificate(ctx, &acm.DescribeCertificateInput{CertificateArn: s.arn("cert")})
		}},
		{"DescribeCertificate that was requested", func(ctx context.Context, s *side) (any, error) {
			return s.acm.DescribeCertificate(ctx, &acm.DescribeCertificateInput{CertificateArn: s.arn("requested")})
		}},
		{"DescribeCertificate that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.acm.DescribeCertificate(ctx, &acm.DescribeCertificateInput{CertificateArn: s.otherCertificate()})
		}},
		{"GetCertificate that was imported", func(ctx context.Context, s *side) (any, error) {
			return s.acm.GetCertificate(ctx, &acm.GetCertificateInput{CertificateArn: s.arn("cert")})
		}},
		{"ListTagsForCertificate", func(ctx context.Context, s *side) (any, error) {
			return s.acm.ListTagsForCertificate(ctx, &acm.ListTagsForCertificateInput{CertificateArn: s.arn("cert")})
		}},
		{"ListCertificates that are issued, of all key types", func(ctx context.Context, s *side) (any, error) {
			return s.acm.ListCertificates(ctx, &acm.ListCertificatesInput{CertificateStatuses: []acmtypes.CertificateStatus{acmtypes.CertificateStatusIssued},
				Includes: &acmtypes.Filters{KeyTypes: acmtypes.KeyAlgorithm("").Values()}})
		}},
		{"ListCertificates of a key type that nobody has", func(ctx context.Context, s *side) (any, error) {
			return s.acm.ListCertificates(ctx, &acm.ListCertificatesInput{Includes: &acmtypes.Filters{KeyTypes: []acmtypes.KeyAlgorithm{acmtypes.KeyAlgorithmEcSecp521r1}}})
		}},
		imports("with the key of another", func(_ *side, in *acm.ImportCertificateInput) { in.PrivateKey = other().PrivateKey }),
		{"CreateListener with HTTPS", func(ctx context.Context, s *side) (any, error) {
			out, err := s.elb.CreateListener(ctx, &elbv2.CreateListenerInput{LoadBalancerArn: s.arn("lb"), Port: aws.Int32(18091), Protocol: types.ProtocolEnumHttps, Certificates: certs(s.made["cert"]),
				DefaultActions: []types.Action{{Type: types.ActionTypeEnumFixedResponse, FixedResponseConfig: &types.FixedResponseActionConfig{StatusCode: aws.String("404")}}}})
			return keep(s, "https", out, err, func(o *elbv2.CreateListenerOutput) *string { return o.Listeners[0].ListenerArn })
		}},
		{"CreateListener with HTTPS without a certificate", func(ctx context.Context, s *side) (any, error) {
			return s.elb.CreateListener(ctx, &elbv2.CreateListenerInput{LoadBalancerArn: s.arn("lb"), Port: aws.Int32(18092), Protocol: types.ProtocolEnumHttps, DefaultActions: forward(s.made["full"])})
		}},
		{"AddListenerCertificates", func(ctx context.Context, s *side) (any, error) {
			return s.elb.AddListenerCertificates(ctx, &elbv2.AddListenerCertificatesInput{ListenerArn: s.arn("https"), Certificates: certs(s.made["requested"])})
		}},
		{"DescribeListenerCertificates of an HTTPS listener", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DescribeListenerCertificates(ctx, &elbv2.DescribeListenerCertificatesInput{ListenerArn: s.arn("https")})
		}},
		{"ModifyListener to another security policy", func(ctx context.Context, s *side) (any, error) {
			return s.elb.ModifyListener(ctx, &elbv2.ModifyListenerInput{ListenerArn: s.arn("https"), SslPolicy: aws.String("ELBSecurityPolicy-TLS13-1-2-2021-06")})
		}},
		{"ModifyListener to a security policy that there is not", func(ctx context.Context, s *side) (any, error) {
			return s.elb.ModifyListener(ctx, &elbv2.ModifyListenerInput{ListenerArn: s.arn("https"), SslPolicy: aws.String("ELBSecurityPolicy-2099")})
		}},
		{"ModifyListener to a certificate that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.elb.ModifyListener(ctx, &elbv2.ModifyListenerInput{ListenerArn: s.arn("https"), Certificates: certs(*s.otherCertificate())})
		}},
		{"RemoveListenerCertificates", func(ctx context.Context, s *side) (any, error) {
			return s.elb.RemoveListenerCertificates(ctx, &elbv2.RemoveListenerCertificatesInput{ListenerArn: s.arn("https"), Certificates: certs(s.made["requested"])})
		}},
		{"DescribeCertificate that a listener presents", func(ctx context.Context, s *side) (any, error) {
			out, err := s.acm.DescribeCertificate(ctx, &acm.DescribeCertificateInput{CertificateArn: s.arn("cert")})
			if err != nil {
				return nil, err
			}
			return map[string]any{"InUseBy": len(out.Certificate.InUseBy)}, nil
		}},
		{"DeleteCertificate that a listener presents", func(ctx context.Context, s *side) (any, error) {
			return s.acm.DeleteCertificate(ctx, &acm.DeleteCertificateInput{CertificateArn: s.arn("cert")})
		}},
		{"DeleteCertificate", func(ctx context.Context, s *side) (any, error) {
			return s.acm.DeleteCertificate(ctx, &acm.DeleteCertificateInput{CertificateArn: s.arn("requested")})
		}},
		{"DeleteCertificate that is absent", func(ctx context.Context, s *side) (any, error) {
			return s.acm.DeleteCertificate(ctx, &acm.DeleteCertificateInput{CertificateArn: s.otherCertificate()})
		}},
		{"DeleteListener with HTTPS", func(ctx context.Context, s *side) (any, error) {
			return s.elb.DeleteListener(ctx, &elbv2.DeleteListenerInput{ListenerArn: s.arn("https")})
		}},
	}
}

// otherCertificate is the ARN of one that is not there.
func (s *side) otherCertificate() *string {
	arn := s.made["cert"]
	return aws.String(arn[:len(arn)-36] + "01234567-89ab-cdef-0123-456789abcdef")
}
