// SPDX-License-Identifier: Apache-2.0

// Package book keeps what became of the trials of a soak: a file with a line for each,
// and the table of all of them.
package book

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/load"
)

// Verdict on a trial.
type Verdict string

const (
	Passed Verdict = "passed"
	Failed Verdict = "failed"
	// Void trials tell nothing, and are made again: the generator was late, or the
	// deploy was over before it was to be killed.
	Void Verdict = "void"
)

// Record is one trial and what became of it: a line of trials.ndjson.
type Record struct {
	ID       string    `json:"id"`
	Kind     string    `json:"kind"`
	Seed     uint64    `json:"seed"`
	Try      int       `json:"try"` // 1, or more after void ones
	App      string    `json:"app"` // namespace
	Outlast  string    `json:"outlast"`
	Started  time.Time `json:"started"`
	Seconds  float64   `json:"seconds"` // of the deploy, of the second one when the first was killed
	Exit     int       `json:"exit"`
	Reason   string    `json:"reason"`
	KilledAt float64   `json:"killedAtSeconds,omitempty"`
	KilledIn string    `json:"killedIn,omitempty"` // the last that outlast said

	Requests int            `json:"requests"`
	Failed   int            `json:"failed"`
	Rate     float64        `json:"achievedRate"`
	Late     int            `json:"late"`
	Missed   int            `json:"missed"`
	MaxLag   float64        `json:"maxLagSeconds"`
	Versions map[string]int `json:"versions"`
	Failures []string       `json:"failures,omitempty"` // the first

	Verdict Verdict  `json:"verdict"`
	Why     []string `json:"why,omitempty"`
}

// Line is the record for people.
func (r Record) Line() string {
	text := fmt.Sprintf("%-16s %-6s %s seed %d: exit %d, %s, %.1f s; %d requests, %d failed", r.ID, r.Verdict, r.App, r.Seed, r.Exit, r.Reason, r.Seconds, r.Requests, r.Failed)
	if r.KilledIn != "" {
		text += fmt.Sprintf("; killed at %.1f s (%s)", r.KilledAt, r.KilledIn)
	}
	if len(r.Why) > 0 {
		text += ": " + strings.Join(r.Why, "; ")
	}
	return text
}

const keptFailures = 5

// Sent takes what the generator tells.
func (r *Record) Sent(l load.Report) {
	r.Requests, r.Failed, r.Rate, r.Late, r.Missed, r.MaxLag, r.Versions = l.Sent, l.Failed, l.Achieved, l.Late, l.Missed, l.MaxLag.Seconds(), l.Versions
	for _, s := range l.Failures[:min(keptFailures, len(l.Failures))] {
		r.Failures = append(r.Failures, fmt.Sprintf("%s %s: status %d %s %s after %.2f s", s.Due.UTC().Format("15:04:05.000"), s.Path, s.Status, s.Error, s.Detail, s.Latency.Seconds()))
	}
}

// File is the name of the records in a folder.
const File = "trials.ndjson"

// Read reads the records of a folder; none when there are none.
func Read(dir string) ([]Record, error) {
	path := filepath.Join(dir, File)
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the soak's records: %w", err)
	}
	defer f.Close()
	var list []Record
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		var r Record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("reading the soak's records: %s:%d: %w; delete the line, its trial is made again", path, n, err)
		}
		list = append(list, r)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading the soak's records: %w", err)
	}
	return list, nil
}

// Append adds a record to those of a folder.
func Append(dir string, r Record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, File), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("keeping a record: %w", err)
	}
	_, err = f.Write(append(text, '\n'))
	return errors.Join(err, f.Close())
}

// Last are the records that count: of each trial the newest that is not void.
func Last(all []Record) map[string]Record {
	out := map[string]Record{}
	for _, r := range all {
		if r.Verdict != Void {
			out[r.ID] = r
		}
	}
	return out
}
