// SPDX-License-Identifier: Apache-2.0

package acm

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

// detail is a certificate as DescribeCertificate answers it.
func (a API) detail(x *Certificate, c wire.Call) map[string]any {
	leaf := x.leaf()
	all := names(leaf)
	out := map[string]any{
		"CertificateArn": x.ARN, "Subject": leaf.Subject.String(), "SubjectAlternativeNames": all, "Serial": serial(leaf),
		"Issuer": cmp.Or(leaf.Issuer.CommonName, leaf.Issuer.String()), "NotBefore": seconds(leaf.NotBefore), "NotAfter": seconds(leaf.NotAfter),
		"Status": x.status(c.Now), "KeyAlgorithm": shownAlgorithm(leaf), "SignatureAlgorithm": signature(leaf), "Type": x.kind(),
		"InUseBy": a.Users(c.Region, x.ARN), "KeyUsages": named(keyUsages(leaf)), "ExtendedKeyUsages": extended(leaf),
		"RenewalEligibility": "INELIGIBLE", "Options": map[string]string{"CertificateTransparencyLoggingPreference": x.transparency(), "Export": "DISABLED"},
	}
	if len(all) > 0 {
		out["DomainName"] = all[0]
	}
	if !x.Requested {
		out["ImportedAt"] = seconds(x.Created)
		return out
	}
	out["CreatedAt"], out["IssuedAt"] = seconds(x.Created), seconds(x.Created)
	var validations []any
	for _, n := range all {
		v := map[string]any{"DomainName": n, "ValidationDomain": n, "ValidationStatus": "SUCCESS", "ValidationMethod": cmp.Or(x.Method, "EMAIL")}
		if x.Method == "DNS" {
			v["ResourceRecord"] = record(x.ARN, n)
		} else {
			v["ValidationEmails"] = []string{"admin@" + strings.TrimPrefix(n, "*.")}
		}
		validations = append(validations, v)
	}
	out["DomainValidationOptions"] = validations
	return out
}

// summary is a certificate as ListCertificates answers it: times and the like
// of the detail, and the rest in short.
func (a API) summary(x *Certificate, c wire.Call) map[string]any {
	leaf, out := x.leaf(), a.detail(x, c)
	all := names(leaf)
	out["SubjectAlternativeNameSummaries"], out["HasAdditionalSubjectAlternativeNames"] = all[:min(len(all), 100)], len(all) > 100
	out["InUse"], out["KeyUsages"], out["ExtendedKeyUsages"] = len(a.Users(c.Region, x.ARN)) > 0, keyUsages(leaf), extendedNames(leaf)
	out["ExportOption"], out["Exported"] = "DISABLED", false
	for _, only := range []string{"Subject", "SubjectAlternativeNames", "Serial", "Issuer", "SignatureAlgorithm", "InUseBy", "Options", "DomainValidationOptions"} {
		delete(out, only)
	}
	return out
}

func (x *Certificate) status(now time.Time) string {
	if now.After(x.leaf().NotAfter) {
		return "EXPIRED"
	}
	return "ISSUED"
}

func (x *Certificate) kind() string {
	if x.Requested {
		return "AMAZON_ISSUED"
	}
	return "IMPORTED"
}

func (x *Certificate) transparency() string {
	if x.Requested {
		return "ENABLED"
	}
	return "DISABLED"
}

// shownAlgorithm is RSA-2048 where a request says RSA_2048: the user guide's examples have it so.
func shownAlgorithm(leaf *x509.Certificate) string {
	return strings.Replace(algorithm(leaf.PublicKey), "_", "-", 1)
}

// signature is SHA256WITHRSA for Go's SHA256-RSA.
func signature(leaf *x509.Certificate) string {
	hash, key, _ := strings.Cut(leaf.SignatureAlgorithm.String(), "-")
	if hash == "ECDSA" {
		hash, key = key, hash
	}
	return hash + "WITH" + key
}

