// SPDX-License-Identifier: Apache-2.0

package push

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
)

func TestWhichOfECRsErrorsAreAboutTheLogin(t *testing.T) {
	cases := map[string]struct {
		code string
		auth bool
		said string
	}{
		"a session that has ended":                   {"ExpiredTokenException", true, "have expired: renew them"},
		"the same, as other services spell it":       {"ExpiredToken", true, "have expired: renew them"},
		"a wrong secret":                             {"InvalidSignatureException", true, "is it the right key"},
		"a wrong secret, as other services spell it": {"SignatureDoesNotMatch", true, "is it the right key"},
		"a key of another partition":                 {"UnrecognizedClientException", true, "of the right partition"},
		"a key that is none":                         {"InvalidClientTokenId", true, "is it the right key"},
		"no key":                                     {"MissingAuthenticationTokenException", true, "is it the right key"},
		"no permission":                              {"AccessDeniedException", true, "with a policy that allows it"},
		"an argument that ECR does not take":         {"InvalidParameterException", false, "said ECR (InvalidParameterException)"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.ecrError = map[string]string{"GetAuthorizationToken": c.code}
			_, ok, err := Lookup(t.Context(), w.client(), Options{Name: "web", Repository: "web", Tag: "abc"})
			var auth *AuthError
			if ok || err == nil || errors.As(err, &auth) != c.auth || !strings.Contains(err.Error(), c.said) || strings.Contains(err.Error(), "secret") {
				t.Errorf("error: %v", err)
			}
		})
	}
}

func TestWithoutCredentialsTheErrorIsAboutTheLogin(t *testing.T) {
	w := newWorld(t)
	none := NewECR(aws.Config{Region: "cn-northwest-1", BaseEndpoint: aws.String(w.api.URL), Retryer: retryConnections,
		Credentials: credentials.NewStaticCredentialsProvider("", "", "")})
	opt, _ := onDisk(t, 1)
	_, err := Push(t.Context(), none, opt)
	var auth *AuthError
	if !errors.As(err, &auth) || !strings.Contains(err.Error(), "asking ECR for a login: no AWS credentials: ") {
		t.Errorf("error: %v", err)
	}
}

func TestAnECRThatCannotBeReachedIsNotAboutTheLogin(t *testing.T) {
	w := newWorld(t)
	w.api.Close()
	once := NewECR(aws.Config{Region: "cn-northwest-1", BaseEndpoint: aws.String(w.api.URL), Retryer: func() aws.Retryer { return aws.NopRetryer{} },
		Credentials: credentials.NewStaticCredentialsProvider("AKIA", "secret-key", "")})
	err := Check(t.Context(), once, Options{Name: "web", Repository: "web"})
	var auth *AuthError
	if err == nil || errors.As(err, &auth) || !strings.Contains(err.Error(), "connection refused") || strings.ContainsAny(err.Error(), "\n") || strings.Contains(err.Error(), "secret") {
		t.Errorf("error: %v", err)
	}
}

// ECR's answer decides where the image goes; nothing is built from names.
func TestTheRepositorysAddressIsECRs(t *testing.T) {
	const china = "https://1.dkr.ecr.cn-northwest-1.amazonaws.com.cn"
	cases := map[string]struct {
		endpoint string // of the login
		uri      string
		want     string // empty: an error
	}{
		"the address of ECR's answer is taken":         {china, "1.dkr-ecr.us-east-1.on.aws/web", "https://1.dkr-ecr.us-east-1.on.aws/web"},
		"no address means the login's host":            {china, "", "https://1.dkr.ecr.cn-northwest-1.amazonaws.com.cn/web"},
		"an endpoint without TLS is taken at its word": {"http://ecr.example.com", "", "http://ecr.example.com/web"},
		"an address that is none is refused":           {china, "no address", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			pair := base64.StdEncoding.EncodeToString([]byte("AWS:secret"))
			client := fixed{data: []types.AuthorizationData{{AuthorizationToken: &pair, ProxyEndpoint: &c.endpoint}}}
			if c.uri != "" {
				client.repositories = []types.Repository{{RepositoryUri: &c.uri}}
			}
			r, err := open(t.Context(), client, Options{Name: "web", Repository: "web"})
			if c.want == "" {
				if err == nil || !strings.Contains(err.Error(), "reading the repository") {
					t.Errorf("error: %v", err)
				}
				return
			}
			if err != nil || r.name.Scheme()+"://"+r.name.Name() != c.want {
				t.Errorf("%s over %s, %v", r.name.Name(), r.name.Scheme(), err)
			}
		})
	}
}

