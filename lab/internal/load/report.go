// SPDX-License-Identifier: Apache-2.0

package load

import (
	"slices"
	"sync"
	"time"
)

// Report of a run. Times in JSON are nanoseconds.
type Report struct {
	Begin    time.Time     `json:"begin"`
	Duration time.Duration `json:"duration"` // of sending
	Rate     float64       `json:"rate"`     // asked for, per second
	Achieved float64       `json:"achieved"` // sent, per second
	Due      int           `json:"due"`      // requests whose time came: sent and missed ones
	Sent     int           `json:"sent"`
	Missed   int           `json:"missed"` // not sent, since too many were in flight
	Late     int           `json:"late"`   // sent more than 50 ms after their time
	MaxLag   time.Duration `json:"maxLag"` // the furthest behind its time that one was sent
	Slow     int           `json:"slow"`
	Fresh    int           `json:"fresh"`  // on a connection of their own
	Reused   int           `json:"reused"` // on one that had served before
	Failed   int           `json:"failed"` // no full answer, or a status of 400 and more

	Status   map[int]int    `json:"status"`   // answers by status
	Errors   map[string]int `json:"errors"`   // failures without a full answer by class
	Versions map[string]int `json:"versions"` // first words of bodies of good answers

	Fast    Latency `json:"fast"`    // of requests for the URL's path
	SlowOne Latency `json:"slowOne"` // of requests for the slow path

	Failures []Sample `json:"failures"` // the first 50
	Seconds  []Second `json:"seconds"`  // by the second in which a request was due
}

// Latency from the intended time of sending to the last byte, of full answers.
type Latency struct {
	P50 time.Duration `json:"p50"`
	P99 time.Duration `json:"p99"`
	Max time.Duration `json:"max"`
}

// Second is what became of the requests due in one second of the run.
type Second struct {
	At       int            `json:"at"` // seconds since the run began
	Sent     int            `json:"sent"`
	Failed   int            `json:"failed"`
	Versions map[string]int `json:"versions,omitempty"`
	Status   map[int]int    `json:"status,omitempty"`
}

const keptFailures = 50

// tally gathers samples.
type tally struct {
	mu       sync.Mutex
	r        Report
	flying   int
	fast     []time.Duration
	slow     []time.Duration
	failures []Sample
	seconds  map[int]*Second
}

func newTally() *tally {
	return &tally{
		r:       Report{Status: map[int]int{}, Errors: map[string]int{}, Versions: map[string]int{}},
		seconds: map[int]*Second{},
	}
}

// start books a request that is due; false when there are too many under way.
func (t *tally) start(due time.Time, most int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.r.Due++
	t.r.MaxLag = max(t.r.MaxLag, time.Since(due))
	if t.flying >= most {
		t.r.Missed++
		return false
	}
	t.flying++
	t.r.Sent++
	return true
}

func (t *tally) end(s Sample) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flying--
	at := int(s.Offset / time.Second)
	sec := t.seconds[at]
	if sec == nil {
		sec = &Second{At: at, Versions: map[string]int{}, Status: map[int]int{}}
		t.seconds[at] = sec
	}
	sec.Sent++
	count(&t.r.Late, s.Late)
	count(&t.r.Slow, s.Slow)
	count(&t.r.Fresh, s.Fresh)
	count(&t.r.Reused, s.Reused)
	count(&t.r.Failed, s.Failed())
	count(&sec.Failed, s.Failed())
	if s.Status != 0 {
		t.r.Status[s.Status]++
		sec.Status[s.Status]++
	}
	if s.Error != "" {
		t.r.Errors[s.Error]++
	}
	if s.Failed() {
		t.failures = append(t.failures, s)
	} else if s.Version != "" {
		t.r.Versions[s.Version]++
		sec.Versions[s.Version]++
	}
	switch {
	case s.Error != "":
	case s.Slow:
		t.slow = append(t.slow, s.Latency)
	default:
		t.fast = append(t.fast, s.Latency)
	}
}

func count(n *int, yes bool) {
	if yes {
		*n++
	}
}

func (t *tally) report(begin, stopped time.Time, rate float64) Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.r
	r.Begin, r.Duration, r.Rate = begin, stopped.Sub(begin), rate
	r.Achieved = float64(r.Sent) / max(r.Duration.Seconds(), 1e-9)
	r.Fast, r.SlowOne = latency(t.fast), latency(t.slow)
	// First by the time they were due, not by the time they failed.
	slices.SortFunc(t.failures, func(a, b Sample) int { return a.Due.Compare(b.Due) })
	r.Failures = append([]Sample{}, t.failures[:min(keptFailures, len(t.failures))]...)
	r.Seconds = []Second{}
	for _, s := range t.seconds {
		r.Seconds = append(r.Seconds, *s)
	}
	slices.SortFunc(r.Seconds, func(a, b Second) int { return a.At - b.At })
	return r
}

// latency by nearest rank.
func latency(ds []time.Duration) Latency {
	if len(ds) == 0 {
		return Latency{}
	}
	slices.Sort(ds)
	rank := func(p int) time.Duration { return ds[(len(ds)*p+99)/100-1] }
	return Latency{P50: rank(50), P99: rank(99), Max: ds[len(ds)-1]}
}
