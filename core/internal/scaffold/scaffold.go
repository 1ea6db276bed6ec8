// SPDX-License-Identifier: Apache-2.0

// Package scaffold makes a repository ready for outlast: what is in the
// repository goes in; outlast.yaml, the CI's configuration and lines of ignore
// files come out as a Plan, which is rendered once before its first write.
package scaffold

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/internal/ci"
	"github.com/outlast-ci/outlast/core/internal/config"
	"github.com/outlast-ci/outlast/core/render"
)

// Options say where to look, and what looking cannot tell.
type Options struct {
	Dir        string        // absolute; the project is here, or in the nearest folder above that has manifests
	Top        string        // top of the repository; empty: Dir
	Repository ci.Repository // what git knows; the zero value: nothing
	CI         string        // one of CIs, or none; empty: the one in use, else the remote's host's
	App        string        // empty: the repository's name, then the folder's
	Cluster    string        // empty: told as unknown, as are Region and RoleARN
	Region     string
	RoleARN    string
	Scalars    []string // plain keys of outlast.yaml
	Force      bool     // overwrite outlast.yaml and the workflow file, which are nobody else's
}

// Plan is what is written, and what is told about it.
type Plan struct {
	Top     string // folder that File.Path is relative to
	Files   []File
	Snippet File     // to be added by hand to a file that is there already; Path is empty when there is none
	Seen    []string // what was found
	Unknown []string // what nothing told, with the place to fill in
}

// File is one write.
type File struct {
	Path   string // slashes
	Text   string
	Append bool // the Text is added to what is there; else the file is made
	Force  bool // it may replace a file
}

// RenderError says that the manifests do not render, or break a drain rule
// that outlast cannot fix.
type RenderError struct {
	Environment string
	Err         error
}

func (e *RenderError) Error() string {
	return fmt.Sprintf("trying environment %s: %v", e.Environment, e.Err)
}
func (e *RenderError) Unwrap() error { return e.Err }

var roleARN = regexp.MustCompile(`^arn:[a-z-]+:iam::[0-9]{12}:role/\S+$`)

// project is what was found, by the time a step needs it.
type project struct {
	Options
	dir          string // folder of outlast.yaml
	environments []environment
	images       []config.Image
	seen         []string
	unknown      []string
}

// below is the project's folder seen from the top, "" for the top itself.
func (p *project) below() string {
	rel, err := filepath.Rel(p.Top, p.dir)
	if err != nil || rel == "." {
		return ""
	}
	return filepath.ToSlash(rel)
}

func (p *project) see(format string, args ...any) {
	p.seen = append(p.seen, fmt.Sprintf(format, args...))
}
func (p *project) miss(format string, args ...any) {
	p.unknown = append(p.unknown, fmt.Sprintf(format, args...))
}

// New looks at the repository and plans; it writes nothing.
func New(ctx context.Context, opt Options) (Plan, error) {
	p, err := open(opt)
	if err != nil {
		return Plan{}, err
	}
	host, err := p.chooseCI()
	if err != nil {
		return Plan{}, err
	}
	if err := p.findEnvironments(); err != nil {
		return Plan{}, err
	}
	p.assignBranches()
	if err := p.readManifests(ctx); err != nil {
		return Plan{}, err
	}
	if err := p.findImages(); err != nil {
		return Plan{}, err
	}
	text, err := p.outlastYAML(host)
	if err != nil {
		return Plan{}, err
	}
	if err := p.try(ctx, text); err != nil {
		return Plan{}, err
	}
	plan := Plan{Top: p.Top}
	if err := p.planCI(&plan, host); err != nil {
		return Plan{}, err
	}
	if err := p.planIgnores(&plan); err != nil {
		return Plan{}, err
	}
	// The last one written: where it is, the rest is, too.
	plan.Files = append(plan.Files, File{Path: path.Join(p.below(), "outlast.yaml"), Text: text, Force: opt.Force})
	plan.Seen, plan.Unknown = p.seen, p.unknown
	return plan, plan.check()
}

