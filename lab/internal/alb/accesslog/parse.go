// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The format of 2023 ends with the classification's reason; AWS has only ever appended to it since.
const fewest = 29

// Parse reads one line, with or without its newline. Fields after the last
// known one are ignored, since the service appends new ones.
func Parse(line string) (Entry, error) {
	f, err := split(strings.TrimRight(line, "\r\n"))
	if err != nil {
		return Entry{}, fmt.Errorf("reading access log line: %w", err)
	}
	if len(f) < fewest {
		return Entry{}, fmt.Errorf("reading access log line: it has %d fields, want %d or more: is it a whole line of an application load balancer's log?", len(f), fewest)
	}
	f = append(f, make([]string, 33)...) // older lines lack the last ones
	r := reader{fields: f}
	e := Entry{
		Type: f[0], Time: r.time(1), LoadBalancer: f[2], Client: f[3], Target: f[4],
		RequestTime: r.seconds(5), TargetTime: r.seconds(6), ResponseTime: r.seconds(7),
		Status: r.number(8), TargetStatus: r.number(9), Received: int64(r.number(10)), Sent: int64(r.number(11)),
		Request: f[12], UserAgent: f[13], Cipher: f[14], Protocol: f[15], TargetGroup: f[16],
		TraceID: f[17], Domain: f[18], Certificate: f[19], Priority: r.number(20), Created: r.time(21),
		Actions: f[22], RedirectURL: f[23], ErrorReason: f[24], Targets: f[25], TargetStatuses: f[26],
		Classification: f[27], ClassificationReason: f[28], ConnTraceID: f[29],
		TransformedHost: f[30], TransformedURI: f[31], TransformStatus: f[32],
	}
	if f[20] == "" {
		e.Priority = -1
	}
	if r.err != nil {
		return Entry{}, fmt.Errorf("reading access log line: %w", r.err)
	}
	return e, nil
}

// reader turns fields into values and keeps the first error.
type reader struct {
	fields []string
	err    error
}

func (r *reader) fail(i int, want string) {
	if r.err == nil {
		r.err = fmt.Errorf("field %d is %q, want %s", i+1, r.fields[i], want)
	}
}

func (r *reader) time(i int) time.Time {
	t, err := time.Parse("2006-01-02T15:04:05.999999Z", r.fields[i])
	if err != nil {
		r.fail(i, "a UTC time as 2026-01-02T15:04:05.678901Z")
	}
	return t
}

func (r *reader) seconds(i int) float64 {
	s, err := strconv.ParseFloat(r.fields[i], 64)
	if err != nil || s != s || s > 1e9 || s < 0 && s != -1 {
		r.fail(i, "seconds or -1")
	}
	return s
}

func (r *reader) number(i int) int {
	if r.fields[i] == "" {
		return 0
	}
	n, err := strconv.Atoi(r.fields[i])
	if err != nil {
		r.fail(i, `a number or "-"`)
	}
	return n
}

// split cuts a line at spaces outside of quotes, and makes "-" the empty string.
func split(line string) ([]string, error) {
	var out []string
	for rest := line; ; {
		var field string
		if body, ok := strings.CutPrefix(rest, `"`); ok {
			var err error
			if field, rest, err = unquote(body); err != nil {
				return nil, fmt.Errorf("field %d: %w", len(out)+1, err)
			}
		} else {
			i := strings.IndexByte(rest+" ", ' ')
			field, rest = rest[:i], rest[i:]
		}
		if field == "-" {
			field = ""
		}
		out = append(out, field)
		if rest == "" {
			return out, nil
		}
		if rest[0] != ' ' {
			return nil, fmt.Errorf("field %d: %q follows the closing quote, want a space", len(out), rest[:1])
		}
		rest = rest[1:]
	}
}

// unquote reads up to the closing quote.
func unquote(s string) (field, rest string, err error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:], nil
		case s[i] == '\\' && i+3 < len(s) && s[i+1] == 'x':
			n, err := strconv.ParseUint(s[i+2:i+4], 16, 8)
			if err != nil {
				return "", "", fmt.Errorf("escape %q: want two hexadecimal digits", s[i:i+4])
			}
			b.WriteByte(byte(n))
			i += 3
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", fmt.Errorf("its quote is not closed: is the line cut off?")
}
