// SPDX-License-Identifier: Apache-2.0

package cloud

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"

	"github.com/outlast-ci/outlast/lab/internal/alb/accesslog"
	"github.com/outlast-ci/outlast/lab/internal/cloud/auth"
	"github.com/outlast-ci/outlast/lab/internal/cloud/s3"
	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

// collectLogs opens the buckets and lets the data plane's access logs go there.
// Like the service, it delivers to a bucket that is there and makes none.
func (c *Cloud) collectLogs() error {
	store, err := s3.Open(filepath.Join(c.cfg.Dir, "s3"), c.cfg.Now)
	if err != nil {
		return err
	}
	c.s3 = store
	c.logs = &accesslog.Collector{Interval: c.cfg.AccessLogs, Log: c.log, Put: func(bucket, key string, body []byte) error {
		_, err := store.Put(bucket, key, "application/octet-stream", body)
		return err
	}}
	c.logs.Start()
	c.cfg.Engine.LogTo(c.logs.Add)
	return nil
}

// DeliverLogs writes the access log objects of what was logged so far, also of
// the interval that has not ended: a reader in the lab need not wait for it.
func (c *Cloud) DeliverLogs() { c.logs.Flush() }

// CreateBucket makes a bucket; one that is there already is left as it is.
func (c *Cloud) CreateBucket(regionName, name string) error {
	if _, err := c.s3.CreateBucket(name, regionName); err != nil {
		return fmt.Errorf("creating bucket %q: %w", name, err)
	}
	return nil
}

// serveS3 answers a request to S3, or refuses it in S3's words. refused is why
// its signature was not taken.
func (c *Cloud) serveS3(w http.ResponseWriter, r *http.Request, body []byte, call wire.Call, user User, refused error) {
	host := ""
	if u, err := url.Parse(c.cfg.PublicURL); err == nil {
		host = u.Hostname()
	}
	q := s3.Request{Call: call, Body: body}
	q.Bucket, q.Key = s3.Address(r, call.Region, host)
	q.Operation = s3.Operation(r, q.Bucket, q.Key)
	switch {
	case refused != nil:
		c.log(fmt.Sprintf("s3: refused: %v", refused))
		s3.WriteError(w, r, q, s3.Refusal(auth.Refusal(call.Service, refused)))
	case user.Denied(call.Service, q.Operation):
		s3.WriteError(w, r, q, wire.Errorf("AccessDenied", "User: %s is not authorized to perform: s3:%s", call.Caller.ARN, q.Operation).WithStatus(http.StatusForbidden))
	default:
		e, done := c.trouble.Meet(w, r, wire.Call{Service: "s3", Operation: q.Operation, Region: call.Region})
		if e != nil {
			c.log("s3: " + q.Operation + ": " + e.Code)
			s3.WriteError(w, r, q, e)
		} else if !done {
			c.s3.Serve(w, r, q)
		}
	}
}
