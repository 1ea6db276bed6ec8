// SPDX-License-Identifier: Apache-2.0

// Package symbols gives the fields of a struct the names of formulas: text in,
// values out, and JSON objects whose keys are the symbols. Times are seconds.
package symbols

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of a value.
const (
	MaxDuration = 24 * time.Hour
	MaxCount    = 10_000
)

// Table maps symbols to fields.
type Table struct {
	Durations map[string]*time.Duration
	Optional  map[string]**time.Duration // nil: not known
	Counts    map[string]*int
	Flags     map[string]*bool // in JSON of the struct itself
}

// Names lists the symbols.
func (t Table) Names() []string {
	names := append(slices.Collect(maps.Keys(t.Durations)), slices.Collect(maps.Keys(t.Optional))...)
	names = append(names, slices.Collect(maps.Keys(t.Counts))...)
	names = append(names, slices.Collect(maps.Keys(t.Flags))...)
	slices.Sort(names)
	return names
}

// Within holds a value against its limit.
func Within[T cmp.Ordered](name string, v, limit T) error {
	var zero T
	if v < zero || v > limit {
		return fmt.Errorf("%s = %v is not between %v and %v", name, v, zero, limit)
	}
	return nil
}

// Check holds every value against its limit; total adds the times up.
func (t Table) Check() (total time.Duration, err error) {
	for _, symbol := range t.Names() {
		d := t.Durations[symbol]
		if option := t.Optional[symbol]; option != nil {
			d = *option
		}
		switch n := t.Counts[symbol]; {
		case n != nil:
			err = Within(symbol, *n, MaxCount)
		case d != nil:
			err = Within(symbol, *d, MaxDuration)
			total += *d
		}
		if err != nil {
			return 0, err
		}
	}
	return total, nil
}

// Set gives one symbol a value: seconds (30, 1.5), a duration (1m30s), a
// count, or true and false. What is refused leaves the field as it was.
func (t Table) Set(symbol, value string) error {
	if flag, ok := t.Flags[symbol]; ok {
		v, err := strconv.ParseBool(value)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", value)
		}
		*flag = v
		return nil
	}
	if n, ok := t.Counts[symbol]; ok {
		v, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("%q is no whole number", value)
		}
		if err := Within(symbol, v, MaxCount); err != nil {
			return err
		}
		*n = v
		return nil
	}
	field, ok := t.Durations[symbol]
	option, optional := t.Optional[symbol]
	if !ok && !optional {
		return fmt.Errorf("no symbol has this name; they are %s", strings.Join(t.Names(), ", "))
	}
	d, err := parseSeconds(value)
	if err = cmp.Or(err, Within(symbol, d, MaxDuration)); err != nil {
		return err
	}
	if optional {
		*option = &d
	} else {
		*field = d
	}
	return nil
}

func parseSeconds(value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil {
		d, err = time.ParseDuration(value + "s") // a bare number; exact, unlike a float
	}
	if err != nil {
		return 0, fmt.Errorf("%q is no time: write seconds (90) or 1m30s", value)
	}
	return d, nil
}

// Decimal is a time in seconds, to the last nanosecond.
func Decimal(d time.Duration) json.Number {
	text := strconv.FormatInt(int64(d/time.Second), 10)
	rest := d % time.Second
	if rest < 0 {
		rest = -rest
		text = "-" + strings.TrimPrefix(text, "-")
	}
	if rest != 0 {
		text += strings.TrimRight(fmt.Sprintf(".%09d", int64(rest)), "0")
	}
	return json.Number(text)
}

// Marshal writes the JSON object plain with the symbols in it as Set reads them;
// sparse leaves out the ones that are zero.
func (t Table) Marshal(plain any, sparse bool) ([]byte, error) {
	text, err := json.Marshal(plain)
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, err
	}
	for symbol, d := range t.Durations {
		if *d != 0 || !sparse {
			out[symbol] = Decimal(*d)
		}
	}
	for symbol, d := range t.Optional {
		if *d != nil {
			out[symbol] = Decimal(**d)
		}
	}
	for symbol, n := range t.Counts {
		if *n != 0 || !sparse {
			out[symbol] = *n
		}
	}
	return json.Marshal(out)
}

// Unmarshal reads a JSON object into plain, and the symbols in it.
func (t Table) Unmarshal(text []byte, plain any) error {
	if err := json.Unmarshal(text, plain); err != nil {
		return err
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		return err
	}
	for _, symbol := range t.Names() {
		if value, ok := raw[symbol]; ok {
			if err := t.Set(symbol, string(value)); err != nil {
				return fmt.Errorf("reading %s: %w", symbol, err)
			}
		}
	}
	return nil
}
