// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// entry is a file of an archive. Its name, text and mode are all that reaches
// the archive: the owner is 0, the time is the archive's.
type entry struct {
	name string // with slashes
	text []byte
	mode fs.FileMode // 0o755 or 0o644, whatever the umask made of it on disk
}

// sorted checks the names, which tar and zip would take as they are, and gives
// the entries in one order.
func sorted(entries []entry) ([]entry, error) {
	list := slices.Clone(entries)
	slices.SortFunc(list, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	for i, e := range list {
		if !fs.ValidPath(e.name) || e.name == "." {
			return nil, fmt.Errorf("the name %q is no path inside an archive", e.name)
		}
		if i > 0 && list[i-1].name == e.name {
			return nil, fmt.Errorf("the name %q is there twice", e.name)
		}
	}
	if len(list) == 0 {
		return nil, errors.New("there is nothing to put into it")
	}
	return list, nil
}

// writeTarGz writes the entries so that equal ones give equal bytes.
func writeTarGz(to io.Writer, entries []entry, at time.Time) error {
	list, err := sorted(entries)
	if err != nil {
		return err
	}
	zw, err := gzip.NewWriterLevel(to, gzip.BestCompression)
	if err != nil {
		return err
	}
	tw := tar.NewWriter(zw)
	for _, e := range list {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: e.name, Mode: int64(e.mode.Perm()), Size: int64(len(e.text)), ModTime: at.UTC().Truncate(time.Second), Format: tar.FormatUSTAR}
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
		if _, err := tw.Write(e.text); err != nil {
			return err
		}
	}
	return errors.Join(tw.Close(), zw.Close())
}

// writeZip is writeTarGz for Windows.
func writeZip(to io.Writer, entries []entry, at time.Time) error {
	list, err := sorted(entries)
	if err != nil {
		return err
	}
	zw := zip.NewWriter(to)
	for _, e := range list {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate, Modified: at.UTC().Truncate(time.Second)}
		h.SetMode(e.mode.Perm())
		w, err := zw.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := w.Write(e.text); err != nil {
			return err
		}
	}
	return zw.Close()
}

// pack writes one archive; its name says of which kind.
func pack(path string, entries []entry, at time.Time) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	write := writeTarGz
	if strings.HasSuffix(path, ".zip") {
		write = writeZip
	}
	if err := write(f, entries, at); err != nil {
		return fmt.Errorf("packing %s: %w", path, err)
	}
	return nil
}

// folder reads a folder as entries below prefix. A script that starts with #!
// can be run; nothing else of a mode on disk is kept.
func folder(dir, prefix string) (list []entry, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if strings.HasPrefix(string(text), "#!") {
			mode = 0o755
		}
		list = append(list, entry{prefix + filepath.ToSlash(rel), text, mode})
		return nil
	})
	return list, err
}
