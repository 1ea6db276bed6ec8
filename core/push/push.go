// SPDX-License-Identifier: Apache-2.0

// Package push takes an image from disk to a registry: an OCI layout (or a
// docker archive) goes in, and the only reference that later stages may use
// comes out, repository@digest. Amazon ECR is the main case, in any partition:
// the registry's address and the login come from ECR's own answers. Any other
// OCI registry works with docker's stored credentials.
package push

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/outlast-ci/outlast/core/event"
)

// Options say what to push where.
type Options struct {
	Name       string // in messages and in Ref; as the manifests spell it
	Layout     string // OCI layout
	Archive    string // docker archive, when there is no layout
	Digest     string // of the image in the layout
	Repository string // "web", "team/web": an ECR repository; "registry.example.com/team/web": any registry's
	Tag        string // one tag besides the digest
	Reuse      bool   // a Tag that is there already is taken as it is: tags that name a commit
	UserAgent  string
	CA         *x509.CertPool // trusted authorities; nil: the system's
	Learn      func(string)   // told of each password of the registry, so that it can be hidden; may be nil
	Observe    event.Func
}

// ContentTag is the tag of an image whose tree differs from its commit, or has none:
// it tells the content, by its digest.
func ContentTag(commit, digest string) string {
	_, sum, _ := strings.Cut(digest, ":")
	sum = sum[:min(12, len(sum))]
	if commit == "" {
		return "content-" + sum
	}
	return commit[:min(12, len(commit))] + "-dirty-" + sum
}

// Ref is a pushed image. It survives JSON.
type Ref struct {
	Name       string  `json:"name"`
	Repository string  `json:"repository"` // registry/path
	Digest     string  `json:"digest"`
	Tag        string  `json:"tag"`
	Reused     bool    `json:"reused"`        // the tag was there already; nothing was pushed
	Pushed     int     `json:"blobsUploaded"` // layers and configs that were not there yet
	Bytes      int64   `json:"bytesUploaded"`
	Seconds    float64 `json:"seconds"`
}

// String is the reference to deploy: repository@digest.
func (r Ref) String() string { return r.Repository + "@" + r.Digest }

// AuthError is a login that failed or a permission that lacks.
type AuthError struct{ Err error }

func (e *AuthError) Error() string { return e.Err.Error() }
func (e *AuthError) Unwrap() error { return e.Err }

// Check looks whether a push could work, without one: the login is fetched and
// the repository looked up.
func Check(ctx context.Context, client ECR, opt Options) error {
	_, err := open(ctx, client, opt)
	return err
}

// Lookup tells whether the tag is in the registry already, and as what.
func Lookup(ctx context.Context, client ECR, opt Options) (Ref, bool, error) {
	repo, err := open(ctx, client, opt)
	if err != nil {
		return Ref{}, false, err
	}
	return repo.lookup(ctx, opt)
}

// Push pushes the image, or takes the one that is there.
func Push(ctx context.Context, client ECR, opt Options) (Ref, error) {
	started := time.Now()
	if opt.Tag == "" {
		return Ref{}, fmt.Errorf("pushing image %q: no tag is given", opt.Name)
	}
	repo, err := open(ctx, client, opt)
	if err != nil {
		return Ref{}, err
	}
	image, err := read(opt)
	if err != nil {
		return Ref{}, fmt.Errorf("pushing image %q: %w", opt.Name, err)
	}
	there, found, err := repo.lookup(ctx, opt)
	if err != nil {
		return Ref{}, err
	}
	if found && (opt.Reuse || there.Digest == image.digest) {
		there.Reused, there.Seconds = true, time.Since(started).Seconds()
		opt.note("%s is there already as %s: nothing is pushed", opt.Tag, there)
		return there, nil
	}
	ref := Ref{Name: opt.Name, Repository: repo.name.Name(), Digest: image.digest, Tag: opt.Tag}
	counter := &counter{next: repo.transport}
	if err := repo.write(ctx, image, opt, counter); err != nil {
		return Ref{}, fmt.Errorf("pushing image %q: %w", opt.Name, explain(err, repo.name.Name()+":"+opt.Tag, found))
	}
	ref.Pushed, ref.Bytes, ref.Seconds = counter.totals(time.Since(started))
	opt.note("%s: uploaded %d blob(s), %.1f MB", ref, ref.Pushed, float64(ref.Bytes)/1e6)
	return ref, nil
}

func (opt Options) note(format string, args ...any) {
	opt.Observe.Emit(event.Event{Stage: "push", Kind: event.Note, Object: "image " + opt.Name, Message: fmt.Sprintf(format, args...)})
}

// image is what is on disk: a plain image, or an index of several.
type image struct {
	digest string
	plain  v1.Image
	index  v1.ImageIndex
}

func read(opt Options) (image, error) {
	if opt.Archive != "" {
		img, err := tarball.ImageFromPath(opt.Archive, nil)
		if err != nil {
			return image{}, fmt.Errorf("reading the archive %s: %w", opt.Archive, err)
		}
		digest, err := img.Digest()
		return image{digest: digest.String(), plain: img}, err
	}
	digest, err := v1.NewHash(opt.Digest)
	if err != nil {
		return image{}, fmt.Errorf("reading the digest: %w", err)
	}
	top, err := layout.ImageIndexFromPath(opt.Layout)
	if err != nil {
		return image{}, fmt.Errorf("reading the layout %s: %w", opt.Layout, err)
	}
	manifest, err := top.IndexManifest()
	if err != nil {
		return image{}, fmt.Errorf("reading the layout %s: %w", opt.Layout, err)
	}
	for _, d := range manifest.Manifests {
		if d.Digest != digest {
			continue
		}
		if err := whole(opt.Layout, d, true); err != nil {
			return image{}, fmt.Errorf("reading the layout %s: %w", opt.Layout, err)
		}
		out := image{digest: opt.Digest}
		if d.MediaType.IsIndex() {
			out.index, err = top.ImageIndex(digest)
		} else {
			out.plain, err = top.Image(digest)
		}
		return out, err
	}
	return image{}, fmt.Errorf("reading the layout %s: it does not hold %s", opt.Layout, opt.Digest)
}

