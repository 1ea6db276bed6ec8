// SPDX-License-Identifier: Apache-2.0

// Command lab is a loopback EKS with an imitated AWS around it: a real API
// server, kubelet, containerd, BuildKit, registry and the real AWS Load
// Balancer Controller, with load balancers that drain the way AWS's do.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/outlast-ci/outlast/lab/internal/labstate"
)

// command is one verb of the lab. Hidden ones are run by the lab itself.
type command struct {
	name, about string
	hidden      bool
	run         func(ctx context.Context, dir string, args []string) error
}

func commands() []command {
	return []command{
		{"up", "bring the lab up, or what of it is missing", false, up},
		{"down", "take it down; --purge also forgets its state", false, down},
		{"status", "print what runs", false, status},
		{"deploy", "outlast deploy with the lab's environment, here or in examples/web", false, deploy},
		{"load", "send requests to the example and print what became of them", false, sendLoad},
		{"demo", "deploy the example, then its next version under load", false, demo},
		{"experiment", "roll out under load with different drain timings, and compare", false, runExperiment},
		{"soak", "deploy good and bad images again and again, kill outlast on the way, and count", false, runSoak},
		{"faults", "make the imitated AWS throttle, fail, be slow or break off: see lab faults -h", false, faults},
		{"alarm", "list CloudWatch's alarms, make one or change its state: see lab alarm -h", false, alarms},
		{"logs", "print the access log of the balancers, each line with its diagnosis", false, accessLogs},
		{"env", "print the environment for outlast: eval \"$(lab env)\"", false, env},
		{"tools", "build the programs named and print a folder that holds them", false, programs},
		{"kubectl", "run kubectl as the cluster's administrator", false, kubectl},
		{"cloud", "be the imitated AWS", true, runCloud},
		{"credentials", "be the kubelet's credential provider", true, credentialsCommand},
		{"docker-credential", "be a Docker credential helper", true, dockerCredential},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := dispatch(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

func dispatch(ctx context.Context, args []string) error {
	if filepath.Base(os.Args[0]) == "docker-credential-outlast-lab" {
		args = append([]string{"docker-credential"}, args...)
	}
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		fmt.Println("lab: a loopback EKS with an imitated AWS around it")
		for _, c := range commands() {
			if !c.hidden {
				fmt.Printf("  lab %-10s %s\n", c.name, c.about)
			}
		}
		return nil
	}
	dir, err := labstate.DefaultDir(os.Getenv)
	if err != nil {
		return err
	}
	for _, c := range commands() {
		if c.name == args[0] {
			err := c.run(ctx, dir, args[1:])
			if errors.Is(err, flag.ErrHelp) {
				return nil
			}
			return err
		}
	}
	return fmt.Errorf("unknown command %q; see lab help", args[0])
}

// source finds the lab's module folder from the working folder upwards.
func source() (string, error) {
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for d := wd; ; d = filepath.Dir(d) {
		for _, candidate := range []string{d, filepath.Join(d, "lab")} {
			if _, err := os.Stat(filepath.Join(candidate, "kube", "go.mod")); err == nil {
				return candidate, nil
			}
		}
		if d == filepath.Dir(d) {
			return "", errors.New("the lab's sources are not here: run it from a checkout of the project")
		}
	}
}
