// SPDX-License-Identifier: Apache-2.0

package trial

import "time"

// Report is the part of outlast's report.json that the lab looks at.
type Report struct {
	Result string  `json:"result"`
	Reason string  `json:"reason"`
	Error  string  `json:"error"`
	Stages []Stage `json:"stages"`
	Refs   []struct {
		Repository    string `json:"repository"`
		Digest        string `json:"digest"`
		Tag           string `json:"tag"`
		Reused        bool   `json:"reused"`
		BlobsUploaded int    `json:"blobsUploaded"`
	} `json:"refs"`
	Manifests struct {
		Workloads []struct {
			Name string `json:"name"`
			Plan Plan   `json:"plan"`
		} `json:"workloads"`
	} `json:"manifests"`
	Rollout struct {
		Changes []struct {
			Object string `json:"object"`
			Action string `json:"action"`
		} `json:"changes"`
	} `json:"rollout"`
	Gate struct {
		Passed    bool `json:"passed"`
		Workloads []struct {
			Object     string   `json:"object"`
			Desired    int      `json:"desired"`
			MinHealthy int      `json:"minHealthy"`
			Groups     []string `json:"groups"`
			Pods       []Pod    `json:"pods"`
		} `json:"workloads"`
		Evidence []struct {
			Pod    string   `json:"pod"`
			Events []string `json:"events"`
			Logs   []struct {
				Container string   `json:"container"`
				Lines     []string `json:"lines"`
			} `json:"logs"`
		} `json:"evidence"`
	} `json:"gate"`
}

// Stage is one line of the report's table.
type Stage struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	Result  string  `json:"result"`
	Note    string  `json:"note"`
}

// Plan holds the drain timings in seconds.
type Plan struct {
	Mode                string `json:"mode"`
	DeregistrationDelay int    `json:"deregistrationDelaySeconds"`
	PreStop             int    `json:"preStopSeconds"`
	GracePeriod         int    `json:"terminationGracePeriodSeconds"`
}

// Pod is what became of a pod and its target.
type Pod struct {
	Name     string    `json:"name"`
	IP       string    `json:"ip"`
	New      bool      `json:"new"`
	Created  time.Time `json:"created"`
	Healthy  time.Time `json:"healthy"`
	Deleted  time.Time `json:"deleted"`
	Draining time.Time `json:"draining"`
	Drained  time.Time `json:"drained"`
	Gone     time.Time `json:"gone"`
	Proof    string    `json:"proof"`
	Margin   float64   `json:"marginSeconds"`
}
