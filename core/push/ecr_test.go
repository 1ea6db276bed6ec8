// SPDX-License-Identifier: Apache-2.0

package push

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
)

// tokens is an ECR that gives tokens without a network.
type tokens struct {
	asked *int
	life  time.Duration
}

func (c tokens) GetAuthorizationToken(context.Context, *ecr.GetAuthorizationTokenInput, ...func(*ecr.Options)) (*ecr.GetAuthorizationTokenOutput, error) {
	*c.asked++
	return &ecr.GetAuthorizationTokenOutput{AuthorizationData: []types.AuthorizationData{{
		AuthorizationToken: aws.String(base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "AWS:secret-%d", *c.asked))),
		ProxyEndpoint:      aws.String("https://registry.example.com"), ExpiresAt: aws.Time(time.Now().Add(c.life)),
	}}}, nil
}

func (c tokens) DescribeRepositories(context.Context, *ecr.DescribeRepositoriesInput, ...func(*ecr.Options)) (*ecr.DescribeRepositoriesOutput, error) {
	return nil, errors.New("not here")
}

func TestWhatECRSaysBeforeAPush(t *testing.T) {
	cases := map[string]struct {
		repository string
		errs       map[string]string
		auth       bool
		said       string // empty: the check passes
	}{
		"a repository that is there":                           {"web", nil, false, ""},
		"its full address":                                     {"HOST/web", nil, false, ""},
		"one that is not there":                                {"wbe", nil, false, `the ECR repository "wbe" does not exist in HOST: create it (aws ecr create-repository --repository-name wbe), or correct repository and region`},
		"a look-up that is denied is unknown: go on":           {"wbe", map[string]string{"DescribeRepositories": "AccessDeniedException"}, false, ""},
		"a look-up that fails otherwise":                       {"web", map[string]string{"DescribeRepositories": "ServerException"}, false, "looking up the ECR repository web: said ECR (ServerException)"},
		"a login that is denied":                               {"web", map[string]string{"GetAuthorizationToken": "AccessDeniedException"}, true, "asking ECR for a login: said ECR (AccessDeniedException); is it the right key"},
		"a key that AWS does not know":                         {"web", map[string]string{"GetAuthorizationToken": "UnrecognizedClientException"}, true, "is it the right key, of the right partition"},
		"credentials that have expired":                        {"web", map[string]string{"GetAuthorizationToken": "ExpiredTokenException"}, true, "have expired: renew them"},
		"another account's ECR, with docker's login for it":    {"2.dkr.ecr.cn-northwest-1.amazonaws.com.cn/web", nil, false, ""},
		"another account's ECR, when ours cannot be asked":     {"2.dkr.ecr.cn-northwest-1.amazonaws.com.cn/web", map[string]string{"GetAuthorizationToken": "AccessDeniedException"}, true, "asking ECR for a login"},
		"no repository":                                        {"", nil, false, "no repository is given; set repository in outlast.yaml"},
		"another registry, whatever ECR thinks of us":          {"registry.example.com/web", map[string]string{"GetAuthorizationToken": "AccessDeniedException"}, false, ""},
		"another registry with a name that no registry allows": {"registry.example.com/WEB", nil, false, "reading the repository"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if c.errs != nil {
				w.ecrError = c.errs
			}
			defer func() {
				if strings.Contains(c.repository, ".") && w.lookups > 0 {
					t.Error("another registry's repository was looked up in ours")
				}
			}()
			fill := func(s string) string { return strings.ReplaceAll(s, "HOST", w.host()) }
			err := Check(t.Context(), w.client(), Options{Name: "web", Repository: fill(c.repository)})
			var auth *AuthError
			switch {
			case c.said == "" && err != nil:
				t.Fatal(err)
			case c.said == "":
				return
			case err == nil || !strings.Contains(err.Error(), fill(c.said)) || !strings.Contains(err.Error(), `image "web"`):
				t.Errorf("error %v, want %q", err, fill(c.said))
			case errors.As(err, &auth) != c.auth:
				t.Errorf("about the login: %t", !c.auth)
			case strings.Contains(err.Error(), "secret"):
				t.Errorf("a secret is in %q", err)
			}
			if wrote := w.written(); len(wrote) > 0 {
				t.Errorf("a check wrote %v", wrote)
			}
		})
	}
}

