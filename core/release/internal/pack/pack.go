// SPDX-License-Identifier: Apache-2.0

// Package pack puts bytes of any size into the values of Secrets, and takes
// them out again. What it reads is not trusted. No error quotes a value.
package pack

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	// Room is how many bytes of values go into one Secret, which holds at most
	// 1 MiB.
	Room = 960 << 10
	// MaxChunks is how many Secrets hold a content at most.
	MaxChunks = 5
	// maxRaw is the most bytes that a value may be unpacked: more is a mistake,
	// or an attack on whoever reads it.
	maxRaw = 64 << 20
)

// Part is one thing to be packed, under the key that it has in a Secret.
type Part struct {
	Key string
	Raw []byte
}

// Cut gives parts as the values of Secrets, with so much room in each: packed,
// one behind the other, and cut where a Secret is full.
func Cut(room int, parts ...Part) (chunks []map[string][]byte, err error) {
	left, total := 0, 0
	for _, part := range parts {
		packed, err := Pack(part.Raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part.Key, err)
		}
		total += len(packed)
		for len(packed) > 0 {
			if left == 0 {
				chunks, left = append(chunks, map[string][]byte{}), room
			}
			n := min(left, len(packed))
			chunks[len(chunks)-1][part.Key] = packed[:n]
			packed, left = packed[n:], left-n
		}
	}
	if total > MaxChunks*room {
		return nil, fmt.Errorf("packed, it takes %s, more than the %s that are kept", KiB(total), KiB(MaxChunks*room))
	}
	return chunks, nil
}

// Join is the reverse of Cut for one part.
func Join(chunks []*unstructured.Unstructured, key string) ([]byte, error) {
	var packed []byte
	for i, obj := range chunks {
		piece, err := Value(obj, key)
		if err != nil {
			return nil, fmt.Errorf("chunk %d of %d: %w", i+1, len(chunks), err)
		}
		packed = append(packed, piece...)
	}
	raw, err := Unpack(packed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return raw, nil
}

// Value gives one of a Secret's values; nil when it has none of that key.
func Value(obj *unstructured.Unstructured, key string) ([]byte, error) {
	field, found, err := unstructured.NestedFieldNoCopy(obj.Object, "data", key)
	if err != nil || !found {
		return nil, nil
	}
	text, ok := field.(string)
	if !ok {
		return nil, fmt.Errorf("%s is no text", key)
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%s is no base64", key)
	}
	return raw, nil
}

// Pack compresses.
func Pack(raw []byte) ([]byte, error) {
	if len(raw) > maxRaw {
		return nil, fmt.Errorf("%s are more than the %s that are kept", KiB(len(raw)), KiB(maxRaw))
	}
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(raw)
	err = errors.Join(err, w.Close())
	return out.Bytes(), err
}

// Unpack is the reverse of Pack.
func Unpack(packed []byte) ([]byte, error) {
	if len(packed) == 0 {
		return nil, errors.New("it is missing")
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpacking: %w", err)
	}
	raw, err := io.ReadAll(io.LimitReader(r, maxRaw+1))
	if err != nil {
		return nil, fmt.Errorf("unpacking: %w", err)
	}
	if len(raw) > maxRaw {
		return nil, fmt.Errorf("unpacking: it is more than %s", KiB(maxRaw))
	}
	return raw, nil
}

// KiB says how large something is.
func KiB(n int) string { return fmt.Sprintf("%d KiB", (n+1023)/1024) }
