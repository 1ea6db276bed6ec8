// SPDX-License-Identifier: Apache-2.0

package alarm

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outlast-ci/outlast/core/event"
)

// cloud is CloudWatch as it is asked, time after time; what is behind an alarm's name is its state.
type cloud struct {
	answers []string // "a=OK b=ALARM", or "!" for none
	asked   int
	moved   map[string]time.Time
	states  map[string]string
}

func (c *cloud) Alarms(ctx context.Context, names []string) (found []Alarm, err error) {
	now := c.answers[min(c.asked, len(c.answers)-1)]
	c.asked++
	switch now {
	case "!":
		return nil, errors.New("not allowed")
	case "hang":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for _, word := range strings.Fields(now) {
		name, state, _ := strings.Cut(word, "=")
		if !slices.Contains(names, name) {
			continue
		}
		if c.states[name] != state {
			c.states[name], c.moved[name] = state, time.Now()
		}
		found = append(found, Alarm{Name: name, State: state, Since: c.moved[name], Why: "because"})
	}
	return found, nil
}

// The first answer comes before anything is changed, the second in a build, then the rollout begins, and
// the others are 15 s apart.
func TestWhatAlarmsTell(t *testing.T) {
	cases := map[string]struct {
		answers []string
		problem string // that ends with this
		at      int    // seconds after the rollout began
		unread  string
		says    []string
	}{
		"all is well to the end":                      {[]string{"a=OK b=OK"}, "", 0, "", nil},
		"one goes to ALARM":                           {[]string{"a=OK b=OK", "", "a=OK b=OK", "a=OK b=ALARM"}, "alarm b went to ALARM at 00:01:16, after the rollout began: because", 16, "", []string{"alarm b: ALARM: because"}},
		"one lacks data, and then does":               {[]string{"a=OK b=INSUFFICIENT_DATA", "", "a=OK b=INSUFFICIENT_DATA", "a=OK b=ALARM"}, "alarm b went to ALARM", 16, "", []string{"alarm b: INSUFFICIENT_DATA: because"}},
		"one has been there before":                   {[]string{"a=OK b=ALARM"}, "", 0, "", []string{"warning alarm b: it was in ALARM before the rollout began"}},
		"and loses its data meanwhile":                {[]string{"a=OK b=ALARM", "", "a=OK b=ALARM", "a=OK b=INSUFFICIENT_DATA", "a=OK b=ALARM"}, "", 0, "", nil},
		"and has been OK meanwhile":                   {[]string{"a=OK b=ALARM", "", "a=OK b=ALARM", "a=OK b=OK", "a=OK b=ALARM"}, "alarm b went to ALARM at 00:01:31", 31, "", []string{"alarm b: OK: because"}},
		"one went there before the rollout":           {[]string{"a=OK b=OK", "a=OK b=ALARM", "a=OK b=ALARM"}, "", 0, "", []string{"warning alarm b: it was in ALARM before the rollout began"}},
		"one was there, but not when it began":        {[]string{"a=OK b=ALARM", "a=OK b=OK", "a=OK b=ALARM"}, "alarm b went to ALARM at 00:01:01", 1, "", nil},
		"what cannot be read is neither good nor bad": {[]string{"a=OK b=OK", "", "!"}, "", 0, "CloudWatch's alarms cannot be read: not allowed", []string{"warning alarm: CloudWatch's alarms cannot be read: not allowed; until they can be"}},
		"nor is what hangs":                           {[]string{"a=OK b=OK", "", "hang"}, "", 0, "CloudWatch's alarms cannot be read: context deadline exceeded", nil},
		"nor is one that was deleted":                 {[]string{"a=OK b=OK", "", "a=OK"}, "", 0, "CloudWatch has no alarm called b any more", nil},
		"it counts when it can be read again":         {[]string{"a=OK b=OK", "", "!", "!", "a=ALARM b=OK"}, "alarm a went to ALARM", 31, "", nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told []string
				source := &cloud{answers: c.answers, moved: map[string]time.Time{}, states: map[string]string{}}
				w, err := Open(t.Context(), source, []string{"a", "b"}, func(e event.Event) {
					kind := ""
					if e.Kind == event.Warn {
						kind = "warning "
					}
					told = append(told, kind+e.Object+": "+e.Message)
				})
				if err != nil || w.Problem() != "" {
					t.Fatalf("%v, %q", err, w.Problem())
				}
				time.Sleep(30 * time.Second)
				source.Alarms(t.Context(), w.names) //nolint:errcheck // nobody listens
				time.Sleep(30 * time.Second)
				w.Begin(time.Now())
				began, at := time.Now(), -1
				time.Sleep(time.Second)
				for time.Since(began) < 2*time.Minute && at < 0 {
					time.Sleep(time.Until(w.Due()))
					if w.Look(t.Context()); !w.Due().After(time.Now()) {
						t.Fatal("it is due for ever")
					}
					if w.Problem() != "" {
						at = int(time.Since(began).Seconds())
					}
				}
				if !strings.HasPrefix(w.Problem(), c.problem) || (c.problem == "") != (w.Problem() == "") || c.problem != "" && at != c.at {
					t.Errorf("after %d s: %q, want %q after %d", at, w.Problem(), c.problem, c.at)
				}
				if w.Unread() != c.unread {
					t.Errorf("unread: %q", w.Unread())
				}
				for _, want := range c.says {
					if n := len(slices.DeleteFunc(slices.Clone(told), func(s string) bool { return !strings.HasPrefix(s, want) })); n != 1 {
						t.Errorf("%q was said %d times: %q", want, n, told)
					}
				}
				if n := len(slices.DeleteFunc(slices.Clone(told), func(s string) bool { return !strings.HasPrefix(s, "warning ") })); n > 1 {
					t.Errorf("%d warnings: %q", n, told)
				}
				if len(w.States()) != 2 || w.States()[0].Name != "a" {
					t.Errorf("%+v", w.States())
				}
			})
		})
	}
}

func TestBeforeAnythingIsChanged(t *testing.T) {
	for name, c := range map[string]struct{ answer, want string }{
		"an alarm that does not exist": {"a=OK", "there is no metric or composite alarm called b"},
		"an answer that does not come": {"!", "not allowed"},
	} {
		source := &cloud{answers: []string{c.answer}, moved: map[string]time.Time{}, states: map[string]string{}}
		if _, err := Open(t.Context(), source, []string{"a", "b"}, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var none *Watch
	if none.Begin(time.Now()); none.States() != nil {
		t.Error("no watch has states")
	}
}
