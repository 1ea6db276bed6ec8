// SPDX-License-Identifier: Apache-2.0

package release

import (
	"encoding/json"
	"time"
)

// State is how far a revision came.
type State string

const (
	Applying    State = "applying"    // its writes have begun
	Applied     State = "applied"     // all were accepted; the gate has not decided
	Passed      State = "passed"      // the gate passed
	Failed      State = "failed"      // and was not rolled back
	RolledBack  State = "rolled-back" // failed, and an earlier one was applied again
	Interrupted State = "interrupted" // ended by a signal, truthfully
	Unreadable  State = "unreadable"  // only read, never written: its record is broken or of a newer outlast
)

// states are those that may be written.
var states = []State{Applying, Applied, Passed, Failed, RolledBack, Interrupted}

// Revision is one attempt to deploy. It survives JSON.
type Revision struct {
	Number     int       `json:"number"` // from 1, given by Begin
	State      State     `json:"state"`
	Reason     string    `json:"reason,omitempty"`     // why it is in that state
	OfRevision int       `json:"ofRevision,omitempty"` // of a rollback: whose manifests these are
	Run        Run       `json:"run"`
	Started    time.Time `json:"started"`
	Finished   time.Time `json:"finished,omitzero"`
	Token      int64     `json:"token"`  // of the lock under which it was written last
	SHA256     string    `json:"sha256"` // of Content.Manifests, in hexadecimal; given by Begin
	Journal    Journal   `json:"journal"`
}

// Run says who deployed what.
type Run struct {
	Version     string `json:"version"` // of outlast
	Commit      string `json:"commit,omitempty"`
	Branch      string `json:"branch,omitempty"`
	RunURL      string `json:"runUrl,omitempty"`
	Actor       string `json:"actor,omitempty"`
	Environment string `json:"environment,omitempty"`
}

// Journal is how far an attempt came, for the run that goes on after a kill.
// It holds names and versions, never values.
type Journal struct {
	Phase   string   `json:"phase,omitempty"` // reached, in the caller's words
	Step    string   `json:"step,omitempty"`  // within the phase
	Objects []Object `json:"objects,omitempty"`
}

// Object is what the journal says of one object.
type Object struct {
	ID              string `json:"id"`                        // Kind/namespace/name
	UID             string `json:"uid,omitempty"`             // before the attempt; empty: it did not exist
	ResourceVersion string `json:"resourceVersion,omitempty"` // before the attempt
	Note            string `json:"note,omitempty"`            // what was done to it
}

// Content is what a revision applied and what its run reported before that.
type Content struct {
	Manifests []byte          // YAML, byte for byte; may hold Secrets
	Report    json.RawMessage // may be empty
}
