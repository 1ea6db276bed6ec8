// SPDX-License-Identifier: Apache-2.0

// Package run settles what the user, the CI and the checkout say, runs the stages,
// and hands what they leave to people, files and the CI.
package run

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/core"
	"github.com/outlast-ci/outlast/core/event"
	"github.com/outlast-ci/outlast/core/internal/ci"
	"github.com/outlast-ci/outlast/core/internal/cli/exit"
	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
	"github.com/outlast-ci/outlast/core/internal/cli/setup"
	"github.com/outlast-ci/outlast/core/internal/cli/timings"
	"github.com/outlast-ci/outlast/core/internal/config"
	"github.com/outlast-ci/outlast/core/internal/output"
	"github.com/outlast-ci/outlast/core/internal/progress"
	"github.com/outlast-ci/outlast/core/internal/secret"
	"github.com/outlast-ci/outlast/core/render"
)

// App is one call of the program.
type App struct {
	Env     setup.Env
	Secrets *secret.Set
	Told    bool // the error has been shown already
	Explain bool // render is to say more
}

// Call is one run of a command, settled.
type Call struct {
	setup.Call
	app    *App
	outDir string
	report string // path of report.json
}

func (a *App) Call(command string) *Call {
	return &Call{app: a, Call: setup.Call{Env: a.Env, Secrets: a.Secrets, Command: command}}
}

// Settle reads flags, variables, file, CI and git, and chooses the environment.
func (c *Call) Settle(ctx context.Context, flags map[string][]string) (err error) {
	if c.Settings, err = inputs.Read(flags, c.Env.Environ); err != nil {
		return err
	}
	s := c.Settings
	if err := c.app.Enter(s.Text("working-directory")); err != nil {
		return err
	}
	c.Env = c.app.Env
	env := c.Env
	if err := s.ReadFile(env.Dir); err != nil {
		return err
	}
	if c.Facts = ci.Detect(env.Getenv); c.Facts.Stranger != "" {
		return fmt.Errorf("this job is refused: %s", c.Facts.Stranger)
	}
	switch c.Git, err = ci.ReadGit(ctx, s.Dir, env.Environ); {
	case err == nil:
		c.InGit = true
	case !errors.Is(err, ci.ErrNoGit):
		return err
	}
	c.Facts.Commit = cmp.Or(s.Text("commit"), c.Facts.Commit, c.Git.Commit)
	c.Facts.Branch = cmp.Or(s.Text("branch"), c.Facts.Branch, c.Git.Branch)
	c.Facts.RunURL = cmp.Or(s.Text("run-url"), c.Facts.RunURL)
	branch := c.Facts.Branch
	if c.Facts.PullRequest != "" { // what it would change is where its target goes
		branch = cmp.Or(s.Text("branch"), c.Facts.Target, branch)
	}
	if err := s.Choose(branch); err != nil {
		if named := s.Text("manifests") != "" && s.Text("environment") == ""; !named || c.Command != "check" && s.Text("manifests") != render.Stdin {
			return err
		}
		if err := s.ChooseNone(); err != nil {
			return err
		}
	}
	if c.outDir = s.Path("output-dir", env.Dir); c.outDir == "" {
		c.outDir = filepath.Join(s.Dir, ".outlast")
	}
	if c.report = s.Path("report", env.Dir); c.report == "" {
		c.report = filepath.Join(c.outDir, "report.json")
	}
	return nil
}

// Skipped lets a branch without an environment pass, where that is asked for.
func (c *Call) Skipped(err error) error {
	var none *config.NoEnvironmentError
	if errors.As(err, &none) && c.unmatched() == "skip" {
		fmt.Fprintf(c.Env.Stderr, "outlast: skipped: %v\n", err)
		return nil
	}
	return exit.Usage(err)
}

// Enter works in another folder from now on.
func (a *App) Enter(dir string) error {
	if dir == "" {
		return nil
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(a.Env.Dir, dir)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("reading working-directory: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("reading working-directory: %s is no folder", dir)
	}
	a.Env.Dir = dir
	return nil
}

func (c *Call) unmatched() string {
	if c.Settings == nil {
		return ""
	}
	return cmp.Or(c.Settings.Text("unmatched"), c.Settings.File.Values["unmatched"])
}

// prior reads the report of the job that ran the stages before from.
func (c *Call) prior(from string) (core.Report, error) {
	if from == "" || from == "build" || from == "render" && c.Settings.Text("report") == "" {
		return core.Report{}, nil
	}
	text, err := os.ReadFile(c.report)
	if err != nil {
		return core.Report{}, fmt.Errorf("starting at %s: reading the report of the stages before it (--report): %w", from, err)
	}
	var r core.Report
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("reading the report %s: %w", c.report, err)
	}
	if r.Schema != core.Schema {
		return r, fmt.Errorf("reading the report %s: its schema is %q, this version of outlast reads %q", c.report, r.Schema, core.Schema)
	}
	return r, nil
}

