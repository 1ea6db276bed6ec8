// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"
	"github.com/google/go-cmp/cmp"

	"github.com/outlast-ci/outlast/core/gate"
)

// watcher is CloudWatch in the protocol of its clients, Smithy RPC with CBOR. It knows the alarms ok-N and
// one composite alarm, and gives them in pages of 60.
func watcher(t *testing.T, refused string) (url string, calls *[]cbor.Map) {
	t.Helper()
	calls = &[]cbor.Map{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		in, decodeErr := cbor.Decode(body)
		if err != nil || decodeErr != nil || !strings.HasSuffix(r.URL.Path, "/operation/DescribeAlarms") {
			t.Errorf("%s: %v, %v", r.URL.Path, err, decodeErr)
		}
		w.Header().Set("Content-Type", "application/cbor")
		w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
		if refused != "" {
			w.WriteHeader(http.StatusForbidden)
			w.Write(cbor.Encode(cbor.Map{"__type": cbor.String(refused), "message": cbor.String("no")})) //nolint:errcheck // to a test
			return
		}
		*calls = append(*calls, in.(cbor.Map))
		w.Write(cbor.Encode(alarmPage(in.(cbor.Map)))) //nolint:errcheck // to a test
	}))
	t.Cleanup(server.Close)
	return server.URL, calls
}

// alarmPage is one of the answer to a question.
func alarmPage(in cbor.Map) cbor.Map {
	var metric, composite cbor.List
	names, _ := in["AlarmNames"].(cbor.List)
	if in["NextToken"] != nil {
		names = names[60:]
	}
	out := cbor.Map{}
	if len(names) > 60 {
		names, out["NextToken"] = names[:60], cbor.String("more")
	}
	for _, name := range names {
		alarm := cbor.Map{"AlarmName": name, "StateValue": cbor.String("OK"), "StateTransitionedTimestamp": &cbor.Tag{ID: 1, Value: cbor.Float64(1.7e9)}}
		switch text := string(name.(cbor.String)); {
		case text == "all of it":
			alarm["StateValue"], alarm["StateReason"] = cbor.String("ALARM"), cbor.String("ok-1 or ok-2")
			composite = append(composite, alarm)
		case strings.HasPrefix(text, "ok-"):
			metric = append(metric, alarm)
		}
	}
	out["MetricAlarms"], out["CompositeAlarms"] = metric, composite
	return out
}

func TestAlarms(t *testing.T) {
	url, calls := watcher(t, "")
	s := newService(t, nil)
	cfg := login(s)
	cfg.BaseEndpoint = &url
	at := time.Unix(1.7e9, 0).UTC()
	got, err := NewAlarms(cfg).Alarms(t.Context(), []string{"ok-1", "none", "all of it"})
	if err != nil {
		t.Fatal(err)
	}
	want := []gate.Alarm{{Name: "ok-1", State: "OK", Since: at}, {Name: "all of it", State: "ALARM", Since: at, Why: "ok-1 or ok-2"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if types := fmt.Sprint((*calls)[0]["AlarmTypes"]); types != "[MetricAlarm CompositeAlarm]" {
		t.Errorf("asked for %s", types)
	}
	var many []string
	for i := range 130 { // in two questions, the first of which has two pages
		many = append(many, fmt.Sprint("ok-", i))
	}
	if got, err = NewAlarms(cfg).Alarms(t.Context(), many); err != nil || len(got) != 130 || got[129].Name != "ok-129" || len(*calls) != 4 {
		t.Errorf("%d alarms in %d calls, %v", len(got), len(*calls), err)
	}
	url, _ = watcher(t, "com.amazonaws.cloudwatch#AccessDenied")
	cfg.BaseEndpoint = &url
	var auth *AuthError
	if _, err := NewAlarms(cfg).Alarms(t.Context(), many); !errors.As(err, &auth) || !strings.Contains(err.Error(), "describing CloudWatch alarms: not allowed") || !strings.Contains(err.Error(), "gate.alarms needs cloudwatch:DescribeAlarms") {
		t.Errorf("%v", err)
	}
}
