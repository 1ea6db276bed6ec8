// SPDX-License-Identifier: Apache-2.0

// Command gitlab-run runs a project's GitLab pipeline with the real GitLab
// Runner, for tests: gitlab-ci-local settles includes and inputs, a small
// coordinator on loopback hands out the jobs, and the runner's shell executor
// runs them. Every job runs: rules are not evaluated.
//
//	gitlab-run --local "NODE INDEX.JS" [--runner PROGRAM] [--env NAME=VALUE]... [--masked NAME=VALUE]...
//	           [--cancel-after TEXT [--cancel-as canceled|canceling]] [--timeout SECONDS] --out DIR PROJECT
//
// What a job uploads is below DIR/JOB: archive.zip, junit, dotenv.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

type pairs struct {
	to     *[]variable
	masked bool
}

func (p pairs) String() string { return "" }
func (p pairs) Set(s string) error {
	name, value, ok := strings.Cut(s, "=")
	if !ok {
		return errors.New("want NAME=VALUE")
	}
	*p.to = append(*p.to, variable{Key: name, Value: value, Masked: p.masked, Raw: true})
	return nil
}

// options are the command's.
type options struct {
	local, runner, cancel, as, out, project string
	timeout                                 int
	vars                                    []variable
}

func main() {
	var o options
	flag.StringVar(&o.local, "local", "", "command of gitlab-ci-local")
	flag.StringVar(&o.runner, "runner", "gitlab-runner", "program of the runner")
	flag.StringVar(&o.cancel, "cancel-after", "", "cancel the job when its log has this text")
	flag.StringVar(&o.as, "cancel-as", "canceled", "canceled or canceling")
	flag.StringVar(&o.out, "out", "", "folder for what jobs upload")
	flag.IntVar(&o.timeout, "timeout", 600, "seconds that a job may take")
	flag.Var(pairs{&o.vars, false}, "env", "variable of the project, NAME=VALUE")
	flag.Var(pairs{&o.vars, true}, "masked", "masked variable of the project, NAME=VALUE")
	flag.Parse()
	if flag.NArg() != 1 || o.out == "" || o.local == "" {
		fmt.Fprintln(os.Stderr, "usage: gitlab-run [flags] PROJECT; see -help")
		os.Exit(2)
	}
	o.project = flag.Arg(0)
	ok, err := run(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "gitlab-run:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

func run(o options) (bool, error) {
	out, err := filepath.Abs(o.out)
	if err != nil {
		return false, err
	}
	project, err := filepath.Abs(o.project)
	if err != nil {
		return false, err
	}
	home := filepath.Join(out, "home")
	if err := os.MkdirAll(home, 0o755); err != nil {
		return false, err
	}
	p, err := read(strings.Fields(o.local), project, home, os.Getenv("PATH"))
	if err != nil {
		return false, err
	}
	git := checkout{dir: project}
	for field, args := range map[*string][]string{&git.sha: {"rev-parse", "HEAD"}, &git.branch: {"symbolic-ref", "--short", "HEAD"}} {
		text, err := exec.Command("git", append([]string{"-C", project}, args...)...).Output()
		if err != nil {
			return false, fmt.Errorf("asking git at %s: %w", project, err)
		}
		*field = strings.TrimSpace(string(text))
	}
	var left []variable
	for i, name := range p.order() {
		dir := filepath.Join(out, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return false, err
		}
		c := &coordinator{job: p.payload(i+1, name, git, left, o.vars, o.timeout), dir: dir, out: os.Stdout, cancel: o.cancel, as: o.as}
		fmt.Printf("[gitlab] job %s\n", name)
		if err := c.serve(o, out, home); err != nil {
			return false, err
		}
		fmt.Printf("\n[gitlab] job %s: %s %s exit code %d, canceled: %v\n", name, c.end.State, c.end.FailureReason, c.end.ExitCode, c.canceled())
		if c.end.State != "success" || c.canceled() {
			return false, nil
		}
		left = append(left, dotenv(dir)...)
	}
	return true, nil
}

// serve hands the one job to a runner and waits for its end.
func (c *coordinator) serve(o options, out, home string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: c}
	go server.Serve(l) //nolint:errcheck // closed below
	defer server.Close()
	config := filepath.Join(out, "config.toml")
	text := fmt.Sprintf("concurrent = 1\ncheck_interval = 1\n[[runners]]\n  name = \"loopback\"\n  url = \"http://%s\"\n  id = 1\n  token = \"glrt-loopback\"\n  executor = \"shell\"\n  shell = \"bash\"\n  builds_dir = %q\n  cache_dir = %q\n",
		l.Addr(), filepath.Join(out, "builds"), filepath.Join(out, "cache"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(out, "runner.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(o.runner, "run-single", "--config", config, "--runner", "loopback", "--max-builds", "1", "--wait-timeout", "20")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "LANG=C.UTF-8"}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(log.Name()) //nolint:errcheck // for the message only
		return fmt.Errorf("running %s: %w\n%s", o.runner, err, said)
	}
	if !c.given || c.end.State == "" && !c.canceled() {
		return errors.New("the runner has not run the job; see runner.log")
	}
	return nil
}
