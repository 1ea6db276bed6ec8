// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// pipeline is a configuration whose includes and inputs are settled.
type pipeline struct {
	Stages    []string
	Variables map[string]value
	Jobs      map[string]job
}

// job is one of them. rules are not evaluated: every job runs.
type job struct {
	Stage       string           `yaml:"stage"`
	Script      stringList       `yaml:"script"`
	Before      stringList       `yaml:"before_script"`
	After       stringList       `yaml:"after_script"`
	Variables   map[string]value `yaml:"variables"`
	IDTokens    map[string]any   `yaml:"id_tokens"`
	Environment struct {
		Name string `yaml:"name"`
	} `yaml:"environment"`
	Artifacts struct {
		When    string                `yaml:"when"`
		Name    string                `yaml:"name"`
		Paths   []string              `yaml:"paths"`
		Reports map[string]stringList `yaml:"reports"`
	} `yaml:"artifacts"`
}

// stringList is a list, or one word in its stead.
type stringList []string

// UnmarshalYAML takes both.
func (s *stringList) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*s = stringList{n.Value}
		return nil
	}
	return n.Decode((*[]string)(s))
}

// value is a variable's: text, or a mapping with value and expand.
type value struct {
	Text string
	Raw  bool
}

// UnmarshalYAML takes both.
func (v *value) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		v.Text = n.Value
		return nil
	}
	var long struct {
		Value  string `yaml:"value"`
		Expand *bool  `yaml:"expand"`
	}
	err := n.Decode(&long)
	v.Text, v.Raw = long.Value, long.Expand != nil && !*long.Expand
	return err
}

// read settles the project's configuration by gitlab-ci-local.
func read(local []string, project, home, path string) (*pipeline, error) {
	cmd := exec.Command(local[0], append(local[1:], "--preview")...)
	var stderr strings.Builder
	cmd.Dir, cmd.Env, cmd.Stderr = project, []string{"PATH=" + path, "HOME=" + home}, &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w: %s%s", err, out, stderr.String())
	}
	var top map[string]yaml.Node
	if err := yaml.Unmarshal(out, &top); err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	p := &pipeline{Jobs: map[string]job{}}
	for name, node := range top {
		switch name {
		case "stages":
			err = node.Decode(&p.Stages)
		case "variables":
			err = node.Decode(&p.Variables)
		case "default", "workflow", "include":
		default:
			var j job
			if err = node.Decode(&j); err == nil && len(j.Script) > 0 && !strings.HasPrefix(name, ".") {
				p.Jobs[name] = j
			}
		}
		if err != nil {
			return nil, fmt.Errorf("reading the configuration: %s: %w", name, err)
		}
	}
	if len(p.Jobs) == 0 {
		return nil, fmt.Errorf("reading the configuration: there are no jobs in\n%s", out)
	}
	return p, nil
}

// order lists the jobs by stage, then by name.
func (p *pipeline) order() []string {
	names := slices.Sorted(maps.Keys(p.Jobs))
	slices.SortStableFunc(names, func(a, b string) int {
		return slices.Index(p.Stages, p.Jobs[a].Stage) - slices.Index(p.Stages, p.Jobs[b].Stage)
	})
	return names
}

// The payload that a runner gets: GitLab's own words.
type payload struct {
	ID           int             `json:"id"`
	Token        string          `json:"token"`
	AllowFetch   bool            `json:"allow_git_fetch"`
	JobInfo      map[string]any  `json:"job_info"`
	GitInfo      map[string]any  `json:"git_info"`
	RunnerInfo   map[string]any  `json:"runner_info"`
	Variables    []variable      `json:"variables"`
	Steps        []step          `json:"steps"`
	Artifacts    []artifact      `json:"artifacts"`
	Cache        []any           `json:"cache"`
	Credentials  []any           `json:"credentials"`
	Dependencies []any           `json:"dependencies"`
	Services     []any           `json:"services"`
	Features     map[string]any  `json:"features"`
	Image        *map[string]any `json:"image"`
}

type variable struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Public bool   `json:"public"`
	Masked bool   `json:"masked"`
	Raw    bool   `json:"raw"`
}

type step struct {
	Name         string   `json:"name"`
	Script       []string `json:"script"`
	Timeout      int      `json:"timeout"`
	When         string   `json:"when"`
	AllowFailure bool     `json:"allow_failure"`
}