// watch runs a verb under a progress display and writes the outputs, whatever
// happened.
func (c *Call) watch(ctx context.Context, cfg core.Config, verb Verb) error {
	env := c.Env
	mask := c.Secrets.Mask
	live := env.Live && c.Facts.Host == "" && c.Settings.Text("progress") != "plain" || c.Settings.Text("progress") == "live"
	console := c.Host().Console(env.Stderr)
	c.Secrets.Tell(console.Hide)
	display := progress.New(progress.Options{W: env.Stderr, Live: live, Width: env.Width, Stages: verb.Stages, Mask: mask, Open: console.Open, Shut: console.Shut})
	log, err := output.NewEventLog(c.outDir, mask)
	if err != nil {
		display.Close()
		return err
	}
	cfg.Observe = func(e event.Event) {
		if e.Time.IsZero() {
			e.Time = time.Now()
		}
		log.Write(e)
		display.Observe(e)
		if e.Kind == event.Warn {
			console.Annotate(ci.Warning, "outlast "+e.Stage, mask(strings.TrimPrefix(e.Subject()+": "+e.Message, ": ")))
		}
	}
	report, runErr := verb.Do(ctx, cfg, c.Clients(cfg))
	display.Close()
	_, report.Reason = exit.Of(ctx, runErr)
	report.Error = mask(report.Error)
	for i := range report.Clusters {
		one := &report.Clusters[i]
		if one.Error = mask(one.Error); one.Result == core.Passed {
			one.Reason = "ok"
		} else if one.Result != core.Pending { // the one at which the run ended
			one.Reason = report.Reason
		}
	}
	err = errors.Join(log.Close(), output.Write(c.outDir, c.report, report, mask), c.publish(ctx, report))
	c.tell(report, runErr, mask)
	if runErr != nil {
		console.Annotate(ci.Failure, "outlast: "+report.Reason, report.Error)
	}
	if runErr != nil {
		return errors.Join(runErr, err)
	}
	return errors.Join(err, c.print(report))
}

// How long the CI's own API may take to hear of the result; a cancelled job is
// killed soon after (GitHub's 2.5 s after SIGTERM), and its report comes first.
const (
	publishTime         = time.Minute
	publishTimeCanceled = 2 * time.Second
)

// publish hands the outputs to the CI that runs us.
func (c *Call) publish(ctx context.Context, r core.Report) error {
	limit, status := publishTime, ci.Success
	switch r.Result {
	case core.Interrupted:
		limit, status = publishTimeCanceled, ci.Canceled
	case core.Failed:
		status = ci.Failed
	}
	mask := c.Secrets.Mask
	out := ci.Result{Facts: c.Facts, App: r.Run.App, Environment: r.Run.Environment, Summary: mask(output.Summary(r)), Status: status,
		Deployed: c.Facts.PullRequest == "" && (c.Command == "deploy" || c.Command == "apply" || c.Command == "rollback")}
	out.Pairs = output.Pairs(r)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	lines, err := c.Host().Publish(ctx, out)
	for _, line := range lines {
		fmt.Fprintf(c.Env.Stderr, "outlast: %s\n", mask(line))
	}
	return err
}

// greet says what is about to happen, and what looks wrong about it.
func (c *Call) greet(cfg core.Config) {
	note := func(kind event.Kind, format string, args ...any) {
		cfg.Observe.Emit(event.Event{Stage: cmp.Or(cfg.From, "build"), Kind: kind, Message: fmt.Sprintf(format, args...)})
	}
	note(event.Note, "outlast %s: %s, environment %s, commit %s, branch %s", cfg.Run.Version, cfg.Run.App,
		cmp.Or(cfg.Run.Environment, "(none)"), cmp.Or(cfg.Run.Commit, "(unknown)"), cmp.Or(cfg.Run.Branch, "(unknown)"))
	if c.Facts.PullRequest != "" && cfg.To == "render" {
		note(event.Warn, "this is a pull request (%s): the manifests are rendered, nothing is built, pushed or applied", c.Facts.PullRequest)
	}
	if c.InGit && c.Git.Dirty && len(cfg.Images) > 0 && c.Settings.Text("tag") == "" {
		note(event.Warn, "the checkout differs from commit %s: images are tagged by their content, not by the commit", c.Git.Commit)
	}
	if text := setup.PlanningValues(c.Settings.Set); text != "" {
		note(event.Note, "drain formulas: %s instead of the planning values", text)
	}
	for _, img := range cfg.Images {
		if rel, err := filepath.Rel(img.Build.Context, c.outDir); err == nil && !strings.HasPrefix(rel, "..") && !ignoresOutput(img.Build.Context, rel) {
			note(event.Warn, "%s lies in the build context of image %s and is not in its .dockerignore: each run would change the image; add the line %s", rel, img.Build.Name, rel)
		}
	}
}

