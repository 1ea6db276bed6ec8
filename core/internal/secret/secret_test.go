// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestWhatIsHidden(t *testing.T) {
	s := New([]string{"AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI", "AWS_SESSION_TOKEN=IQoJb3JpZ2lu", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=request-token", "CIRCLE_OIDC_TOKEN_V2=circle.oidc.token",
		"OUTLAST_ID_TOKEN_CN=china.id.token", "npm_config_//registry/:_password=lower-case", "DB_PASSWORD=pa\"ss<&>word", "SSH_PRIVATE_KEY=-----BEGIN-----\nline-one-of-it\nshort\n",
		"HTTPS_PROXY=http://me:proxy-password@proxy:3128", "GITHUB_TOKEN=ghs_sixteen", "TOKEN=bare-token-name",
		"AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_WEB_IDENTITY_TOKEN_FILE=/var/run/token", "SHORT_TOKEN=true", "CI_TOKEN=", "NOT=a pair of the kind", "broken"})
	cases := map[string]struct{ text, want string }{
		"a key":                       {"key wJalrXUtnFEMI.", "key ***."},
		"several in a line":           {"IQoJb3JpZ2lu request-token circle.oidc.token china.id.token lower-case ghs_sixteen bare-token-name", "*** *** *** *** *** *** ***"},
		"inside JSON":                 {`{"p":"pa\"ss\u003c\u0026\u003eword"}`, `{"p":"***"}`},
		"inside XML":                  {`<a b="pa&#34;ss&lt;&amp;&gt;word"/>`, `<a b="***"/>`},
		"inside an address":           {"?p=pa%22ss%3C%26%3Eword", "?p=***"},
		"a line of a long one":        {"line-one-of-it and short", "*** and short"},
		"a proxy's password":          {"http://me:proxy-password@proxy:3128", "http://me:***@proxy:3128"},
		"what is no secret":           {"AKIDEXAMPLE /var/run/token true", "AKIDEXAMPLE /var/run/token true"},
		"nothing":                     {"", ""},
		"a pair that is none, broken": {"broken a pair of the kind", "broken a pair of the kind"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := s.Mask(c.text); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestOnlyWhatIsLearntLaterIsTold(t *testing.T) {
	s := New([]string{"A_TOKEN=from-the-environment"})
	var told []string
	s.Tell(func(v string) { told = append(told, v) })
	for _, v := range []string{"learnt-later", "from-the-environment", "learnt-later", "short", ""} {
		s.Add(v)
	}
	if !slices.Equal(told, []string{"learnt-later"}) {
		t.Errorf("told %q", told)
	}
}

// Whatever the secrets are, none is in what Mask gives, not even when one is a
// part of another.
func TestNoSecretIsLeft(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.StringMatching(`[ab"<\\]{8,12}`), 1, 5).Draw(t, "secrets")
		s := New(nil)
		for _, v := range all {
			s.Add(v)
		}
		text := strings.Join(rapid.Permutation(all).Draw(t, "text"), " ")
		whole, err := json.Marshal(map[string]string{"x": text})
		if err != nil {
			t.Fatal(err)
		}
		for _, masked := range []string{s.Mask(text), s.Mask(string(whole))} {
			for _, v := range all {
				if strings.Contains(masked, v) {
					t.Fatalf("%q is in %q", v, masked)
				}
			}
		}
	})
}

func TestASetIsSafeForConcurrentUse(t *testing.T) {
	s := New(nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s.Add("secret-of-one")
			s.Mask("text")
		})
	}
	wg.Wait()
}
