// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"encoding/binary"
	"hash/maphash"

	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// seed makes fingerprints of this process comparable.
var seed = maphash.MakeSeed()

// fingerprint tells whether somebody changed a node, below it included.
func fingerprint(n *kyaml.Node) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	write(&h, n)
	return h.Sum64()
}

func write(h *maphash.Hash, n *kyaml.Node) {
	if n == nil {
		return
	}
	for _, s := range [...]string{n.Tag, n.Value, n.Anchor, n.HeadComment, n.LineComment, n.FootComment} {
		number(h, len(s))
		h.WriteString(s)
	}
	number(h, int(n.Kind))
	number(h, int(n.Style))
	number(h, len(n.Content))
	for _, child := range n.Content {
		write(h, child)
	}
	write(h, n.Alias)
}

func number(h *maphash.Hash, n int) {
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], uint32(n))
	h.Write(b[:])
}
