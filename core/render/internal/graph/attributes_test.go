// SPDX-License-Identifier: Apache-2.0

package graph

import "testing"

func TestAttributes(t *testing.T) {
	for in, want := range map[string]string{
		"":                  "d=1",
		"a=b":               "a=b,d=1",
		"d=300, a=b=c":      "d=1,a=b=c",
		`a=x\,y,d=2`:        `a=x\,y,d=1`,
		" a = b , , d = 9 ": "a=b,d=1",
	} {
		attrs, err := parse(in)
		if got := attrs.with("d", "1").String(); err != nil || got != want {
			t.Errorf("%q with d=1: %q (%v), want %q", in, got, err, want)
		}
	}
}

func FuzzAttributes(f *testing.F) {
	f.Add(`a=b,c=d\,e`)
	f.Fuzz(func(t *testing.T, text string) {
		attrs, err := parse(text)
		if err != nil {
			return
		}
		again, err := parse(attrs.String())
		if err != nil || again.String() != attrs.String() {
			t.Errorf("%q -> %q -> %q (%v)", text, attrs, again, err)
		}
	})
}
