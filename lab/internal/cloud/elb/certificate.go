// SPDX-License-Identifier: Apache-2.0

package elb

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/outlast-ci/outlast/lab/internal/alb"
	"github.com/outlast-ci/outlast/lab/internal/alb/handshake"
	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

// secure checks a listener's protocol, port, security policy and certificates,
// and returns it with what is filled in. certificates are those of the request;
// without any an HTTPS listener keeps the one it has.
func (a API) secure(c wire.Call, l types.Listener, certificates []types.Certificate) (types.Listener, error) {
	if n := aws.ToInt32(l.Port); n < 1 || n > 65535 {
		return l, invalid("Listener port '%d' must be from 1 to 65535", n)
	}
	switch l.Protocol {
	case types.ProtocolEnumHttp:
		if len(certificates) > 0 {
			return l, invalid("Certificates cannot be specified for HTTP listeners")
		}
		if l.SslPolicy != nil {
			return l, invalid("A security policy cannot be specified for HTTP listeners")
		}
		l.MutualAuthentication = nil
		return l, nil
	case types.ProtocolEnumHttps:
	default:
		return l, wire.Errorf("UnsupportedProtocol", "The protocol '%s' is not supported by application load balancers", l.Protocol)
	}
	orDefault(&l.SslPolicy, handshake.DefaultPolicy)
	orDefault(&l.MutualAuthentication, types.MutualAuthenticationAttributes{})
	orDefault(&l.MutualAuthentication.Mode, "off")
	if *l.MutualAuthentication.Mode != "off" {
		return l, invalid("Mutual authentication is not available in the lab")
	}
	if _, _, ok := handshake.Versions(*l.SslPolicy); !ok {
		return l, wire.Errorf("SSLPolicyNotFound", "SSL policy '%s' not found", *l.SslPolicy)
	}
	if len(certificates) == 0 && len(l.Certificates) == 0 {
		return l, invalid("A certificate must be specified for HTTPS listeners")
	}
	if len(certificates) == 0 {
		return l, nil
	}
	arn, err := a.oneCertificate(c, certificates)
	l.Certificates = []types.Certificate{{CertificateArn: &arn}}
	return l, err
}

// oneCertificate checks the one certificate that a request may name.
func (a API) oneCertificate(c wire.Call, certificates []types.Certificate) (string, error) {
	if n := len(certificates); n != 1 {
		return "", wire.Errorf("TooManyCertificates", "Up to '1' certificate ARNs can be specified, but '%d' were specified", n)
	}
	arn := aws.ToString(certificates[0].CertificateArn)
	if !strings.HasPrefix(arn, "arn:") || !strings.Contains(arn, ":acm:") && !strings.Contains(arn, ":iam:") || strings.Contains(arn, ",") {
		return "", invalid("Certificate ARN '%s' is not valid", arn)
	}
	x, ok := a.Certificates.Certificate(arn)
	if !ok || strings.Split(arn, ":")[3] != c.Region {
		return "", wire.Errorf("CertificateNotFound", "Certificate '%s' not found", arn)
	}
	if !slices.ContainsFunc(x.Names, func(n string) bool { return strings.Contains(n, ".") }) {
		return "", wire.Errorf("UnsupportedCertificate", "The certificate '%s' must have a fully-qualified domain name, a supported signature, and a supported key size.", arn)
	}
	return arn, nil
}

func sameSecurity(x, y types.Listener) bool {
	same := func(a, b types.Certificate) bool { return *a.CertificateArn == *b.CertificateArn }
	return aws.ToString(x.SslPolicy) == aws.ToString(y.SslPolicy) && slices.EqualFunc(x.Certificates, y.Certificates, same)
}

// all are the ARNs of a listener's certificates, the default one first.
func (l *Listener) all() []string {
	var out []string
	for _, c := range l.L.Certificates {
		out = append(out, *c.CertificateArn)
	}
	return append(out, l.Certificates...)
}

// presented are the certificates with their keys, for the data plane.
func (a API) presented(l *Listener) []alb.Certificate {
	var out []alb.Certificate
	for _, arn := range l.all() {
		if x, ok := a.Certificates.Certificate(arn); ok { // one that is in use cannot be deleted
			out = append(out, alb.Certificate{ARN: arn, Cert: x.Text, Key: x.Key})
		}
	}
	return out
}

