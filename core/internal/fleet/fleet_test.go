// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"errors"
	"strings"
	"testing"
)

var errBad = errors.New("bad")

// three members write down what is done with them; some fail.
func three(log *[]string, checks, runs string) (all []Member) {
	for _, name := range []string{"a", "b", "c"} {
		do := func(verb, failing string) func(context.Context) error {
			return func(context.Context) error {
				*log = append(*log, verb+" "+name)
				if strings.Contains(failing, name) {
					return errBad
				}
				return nil
			}
		}
		all = append(all, Member{name, do("check", checks), do("run", runs)})
	}
	return all
}

func TestRoll(t *testing.T) {
	for name, c := range map[string]struct{ fails, did, said string }{
		"all pass":       {"", "run a run b run c", ""},
		"the first ends": {"a", "run a", "cluster a: bad; not begun: b, c"},
		"the next ends":  {"bc", "run a run b", "cluster b: bad; passed before it, and left as they are: a; not begun: c"},
		"the last ends":  {"c", "run a run b run c", "cluster c: bad; passed before it, and left as they are: a, b"},
	} {
		t.Run(name, func(t *testing.T) {
			var log []string
			err := Roll(t.Context(), three(&log, "", c.fails))
			if got := strings.Join(log, " "); got != c.did {
				t.Errorf("did %q, want %q", got, c.did)
			}
			if (err == nil) != (c.said == "") || err != nil && (err.Error() != c.said || !errors.Is(err, errBad)) {
				t.Errorf("said %v, want %q", err, c.said)
			}
		})
	}
	if err := Roll(t.Context(), nil); err == nil {
		t.Error("nothing was rolled, and it passed")
	}
}

func TestCheckLooksAtAll(t *testing.T) {
	var log []string
	err := Check(t.Context(), three(&log, "ac", ""))
	if got := strings.Join(log, " "); got != "check a check b check c" {
		t.Errorf("did %q", got)
	}
	if err == nil || err.Error() != "cluster a: bad\ncluster c: bad" || !errors.Is(err, errBad) {
		t.Errorf("said %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	log = nil
	if err := Check(ctx, three(&log, "a", "")); err == nil || len(log) != 1 {
		t.Errorf("an ended run went on: %q, %v", log, err)
	}
}
