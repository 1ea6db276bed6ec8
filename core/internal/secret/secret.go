// SPDX-License-Identifier: Apache-2.0

// Package secret hides what must not be printed: values go in, and text without
// them comes out.
package secret

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

// Set is what is known to be secret: what the environment holds by the name of
// its variable, and what is learned on the way. Safe for concurrent use.
type Set struct {
	mu     sync.Mutex
	values []string
	hide   *strings.Replacer
	learn  func(string) // told of each new one; may be nil
}

// shortest is the length from which a value is a secret: hiding every "1" or
// "true" would make a log useless and hide nothing.
const shortest = 8

// suffixes end the names of variables that hold a secret.
var suffixes = []string{"_TOKEN", "_TOKEN_V2", "_TOKEN_CN", "_SECRET", "_PASSWORD", "_PASSWD", "_PASS", "_API_KEY", "_ACCESS_KEY", "_PRIVATE_KEY", "_JWT", "_CREDENTIALS"}

// New takes those of an environment, NAME=value each.
func New(environ []string) *Set {
	s := &Set{hide: strings.NewReplacer()}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		name = strings.ToUpper(name)
		if strings.HasSuffix(name, "_PROXY") {
			if u, err := url.Parse(value); err == nil {
				password, _ := u.User.Password()
				s.Add(password)
			}
			continue
		}
		if slices.ContainsFunc(suffixes, func(suffix string) bool { return strings.HasSuffix("_"+name, suffix) }) {
			s.Add(value)
		}
	}
	return s
}

// Tell names who is told of each new one from now on.
func (s *Set) Tell(learn func(string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.learn = learn
}

// Add hides one more secret, each of its lines.
func (s *Set) Add(secret string) {
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

// Mask gives text without the secrets.
func (s *Set) Mask(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hide.Replace(text)
}
