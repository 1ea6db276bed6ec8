// SPDX-License-Identifier: Apache-2.0

// Package images makes the lab's base images from what the machine has (no
// registry can be reached for them): a Go image from the machine's own Go and
// Debian's busybox, a small base for static binaries, and the pause image.
package images

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// archive collects files of a layer; times are zero, so that equal content
// gives an equal digest.
type archive struct {
	w    *tar.Writer
	seen map[string]bool
	err  error
}

func (a *archive) add(h *tar.Header, body io.Reader) {
	if a.err != nil || a.seen[h.Name] {
		return
	}
	a.seen[h.Name] = true
	if a.err = a.w.WriteHeader(h); a.err == nil && body != nil {
		_, a.err = io.Copy(a.w, body)
	}
}

func (a *archive) dir(name string, mode int64) {
	for d := path.Dir(name); d != "." && d != "/" && !a.seen[d+"/"]; d = path.Dir(d) {
		a.dir(d, 0o755)
	}
	a.add(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode}, nil)
}

func (a *archive) text(name string, mode int64, text string) {
	a.dir(path.Dir(name), 0o755)
	a.add(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(text))}, strings.NewReader(text))
}

func (a *archive) link(name, target string) {
	a.dir(path.Dir(name), 0o755)
	a.add(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}, nil)
}

func (a *archive) file(name, from string) {
	if a.err != nil {
		return
	}
	f, err := os.Open(from)
	if err != nil {
		a.err = err
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		a.err = err
		return
	}
	a.dir(path.Dir(name), 0o755)
	a.add(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: int64(info.Mode().Perm()), Size: info.Size()}, f)
}

// layer writes a layer to a file, so that big ones need no memory.
func layer(dir string, fill func(*archive)) (v1.Layer, error) {
	f, err := os.CreateTemp(dir, "layer-*.tar")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	a := &archive{w: tar.NewWriter(f), seen: map[string]bool{}}
	fill(a)
	if a.err == nil {
		a.err = a.w.Close()
	}
	if a.err != nil {
		return nil, a.err
	}
	return tarball.LayerFromFile(f.Name())
}

func image(config v1.Config, layers ...v1.Layer) (v1.Image, error) {
	img, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		return nil, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.Architecture, file.OS, file.Config = runtime.GOARCH, "linux", config
	return mutate.ConfigFile(img, file)
}

const certificates = "/etc/ssl/certs/ca-certificates.crt"

func accounts(a *archive) {
	a.text("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n")
	a.text("etc/group", 0o644, "root:x:0:\nnonroot:x:65532:\n")
	a.text("etc/nsswitch.conf", 0o644, "hosts: files dns\n")
	a.file("etc/ssl/certs/ca-certificates.crt", certificates)
	a.dir("tmp", 0o1777)
}

// Static is a base for static binaries: certificates, a user, /tmp.
func Static(dir string) (v1.Image, error) {
	l, err := layer(dir, accounts)
	if err != nil {
		return nil, fmt.Errorf("making the static base: %w", err)
	}
	return image(v1.Config{User: "65532:65532", Env: []string{"PATH=/"}, WorkingDir: "/"}, l)
}

// applets are the busybox commands that Dockerfiles use.
var applets = strings.Fields("sh ash cat chmod chown cp cut date dirname basename echo env expr false find grep head id install ln ls mkdir mktemp mv printf pwd readlink rm rmdir sed sleep sort tail tar test touch tr true uname uniq wc which xargs")

