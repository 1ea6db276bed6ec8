// SPDX-License-Identifier: Apache-2.0

package output

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"

	"go.yaml.in/yaml/v3"
)

// redact copies manifests with the data of Secrets replaced by a keyed hash:
// equal values are seen to be equal within one file, and nothing else is told.
func redact(manifests []byte) []byte {
	if len(manifests) == 0 {
		return nil
	}
	key := make([]byte, 32)
	rand.Read(key) //nolint:errcheck // never fails (crypto/rand)
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	dec := yaml.NewDecoder(bytes.NewReader(manifests))
	for {
		var doc yaml.Node
		if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
			break
		} else if err != nil { // better nothing than a secret
			return []byte("# the manifests cannot be read, so they are not shown\n")
		}
		hide(&doc, key)
		if err := enc.Encode(&doc); err != nil {
			return []byte("# the manifests cannot be written, so they are not shown\n")
		}
	}
	return out.Bytes()
}

func hide(doc *yaml.Node, key []byte) {
	if len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
		return
	}
	object := doc.Content[0]
	secret := false
	for i := 0; i+1 < len(object.Content); i += 2 {
		secret = secret || object.Content[i].Value == "kind" && object.Content[i+1].Value == "Secret"
	}
	for i := 0; secret && i+1 < len(object.Content); i += 2 {
		if name := object.Content[i].Value; name == "data" || name == "stringData" {
			hashAll(object.Content[i+1], key)
		}
		if object.Content[i].Value == "metadata" {
			hashAll(child(child(object.Content[i+1], "annotations"), "kubectl.kubernetes.io/last-applied-configuration"), key) // kubectl keeps a copy of all data there
		}
	}
}

// child gives the value of a key; an empty node when there is none.
func child(n *yaml.Node, key string) *yaml.Node {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return &yaml.Node{}
}

func hashAll(n *yaml.Node, key []byte) {
	if n.Kind == yaml.MappingNode {
		for i := 1; i < len(n.Content); i += 2 {
			hashAll(n.Content[i], key)
		}
		return
	}
	mac := hmac.New(sha256.New, key)
	io.WriteString(mac, n.Value) //nolint:errcheck // a hash takes everything
	*n = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "hmac-sha256:" + hex.EncodeToString(mac.Sum(nil)[:8])}
}
