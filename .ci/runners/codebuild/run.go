// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// driver is the one shell that runs all commands of a build: it takes the
// path of a file with a command from one pipe, and gives its exit code to
// another, so that what a command sets is there for the next one.
const driver = `while IFS= read -r codebuild_command <&8; do
	command . "$codebuild_command" </dev/null
	echo "$?" >&9
done`

// Build is one run of a buildspec.
type Build struct {
	Spec    *Spec
	Dir     string            // source folder
	Environ []string          // of the project
	Secrets map[string]string // values of the parameter store and the secrets manager, by their names there
	Out     io.Writer
	Work    string // folder for the commands' files

	log      io.Writer
	tasks    io.Writer
	codes    *bufio.Reader
	number   int
	failing  bool
	hides    *strings.Replacer
	Exported map[string]string
	Stored   []string // files of reports and artifacts that were found: "report GROUP PATH", "artifact NAME PATH"
}

// ErrFailed says that a phase failed; its commands have said why.
var ErrFailed = errors.New("the build failed")

// errShell says that a command ended the shell that all others need.
var errShell = errors.New("the command ended the shell (exit, exec or set -e)")

// environ resolves the variables, in CodeBuild's order: the project's win over
// the buildspec's.
func (b *Build) environ() ([]string, error) {
	all := map[string]string{}
	maps.Copy(all, b.Spec.Env.Variables)
	var hidden []string
	for _, group := range []map[string]string{b.Spec.Env.ParameterStore, b.Spec.Env.SecretsManager} {
		for n, where := range group {
			value, ok := b.Secrets[where]
			if !ok {
				return nil, fmt.Errorf("env.%s: there is no parameter or secret %s", n, where)
			}
			all[n] = value
			hidden = append(hidden, value, "***")
		}
	}
	b.hides = strings.NewReplacer(hidden...)
	for n, v := range map[string]string{"CI": "true", "CODEBUILD_BUILD_ID": "project:1", "CODEBUILD_BUILD_NUMBER": "1", "CODEBUILD_SRC_DIR": b.Dir, "CODEBUILD_BUILD_SUCCEEDING": "1", "CODEBUILD_INITIATOR": "runner"} {
		all[n] = v
	}
	for _, pair := range b.Environ {
		n, v, _ := strings.Cut(pair, "=")
		all[n] = v
	}
	var list []string
	for _, n := range slices.Sorted(maps.Keys(all)) {
		list = append(list, n+"="+all[n])
	}
	return list, nil
}

// Run runs all phases. ErrFailed: a command failed.
func (b *Build) Run() error {
	environ, err := b.environ()
	if err != nil {
		return err
	}
	shell := b.Spec.Env.Shell
	if shell == "" {
		shell = "sh"
	}
	taskRead, taskWrite, err := os.Pipe()
	if err != nil {
		return err
	}
	codeRead, codeWrite, err := os.Pipe()
	if err != nil {
		return err
	}
	said, saying, err := os.Pipe() // for the commands and for us, so that lines keep their order
	if err != nil {
		return err
	}
	cmd := exec.Command(shell, "-c", driver)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = b.Dir, environ, saying, saying
	cmd.ExtraFiles = []*os.File{nil, nil, nil, nil, nil, taskRead, codeWrite} // 8 and 9
	if err := cmd.Start(); err != nil {
		return err
	}
	taskRead.Close()
	codeWrite.Close()
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		for lines := bufio.NewReader(said); ; {
			line, err := lines.ReadString('\n')
			io.WriteString(b.Out, b.hides.Replace(line)) //nolint:errcheck // the log
			if err != nil {
				return
			}
		}
	}()
	b.log, b.tasks, b.codes = saying, taskWrite, bufio.NewReader(codeRead)
	result := b.phases()
	if err := b.export(); err != nil && result == nil {
		result = err
	}
	taskWrite.Close()
	cmd.Wait() //nolint:errcheck // the commands' codes are known
	saying.Close()
	<-shown
	codeRead.Close()
	return errors.Join(result, b.store())
}

// phases runs them in order: nothing follows a failed install or pre_build, but
// post_build follows a failed build.
func (b *Build) phases() error {
	failed := false
	for _, p := range b.Spec.all() {
		if failed && p.name != "post_build" {
			continue
		}
		fmt.Fprintf(b.log, "[codebuild] phase %s\n", p.name)
		code, err := b.phase(p.phase)
		if err != nil {
			return fmt.Errorf("phase %s: %w", p.name, err)
		}
		if code == 0 {
			continue
		}
		fmt.Fprintf(b.log, "[codebuild] phase %s failed: exit status %d\n", p.name, code)
		if p.phase.OnFailure == "CONTINUE" {
			continue
		}
		failed = true
		if p.name == "install" || p.name == "pre_build" || p.phase.OnFailure == "ABORT" {
			return ErrFailed
		}
		b.failing = true
	}
	if failed {
		return ErrFailed
	}
	return nil
}

