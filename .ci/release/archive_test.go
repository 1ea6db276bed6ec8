// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var at = time.Unix(1767225600, 999)

func TestEqualEntriesGiveEqualArchives(t *testing.T) {
	list := []entry{{"outlast", []byte("program"), 0o755}, {"completions/outlast.bash", []byte("x"), 0o644}, {"LICENSE", nil, 0o644}}
	other := slices.Clone(list)
	slices.Reverse(other)
	for name, write := range map[string]func(io.Writer, []entry, time.Time) error{"tar.gz": writeTarGz, "zip": writeZip} {
		t.Run(name, func(t *testing.T) {
			var a, b, later bytes.Buffer
			if err := write(&a, list, at); err != nil {
				t.Fatal(err)
			}
			if err := write(&b, other, at.In(time.FixedZone("CST", 8*3600))); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(a.Bytes(), b.Bytes()) {
				t.Error("another order or another time zone gives another archive")
			}
			if err := write(&later, list, at.Add(2*time.Second)); err != nil {
				t.Fatal(err)
			}
			if bytes.Equal(a.Bytes(), later.Bytes()) {
				t.Error("the time does not reach the archive")
			}
		})
	}
}

func TestATarHasWhatItWasGivenAndNothingOfThisMachine(t *testing.T) {
	var buf bytes.Buffer
	if err := writeTarGz(&buf, []entry{{"outlast", []byte("program"), 0o755}, {"LICENSE", []byte("l"), 0o644}}, at); err != nil {
		t.Fatal(err)
	}
	zr, err := gzip.NewReader(&buf)
	if err != nil {
		t.Fatal(err)
	}
	if !zr.ModTime.IsZero() || zr.Name != "" {
		t.Errorf("gzip's header has %v, %q", zr.ModTime, zr.Name)
	}
	var names []string
	for tr := tar.NewReader(zr); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		mode := int64(0o644)
		if h.Name == "outlast" {
			mode = 0o755
		}
		if h.Mode != mode || h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" || h.ModTime.Unix() != at.Unix() || h.Typeflag != tar.TypeReg {
			t.Errorf("%+v", h)
		}
	}
	if got := strings.Join(names, " "); got != "LICENSE outlast" {
		t.Errorf("entries %q", got)
	}
}

func TestAZipCanBeRead(t *testing.T) {
	var buf bytes.Buffer
	if err := writeZip(&buf, []entry{{"outlast.exe", []byte("program"), 0o755}}, at); err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.File) != 1 || r.File[0].Name != "outlast.exe" || r.File[0].Mode() != 0o755 || r.File[0].Modified.Unix() != at.Unix() {
		t.Errorf("%+v", r.File)
	}
}

func TestWhatNoArchiveTakes(t *testing.T) {
	for name, list := range map[string][]entry{
		"nothing":                        nil,
		"a path that leaves the archive": {{"../outlast", nil, 0o644}},
		"an absolute path":               {{"/outlast", nil, 0o644}},
		"a name twice":                   {{"a", nil, 0o644}, {"a", nil, 0o644}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, write := range []func(io.Writer, []entry, time.Time) error{writeTarGz, writeZip} {
				if err := write(io.Discard, list, at); err == nil {
					t.Error("it was taken")
				}
			}
		})
	}
}

func TestAFolderGivesModesThatDoNotHangOnTheUmask(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a/run.sh": "#!/bin/sh\n", "README.md": "# x\n"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := folder(dir, "w/")
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || list[0].name != "w/README.md" || list[0].mode != 0o644 || list[1].name != "w/a/run.sh" || list[1].mode != 0o755 {
		t.Errorf("%v", list)
	}
}
