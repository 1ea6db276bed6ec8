// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/xml"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// DecodeQuery fills dst, a pointer to a struct whose field names are the
// parameter names (the SDK's input structs are), from an AWS query request:
// lists are Name.member.1, structs Name.Field. A value of the wrong type is
// AWS's MalformedInput; a parameter that the struct lacks is ignored, as AWS does.
func DecodeQuery(form url.Values, dst any) error {
	return decoder{form: form, member: "member."}.structure("", reflect.ValueOf(dst).Elem())
}

// DecodeEC2 is DecodeQuery for EC2's dialect: lists are Name.1, and a field's
// `query` tag gives the parameter's name where it differs.
func DecodeEC2(form url.Values, dst any) error {
	return decoder{form: form}.structure("", reflect.ValueOf(dst).Elem())
}

type decoder struct {
	form   url.Values
	member string
}

func (d decoder) has(prefix string) bool {
	if _, ok := d.form[prefix]; ok {
		return true
	}
	for k := range d.form {
		if strings.HasPrefix(k, prefix+".") {
			return true
		}
	}
	return false
}

func (d decoder) structure(prefix string, v reflect.Value) error {
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() || f.Anonymous {
			continue
		}
		name := f.Tag.Get("query")
		if name == "" {
			name = f.Name
		}
		if err := d.value(prefix+name, v.Field(i)); err != nil {
			return err
		}
	}
	return nil
}

func (d decoder) value(key string, v reflect.Value) error {
	if v.Kind() == reflect.Slice {
		return d.list(key, v)
	}
	if !d.has(key) {
		return nil
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[time.Time]() {
		return d.structure(key+".", v)
	}
	return scalar(key, d.form.Get(key), v)
}

func (d decoder) list(key string, v reflect.Value) error {
	if _, ok := d.form[key]; ok { // "Key=" is an empty list
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	}
	for n := 1; ; n++ {
		item := key + "." + d.member + strconv.Itoa(n)
		if !d.has(item) {
			return nil
		}
		e := reflect.New(v.Type().Elem()).Elem()
		if err := d.value(item, e); err != nil {
			return err
		}
		v.Set(reflect.Append(v, e))
	}
}

func scalar(key, s string, v reflect.Value) error {
	var err error
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
	case reflect.Bool:
		var b bool
		b, err = strconv.ParseBool(s)
		v.SetBool(b)
	case reflect.Int, reflect.Int32, reflect.Int64:
		var n int64
		n, err = strconv.ParseInt(s, 10, v.Type().Bits())
		v.SetInt(n)
	case reflect.Float32, reflect.Float64:
		var f float64
		f, err = strconv.ParseFloat(s, 64)
		v.SetFloat(f)
	case reflect.Struct: // only time.Time comes here
		var t time.Time
		t, err = time.Parse(time.RFC3339, s)
		v.Set(reflect.ValueOf(t))
	default:
		return Errorf("InvalidParameterValue", "%s has a type the lab cannot read", key)
	}
	if err != nil {
		return Errorf("MalformedInput", "%s: %q is not a valid %s", key, s, v.Kind())
	}
	return nil
}

// EncodeQuery writes the answer of a query operation: the fields of out, a
// struct or a pointer to one, named as they are, lists as <member> elements.
func EncodeQuery(operation, namespace, requestID string, out any) []byte {
	var b strings.Builder
	b.WriteString(xml.Header)
	b.WriteString("<" + operation + `Response xmlns="` + namespace + `">`)
	open(&b, operation+"Result")
	if out != nil {
		encodeStruct(&b, reflect.Indirect(reflect.ValueOf(out)))
	}
	closeTag(&b, operation+"Result")
	b.WriteString("<ResponseMetadata><RequestId>" + requestID + "</RequestId></ResponseMetadata>")
	closeTag(&b, operation+"Response")
	return []byte(b.String())
}

func open(b *strings.Builder, name string)     { b.WriteString("<" + name + ">") }
func closeTag(b *strings.Builder, name string) { b.WriteString("</" + name + ">") }

func encodeStruct(b *strings.Builder, v reflect.Value) {
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() || f.Anonymous || f.Name == "ResultMetadata" {
			continue
		}
		encodeField(b, f.Name, v.Field(i))
	}
}

func encodeField(b *strings.Builder, name string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			encodeField(b, name, v.Elem())
		}
		return
	case reflect.Slice:
		if v.IsNil() {
			return
		}
		open(b, name)
		for i := range v.Len() {
			encodeField(b, "member", v.Index(i))
		}
		closeTag(b, name)
		return
	case reflect.String:
		// An SDK enum is a plain string, and "" means not set there; a
		// pointer to "" is a value that is empty.
		if v.Len() == 0 && v.Type().PkgPath() != "" {
			return
		}
	}
	open(b, name)
	encodeScalar(b, v)
	closeTag(b, name)
}

func encodeScalar(b *strings.Builder, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		_ = xml.EscapeText(b, []byte(v.String()))
	case reflect.Bool:
		b.WriteString(strconv.FormatBool(v.Bool()))
	case reflect.Int, reflect.Int32, reflect.Int64:
		b.WriteString(strconv.FormatInt(v.Int(), 10))
	case reflect.Float32, reflect.Float64:
		b.WriteString(strconv.FormatFloat(v.Float(), 'g', -1, 64))
	case reflect.Struct:
		if t, ok := v.Interface().(time.Time); ok {
			b.WriteString(t.UTC().Format("2006-01-02T15:04:05.000Z"))
			return
		}
		encodeStruct(b, v)
	}
}
