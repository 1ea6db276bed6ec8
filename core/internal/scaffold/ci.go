// SPDX-License-Identifier: Apache-2.0

package scaffold

import (
	"cmp"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// system is one CI: where its configuration is, and how ours is added.
type system struct {
	file     string // ours; another job's file where own is false
	own      bool   // the CI takes several files, and this one is ours
	template string
	needs    string // what it takes beside the file
}

// systems by name, which is a choice of --ci.
var systems = map[string]system{
	"github":    {".github/workflows/outlast.yml", true, "github.yml", "GitHub: the role's trust in this repository (an OIDC provider in its account)"},
	"gitlab":    {".gitlab-ci.yml", false, "gitlab.yml", "GitLab: job_image in .gitlab-ci.yml: an image with outlast on its PATH, git and docker buildx or buildctl; and a project outlast/outlast of this instance with the component"},
	"circleci":  {".circleci/config.yml", false, "circleci.yml", "CircleCI: the context aws with the credentials, the published orb, and outlast on the executor's PATH"},
	"codebuild": {"buildspec.yml", false, "codebuild.yml", "CodeBuild: an image of the project with outlast on its PATH"},
	"jenkins":   {"Jenkinsfile", false, "jenkins.groovy", "Jenkins: the shared library outlast (library path jenkins), the credentials called deployer, and outlast on the agent's PATH"},
}

// None is the choice of no CI: outlast.yaml only.
const None = "none"

// CIs lists the choices.
func CIs() []string { return []string{"github", "gitlab", "circleci", "codebuild", "jenkins", None} }

// chooseCI takes the one that was named, is in use, or belongs to the remote.
func (p *project) chooseCI() (string, error) {
	if p.CI != "" {
		if !slices.Contains(CIs(), p.CI) {
			return "", fmt.Errorf("reading --ci: %q is none of %s", p.CI, strings.Join(CIs(), ", "))
		}
		return p.CI, nil
	}
	var used []string
	for _, name := range CIs() {
		if name != None && p.uses(name) {
			used = append(used, name)
		}
	}
	switch {
	case len(used) == 1:
		p.see("the CI in use is %s", used[0])
		return used[0], nil
	case len(used) > 1:
		return "", fmt.Errorf("choosing a CI: the configuration of %s is here, and two would deploy the same twice; name one with --ci", strings.Join(used, " and of "))
	}
	host := p.Repository.Host
	switch {
	case host == "github.com":
		p.see("no CI is in use; the remote is on %s", host)
		return "github", nil
	case slices.Contains([]string{"gitlab.com", "gitlab.cn", "jihulab.com"}, host) || strings.HasPrefix(host, "gitlab."):
		p.see("no CI is in use; the remote is on %s", host)
		return "gitlab", nil
	}
	return "", fmt.Errorf("choosing a CI: no configuration of one is in %s, and the remote's host (%s) does not tell; name it with --ci %s", p.Top, cmp.Or(host, "none"), strings.Join(CIs(), "|"))
}

// uses tells whether a CI's configuration is there.
func (p *project) uses(name string) bool {
	if name == "github" {
		for _, pattern := range []string{"*.yml", "*.yaml"} {
			if found, _ := filepath.Glob(filepath.Join(escapeGlob(p.Top), ".github", "workflows", pattern)); len(found) > 0 {
				return true
			}
		}
		return false
	}
	return exists(filepath.Join(p.Top, filepath.FromSlash(systems[name].file))) || name == "circleci" && exists(filepath.Join(p.Top, ".circleci", "config.yaml"))
}

func escapeGlob(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

var shellWord = regexp.MustCompile(`^[A-Za-z0-9._/][A-Za-z0-9._/-]*$`)

// outputs is the folder of a run's outputs, seen from the top.
func (p *project) outputs() string { return path.Join(p.below(), ".outlast") }

// values are those of the CIs' templates.
func (p *project) values() map[string]string {
	return map[string]string{
		"branches": list(p.branches()), "below": quote(p.below()), "groovyBelow": groovy(p.below()), "outputs": p.outputs(),
		"role": cmp.Or(quote(p.RoleARN), `"${{ vars.AWS_ROLE_ARN }}"`), "region": cmp.Or(quote(p.Region), `"${{ vars.AWS_REGION }}"`),
	}
}

// planCI adds the CI's file to the plan, or the snippet for the one that is there.
func (p *project) planCI(plan *Plan, name string) error {
	if name == None {
		return nil
	}
	s := systems[name]
	if name == "codebuild" && !shellWord.MatchString(p.outputs()) {
		return fmt.Errorf("writing %s: the folder %q would need quoting in its commands; rename it, or use --ci none", s.file, p.below())
	}
	text, err := fill(s.template, p.values())
	if err != nil {
		return err
	}
	p.miss("%s", s.needs)
	file := File{Path: s.file, Text: text, Force: s.own && p.Force}
	there := filepath.Join(p.Top, filepath.FromSlash(s.file))
	if s.own || !exists(there) {
		plan.Files = append(plan.Files, file)
		return nil
	}
	if old, err := readFile(there); err == nil && strings.Contains(string(old), "outlast") {
		p.see("%s names outlast already and stays as it is", s.file)
		return nil
	}
	plan.Snippet = file
	return nil
}
