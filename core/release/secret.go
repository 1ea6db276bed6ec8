// SPDX-License-Identifier: Apache-2.0

package release

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Secrets hold at most 1 MiB. What is larger goes into several.
const (
	secretType = "outlast/revision"
	chunkSize  = 960 << 10 // bytes of values in one Secret
	maxContent = 5 * chunkSize
	maxRaw     = 64 << 20 // bytes of a value unpacked: more is a mistake, or an attack on whoever reads it

	schema        = "outlast.revision/v1"
	keyRevision   = "revision.json.gz"
	keyManifests  = "manifests.yaml.gz"
	keyReport     = "report.json.gz"
	secretKind    = "Secret"
	secretVersion = "v1"
)

func (a App) headName(number int) string { return fmt.Sprintf("outlast-%s.v%d", a.Name, number) }

func (a App) chunkName(content string, i int) string {
	return fmt.Sprintf("outlast-%s.content-%s.%d", a.Name, content, i)
}

// head is a revision as its Secret has it.
type head struct {
	Schema   string     `json:"schema"`
	Revision            // its fields, side by side
	Content  contentRef `json:"content"`

	obj *unstructured.Unstructured
}

// contentRef says where the content is.
type contentRef struct {
	ID     string `json:"id"`
	Chunks int    `json:"chunks"`
}

// secret gives the head as a Secret, to be created or, where obj is known, to
// replace it.
func (h head) secret(app App) (*unstructured.Unstructured, error) {
	if !slices.Contains(states, h.State) {
		return nil, fmt.Errorf("%q is no state of a revision; they are %v", h.State, states)
	}
	h.Schema = schema
	text, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	packed, err := pack(text)
	if err != nil {
		return nil, fmt.Errorf("its journal: %w", err)
	}
	if len(packed) > chunkSize {
		return nil, fmt.Errorf("its journal takes %s, more than the %s of a Secret: note less of each object", kib(len(packed)), kib(chunkSize))
	}
	obj := app.secret(app.headName(h.Number), map[string][]byte{keyRevision: packed})
	if h.obj != nil {
		obj.SetResourceVersion(h.obj.GetResourceVersion())
		obj.SetUID(h.obj.GetUID())
	}
	annotate(obj, annotationRunURL, h.Run.RunURL)
	labels := obj.GetLabels()
	labels[labelRevision], labels[labelState], labels[labelContent] = strconv.Itoa(h.Number), string(h.State), h.Content.ID
	obj.SetLabels(labels)
	return obj, nil
}

// secret makes a Secret of ours.
func (a App) secret(name string, data map[string][]byte) *unstructured.Unstructured {
	obj := a.base(secretVersion, secretKind, name)
	values := map[string]any{}
	for key, value := range data {
		values[key] = base64.StdEncoding.EncodeToString(value)
	}
	obj.Object["type"], obj.Object["data"] = secretType, values
	return obj
}

// number tells which revision's head a Secret is; 0 when it is none of ours.
func (a App) number(obj *unstructured.Unstructured) int {
	kind, _, _ := unstructured.NestedString(obj.Object, "type")
	n, err := strconv.Atoi(obj.GetLabels()[labelRevision])
	if err != nil || n < 1 || kind != secretType || obj.GetName() != a.headName(n) {
		return 0
	}
	return n
}

// decode reads a head. One that cannot be read is a revision too: its number
// is taken, and its reason says what is wrong.
func decode(number int, obj *unstructured.Unstructured) head {
	h := head{}
	text, err := value(obj, keyRevision)
	if err == nil {
		text, err = unpack(text)
	}
	if err == nil {
		err = json.Unmarshal(text, &h)
	}
	switch {
	case err != nil:
	case h.Schema != schema:
		err = fmt.Errorf("its layout is %q, and this outlast reads %q: use the version that wrote it", h.Schema, schema)
	case h.Number != number:
		err = fmt.Errorf("it says to be revision %d", h.Number)
	case !slices.Contains(states, h.State):
		err = fmt.Errorf("its state %q is unknown", h.State)
	case h.Content.ID == "" || h.Content.Chunks < 1 || h.Content.Chunks > maxContent/chunkSize:
		err = fmt.Errorf("it names %d chunks of content %q", h.Content.Chunks, h.Content.ID)
	}
	if err != nil {
		return head{Revision: Revision{Number: number, State: Unreadable, Reason: fmt.Sprintf("Secret %s/%s cannot be read: %v", obj.GetNamespace(), obj.GetName(), err)}, obj: obj}
	}
	h.obj = obj
	return h
}

// value gives one of a Secret's values. Errors never quote it.
func value(obj *unstructured.Unstructured, key string) ([]byte, error) {
	text, found, err := unstructured.NestedString(obj.Object, "data", key)
	if err != nil || !found {
		return nil, fmt.Errorf("it has no value %s", key)
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("its value %s is no base64", key)
	}
	return raw, nil
}

// chunks gives the content as the values of Secrets: the packed manifests, cut
// where a Secret is full, and behind them the packed report.
func (c Content) chunks() (all []map[string][]byte, err error) {
	room, total := 0, 0
	for _, part := range []struct {
		key string
		raw []byte
	}{{keyManifests, c.Manifests}, {keyReport, c.Report}} {
		packed, err := pack(part.raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part.key, err)
		}
		total += len(packed)
		for len(packed) > 0 {
			if room == 0 {
				all, room = append(all, map[string][]byte{}), chunkSize
			}
			n := min(room, len(packed))
			all[len(all)-1][part.key] = packed[:n]
			packed, room = packed[n:], room-n
		}
	}
	if total > maxContent {
		return nil, fmt.Errorf("the manifests and the report take %s packed, more than the %s that are kept of a revision: split the application, or take large files out of its ConfigMaps", kib(total), kib(maxContent))
	}
	return all, nil
}

// join is the reverse of chunks.
func join(chunks []*unstructured.Unstructured) (c Content, err error) {
	for _, part := range []struct {
		key string
		to  *[]byte
	}{{keyManifests, &c.Manifests}, {keyReport, (*[]byte)(&c.Report)}} {
		var packed []byte
		for i, obj := range chunks {
			if _, has, _ := unstructured.NestedFieldNoCopy(obj.Object, "data", part.key); !has {
				continue
			}
			piece, err := value(obj, part.key)
			if err != nil {
				return Content{}, fmt.Errorf("chunk %d of %d: %w", i+1, len(chunks), err)
			}
			packed = append(packed, piece...)
		}
		if *part.to, err = unpack(packed); err != nil {
			return Content{}, fmt.Errorf("%s: %w", part.key, err)
		}
	}
	if len(c.Report) > 0 && !json.Valid(c.Report) {
		return Content{}, fmt.Errorf("%s is no JSON", keyReport)
	}
	return c, nil
}

func pack(raw []byte) ([]byte, error) {
	if len(raw) > maxRaw {
		return nil, fmt.Errorf("%s are more than the %s that are kept", kib(len(raw)), kib(maxRaw))
	}
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(raw)
	return out.Bytes(), errors.Join(err, w.Close())
}

func unpack(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpacking: %w", err)
	}
	raw, err := io.ReadAll(io.LimitReader(r, maxRaw+1))
	if err != nil {
		return nil, fmt.Errorf("unpacking: %w", err)
	}
	if len(raw) > maxRaw {
		return nil, fmt.Errorf("unpacking: it is more than %s", kib(maxRaw))
	}
	return raw, nil
}

func kib(n int) string { return fmt.Sprintf("%d KiB", (n+1023)/1024) }
