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

// End is how a target's pod and its deregistration ended; zero: it did not.
type End struct {
	Told  time.Time // the process, to stop
	Delay time.Time // the deregistration delay was over
}

// Failures diagnoses what failed. of says what is known of a target that a
// request came for at a moment.
func Failures(entries []accesslog.Entry, of func(target string, at time.Time) End) []Failure {
	var list []Failure
	for _, e := range entries {
		end := of(e.Target, e.Created)
		class := e.Diagnose(accesslog.Known{DelayEnds: end.Delay})
		if end.cut(e, class) {
			class = accesslog.DelayExpired
		}
		if class != accesslog.OK {
			list = append(list, Failure{e.Created, fmt.Sprintf("%d %s", e.Status, class)})
		}
	}
	return list
}

// cut tells that the balancer ended a request, though the log alone does not: a
// node that hears of the deregistration after the delay is over cuts only then.
// Nobody else can have ended a request that had no connection yet, or whose
// process was not told to stop.
func (d End) cut(e accesslog.Entry, class accesslog.Class) bool {
	const clocks = 200 * time.Millisecond // between the state that is told and the cut
	if e.Status != http.StatusBadGateway || e.TargetStatus != 0 || d.Delay.IsZero() || e.Time.Before(d.Delay.Add(-clocks)) {
		return false
	}
	return (class == accesslog.Other || class == accesslog.TargetClosed) && (e.RequestTime < 0 || e.Time.Before(d.Told))
}