// CertificateUsers lists the load balancers that present the certificate.
func (r *Region) CertificateUsers(arn string) []string {
	users := map[string]bool{}
	for _, l := range r.Listeners {
		if slices.Contains(l.all(), arn) {
			users[*l.L.LoadBalancerArn] = true
		}
	}
	return slices.AppendSeq([]string{}, maps.Keys(users)) // not nil: an empty list is answered
}

func (a API) httpsListener(r *Region, arn *string) (*Listener, error) {
	l, err := r.listener(arn)
	if err == nil && l.L.Protocol != types.ProtocolEnumHttps {
		err = invalid("Listener '%s' has the protocol '%s': certificates are for HTTPS listeners", *arn, l.L.Protocol)
	}
	return l, err
}

func (a API) addListenerCertificates(r *Region, c wire.Call, in *sdk.AddListenerCertificatesInput) (*sdk.AddListenerCertificatesOutput, error) {
	l, err := a.httpsListener(r, in.ListenerArn)
	if err != nil {
		return nil, err
	}
	arn, err := a.oneCertificate(c, in.Certificates)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(l.Certificates, arn) {
		if r.listedCertificates(*l.L.LoadBalancerArn) >= maxCertificates {
			return nil, wire.Errorf("TooManyCertificates", "The maximum number of certificates, %d, of load balancer '%s' has been reached", maxCertificates, *l.L.LoadBalancerArn)
		}
		if err := a.setCertificates(r, l, append(slices.Clone(l.Certificates), arn)); err != nil {
			return nil, err
		}
	}
	return &sdk.AddListenerCertificatesOutput{Certificates: listed(l)}, nil
}

func (a API) removeListenerCertificates(r *Region, _ wire.Call, in *sdk.RemoveListenerCertificatesInput) (*sdk.RemoveListenerCertificatesOutput, error) {
	l, err := a.httpsListener(r, in.ListenerArn)
	if err != nil {
		return nil, err
	}
	list := slices.Clone(l.Certificates)
	for _, c := range in.Certificates {
		arn := aws.ToString(c.CertificateArn)
		if arn == *l.L.Certificates[0].CertificateArn && !slices.Contains(list, arn) {
			return nil, wire.Errorf("OperationNotPermitted", "The default certificate '%s' of a listener cannot be removed", arn)
		}
		list = slices.DeleteFunc(list, func(have string) bool { return have == arn })
	}
	if err := a.setCertificates(r, l, list); err != nil {
		return nil, err
	}
	return &sdk.RemoveListenerCertificatesOutput{}, nil
}

// setCertificates changes a listener's certificate list.
func (a API) setCertificates(r *Region, l *Listener, list []string) error {
	before := l.Certificates
	l.Certificates = list
	if err := a.pushLoadBalancer(r, r.LoadBalancers[*l.L.LoadBalancerArn]); err != nil {
		l.Certificates = before
		return err
	}
	return nil
}

func (r *Region) listedCertificates(lb string) int {
	n := 0
	for _, l := range r.Listeners {
		if *l.L.LoadBalancerArn == lb {
			n += len(l.Certificates)
		}
	}
	return n
}

func listed(l *Listener) []types.Certificate {
	out := []types.Certificate{}
	for _, arn := range l.Certificates {
		out = append(out, types.Certificate{CertificateArn: aws.String(arn), IsDefault: aws.Bool(false)})
	}
	return out
}

func (a API) describeListenerCertificates(r *Region, _ wire.Call, in *sdk.DescribeListenerCertificatesInput) (*sdk.DescribeListenerCertificatesOutput, error) {
	l, err := r.listener(in.ListenerArn)
	if err != nil {
		return nil, err
	}
	all := []types.Certificate{}
	for _, c := range l.L.Certificates {
		all = append(all, types.Certificate{CertificateArn: c.CertificateArn, IsDefault: aws.Bool(true)})
	}
	all = append(all, listed(l)...)
	// The default one may be in the list, too.
	key := func(c types.Certificate) string {
		return aws.ToString(c.CertificateArn) + strconv.FormatBool(*c.IsDefault)
	}
	page, next, err := paginate(all, key, in.Marker, in.PageSize)
	if err != nil {
		return nil, err
	}
	return &sdk.DescribeListenerCertificatesOutput{Certificates: page, NextMarker: next}, nil
}
