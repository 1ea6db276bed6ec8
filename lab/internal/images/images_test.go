// SPDX-License-Identifier: Apache-2.0

package images

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func contents(t *testing.T, img v1.Image) map[string]*tar.Header {
	t.Helper()
	r := mutate.Extract(img)
	defer r.Close()
	all := map[string]*tar.Header{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(h.Name, "/")] = h
	}
}

func digest(t *testing.T, make func(dir string) (v1.Image, error)) (v1.Image, string) {
	t.Helper()
	img, err := make(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	d, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return img, d.String()
}

func needCertificates(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(certificates); err != nil {
		t.Skip("the package ca-certificates is not installed")
	}
}

func TestTheStaticBase(t *testing.T) {
	needCertificates(t)
	img, first := digest(t, Static)
	if _, again := digest(t, Static); again != first {
		t.Error("the same content has two digests")
	}
	all := contents(t, img)
	for _, name := range []string{"etc/passwd", "etc/ssl/certs/ca-certificates.crt", "tmp"} {
		if all[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	if h := all["tmp"]; h != nil && h.Mode != 0o1777 {
		t.Errorf("/tmp has mode %o", h.Mode)
	}
	if config, err := img.ConfigFile(); err != nil || config.Config.User != "65532:65532" || config.OS != "linux" {
		t.Errorf("config %+v, %v", config, err)
	}
}

func TestTheGoImageHasGoAndAShellButNoTests(t *testing.T) {
	needCertificates(t)
	if _, err := os.Stat("/bin/busybox"); err != nil {
		t.Skip("the package busybox-static is not installed")
	}
	root := t.TempDir()
	for name, text := range map[string]string{"VERSION": "go1", "go.env": "", "bin/go": "#!", "lib/x": "", "pkg/include/a.h": "", "pkg/tool/l": "", "src/fmt/print.go": "package fmt", "src/fmt/print_test.go": "package fmt", "src/fmt/testdata/x": "x"} {
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	img, _ := digest(t, func(dir string) (v1.Image, error) { return Golang(dir, root) })
	all := contents(t, img)
	for _, name := range []string{"usr/local/go/bin/go", "usr/local/go/src/fmt/print.go", "bin/busybox", "bin/sh", "root"} {
		if all[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	for name := range all {
		if strings.HasSuffix(name, "_test.go") || strings.Contains(name, "testdata") {
			t.Errorf("%s is in the image", name)
		}
	}
	if h := all["bin/sh"]; h != nil && h.Linkname != "busybox" {
		t.Errorf("bin/sh -> %s", h.Linkname)
	}
}

func TestThePauseImageIsAnArchiveThatCanBeImported(t *testing.T) {
	dir := t.TempDir()
	program, to := filepath.Join(dir, "pause"), filepath.Join(dir, "pause.tar")
	if err := os.WriteFile(program, []byte("ELF"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Pause(dir, program, "localhost/pause:1", to); err != nil {
		t.Fatal(err)
	}
	img, err := tarball.ImageFromPath(to, nil)
	if err != nil {
		t.Fatal(err)
	}
	if h := contents(t, img)["pause"]; h == nil || h.Mode&0o111 == 0 {
		t.Errorf("the program: %+v", h)
	}
	if err := Pause(dir, filepath.Join(dir, "absent"), "localhost/pause:1", to); err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("without a program: %v", err)
	}
}
