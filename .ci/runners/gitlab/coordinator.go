// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// coordinator is as much of GitLab's API as a runner needs for one job:
// https://docs.gitlab.com/api/jobs/ and the runner's own package network.
type coordinator struct {
	job    payload
	dir    string // for artifacts
	out    io.Writer
	cancel string // text in the log on which the job is cancelled; empty: never
	as     string // canceled or canceling

	mu    sync.Mutex
	given bool
	trace []byte
	end   ending
}

// ending is what the runner says of the job at last.
type ending struct {
	State         string `json:"state"`
	FailureReason string `json:"failure_reason"`
	ExitCode      int    `json:"exit_code"`
}

func (c *coordinator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	job := fmt.Sprintf("/api/v4/jobs/%d", c.job.ID)
	switch call := r.Method + " " + r.URL.Path; call {
	case "POST /api/v4/jobs/request":
		if c.given {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		c.given = true
		answer(w, http.StatusCreated, c.job)
	case "PATCH " + job + "/trace":
		c.log(w, r)
	case "PUT " + job:
		if err := json.NewDecoder(r.Body).Decode(&c.end); err != nil {
			answer(w, http.StatusBadRequest, err.Error())
			return
		}
		c.status(w)
		w.WriteHeader(http.StatusOK)
	case "POST " + job + "/artifacts":
		if err := c.keep(r); err != nil {
			answer(w, http.StatusBadRequest, err.Error())
			return
		}
		answer(w, http.StatusCreated, map[string]any{"id": 1})
	default:
		answer(w, http.StatusNotFound, call)
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body) //nolint:errcheck // the runner went away
}

// log takes the next piece of the job's log.
func (c *coordinator) log(w http.ResponseWriter, r *http.Request) {
	var start int
	if _, err := fmt.Sscanf(r.Header.Get("Content-Range"), "%d-", &start); err != nil || start != len(c.trace) {
		w.Header().Set("Range", fmt.Sprintf("0-%d", len(c.trace)))
		c.status(w)
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return
	}
	piece, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.trace = append(c.trace, piece...)
	c.out.Write(piece) //nolint:errcheck // the log
	w.Header().Set("Range", fmt.Sprintf("0-%d", len(c.trace)))
	w.Header().Set("X-GitLab-Trace-Update-Interval", "1")
	c.status(w)
	w.WriteHeader(http.StatusAccepted)
}

// status tells the runner what became of the job meanwhile.
func (c *coordinator) status(w http.ResponseWriter) {
	status := "running"
	if c.canceled() {
		status = c.as
	}
	w.Header().Set("Job-Status", status)
}

func (c *coordinator) canceled() bool {
	return c.cancel != "" && bytes.Contains(c.trace, []byte(c.cancel))
}

// keep stores an upload under its type: archive.zip, junit, dotenv.
func (c *coordinator) keep(r *http.Request) error {
	file, _, err := r.FormFile("file")
	if err != nil {
		return err
	}
	defer file.Close()
	kind := filepath.Base(r.URL.Query().Get("artifact_type"))
	if kind == "." || kind == "archive" {
		kind = "archive.zip"
	}
	var from io.Reader = file
	if r.URL.Query().Get("artifact_format") == "gzip" {
		if from, err = gzip.NewReader(file); err != nil {
			return err
		}
	}
	text, err := io.ReadAll(from)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.dir, kind), text, 0o644)
}

// dotenv are the variables that a job left for later ones.
func dotenv(dir string) (vars []variable) {
	text, err := os.ReadFile(filepath.Join(dir, "dotenv"))
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			vars = append(vars, variable{Key: name, Value: value, Public: true})
		}
	}
	return vars
}
