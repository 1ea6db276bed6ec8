// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Interval is the one that one object of the service covers (user guide, access log files).
const Interval = 5 * time.Minute

// Source is where an entry comes from and where it is to go.
type Source struct {
	LoadBalancer   string // ARN
	Node           string // the node's IP address
	Bucket, Prefix string
}

// Collector gathers entries and delivers one gzipped object for each node and
// interval in which it had a request.
type Collector struct {
	// Interval that one object covers; zero: the service's.
	Interval time.Duration
	// Put stores an object.
	Put func(bucket, key string, body []byte) error
	// Log is told of objects that could not be stored; nil: nobody is.
	Log func(string)

	items chan item
	flush chan order
	done  chan struct{}
	once  sync.Once
}

// item is an entry on its way to the goroutine that owns the objects.
type item struct {
	from  Source
	entry Entry
}

// order asks for all objects now.
type order struct {
	last bool // and for the end
	ack  chan struct{}
}

// part is an object in the making.
type part struct {
	from Source
	end  time.Time
}

type object struct {
	body bytes.Buffer
	zip  *gzip.Writer
}

// Start begins to gather. Close ends it.
func (c *Collector) Start() {
	if c.Interval <= 0 {
		c.Interval = Interval
	}
	c.items, c.flush, c.done = make(chan item, 4096), make(chan order), make(chan struct{})
	go c.run()
}

// Add takes an entry. It returns at once unless thousands are waiting; after
// Close it drops the entry.
func (c *Collector) Add(from Source, e Entry) {
	select {
	case c.items <- item{from, e}:
	case <-c.done:
	}
}

// Flush delivers what is there, also of intervals that have not ended; more of
// such an interval comes in another object.
func (c *Collector) Flush() {
	o := order{ack: make(chan struct{})}
	select {
	case c.flush <- o:
		<-o.ack
	case <-c.done:
	}
}

// Close is the last Flush.
func (c *Collector) Close() {
	c.once.Do(func() {
		o := order{last: true, ack: make(chan struct{})}
		c.flush <- o
		<-o.ack
	})
}

func (c *Collector) run() {
	open := map[part]*object{}
	timer := time.NewTimer(c.untilNext(time.Now()))
	defer timer.Stop()
	var line []byte
	take := func(i item) {
		p := part{i.from, i.entry.Time.Truncate(c.Interval).Add(c.Interval)}
		o := open[p]
		if o == nil {
			o = &object{}
			o.zip, _ = gzip.NewWriterLevel(&o.body, gzip.BestSpeed) // the level is a valid one
			open[p] = o
		}
		line = i.entry.AppendLine(line[:0])
		_, _ = o.zip.Write(line) // into memory
	}
	for {
		select {
		case i := <-c.items:
			take(i)
		case <-timer.C:
			now := time.Now()
			for len(c.items) > 0 {
				take(<-c.items)
			}
			c.deliver(open, func(p part) bool { return !p.end.After(now) })
			timer.Reset(c.untilNext(now))
		case o := <-c.flush:
			if o.last {
				close(c.done)
			}
			for len(c.items) > 0 {
				take(<-c.items)
			}
			c.deliver(open, func(part) bool { return true })
			close(o.ack)
			if o.last {
				return
			}
		}
	}
}

func (c *Collector) untilNext(now time.Time) time.Duration {
	return now.Truncate(c.Interval).Add(c.Interval).Sub(now)
}

func (c *Collector) deliver(open map[part]*object, due func(part) bool) {
	for p, o := range open {
		if !due(p) {
			continue
		}
		delete(open, p)
		_ = o.zip.Close()
		key, err := Key(p.from, p.end, rand.Text()[:8])
		if err == nil {
			err = c.Put(p.from.Bucket, key, o.body.Bytes())
		}
		if err != nil && c.Log != nil {
			c.Log(fmt.Sprintf("access log of %q: delivering to bucket %q: %v", p.from.LoadBalancer, p.from.Bucket, err))
		}
	}
}

// Key is an object's key in the bucket. end is the end of its interval, and
// random tells objects of the same interval apart.
func Key(from Source, end time.Time, random string) (string, error) {
	f := strings.Split(from.LoadBalancer, ":")
	if len(f) != 6 || !strings.HasPrefix(f[5], "loadbalancer/app/") {
		return "", fmt.Errorf("load balancer %q: want the ARN of an application load balancer", from.LoadBalancer)
	}
	region, account := f[3], f[4]
	name := strings.ReplaceAll(strings.TrimPrefix(f[5], "loadbalancer/"), "/", ".")
	end = end.UTC()
	key := fmt.Sprintf("AWSLogs/%[1]s/elasticloadbalancing/%[2]s/%[3]s/%[1]s_elasticloadbalancing_%[2]s_%[4]s_%[5]s_%[6]s_%[7]s.log.gz",
		account, region, end.Format("2006/01/02"), name, end.Format("20060102T1504Z"), from.Node, random)
	if p := strings.Trim(from.Prefix, "/"); p != "" {
		key = p + "/" + key
	}
	return key, nil
}