func TestATokenThatEndsDuringAPushIsRenewed(t *testing.T) {
	w := newWorld(t)
	w.hook = func(_ http.ResponseWriter, r *http.Request, n int) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/blobs/") && w.tokens == 1 {
			w.tokens = 2 // from now on the first password is no good, and ECR's next is the third
		}
		return false
	}
	opt, _ := onDisk(t, 2)
	opt.Observe = w.observe
	ref, err := Push(t.Context(), w.client(), opt)
	if err != nil {
		t.Fatal(err)
	}
	if w.manifest(t, "abc") != ref.Digest || w.tokens != 3 {
		t.Errorf("%d tokens were given", w.tokens)
	}
	if all := strings.Join(w.told, "\n"); strings.Contains(all, "secret") {
		t.Errorf("a secret was told: %s", all)
	}
}

func TestALoginThatIsRefusedForGoodIsAnAuthError(t *testing.T) {
	w := newWorld(t)
	w.hook = func(rw http.ResponseWriter, _ *http.Request, _ int) bool {
		rw.Header().Set("WWW-Authenticate", `Basic realm="ecr"`)
		rw.WriteHeader(http.StatusUnauthorized)
		return true
	}
	opt, _ := onDisk(t, 1)
	_, err := Push(t.Context(), w.client(), opt)
	var auth *AuthError
	if !errors.As(err, &auth) || strings.Contains(err.Error(), "secret") {
		t.Errorf("error: %v", err)
	}
}

// Another registry's login is docker's, and no AWS client is needed for it.
func TestAnotherRegistry(t *testing.T) {
	w := newWorld(t)
	w.hook = func(rw http.ResponseWriter, r *http.Request, _ int) bool {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "secret-mine" {
			rw.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			rw.WriteHeader(http.StatusUnauthorized)
			return true
		}
		return false
	}
	opt, _ := onDisk(t, 1)
	opt.Repository = w.host() + "/web"
	_, err := Push(t.Context(), nil, opt)
	var auth *AuthError
	if !errors.As(err, &auth) {
		t.Errorf("without a login: %v", err)
	}
	login := base64.StdEncoding.EncodeToString([]byte("me:secret-mine"))
	if err := os.WriteFile(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, w.host(), login), 0o600); err != nil {
		t.Fatal(err)
	}
	ref, err := Push(t.Context(), nil, opt)
	if err != nil || ref.Repository != w.host()+"/web" || ref.Digest != opt.Digest {
		t.Errorf("%+v, %v", ref, err)
	}
	if w.tokens > 0 || w.lookups > 0 {
		t.Error("ECR was asked")
	}
}

func TestAnswersOfECRThatAreNone(t *testing.T) {
	good := base64.StdEncoding.EncodeToString([]byte("AWS:secret"))
	data := func(token, endpoint string) []types.AuthorizationData {
		return []types.AuthorizationData{{AuthorizationToken: &token, ProxyEndpoint: &endpoint}}
	}
	cases := map[string]struct {
		data []types.AuthorizationData
		said string
	}{
		"nothing":                  {nil, "the answer holds none"},
		"no token":                 {[]types.AuthorizationData{{ProxyEndpoint: aws.String("https://x")}}, "the answer holds none"},
		"a token that is no pair":  {data(base64.StdEncoding.EncodeToString([]byte("secret")), "https://x"), "its token is malformed"},
		"a token of other letters": {data("%%%", "https://x"), "its token is malformed"},
		"an endpoint without host": {data(good, "x"), `its endpoint "x" is no address`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			l := &ecrLogin{ctx: t.Context(), client: fixed{data: c.data}}
			_, err := l.Authorization()
			if err == nil || !strings.Contains(err.Error(), c.said) || strings.Contains(err.Error(), "secret") {
				t.Errorf("error: %v", err)
			}
		})
	}
}

type fixed struct {
	data         []types.AuthorizationData
	repositories []types.Repository
}

func (f fixed) GetAuthorizationToken(context.Context, *ecr.GetAuthorizationTokenInput, ...func(*ecr.Options)) (*ecr.GetAuthorizationTokenOutput, error) {
	return &ecr.GetAuthorizationTokenOutput{AuthorizationData: f.data}, nil
}

func (f fixed) DescribeRepositories(context.Context, *ecr.DescribeRepositoriesInput, ...func(*ecr.Options)) (*ecr.DescribeRepositoriesOutput, error) {
	return &ecr.DescribeRepositoriesOutput{Repositories: f.repositories}, nil
}
