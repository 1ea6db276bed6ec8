// SPDX-License-Identifier: Apache-2.0

// Package setup turns what a user and a CI say into a run: settings, facts and
// the checkout go in, a core.Config and the functions that build its clients
// come out.
package setup

import (
	"crypto/x509"
	"fmt"
	"io"
	"strings"

	"github.com/outlast-ci/outlast/core/internal/aws"
	"github.com/outlast-ci/outlast/core/internal/ci"
	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
	"github.com/outlast-ci/outlast/core/internal/secret"
)

// Env is the world of one call.
type Env struct {
	Args    []string // without the program's name
	Environ []string // NAME=value
	Dir     string   // working folder, absolute
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Live    bool       // Stderr is a terminal that can redraw
	Width   func() int // of that terminal
	UID     int
	Version string
}

// Getenv reads one variable of Env.
func (e Env) Getenv(name string) string {
	for _, pair := range e.Environ {
		if v, ok := strings.CutPrefix(pair, name+"="); ok {
			return v
		}
	}
	return ""
}

// maxStream is how much standard input may hold: as much as render reads of files.
const maxStream = 50 << 20

// ReadStdin reads all of standard input. Errors name what was to be read.
func (e Env) ReadStdin(what string) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(e.Stdin, maxStream+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s from standard input: %w", what, err)
	}
	if len(text) > maxStream {
		return nil, fmt.Errorf("reading %s from standard input: more than %d MB", what, maxStream>>20)
	}
	return text, nil
}

// Call is one run of a command, with what is known of it.
type Call struct {
	Env      Env
	Secrets  *secret.Set
	Command  string
	Settings *inputs.Settings
	Facts    ci.Facts
	Git      ci.Git // zero outside a checkout
	InGit    bool
	Alone    bool // it only looks at the cluster: manifests, where there are any, tell no more than where

	role    aws.Role
	noToken string         // why the CI gives no ID token, when role-arn could have used one
	trusted *x509.CertPool // nil: the system's authorities
}
