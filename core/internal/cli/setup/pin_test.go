// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"strings"
	"testing"
)

// TestPinned: what --image takes, and why not.
func TestPinned(t *testing.T) {
	digest := "@sha256:" + strings.Repeat("0123456789abcdef", 4)
	for items, want := range map[string]string{
		"": "",
		"web=registry.example.com:5000/team/web" + digest:        "",
		"web=web" + digest + ",proxy=r.example.com/p" + digest:   "",
		"app/web=localhost:5000/web:v1.2" + digest:               "",
		"web=[::1]:5000/a__b/c-d" + digest:                       "",
		"web=123456789012.dkr.ecr.cn-north-1.example/w" + digest: "",
		"web":                                  "want NAME=REPOSITORY@sha256:DIGEST",
		"web=x:1":                              "want NAME=REPOSITORY@sha256:DIGEST",
		"=x" + digest:                          "want NAME=REPOSITORY@sha256:DIGEST",
		"web=x@sha256:abc":                     `"abc" is no digest`,
		"web=x" + strings.ToUpper(digest[8:]):  "want NAME=REPOSITORY@sha256:DIGEST",
		"web=x" + digest + "0":                 "is no digest",
		"web=x" + digest[:len(digest)-1] + "G": "is no digest",
		"web=my repo/web" + digest:             `"my repo/web" is no repository`,
		"web=Team/web" + digest:                "",
		"web=r.example.com/Team/web" + digest:  "is no repository",
		"web=" + digest:                        "is no repository",
		"web=/x" + digest:                      "is no repository",
		"web=x" + digest + ",web=y" + digest:   "web was given already",
	} {
		var list []string
		if items != "" {
			list = strings.Split(items, ",")
		}
		images, err := pinned(list)
		switch {
		case want == "" && (err != nil || len(images) != len(list)):
			t.Errorf("%s: %v, %v", items, images, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "reading --image ")):
			t.Errorf("%s: %v, want %s", items, err, want)
		}
	}
}
