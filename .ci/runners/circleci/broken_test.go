// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A configuration that CircleCI would refuse is refused here before anything runs.
func TestBrokenConfigurations(t *testing.T) {
	jobs := "version: 2.1\njobs:\n  a:\n    docker: [{image: x}]\n    steps: [checkout, run: 'touch ran']\n  b:\n    docker: [{image: x}]\n    steps: [run: 'touch ran']\n"
	cases := map[string]struct{ config, said string }{
		"another version":                        {"version: 2\njobs: {build: {docker: [{image: x}], steps: [checkout]}}", `version: "2" is not 2.1`},
		"no job to run":                          {"version: 2.1\njobs: {a: {docker: [{image: x}], steps: [checkout]}}", "neither workflows nor a job named build"},
		"a job that is not there":                {jobs + "workflows: {w: {jobs: [c]}}", `there is no "c"`},
		"a job without a machine":                {"version: 2.1\njobs: {build: {steps: [checkout]}}", "want one of docker, machine, macos, executor; there are 0"},
		"a job with two":                         {"version: 2.1\njobs: {build: {docker: [{image: x}], machine: true, steps: [checkout]}}", "there are 2"},
		"an unknown key of a job":                {"version: 2.1\njobs: {build: {docker: [{image: x}], step: [checkout]}}", `jobs.build: unknown key "step"`},
		"a job without steps":                    {"version: 2.1\njobs: {build: {docker: [{image: x}], steps: []}}", "there are no steps"},
		"an unknown step":                        {"version: 2.1\njobs: {build: {docker: [{image: x}], steps: [chekout]}}", `there is no "chekout"`},
		"an unknown key of a step":               {"version: 2.1\njobs: {build: {docker: [{image: x}], steps: [run: {cmd: x}]}}", `unknown key "cmd"`},
		"a run without a command":                {"version: 2.1\njobs: {build: {docker: [{image: x}], steps: [run: {name: x}]}}", "command is missing"},
		"an executor that is not there":          {"version: 2.1\njobs: {build: {executor: x, steps: [checkout]}}", `there is no "x"`},
		"an orb that is not given":               {"version: 2.1\norbs: {x: a/b@1}\njobs: {build: {docker: [{image: x}], steps: [x/y]}}", "a/b is not given"},
		"an orb without a version":               {"version: 2.1\norbs: {x: a/b}\njobs: {build: {docker: [{image: x}], steps: [x/y]}}", "is not NAMESPACE/NAME@VERSION"},
		"an orb that nobody declared":            {"version: 2.1\njobs: {build: {docker: [{image: x}], steps: [x/y]}}", `there is no orb "x"`},
		"jobs that require one another":          {jobs + "workflows: {w: {jobs: [a: {requires: [b]}, b: {requires: [a]}]}}", "a, b require one another"},
		"a job that requires nothing known":      {jobs + "workflows: {w: {jobs: [a: {requires: [c]}]}}", `requires "c", which is no job`},
		"a parameter that is not declared":       {jobs + "workflows: {w: {jobs: [a: {x: 1}]}}", `unknown parameter "x"`},
		"a parameter that is missing":            {"version: 2.1\njobs: {a: {parameters: {x: {type: string}}, docker: [{image: x}], steps: [checkout]}}\nworkflows: {w: {jobs: [a]}}", `parameter "x" is missing`},
		"a parameter of the wrong type":          {"version: 2.1\njobs: {a: {parameters: {x: {type: boolean}}, docker: [{image: x}], steps: [checkout]}}\nworkflows: {w: {jobs: [a: {x: maybe}]}}", "maybe is no boolean"},
		"a word that is not of the enum":         {"version: 2.1\njobs: {a: {parameters: {x: {type: enum, enum: [y]}}, docker: [{image: x}], steps: [checkout]}}\nworkflows: {w: {jobs: [a: {x: z}]}}", "z is none of [y]"},
		"a type that there is not":               {"version: 2.1\njobs: {a: {parameters: {x: {type: text, default: a}}, docker: [{image: x}], steps: [checkout]}}\nworkflows: {w: {jobs: [a]}}", "type text is unknown"},
		"a value of the pipeline that is none":   {jobs + "workflows: {w: {when: << pipeline.parameters.x >>, jobs: [a]}}", "there is no such value"},
		"an unknown operator":                    {jobs + "workflows: {w: {when: {xor: [1, 2]}, jobs: [a]}}", `unknown operator "xor"`},
		"a filter with a word of its own":        {jobs + "workflows: {w: {jobs: [a: {filters: {branches: {except: x}}}]}}", `unknown key "except"`},
		"a command that lacks a parameter":       {"version: 2.1\ncommands: {c: {parameters: {x: {type: string}}, steps: [checkout]}}\njobs: {build: {docker: [{image: x}], steps: [c]}}", `parameter "x" is missing`},
		"steps that are no list":                 {"version: 2.1\njobs: {build: {docker: [{image: x}], steps: checkout}}", "want a list, not string"},
		"text that is no YAML":                   {"version: 2.1\njobs: [", "yaml"},
		"a workflow with nothing in it":          {jobs + "workflows: {w: {jobs: []}}", "there are no jobs"},
		"a word that is both job and no mapping": {"version: 2.1\njobs: {build: 1}", "want a mapping, not int"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "config.yml")
			if err := os.WriteFile(path, []byte(c.config), 0o644); err != nil {
				t.Fatal(err)
			}
			err := run(&Runner{Out: io.Discard, Environ: os.Environ()}, path, dir, "main", "", pairs{}, pairs{}, false)
			if err == nil || !strings.Contains(err.Error(), c.said) {
				t.Errorf("error %v, want %q", err, c.said)
			}
			if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
				t.Error("a step ran")
			}
		})
	}
}
