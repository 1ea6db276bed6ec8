// SPDX-License-Identifier: Apache-2.0

package scaffold

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/outlast-ci/outlast/core/internal/ci"
	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
	"github.com/outlast-ci/outlast/core/internal/config"
)

const object = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec: {containers: [{name: web, image: web}]}\n"

// fataler is a test or one draw of a property.
type fataler interface{ Fatal(args ...any) }

func write(t fataler, dir, name, text string) {
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func options(dir string) Options { return Options{Dir: dir, Top: dir, Scalars: inputs.ScalarKeys()} }

// snapshot is what lies below dir: text by path, links as their target.
func snapshot(t fataler, dir string) map[string]string {
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			all[rel] = "folder"
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			all[rel] = "-> " + target
			return err
		default:
			text, err := os.ReadFile(p)
			all[rel] = string(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Whatever is in the repository: what was there is there after init, ignore
// files with at most one more line; a run that fails leaves nothing.
func TestInitNeverOverwrites(t *testing.T) {
	names := []string{"outlast.yaml", ".gitignore", ".dockerignore", "Dockerfile.dockerignore", ".github", ".github/workflows", ".github/workflows/outlast.yml", ".gitlab-ci.yml",
		".circleci/config.yml", ".circleci", "Jenkinsfile", "buildspec.yml", "deploy/outlast.yaml", "deploy/.gitignore"}
	wrote := 0
	rapid.Check(t, func(t *rapid.T) {
		outer, err := os.MkdirTemp("", "scaffold")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(outer)
		dir := filepath.Join(outer, "repo")
		write(t, outer, "outside", "outside")
		write(t, dir, "deploy/all.yaml", object)
		write(t, dir, "Dockerfile", "FROM scratch\n")
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 4, rapid.ID).Draw(t, "there") {
			path := filepath.Join(dir, filepath.FromSlash(name))
			if os.MkdirAll(filepath.Dir(path), 0o755) != nil {
				continue
			}
			// What another draw has put there already stays.
			switch rapid.SampledFrom([]string{"file", "file", "ignores", "folder", "link", "dangling"}).Draw(t, name) {
			case "folder":
				_ = os.Mkdir(path, 0o755)
			case "link":
				_ = os.Symlink("../outside", path)
			case "dangling":
				_ = os.Symlink("absent", path)
			case "ignores":
				_ = os.WriteFile(path, []byte(".outlast/"), 0o644)
			default:
				_ = os.WriteFile(path, []byte(rapid.SampledFrom([]string{"", "a", "a\n", "a\r\nb\r\n", "!.outlast\n"}).Draw(t, "text")), 0o644)
			}
		}
		before := snapshot(t, outer)
		opt := options(dir)
		opt.CI = rapid.SampledFrom(CIs()).Draw(t, "ci")
		plan, err := New(t.Context(), opt)
		if err == nil {
			err = plan.Write()
		}
		after := snapshot(t, outer)
		if err != nil {
			if diff := cmp.Diff(before, after); diff != "" {
				t.Fatalf("it failed (%v) and left changes: %s", err, diff)
			}
			return
		}
		wrote++
		for name, text := range before {
			added := strings.TrimSpace(strings.TrimPrefix(after[name], text))
			if !strings.HasPrefix(after[name], text) || added != "" && (added != ".outlast" || !strings.HasSuffix(name, "ignore")) {
				t.Fatalf("%s was %q and is %q", name, text, after[name])
			}
		}
		if after["repo/outlast.yaml"] == "" {
			t.Fatal("nothing was written")
		}
	})
	if wrote == 0 {
		t.Error("no draw wrote anything: nothing was proved")
	}
}

// The plan is checked again at the write: what came in between stays.
func TestWriteRefusesWhatCameInBetween(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "deploy/all.yaml", object)
	opt := options(dir)
	opt.CI = "github"
	plan, err := New(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "outlast.yaml", "mine")
	before := snapshot(t, dir)
	var there *ExistsError
	if err := plan.Write(); !errors.As(err, &there) {
		t.Errorf("error %v, want an ExistsError", err)
	}
	if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
		t.Error(diff)
	}
}

// A forced write that fails midway puts back what it replaced.
func TestAForcedWriteIsUndone(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a", "old a")
	write(t, dir, ".gitignore", "x\n")
	write(t, dir, "file", "")
	before := snapshot(t, dir)
	plan := Plan{Top: dir, Files: []File{{Path: "a", Text: "new, and longer", Force: true}, {Path: ".gitignore", Text: ".outlast\n", Append: true}, {Path: "b/c/d", Text: "d"}, {Path: "file/e", Text: "e"}}}
	if err := plan.Write(); err == nil {
		t.Fatal("a file was made below a file")
	}
	if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
		t.Error(diff)
	}
}

