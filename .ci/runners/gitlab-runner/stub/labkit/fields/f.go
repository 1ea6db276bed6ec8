// SPDX-License-Identifier: Apache-2.0

package fields

// The three names and two maps the runner's log code reads; with an empty
// Deprecated map every field keeps the runner's own (legacy) name.
const (
	HTTPStatusCode = "status"
	DurationS      = "duration_s"
)

type Deprecation struct{ Standard string }

var (
	Deprecated     = map[string]Deprecation{}
	VariantVersion = map[string]int{}
)