// counted counts the tokens that it gives.
type counted struct {
	fixed
	n *int
}

func (c counted) GetAuthorizationToken(ctx context.Context, in *ecr.GetAuthorizationTokenInput, opts ...func(*ecr.Options)) (*ecr.GetAuthorizationTokenOutput, error) {
	*c.n++
	return c.fixed.GetAuthorizationToken(ctx, in, opts...)
}

func TestATokenWithoutAnEndIsKeptForAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pair, endpoint, asked := base64.StdEncoding.EncodeToString([]byte("AWS:secret")), "https://x", 0
		l := &ecrLogin{ctx: t.Context(), client: counted{fixed{data: []types.AuthorizationData{{AuthorizationToken: &pair, ProxyEndpoint: &endpoint}}}, &asked}}
		for i, want := range []int{1, 1, 2} { // after 0, 58 and 116 minutes
			if config, err := l.Authorization(); err != nil || config.Username != "AWS" || asked != want {
				t.Errorf("use %d: %d tokens, %v", i, asked, err)
			}
			time.Sleep(58 * time.Minute)
		}
	})
}

// All uploads are refused at once; only the first refusal may cost a token.
func TestManyUploadsRenewATokenOnce(t *testing.T) {
	w := newWorld(t)
	const layers = 6
	var all sync.WaitGroup
	all.Add(layers + 1) // and the config
	var once sync.Once
	w.hook = func(_ http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Method == http.MethodPost {
			all.Done()
			all.Wait() // until every upload has begun with the first token
			once.Do(func() {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.tokens = 2
			})
		}
		return false
	}
	opt, _ := onDisk(t, layers)
	ref, err := Push(t.Context(), w.client(), opt)
	if err != nil {
		t.Fatal(err)
	}
	if w.tokens != 3 || ref.Pushed != layers+1 || w.manifest(t, "abc") != ref.Digest {
		t.Errorf("%d tokens for %+v", w.tokens, ref)
	}
}

func TestATokenThatCannotBeRenewedIsAnAuthError(t *testing.T) {
	w := newWorld(t)
	w.hook = func(_ http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Method == http.MethodPost {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.tokens, w.ecrError = 2, map[string]string{"GetAuthorizationToken": "ExpiredTokenException"}
		}
		return false
	}
	opt, _ := onDisk(t, 1)
	opt.Observe = w.observe
	_, err := Push(t.Context(), w.client(), opt)
	var auth *AuthError
	if !errors.As(err, &auth) || strings.Contains(err.Error(), "secret") || strings.Contains(strings.Join(w.told, ""), "secret") {
		t.Errorf("error: %v; told %q", err, w.told)
	}
}

// trip answers each request in turn with a status, and keeps what it saw.
type trip struct {
	statuses  []int
	passwords []string
	bodies    []string
	closed    int
}

func (s *trip) RoundTrip(req *http.Request) (*http.Response, error) {
	_, password, _ := req.BasicAuth()
	s.passwords = append(s.passwords, password)
	text := ""
	if req.Body != nil {
		b, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		text = string(b)
	}
	s.bodies = append(s.bodies, text)
	status := s.statuses[len(s.passwords)-1]
	return &http.Response{StatusCode: status, Body: closer{&s.closed}}, nil
}

type closer struct{ n *int }

func (closer) Read([]byte) (int, error) { return 0, io.EOF }
func (c closer) Close() error           { *c.n++; return nil }