// open finds the project's folder.
func open(opt Options) (*project, error) {
	p := &project{Options: opt}
	var err error
	if p.Dir, err = filepath.EvalSymlinks(opt.Dir); err != nil {
		return nil, fmt.Errorf("looking at the repository: %w", err)
	}
	if info, err := os.Stat(p.Dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("looking at the repository: %s is no folder", opt.Dir)
	}
	if p.Top == "" {
		p.Top = p.Dir
	}
	if p.Top, err = filepath.EvalSymlinks(p.Top); err != nil {
		return nil, fmt.Errorf("looking at the repository: %w", err)
	}
	if opt.RoleARN != "" && !roleARN.MatchString(opt.RoleARN) {
		return nil, fmt.Errorf("reading role-arn: %q is no ARN of a role: arn:PARTITION:iam::ACCOUNT:role/NAME", opt.RoleARN)
	}
	p.dir = p.chooseFolder()
	for d := p.Dir; !opt.Force; d = filepath.Dir(d) {
		if there := filepath.Join(d, "outlast.yaml"); exists(there) {
			return nil, &ExistsError{[]string{p.short(there)}}
		}
		if d == p.dir || d == p.Top || d == filepath.Dir(d) {
			break
		}
	}
	p.App = cmp.Or(p.App, p.appName())
	return p, nil
}

// chooseFolder is the nearest folder from Dir up that has manifests. One above
// is taken when these are its own, too: outlast.yaml stands beside deploy/, not
// in it.
func (p *project) chooseFolder() string {
	chosen, nearest := p.Dir, ""
	for d := p.Dir; ; d = filepath.Dir(d) {
		found := find(d, p.Repository.Branches)
		switch {
		case nearest == "" && (len(found) > 0 || hasChart(d)):
			chosen, nearest = d, d
		case nearest != "" && slices.ContainsFunc(found, func(e environment) bool {
			return strings.HasPrefix(filepath.Join(d, e.Manifests)+string(filepath.Separator), nearest+string(filepath.Separator))
		}):
			chosen = d
		}
		if d == p.Top || d == filepath.Dir(d) {
			return chosen
		}
	}
}

// appName is the repository's name; in a project below its top, the folder's.
func (p *project) appName() string {
	if p.dir == p.Top && p.Repository.Name() != "" {
		return p.Repository.Name()
	}
	return filepath.Base(p.dir)
}

// short is a path as messages tell it.
func (p *project) short(abs string) string {
	if rel, err := filepath.Rel(p.Top, abs); err == nil && !strings.HasPrefix(rel, "..") {
		return filepath.ToSlash(rel)
	}
	return abs
}

// readManifests renders every environment as its author wrote it, for what
// runs there.
func (p *project) readManifests(ctx context.Context) error {
	for i := range p.environments {
		e := &p.environments[i]
		r, err := render.Render(ctx, render.Options{Path: filepath.Join(p.dir, filepath.FromSlash(e.Manifests)), Root: p.Top, Policy: render.Off, Drain: drain.Defaults()})
		if err != nil {
			return &RenderError{e.Name, err}
		}
		e.images = map[string]string{}
		spaces, behind := map[string]bool{}, 0
		for _, w := range r.Workloads {
			spaces[cmp.Or(w.Namespace, "default")] = true
			if w.Behind {
				behind++
			}
			for _, image := range w.Images {
				e.images[imageName(image)] = image
			}
		}
		p.see("environment %s: %s, branch %s, namespace %s, %d of %d workloads behind a load balancer", e.Name, e.Manifests, cmp.Or(e.Branch, "(none)"),
			cmp.Or(strings.Join(slices.Sorted(maps.Keys(spaces)), ", "), "(none)"), behind, len(r.Workloads))
		if behind == 0 {
			p.miss("environment %s: no workload is behind an Ingress of class alb, a Service of class nlb or a TargetGroupBinding, so nothing drains there", e.Name)
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
