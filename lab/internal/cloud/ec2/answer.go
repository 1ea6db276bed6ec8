// SPDX-License-Identifier: Apache-2.0

package ec2

import "encoding/xml"

// answer is what a Describe operation answers: a set, and the next page's token.
type answer[T any] struct {
	Set  itemSet[T]
	Next string `xml:"nextToken,omitempty"`
}

// itemSet is a list of items under the set's name.
type itemSet[T any] struct {
	name  string
	Items []T `xml:"item"`
}

// MarshalXML gives the set the name that its operation uses.
func (s itemSet[T]) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	start.Name.Local = s.name
	type plain struct {
		Items []T `xml:"item"`
	}
	return e.EncodeElement(plain{s.Items}, start)
}