// whole proves, before the first byte is sent, that the manifests are what
// their digests say and that the blobs are there at full length. Bits that
// flipped in a blob are refused by the registry, which hashes it anyway.
func whole(dir string, d v1.Descriptor, manifest bool) error {
	path := filepath.Join(dir, "blobs", d.Digest.Algorithm, d.Digest.Hex)
	if !manifest {
		info, err := os.Stat(path)
		if err == nil && info.Size() != d.Size {
			err = fmt.Errorf("%s is broken: it has %d bytes, not %d", path, info.Size(), d.Size)
		}
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if got, _, err := v1.SHA256(bytes.NewReader(text)); err != nil || got != d.Digest {
		return fmt.Errorf("%s is broken: it is not what its name says", path)
	}
	var m struct {
		Manifests, Layers []v1.Descriptor
		Config            *v1.Descriptor
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return fmt.Errorf("%s is no manifest: %w", path, err)
	}
	if m.Config != nil {
		m.Layers = append(m.Layers, *m.Config)
	}
	for _, l := range m.Layers {
		if l.MediaType.IsDistributable() && len(l.Data) == 0 { // others need not be on disk
			err = errors.Join(err, whole(dir, l, false))
		}
	}
	for _, child := range m.Manifests {
		err = errors.Join(err, whole(dir, child, true))
	}
	return err
}

// repository is one repository with a way in.
type repository struct {
	name      name.Repository
	auth      authenticator
	transport http.RoundTripper
	agent     string
}

func (r repository) options(ctx context.Context, t http.RoundTripper) []remote.Option {
	return []remote.Option{remote.WithContext(ctx), remote.WithAuth(r.auth), remote.WithTransport(t), remote.WithJobs(8), remote.WithUserAgent(r.agent),
		remote.WithRetryBackoff(remote.Backoff{Duration: time.Second, Factor: 2, Jitter: 0.2, Steps: 6}),
		remote.WithRetryStatusCodes(http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout)}
}

func (r repository) lookup(ctx context.Context, opt Options) (Ref, bool, error) {
	if opt.Tag == "" {
		return Ref{}, false, nil
	}
	d, err := remote.Head(r.name.Tag(opt.Tag), r.options(ctx, r.transport)...)
	var status *transport.Error
	if errors.As(err, &status) && status.StatusCode == http.StatusNotFound {
		return Ref{}, false, nil
	}
	if err != nil {
		return Ref{}, false, fmt.Errorf("looking for image %q: %w", opt.Name, explain(err, r.name.Name()+":"+opt.Tag, false))
	}
	return Ref{Name: opt.Name, Repository: r.name.Name(), Digest: d.Digest.String(), Tag: opt.Tag, Reused: true}, true, nil
}

// write uploads what is missing. ECR may not know a blob for a moment after it
// took it: the manifest is then tried once more.
func (r repository) write(ctx context.Context, img image, opt Options, t http.RoundTripper) error {
	tag := r.name.Tag(opt.Tag)
	once := func() error {
		if img.index != nil {
			return remote.WriteIndex(tag, img.index, r.options(ctx, t)...)
		}
		return remote.Write(tag, img.plain, r.options(ctx, t)...)
	}
	done := make(chan error, 1)
	go func() {
		err := once()
		var status *transport.Error
		if errors.As(err, &status) && strings.Contains(status.Error(), "BLOB_UNKNOWN") {
			err = once()
		}
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	// The library ends at once, too, unless it sleeps between two tries, which may
	// take longer than a CI waits for a cancelled job.
	select {
	case err := <-done:
		return err
	case <-time.After(time.Second):
		return context.Cause(ctx)
	}
}

// explain sorts a registry's errors.
func explain(err error, ref string, tagged bool) error {
	var status *transport.Error
	var request *url.Error
	if errors.As(err, &request) { // the address of an upload may be signed
		request.URL, _, _ = strings.Cut(request.URL, "?")
	}
	if !errors.As(err, &status) {
		return err
	}
	codes := status.Error()
	switch {
	case status.StatusCode == http.StatusUnauthorized || status.StatusCode == http.StatusForbidden:
		return &AuthError{fmt.Errorf("%s: the registry refuses the login; may the identity push there (ecr:PutImage, ecr:InitiateLayerUpload, ecr:UploadLayerPart, ecr:CompleteLayerUpload, ecr:BatchCheckLayerAvailability)? %w", ref, err)}
	case strings.Contains(codes, "TAG_INVALID") || strings.Contains(codes, "immutable") || strings.Contains(codes, "ImageTagAlreadyExists"):
		return fmt.Errorf("%s: the tag is immutable and names another image already; nothing was overwritten; push another tag: %w", ref, err)
	case strings.Contains(codes, "NAME_UNKNOWN"):
		return fmt.Errorf("%s: the repository does not exist: %w", ref, err)
	case tagged:
		return fmt.Errorf("%s (the tag names another image already): %w", ref, err)
	}
	return fmt.Errorf("%s: %w", ref, err)
}
