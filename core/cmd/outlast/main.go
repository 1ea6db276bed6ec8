// SPDX-License-Identifier: Apache-2.0

// Command outlast ships a containerised service to Kubernetes behind an AWS
// load balancer without losing one request. See outlast --help.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/outlast-ci/outlast/core/internal/cli"
)

// version is set by the build: -ldflags "-X main.version=v1.2.3".
var version = "dev"

func main() {
	dir, err := os.Getwd()
	if err != nil {
		fmt.Fprintln(os.Stderr, "outlast: finding the working folder:", err)
		os.Exit(1)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		if first := <-signals; first == syscall.SIGTERM {
			cancel(cli.ErrTerminated())
		} else {
			cancel(context.Canceled)
		}
		// A CI that cancels sends SIGTERM some seconds after SIGINT: that does not
		// hurry the report. A second Ctrl-C ends at once.
		for next := range signals {
			if next == os.Interrupt {
				os.Exit(130)
			}
		}
	}()
	stderr := int(os.Stderr.Fd())
	os.Exit(cli.Main(ctx, cli.Env{
		Args: os.Args[1:], Environ: os.Environ(), Dir: dir, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Live: term.IsTerminal(stderr) && os.Getenv("TERM") != "dumb" && os.Getenv("CI") == "",
		Width: func() int {
			if width, _, err := term.GetSize(stderr); err == nil {
				return width
			}
			return 100
		},
		UID: os.Getuid(), Version: version,
	}))
}
