// SPDX-License-Identifier: Apache-2.0

package progress

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outlast-ci/outlast/core/event"
)

func TestPlain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		d := New(Options{W: &out, Stages: []string{"build", "gate"}, Mask: func(s string) string { return strings.ReplaceAll(s, "hunter2", "***") }})
		d.Observe(event.Event{Stage: "build", Kind: event.Start})
		d.Observe(event.Event{Stage: "build", Kind: event.Log, Message: "::error::\x1b[31mpassword hunter2\r\nnext"})
		time.Sleep(2 * time.Second)
		d.Observe(event.Event{Stage: "build", Kind: event.End})
		d.Observe(event.Event{Stage: "gate", Kind: event.Start})
		d.Observe(event.Event{Stage: "gate", Kind: event.Progress, Object: "Pod/dev/web-1", Message: "not ready"})
		time.Sleep(45 * time.Second)
		synctest.Wait()
		d.Observe(event.Event{Stage: "gate", Kind: event.End, Message: "timed out"})
		d.Close()
		want := `00:00:00 build  started
00:00:00 build  | ::error::[31mpassword ***  next
00:00:02 build  done in 2s
00:00:02 gate   started
00:00:02 gate   Pod/dev/web-1: not ready
00:00:22 gate   still at it after 20s: Pod/dev/web-1: not ready
00:00:42 gate   still at it after 40s: Pod/dev/web-1: not ready
00:00:47 gate   failed after 45s: timed out
`
		if out.String() != want {
			t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
		}
	})
}

// A stage comes again in the next cluster: its fold, its time and its heartbeat are new.
func TestAStageOfSeveralClusters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		fold := func(edge string) func(string) {
			return func(stage string) { out.WriteString(edge + " " + stage + "\n") }
		}
		d := New(Options{W: &out, Stages: []string{"gate"}, Open: fold("open"), Shut: fold("shut")})
		for _, cluster := range []string{"north", "south"} {
			d.Observe(event.Event{Stage: "gate", Kind: event.Start, Cluster: cluster})
			d.Observe(event.Event{Stage: "gate", Kind: event.Progress, Cluster: cluster, Object: "Pod/dev/web-1", Message: "not ready"})
			time.Sleep(25 * time.Second)
			synctest.Wait()
			message := ""
			if cluster == "north" {
				message = "bad"
			}
			d.Observe(event.Event{Stage: "gate", Kind: event.End, Cluster: cluster, Message: message})
		}
		d.Close()
		want := `open gate north
00:00:00 gate   started north
00:00:00 gate   north: Pod/dev/web-1: not ready
00:00:20 gate   still at it after 20s: north: Pod/dev/web-1: not ready
shut gate north
00:00:25 gate   north failed after 25s: bad
open gate south
00:00:25 gate   started south
00:00:25 gate   south: Pod/dev/web-1: not ready
00:00:45 gate   still at it after 20s: south: Pod/dev/web-1: not ready
shut gate south
00:00:50 gate   south done in 25s
`
		if out.String() != want {
			t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
		}
	})
}

func TestLiveTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		d := New(Options{W: &out, Live: true, Stages: []string{"build", "push", "gate"}, Width: func() int { return 60 }})
		d.Observe(event.Event{Stage: "build", Kind: event.Start})
		time.Sleep(3 * time.Second)
		d.Observe(event.Event{Stage: "build", Kind: event.End})
		d.Observe(event.Event{Stage: "push", Kind: event.Start})
		for _, name := range []string{"layer 1", "layer 2"} {
			d.Observe(event.Event{Stage: "push", Kind: event.Progress, Object: name, Message: "10%"})
		}
		d.Observe(event.Event{Stage: "push", Kind: event.Progress, Object: "layer 2", Message: strings.Repeat("x", 100)})
		time.Sleep(time.Second)
		synctest.Wait()
		d.mu.Lock()
		table := d.state.table(time.Unix(0, 0), 60)
		d.mu.Unlock()
		if len(table) != 5 || table[0] != "  ✓ build   3s" || !strings.Contains(table[2], "layer 1") || !strings.HasSuffix(table[3], "…") || table[4] != "  · gate   " {
			t.Errorf("table:\n%s", strings.Join(table, "\n"))
		}
		d.Observe(event.Event{Stage: "push", Kind: event.Warn, Message: "slow network"})
		d.Observe(event.Event{Stage: "push", Kind: event.End, Message: "refused"})
		d.Close()
		screen := terminal(out.String())
		want := []string{"00:00:04 push   warning: slow network", "  ✓ build   3s", "  ✗ push    1s  refused", "  · gate   "}
		if strings.Join(screen, "\n") != strings.Join(want, "\n") {
			t.Errorf("the screen at the end:\n%s\nwant:\n%s", strings.Join(screen, "\n"), strings.Join(want, "\n"))
		}
	})
}

// terminal plays the two escapes that are used and gives the lines left.
func terminal(s string) []string {
	var lines []string
	for line := range strings.Lines(s) {
		for strings.HasPrefix(line, "\x1b[") {
			up := 0
			rest := line[2:]
			for rest[0] >= '0' && rest[0] <= '9' {
				up = up*10 + int(rest[0]-'0')
				rest = rest[1:]
			}
			switch rest[0] {
			case 'A':
				lines = lines[:len(lines)-up]
			case 'J':
			default:
				panic("unknown escape " + rest[:1])
			}
			line = rest[1:]
		}
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
	if n := len(lines); n > 0 && lines[n-1] == "" {
		lines = lines[:n-1]
	}
	return lines
}
