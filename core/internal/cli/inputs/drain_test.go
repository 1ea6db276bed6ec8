// SPDX-License-Identifier: Apache-2.0

package inputs

import (
	"strings"
	"testing"
	"time"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/internal/config"
)

// TestPrecedenceOfDrainInputs: who wins for R, from the weakest to the strongest.
func TestPrecedenceOfDrainInputs(t *testing.T) {
	file := "drain: {set: {R: 1, P: 11}, longestRequest: 2s, requestTimeout: 20s, keepAlive: 70s, idleTimeout: 65s, timeoutOrder: app-first, mode: fast, onSigterm: graceful}"
	for name, tc := range map[string]struct {
		flags   map[string][]string
		environ []string
		file    string
		want    time.Duration
	}{
		"the planning value":             {nil, nil, "app: web", 30 * time.Second},
		"drain.set":                      {nil, nil, "drain: {set: {R: 1}}", time.Second},
		"drain.longestRequest":           {nil, nil, file, 2 * time.Second},
		"OUTLAST_LONGEST_REQUEST":        {nil, []string{"OUTLAST_LONGEST_REQUEST=3"}, file, 3 * time.Second},
		"OUTLAST_SET":                    {nil, []string{"OUTLAST_LONGEST_REQUEST=3", "OUTLAST_SET=R=4"}, file, 4 * time.Second},
		"--set":                          {map[string][]string{"set": {"R=5"}}, []string{"OUTLAST_LONGEST_REQUEST=3", "OUTLAST_SET=R=4"}, file, 5 * time.Second},
		"--longest-request":              {map[string][]string{"set": {"R=5"}, "longest-request": {"6s"}}, []string{"OUTLAST_SET=R=4"}, file, 6 * time.Second},
		"--longest-request, OUTLAST_SET": {map[string][]string{"longest-request": {"6"}}, []string{"OUTLAST_SET=R=4"}, "app: web", 6 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := read(t, tc.flags, tc.environ, tc.file)
			if err != nil {
				t.Fatal(err)
			}
			if in.Request != tc.want {
				t.Errorf("R = %s, want %s", in.Request, tc.want)
			}
			if tc.file != file {
				return
			}
			if *in.RequestTimeout != 20*time.Second || *in.KeepAlive != 70*time.Second || in.IdleTimeout != 65*time.Second || in.Propagation != 11*time.Second ||
				in.Order != drain.AppFirst || in.Mode != drain.Fast || in.App != drain.Graceful {
				t.Errorf("got %+v", in)
			}
		})
	}
}

func TestDrainInputsAreRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		flags map[string][]string
		file  string
		want  string
	}{
		"no symbol":             {nil, "drain: {set: {X: 1}}", "reading outlast.yaml: drain.set: setting X: no symbol has this name"},
		"no value":              {map[string][]string{"set": {"P"}}, "app: web", `reading --set "P": want SYMBOL=VALUE`},
		"a negative time":       {map[string][]string{"set": {"P=-1"}}, "app: web", "reading --set: setting P: P = -1s is not between 0s and 24h0m0s"},
		"longer than a day":     {map[string][]string{"keep-alive": {"25h"}}, "app: web", "reading --keep-alive: setting K: K = 25h0m0s is not between"},
		"an order that is none": {nil, "drain: {timeoutOrder: first}", `reading outlast.yaml: drain.timeoutOrder: "first" is none of app-first, balancer-first`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := read(t, tc.flags, nil, tc.file); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func read(t *testing.T, flags map[string][]string, environ []string, file string) (drain.Inputs, error) {
	t.Helper()
	s, err := Read(flags, environ)
	if err != nil {
		t.Fatal(err)
	}
	if s.File, err = config.Parse("outlast.yaml", []byte(file), ScalarKeys()); err != nil {
		t.Fatal(err)
	}
	if err := s.Choose(""); err != nil {
		return drain.Inputs{}, err
	}
	return s.Drain(drain.Defaults())
}
