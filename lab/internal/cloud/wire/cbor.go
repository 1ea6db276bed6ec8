// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"
)

// epoch is CBOR's tag of a time, in seconds since 1970.
const epoch = 1

// RPCOperation names the operation of a Smithy RPC request, whose path is
// /service/NAME/operation/OPERATION; "" for what is none.
func RPCOperation(r *http.Request) string {
	part := strings.Split(r.URL.Path, "/")
	if r.Method != http.MethodPost || r.Header.Get("Smithy-Protocol") != "rpc-v2-cbor" || len(part) != 5 || part[1] != "service" || part[3] != "operation" {
		return ""
	}
	return part[4]
}

// DecodeCBOR fills dst, a pointer to a struct whose field names are the
// parameter names (the SDK's input structs are), from the body of a Smithy RPC
// request. A parameter that the struct lacks is ignored, as AWS does.
func DecodeCBOR(body []byte, dst any) error {
	if len(body) == 0 {
		return nil // an operation without parameters
	}
	v, err := cbor.Decode(body)
	if err != nil {
		return Errorf("SerializationException", "%v", err)
	}
	return fromCBOR("the request", v, reflect.ValueOf(dst).Elem())
}

func fromCBOR(name string, in cbor.Value, v reflect.Value) error {
	switch x := in.(type) {
	case *cbor.Nil, *cbor.Undefined:
		return nil
	case cbor.Map:
		if v.Kind() == reflect.Struct {
			return structFromCBOR(x, v)
		}
	case cbor.List:
		if v.Kind() == reflect.Slice {
			v.Set(reflect.MakeSlice(v.Type(), len(x), len(x)))
			for i, e := range x {
				if err := fromCBOR(name, e, v.Index(i)); err != nil {
					return err
				}
			}
			return nil
		}
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		return fromCBOR(name, in, v.Elem())
	}
	if scalarFromCBOR(in, v) {
		return nil
	}
	return Errorf("SerializationException", "%s has a value that the lab cannot read", name)
}

func structFromCBOR(in cbor.Map, v reflect.Value) error {
	for name, e := range in {
		f := v.FieldByName(name)
		if !f.IsValid() || !f.CanSet() {
			continue
		}
		if err := fromCBOR(name, e, f); err != nil {
			return err
		}
	}
	return nil
}

// scalarFromCBOR tells whether the value is of the field's type.
func scalarFromCBOR(in cbor.Value, v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		s, ok := in.(cbor.String)
		v.SetString(string(s))
		return ok
	case reflect.Bool:
		b, ok := in.(cbor.Bool)
		v.SetBool(bool(b))
		return ok
	case reflect.Int32:
		n, err := cbor.AsInt32(in)
		v.SetInt(int64(n))
		return err == nil
	case reflect.Float64:
		n, err := cbor.AsFloat64(in)
		v.SetFloat(n)
		return err == nil
	}
	return false
}

// EncodeCBOR writes an answer: the fields of out, a struct or a pointer to one,
// named as they are; nil is an answer without fields.
func EncodeCBOR(out any) []byte {
	if out == nil {
		return cbor.Encode(cbor.Map{})
	}
	return cbor.Encode(toCBOR(reflect.ValueOf(out)))
}

// toCBOR gives nil for what is not set.
func toCBOR(v reflect.Value) cbor.Value {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return toCBOR(v.Elem())
		}
	case reflect.Slice:
		if !v.IsNil() {
			list := make(cbor.List, v.Len())
			for i := range v.Len() {
				list[i] = toCBOR(v.Index(i))
			}
			return list
		}
	case reflect.String:
		if v.Len() > 0 || v.Type().PkgPath() == "" { // an SDK enum is not set when it is ""
			return cbor.String(v.String())
		}
	case reflect.Bool:
		return cbor.Bool(v.Bool())
	case reflect.Int32:
		if n := v.Int(); n < 0 {
			return cbor.NegInt(-n) // the encoder takes off the one
		}
		return cbor.Uint(v.Int())
	case reflect.Float64:
		return cbor.Float64(v.Float())
	case reflect.Struct:
		if t, ok := v.Interface().(time.Time); ok {
			return &cbor.Tag{ID: epoch, Value: cbor.Float64(float64(t.UnixMilli()) / 1000)}
		}
		return mapToCBOR(v)
	}
	return nil
}

func mapToCBOR(v reflect.Value) cbor.Map {
	out := cbor.Map{}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() || f.Name == "ResultMetadata" {
			continue
		}
		if e := toCBOR(v.Field(i)); e != nil {
			out[f.Name] = e
		}
	}
	return out
}

// WriteCBOR sends an encoded answer.
func WriteCBOR(w http.ResponseWriter, status int, requestID string, body []byte) {
	w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
	send(w, "application/cbor", status, requestID, body)
}

// writeCBORError gives the code in a header, too, as services do that once
// spoke the query protocol: it is the one that clients go by.
func writeCBORError(w http.ResponseWriter, requestID string, e *Error) {
	w.Header().Set("X-Amzn-Query-Error", e.Code+";"+e.fault())
	WriteCBOR(w, e.status(), requestID, cbor.Encode(cbor.Map{"__type": cbor.String(e.shape()), "message": cbor.String(e.Message)}))
}

// shape is the error's name in the model of a service, where it differs from the code.
func (e *Error) shape() string {
	switch e.Code {
	case "InvalidParameterCombination", "InvalidParameterValue":
		return e.Code + "Exception"
	case "MissingParameter":
		return "MissingRequiredParameterException"
	case "LimitExceeded":
		return e.Code + "Fault"
	}
	return e.Code
}
