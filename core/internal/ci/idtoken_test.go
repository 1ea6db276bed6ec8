// SPDX-License-Identifier: Apache-2.0

package ci

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// jwt is a token with these claims; nobody checks its signature here.
func jwt(claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"RS256"}`)) + "." + encode([]byte(claims)) + ".c2ln"
}

func TestWhereIDTokensComeFrom(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer request-token" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, `{"value":"from github for %s, version %s"}`, r.URL.Query().Get("audience"), r.URL.Query().Get("api-version"))
	}))
	t.Cleanup(service.Close)
	world, china := jwt(`{"aud":"sts.amazonaws.com"}`), jwt(`{"aud":["other","sts.amazonaws.com.cn"]}`)
	github := []string{"GITHUB_ACTIONS=true", "ACTIONS_ID_TOKEN_REQUEST_URL=" + service.URL + "/?api-version=2", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=request-token"}
	cases := map[string]struct {
		env    []string
		custom string
		want   string // for the audience sts.amazonaws.com.cn
		lacks  string
	}{
		"GitHub's service, asked for the audience":     {github, "", "from github for sts.amazonaws.com.cn, version 2", ""},
		"our variable wins over the host's":            {append([]string{"OUTLAST_ID_TOKEN=mine"}, github...), "", "mine", ""},
		"a GitHub job without the permission":          {github[:1], "", "", "permissions: {id-token: write"},
		"of two tokens the one for the audience":       {[]string{"GITLAB_CI=true", "OUTLAST_ID_TOKEN=" + world, "OUTLAST_ID_TOKEN_CN=" + china}, "", china, ""},
		"the China one alone":                          {[]string{"OUTLAST_ID_TOKEN_CN=" + china}, "", china, ""},
		"one for another audience, which STS may know": {[]string{"OUTLAST_ID_TOKEN=" + world}, "", world, ""},
		"tokens that are no JWT":                       {[]string{"OUTLAST_ID_TOKEN=a.b", "OUTLAST_ID_TOKEN_CN=a.!.c"}, "", "a.b", ""},
		"claims of another shape":                      {[]string{"OUTLAST_ID_TOKEN=" + jwt(`{"aud":7}`), "OUTLAST_ID_TOKEN_CN=" + jwt(`[]`)}, "", jwt(`{"aud":7}`), ""},
		"a GitLab job without id_tokens":               {[]string{"GITLAB_CI=true"}, "", "", "id_tokens"},
		"CircleCI's variable":                          {[]string{"CIRCLECI=true", "CIRCLE_OIDC_TOKEN_V2=circle"}, "", "circle", ""},
		"a CircleCI job without one":                   {[]string{"CIRCLECI=true"}, "", "", "CIRCLE_OIDC_TOKEN_V2 is not set"},
		"CodeBuild, which issues none":                 {[]string{"CODEBUILD_BUILD_ID=x"}, "", "", "OUTLAST_ID_TOKEN"},
		"no CI":                                        {nil, "", "", "OUTLAST_ID_TOKEN"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			token, lacks := IDTokens(World{Environ: c.env, Client: service.Client()}, c.custom)
			if c.lacks != "" {
				if token != nil || !strings.Contains(lacks, c.lacks) {
					t.Errorf("lacks %q, want %q", lacks, c.lacks)
				}
				return
			}
			if token == nil {
				t.Fatalf("no token: %s", lacks)
			}
			if got, err := token(t.Context(), "sts.amazonaws.com.cn"); got != c.want || err != nil {
				t.Errorf("token %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestGitHubRefusesAToken(t *testing.T) {
	service := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(service.Close)
	token, _ := IDTokens(World{Environ: []string{"GITHUB_ACTIONS=true", "ACTIONS_ID_TOKEN_REQUEST_URL=" + service.URL, "ACTIONS_ID_TOKEN_REQUEST_TOKEN=request-token"}, Client: service.Client()}, "")
	if got, err := token(t.Context(), "x"); err == nil || got != "" || strings.Contains(err.Error(), "request-token") {
		t.Errorf("token %q, %v", got, err)
	}
}

func TestCircleCIsProgramGivesOtherAudiences(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\n[ \"$1 $2 $3 $4\" = 'run oidc get --claims' ] || { echo wrong >&2; exit 3; }\n[ -z \"$REFUSE\" ] || { echo no context >&2; exit 4; }\nprintf '%s\\n' \"$5\"\n"
	if err := os.WriteFile(filepath.Join(dir, "circleci"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	env := []string{"CIRCLECI=true", "CIRCLE_OIDC_TOKEN_V2=ready-made", "PATH=" + dir + ":" + os.Getenv("PATH")}
	token, _ := IDTokens(World{Environ: env, Dir: dir}, "sts.amazonaws.com.cn")
	if got, err := token(t.Context(), "sts.amazonaws.com.cn"); got != `{"aud":"sts.amazonaws.com.cn"}` || err != nil {
		t.Errorf("token %q, %v", got, err)
	}
	token, _ = IDTokens(World{Environ: append(env, "REFUSE=1"), Dir: dir}, "a")
	if _, err := token(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "no context") {
		t.Errorf("refused: %v", err)
	}
	token, _ = IDTokens(World{Environ: env[:2], Dir: dir}, "a")
	if _, err := token(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "is not on PATH") {
		t.Errorf("without the program: %v", err)
	}
}
