// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/outlast-ci/outlast/core/render"
)

// What a registry takes: the host may have a port, the rest is in lower case, and a tag
// may stand before the digest.
var (
	repositoryName = regexp.MustCompile(`^(([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$`)
	sha256Digest   = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// pinned reads the images that were made elsewhere, each NAME=REPOSITORY@sha256:DIGEST.
func pinned(items []string) (images []render.Image, err error) {
	for _, item := range items {
		name, ref, ok := strings.Cut(item, "=")
		repository, digest, ok2 := strings.Cut(ref, "@sha256:")
		why := ""
		switch {
		case !ok || !ok2 || name == "":
			return nil, fmt.Errorf("reading --image %q: want NAME=REPOSITORY@sha256:DIGEST", item)
		case !repositoryName.MatchString(repository):
			why = fmt.Sprintf("%q is no repository: want lower case letters, digits, and . _ - / between them, after the registry's host", repository)
		case !sha256Digest.MatchString(digest):
			why = fmt.Sprintf("%q is no digest: sha256 has 64 digits of 0-9 and a-f; the registry, or docker buildx imagetools inspect, tells the whole", digest)
		case slices.ContainsFunc(images, func(i render.Image) bool { return i.Name == name }):
			why = fmt.Sprintf("%s was given already; each image is pinned once", name)
		}
		if why != "" {
			return nil, fmt.Errorf("reading --image %q: %s", item, why)
		}
		images = append(images, render.Image{Name: name, Ref: ref})
	}
	return images, nil
}