func ignoresOutput(context, rel string) bool {
	text, err := os.ReadFile(filepath.Join(context, ".dockerignore"))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		line = strings.Trim(strings.TrimSpace(line), "/")
		if ok, err := filepath.Match(strings.TrimPrefix(line, "**/"), filepath.ToSlash(rel)); err == nil && ok {
			return true
		}
	}
	return false
}

// tell ends the run with a line for people.
func (c *Call) tell(r core.Report, err error, mask func(string) string) {
	w := setup.Tame(c.Env.Stderr)
	c.app.Told = true
	took := r.Finished.Sub(r.Started).Round(100 * time.Millisecond)
	if err == nil {
		fmt.Fprintf(w, "outlast: %s passed in %s; report: %s\n", c.Command, took, c.report)
		return
	}
	var stage *core.StageError
	where := ""
	if errors.As(err, &stage) && stage.Preflight {
		where = " before anything was changed"
	}
	if r.Result == core.Interrupted && stage != nil {
		fmt.Fprintf(w, "outlast: %s was %s%s after %s, in %s; running it again goes on from there\noutlast: report: %s\n", c.Command, r.Reason, where, took, stage.Stage, c.report)
		return
	}
	fmt.Fprintf(w, "outlast: %s failed%s after %s (%s): %s\n", c.Command, where, took, r.Reason, mask(err.Error()))
	if stage != nil && stage.Stage == "gate" && !stage.Preflight && r.Rollout == nil && len(r.Clusters) == 0 {
		fmt.Fprintln(w, "outlast: nothing was changed by this: what was rolled out stays as it is, and old pods serve until new ones are ready; go back with the tool that made the change")
	} else if stage != nil && stage.Stage == "gate" && !stage.Preflight && r.Rollback == nil && len(r.Clusters) == 0 {
		fmt.Fprintln(w, "outlast: what was applied stays as it is, and old pods serve until new ones are ready; deploy a version that is, or go back with outlast rollback")
	}
	fmt.Fprintf(w, "outlast: report: %s\n", c.report)
}

// tellRendering tells on stderr what rendering set and why, and how each rollout will go.
func (c *Call) tellRendering(r core.Report) {
	w := setup.Tame(c.Env.Stderr)
	if c.Settings.Text("drain-policy") == string(render.Off) {
		fmt.Fprintln(w, "nothing was looked at: the drain policy is off")
		return
	}
	for _, ch := range r.Manifests.Changes {
		fmt.Fprintf(w, "%s %s\n  %s: %s -> %s\n  %s\n", ch.Rule, ch.Object, ch.Field, cmp.Or(ch.From, "(not set)"), cmp.Or(ch.To, "(taken away)"), ch.Why)
	}
	if len(r.Manifests.Changes) == 0 {
		fmt.Fprintln(w, "nothing was set: what is written is safe")
	}
	for _, wl := range r.Manifests.Workloads {
		if !wl.Behind {
			fmt.Fprintf(w, "\n%s: not behind a load balancer, left alone\n", wl.ID())
			continue
		}
		fmt.Fprintf(w, "\n%s, behind %s\n\n%s", wl.ID(), cmp.Or(strings.Join(wl.Balancers, ", "), "a load balancer"), timings.Page(wl.Plan, wl.Strategy))
	}
}

// print puts a command's result on stdout, for machines.
func (c *Call) print(r core.Report) (err error) {
	w := c.Env.Stdout
	switch c.Command {
	case "render":
		if c.app.Explain {
			c.tellRendering(r)
		}
		_, err = w.Write(r.YAML())
	case "push":
		for _, ref := range r.Refs {
			_, err = fmt.Fprintln(w, ref)
		}
	case "build":
		for _, img := range r.Images {
			_, err = fmt.Fprintln(w, cmp.Or(img.Layout, img.Archive)+" "+img.Digest)
		}
	}
	return err
}

// makeDir makes the folder of the outputs, with a .gitignore that hides it.
func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	ignore := dir + "/.gitignore"
	if _, err := os.Stat(ignore); err == nil {
		return nil
	}
	return os.WriteFile(ignore, []byte("*\n"), 0o644)
}
