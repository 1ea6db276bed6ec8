// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

type word string

// shape has a field of each type that the services' structs have.
type shape struct {
	Name   *string
	Kind   word
	On     *bool
	Count  *int32
	Limit  *float64
	List   []string
	Inner  *shape
	Inners []shape
}

func drawShape(t *rapid.T, depth int) (s shape) {
	pointer := func(name string) bool { return rapid.Bool().Draw(t, name) }
	if pointer("name") {
		s.Name = new(rapid.String().Draw(t, "Name"))
	}
	if pointer("on") {
		s.On = new(rapid.Bool().Draw(t, "On"))
	}
	if pointer("count") {
		s.Count = new(rapid.Int32Min(-1<<31+1).Draw(t, "Count"))
	}
	if pointer("limit") {
		s.Limit = new(rapid.Float64().Draw(t, "Limit"))
	}
	s.Kind = word(rapid.StringMatching("[A-Z]*").Draw(t, "Kind"))
	if pointer("list") {
		s.List = rapid.SliceOf(rapid.String()).Draw(t, "List")
	}
	if depth > 0 {
		inner := drawShape(t, depth-1)
		s.Inner, s.Inners = &inner, []shape{inner, {}}
	}
	return s
}

func TestWhatIsEncodedInCBORIsDecodedAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawShape(t, 2)
		var out shape
		if err := DecodeCBOR(EncodeCBOR(&in), &out); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(in, out); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestOddBodiesInCBOR(t *testing.T) {
	for name, x := range map[string]struct {
		body string
		into any
		want string // in the error; "": none
	}{
		"nothing":                    {"", &shape{}, ""},
		"no CBOR":                    {"{}", &shape{}, "SerializationException"},
		"a field that is null":       {"\xa1dName\xf6", &shape{}, ""},
		"a field that nobody knows":  {"\xa1eOther\x01", &shape{}, ""},
		"a number that is text":      {"\xa1eCounta1", &shape{}, "Count has a value"},
		"a list in a place of a map": {"\x80", &shape{}, "the request has a value"},
		"a time":                     {"\xa1bAt\xc1\x01", &struct{ At *time.Time }{}, "At has a value"},
	} {
		err := DecodeCBOR([]byte(x.body), x.into)
		if (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %q", name, err, x.want)
		}
	}
}

func TestTheOperationOfAnRPC(t *testing.T) {
	for path, want := range map[string]string{
		"/service/GraniteServiceVersion20100801/operation/DescribeAlarms": "DescribeAlarms", "/service/X/operation/": "", "/": "", "/service/X/op/Y": "", "/service/X/operation/Y/Z": "",
	} {
		r := httptest.NewRequest(http.MethodPost, path, nil)
		if got := RPCOperation(r); got != "" {
			t.Errorf("without the protocol's header %s is %q", path, got)
		}
		r.Header.Set("Smithy-Protocol", "rpc-v2-cbor")
		if got := RPCOperation(r); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func FuzzDecodeCBOR(f *testing.F) {
	name, n := "x", int32(-3)
	f.Add(EncodeCBOR(&shape{Name: &name, Count: &n, List: []string{"a"}, Inner: &shape{}}))
	f.Fuzz(func(t *testing.T, body []byte) {
		var out shape
		if DecodeCBOR(body, &out) == nil {
			EncodeCBOR(&out) // whatever came can be written
		}
	})
}