func TestARefusedRequestIsSentOnceMore(t *testing.T) {
	again := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("bytes")), nil }
	gone := func() (io.ReadCloser, error) { return nil, errors.New("the file is gone") }
	cases := map[string]struct {
		statuses []int
		password string
		body     bool
		getBody  func() (io.ReadCloser, error)
		want     int      // status
		sent     []string // passwords
		closed   int
	}{
		"a request that is taken is not repeated":            {[]int{200}, "secret-1", false, nil, 200, []string{"secret-1"}, 0},
		"a refusal is answered with a new password":          {[]int{401, 200}, "secret-1", false, nil, 200, []string{"secret-1", "secret-2"}, 1},
		"a second refusal is the answer":                     {[]int{401, 401}, "secret-1", false, nil, 401, []string{"secret-1", "secret-2"}, 1},
		"a body is sent again from its start":                {[]int{401, 201}, "secret-1", true, again, 201, []string{"secret-1", "secret-2"}, 1},
		"a body that can be read once is not sent again":     {[]int{401}, "secret-1", true, nil, 401, []string{"secret-1"}, 0},
		"a body that cannot be read again leaves the answer": {[]int{401}, "secret-1", true, gone, 401, []string{"secret-1"}, 0},
		"a request without our login is not ours":            {[]int{401}, "", false, nil, 401, []string{""}, 0},
		"403 is no reason for another password":              {[]int{403}, "secret-1", false, nil, 403, []string{"secret-1"}, 0},
		"a password that others renewed meanwhile is taken":  {[]int{401, 200}, "secret-0", false, nil, 200, []string{"secret-0", "secret-1"}, 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			asked := 0
			login := &ecrLogin{ctx: t.Context(), client: tokens{&asked, 12 * time.Hour}}
			if _, err := login.Authorization(); err != nil {
				t.Fatal(err)
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, "https://registry.example.com/v2/", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			if c.password != "" {
				req.SetBasicAuth("AWS", c.password)
			}
			if req.GetBody = nil; c.body {
				req.Body, req.GetBody = io.NopCloser(strings.NewReader("bytes")), c.getBody
			}
			next := &trip{statuses: c.statuses}
			res, err := (&relogin{next: next, login: login}).RoundTrip(req)
			if err != nil || res.StatusCode != c.want {
				t.Fatalf("%+v, %v", res, err)
			}
			if got, want := strings.Join(next.passwords, " "), strings.Join(c.sent, " "); got != want || next.closed != c.closed {
				t.Errorf("sent with %q, want %q; %d refusals closed, want %d", got, want, next.closed, c.closed)
			}
			for i, body := range next.bodies {
				if c.body && body != "bytes" {
					t.Errorf("request %d carried %q", i, body)
				}
			}
		})
	}
}

