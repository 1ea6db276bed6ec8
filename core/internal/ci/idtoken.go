// SPDX-License-Identifier: Apache-2.0

package ci

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sethvargo/go-githubactions"
)

// IDToken asks the CI for an ID token with an audience. An error of it never
// holds the token.
type IDToken func(ctx context.Context, audience string) (string, error)

// IDTokens finds the way to this job's ID tokens: the variables
// OUTLAST_ID_TOKEN and OUTLAST_ID_TOKEN_CN, which any CI may set, or the host's
// own. custom is an audience that the user wants, if any. Without a way the
// second result says what the user has to do for one.
func IDTokens(world World, custom string) (IDToken, string) {
	getenv := world.Getenv
	if given := []string{getenv("OUTLAST_ID_TOKEN"), getenv("OUTLAST_ID_TOKEN_CN")}; given[0]+given[1] != "" {
		return func(_ context.Context, audience string) (string, error) { return choose(given, audience), nil }, ""
	}
	switch Detect(getenv).Host {
	case "github":
		if getenv("ACTIONS_ID_TOKEN_REQUEST_URL") == "" {
			return nil, "the GitHub job has no ID token: give it `permissions: {id-token: write, contents: read}`"
		}
		return world.githubToken, ""
	case "gitlab":
		return nil, "the GitLab job has no ID token: give it `id_tokens: {OUTLAST_ID_TOKEN: {aud: sts's audience}}`, as our component does"
	case "circleci":
		if custom != "" {
			return world.circleciToken, ""
		}
		token := getenv("CIRCLE_OIDC_TOKEN_V2")
		if token == "" {
			return nil, "the CircleCI job has no ID token: CIRCLE_OIDC_TOKEN_V2 is not set; does the job use a context?"
		}
		return func(context.Context, string) (string, error) { return token, nil }, ""
	}
	return nil, "this CI issues no ID token that outlast knows of: set the variable OUTLAST_ID_TOKEN to one"
}

// githubToken asks the job's token service.
func (w World) githubToken(ctx context.Context, audience string) (string, error) {
	return githubactions.New(githubactions.WithGetenv(w.Getenv), githubactions.WithHTTPClient(w.Client)).GetIDToken(ctx, audience)
}

// circleciToken asks the runner's own program: the ready-made variable has the
// organization's id as its audience, and there is no other service.
// https://circleci.com/docs/guides/permissions-authentication/oidc-tokens-with-custom-claims/
func (w World) circleciToken(ctx context.Context, audience string) (string, error) {
	claims, err := json.Marshal(map[string]string{"aud": audience})
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	program := ""
	for _, dir := range filepath.SplitList(w.Getenv("PATH")) {
		if info, err := os.Stat(filepath.Join(dir, "circleci")); err == nil && !info.IsDir() && program == "" {
			program = filepath.Join(dir, "circleci")
		}
	}
	if program == "" {
		return "", errors.New("the program circleci, which every CircleCI job has, is not on PATH")
	}
	cmd := exec.CommandContext(ctx, program, "run", "oidc", "get", "--claims", string(claims))
	cmd.Env, cmd.Dir = w.Environ, w.Dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("circleci run oidc get: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

// choose takes the token that was issued for the audience; if none was, the
// first one that there is, since the provider in AWS may list any audience.
func choose(tokens []string, audience string) string {
	for _, token := range tokens {
		if slices.Contains(audiences(token), audience) {
			return token
		}
	}
	return first(tokens...)
}

// audiences reads the aud claim, a word or a list of them. Nothing is verified
// here: that is what STS does.
func audiences(token string) []string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	body, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return nil
	}
	var claims struct {
		Audience json.RawMessage `json:"aud"`
	}
	if json.Unmarshal(body, &claims) != nil {
		return nil
	}
	var one string
	if json.Unmarshal(claims.Audience, &one) == nil {
		return []string{one}
	}
	var list []string
	if json.Unmarshal(claims.Audience, &list) != nil {
		return nil
	}
	return list
}
