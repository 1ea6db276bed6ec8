// SPDX-License-Identifier: Apache-2.0

package value

import (
	"errors"
	"iter"
)

type Kind int

const (
	NullKind Kind = iota
	StringKind
	NumberKind
	BoolKind
	ArrayKind
	ObjectKind
)

func (Kind) String() string { return "stub" }

var (
	ErrAttributeNotFound = errors.New("attribute not found")
	ErrInvalidKey        = errors.New("invalid key")
)

// Value of a job input. The stub refuses any: a job must come without inputs.
type Value struct{ s string }

func (*Value) UnmarshalJSON([]byte) error { return errors.New("stub: no job inputs") }
func (v Value) Kind() Kind                { return NullKind }
func (v Value) String() string            { return v.s }
func (v Value) WithMarks(uint16) Value    { return v }
func (v Value) HasMarks(uint16) bool      { return false }

type Mapper interface {
	All() iter.Seq2[Value, Value]
	Attr(string) (Value, error)
	Get(Value) (Value, error)
	Keys() iter.Seq[Value]
	Len() int
	Values() iter.Seq[Value]
	WithMarks(uint16) Mapper
}

func String(s string) Value { return Value{s} }
func Null() Value           { return Value{} }
func Object(Mapper) Value   { return Value{} }
