// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"fmt"
	"strings"
	"testing"
)

func TestTame(t *testing.T) {
	for text, want := range map[string]string{
		"outlast: a\n": "outlast: a\n",
		"outlast: name \"web\n::error::pwned\"\n": "outlast: name \"web\n> ::error::pwned\"\n",
		"a\n  ::add-mask::x\n##[error]y\n":        "a\n>   ::add-mask::x\n> ##[error]y\n",
		"a\r::error::b\x1b[2Jc\n":                 "a ::error::b [2Jc\n",
		"tab\tand umlaut ü\n":                     "tab\tand umlaut ü\n",
	} {
		var b strings.Builder
		if n, err := fmt.Fprint(Tame(&b), text); err != nil || n != len(text) || b.String() != want {
			t.Errorf("%q became %q (%d, %v), want %q", text, b.String(), n, err, want)
		}
	}
}
