// SPDX-License-Identifier: Apache-2.0

package symbols

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestParseSeconds(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30": 30 * time.Second, "1.5": 1500 * time.Millisecond, ".5": 500 * time.Millisecond, "0": 0, "+3": 3 * time.Second, "1m30s": 90 * time.Second,
		"2m": 2 * time.Minute, "1m30": 90 * time.Second, "0.000000001": 1, "-1": -time.Second, "86399.999999999": 24*time.Hour - 1,
	} {
		if got, err := parseSeconds(text); err != nil || got != want {
			t.Errorf("%q is %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "s", "soon", "1e3", "0x10", "1,5", "30 ", " 30", "NaN", "Inf", "1d", "99999999999999999999", "9223372036.854775808", "3ss", "--1", "３"} {
		if got, err := parseSeconds(text); err == nil || !strings.Contains(err.Error(), "write seconds (90) or 1m30s") {
			t.Errorf("%q is %s, %v", text, got, err)
		}
	}
}

func TestDecimal(t *testing.T) {
	for d, want := range map[time.Duration]json.Number{
		0: "0", 90 * time.Second: "90", 1500 * time.Millisecond: "1.5", 1: "0.000000001", -1: "-0.000000001", -1500 * time.Millisecond: "-1.5", 1<<63 - 1: "9223372036.854775807", -1 << 63: "-9223372036.854775808",
	} {
		if got := Decimal(d); got != want {
			t.Errorf("%d ns is %s, want %s", d, got, want)
		}
	}
}

// table is one with a field of each kind.
func table() (t Table, d, o *time.Duration, n *int) {
	d, n = new(time.Duration), new(int)
	return Table{map[string]*time.Duration{"D": d}, map[string]**time.Duration{"O": &o}, map[string]*int{"N": n}, nil}, d, o, n
}

// FuzzParseSeconds: whatever somebody writes as a time is refused, or is a time
// that is the same when it is written down and read again.
func FuzzParseSeconds(f *testing.F) {
	for _, seed := range []string{"30", "1.5", "1m30s", "-1", "+.5h", "1h2m3.4s", "9223372036.854775807", "1µs", "0x1p4", "1_000", "30s30", "s", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseSeconds(text)
		if n, e := strconv.ParseUint(text, 10, 31); e == nil && (err != nil || d != time.Duration(n)*time.Second) {
			t.Fatalf("%q is %s, %v", text, d, err)
		}
		if std, e := time.ParseDuration(text); e == nil && (err != nil || d != std) {
			t.Fatalf("%q is %s, %v, time says %s", text, d, err, std)
		}
		fields, field, _, _ := table()
		*field = 7
		refused := fields.Set("D", text)
		if (refused == nil) != (err == nil && d >= 0 && d <= MaxDuration) || refused != nil && *field != 7 {
			t.Fatalf("%q: parsed as %s, %v; set: %v, to %s", text, d, err, refused, *field)
		}
		if err != nil {
			return
		}
		if back, err := parseSeconds(Decimal(d).String()); err != nil || back != d {
			t.Fatalf("%q is %d ns, and again %d ns, %v", text, d, back, err)
		}
		if refused != nil {
			return
		}
		out, err := fields.Marshal(struct{}{}, false)
		if err != nil {
			t.Fatal(err)
		}
		again, field, _, _ := table()
		if err := again.Unmarshal(out, &struct{}{}); err != nil || *field != d {
			t.Fatalf("%s: %s, %v", out, *field, err)
		}
	})
}

func TestTable(t *testing.T) {
	fields, d, _, n := table()
	if names := strings.Join(fields.Names(), " "); names != "D N O" {
		t.Errorf("names %s", names)
	}
	for symbol, value := range map[string]string{"D": "1.5", "O": "2", "N": "3"} {
		if err := fields.Set(symbol, value); err != nil {
			t.Fatal(err)
		}
	}
	if total, err := fields.Check(); err != nil || total != 3500*time.Millisecond {
		t.Errorf("total %s, %v", total, err)
	}
	text, err := fields.Marshal(map[string]any{"name": "x"}, true)
	if err != nil || string(text) != `{"D":1.5,"N":3,"O":2,"name":"x"}` {
		t.Errorf("%s, %v", text, err)
	}
	*d, *n = 0, 0
	if text, err = fields.Marshal(struct{}{}, true); err != nil || string(text) != `{"O":2}` {
		t.Errorf("sparse: %s, %v", text, err)
	}
	for _, broken := range []string{`{"D": "soon"}`, `{"N": 1.5}`, `{"D": -1}`, `{`, `[]`} {
		if err := fields.Unmarshal([]byte(broken), &struct{}{}); err == nil {
			t.Errorf("%s is read", broken)
		}
	}
	flag := false
	fields.Flags = map[string]*bool{"F": &flag}
	if err := fields.Set("F", "true"); err != nil || !flag {
		t.Errorf("F is %v, %v", flag, err)
	}
	if err := fields.Set("F", "maybe"); err == nil || !flag || !strings.Contains(err.Error(), `"maybe" is neither true nor false`) {
		t.Errorf("F is %v, %v", flag, err)
	}
	*n = MaxCount + 1
	if _, err := fields.Check(); err == nil || !strings.Contains(err.Error(), "N = 10001 is not between 0 and 10000") {
		t.Errorf("got %v", err)
	}
}
