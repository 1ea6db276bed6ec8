// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/google/go-cmp/cmp"
)

func TestRules(t *testing.T) {
	state := func(name string) types.StateValue {
		return map[string]types.StateValue{"a": "ALARM", "o k": "OK"}[name]
	}
	for text, want := range map[string]string{
		"TRUE": "true", "not true": "false", "FALSE OR FALSE OR TRUE": "true", "TRUE OR TRUE AND FALSE": "true", "(TRUE OR TRUE) AND FALSE": "false", "NOT FALSE AND FALSE": "false",
		`ALARM(a) AND OK("o k")`: "true", "OK ( a )": "false", "INSUFFICIENT_DATA(a)": "false", "ALARM(arn:aws:cloudwatch:us-east-1:123456789012:alarm:a)": "true",
		"": "no condition", "()": "no condition", "ALARM": "in parentheses", "ALARM()": "in parentheses", "ALARM(a)(": "unexpected", "TRUE NOT FALSE": "unexpected NOT", "(ALARM(a)": "not closed",
	} {
		holds, err := evaluate(text, state)
		got := map[bool]string{true: "true", false: "false"}[holds]
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	if diff := cmp.Diff([]string{"a", "o k", "c"}, named(`TRUE OR ALARM(a) AND (OK("o k") OR NOT ALARM(x:alarm:c))`)); diff == "" {
		t.Error("a name with colons is no ARN")
	}
	if diff := cmp.Diff([]string{"a", "o k", "c"}, named(`TRUE OR ALARM(a) AND (OK("o k") OR NOT ALARM(arn:x:alarm:c))`)); diff != "" {
		t.Error(diff)
	}
}

// Whatever the text, reading ends, and what is read without an error reads the same with
// spaces around each parenthesis.
func FuzzRule(f *testing.F) {
	for _, text := range []string{"TRUE AND (ALARM(a) OR NOT OK(b))", `ALARM("x y")`, "((((", "NOT NOT NOT", "ALARM(a) AND"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		state := func(name string) types.StateValue {
			if len(name)%2 == 0 {
				return types.StateValueAlarm
			}
			return types.StateValueOk
		}
		holds, err := evaluate(text, state)
		if err != nil || strings.Contains(text, `"`) {
			return
		}
		again, err := evaluate(strings.NewReplacer("(", " ( ", ")", " ) ").Replace(text), state)
		if err != nil || again != holds {
			t.Errorf("%q: %v, with spaces %v, %v", text, holds, again, err)
		}
	})
}
