// SPDX-License-Identifier: Apache-2.0

package ecr

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	"github.com/sirupsen/logrus"

	// The driver registers itself.
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
)

// mirrorPrefix begins the names of repositories that anybody may pull from.
const mirrorPrefix = "mirror/"

// Repositories is what the registry asks of its region.
type Repositories interface {
	// Lookup tells whether a repository exists and whether its tags may move.
	Lookup(name string) (immutable, ok bool)
	// Pushed notes that a manifest was pushed.
	Pushed(name, digest string)
}

// Registry is the registry of one account and region.
type Registry struct {
	Region, Account string
	Tokens          Tokens
	Repositories    Repositories
	Log             func(string)

	inner http.Handler
	close func() error
}

// NewRegistry opens the registry whose blobs are in dir.
func NewRegistry(dir string, r Registry) (*Registry, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("opening registry: %w", err)
	}
	cfg := &configuration.Configuration{Storage: configuration.Storage{
		"filesystem":  configuration.Parameters{"rootdirectory": dir},
		"delete":      configuration.Parameters{"enabled": true},
		"maintenance": configuration.Parameters{"uploadpurging": map[any]any{"enabled": false}},
	}}
	cfg.HTTP.RelativeURLs = true
	cfg.Log.AccessLog.Disabled = true
	cfg.Catalog.MaxEntries = 1000
	// The registry logs to logrus' one standard logger and takes no other.
	logrus.SetLevel(logrus.ErrorLevel)
	logrus.SetOutput(lines(r.Log))
	app := handlers.NewApp(context.Background(), cfg)
	r.inner, r.close = app, app.Shutdown
	return &r, nil
}

// Close ends the registry's background work.
func (r *Registry) Close() error { return r.close() }

// lines is a writer that passes each write on as a line.
type lines func(string)

func (l lines) Write(p []byte) (int, error) {
	if l != nil {
		l("registry: " + strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

// ServeHTTP is ECR's front: who may come in, which repositories there are, and
// whether a tag may move.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	name, kind, ref := split(req.URL.Path)
	read := req.Method == http.MethodGet || req.Method == http.MethodHead
	if !(read && strings.HasPrefix(name, mirrorPrefix)) && !r.authorize(w, req) {
		return
	}
	if name == "" { // the API's root, or the catalog
		r.inner.ServeHTTP(w, strip(req))
		return
	}
	immutable, ok := r.Repositories.Lookup(name)
	if !ok {
		refuse(w, http.StatusNotFound, "NAME_UNKNOWN", missingText(name, r.Account))
		return
	}
	put := req.Method == http.MethodPut && kind == "manifests"
	if put && immutable && !strings.Contains(ref, ":") {
		if _, taken := r.manifest(name, ref); taken {
			// The real one refuses the same digest, too.
			refuse(w, http.StatusBadRequest, "TAG_INVALID", "The image tag '"+ref+"' already exists in the '"+name+
				"' repository and cannot be overwritten because the repository is immutable.")
			return
		}
	}
	if req.Method == http.MethodDelete && kind == "manifests" {
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "Images are deleted with BatchDeleteImage.")
		return
	}
	rec := &statusWriter{ResponseWriter: w}
	r.inner.ServeHTTP(rec, strip(req))
	if digest := w.Header().Get("Docker-Content-Digest"); put && rec.status == http.StatusCreated {
		r.Repositories.Pushed(name, digest)
	}
}

// strip takes away what the inner registry must not see: the token, and the
// wish to mount a blob of another repository, which ECR answers like a plain upload.
func strip(req *http.Request) *http.Request {
	out := req.Clone(req.Context())
	out.Header.Del("Authorization")
	if q := out.URL.Query(); q.Has("mount") {
		q.Del("mount")
		q.Del("from")
		out.URL.RawQuery = q.Encode()
	}
	return out
}

// authorize checks the token and refuses in ECR's words.
func (r *Registry) authorize(w http.ResponseWriter, req *http.Request) bool {
	user, token, ok := req.BasicAuth()
	if ok && user == "AWS" {
		err := r.Tokens.check(token, r.Region)
		if err == nil {
			return true
		}
		if err == errExpired {
			refuse(w, http.StatusForbidden, "DENIED", err.Error())
			return false
		}
		r.challenge(w, req, err.Error())
		return false
	}
	r.challenge(w, req, "Not Authorized")
	return false
}

func (r *Registry) challenge(w http.ResponseWriter, req *http.Request, why string) {
	w.Header().Set("Www-Authenticate", fmt.Sprintf(`Basic realm="http://%s/",service="ecr"`, req.Host))
	refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", why)
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []any{map[string]string{"code": code, "message": message}}})
}

// split takes /v2/NAME/manifests/REF apart; all are "" for the root and the catalog.
func split(path string) (name, kind, ref string) {
	m := regexp.MustCompile(`^/v2/(.+)/(manifests|blobs|tags|referrers)/(.*)$`).FindStringSubmatch(path)
	if m == nil {
		return "", "", ""
	}
	// The greedy name must not swallow "blobs/uploads".
	if i := strings.Index(path, "/blobs/uploads"); m[2] == "blobs" && i >= 0 {
		return strings.TrimPrefix(path[:i], "/v2/"), "blobs", "uploads"
	}
	return m[1], m[2], m[3]
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (s *statusWriter) WriteHeader(code int) {
	s.status = code
	s.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController reach the writer.
func (s *statusWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// stored is a manifest in the registry.
type stored struct {
	digest, mediaType string
	body              []byte
	size              int64 // of config and layers, as ECR counts
}

// buffer is a response kept in memory.
type buffer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (b *buffer) Header() http.Header         { return b.header }
func (b *buffer) Write(p []byte) (int, error) { return b.body.Write(p) }
func (b *buffer) WriteHeader(status int)      { b.status = status }

// ask sends a request to the inner registry.
func (r *Registry) ask(path string) *buffer {
	req := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: path}, RequestURI: path, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Accept": {
			"application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json",
			"application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.distribution.manifest.list.v2+json",
		}}, Host: "registry", Body: http.NoBody}
	b := &buffer{header: http.Header{}, status: http.StatusOK}
	r.inner.ServeHTTP(b, req)
	return b
}

// manifest reads a manifest by tag or digest.
func (r *Registry) manifest(name, ref string) (stored, bool) {
	b := r.ask("/v2/" + name + "/manifests/" + ref)
	if b.status != http.StatusOK {
		return stored{}, false
	}
	s := stored{digest: b.header.Get("Docker-Content-Digest"), mediaType: b.header.Get("Content-Type"), body: b.body.Bytes()}
	type part struct {
		Size int64 `json:"size"`
	}
	var m struct {
		Config part   `json:"config"`
		Layers []part `json:"layers"`
	}
	if json.Unmarshal(s.body, &m) == nil {
		s.size = m.Config.Size
		for _, l := range m.Layers {
			s.size += l.Size
		}
	}
	return s, true
}

// tags lists the tags of each digest.
func (r *Registry) tags(name string) map[string][]string {
	b := r.ask("/v2/" + name + "/tags/list")
	var list struct {
		Tags []string `json:"tags"`
	}
	_ = json.NewDecoder(io.LimitReader(&b.body, 1<<20)).Decode(&list) // a repository without images has no list
	out := map[string][]string{}
	slices.Sort(list.Tags)
	for _, t := range list.Tags {
		if m, ok := r.manifest(name, t); ok {
			out[m.digest] = append(out[m.digest], t)
		}
	}
	return out
}