func serial(leaf *x509.Certificate) string {
	var parts []string
	for _, b := range leaf.SerialNumber.Bytes() {
		parts = append(parts, fmt.Sprintf("%02x", b))
	}
	return strings.Join(parts, ":")
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// record is the one that a DNS zone would have to hold.
func record(arn, name string) map[string]string {
	sum := func(salt string) string {
		h := sha256.Sum256([]byte(salt + arn + name))
		return "_" + hex.EncodeToString(h[:16])
	}
	return map[string]string{"Type": "CNAME", "Name": sum("name") + "." + strings.TrimPrefix(name, "*.") + ".",
		"Value": sum("value") + ".lab.acm-validations.aws."}
}

func named(all []string) []any {
	out := []any{}
	for _, n := range all {
		out = append(out, map[string]string{"Name": n})
	}
	return out
}

func keyUsages(leaf *x509.Certificate) []string {
	out := []string{}
	for i, n := range []string{"DIGITAL_SIGNATURE", "NON_REPUDIATION", "KEY_ENCIPHERMENT", "DATA_ENCIPHERMENT", "KEY_AGREEMENT",
		"CERTIFICATE_SIGNING", "CRL_SIGNING", "ENCIPHER_ONLY", "DECIPHER_ONLY"} { // in the order of X.509's bits
		if leaf.KeyUsage&(1<<i) != 0 {
			out = append(out, n)
		}
	}
	return out
}

// purposes are the extended usages that a web server's certificate may have.
func purposes() map[x509.ExtKeyUsage][2]string {
	return map[x509.ExtKeyUsage][2]string{
		x509.ExtKeyUsageServerAuth: {"TLS_WEB_SERVER_AUTHENTICATION", "1.3.6.1.5.5.7.3.1"},
		x509.ExtKeyUsageClientAuth: {"TLS_WEB_CLIENT_AUTHENTICATION", "1.3.6.1.5.5.7.3.2"},
		x509.ExtKeyUsageAny:        {"ANY", "2.5.29.37.0"},
	}
}

func extended(leaf *x509.Certificate) []any {
	out := []any{}
	for _, u := range leaf.ExtKeyUsage {
		if p, ok := purposes()[u]; ok {
			out = append(out, map[string]string{"Name": p[0], "OID": p[1]})
		}
	}
	return out
}

func extendedNames(leaf *x509.Certificate) []string {
	out := []string{}
	for _, u := range leaf.ExtKeyUsage {
		if p, ok := purposes()[u]; ok {
			out = append(out, p[0])
		}
	}
	return out
}

func shownTags(tags map[string]string) []tag {
	out := []tag{}
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		v := tags[k]
		out = append(out, tag{Key: k, Value: &v})
	}
	return out
}

// passes tells whether a certificate is of those that are asked for. Without
// key types only RSA of 1024 and 2048 bits with a domain are listed.
func (x *Certificate) passes(in request, now time.Time) bool {
	leaf := x.leaf()
	types := in.Includes.KeyTypes
	if len(types) == 0 {
		types = []string{"RSA_1024", "RSA_2048"}
		if len(names(leaf)) == 0 {
			return false
		}
	}
	return slices.Contains(types, algorithm(leaf.PublicKey)) &&
		(len(in.CertificateStatuses) == 0 || slices.Contains(in.CertificateStatuses, x.status(now))) &&
		hasAll(keyUsages(leaf), in.Includes.KeyUsage) && hasAll(extendedNames(leaf), in.Includes.ExtendedKeyUsage) &&
		in.Includes.ExportOption != "ENABLED"
}

func hasAll(have, want []string) bool {
	return !slices.ContainsFunc(want, func(w string) bool { return w != "ANY" && !slices.Contains(have, w) })
}

func (a API) listCertificates(r *Region, c wire.Call, in request) (any, error) {
	size := maxPage
	if in.MaxItems != nil {
		if size = *in.MaxItems; size < 1 || size > maxPage {
			return nil, invalid("1 validation error detected: Value '%d' at 'maxItems' failed to satisfy constraint: Member must have value between 1 and %d", size, maxPage)
		}
	}
	if (in.SortBy == "") != (in.SortOrder == "") {
		return nil, wire.Errorf("InvalidArgsException", "SortBy and SortOrder must be specified together")
	}
	var found []*Certificate
	for _, x := range r.Certificates {
		if x.passes(in, c.Now) {
			found = append(found, x)
		}
	}
	order := 1
	if in.SortOrder == "DESCENDING" {
		order = -1
	}
	slices.SortFunc(found, func(x, y *Certificate) int { return order * strings.Compare(x.place(), y.place()) })
	if in.NextToken != "" { // the place of the last page's last, which may be gone by now
		last, err := base64.StdEncoding.DecodeString(in.NextToken)
		if err != nil {
			return nil, wire.Errorf("InvalidArgsException", "The next token is not valid")
		}
		found = slices.DeleteFunc(found, func(x *Certificate) bool { return order*strings.Compare(x.place(), string(last)) <= 0 })
	}
	list := []any{}
	for _, x := range found[:min(size, len(found))] {
		list = append(list, a.summary(x, c))
	}
	out := map[string]any{"CertificateSummaryList": list}
	if len(found) > size {
		out["NextToken"] = base64.StdEncoding.EncodeToString([]byte(found[size-1].place()))
	}
	return out, nil
}

// place is what lists are sorted by: the time, then the ARN.
func (x *Certificate) place() string { return fmt.Sprintf("%020d %s", x.Created.UnixNano(), x.ARN) }
