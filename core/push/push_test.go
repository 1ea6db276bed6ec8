// SPDX-License-Identifier: Apache-2.0

package push

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnImageOnDiskGetsToTheRegistry(t *testing.T) {
	layoutOnDisk, _ := onDisk(t, 3)
	cases := map[string]struct {
		opt    Options
		pushed int // blobs: layers and config
	}{
		"a layout":                        {layoutOnDisk, 4},
		"a layout with several platforms": {platforms(t), 4},
		"an archive of docker's":          {archive(t), 3},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.opt.Observe = w.observe
			ref, err := Push(t.Context(), w.client(), c.opt)
			if err != nil {
				t.Fatal(err)
			}
			if ref.Repository != w.host()+"/web" || ref.Tag != "abc" || ref.Reused || ref.Pushed != c.pushed || ref.Bytes < 500 || c.opt.Digest != "" && ref.Digest != c.opt.Digest {
				t.Errorf("%+v", ref)
			}
			if ref.String() != w.host()+"/web@"+ref.Digest {
				t.Errorf("reference %s", ref)
			}
			for _, by := range []string{"abc", ref.Digest} {
				if got := w.manifest(t, by); got != ref.Digest {
					t.Errorf("%s is %s in the registry, want %s", by, got, ref.Digest)
				}
			}
			if len(w.told) == 0 || !strings.Contains(w.told[0], fmt.Sprintf("image web: %s: uploaded %d blob(s)", ref, c.pushed)) {
				t.Errorf("told: %q", w.told)
			}
			w.written()
			again, err := Push(t.Context(), w.client(), c.opt)
			if err != nil || !again.Reused || again.Digest != ref.Digest || again.Pushed != 0 {
				t.Errorf("again: %+v, %v", again, err)
			}
			if wrote := w.written(); len(wrote) > 0 {
				t.Errorf("the second push wrote %v", wrote)
			}
		})
	}
}

func TestAnotherTagOfTheSameImageUploadsNothing(t *testing.T) {
	w := newWorld(t)
	first, _ := onDisk(t, 1)
	if _, err := Push(t.Context(), w.client(), first); err != nil {
		t.Fatal(err)
	}
	first.Tag, first.Observe = "other", w.observe
	if _, err := Push(t.Context(), w.client(), first); err != nil {
		t.Fatal(err)
	}
	if len(w.told) != 1 || !strings.Contains(w.told[0], ": uploaded 0 blob(s), 0.0 MB") {
		t.Errorf("told: %q", w.told)
	}
}

func TestATagThatIsThere(t *testing.T) {
	w := newWorld(t)
	first, _ := onDisk(t, 1)
	there, err := Push(t.Context(), w.client(), first)
	if err != nil {
		t.Fatal(err)
	}
	second, _ := onDisk(t, 1)
	w.written()

	if _, ok, err := Lookup(t.Context(), w.client(), Options{Name: "web", Repository: "web", Tag: "absent"}); ok || err != nil {
		t.Errorf("a tag that is not there: %t, %v", ok, err)
	}
	if _, ok, err := Lookup(t.Context(), w.client(), Options{Name: "web", Repository: "web"}); ok || err != nil {
		t.Errorf("no tag: %t, %v", ok, err)
	}
	if ref, ok, err := Lookup(t.Context(), w.client(), second); !ok || err != nil || ref.Digest != there.Digest || !ref.Reused || ref.Repository != there.Repository {
		t.Errorf("look-up: %+v, %t, %v", ref, ok, err)
	}

	second.Reuse = true
	reused, err := Push(t.Context(), w.client(), second)
	if err != nil || !reused.Reused || reused.Digest != there.Digest {
		t.Errorf("a tag that names a commit is reused: %+v, %v", reused, err)
	}
	if wrote := w.written(); len(wrote) > 0 {
		t.Errorf("reusing wrote %v", wrote)
	}

	second.Reuse = false
	moved, err := Push(t.Context(), w.client(), second)
	if err != nil || moved.Reused || moved.Digest != second.Digest || w.manifest(t, "abc") != second.Digest {
		t.Errorf("a tag that may move moves: %+v, %v", moved, err)
	}
}

// refuse answers writes of manifests as a registry does.
func refuse(status int, code, message string) func(http.ResponseWriter, *http.Request, int) bool {
	return func(rw http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/manifests/") {
			return false
		}
		rw.WriteHeader(status)
		fmt.Fprintf(rw, `{"errors":[{"code":%q,"message":%q}]}`, code, message)
		return true
	}
}

