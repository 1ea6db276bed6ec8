// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"strconv"
	"strings"
)

// Protocol is how a service writes answers and errors.
type Protocol int

// The protocols of the services that the lab imitates.
const (
	Query Protocol = iota // ELBv2, STS
	EC2                   // EC2's dialect of query
	JSON                  // ECR, ACM: JSON 1.1, operation in X-Amz-Target
	REST                  // EKS: JSON, operation in method and path
	CBOR                  // CloudWatch: Smithy RPC v2, operation in the path
)

// ProtocolOf returns the protocol of a service named as in a signature scope.
func ProtocolOf(service string) Protocol {
	switch service {
	case "ec2":
		return EC2
	case "ecr", "acm":
		return JSON
	case "eks":
		return REST
	case "monitoring":
		return CBOR
	}
	return Query
}

// EncodeEC2 writes the answer of an EC2 operation; out is a struct that is
// encoded by its xml tags, nil the plain "it is done".
func EncodeEC2(operation, requestID string, out any) ([]byte, error) {
	body := []byte("<return>true</return>")
	if out != nil {
		// EC2 has no result element around the fields: cut ours off.
		var inner bytes.Buffer
		root := xml.StartElement{Name: xml.Name{Local: "result"}}
		if err := xml.NewEncoder(&inner).EncodeElement(out, root); err != nil {
			return nil, err
		}
		body = bytes.TrimSuffix(bytes.TrimPrefix(inner.Bytes(), []byte("<result>")), []byte("</result>"))
	}
	var b bytes.Buffer
	b.WriteString(xml.Header)
	b.WriteString("<" + operation + `Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>` + requestID + "</requestId>")
	b.Write(body)
	b.WriteString("</" + operation + "Response>")
	return b.Bytes(), nil
}

// WriteXML sends an encoded answer.
func WriteXML(w http.ResponseWriter, status int, requestID string, body []byte) {
	send(w, "text/xml;charset=UTF-8", status, requestID, body)
}

// send gives the length, as AWS does: the SDK at times reads a chunked answer
// of many kilobytes from a connection that its transport has closed already.
func send(w http.ResponseWriter, kind string, status int, requestID string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Header().Set("X-Amzn-RequestId", requestID)
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// WriteJSON sends out as JSON.
func WriteJSON(w http.ResponseWriter, p Protocol, status int, requestID string, out any) {
	kind := "application/json"
	if p == JSON {
		kind = "application/x-amz-json-1.1"
	}
	body, err := json.Marshal(out)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"__type":"InternalFailure"}`)
	}
	send(w, kind, status, requestID, body)
}

// WriteError sends e as the protocol spells errors.
func WriteError(w http.ResponseWriter, p Protocol, requestID string, e *Error) {
	if p == JSON || p == REST {
		w.Header().Set("X-Amzn-ErrorType", e.Code)
		WriteJSON(w, p, e.status(), requestID, map[string]string{"__type": e.Code, "message": e.Message})
		return
	}
	if p == CBOR {
		writeCBORError(w, requestID, e)
		return
	}
	var b strings.Builder
	b.WriteString(xml.Header)
	if p == EC2 {
		b.WriteString("<Response><Errors><Error><Code>")
	} else {
		b.WriteString("<ErrorResponse><Error><Type>" + e.fault() + "</Type><Code>")
	}
	_ = xml.EscapeText(&b, []byte(e.Code))
	b.WriteString("</Code><Message>")
	_ = xml.EscapeText(&b, []byte(e.Message))
	b.WriteString("</Message></Error>")
	if p == EC2 {
		b.WriteString("</Errors><RequestID>" + requestID + "</RequestID></Response>")
	} else {
		b.WriteString("<RequestId>" + requestID + "</RequestId></ErrorResponse>")
	}
	WriteXML(w, e.status(), requestID, []byte(b.String()))
}
