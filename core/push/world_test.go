// SPDX-License-Identifier: Apache-2.0

package push

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"go.uber.org/goleak"

	"github.com/outlast-ci/outlast/core/event"
)

func TestMain(m *testing.M) {
	// net/http keeps connections of the default transport for later use.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

// world is a registry with ECR's API in front of it, one repository called web.
// Its passwords are secret-1, secret-2, ...: the newest is the one that counts.
type world struct {
	t        *testing.T
	registry *httptest.Server
	api      *httptest.Server

	mu       sync.Mutex
	tokens   int
	life     time.Duration
	writes   []string // methods and paths that change the registry
	lookups  int
	heads    int
	ecrError map[string]string                                                 // operation: error code
	hook     func(w http.ResponseWriter, r *http.Request, n int) (answer bool) // before the registry; n counts requests
	n        int
	told     []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", t.TempDir()) // not this machine's logins
	return startWorld(t)
}

// startWorld sets no variable, which parallel tests must not.
func startWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, life: 12 * time.Hour, ecrError: map[string]string{}}
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	w.registry = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.serve(images, rw, r) }))
	w.api = httptest.NewServer(http.HandlerFunc(w.serveECR))
	t.Cleanup(w.registry.Close)
	t.Cleanup(w.api.Close)
	return w
}

// password is the one that counts.
func (w *world) password() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprintf("secret-%d", w.tokens)
}

func (w *world) host() string { return strings.TrimPrefix(w.registry.URL, "http://") }

func (w *world) serve(images http.Handler, rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	w.n++
	n, hook, locked, want := w.n, w.hook, w.tokens > 0, fmt.Sprintf("secret-%d", w.tokens)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.writes = append(w.writes, r.Method+" "+r.URL.Path)
	}
	w.mu.Unlock()
	if _, password, _ := r.BasicAuth(); locked && password != want {
		rw.Header().Set("WWW-Authenticate", `Basic realm="ecr"`)
		rw.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(rw, `{"errors":[{"code":"UNAUTHORIZED","message":"Your authorization token has expired. Reauthenticate and try again."}]}`)
		return
	}
	if hook != nil && hook(rw, r, n) {
		return
	}
	images.ServeHTTP(rw, r)
}

func (w *world) serveECR(rw http.ResponseWriter, r *http.Request) {
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	w.mu.Lock()
	defer w.mu.Unlock()
	rw.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if code := w.ecrError[op]; code != "" {
		rw.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(rw, `{"__type":%q,"message":"said ECR"}`, code)
		return
	}
	switch op {
	case "GetAuthorizationToken":
		w.tokens++
		token := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "AWS:secret-%d", w.tokens))
		fmt.Fprintf(rw, `{"authorizationData":[{"authorizationToken":%q,"expiresAt":%d,"proxyEndpoint":%q}]}`, token, time.Now().Add(w.life).Unix(), w.registry.URL)
	case "DescribeRepositories":
		w.lookups++
		var in struct{ RepositoryNames []string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || len(in.RepositoryNames) != 1 {
			w.t.Errorf("DescribeRepositories: %v %v", in, err)
		}
		if in.RepositoryNames[0] != "web" {
			rw.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(rw, `{"__type":"RepositoryNotFoundException","message":"no such repository"}`)
			return
		}
		fmt.Fprintf(rw, `{"repositories":[{"repositoryUri":%q}]}`, w.host()+"/web")
	default:
		w.t.Errorf("ECR was asked for %q", op)
	}
}

func (w *world) client() ECR {
	return NewECR(aws.Config{Region: "cn-northwest-1", BaseEndpoint: aws.String(w.api.URL), Retryer: retryConnections,
		Credentials: credentials.NewStaticCredentialsProvider("AKIA", "secret-key", "")})
}

// retryConnections tries again only when a connection broke: the SDK closes a
// request's body while net/http may still look whether there is more of it,
// which now and then ends the connection (github.com/aws/aws-sdk-go-v2/issues/2737).
func retryConnections() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.Retryables = []retry.IsErrorRetryable{retry.RetryableConnectionError{}}
	})
}

// written lists what changed the registry since the last call.
func (w *world) written() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.writes
	w.writes = nil
	return list
}

func (w *world) observe(e event.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, e.Object+": "+e.Message)
}

// onDisk writes an image as a layout.
func onDisk(t *testing.T, layers int64) (Options, v1.Image) {
	t.Helper()
	img, err := random.Image(2000, layers)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	l, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.AppendImage(img); err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return Options{Name: "web", Layout: dir, Digest: digest.String(), Repository: "web", Tag: "abc"}, img
}

// platforms writes an index of two images.
func platforms(t *testing.T) Options {
	t.Helper()
	var index v1.ImageIndex = empty.Index
	for _, arch := range []string{"amd64", "arm64"} {
		img, err := random.Image(500, 1)
		if err != nil {
			t.Fatal(err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
	}
	dir := t.TempDir()
	l, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.AppendIndex(index); err != nil {
		t.Fatal(err)
	}
	digest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return Options{Name: "web", Layout: dir, Digest: digest.String(), Repository: "web", Tag: "abc"}
}

func archive(t *testing.T) Options {
	t.Helper()
	opt, img := onDisk(t, 2)
	path := filepath.Join(t.TempDir(), "image.tar")
	tag, err := name.NewTag("web:local")
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(path, tag, img); err != nil {
		t.Fatal(err)
	}
	return Options{Name: "web", Archive: path, Repository: "web", Tag: opt.Tag}
}

// manifest asks the registry for a tag the way anybody does.
func (w *world) manifest(t *testing.T, ref string) (digest string) {
	t.Helper()
	u, err := url.Parse(w.registry.URL)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodHead, u.JoinPath("/v2/web/manifests/", ref).String(), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("AWS", w.password())
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return res.Status
	}
	return res.Header.Get("Docker-Content-Digest")
}

func corrupt(t *testing.T, opt Options) {
	t.Helper()
	blobs, err := filepath.Glob(filepath.Join(opt.Layout, "blobs/sha256/*"))
	if err != nil || len(blobs) == 0 {
		t.Fatalf("%v %v", blobs, err)
	}
	for _, b := range blobs { // all but the manifest
		if !strings.HasSuffix(b, strings.TrimPrefix(opt.Digest, "sha256:")) {
			if err := os.WriteFile(b, []byte("rot"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
