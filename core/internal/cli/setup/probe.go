// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/outlast-ci/outlast/core/gate"
	"github.com/outlast-ci/outlast/core/internal/aws"
)

// probe reads what requests to send during the gate; nil when none are wanted.
func (c *Call) probe() (*gate.Probe, error) {
	s := c.Settings
	wrong := func(name, want string) error {
		return fmt.Errorf("reading %s: %q is no %s", s.Source(name), s.Text(name), want)
	}
	p := gate.Probe{URL: s.Text("probe-url"), Host: s.Text("probe-host"), Timeout: s.Duration("probe-timeout"), Body: s.Text("probe-body")}
	if p.URL == "" {
		for _, name := range []string{"probe-host", "probe-rate", "probe-timeout", "probe-status", "probe-body", "probe-budget"} {
			if source := s.Source(name); source != "" {
				return nil, fmt.Errorf("reading %s: it is for a probe; set its address, too (gate.probe.url, --probe-url)", source)
			}
		}
		return nil, nil
	}
	var err error
	if text := s.Text("probe-rate"); text != "" {
		if p.Rate, err = strconv.ParseFloat(text, 64); err != nil || !(p.Rate > 0) {
			return nil, wrong("probe-rate", "number of requests a second")
		}
	}
	if text := s.Text("probe-budget"); text != "" {
		if p.Failures, err = strconv.Atoi(text); err != nil {
			return nil, wrong("probe-budget", "number of requests")
		}
	}
	if text := s.Text("probe-status"); text != "" {
		if p.Status = statuses(text); p.Status == nil {
			return nil, wrong("probe-status", "list of status codes: write 200, 200-299 or 200-299,404")
		}
	}
	return &p, p.Check()
}

// alarms makes the client of CloudWatch's alarms.
func alarms(login func(context.Context) (awssdk.Config, error)) func(context.Context) (gate.Alarms, error) {
	return func(ctx context.Context) (gate.Alarms, error) {
		sdk, err := login(ctx)
		return aws.NewAlarms(sdk), err
	}
}

// statuses reads a list of status codes and ranges of them; nil when it is none.
func statuses(text string) (codes []int) {
	for item := range strings.SplitSeq(text, ",") {
		first, last, ranged := strings.Cut(strings.TrimSpace(item), "-")
		if !ranged {
			last = first
		}
		from, err := strconv.Atoi(first)
		to, wrong := strconv.Atoi(last)
		if err != nil || wrong != nil || from < 100 || to > 599 || from > to {
			return nil
		}
		for code := from; code <= to; code++ {
			codes = append(codes, code)
		}
	}
	return codes
}
