// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/alb/watch"
	"github.com/outlast-ci/outlast/lab/internal/cluster"
	"github.com/outlast-ci/outlast/lab/internal/labstate"
	"github.com/outlast-ci/outlast/lab/internal/proc"
	"github.com/outlast-ci/outlast/lab/internal/tools"
)

// say prints progress; results go to stdout, this goes to stderr.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "lab: "+format+"\n", args...) }

func up(ctx context.Context, dir string, args []string) error {
	fs := flag.NewFlagSet("lab up", flag.ContinueOnError)
	region := fs.String("region", "", "region of the cluster (default: that of the lab that is there, or cn-northwest-1)")
	propagation := fs.String("propagation", "", "MIN-MAX: how long a balancer's nodes go on sending to a deregistered target (default "+labstate.Propagation+", the slow end of the 10s-17s measured on real ones)")
	requeue := fs.String("requeue", "", "how often the controller looks at readiness gates; one that runs with another is restarted (default 3s; the controller's own is 15s)")
	if err := fs.Parse(args); err != nil {
		return err
	}
	src, err := source()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	before, err := labstate.Load(dir)
	if err != nil { // none yet
		if *region == "" {
			*region = "cn-northwest-1"
		}
		if *propagation == "" {
			*propagation = labstate.Propagation
		}
	}
	if before.Started && *propagation != "" && *propagation != before.Propagation {
		return fmt.Errorf("the lab is up with a propagation of %s; take it down first", before.Propagation)
	}
	if _, err := watch.ParseRange(*propagation); err != nil && *propagation != "" {
		return err
	}
	if before.Started && *requeue != "" && *requeue != before.Requeue {
		if err := proc.Stop(dir, "controller", 20*time.Second); err != nil {
			return err
		}
	}
	started := time.Now()
	if before.Started && allUp(dir) {
		say("is up already (%s, %s)", before.Region, before.Kube())
		return nil
	}
	s, err := cluster.Up(ctx, cluster.Options{Dir: dir, Source: src, Self: self, Region: *region, Propagation: *propagation, Requeue: *requeue, Log: say})
	if err != nil {
		return err
	}
	say("up in %s: cluster %s in %s at %s, propagation %s", time.Since(started).Round(100*time.Millisecond), s.Cluster, s.Region, s.Kube(), s.Propagation)
	return nil
}

func allUp(dir string) bool {
	for _, name := range cluster.Programs {
		if _, running := proc.Find(dir, name); !running {
			return false
		}
	}
	return true
}

func down(ctx context.Context, dir string, args []string) error {
	fs := flag.NewFlagSet("lab down", flag.ContinueOnError)
	purge := fs.Bool("purge", false, "forget the lab's state, too")
	if err := fs.Parse(args); err != nil {
		return err
	}
	return cluster.Down(ctx, dir, *purge, say)
}

func status(ctx context.Context, dir string, _ []string) error {
	s, err := labstate.Load(dir)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "PROGRAM\tPID\tUP\tMIB\tADDRESS\n")
	address := map[string]string{"cloud": s.API() + " and " + s.Registry(), "kube": s.Kube(), "kubelet": s.NodeIP, "buildkitd": "unix://" + s.Path("buildkit", "buildkitd.sock"), "controller": fmt.Sprintf("%s:%d", s.HostIP, s.Ports["webhook"])}
	for _, name := range cluster.Programs {
		p, running := proc.Find(dir, name)
		if !running {
			fmt.Fprintf(w, "%s\t-\tdown\t\t\n", name)
			continue
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%d\t%s\n", name, p.PID, time.Since(p.Since).Round(time.Second), p.RSS(), address[name])
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Printf("region %s, account %s, cluster %s, propagation %s, requeue %s, logs in %s\n", s.Region, s.Account, s.Cluster, s.Propagation, s.Requeue, s.Path("logs"))
	return nil
}

func env(_ context.Context, dir string, _ []string) error {
	s, err := labstate.Load(dir)
	if err != nil {
		return err
	}
	for _, pair := range s.Env("deployer") {
		name, value, _ := strings.Cut(pair, "=")
		fmt.Printf("export %s='%s'\n", name, value)
	}
	fmt.Printf("export PATH='%s':\"$PATH\"\n", s.Path("bin"))
	return nil
}

// programs builds some of the lab's programs and prints one folder for PATH.
func programs(ctx context.Context, dir string, args []string) error {
	src, err := source()
	if err != nil {
		return err
	}
	extra := map[string]string{}
	if slices.Contains(args, "docker") {
		extra = tools.Docker
	}
	if err := tools.Packages(ctx, extra, say); err != nil {
		return err
	}
	bin := filepath.Join(filepath.Dir(dir), "path")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	b := tools.Builder{Source: src, Cache: filepath.Join(filepath.Dir(dir), "bin"), Log: say}
	for _, t := range tools.All() {
		if !slices.Contains(args, t.Name) {
			continue
		}
		built, err := b.Build(ctx, t)
		if err != nil {
			return err
		}
		tmp := filepath.Join(bin, t.Name+".new")
		if err := errors.Join(os.RemoveAll(tmp), os.Symlink(built, tmp), os.Rename(tmp, filepath.Join(bin, t.Name))); err != nil {
			return err
		}
	}
	fmt.Println(bin)
	return nil
}

func kubectl(ctx context.Context, dir string, args []string) error {
	s, err := labstate.Load(dir)
	if err != nil {
		return err
	}
	out, err := cluster.Kubectl(ctx, s, nil, args...)
	fmt.Print(out)
	return err
}