func TestARefusalIsTheAnswerWhenECRHasNoOtherPassword(t *testing.T) {
	pair, endpoint := base64.StdEncoding.EncodeToString([]byte("AWS:secret")), "https://x"
	login := &ecrLogin{ctx: t.Context(), client: fixed{data: []types.AuthorizationData{{AuthorizationToken: &pair, ProxyEndpoint: &endpoint}}}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://x/v2/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("AWS", "secret")
	next := &trip{statuses: []int{401, 200}}
	res, err := (&relogin{next: next, login: login}).RoundTrip(req)
	if err != nil || res.StatusCode != http.StatusUnauthorized || len(next.passwords) != 1 {
		t.Errorf("%+v after %d requests, %v", res, len(next.passwords), err)
	}
}

func TestARegistryThatAsksForNoLogin(t *testing.T) {
	w := newWorld(t)
	opt, _ := onDisk(t, 1)
	opt.Repository, opt.UserAgent = w.host()+"/web", "outlast/1"
	var mu sync.Mutex
	var agents, logins []string
	w.hook = func(_ http.ResponseWriter, r *http.Request, _ int) bool {
		mu.Lock()
		defer mu.Unlock()
		agents = append(agents, r.UserAgent())
		if h := r.Header.Get("Authorization"); h != "" {
			logins = append(logins, h)
		}
		return false
	}
	ref, err := Push(t.Context(), nil, opt)
	if err != nil || ref.Digest != opt.Digest {
		t.Errorf("%+v, %v", ref, err)
	}
	if len(agents) == 0 || len(logins) > 0 || !strings.Contains(agents[0], "outlast/1") {
		t.Errorf("logins %q, agents %q", logins, agents)
	}
}

// GitLab's and GitHub's registries sell bearer tokens for docker's login.
func TestARegistryWithATokenService(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	var scopes []string
	w.hook = func(rw http.ResponseWriter, r *http.Request, _ int) bool {
		mu.Lock()
		defer mu.Unlock()
		user, password, _ := r.BasicAuth()
		switch {
		case r.URL.Path == "/token" && user == "me" && password == "secret-mine":
			scopes = append(scopes, r.URL.Query()["scope"]...)
			fmt.Fprint(rw, `{"token":"secret-bearer"}`)
		case r.URL.Path == "/token":
			rw.WriteHeader(http.StatusForbidden)
			fmt.Fprint(rw, `{"errors":[{"code":"DENIED","message":"access forbidden"}]}`)
		case r.Header.Get("Authorization") == "Bearer secret-bearer":
			return false
		default:
			rw.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="registry"`, w.registry.URL))
			rw.WriteHeader(http.StatusUnauthorized)
		}
		return true
	}
	opt, _ := onDisk(t, 1)
	opt.Repository, opt.Observe = w.host()+"/web", w.observe
	for password, works := range map[string]bool{"secret-mine": true, "secret-other": false} {
		storeLogin(t, w.host(), "me", password)
		opt.Tag = password[len("secret-"):]
		ref, err := Push(t.Context(), nil, opt)
		var auth *AuthError
		switch {
		case works && (err != nil || ref.Digest != opt.Digest):
			t.Errorf("%+v, %v", ref, err)
		case !works && (!errors.As(err, &auth) || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "access forbidden")):
			t.Errorf("a wrong password: %v", err)
		}
	}
	if strings.Contains(strings.Join(w.told, ""), "secret") {
		t.Errorf("told: %q", w.told)
	}
	if all := strings.Join(scopes, " "); !strings.Contains(all, "repository:web:push,pull") && !strings.Contains(all, "repository:web:pull,push") {
		t.Errorf("asked for %s", all)
	}
}

func storeLogin(t *testing.T, host, user, password string) {
	t.Helper()
	text, err := json.Marshal(map[string]any{"auths": map[string]any{host: map[string]string{"username": user, "password": password}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDockersCredentialsThatCannotBeRead(t *testing.T) {
	for name, text := range map[string]string{
		"a file that is no JSON":     `{"auths": {"x": {"password": "secret`,
		"a helper that is not there": `{"credsStore": "outlast-absent"}`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if err := os.WriteFile(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			opt, _ := onDisk(t, 1)
			opt.Repository = w.host() + "/web"
			_, err := Push(t.Context(), nil, opt)
			var auth *AuthError
			if !errors.As(err, &auth) || !strings.Contains(err.Error(), "reading docker's credentials for "+w.host()) || strings.Contains(err.Error(), "secret") {
				t.Errorf("error: %v", err)
			}
			if wrote := w.written(); len(wrote) > 0 {
				t.Errorf("it wrote %v", wrote)
			}
		})
	}
}

// Registries hand out signed addresses to upload to.
func TestASignedAddressIsNotTold(t *testing.T) {
	w := newWorld(t)
	storage := httptest.NewServer(http.NotFoundHandler())
	storage.Close() // nobody answers there
	w.hook = func(rw http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Method != http.MethodPost {
			return false
		}
		rw.Header().Set("Location", storage.URL+"/upload?X-Amz-Signature=secret-signature")
		rw.WriteHeader(http.StatusAccepted)
		return true
	}
	opt, _ := onDisk(t, 1)
	_, err := Push(t.Context(), w.client(), opt)
	if err == nil || !strings.Contains(err.Error(), storage.URL+"/upload") || strings.Contains(err.Error(), "secret") {
		t.Errorf("error: %v", err)
	}
}

func TestATagOfAnotherImageIsNamedInTheError(t *testing.T) {
	w := newWorld(t)
	first, _ := onDisk(t, 1)
	if _, err := Push(t.Context(), w.client(), first); err != nil {
		t.Fatal(err)
	}
	second, _ := onDisk(t, 1)
	w.hook = refuse(http.StatusConflict, "CONFLICT", "said the registry")
	_, err := Push(t.Context(), w.client(), second)
	if err == nil || !strings.Contains(err.Error(), "/web:abc (the tag names another image already): ") || !strings.Contains(err.Error(), "said the registry") {
		t.Errorf("error: %v", err)
	}
	if got := w.manifest(t, "abc"); got != first.Digest {
		t.Errorf("the tag is %s now", got)
	}
}