func TestWhatARegistryRefuses(t *testing.T) {
	cases := map[string]struct {
		hook func(http.ResponseWriter, *http.Request, int) bool
		auth bool
		said []string
	}{
		"an immutable tag": {refuse(http.StatusBadRequest, "TAG_INVALID", "The image tag 'abc' already exists in the 'web' repository and cannot be overwritten because the repository is immutable."), false,
			[]string{`pushing image "web"`, "/web:abc: the tag is immutable and names another image already; nothing was overwritten; push another tag"}},
		"an immutable tag, said by its code alone": {refuse(http.StatusBadRequest, "TAG_INVALID", "no"), false, []string{"the tag is immutable"}},
		"an immutable tag of Harbor's":             {refuse(http.StatusPreconditionFailed, "PRECONDITION", "Failed to process request due to 'web:abc' configured as immutable."), false, []string{"the tag is immutable"}},
		"an immutable tag, as ECR's API spells it": {refuse(http.StatusBadRequest, "ImageTagAlreadyExistsException", "no"), false, []string{"the tag is immutable"}},
		"a push that is not allowed":               {refuse(http.StatusForbidden, "DENIED", "not authorized to perform: ecr:PutImage"), true, []string{"the registry refuses the login", "ecr:PutImage"}},
		"a repository that is gone":                {refuse(http.StatusNotFound, "NAME_UNKNOWN", "no such repository"), false, []string{"the repository does not exist"}},
		"another error":                            {refuse(http.StatusBadRequest, "MANIFEST_INVALID", "said the registry"), false, []string{"/web:abc: ", "said the registry"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.hook = c.hook
			opt, _ := onDisk(t, 1)
			_, err := Push(t.Context(), w.client(), opt)
			var auth *AuthError
			if err == nil || errors.As(err, &auth) != c.auth {
				t.Fatalf("error %v, about the login: %t", err, errors.As(err, &auth))
			}
			for _, want := range c.said {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "secret-") {
				t.Errorf("a secret is in %q", err)
			}
		})
	}
}

func TestHiccupsOfARegistryAreOvercome(t *testing.T) {
	times := func(n int, match string, fail func(http.ResponseWriter)) func(http.ResponseWriter, *http.Request, int) bool {
		var mu sync.Mutex
		return func(rw http.ResponseWriter, r *http.Request, _ int) bool {
			mu.Lock()
			defer mu.Unlock()
			if n == 0 || !strings.HasPrefix(r.Method+" "+r.URL.Path, match) {
				return false
			}
			n--
			fail(rw)
			return true
		}
	}
	cases := map[string]func(http.ResponseWriter, *http.Request, int) bool{
		"503 for an upload": times(1, "POST /v2/web/blobs/uploads/", func(rw http.ResponseWriter) { rw.WriteHeader(http.StatusServiceUnavailable) }),
		"429 for a look-up": times(1, "HEAD /v2/web/manifests/abc", func(rw http.ResponseWriter) { rw.WriteHeader(http.StatusTooManyRequests) }),
		"a blob that is not known yet when its manifest comes": times(1, "PUT /v2/web/manifests/", func(rw http.ResponseWriter) {
			rw.WriteHeader(http.StatusNotFound)
			fmt.Fprint(rw, `{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown to registry"}]}`)
		}),
		"a connection that drops": times(1, "POST /v2/web/blobs/uploads/", func(rw http.ResponseWriter) {
			if conn, _, err := rw.(http.Hijacker).Hijack(); err == nil {
				conn.Close()
			}
		}),
	}
	for name, hook := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := startWorld(t)
			w.hook = hook
			opt, _ := onDisk(t, 1)
			ref, err := Push(t.Context(), w.client(), opt)
			if err != nil || w.manifest(t, "abc") != ref.Digest {
				t.Errorf("%+v, %v", ref, err)
			}
		})
	}
}

