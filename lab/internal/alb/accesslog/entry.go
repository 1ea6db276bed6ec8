// SPDX-License-Identifier: Apache-2.0

// Package accesslog is the access log of an Application Load Balancer: finished
// requests go in, and come out as lines in the service's format and as gzipped
// objects in its key layout; lines go in, and come out as entries and as a
// diagnosis of what went wrong. The format is that of the user guide's page on
// access log entries. How the service escapes a quote inside a quoted field is
// not documented there: this package writes \" and \\, and \xNN for what is not
// printable ASCII.
package accesslog

import (
	"strconv"
	"time"
)

const timeFormat = "2006-01-02T15:04:05.000000Z"

// Entry is one line. An empty string stands for the line's "-".
type Entry struct {
	Type         string    // http, https, h2, grpcs, ws or wss
	Time         time.Time // when the answer was complete
	LoadBalancer string    // app/NAME/ID
	Client       string    // ip:port
	Target       string    // ip:port; empty: the request was not sent to any
	// Seconds with three decimals; -1 when the phase was not completed.
	RequestTime, TargetTime, ResponseTime float64
	Status, TargetStatus                  int // 0: "-"
	Received, Sent                        int64
	Request                               string // METHOD URL VERSION
	UserAgent                             string
	Cipher, Protocol                      string // of TLS
	TargetGroup                           string // ARN
	TraceID, Domain, Certificate          string
	Priority                              int // of the matched rule; 0 the default rule, -1 none
	Created                               time.Time
	Actions, RedirectURL, ErrorReason     string
	Targets, TargetStatuses               string // lists, separated by spaces
	Classification, ClassificationReason  string
	ConnTraceID                           string
	// Host and URI as a transform changed them, and how that went.
	TransformedHost, TransformedURI, TransformStatus string
}

// AppendLine adds the entry's line, with its newline, to b.
func (e Entry) AppendLine(b []byte) []byte {
	b = plain(b, e.Type)
	b = append(e.Time.UTC().AppendFormat(append(b, ' '), timeFormat), ' ')
	b = plain(b, e.LoadBalancer)
	b = plain(append(b, ' '), e.Client)
	b = plain(append(b, ' '), e.Target)
	for _, s := range []float64{e.RequestTime, e.TargetTime, e.ResponseTime} {
		b = duration(append(b, ' '), s)
	}
	b = status(append(b, ' '), e.Status)
	b = status(append(b, ' '), e.TargetStatus)
	b = strconv.AppendInt(append(b, ' '), e.Received, 10)
	b = strconv.AppendInt(append(b, ' '), e.Sent, 10)
	b = quoted(b, e.Request, e.UserAgent)
	for _, s := range []string{e.Cipher, e.Protocol, e.TargetGroup} {
		b = plain(append(b, ' '), s)
	}
	b = quoted(b, e.TraceID, e.Domain, e.Certificate)
	b = strconv.AppendInt(append(b, ' '), int64(e.Priority), 10)
	b = e.Created.UTC().AppendFormat(append(b, ' '), timeFormat)
	b = quoted(b, e.Actions, e.RedirectURL, e.ErrorReason, e.Targets, e.TargetStatuses, e.Classification, e.ClassificationReason)
	b = plain(append(b, ' '), e.ConnTraceID)
	b = quoted(b, e.TransformedHost, e.TransformedURI, e.TransformStatus)
	return append(b, '\n')
}

func plain(b []byte, s string) []byte {
	if s == "" {
		return append(b, '-')
	}
	return append(b, s...)
}

func status(b []byte, code int) []byte {
	if code == 0 {
		return append(b, '-')
	}
	return strconv.AppendInt(b, int64(code), 10)
}

func duration(b []byte, seconds float64) []byte {
	if seconds < 0 {
		return append(b, "-1"...)
	}
	return strconv.AppendFloat(b, seconds, 'f', 3, 64)
}

func quoted(b []byte, fields ...string) []byte {
	const hex = "0123456789ABCDEF"
	for _, s := range fields {
		b = append(b, ` "`...)
		if s == "" {
			b = append(b, '-')
		}
		for i := range len(s) {
			switch c := s[i]; {
			case c == '"' || c == '\\':
				b = append(b, '\\', c)
			case c < ' ' || c > '~':
				b = append(b, '\\', 'x', hex[c>>4], hex[c&15])
			default:
				b = append(b, c)
			}
		}
		b = append(b, '"')
	}
	return b
}
