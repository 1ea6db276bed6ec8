// SPDX-License-Identifier: Apache-2.0

// Package diff compares objects field by field: two objects go in, and the
// fields that differ come out, for people to read. What is in a Secret comes
// out as a keyed hash: it tells whether a value changed, and nothing else.
package diff

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Field is one field before and after, as JSON texts; empty: it is not there.
type Field struct {
	Path string `json:"path"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

func (f Field) String() string {
	return f.Path + ": " + cmp.Or(f.From, "(none)") + " -> " + cmp.Or(f.To, "(none)")
}

// LastApplied is where kubectl's client-side apply keeps a copy of the whole
// object, Secret data included: it is nobody's to read or to miss.
const LastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// longest is how much of a value is shown.
const longest = 256

// Fields lists what differs between two contents of an object, in the order of
// the paths. Lists of named things are compared by name.
func Fields(from, to map[string]any, key []byte) []Field {
	d := differ{key: key, secret: from["kind"] == "Secret" || to["kind"] == "Secret"}
	d.maps("", from, to)
	slices.SortFunc(d.fields, func(a, b Field) int { return cmp.Compare(a.Path, b.Path) })
	return d.fields
}

// Value is a value as Fields shows it. Hidden: as a hash.
func Value(v any, key []byte, hidden bool) string {
	if v == nil {
		return ""
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%q", err.Error())
	}
	if hidden {
		mac := hmac.New(sha256.New, key)
		mac.Write(text)
		return "hash:" + hex.EncodeToString(mac.Sum(nil)[:8])
	}
	if len(text) > longest {
		return strings.ToValidUTF8(string(text[:longest]), "") + "..."
	}
	return string(text)
}

// Hidden tells whether a field of a Secret is data.
func Hidden(path string) bool {
	return strings.HasPrefix(path, "data") || strings.HasPrefix(path, "stringData")
}

type differ struct {
	key    []byte
	secret bool
	fields []Field
}

func (d *differ) values(path string, from, to any) {
	if reflect.DeepEqual(from, to) {
		return
	}
	a, isMap := from.(map[string]any)
	b, areMaps := to.(map[string]any)
	if isMap && areMaps {
		d.maps(path, a, b)
		return
	}
	old, isList := from.([]any)
	now, areLists := to.([]any)
	if isList && areLists && d.lists(path, old, now) {
		return
	}
	hidden := d.secret && Hidden(path)
	d.fields = append(d.fields, Field{path, Value(from, d.key, hidden), Value(to, d.key, hidden)})
}

func (d *differ) maps(path string, from, to map[string]any) {
	keys := maps.Clone(from)
	if keys == nil {
		keys = map[string]any{}
	}
	maps.Copy(keys, to)
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if k == LastApplied {
			continue
		}
		a, b := from[k], to[k]
		if d.secret && path == "" && (k == "data" || k == "stringData") || path == "metadata" && (k == "annotations" || k == "labels") {
			a, b = mapped(a), mapped(b) // each value by itself, also when all come or go: as a hash, or not at all
		}
		d.values(join(path, k), a, b)
	}
}

func mapped(v any) any {
	if v == nil {
		return map[string]any{}
	}
	return v
}

func join(path, key string) string {
	if strings.ContainsAny(key, "./[]") {
		return path + "[" + key + "]"
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// identities are what tells the members of a list apart, the first that fits.
var identities = [][]string{{"name"}, {"key"}, {"containerPort", "protocol"}, {"port", "protocol"}, {"mountPath"}, {"topologyKey", "whenUnsatisfiable"}, {"uid"}, {"type"}}

// lists compares lists whose members have identities, or are as many.
func (d *differ) lists(path string, from, to []any) bool {
	for _, names := range identities {
		a, b := byIdentity(from, names), byIdentity(to, names)
		if a == nil || b == nil {
			continue
		}
		all, before := maps.Clone(a), len(d.fields)
		maps.Copy(all, b)
		for _, id := range slices.Sorted(maps.Keys(all)) {
			d.values(path+"["+id+"]", a[id], b[id])
		}
		return len(d.fields) > before // else only their order differs, which the list as a whole tells
	}
	if len(from) != len(to) {
		return false
	}
	for i := range from {
		d.values(fmt.Sprintf("%s[%d]", path, i), from[i], to[i])
	}
	return true
}

// byIdentity is nil when the names do not tell the members apart.
func byIdentity(list []any, names []string) map[string]any {
	members := map[string]any{}
	for _, v := range list {
		m, _ := v.(map[string]any)
		var id []string
		for _, n := range names {
			if m[n] != nil {
				id = append(id, fmt.Sprintf("%s=%v", n, m[n]))
			}
		}
		key := strings.Join(id, ",")
		if m[names[0]] == nil || members[key] != nil {
			return nil
		}
		members[key] = v
	}
	return members
}
