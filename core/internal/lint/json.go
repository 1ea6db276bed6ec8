// SPDX-License-Identifier: Apache-2.0

package lint

import "github.com/outlast-ci/outlast/core/drain"

// Schema names the layout of the json format. Keys are only added to it.
const Schema = "outlast.check/v1"

// Document is the json format. Texts are as they were found; each value is safe
// to print.
type Document struct {
	Schema    string          `json:"schema"`
	Version   string          `json:"version"`
	Root      string          `json:"root,omitempty"`
	Objects   int             `json:"objects"`
	Workloads int             `json:"workloads"`
	Seconds   float64         `json:"seconds"`
	Counts    Counts          `json:"counts"`
	Findings  []drain.Finding `json:"findings"`
	Rules     []Rule          `json:"rules"`
}

func asJSON(r Report, _ Options) ([]byte, error) {
	d := Document{
		Schema: Schema, Version: r.Version, Root: r.Root, Objects: r.Objects, Workloads: r.Workloads,
		Seconds: r.Took.Seconds(), Counts: Count(r.Findings), Findings: r.Findings, Rules: r.Rules,
	}
	// Readers loop over lists; null is none.
	if d.Findings == nil {
		d.Findings = []drain.Finding{}
	}
	if d.Rules == nil {
		d.Rules = []Rule{}
	}
	return marshal(d)
}
