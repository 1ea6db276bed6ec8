// SPDX-License-Identifier: Apache-2.0

package push

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"pgregory.net/rapid"
)

// blob is the path of what a layout holds under a digest.
func blob(layout string, h v1.Hash) string {
	return filepath.Join(layout, "blobs", h.Algorithm, h.Hex)
}

func rewrite(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// parts reads the manifest of a layout: its own hash, and what it names.
func parts(t *testing.T, opt Options) (manifest v1.Hash, m struct {
	Manifests, Layers []v1.Descriptor
	Config            v1.Descriptor
}) {
	t.Helper()
	manifest, err := v1.NewHash(opt.Digest)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(blob(opt.Layout, manifest))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	return manifest, m
}

func TestABrokenLayoutIsRefusedBeforeAnythingIsSent(t *testing.T) {
	shorter := func(b []byte) []byte { return b[:len(b)/2] }
	spaced := func(b []byte) []byte { return append(b, ' ') }
	cases := map[string]struct {
		several bool // platforms
		damage  func(t *testing.T, opt Options)
		said    string
	}{
		"a layer that is not there": {false, func(t *testing.T, opt Options) {
			_, m := parts(t, opt)
			if err := os.Remove(blob(opt.Layout, m.Layers[1].Digest)); err != nil {
				t.Fatal(err)
			}
		}, "no such file"},
		"a layer that ends early": {false, func(t *testing.T, opt Options) {
			_, m := parts(t, opt)
			rewrite(t, blob(opt.Layout, m.Layers[1].Digest), shorter)
		}, "is broken: it has "},
		"a config that ends early": {false, func(t *testing.T, opt Options) {
			_, m := parts(t, opt)
			rewrite(t, blob(opt.Layout, m.Config.Digest), shorter)
		}, "is broken: it has "},
		"a manifest that somebody changed": {false, func(t *testing.T, opt Options) {
			h, _ := parts(t, opt)
			rewrite(t, blob(opt.Layout, h), spaced)
		}, "is broken: it is not what its name says"},
		"a manifest that is not there": {false, func(t *testing.T, opt Options) {
			h, _ := parts(t, opt)
			if err := os.Remove(blob(opt.Layout, h)); err != nil {
				t.Fatal(err)
			}
		}, "no such file"},
		"an index that somebody changed": {true, func(t *testing.T, opt Options) {
			h, _ := parts(t, opt)
			rewrite(t, blob(opt.Layout, h), spaced)
		}, "is broken: it is not what its name says"},
		"the second platform's manifest changed": {true, func(t *testing.T, opt Options) {
			_, m := parts(t, opt)
			rewrite(t, blob(opt.Layout, m.Manifests[1].Digest), spaced)
		}, "is broken: it is not what its name says"},
		"the second platform's layer ends early": {true, func(t *testing.T, opt Options) {
			_, m := parts(t, opt)
			opt.Digest = m.Manifests[1].Digest.String()
			_, m = parts(t, opt)
			rewrite(t, blob(opt.Layout, m.Layers[0].Digest), shorter)
		}, "is broken: it has "},
		"an index.json that is no JSON": {false, func(t *testing.T, opt Options) {
			rewrite(t, filepath.Join(opt.Layout, "index.json"), shorter)
		}, "unexpected end of JSON"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			opt, _ := onDisk(t, 2)
			if c.several {
				opt = platforms(t)
			}
			c.damage(t, opt)
			_, err := Push(t.Context(), w.client(), opt)
			if err == nil || !strings.Contains(err.Error(), `pushing image "web": reading the layout `+opt.Layout+": ") || !strings.Contains(err.Error(), c.said) {
				t.Errorf("error %v, want %q", err, c.said)
			}
			if wrote := w.written(); len(wrote) > 0 {
				t.Errorf("it was sent all the same: %v", wrote)
			}
		})
	}
}

