// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"encoding/base64"
	"encoding/xml"
	"net/url"
	"strconv"
	"strings"
)

// most is how many keys one page holds, whatever is asked for.
const most = 1000

type listing struct {
	XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Name                  string
	Prefix                string
	Delimiter             string `xml:",omitempty"`
	StartAfter            string `xml:",omitempty"`
	EncodingType          string `xml:",omitempty"`
	ContinuationToken     string `xml:",omitempty"`
	NextContinuationToken string `xml:",omitempty"`
	KeyCount, MaxKeys     int
	IsTruncated           bool
	Contents              []content
	CommonPrefixes        []commonPrefix
}

type content struct {
	Key          string
	LastModified string
	ETag         string
	Size         int64
	StorageClass string
}

type commonPrefix struct{ Prefix string }

// listing is ListObjectsV2.
func (s *Store) listing(bucket string, q url.Values) (*listing, error) {
	out := &listing{Name: bucket, Prefix: q.Get("prefix"), Delimiter: q.Get("delimiter"), StartAfter: q.Get("start-after"),
		EncodingType: q.Get("encoding-type"), ContinuationToken: q.Get("continuation-token"), MaxKeys: most}
	if v := q.Get("max-keys"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 {
			return nil, fail("InvalidArgument", "Argument maxKeys must be an integer between 0 and 2147483647")
		}
		out.MaxKeys = min(n, most)
	}
	after := out.StartAfter
	if out.ContinuationToken != "" {
		b, err := base64.StdEncoding.DecodeString(out.ContinuationToken)
		if err != nil {
			return nil, fail("InvalidArgument", "The continuation token provided is incorrect")
		}
		after = string(b)
	}
	objects, err := s.list(bucket, out.Prefix, after)
	if err != nil {
		return nil, err
	}
	out.fill(objects, after)
	return out, nil
}

// fill puts the first page of objects, all of them after a key, into the listing.
func (l *listing) fill(objects []Object, after string) {
	encode := func(s string) string {
		if l.EncodingType == "url" {
			return strings.ReplaceAll(url.QueryEscape(s), "%2F", "/")
		}
		return s
	}
	last := ""
	for _, o := range objects {
		group := ""
		if i := strings.Index(o.Key[len(l.Prefix):], l.Delimiter); l.Delimiter != "" && i >= 0 {
			group = o.Key[:len(l.Prefix)+i+len(l.Delimiter)]
		}
		if group != "" && (group == last || strings.HasPrefix(after, group)) {
			continue // it was listed, here or on the page before
		}
		if l.KeyCount == l.MaxKeys {
			l.IsTruncated = l.MaxKeys > 0
			break
		}
		l.KeyCount++
		if last = o.Key; group != "" {
			last = group
			l.CommonPrefixes = append(l.CommonPrefixes, commonPrefix{encode(group)})
			continue
		}
		l.Contents = append(l.Contents, content{encode(o.Key), o.Modified.Format("2006-01-02T15:04:05.000Z"), o.ETag, o.Size, "STANDARD"})
	}
	if l.IsTruncated {
		l.NextContinuationToken = base64.StdEncoding.EncodeToString([]byte(last))
	}
	l.Prefix, l.Delimiter, l.StartAfter = encode(l.Prefix), encode(l.Delimiter), encode(l.StartAfter)
}
