// SPDX-License-Identifier: Apache-2.0

package gen

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Project is where the project's releases are downloaded from.
const Project = "https://github.com/outlast-ci/outlast/releases/download"

// PinsFile holds the release that the repository's wrappers belong to, as Pins
// reads it; below the top of a checkout.
const PinsFile = "core/internal/gen/release.json"

//go:embed release.json
var pins []byte

// What reaches get-outlast stands there between quotes, and in the YAML of four
// CIs, each with marks of its own.
var (
	versions = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$`)
	bases    = regexp.MustCompile(`^https?://[0-9A-Za-z._~:/-]+$`)
	sumLine  = regexp.MustCompile(`^([0-9a-f]{64}) [ *]([0-9A-Za-z._-]+)$`)
)

// Pins is the release that the wrappers in the repository belong to; the zero
// value before the first one.
func Pins() (Release, error) {
	var r Release
	if err := json.Unmarshal(pins, &r); err != nil {
		return Release{}, fmt.Errorf("reading %s: %w", PinsFile, err)
	}
	return r, nil
}

// NewRelease makes a release out of its version, its base URL and the text of
// its SHA256SUMS, of which the program's archives are taken.
func NewRelease(version, releases, sums string) (Release, error) {
	if !versions.MatchString(version) {
		return Release{}, fmt.Errorf("reading the version %q: want vMAJOR.MINOR.PATCH, with a -suffix or none", version)
	}
	if !bases.MatchString(releases) {
		return Release{}, fmt.Errorf("reading the address of the releases %q: want http(s)://HOST/PATH of plain characters", releases)
	}
	r := Release{Version: version, Releases: strings.TrimSuffix(releases, "/")}
	archive := regexp.MustCompile(`^outlast_` + regexp.QuoteMeta(version[1:]) + `_[a-z0-9]+_[a-z0-9]+\.tar\.gz$`)
	for line := range strings.Lines(sums) {
		m := sumLine.FindStringSubmatch(strings.TrimRight(line, "\r\n"))
		if m == nil {
			return Release{}, fmt.Errorf("reading the sums: %q is no line of sha256sum", line)
		}
		if archive.MatchString(m[2]) {
			r.Sums = append(r.Sums, Sum{Asset: m[2], SHA256: m[1]})
		}
	}
	if len(r.Sums) == 0 {
		return Release{}, errors.New("reading the sums: none is of an archive outlast_" + version[1:] + "_OS_ARCH.tar.gz")
	}
	return r, nil
}
