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
	"strconv"
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
	opt := cluster.Options{Dir: dir, Log: say}
	fs := upFlags(&opt)
	if err := fs.Parse(args); err != nil {
		return err
	}
	var err error
	if opt.Source, err = source(); err != nil {
		return err
	}
	if opt.Self, err = os.Executable(); err != nil {
		return err
	}
	before, err := labstate.Load(dir)
	if err != nil && opt.Region == "" { // none yet
		opt.Region = "cn-northwest-1"
	}
	if err := fits(opt, before); err != nil {
		return err
	}
	if before.Started && opt.Requeue != "" && opt.Requeue != before.Requeue {
		if err := proc.Stop(dir, "controller", 20*time.Second); err != nil {
			return err
		}
	}
	started := time.Now()
	if before.Started && allUp(dir) {
		say("is up already (%s, %s)", before.Region, before.Kube())
		return nil
	}
	s, err := cluster.Up(ctx, opt)
	if err != nil {
		return err
	}
	say("up in %s: cluster %s in %s at %s, %s", time.Since(started).Round(100*time.Millisecond), s.Cluster, s.Region, s.Kube(), lagging(s))
	return nil
}

func upFlags(opt *cluster.Options) *flag.FlagSet {
	fs := flag.NewFlagSet("lab up", flag.ContinueOnError)
	fs.StringVar(&opt.Region, "region", "", "region of the cluster (default: that of the lab that is there, or cn-northwest-1)")
	fs.StringVar(&opt.Propagation, "propagation", "", "MIN-MAX: how long a balancer's nodes go on sending to a deregistered target (default "+labstate.Propagation+", the slow end of the 10s-17s measured on real ones)")
	fs.StringVar(&opt.Registration, "registration", "", "MIN-MAX: how long it takes a balancer's nodes to know a registered target (default "+labstate.Registration+")")
	fs.StringVar(&opt.Jitter, "jitter", "", "MIN-MAX: how long a target stays in the list when its deregistration delay is over (default "+labstate.Jitter+")")
	fs.Func("seed", fmt.Sprintf("number by which all of these are drawn; equal ones draw the same for the same rollouts (default %d)", labstate.Seed), func(text string) error {
		n, err := strconv.ParseUint(text, 10, 64)
		opt.Seed = &n
		return err
	})
	fs.StringVar(&opt.Requeue, "requeue", "", "how often the controller looks at readiness gates; one that runs with another is restarted (default 3s; the controller's own is 15s)")
	return fs
}

// fits refuses ranges that are none, and those that a running lab's balancers,
// which have theirs from the start, do not have.
func fits(opt cluster.Options, before labstate.State) error {
	asked := []struct{ name, now, before string }{
		{"propagation", opt.Propagation, before.Propagation}, {"registration", opt.Registration, before.Registration}, {"jitter", opt.Jitter, before.Jitter},
	}
	for _, a := range asked {
		if _, err := watch.ParseRange(a.now); err != nil && a.now != "" {
			return fmt.Errorf("--%s: %w", a.name, err)
		}
	}
	if opt.Seed != nil {
		asked = append(asked, struct{ name, now, before string }{"seed", fmt.Sprint(*opt.Seed), fmt.Sprint(before.Seed)})
	}
	for _, a := range asked {
		if before.Started && a.now != "" && a.now != a.before {
			return fmt.Errorf("the lab is up with a %s of %s, not %s; take it down first: lab down", a.name, a.before, a.now)
		}
	}
	return nil
}

// lagging are a lab's options of that kind, in words.
func lagging(s labstate.State) string {
	return fmt.Sprintf("seed %d, propagation %s, registration %s, jitter %s", s.Seed, s.Propagation, s.Registration, s.Jitter)
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
	fmt.Printf("region %s, account %s, cluster %s, requeue %s, logs in %s\n%s\n", s.Region, s.Account, s.Cluster, s.Requeue, s.Path("logs"), lagging(s))
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
