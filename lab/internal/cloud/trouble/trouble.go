// SPDX-License-Identifier: Apache-2.0

// Package trouble is what AWS does to a caller beside answering: it throttles,
// and at times it is slow, unavailable or gone. Each verified call goes in; out
// comes whether it may go on. Tests order trouble through Control.
package trouble

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

// Maker makes trouble. It is safe for concurrent use.
type Maker struct {
	throttle throttle
	faults   faults
	now      func() time.Time
}

// New makes one with the limits of ELBv2, which Control can change.
func New(l Limits, now func() time.Time) *Maker {
	m := &Maker{now: now}
	m.throttle.set(l)
	return m
}

// Meet does to a call what is due. It returns the error to answer with, or
// nil; done tells that there is nobody left to answer.
func (m *Maker) Meet(w http.ResponseWriter, r *http.Request, c wire.Call) (e *wire.Error, done bool) {
	for _, f := range m.faults.hit(c, m.now()) {
		switch f.Kind {
		case KindLatency:
			select {
			case <-time.After(time.Duration(f.Milliseconds) * time.Millisecond):
			case <-r.Context().Done():
				return nil, true
			}
		case KindReset:
			reset(w)
			return nil, true
		case KindThrottle:
			return throttled(c.Service), false
		case KindServer:
			return unavailable(c.Service), false
		}
	}
	if c.Service == "elasticloadbalancing" && !m.throttle.take(c.Region, c.Operation, m.now()) {
		return throttled(c.Service), false
	}
	return nil, false
}

// throttled is how each service says that a caller is too quick.
func throttled(service string) *wire.Error {
	switch service {
	case "ec2":
		return wire.Errorf("RequestLimitExceeded", "Request limit exceeded.").WithStatus(http.StatusServiceUnavailable)
	case "ecr", "acm":
		return wire.Errorf("ThrottlingException", "Rate exceeded")
	case "eks":
		return wire.Errorf("ThrottlingException", "Rate exceeded").WithStatus(http.StatusTooManyRequests)
	case "s3":
		return wire.Errorf("SlowDown", "Please reduce your request rate.").WithStatus(http.StatusServiceUnavailable)
	}
	// ELBv2's documentation says ThrottlingException, which is CloudTrail's
	// word; on the wire it is Throttling.
	return wire.Errorf("Throttling", "Rate exceeded")
}

// unavailable is how each service says that it cannot answer now.
func unavailable(service string) *wire.Error {
	switch service {
	case "ec2":
		return wire.Errorf("Unavailable", "The service is unavailable. Please try again shortly.").WithStatus(http.StatusServiceUnavailable)
	case "ecr":
		return wire.Errorf("ServerException", "These errors are usually caused by a server-side issue.").WithStatus(http.StatusInternalServerError)
	case "eks":
		return wire.Errorf("ServiceUnavailableException", "The service is unavailable. Back off and retry the operation.").WithStatus(http.StatusServiceUnavailable)
	}
	return wire.Errorf("ServiceUnavailable", "Service Unavailable").WithStatus(http.StatusServiceUnavailable)
}

// reset ends the connection by RST instead of by an answer.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2 cannot be hijacked; this resets the stream
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// Control serves /_lab/faults: POST orders one Fault, GET lists them, DELETE
// clears all, or /_lab/faults/ID. GET and PUT of /_lab/limits are the Limits.
// It is for loopback: nobody is asked who he is.
func (m *Maker) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_lab/faults", func(w http.ResponseWriter, _ *http.Request) { answer(w, m.faults.list()) })
	mux.HandleFunc("POST /_lab/faults", func(w http.ResponseWriter, r *http.Request) {
		var f Fault
		if read(w, r, &f) {
			f, err := m.faults.add(f, m.now())
			if err != nil {
				http.Error(w, "ordering a fault: "+err.Error(), http.StatusBadRequest)
				return
			}
			answer(w, f)
		}
	})
	mux.HandleFunc("DELETE /_lab/faults", func(w http.ResponseWriter, _ *http.Request) {
		m.faults.clear(0)
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("DELETE /_lab/faults/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.Atoi(r.PathValue("id"))
		if err != nil || id < 1 || !m.faults.clear(id) {
			http.Error(w, fmt.Sprintf("clearing fault %q: there is none with that id; GET /_lab/faults lists them", r.PathValue("id")), http.StatusNotFound)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /_lab/limits", func(w http.ResponseWriter, _ *http.Request) { answer(w, m.throttle.get()) })
	mux.HandleFunc("PUT /_lab/limits", func(w http.ResponseWriter, r *http.Request) {
		var l Limits
		if read(w, r, &l) {
			m.throttle.set(l)
			answer(w, l)
		}
	})
	return mux
}

func read(w http.ResponseWriter, r *http.Request, into any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		http.Error(w, "reading the request: "+err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