// Golang is a Go image from the machine's GOROOT, without its tests, and
// Debian's static busybox for a shell.
func Golang(dir, goroot string) (v1.Image, error) {
	base, err := layer(dir, func(a *archive) {
		accounts(a)
		a.file("bin/busybox", "/bin/busybox")
		for _, name := range applets {
			a.link("bin/"+name, "busybox")
		}
		a.link("usr/bin/env", "/bin/busybox")
		a.dir("root", 0o700)
		a.dir("go", 0o777)
	})
	if err != nil {
		return nil, fmt.Errorf("making the Go image: %w", err)
	}
	sdk, err := layer(dir, func(a *archive) {
		for _, part := range []string{"VERSION", "go.env", "bin", "lib", "pkg/include", "pkg/tool", "src"} {
			a.tree("usr/local/go", goroot, part)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("making the Go image from %s: %w", goroot, err)
	}
	return image(v1.Config{WorkingDir: "/go", Env: []string{
		"PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "GOPATH=/go", "GOTOOLCHAIN=local", "HOME=/root",
	}}, base, sdk)
}

// tree copies a file or folder of Go, without tests.
func (a *archive) tree(to, root, part string) {
	err := filepath.WalkDir(filepath.Join(root, part), func(p string, d fs.DirEntry, err error) error {
		if err != nil || a.err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && d.Name() == "testdata":
			return fs.SkipDir
		case strings.HasSuffix(p, "_test.go"):
		case d.Type().IsRegular():
			a.file(path.Join(to, filepath.ToSlash(rel)), p)
		case d.Type()&fs.ModeSymlink != 0:
			target, err := filepath.EvalSymlinks(p)
			if err != nil {
				return err
			}
			a.file(path.Join(to, filepath.ToSlash(rel)), target)
		}
		return nil
	})
	if a.err == nil {
		a.err = err
	}
}

// SCM is a base with a shell, git and certificates, as buildpack-deps:scm is:
// Debian's busybox and git, with the libraries that git and runc need.
func SCM(dir string) (v1.Image, error) {
	l, err := layer(dir, func(a *archive) {
		accounts(a)
		a.file("bin/busybox", "/bin/busybox")
		for _, name := range applets {
			a.link("bin/"+name, "busybox")
		}
		for _, name := range []string{"proc", "sys", "dev", "root", "run", "etc/buildkit"} {
			a.dir(name, 0o755)
		}
		a.program("usr/bin/git", "/usr/bin/git")
		a.libraries("/usr/sbin/runc")
	})
	if err != nil {
		return nil, fmt.Errorf("making the base with git: %w", err)
	}
	return image(v1.Config{WorkingDir: "/", Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}}, l)
}

// BuildKit has BuildKit's programs where its own image has them.
func BuildKit(dir, buildctl, buildkitd string) (v1.Image, error) {
	l, err := layer(dir, func(a *archive) {
		a.file("usr/bin/buildctl", buildctl)
		a.file("usr/bin/buildkitd", buildkitd)
		a.file("usr/bin/buildkit-runc", "/usr/sbin/runc")
	})
	if err != nil {
		return nil, fmt.Errorf("making BuildKit's image: %w", err)
	}
	return image(v1.Config{}, l)
}

// program adds one with the libraries that it is linked with.
func (a *archive) program(name, from string) {
	a.file(name, from)
	a.libraries(from)
}

func (a *archive) libraries(program string) {
	if a.err != nil {
		return
	}
	out, err := exec.Command("ldd", program).Output()
	if err != nil {
		a.err = fmt.Errorf("asking for the libraries of %s: %w", program, err)
		return
	}
	for _, word := range strings.Fields(string(out)) {
		if strings.HasPrefix(word, "/") {
			a.file(strings.TrimPrefix(word, "/"), word)
		}
	}
}

// Pause writes a docker archive with the pause image, whose program is the
// given static binary.
func Pause(dir, program, tag, to string) error {
	l, err := layer(dir, func(a *archive) { a.file("pause", program) })
	if err != nil {
		return fmt.Errorf("making the pause image: %w", err)
	}
	img, err := image(v1.Config{Entrypoint: []string{"/pause"}, User: "65535:65535"}, l)
	if err != nil {
		return fmt.Errorf("making the pause image: %w", err)
	}
	ref, err := name.NewTag(tag)
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	if err := tarball.Write(ref, img, &buf); err != nil {
		return fmt.Errorf("making the pause image: %w", err)
	}
	return os.WriteFile(to, buf.Bytes(), 0o644)
}