func TestAManifestThatIsNoJSON(t *testing.T) {
	text := []byte("no manifest")
	h, _, err := v1.SHA256(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Dir(blob(dir, h)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(blob(dir, h), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := whole(dir, v1.Descriptor{Digest: h}, true); err == nil || !strings.Contains(err.Error(), "is no manifest") {
		t.Errorf("error: %v", err)
	}
}

// Layers that may not be distributed, and data that a manifest carries itself,
// are not in a layout.
func TestWhatNeedNotBeOnDisk(t *testing.T) {
	absent := v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("0", 64)}
	cases := map[string]struct {
		layer v1.Descriptor
		ok    bool
	}{
		"a layer that may not be distributed": {v1.Descriptor{MediaType: types.DockerForeignLayer, Digest: absent, Size: 1}, true},
		"a blob inside the manifest":          {v1.Descriptor{MediaType: types.OCIConfigJSON, Digest: absent, Size: 2, Data: []byte("{}")}, true},
		"an ordinary layer":                   {v1.Descriptor{MediaType: types.OCILayer, Digest: absent, Size: 1}, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			text, err := json.Marshal(map[string]any{"layers": []v1.Descriptor{c.layer}})
			if err != nil {
				t.Fatal(err)
			}
			h, _, err := v1.SHA256(bytes.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if err := os.MkdirAll(filepath.Dir(blob(dir, h)), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(blob(dir, h), text, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := whole(dir, v1.Descriptor{Digest: h}, true); (err == nil) != c.ok {
				t.Errorf("error: %v", err)
			}
		})
	}
}

// A blob of the right length with other bytes is the registry's to refuse: no
// manifest may ever name it.
func TestFlippedBitsNeverGetAManifest(t *testing.T) {
	w := newWorld(t)
	opt, _ := onDisk(t, 2)
	_, m := parts(t, opt)
	rewrite(t, blob(opt.Layout, m.Layers[1].Digest), func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
	_, err := Push(t.Context(), w.client(), opt)
	if err == nil || !strings.Contains(err.Error(), "DIGEST_INVALID") {
		t.Errorf("error: %v", err)
	}
	if got := w.manifest(t, "abc"); !strings.HasPrefix(got, "404") {
		t.Errorf("the tag is %s", got)
	}
}

// Whatever one byte of a manifest becomes, and wherever it is cut, the image
// is refused or is what it was.
func TestNoDamageToAManifestGoesUnseen(t *testing.T) {
	opt := platforms(t)
	top, m := parts(t, opt)
	manifests := []v1.Hash{top, m.Manifests[0].Digest, m.Manifests[1].Digest}
	rapid.Check(t, func(r *rapid.T) {
		path := blob(opt.Layout, rapid.SampledFrom(manifests).Draw(r, "manifest"))
		good, err := os.ReadFile(path)
		if err != nil {
			r.Fatal(err)
		}
		bad := bytes.Clone(good)
		at := rapid.IntRange(0, len(bad)-1).Draw(r, "at")
		if rapid.Bool().Draw(r, "cut") {
			bad = bad[:at]
		} else {
			bad[at] = rapid.Byte().Draw(r, "byte")
		}
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			r.Fatal(err)
		}
		_, err = read(opt)
		if back := os.WriteFile(path, good, 0o600); back != nil {
			r.Fatal(back)
		}
		if (err == nil) != bytes.Equal(good, bad) {
			r.Errorf("error: %v", err)
		}
	})
}

// A registry may be behind a door that fails at any step of an upload, with
// half of a blob sent.
func TestAnUploadThatFailsInTheMiddle(t *testing.T) {
	status := func(code int) func(http.ResponseWriter, *http.Request) {
		return func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(code) }
	}
	cases := map[string]struct {
		match string
		fail  func(http.ResponseWriter, *http.Request)
	}{
		"500 for the bytes":    {"PATCH /v2/web/blobs/uploads/", status(http.StatusInternalServerError)},
		"502 for the manifest": {"PUT /v2/web/manifests/", status(http.StatusBadGateway)},
		"a connection that drops in the bytes": {"PATCH /v2/web/blobs/uploads/", func(rw http.ResponseWriter, r *http.Request) {
			if _, err := io.CopyN(io.Discard, r.Body, 100); err != nil {
				return
			}
			if conn, _, err := rw.(http.Hijacker).Hijack(); err == nil {
				conn.Close()
			}
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each waits a second before it tries again
			w := startWorld(t)
			failed := make(chan struct{}, 1)
			w.hook = func(rw http.ResponseWriter, r *http.Request, _ int) bool {
				if !strings.HasPrefix(r.Method+" "+r.URL.Path, c.match) {
					return false
				}
				select {
				case failed <- struct{}{}:
					c.fail(rw, r)
					return true
				default:
					return false
				}
			}
			opt, img := onDisk(t, 2)
			ref, err := Push(t.Context(), w.client(), opt)
			if err != nil || w.manifest(t, "abc") != ref.Digest || ref.Pushed != 3 || len(failed) != 1 {
				t.Fatalf("%+v, %v, %d failures", ref, err, len(failed))
			}
			layers, err := img.Layers()
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range layers {
				digest, err := l.Digest()
				if err != nil {
					t.Fatal(err)
				}
				if got, _, err := v1.SHA256(bytes.NewReader(w.blob(t, digest))); err != nil || got != digest {
					t.Errorf("the registry holds %s as %s (%v)", got, digest, err)
				}
			}
		})
	}
}

// Each code costs a pause of a second; they wait side by side.
func TestCodesThatAreTriedAgain(t *testing.T) {
	opt := Options{Name: "web", Repository: "web", Tag: "abc"}
	var all sync.WaitGroup
	for _, code := range []int{408, 429, 500, 502, 503, 504} {
		w := newWorld(t)
		w.hook = func(rw http.ResponseWriter, r *http.Request, _ int) bool {
			if r.Method != http.MethodHead {
				return false
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.heads++; w.heads == 1 {
				rw.WriteHeader(code)
			}
			return w.heads == 1
		}
		all.Go(func() {
			if _, ok, err := Lookup(t.Context(), w.client(), opt); ok || err != nil {
				t.Errorf("%d: %t, %v", code, ok, err)
			}
		})
	}
	all.Wait()
}

// blob downloads one the way a kubelet does.
func (w *world) blob(t *testing.T, digest v1.Hash) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("%s/v2/web/blobs/%s", w.registry.URL, digest), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("AWS", w.password())
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
