// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/outlast-ci/outlast/lab/internal/alb/accesslog"
	"github.com/outlast-ci/outlast/lab/internal/labstate"
)

// Entries reads the access log in a bucket under a prefix, in order of the requests' arrival.
// It does not wait for the end of the interval: the lab writes what it has.
func Entries(ctx context.Context, lab labstate.State, bucket, prefix string) ([]accesslog.Entry, error) {
	if err := deliver(ctx, lab); err != nil {
		return nil, err
	}
	client := s3.NewFromConfig(lab.AWS("deployer"), func(o *s3.Options) { o.UsePathStyle = true })
	var all []accesslog.Entry
	for pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing the access log in bucket %q: %w", bucket, err)
		}
		for _, o := range page.Contents {
			if !strings.HasSuffix(*o.Key, ".log.gz") {
				continue
			}
			got, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: o.Key})
			if err != nil {
				return nil, fmt.Errorf("getting %s: %w", *o.Key, err)
			}
			if all, err = read(got.Body, all); err != nil {
				return nil, fmt.Errorf("reading %s: %w", *o.Key, err)
			}
		}
	}
	slices.SortFunc(all, func(x, y accesslog.Entry) int { return x.Created.Compare(y.Created) })
	return all, nil
}

func read(object io.ReadCloser, all []accesslog.Entry) ([]accesslog.Entry, error) {
	defer object.Close()
	plain, err := gzip.NewReader(object)
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(plain)
	lines.Buffer(nil, 1<<20) // user agents have up to 8 KB
	for lines.Scan() {
		e, err := accesslog.Parse(lines.Text())
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, lines.Err()
}

// deliver has the lab write what it has logged so far: nobody need wait for the
// end of the five minutes.
func deliver(ctx context.Context, lab labstate.State) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, lab.Control()+"/_lab/access-logs", http.NoBody)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("having the access log delivered: %w", err)
	}
	if res.StatusCode >= 300 {
		err = fmt.Errorf("having the access log delivered: %s", res.Status)
	}
	if e := res.Body.Close(); err == nil {
		err = e
	}
	return err
}

// Failure is a request that its client did not get answered, by the access log.
type Failure struct {
	At    time.Time `json:"at"` // of its arrival
	Cause string    `json:"cause"`
}

// Failures diagnoses what failed. ends says when the deregistration delay of a
// target was over.
func Failures(entries []accesslog.Entry, ends func(target string, at time.Time) time.Time) []Failure {
	var list []Failure
	for _, e := range entries {
		if class := e.Diagnose(accesslog.Known{DelayEnds: ends(e.Target, e.Created)}); class != accesslog.OK {
			list = append(list, Failure{e.Created, fmt.Sprintf("%d %s", e.Status, class)})
		}
	}
	return list
}
