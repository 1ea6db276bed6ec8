// SPDX-License-Identifier: Apache-2.0

// Package watch lets other programs follow and set what the ELBv2 API does not
// tell of a load balancer: target changes as they happen, instead of polls that
// are late and throttled, and the propagation. The Hub takes an engine's
// events; Handler serves them, and Client asks for them. It is for loopback:
// nobody is asked who he is.
package watch

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/alb"
)

// Hub hands target changes to who listens.
type Hub struct {
	mu   sync.Mutex
	ears map[chan alb.Event]struct{}
}

// Observe is for alb.Options. Requests are left out: they are in the access log.
func (h *Hub) Observe(e alb.Event) {
	if e.Change == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for ear := range h.ears {
		select {
		case ear <- e:
		default: // too slow a listener: its stream ends, so that it knows
			delete(h.ears, ear)
			close(ear)
		}
	}
}

const waiting = 1024 // changes, for a listener that is busy

func (h *Hub) listen() (<-chan alb.Event, func()) {
	ear := make(chan alb.Event, waiting)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ears == nil {
		h.ears = map[chan alb.Event]struct{}{}
	}
	h.ears[ear] = struct{}{}
	return ear, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.ears, ear)
	}
}

// Mount serves GET /_lab/targets, a stream of changes as one JSON object a
// line, GET and PUT of /_lab/propagation?arn=ARN, a range as text, and PUT of
// /_lab/jitter. save is called when one was set, so that it outlives a restart.
func Mount(mux *http.ServeMux, e *alb.Engine, h *Hub, save func() error) {
	mux.HandleFunc("GET /_lab/targets", h.stream)
	mux.HandleFunc("GET /_lab/propagation", func(w http.ResponseWriter, r *http.Request) {
		d, err := e.Propagation(r.URL.Query().Get("arn"))
		if err != nil {
			refuse(w, err)
			return
		}
		fmt.Fprintf(w, "%s-%s\n", d.Min, d.Max)
	})
	put := func(set func(arn string, d alb.Delay) error) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			d, err := ParseRange(r.URL.Query().Get("range"))
			if err == nil {
				err = set(r.URL.Query().Get("arn"), d)
			}
			if err != nil {
				refuse(w, err)
				return
			}
			if err := save(); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			w.WriteHeader(http.StatusNoContent)
		}
	}
	mux.HandleFunc("PUT /_lab/propagation", put(e.SetPropagation))
	mux.HandleFunc("PUT /_lab/jitter", put(e.SetJitter))
}

func refuse(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	if errors.Is(err, alb.ErrLoadBalancerNotFound) {
		status = http.StatusNotFound
	}
	http.Error(w, err.Error(), status)
}

func (h *Hub) stream(w http.ResponseWriter, r *http.Request) {
	ear, stop := h.listen()
	defer stop()
	out := json.NewEncoder(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	flusher := http.NewResponseController(w)
	for {
		if flusher.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case e, ok := <-ear:
			if !ok || out.Encode(e) != nil {
				return
			}
		}
	}
}

// ParseRange reads MIN-MAX. 0s-0s gives a nanosecond, since the zero Delay
// stands for a default.
func ParseRange(text string) (alb.Delay, error) {
	var d alb.Delay
	least, most, ok := strings.Cut(text, "-")
	if !ok {
		return d, fmt.Errorf("reading the range %q: want MIN-MAX, e.g. 10s-17s", text)
	}
	var err error
	if d.Min, err = time.ParseDuration(least); err == nil {
		d.Max, err = time.ParseDuration(most)
	}
	if err != nil || d.Min < 0 || d.Max < d.Min {
		return alb.Delay{}, fmt.Errorf("reading the range %q: want MIN-MAX, e.g. 10s-17s", text)
	}
	d.Max = max(d.Max, 1)
	return d, nil
}