type artifact struct {
	Name   string   `json:"name"`
	Paths  []string `json:"paths"`
	When   string   `json:"when"`
	Type   string   `json:"artifact_type"`
	Format string   `json:"artifact_format"`
	Expire string   `json:"expire_in"`
}

// checkout is what git says of the project.
type checkout struct{ dir, sha, branch string }

// payload makes the job's. Later variables win: the configuration's, what
// earlier jobs left, the project's, then the tokens.
func (p *pipeline) payload(id int, name string, git checkout, left, project []variable, timeout int) payload {
	j := p.Jobs[name]
	token := fmt.Sprintf("glcbt-64_loopback-job-%d", id)
	vars := []variable{{Key: "CI", Value: "true"}, {Key: "GITLAB_CI", Value: "true"}, {Key: "CI_JOB_ID", Value: fmt.Sprint(id)}, {Key: "CI_JOB_NAME", Value: name}, {Key: "CI_JOB_STAGE", Value: j.Stage},
		{Key: "CI_PROJECT_ID", Value: "7"}, {Key: "CI_PROJECT_PATH", Value: "acme/web"}, {Key: "CI_COMMIT_SHA", Value: git.sha}, {Key: "CI_COMMIT_BRANCH", Value: git.branch}, {Key: "CI_COMMIT_REF_NAME", Value: git.branch}, {Key: "CI_COMMIT_REF_SLUG", Value: git.branch},
		{Key: "CI_JOB_TOKEN", Value: token, Masked: true}, {Key: "CI_ENVIRONMENT_NAME", Value: strings.ReplaceAll(j.Environment.Name, "$CI_COMMIT_REF_SLUG", git.branch)}}
	for _, group := range []map[string]value{p.Variables, j.Variables} {
		for _, key := range slices.Sorted(maps.Keys(group)) {
			vars = append(vars, variable{Key: key, Value: group[key].Text, Public: true, Raw: group[key].Raw})
		}
	}
	vars = append(append(vars, left...), project...)
	last := map[string]int{}
	for i, v := range vars {
		last[v.Key] = i
	}
	var settled []variable
	for i, v := range vars {
		if last[v.Key] == i {
			settled = append(settled, v)
		}
	}
	out := payload{ID: id, Token: token, AllowFetch: true, Variables: settled, RunnerInfo: map[string]any{"timeout": timeout},
		JobInfo: map[string]any{"id": id, "name": name, "stage": j.Stage, "project_id": 7, "project_name": "web"},
		GitInfo: map[string]any{"repo_url": "file://" + git.dir, "ref": git.branch, "sha": git.sha, "before_sha": strings.Repeat("0", 40), "ref_type": "branch",
			"refspecs": []string{"+refs/heads/" + git.branch + ":refs/remotes/origin/" + git.branch}, "depth": 20},
		Features: map[string]any{"trace_sections": true, "failure_reasons": []string{"unknown_failure", "script_failure", "runner_system_failure", "job_execution_timeout", "job_canceled"}},
		Cache:    []any{}, Credentials: []any{}, Dependencies: []any{}, Services: []any{}}
	out.Steps = []step{{Name: "script", Script: append(slices.Clone(j.Before), j.Script...), Timeout: timeout, When: "on_success"}}
	if len(j.After) > 0 {
		out.Steps = append(out.Steps, step{Name: "after_script", Script: j.After, Timeout: timeout, When: "always", AllowFailure: true})
	}
	when := j.Artifacts.When
	if when == "" {
		when = "on_success"
	}
	if len(j.Artifacts.Paths) > 0 {
		out.Artifacts = append(out.Artifacts, artifact{Name: j.Artifacts.Name, Paths: j.Artifacts.Paths, When: when, Type: "archive", Format: "zip", Expire: "1 day"})
	}
	for _, kind := range slices.Sorted(maps.Keys(j.Artifacts.Reports)) {
		name := map[string]string{"junit": "junit.xml", "dotenv": ".env"}[kind]
		out.Artifacts = append(out.Artifacts, artifact{Name: name, Paths: j.Artifacts.Reports[kind], When: "always", Type: kind, Format: "gzip", Expire: "1 day"})
	}
	return out
}