// phase gives the code of the first command that failed, of finally, too.
func (b *Build) phase(p *Phase) (failed int, err error) {
	for _, command := range p.Commands {
		fmt.Fprintf(b.log, "[codebuild] running command %s\n", first(command))
		if failed, err = b.command(command); failed != 0 || err != nil {
			break
		}
	}
	if err != nil {
		return 0, err
	}
	for _, command := range p.Finally {
		fmt.Fprintf(b.log, "[codebuild] running finally %s\n", first(command))
		code, err := b.command(command)
		if err != nil {
			return 0, err
		}
		if failed == 0 {
			failed = code
		}
	}
	return failed, nil
}

func first(command string) string {
	line, _, more := strings.Cut(strings.TrimSpace(command), "\n")
	if more {
		line += " ..."
	}
	return line
}

// command runs one in the build's shell.
func (b *Build) command(text string) (int, error) {
	b.number++
	if b.Spec.Version == "0.1" { // what it sets is for itself
		text = "(\n" + text + "\n)"
	}
	if b.failing {
		text = "export CODEBUILD_BUILD_SUCCEEDING=0\n" + text
	}
	file := filepath.Join(b.Work, fmt.Sprintf("command-%d", b.number))
	if err := os.WriteFile(file, []byte(text+"\n"), 0o644); err != nil {
		return 0, err
	}
	if _, err := fmt.Fprintln(b.tasks, file); err != nil {
		return 0, errShell
	}
	line, err := b.codes.ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("%w: %s", errShell, first(text))
	}
	return strconv.Atoi(strings.TrimSpace(line))
}

// export reads the exported variables from the shell.
func (b *Build) export() error {
	b.Exported = map[string]string{}
	for _, n := range b.Spec.Env.ExportedVariables {
		file := filepath.Join(b.Work, "exported")
		code, err := b.command("printenv " + n + " >'" + file + "'")
		if err != nil {
			return nil //nolint:nilerr // the shell is gone, which has been told
		}
		if code != 0 {
			continue // never set
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		b.Exported[n] = strings.TrimSuffix(string(text), "\n")
	}
	return nil
}

// store looks for the files of reports and artifacts.
func (b *Build) store() error {
	for _, group := range slices.Sorted(maps.Keys(b.Spec.Reports)) {
		r := b.Spec.Reports[group]
		found, err := match(b.Dir, r.BaseDirectory, r.Files, nil)
		if err != nil {
			return fmt.Errorf("reports.%s: %w", group, err)
		}
		if len(found) == 0 {
			fmt.Fprintf(b.Out, "[codebuild] report %s: no file matches\n", group)
		}
		for _, f := range found {
			b.Stored = append(b.Stored, "report "+group+" "+f)
		}
	}
	all := maps.Clone(b.Spec.Artifacts.Secondary)
	if all == nil {
		all = map[string]Artifacts{}
	}
	all["primary"] = b.Spec.Artifacts
	for _, n := range slices.Sorted(maps.Keys(all)) {
		a := all[n]
		found, err := match(b.Dir, a.BaseDirectory, a.Files, a.ExcludePaths)
		if err != nil {
			return fmt.Errorf("artifacts %s: %w", n, err)
		}
		for _, f := range found {
			b.Stored = append(b.Stored, "artifact "+n+" "+f)
		}
	}
	return nil
}

// match lists files below a folder by CodeBuild's patterns: * and **.
func match(dir, base string, patterns, without []string) (found []string, err error) {
	compile := func(list []string) (all []*regexp.Regexp) {
		for _, p := range list {
			p = strings.TrimPrefix(path.Clean(p), "./")
			text := regexp.QuoteMeta(p)
			text = strings.NewReplacer(`\*\*/`, `(.*/)?`, `\*\*`, `.*`, `\*`, `[^/]*`, `\?`, `[^/]`).Replace(text)
			all = append(all, regexp.MustCompile("^"+text+"$"))
		}
		return all
	}
	in, out := compile(patterns), compile(without)
	top := filepath.Join(dir, base)
	if filepath.IsAbs(base) {
		top = base
	}
	err = filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		rel, err := filepath.Rel(top, p)
		hit := func(r *regexp.Regexp) bool { return r.MatchString(filepath.ToSlash(rel)) }
		if err == nil && slices.ContainsFunc(in, hit) && !slices.ContainsFunc(out, hit) {
			found = append(found, filepath.ToSlash(rel))
		}
		return err
	})
	return found, err
}
