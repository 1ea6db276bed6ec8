// SPDX-License-Identifier: Apache-2.0

package handshake

import (
	"crypto/tls"
	"strings"
)

// DefaultPolicy is that of a listener made by the API without one.
const DefaultPolicy = "ELBSecurityPolicy-2016-08"

// Versions are the lowest and the highest TLS version of a security policy,
// from the tables of the user guide's page on security policies; ok is false
// for a policy that there is not. Which ciphers a policy allows is left out:
// every version has Go's own.
func Versions(policy string) (low, high uint16, ok bool) {
	if policy == "" {
		policy = DefaultPolicy
	}
	name, ok := strings.CutPrefix(policy, "ELBSecurityPolicy-")
	if !ok {
		return 0, 0, false
	}
	v, ok := map[string][2]uint16{
		"2016-08": {tls.VersionTLS10, tls.VersionTLS12}, "2015-05": {tls.VersionTLS10, tls.VersionTLS12},
		"TLS-1-0-2015-04": {tls.VersionTLS10, tls.VersionTLS12}, "TLS-1-1-2017-01": {tls.VersionTLS11, tls.VersionTLS12},
		"TLS-1-2-2017-01": {tls.VersionTLS12, tls.VersionTLS12}, "TLS-1-2-Ext-2018-06": {tls.VersionTLS12, tls.VersionTLS12},
		"FS-2018-06": {tls.VersionTLS10, tls.VersionTLS12}, "FS-1-1-2019-08": {tls.VersionTLS11, tls.VersionTLS12},
		"FS-1-2-2019-08": {tls.VersionTLS12, tls.VersionTLS12}, "FS-1-2-Res-2019-08": {tls.VersionTLS12, tls.VersionTLS12},
		"FS-1-2-Res-2020-10": {tls.VersionTLS12, tls.VersionTLS12},
		"TLS13-1-0-2021-06":  {tls.VersionTLS10, tls.VersionTLS13}, "TLS13-1-1-2021-06": {tls.VersionTLS11, tls.VersionTLS13},
		"TLS13-1-2-2021-06": {tls.VersionTLS12, tls.VersionTLS13}, "TLS13-1-2-Res-2021-06": {tls.VersionTLS12, tls.VersionTLS13},
		"TLS13-1-2-Ext1-2021-06": {tls.VersionTLS12, tls.VersionTLS13}, "TLS13-1-2-Ext2-2021-06": {tls.VersionTLS12, tls.VersionTLS13},
		"TLS13-1-3-2021-06": {tls.VersionTLS13, tls.VersionTLS13},
	}[name]
	return v[0], v[1], ok
}
