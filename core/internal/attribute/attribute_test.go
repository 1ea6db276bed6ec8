// SPDX-License-Identifier: Apache-2.0

package attribute

import "testing"

func TestAttributes(t *testing.T) {
	for name, tc := range map[string]struct {
		in    string
		d     string // value of d; "-": it has none
		with  string // d set to 1
		fails string
	}{
		"nothing":                                 {in: "", d: "-", with: "d=1"},
		"another":                                 {in: "a=b", d: "-", with: "a=b,d=1"},
		"the first, with an = in a value":         {in: "d=300, a=b=c", d: "300", with: "d=1,a=b=c"},
		"a comma in a value":                      {in: `a=x\,y,d=2`, d: "2", with: `a=x\,y,d=1`},
		"a backslash takes any sign":              {in: `a=\x\\,\d=2`, d: "2", with: `a=x\\,d=1`},
		"spaces":                                  {in: " a = b , d = 9 ", d: "9", with: "a=b,d=1"},
		"twice: the last counts, as for LBC":      {in: "d=100,d=10", d: "10", with: "d=1,d=1"},
		"a comma at the end belongs to the value": {in: "d=9, ", d: "9,", with: "d=1"},
		"no value":                                {in: "d=,a=b", d: "", with: "d=1,a=b"},
		"a lone backslash at the end":             {in: `a=b\`, d: "-", with: `a=b\\,d=1`},
		"something that is no pair":               {in: "a=b,nonsense", fails: `"nonsense" is not key=value`},
		"something before a pair":                 {in: "nonsense,a=b", fails: `"nonsense" is not key=value`},
		"an empty one between":                    {in: "a=b, ,d=9", fails: `" " is not key=value`},
		"only a comma":                            {in: ",", fails: `"," is not key=value`},
		"only a space":                            {in: " ", fails: `" " is not key=value`},
		"no key":                                  {in: "=b", fails: `"=b" is not key=value`},
	} {
		t.Run(name, func(t *testing.T) {
			attrs, err := Parse(tc.in)
			if tc.fails != "" {
				if err == nil || err.Error() != tc.fails {
					t.Fatalf("got %v, want %s", err, tc.fails)
				}
				return
			}
			d, ok := attrs.Get("d")
			if !ok {
				d = "-"
			}
			if got := attrs.With("d", "1").String(); err != nil || got != tc.with || d != tc.d {
				t.Errorf("d is %q, want %q; with d=1: %q, want %q (%v)", d, tc.d, got, tc.with, err)
			}
		})
	}
}

const delay = "deregistration_delay.timeout_seconds"

// FuzzAttributes: what is written reads as what was read, and setting one key
// changes no other.
func FuzzAttributes(f *testing.F) {
	for _, text := range []string{`a=b,c=d\,e`, `a=b,`, `a=b\`, `\,=\\`, "a=b,a=c", " a = b ", "a==", ","} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		attrs, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(attrs.String())
		if err != nil || again.String() != attrs.String() || len(again) != len(attrs) {
			t.Fatalf("%q -> %q -> %q (%v)", text, attrs, again, err)
		}
		set, err := Parse(attrs.With(delay, "65").String())
		if err != nil {
			t.Fatalf("%q with a delay: %v", text, err)
		}
		if v, ok := set.Get(delay); !ok || v != "65" {
			t.Fatalf("%q with a delay: %q", text, set)
		}
		for _, a := range attrs {
			was, _ := attrs.Get(a.Key)
			if is, ok := set.Get(a.Key); a.Key != delay && (!ok || is != was) {
				t.Fatalf("%q with a delay: %s was %q and is %q", text, a.Key, was, is)
			}
		}
	})
}
