// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"net"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/alb/accesslog"
)

// Story is a pod and its target, with what the balancer sent there.
type Story struct {
	Pod
	Healthy     time.Time `json:"healthy"`     // its target, for the first time
	Draining    time.Time `json:"draining"`    // so said the API
	LastRequest time.Time `json:"lastRequest"` // when the last one came that the balancer sent, or tried to send, to it
	LastAnswer  time.Time `json:"lastAnswer"`  // when the last one was over
	Unused      time.Time `json:"unused"`      // the API listed it no more
}

// Tell finds what became of a pod's target.
func Tell(p Pod, h History) Story {
	s := Story{Pod: p, Healthy: h.First(p.IP, "healthy", p.Created)}
	if !p.Deleted.IsZero() {
		// The watch may be slower than the controller: what it told last is when the pod came.
		s.Draining = h.First(p.IP, "draining", p.Created)
		s.Unused = h.First(p.IP, "unused", s.Draining)
	}
	return s
}

// Owner finds whose address a target, IP:PORT, was at a moment: addresses are
// given out again after some time. nil: nobody's.
func Owner(stories []Story, target string, at time.Time) *Story {
	var found *Story
	ip, _, err := net.SplitHostPort(target)
	if err != nil {
		return nil // a 503 has no target
	}
	for i := range stories { // in order of creation
		if s := &stories[i]; s.IP == ip && !s.Created.After(at) {
			found = s
		}
	}
	return found
}

// Stories are those of pods in order of creation, with a history of their
// targets and the balancer's log in order of arrival.
func Stories(pods []Pod, h History, entries []accesslog.Entry) []Story {
	var list []Story
	for _, p := range pods {
		list = append(list, Tell(p, h))
	}
	for _, e := range entries {
		s := Owner(list, e.Target, e.Created)
		if s == nil || s.Deleted.IsZero() {
			continue
		}
		s.LastRequest = e.Created
		if e.Time.After(s.LastAnswer) {
			s.LastAnswer = e.Time
		}
	}
	return list
}

// During lists the pods that a rollout replaced and those that it made.
func During(stories []Story, from, to time.Time) []Story {
	var list []Story
	for _, s := range stories {
		made := !s.Created.Before(from) && s.Created.Before(to)
		replaced := !s.Deleted.Before(from) && s.Deleted.Before(to)
		if made || replaced {
			s.New = made
			if made && !replaced { // the next rollout tells of its end
				s.Deleted, s.Exited, s.Gone, s.Draining, s.Unused, s.LastRequest, s.LastAnswer = time.Time{}, time.Time{}, time.Time{}, time.Time{}, time.Time{}, time.Time{}, time.Time{}
			}
			list = append(list, s)
		}
	}
	return list
}

// Second is one second of a rollout, by the arrival of its requests.
type Second struct {
	At       int            `json:"at"` // since the rollout began; may be negative
	Requests int            `json:"requests"`
	Failed   map[string]int `json:"failed,omitempty"` // by cause
}

const kept = 120 // seconds of a rollout that are kept

// Seconds counts from a bit before a rollout on.
func Seconds(from time.Time, entries []accesslog.Entry, failed []Failure) []Second {
	const before = 3
	list := make([]Second, before+kept)
	for i := range list {
		list[i].At = i - before
	}
	at := func(t time.Time) *Second {
		i := int(t.Sub(from.Add(-before*time.Second)) / time.Second)
		if t.Before(from.Add(-before*time.Second)) || i >= len(list) {
			return nil
		}
		return &list[i]
	}
	for _, e := range entries {
		if s := at(e.Created); s != nil {
			s.Requests++
		}
	}
	for _, f := range failed {
		if s := at(f.At); s != nil {
			if s.Failed == nil {
				s.Failed = map[string]int{}
			}
			s.Failed[f.Cause]++
		}
	}
	return list
}
