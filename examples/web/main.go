// SPDX-License-Identifier: Apache-2.0

// Command web is the small service that the demo deploys: it answers at once,
// slowly or as a stream, tells when it is ready, and on SIGTERM finishes what
// it has in hand before it goes.
//
//	GET /             the version and the pod's name
//	GET /slow?ms=N    the same after N milliseconds
//	GET /stream?n=N&ms=M   N lines, one every M milliseconds
//	GET /readyz       200 once READY_AFTER has passed, 503 before
//	GET /healthz      200 while the process lives, or what HEALTH_STATUS says
//	GET /cart         a page that no health check asks for: 200, or what CART_STATUS says
//
// It misbehaves when the environment asks for it: READY_AFTER=never does not become
// ready, HEALTH_STATUS=500 fails the balancer's health check, CART_STATUS=500 fails
// where only users look, ON_SIGTERM=exit drops what is in hand.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// version is set by the Dockerfile: -ldflags "-X main.version=...".
var version = "dev"

func main() {
	log.SetFlags(log.LstdFlags | log.LUTC | log.Lmicroseconds)
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	readyAfter, err := parseReadyAfter(os.Getenv("READY_AFTER"))
	if err != nil {
		return err
	}
	health, err := parseStatus("HEALTH_STATUS", os.Getenv)
	if err != nil {
		return err
	}
	cart, err := parseStatus("CART_STATUS", os.Getenv)
	if err != nil {
		return err
	}
	addr := os.Getenv("ADDR")
	if addr == "" {
		addr = ":1325"
	}
	srv := &http.Server{
		Addr:    addr,
		Handler: handler(version, host, time.Now(), readyAfter, health, cart),
		// An ALB keeps idle connections for 60 s and may send a request just as
		// the server closes one: the server must be the one that waits longer.
		IdleTimeout:       75 * time.Second,
		ReadHeaderTimeout: 10 * time.Second,
	}
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	failed := make(chan error, 1)
	go func() { failed <- srv.ListenAndServe() }()
	log.Printf("version %s listening on %s", version, addr)
	select {
	case err := <-failed:
		return err
	case <-stop.Done():
	}
	if os.Getenv("ON_SIGTERM") == "exit" {
		return errors.New("SIGTERM: leaving at once, as ON_SIGTERM says")
	}
	log.Print("SIGTERM: finishing requests in flight")
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("shutting down: %w", err)
	}
	log.Print("bye")
	return nil
}

// never is how READY_AFTER says that the service shall not become ready: the
// demo's bad release.
const never = 1<<63 - 1

func parseReadyAfter(s string) (time.Duration, error) {
	switch s {
	case "":
		return 0, nil
	case "never":
		return never, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("reading READY_AFTER: %w", err)
	}
	return d, nil
}

func parseStatus(name string, getenv func(string) string) (int, error) {
	s := getenv(name)
	if s == "" {
		return http.StatusOK, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 200 || n > 599 {
		return 0, fmt.Errorf("reading %s: %q is no HTTP status from 200 to 599", name, s)
	}
	return n, nil
}

func handler(version, host string, started time.Time, readyAfter time.Duration, health, cart int) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "%s %s\n", version, host)
	})
	mux.HandleFunc("GET /slow", func(w http.ResponseWriter, r *http.Request) {
		if !sleep(r, number(r, "ms", 1000)) {
			return
		}
		fmt.Fprintf(w, "%s %s slow\n", version, host)
	})
	mux.HandleFunc("GET /stream", func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		for i := range number(r, "n", 10) {
			fmt.Fprintf(w, "%s %s %d\n", version, host, i)
			if rc.Flush() != nil || !sleep(r, number(r, "ms", 100)) {
				return
			}
		}
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(health)
		fmt.Fprintln(w, "alive")
	})
	mux.HandleFunc("GET /cart", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(cart)
		fmt.Fprintf(w, "%s %s cart\n", version, host)
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if time.Since(started) < readyAfter {
			log.Printf("not ready: the database of version %s does not answer", version)
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	return mux
}

// number reads a query value between 0 and 600,000, or gives the default.
func number(r *http.Request, key string, def int) int {
	n, err := strconv.Atoi(r.URL.Query().Get(key))
	if err != nil || n < 0 || n > 600_000 {
		return def
	}
	return n
}

// sleep waits that many milliseconds, or returns false when the client left.
func sleep(r *http.Request, ms int) bool {
	select {
	case <-time.After(time.Duration(ms) * time.Millisecond):
		return true
	case <-r.Context().Done():
		return false
	}
}