func TestAnImageThatCannotBeReadTouchesNothing(t *testing.T) {
	good, _ := onDisk(t, 1)
	rotten, _ := onDisk(t, 1)
	corrupt(t, rotten)
	other := good
	other.Digest = "sha256:" + strings.Repeat("0", 64)
	noDigest := good
	noDigest.Digest = "abc"
	absent := good
	absent.Layout = filepath.Join(t.TempDir(), "absent")
	noTag := good
	noTag.Tag = ""
	cases := map[string]struct {
		opt  Options
		said string
	}{
		"a layout that is not there":       {absent, "reading the layout"},
		"a digest that it does not hold":   {other, "it does not hold sha256:0000"},
		"a digest that is none":            {noDigest, "reading the digest"},
		"an archive that is not there":     {Options{Name: "web", Archive: "/absent.tar", Repository: "web", Tag: "abc"}, "reading the archive /absent.tar"},
		"no tag":                           {noTag, "no tag is given"},
		"blobs that are not what they say": {rotten, "is broken: it has 3 bytes, not "},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			_, err := Push(t.Context(), w.client(), c.opt)
			if err == nil || !strings.Contains(err.Error(), `image "web"`) || !strings.Contains(err.Error(), c.said) {
				t.Errorf("error: %v", err)
			}
			if wrote := w.written(); len(wrote) > 0 {
				t.Errorf("it wrote %v", wrote)
			}
		})
	}
}

func TestACancelledPushEnds(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	w.hook = func(_ http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Method == http.MethodPost {
			cancel()
		}
		return false
	}
	opt, _ := onDisk(t, 1)
	began := time.Now()
	if _, err := Push(ctx, w.client(), opt); !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v", err)
	}
	if time.Since(began) > 10*time.Second {
		t.Errorf("it went on for %s", time.Since(began))
	}
}

// The library sleeps between two tries without looking at the context; a
// cancelled job has no time for that.
func TestAPushIsCancelledInThePauseBeforeAnotherTry(t *testing.T) {
	for range 5 {
		took, err := cancelledPush(t)
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		// Who sleeps takes two seconds, always; who does not may take them on a machine that stands still.
		if took < 1400*time.Millisecond {
			return
		}
		t.Logf("it took %s", took)
	}
	t.Error("it never ended within the pause")
}

// cancelledPush is one that is cancelled in a pause of two seconds; took is the time from then to its end.
func cancelledPush(t *testing.T) (took time.Duration, err error) {
	t.Helper()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	posts, cancelled := 0, time.Time{}
	w.hook = func(rw http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Method != http.MethodPost {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		if posts++; posts == 4 { // of each blob the second; two seconds' pause follow
			cancelled = time.Now()
			cancel()
		}
		rw.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	opt, _ := onDisk(t, 1)
	_, err = Push(ctx, w.client(), opt)
	mu.Lock()
	took = time.Since(cancelled)
	mu.Unlock()
	time.Sleep(2 * time.Second) // until the library has woken up
	return took, err
}

func TestTheNameOfARegistry(t *testing.T) {
	cases := map[string]struct {
		host, path string
		ecr        bool
	}{
		"web":                           {"", "web", true},
		"team/web":                      {"", "team/web", true},
		"localhost/web":                 {"localhost", "web", false},
		"localhost:5000/web":            {"localhost:5000", "web", false},
		"ghcr.io/acme/web":              {"ghcr.io", "acme/web", false},
		"1.dkr.ecr.x.amazonaws.com/web": {"1.dkr.ecr.x.amazonaws.com", "web", true},
		"1.dkr.ecr.cn-northwest-1.amazonaws.com.cn/team/web": {"1.dkr.ecr.cn-northwest-1.amazonaws.com.cn", "team/web", true},
		"1.dkr-ecr.us-east-1.on.aws/web":                     {"1.dkr-ecr.us-east-1.on.aws", "web", true},
		"":                                                   {"", "", true},
	}
	for repository, c := range cases {
		if host, path := splitHost(repository); host != c.host || path != c.path || NeedsECR(repository) != c.ecr {
			t.Errorf("%q: %q %q, ECR %t", repository, host, path, NeedsECR(repository))
		}
	}
}

func TestTokensAreKeptUntilAMinuteBeforeTheirEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		l := &ecrLogin{ctx: t.Context(), client: tokens{&asked, 12 * time.Hour}}
		use := func() string {
			config, err := l.Authorization()
			if err != nil {
				t.Fatal(err)
			}
			return config.Password
		}
		if first, second := use(), use(); first != "secret-1" || second != first {
			t.Error("the token is not kept")
		}
		time.Sleep(12*time.Hour - time.Minute - time.Second)
		if use() != "secret-1" {
			t.Error("it was renewed too early")
		}
		time.Sleep(2 * time.Second)
		if use() != "secret-2" {
			t.Error("it was not renewed before its end")
		}
		l.renew("secret-1")
		if use() != "secret-2" {
			t.Error("a token was thrown away for the refusal of an older one")
		}
		l.renew("secret-2")
		if use() != "secret-3" {
			t.Error("a refused token was kept")
		}
	})
}
