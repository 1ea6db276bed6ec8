// SPDX-License-Identifier: Apache-2.0

package output

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/outlast-ci/outlast/core/event"
)

// EventLog is events.ndjson, which grows during the run. Safe for concurrent use.
type EventLog struct {
	mu   sync.Mutex
	file *os.File
	mask func(string) string
	err  error
}

// NewEventLog makes the file in dir.
func NewEventLog(dir string, mask func(string) string) (*EventLog, error) {
	file, err := os.Create(filepath.Join(dir, "events.ndjson"))
	if err != nil {
		return nil, fmt.Errorf("making the event log: %w", err)
	}
	return &EventLog{file: file, mask: mask}, nil
}

// Write adds one line; what fails is told by Close.
func (l *EventLog) Write(e event.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Message, e.Object = l.mask(e.Message), l.mask(e.Object)
	text, err := json.Marshal(e)
	if err == nil {
		_, err = l.file.Write(append(text, '\n'))
	}
	if l.err == nil {
		l.err = err
	}
}

// Close ends it, and gives the first error of its life.
func (l *EventLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.err, l.file.Close())
}
