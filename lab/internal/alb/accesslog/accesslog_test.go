// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"bytes"
	"compress/gzip"
	"io"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const docs = `https 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57 ` +
	`"GET https://www.example.com:443/ HTTP/1.1" "curl/7.46.0" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 tg ` +
	`"Root=1-58337281-1d84f3d73c47ec4e58577259" "www.example.com" "cert" 1 2018-07-02T22:22:48.364000Z "authenticate,forward" "-" "-" "10.0.0.1:80" "200" "-" "-" ` +
	`TID_1234abcd5678ef90 "-" "-" "-"` + "\n"

func TestLineOfTheUserGuideIsReadAndWrittenBack(t *testing.T) {
	e, err := Parse(docs)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(e.AppendLine(nil)); got != docs {
		t.Errorf("written back:\n%s\nwant:\n%s", got, docs)
	}
	if e.Status != 200 || e.TargetTime != 0.048 || e.Priority != 1 || e.ConnTraceID != "TID_1234abcd5678ef90" || e.Duration().Round(time.Millisecond) != 11823*time.Millisecond {
		t.Errorf("read as %+v", e)
	}
}

func TestParse(t *testing.T) {
	old := strings.Join(strings.SplitAfter(docs, `"-" "-" TID`)[:1], "")
	old = strings.TrimSuffix(old, " TID")
	for name, tt := range map[string]struct{ line, want string }{
		"a line of 2023, without the last fields": {old, ""},
		"a line with fields of the future":        {strings.TrimSpace(docs) + ` 10.0.0.9 "more"`, ""},
		"a line that is cut off":                  {docs[:200], "fields, want 29"},
		"a quote that is not closed":              {docs[:len(docs)-2], "not closed"},
		"a time that is none":                     {strings.Replace(docs, "2018-07-02T22:23:00.186641Z", "yesterday", 1), "field 2"},
		"a status that is none":                   {strings.Replace(docs, " 200 200 ", " ok 200 ", 1), "field 9"},
		"nothing":                                 {"", "has 1 fields"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(tt.line)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestWhatIsWrittenReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, err := Parse(docs)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range []*string{&e.Request, &e.UserAgent, &e.RedirectURL, &e.Domain} {
			if *f = rapid.String().Draw(t, "text"); *f == "-" {
				*f = ""
			}
		}
		e.TargetTime = rapid.SampledFrom([]float64{-1, 0, 0.001, 60.001}).Draw(t, "seconds")
		e.Status, e.TargetStatus = rapid.IntRange(0, 599).Draw(t, "status"), rapid.IntRange(0, 599).Draw(t, "target")
		got, err := Parse(string(e.AppendLine(nil)))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(e, got); d != "" {
			t.Fatal(d)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(docs)
	f.Add(`a "b\x41\"`)
	f.Fuzz(func(t *testing.T, line string) {
		if e, err := Parse(line); err == nil {
			e.Diagnose(Known{})
		}
	})
}

func TestOneObjectForEachNodeAndInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := map[string]string{}
		c := &Collector{Put: func(bucket, key string, body []byte) error {
			z, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil {
				return err
			}
			text, err := io.ReadAll(z)
			got[bucket+"/"+regexp.MustCompile(`_[A-Z0-9]+\.log`).ReplaceAllString(key, "_R.log")] = string(text)
			return err
		}}
		c.Start()
		add := func(node string) {
			c.Add(Source{LoadBalancer: "arn:p:elasticloadbalancing:r:123456789012:loadbalancer/app/web/0123", Node: node, Bucket: "logs", Prefix: "a/b"}, Entry{Type: node, Time: time.Now()})
		}
		add("10.0.0.1")
		add("10.0.0.2")
		time.Sleep(4 * time.Minute)
		add("10.0.0.1")
		synctest.Wait()
		if len(got) != 0 {
			t.Errorf("delivered before the interval's end: %v", got)
		}
		time.Sleep(61 * time.Second)
		synctest.Wait()
		const dir = "logs/a/b/AWSLogs/123456789012/elasticloadbalancing/r/2000/01/01/123456789012_elasticloadbalancing_r_app.web.0123_20000101T0005Z_"
		if len(got) != 2 || strings.Count(got[dir+"10.0.0.1_R.log.gz"], "\n") != 2 || strings.Count(got[dir+"10.0.0.2_R.log.gz"], "\n") != 1 {
			t.Errorf("got %v", got)
		}
		add("10.0.0.1")
		c.Flush()
		if len(got) != 3 {
			t.Errorf("after Flush: got %v", got)
		}
		add("10.0.0.2")
		c.Close()
		if len(got) != 4 {
			t.Errorf("after Close: got %v", got)
		}
		c.Flush() // nobody is there, and nobody waits
	})
}
