// SPDX-License-Identifier: Apache-2.0

package setup

import "testing"

func TestStatusCodes(t *testing.T) {
	for text, want := range map[string][3]int{ // how many, the first, the last
		"200": {1, 200, 200}, "200-299": {100, 200, 299}, "200-204, 404": {6, 200, 404}, "100-599": {500, 100, 599},
		"": {}, "2xx": {}, "99": {}, "600": {}, "299-200": {}, "200-": {}, "200,": {}, "-200": {}, "200-299-399": {},
	} {
		got := statuses(text)
		if len(got) != want[0] || len(got) > 0 && (got[0] != want[1] || got[len(got)-1] != want[2]) {
			t.Errorf("%q: %v, want %d from %d to %d", text, got, want[0], want[1], want[2])
		}
	}
}
