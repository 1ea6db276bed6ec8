// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTheLabsAddressesDoNotOverlap(t *testing.T) {
	_, link, err := net.ParseCIDR(LinkCIDR)
	if err != nil {
		t.Fatal(err)
	}
	_, vpc, err := net.ParseCIDR(VPCCIDR)
	if err != nil {
		t.Fatal(err)
	}
	pods, _, err := net.ParseCIDR(PodCIDR)
	if err != nil {
		t.Fatal(err)
	}
	if !link.Contains(net.ParseIP(HostIP)) || !link.Contains(net.ParseIP(NodeIP)) || link.Contains(vpc.IP) || !vpc.Contains(pods) {
		t.Errorf("link %s, VPC %s, pods %s", link, vpc, pods)
	}
}

func TestACommandGoesIntoTheNamespace(t *testing.T) {
	if got := strings.Join(Inside("ip", "link"), " "); got != "nsenter --net=/run/netns/outlast-lab ip link" {
		t.Error(got)
	}
}

// Only what was started below the lab's folder is swept, with its children.
func TestOnlyOurShimsAreEnded(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	start := func(dir string) *exec.Cmd {
		// A program whose name and arguments look like a shim's, with a container below it. It
		// waits without a fork, which would have its name for a moment, and outlive it.
		path := filepath.Join(dir, "containerd-shim-fake")
		if err := os.WriteFile(path, []byte("#!/bin/sh\nsleep 60 &\necho $!\nread never\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(path)
		if _, err := cmd.StdinPipe(); err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var child int
		if _, err := fmt.Fscan(out, &child); err != nil {
			t.Fatal(err)
		}
		if p, err := os.FindProcess(child); err == nil {
			t.Cleanup(func() { p.Kill() }) //nolint:errcheck // it may be gone, which is the point
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() }) //nolint:errcheck // it may be gone, which is the point
		if !slices.Contains(shims(dir), cmd.Process.Pid) || !slices.Contains(children(shims(dir)), child) {
			t.Fatalf("shims %v, children %v; want %d and %d", shims(dir), children(shims(dir)), cmd.Process.Pid, child)
		}
		return cmd
	}
	ours, theirs := start(dir), start(other)
	if err := Sweep(dir); err != nil {
		t.Fatal(err)
	}
	if err := ours.Wait(); err == nil {
		t.Error("our shim ended by itself")
	}
	if len(shims(dir)) > 0 {
		t.Error("a shim of ours runs")
	}
	if !slices.Contains(shims(other), theirs.Process.Pid) {
		t.Error("somebody else's shim was ended")
	}
}

func TestOnlyMountsBelowTheFolderAreTaken(t *testing.T) {
	table := `overlay / overlay rw 0 0
tmpfs /lab/run/node tmpfs rw 0 0
overlay /lab/run/node/pod/rootfs overlay rw 0 0
proc /lab/running proc rw 0 0
nothing
`
	got := strings.Join(mountsIn(strings.NewReader(table), "/lab/run"), " ")
	if want := "/lab/run/node/pod/rootfs /lab/run/node"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
