// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"encoding/xml"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// secrets hides what must not be printed: what the environment holds by the
// name of its variable, and what is learned on the way. Safe for concurrent use.
type secrets struct {
	mu     sync.Mutex
	values []string
	hide   *strings.Replacer
	learn  func(string) // told of each new one; may be nil
}

// shortest is the length from which a value is a secret: hiding every "1" or
// "true" would make a log useless and hide nothing.
const shortest = 8

// secretSuffixes end the names of variables that hold a secret.
var secretSuffixes = []string{"_TOKEN", "_TOKEN_V2", "_TOKEN_CN", "_SECRET", "_PASSWORD", "_PASSWD", "_PASS", "_API_KEY", "_ACCESS_KEY", "_PRIVATE_KEY", "_JWT", "_CREDENTIALS"}

// newSecrets takes those of an environment.
func newSecrets(environ []string) *secrets {
	s := &secrets{hide: strings.NewReplacer()}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		name = strings.ToUpper(name)
		if strings.HasSuffix(name, "_PROXY") {
			if u, err := url.Parse(value); err == nil {
				password, _ := u.User.Password()
				s.add(password)
			}
			continue
		}
		if slices.ContainsFunc(secretSuffixes, func(suffix string) bool { return strings.HasSuffix("_"+name, suffix) }) {
			s.add(value)
		}
	}
	return s
}

// tell names who is told of each new one from now on.
func (s *secrets) tell(learn func(string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.learn = learn
}

// add hides one more secret, each of its lines.
func (s *secrets) add(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for line := range strings.Lines(secret) {
		if line = strings.TrimSpace(line); len(line) < shortest || slices.Contains(s.values, line) {
			continue
		}
		s.values = append(s.values, line)
		if s.learn != nil {
			s.learn(line)
		}
	}
	// One secret may begin with another: the longer one goes first.
	slices.SortFunc(s.values, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), strings.Compare(a, b)) })
	var pairs []string
	for _, v := range s.values {
		for _, form := range forms(v) {
			pairs = append(pairs, form, "***")
		}
	}
	s.hide = strings.NewReplacer(pairs...)
}

// forms are a secret as it may be written: plain, or inside JSON, XML or an address.
func forms(v string) []string {
	all := []string{v}
	if text, err := json.Marshal(v); err == nil {
		all = append(all, strings.Trim(string(text), `"`))
	}
	var text bytes.Buffer
	if err := xml.EscapeText(&text, []byte(v)); err == nil {
		all = append(all, text.String())
	}
	return append(all, url.QueryEscape(v))
}

// mask gives text without the secrets.
func (s *secrets) mask(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hide.Replace(text)
}
