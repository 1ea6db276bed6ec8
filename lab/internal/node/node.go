// SPDX-License-Identifier: Apache-2.0

// Package node makes the network namespace that the lab's node lives in, and
// takes away what a node leaves behind: pods get real addresses there, and the
// host reaches them by a route.
package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The lab's names and addresses. Pods get addresses of PodCIDR, the part of
// the imitated VPC that the node's network plugin hands out.
const (
	Namespace = "outlast-lab"
	HostLink  = "olab0"
	HostIP    = "10.77.0.1"
	NodeIP    = "10.77.0.2"
	LinkCIDR  = "10.77.0.0/24"
	VPCCIDR   = "10.244.0.0/16"
	PodCIDR   = "10.244.0.0/24"
)

func run(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("running %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Inside puts a command into the namespace. nsenter and not `ip netns exec`,
// which remounts /sys and hides the cgroups.
func Inside(args ...string) []string {
	return append([]string{"nsenter", "--net=" + nsPath()}, args...)
}

func nsPath() string { return filepath.Join("/run/netns", Namespace) }

// ownerFile says whose network it is: there is one a machine.
const ownerFile = "/run/" + Namespace + ".owner"

// owner gives the folder of the lab that made the network; empty when nobody says so.
func owner() string {
	text, err := os.ReadFile(ownerFile)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// Up makes the namespace, the link and the route for the lab in dir, where
// they are not there.
func Up(ctx context.Context, dir string) error {
	if _, err := os.Stat(nsPath()); err == nil {
		if other := owner(); other != "" && other != dir {
			return fmt.Errorf("the lab in %s is using the network namespace %s; take it down first: LAB_DIR=%s lab down", other, Namespace, other)
		}
		return nil
	}
	if err := conflicts(); err != nil {
		return err
	}
	if err := os.WriteFile(ownerFile, []byte(dir+"\n"), 0o644); err != nil {
		return fmt.Errorf("making the node's network: %w", err)
	}
	inside := func(args ...string) []string { return Inside(args...) }
	for _, cmd := range [][]string{
		{"ip", "netns", "add", Namespace},
		inside("ip", "link", "set", "lo", "up"),
		{"ip", "link", "add", HostLink, "type", "veth", "peer", "name", "node0", "netns", Namespace},
		{"ip", "addr", "add", HostIP + "/24", "dev", HostLink},
		{"ip", "link", "set", HostLink, "up"},
		inside("ip", "addr", "add", NodeIP+"/24", "dev", "node0"),
		inside("ip", "link", "set", "node0", "up"),
		inside("ip", "route", "add", "default", "via", HostIP),
		{"ip", "route", "add", PodCIDR, "via", NodeIP},
		inside("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables || true"),
	} {
		if err := run(ctx, cmd...); err != nil {
			return errors.Join(fmt.Errorf("making the node's network: %w", err), Down(ctx, dir))
		}
	}
	return nil
}

// conflicts refuses to take addresses that the machine uses already.
func conflicts() error {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return fmt.Errorf("reading the machine's addresses: %w", err)
	}
	for _, ours := range []string{LinkCIDR, VPCCIDR} {
		_, mine, err := net.ParseCIDR(ours)
		if err != nil {
			return err
		}
		for _, a := range addrs {
			_, theirs, err := net.ParseCIDR(a.String())
			if err == nil && (mine.Contains(theirs.IP) || theirs.Contains(mine.IP)) {
				return fmt.Errorf("the lab needs the addresses %s, and this machine uses %s already: is another lab or cluster running here?", ours, theirs)
			}
		}
	}
	return nil
}

// Down removes the namespace, the link and the route by name, unless they are
// another lab's.
func Down(ctx context.Context, dir string) error {
	if other := owner(); other != "" && other != dir {
		return nil
	}
	var errs []error
	if _, err := os.Stat(nsPath()); err == nil {
		errs = append(errs, run(ctx, "ip", "netns", "del", Namespace))
	}
	if _, err := net.InterfaceByName(HostLink); err == nil { // goes with its peer, but not at once
		if err := run(ctx, "ip", "link", "del", HostLink); err != nil && interfaceExists(HostLink) {
			errs = append(errs, err)
		}
	}
	if err := os.Remove(ownerFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func interfaceExists(name string) bool {
	_, err := net.InterfaceByName(name)
	return err == nil
}

// Sweep ends what containerd's pods leave behind below dir: their shims and
// their processes, and their mounts.
func Sweep(dir string) error {
	ours := shims(dir)
	processes := append(children(ours), ours...)
	defer removeNamespaces(networks(processes))
	for _, pid := range processes {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("ending a container (pid %d): %w", pid, err)
		}
	}
	for try := 0; ; try++ {
		left := mounts(dir)
		for _, m := range left {
			syscall.Unmount(m, syscall.MNT_DETACH) //nolint:errcheck // seen in the next round
		}
		if len(left) == 0 {
			break
		}
		if try == 20 {
			return fmt.Errorf("unmounting %d mounts below %s: they stay", len(left), dir)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}

// networks gives the inodes of the processes' network namespaces.
func networks(pids []int) map[uint64]bool {
	all := map[uint64]bool{}
	for _, pid := range pids {
		if n := inode(fmt.Sprintf("/proc/%d/ns/net", pid)); n != 0 {
			all[n] = true
		}
	}
	return all
}

func inode(path string) uint64 {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return 0
	}
	return st.Ino
}

// removeNamespaces takes away the names that the network plugin gave to pods'
// namespaces: the plugin itself is not asked when a node goes as a whole.
func removeNamespaces(ours map[uint64]bool) {
	names, err := filepath.Glob("/run/netns/cni-*")
	if err != nil {
		return
	}
	for _, name := range names {
		if n := inode(name); n != 0 && ours[n] {
			syscall.Unmount(name, syscall.MNT_DETACH) //nolint:errcheck // what stays is an empty file
			os.Remove(name)                           //nolint:errcheck // as above
		}
	}
}

// shims lists the container shims whose containerd has its state below dir.
func shims(dir string) (pids []int) {
	each(func(pid int, cmdline string) {
		if strings.Contains(cmdline, "containerd-shim") && strings.Contains(cmdline, dir) {
			pids = append(pids, pid)
		}
	})
	return pids
}

// children lists the processes whose parent is one of pids: the first process
// of each container, which takes its namespace's others with it.
func children(pids []int) (found []int) {
	each(func(pid int, _ string) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		if len(fields) < 2 {
			return
		}
		if parent, err := strconv.Atoi(fields[1]); err == nil && slices.Contains(pids, parent) {
			found = append(found, pid)
		}
	})
	return found
}

func each(do func(pid int, cmdline string)) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if text, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline")); err == nil {
			do(pid, strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
}

// mounts lists the mount points below dir, the last made first.
func mounts(dir string) []string {
	f, err := os.Open("/proc/mounts")
	if err != nil {
		return nil
	}
	defer f.Close()
	return mountsIn(f, dir)
}

func mountsIn(table io.Reader, dir string) (points []string) {
	lines := bufio.NewScanner(table)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) > 1 && strings.HasPrefix(fields[1], dir+"/") {
			points = append([]string{fields[1]}, points...)
		}
	}
	return points
}

// RemoveCgroups takes the empty groups of the node's pods away, the deepest
// first: cgroup v1 has a tree a controller, v2 one.
func RemoveCgroups() {
	for _, root := range []string{"/sys/fs/cgroup/*/kubepods", "/sys/fs/cgroup/kubepods"} {
		tops, err := filepath.Glob(root)
		if err != nil {
			continue
		}
		for _, top := range tops {
			var dirs []string
			filepath.WalkDir(top, func(path string, d os.DirEntry, err error) error { //nolint:errcheck // groups vanish while we look
				if err == nil && d.IsDir() {
					dirs = append([]string{path}, dirs...)
				}
				return nil
			})
			for _, d := range dirs {
				os.Remove(d) //nolint:errcheck // one that is not empty is in use
			}
		}
	}
}
