// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// bomb is an alias bomb of 519 bytes, for which kustomize takes all memory.
func bomb() string {
	text := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'i'; c++ {
		text += fmt.Sprintf("%c: &%c [%s*%c]\n", c, c, strings.Repeat(fmt.Sprintf("*%c,", c-1), 8), c-1)
	}
	return text
}

// refused are kustomizations at root/overlays/x beside a folder outside of the root. URL
// stands for a server on loopback.
var refused = []struct{ name, kustomization string }{
	{"alias bomb of 519 bytes", "resources: [bomb.yaml]\n"},
	{"remote http resource", "resources:\n- URL/x.yaml\n"},
	{"git base", "resources:\n- URL/repository.git//base?ref=main\n"},
	{"symlink out of the root", "resources:\n- link.yaml\n"},
	{"folder above the root by ..", "resources:\n- ../../../outside\n"},
	{"openapi.path outside", "openapi:\n  path: ../../../outside/schema.json\n"},
}

// BenchmarkRefused prints what a refusal takes, from the start of the process to its end:
// medians of 21 runs and the slowest. Nobody connects to the server.
func BenchmarkRefused(b *testing.B) {
	var calls atomic.Int32
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ConnState = func(net.Conn, http.ConnState) { calls.Add(1) }
	server.Start()
	defer server.Close()
	fmt.Printf("%-28s %8s %8s %8s %6s   %s\n", "kustomization with", "wall ms", "slowest", "user ms", "MiB", "what is said")
	for _, row := range refused {
		dir := b.TempDir()
		path := filepath.Join(dir, "root/overlays/x")
		for name, text := range map[string]string{"root/overlays/x/kustomization.yaml": strings.ReplaceAll(row.kustomization, "URL", server.URL), "root/overlays/x/bomb.yaml": bomb(),
			"outside/kustomization.yaml": "resources: []\n", "outside/schema.json": "{}", "outside/secret.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n"} {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
				b.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				b.Fatal(err)
			}
		}
		if err := os.Symlink(filepath.Join(dir, "outside/secret.yaml"), filepath.Join(path, "link.yaml")); err != nil {
			b.Fatal(err)
		}
		var all []figures
		var slowest time.Duration
		var why string
		for range 21 {
			f, printed, said := measure(b, "ours", path)
			if len(printed) > 0 || !strings.Contains(said, ".yaml:") {
				b.Fatalf("%s: not refused with a line: %q", row.name, said)
			}
			all, slowest, why = append(all, f), max(slowest, f.wall), said
		}
		ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
		_, why, _ = strings.Cut(why, path+": ")
		fmt.Printf("%-28s %8.1f %8.1f %8.1f %6.1f   %s\n", row.name, ms(median(all, func(f figures) time.Duration { return f.wall })), ms(slowest),
			ms(median(all, func(f figures) time.Duration { return f.user })), median(all, func(f figures) float64 { return f.peak }), strings.ReplaceAll(why, server.URL, "http://127.0.0.1:PORT"))
	}
	if fmt.Println("connections to the server:", calls.Load()); calls.Load() > 0 {
		b.Error("something was fetched")
	}
	b.ReportMetric(0, "ns/op")
}
