// SPDX-License-Identifier: Apache-2.0

package pack

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"
)

func secret(data map[string][]byte) *unstructured.Unstructured {
	values := map[string]any{}
	for k, v := range data {
		values[k] = base64.StdEncoding.EncodeToString(v)
	}
	return &unstructured.Unstructured{Object: map[string]any{"data": values}}
}

// TestCutAndJoin: what is cut in any way comes back, and no Secret gets more than there is room for.
func TestCutAndJoin(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		room := rapid.IntRange(1, 300).Draw(rt, "room")
		raw := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 400), 1, 3).Draw(rt, "parts")
		var parts []Part
		for i, r := range raw {
			parts = append(parts, Part{string(rune('a' + i)), r})
		}
		cut, err := Cut(room, parts...)
		if err != nil {
			if !strings.Contains(err.Error(), "more than the") {
				rt.Fatal(err)
			}
			return
		}
		var chunks []*unstructured.Unstructured
		for i, data := range cut {
			total := 0
			for _, v := range data {
				total += len(v)
			}
			if total > room || total < room && i < len(cut)-1 || len(cut) > MaxChunks {
				rt.Fatalf("chunk %d of %d has %d bytes of %d", i, len(cut), total, room)
			}
			chunks = append(chunks, secret(data))
		}
		for _, p := range parts {
			if got, err := Join(chunks, p.Key); err != nil || !bytes.Equal(got, p.Raw) {
				rt.Fatalf("%s: %q, %v", p.Key, got, err)
			}
		}
	})
}

// TestBomb: what unpacks to more than is ever packed is refused, and takes no
// more memory than that.
func TestBomb(t *testing.T) {
	one, err := Pack(make([]byte, 33<<20))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Unpack(append(one, one...)) // gzip takes two as one
	if err == nil || !strings.Contains(err.Error(), "unpacking: it is more than 65536 KiB") {
		t.Errorf("got %v", err)
	}
}

// FuzzUnpack: whatever is there is unpacked or refused.
func FuzzUnpack(f *testing.F) {
	for _, text := range []string{"", "kind: ConfigMap\n", strings.Repeat("x", 1000)} {
		packed, err := Pack([]byte(text))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed)
	}
	f.Add([]byte("\x1f\x8b"))
	f.Fuzz(func(t *testing.T, packed []byte) {
		if raw, err := Unpack(packed); err != nil && raw != nil {
			t.Errorf("got %d bytes with %v", len(raw), err)
		}
	})
}
