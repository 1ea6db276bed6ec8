// SPDX-License-Identifier: Apache-2.0

// Package ci knows the CI hosts, one file each: environment in, Facts out. On
// a machine that is none of them, git answers for commit and branch.
package ci

import (
	"net/http"
	"strings"
)

// Facts is what a CI says about the run. Empty fields are unknown.
type Facts struct {
	Host        string `json:"host,omitempty"` // github, gitlab, circleci, codebuild, jenkins; "" on a plain terminal
	Commit      string `json:"commit,omitempty"`
	Branch      string `json:"branch,omitempty"`
	Tag         string `json:"tag,omitempty"`
	PullRequest string `json:"pullRequest,omitempty"` // number or address of the pull or merge request this run is for
	Target      string `json:"target,omitempty"`      // branch that it would be merged into
	RunURL      string `json:"runUrl,omitempty"`
	Actor       string `json:"actor,omitempty"`
	// Stranger says why the checkout is not to be trusted with what this job may
	// do: it is somebody else's, and the credentials are ours.
	Stranger string `json:"stranger,omitempty"`
}

// World is what a host's surfaces work with.
type World struct {
	Environ []string
	Dir     string
	Client  *http.Client // for the CI's own API
}

// Getenv reads one variable.
func (w World) Getenv(name string) string {
	for _, pair := range w.Environ {
		if v, ok := strings.CutPrefix(pair, name+"="); ok {
			return v
		}
	}
	return ""
}

// hosts in the order they are asked: a runner of one system may run inside a
// job of another (CodeBuild runs GitHub's), and then the inner one is right.
var hosts = []func(func(string) string) (Facts, bool){onGitHub, onGitLab, onCircleCI, onJenkins, onCodeBuild}

// Detect reads the facts from the environment of the CI, if there is one.
func Detect(getenv func(string) string) Facts {
	for _, host := range hosts {
		if facts, ok := host(getenv); ok {
			return facts
		}
	}
	return Facts{}
}

// first is the first value that is not empty.
func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
