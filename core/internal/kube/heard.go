// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"net/http"
	"time"

	"github.com/outlast-ci/outlast/core/event"
)

// hush is for how long a request may wait before that is told, and between two such
// words: less than the 30 s after which a job looks dead.
const hush = 10 * time.Second

// heard is one request whose wait is told. Its fields belong to the patient's lock.
type heard struct {
	*patient
	began time.Time
	timer *time.Timer
	why   string // the newest try was in vain; empty: it was not, or it goes on still
	over  bool
}

func (p *patient) begin() *heard {
	h := &heard{patient: p, began: time.Now()}
	p.mu.Lock()
	defer p.mu.Unlock()
	h.timer = time.AfterFunc(hush, h.say)
	return h
}

// say tells that the request waits, unless another has just told so.
func (h *heard) say() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return
	}
	h.timer.Reset(hush)
	if now := time.Now(); now.Sub(h.told) >= hush {
		h.told, h.teller = now, h
		text := "waiting for its answer for " + h.waited()
		if h.why != "" {
			text += ": " + h.why
		}
		h.tell(text)
	}
}

// take enters how a try has ended.
func (h *heard) take(res *http.Response, err error, again bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.why = ""; again || err != nil {
		h.why = orStatus(res, err).Error()
	}
}

func (h *heard) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
	h.timer.Stop()
	if h.teller == h && h.why == "" {
		h.tell("it answered after " + h.waited())
	}
}

func (h *heard) waited() string { return time.Since(h.began).Round(time.Second).String() }

func (h *heard) tell(text string) {
	h.observe.Emit(event.Event{Stage: "cluster", Kind: event.Progress, Object: "API server", Message: text})
}