func TestBranches(t *testing.T) {
	for name, tc := range map[string]struct {
		environments string
		repository   ci.Repository
		want         string
	}{
		"the usual two":  {"dev prod", ci.Repository{Default: "main", Branches: []string{"develop", "main", "x"}}, "develop main"},
		"master and dev": {"dev prod", ci.Repository{Default: "master", Branches: []string{"dev", "master"}}, "dev master"},
		"a branch of production's name before main":    {"production staging", ci.Repository{Default: "main", Branches: []string{"main", "production", "staging"}}, "production staging"},
		"an environment called main":                   {"main prod", ci.Repository{Default: "main", Branches: []string{"main"}}, "main -"},
		"a trunk of another name":                      {"dev prod", ci.Repository{Default: "trunk", Branches: []string{"trunk"}}, "- trunk"},
		"one environment takes the default branch":     {"eu", ci.Repository{Default: "trunk", Branches: []string{"develop", "trunk"}}, "trunk"},
		"no git: the usual ones":                       {"development live qa", ci.Repository{}, "develop main -"},
		"names that say nothing get none":              {"eu us", ci.Repository{Default: "main", Branches: []string{"main"}}, "- -"},
		"two of production: the first takes the trunk": {"prod production", ci.Repository{Default: "main", Branches: []string{"main"}}, "main -"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &project{Options: Options{Repository: tc.repository}}
			for e := range strings.FieldsSeq(tc.environments) {
				p.environments = append(p.environments, environment{Name: e})
			}
			p.assignBranches()
			var got []string
			for _, e := range p.environments {
				if e.Branch == "" {
					e.Branch = "-"
				}
				got = append(got, e.Branch)
			}
			if strings.Join(got, " ") != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
			if missing := slices.Contains(got, "-"); missing != (len(p.unknown) > 0) {
				t.Errorf("told as unknown: %q", p.unknown)
			}
		})
	}
}

func TestWhichCI(t *testing.T) {
	for name, tc := range map[string]struct {
		files      string
		host, want string
	}{
		"a workflow":                   {".github/workflows/ci.yaml", "gitlab.com", "github"},
		"CircleCI":                     {".circleci/config.yml", "github.com", "circleci"},
		"Jenkins":                      {"Jenkinsfile", "github.com", "jenkins"},
		"CodeBuild":                    {"buildspec.yml", "", "codebuild"},
		"GitLab":                       {".gitlab-ci.yml", "", "gitlab"},
		"a remote on gitlab.cn":        {"", "gitlab.cn", "gitlab"},
		"a GitLab of one's own":        {"", "gitlab.example.com", "gitlab"},
		"a folder of no workflows":     {".github/workflows/README.md", "", "choosing a CI: no configuration"},
		"a host that does not tell":    {"", "git.example.com", "choosing a CI: no configuration of one is in"},
		"two":                          {"Jenkinsfile buildspec.yml", "github.com", "the configuration of codebuild and of jenkins is here"},
		"a name that only begins like": {"", "gitlabs.example.com", "choosing a CI"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "a[b")
			write(t, dir, "README", "")
			for f := range strings.FieldsSeq(tc.files) {
				write(t, dir, f, "x")
			}
			p := &project{Options: Options{Top: dir, Repository: ci.Repository{Host: tc.host}}}
			got, err := p.chooseCI()
			if err != nil {
				got = err.Error()
			}
			if got != tc.want && (err == nil || !strings.Contains(got, tc.want)) {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// Words that a reader of YAML, GitHub or Groovy might take for something else
// arrive as they are, in at most 15 lines a CI.
func TestTheFilesHoldAnyWord(t *testing.T) {
	hostile := "it's \"a\": #b {c} ${{ d }} \\ 新 1.0"
	for _, name := range []string{"yes", "1.0", "null", "0x1F", "plain", hostile, "- a", "*x", "!x", "@x"} {
		dir := t.TempDir()
		write(t, dir, "sub/deploy/all.yaml", object)
		opt := options(dir)
		opt.Dir, opt.App, opt.Cluster, opt.Region = filepath.Join(dir, "sub"), name, name, "cn-"+name
		opt.RoleARN = "arn:aws-cn:iam::111122223333:role/deployer"
		for _, host := range CIs() {
			opt.CI = host
			plan, err := New(t.Context(), opt)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range plan.Files {
				if lines := strings.Count(f.Text, "\n"); !strings.HasSuffix(f.Path, "outlast.yaml") && lines > 15 {
					t.Errorf("%s: %d lines, at most 15", f.Path, lines)
				}
				if path := filepath.Ext(f.Path); path == ".yml" {
					var doc map[string]any
					if err := yaml.Unmarshal([]byte(f.Text), &doc); err != nil {
						t.Errorf("%s: %v\n%s", f.Path, err, f.Text)
					}
				}
			}
			got, err := config.Parse("x", []byte(plan.Files[len(plan.Files)-1].Text), inputs.ScalarKeys())
			if err != nil {
				t.Fatal(err)
			}
			if got.Values["app"] != name || got.Values["clusterName"] != name || got.Values["region"] != "cn-"+name || (got.Values["roleArn"] == "") != (host == "github") {
				t.Errorf("%s: %q came back as %v", host, name, got.Values)
			}
		}
	}
}

func TestQuoting(t *testing.T) {
	if got := groovy("it's \\ \n"); got != `'it\'s \\ \n'` {
		t.Errorf("Groovy: %s", got)
	}
	for text, want := range map[string]bool{".outlast": true, "/.outlast/\r\n": true, "**/.outlast": true, "a\n.outlast\n": true, ".outlast\n!.outlast": false, "outlast": false, "#.outlast": false, "": false, ".outlast2": false} {
		if got := ignored(text); got != want {
			t.Errorf("ignored(%q) = %v", text, got)
		}
	}
}
