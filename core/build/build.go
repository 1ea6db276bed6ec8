// SPDX-License-Identifier: Apache-2.0

// Package build turns a Dockerfile into an image on disk: a build context goes
// in, an OCI layout comes out (or, from a Docker engine that cannot export
// one, a docker archive). It drives BuildKit's own clients as programs,
// buildctl or docker buildx, so that none of BuildKit is linked in.
package build

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/core/event"
)

// World is where the programs run.
type World struct {
	Environ  []string // of child programs; they are looked up in its PATH
	TempDir  string   // for layouts, sockets and logs; must exist
	CacheDir string   // keeps a child buildkitd's cache between runs; empty: TempDir
	UID      int
	CA       string // PEM file of authorities; RUN lines may mount it as the secret ca-bundle
}

// getenv reads one variable of Environ.
func (w World) getenv(name string) string {
	for _, pair := range slices.Backward(w.Environ) {
		if v, ok := strings.CutPrefix(pair, name+"="); ok {
			return v
		}
	}
	return ""
}

// Options say what to build.
type Options struct {
	Name       string            // in messages and in Image; as the manifests spell it
	Context    string            // folder that is sent to the builder
	Dockerfile string            // relative to Context unless absolute; empty: Dockerfile
	Target     string            // build stage; empty: the last
	Platform   string            // e.g. linux/arm64; empty: the builder's own
	Args       map[string]string // build arguments
	Labels     map[string]string // image labels
	Epoch      time.Time         // SOURCE_DATE_EPOCH; zero: not set
	NoCache    bool
	Layout     string // folder to create; empty: one in World.TempDir
	Observe    event.Func
}

// Image is what was built. It survives JSON, but Layout and Archive stay on
// this machine's disk.
type Image struct {
	Name     string  `json:"name"`
	Layout   string  `json:"layout,omitempty"`  // OCI layout
	Archive  string  `json:"archive,omitempty"` // docker archive, where the engine exports no layout
	Digest   string  `json:"digest"`            // of the manifest or index; of an archive, the image's id
	Platform string  `json:"platform,omitempty"`
	Builder  string  `json:"builder"`
	Why      string  `json:"why"` // why this builder
	Seconds  float64 `json:"seconds"`
	Steps    int     `json:"steps"`
	Cached   int     `json:"cached"` // steps taken from the cache
}

func (o Options) dockerfile() string {
	name := o.Dockerfile
	if name == "" {
		name = "Dockerfile"
	}
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(o.Context, name)
}

// output is the exporter of a layout. A checkout gives its files the time of
// day, so with an epoch the exporter has to set their times, too.
func (o Options) output(layout string) string {
	words := "type=oci,tar=false,dest=" + layout
	if !o.Epoch.IsZero() {
		words += ",rewrite-timestamp=true"
	}
	return words
}

// Check looks whether there is something to build, without side effects.
func Check(ctx context.Context, _ World, opt Options) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	info, err := os.Stat(opt.Context)
	if err != nil {
		return fmt.Errorf("building image %q: reading its context: %w", opt.Name, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("building image %q: its context %s is no folder", opt.Name, opt.Context)
	}
	text, err := os.ReadFile(opt.dockerfile())
	if err != nil {
		return fmt.Errorf("building image %q: reading its Dockerfile (set dockerfile and context in outlast.yaml): %w", opt.Name, err)
	}
	lines := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")))) // BuildKit overlooks a byte order mark, too
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 1 && strings.EqualFold(fields[0], "FROM") {
			return nil
		}
	}
	return fmt.Errorf("building image %q: %s has no FROM line: is it a Dockerfile?", opt.Name, opt.dockerfile())
}

// Build builds one image with a builder that Find chose.
func Build(ctx context.Context, w World, b Builder, opt Options) (Image, error) {
	if err := Check(ctx, w, opt); err != nil {
		return Image{}, err
	}
	img := Image{Name: opt.Name, Platform: opt.Platform, Builder: string(b.Kind), Why: b.Why, Layout: opt.Layout}
	if img.Layout == "" {
		img.Layout = filepath.Join(w.TempDir, "layout-"+strings.Map(fileSafe, opt.Name))
	}
	opt.Observe.Emit(event.Event{Stage: "build", Kind: event.Note, Object: "image " + opt.Name, Message: "built by " + string(b.Kind) + ": " + b.Why})
	if err := os.RemoveAll(img.Layout); err != nil {
		return Image{}, fmt.Errorf("building image %q: clearing its layout: %w", opt.Name, err)
	}
	started := time.Now()
	p := newProgress(opt)
	var err error
	switch b.Kind {
	case Daemon:
		err = b.buildctl(ctx, w, opt, b.address, img.Layout, p)
	case Child:
		err = b.withChild(ctx, w, opt, func(address string) error { return b.buildctl(ctx, w, opt, address, img.Layout, p) })
	case DockerContainer:
		err = b.buildx(ctx, w, opt, []string{"--output", opt.output(img.Layout)}, p)
	case DockerEngine:
		err = b.engine(ctx, w, opt, &img, p)
	default:
		err = fmt.Errorf("no builder: call Find first")
	}
	img.Steps, img.Cached, img.Seconds = len(p.steps), p.cached(), time.Since(started).Seconds()
	if err == nil && img.Archive == "" {
		img.Digest, err = layoutDigest(img.Layout)
	}
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return img, errors.Join(fmt.Errorf("building image %q: %w", opt.Name, err), os.RemoveAll(img.Layout), os.RemoveAll(img.Archive))
	}
	opt.Observe.Emit(event.Event{Stage: "build", Kind: event.Note, Object: "image " + opt.Name,
		Message: fmt.Sprintf("%s (%d steps, %d from the cache)", img.Digest, img.Steps, img.Cached)})
	return img, nil
}

func fileSafe(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
		return r
	}
	return '_'
}

// layoutDigest reads the one image that a layout's index names.
func layoutDigest(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		return "", fmt.Errorf("reading the layout: %w", err)
	}
	var index struct {
		Manifests []struct {
			Digest string `json:"digest"`
		} `json:"manifests"`
	}
	if err := json.Unmarshal(text, &index); err != nil {
		return "", fmt.Errorf("reading the layout's index: %w", err)
	}
	if len(index.Manifests) != 1 || !strings.HasPrefix(index.Manifests[0].Digest, "sha256:") {
		return "", fmt.Errorf("reading the layout's index: it names %d images, want one", len(index.Manifests))
	}
	return index.Manifests[0].Digest, nil
}

// arguments lists the build arguments of a call, sorted: the user's, the
// proxies of the environment (a build has to reach what we reach), and the
// epoch for reproducible images.
func (w World) arguments(opt Options) (args []string) {
	all := map[string]string{}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"} {
		if v := w.getenv(name); v != "" {
			all[name] = v
		}
	}
	if !opt.Epoch.IsZero() {
		all["SOURCE_DATE_EPOCH"] = strconv.FormatInt(opt.Epoch.Unix(), 10)
	}
	maps.Copy(all, opt.Args)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		args = append(args, name+"="+all[name])
	}
	return args
}
