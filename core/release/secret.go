// SPDX-License-Identifier: Apache-2.0

package release

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outlast-ci/outlast/core/release/internal/lease"
	"github.com/outlast-ci/outlast/core/release/internal/pack"
)

const (
	secretType    = "outlast/revision"
	layout        = "outlast.revision/v1"
	keyRevision   = "revision.json.gz"
	keyManifests  = "manifests.yaml.gz"
	keyReport     = "report.json.gz"
	secretKind    = "Secret"
	secretVersion = "v1"
)

// headName is unique, so that a number can be given only once. Dots keep it
// from being that of another application, whose name has none.
func (a App) headName(number int) string { return fmt.Sprintf("outlast-%s.v%d", a.Name, number) }

func (a App) chunkName(content string, i int) string {
	return fmt.Sprintf("outlast-%s.content-%s.%d", a.Name, content, i)
}

// head is a revision as its Secret has it.
type head struct {
	Layout   string     `json:"layout"`
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
	h.Layout = layout
	text, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	packed, err := pack.Pack(text)
	if err != nil {
		return nil, fmt.Errorf("its journal: %w", err)
	}
	if len(packed) > pack.Room {
		return nil, fmt.Errorf("its journal takes %s, more than the %s of a Secret: note less of each object", pack.KiB(len(packed)), pack.KiB(pack.Room))
	}
	obj := app.secret(app.headName(h.Number), map[string][]byte{keyRevision: packed},
		labelRevision, strconv.Itoa(h.Number), labelState, string(h.State), labelContent, h.Content.ID)
	if h.obj != nil {
		obj.SetResourceVersion(h.obj.GetResourceVersion())
		obj.SetUID(h.obj.GetUID())
	}
	if h.Run.RunURL != "" {
		obj.SetAnnotations(map[string]string{lease.RunURL: h.Run.RunURL})
	}
	return obj, nil
}

// secret makes a Secret of ours, with labels as key and value in turn.
func (a App) secret(name string, data map[string][]byte, labels ...string) *unstructured.Unstructured {
	obj := a.base(secretVersion, secretKind, name, labels...)
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
	packed, err := pack.Value(obj, keyRevision)
	var text []byte
	if err == nil {
		text, err = pack.Unpack(packed)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", keyRevision, err)
	}
	var h head
	if err == nil {
		h, err = parse(number, text)
	}
	if err != nil {
		h = head{Revision: Revision{Number: number, State: Unreadable, Reason: fmt.Sprintf("Secret %s/%s cannot be read: %v", obj.GetNamespace(), obj.GetName(), err)}}
	}
	h.obj = obj
	return h
}

// parse reads the text of a head.
func parse(number int, text []byte) (h head, err error) {
	switch err := json.Unmarshal(text, &h); {
	case err != nil:
		return head{}, errors.New(keyRevision + " is not what outlast writes")
	case h.Layout != layout:
		return head{}, fmt.Errorf("its layout is %q, and this outlast reads %q: use the version that wrote it", h.Layout, layout)
	case h.Number != number:
		return head{}, fmt.Errorf("it says to be revision %d", h.Number)
	case !slices.Contains(states, h.State):
		return head{}, fmt.Errorf("its state %q is unknown", h.State)
	case h.Content.ID == "" || h.Content.Chunks < 1 || h.Content.Chunks > pack.MaxChunks:
		return head{}, fmt.Errorf("it names %d chunks of content %q", h.Content.Chunks, h.Content.ID)
	}
	return h, nil
}

// chunks gives the content as the values of Secrets.
func (c Content) chunks(room int) ([]map[string][]byte, error) {
	chunks, err := pack.Cut(room, pack.Part{Key: keyManifests, Raw: c.Manifests}, pack.Part{Key: keyReport, Raw: c.Report})
	if err != nil {
		return nil, fmt.Errorf("the manifests and the report: %w: split the application, or take large files out of its ConfigMaps", err)
	}
	return chunks, nil
}

// join is the reverse of chunks.
func join(chunks []*unstructured.Unstructured) (c Content, err error) {
	if c.Manifests, err = pack.Join(chunks, keyManifests); err != nil {
		return Content{}, err
	}
	report, err := pack.Join(chunks, keyReport)
	if err != nil {
		return Content{}, err
	}
	if len(report) > 0 {
		c.Report = report
	}
	if len(report) > 0 && !json.Valid(report) {
		return Content{}, errors.New(keyReport + " is no JSON")
	}
	return c, nil
}
