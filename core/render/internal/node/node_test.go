// SPDX-License-Identifier: Apache-2.0

package node

import "testing"

func TestImageName(t *testing.T) {
	for image, want := range map[string]string{
		"web": "web", "web:1": "web", "web@sha256:aa": "web", "web:1@sha256:aa": "web",
		"r.example.com:5000/a/web": "r.example.com:5000/a/web", "r.example.com:5000/a/web:v1": "r.example.com:5000/a/web",
	} {
		if got := ImageName(image); got != want {
			t.Errorf("ImageName(%q) = %q, want %q", image, got, want)
		}
	}
}
