// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/outlast-ci/outlast/lab/internal/alb"
	"github.com/outlast-ci/outlast/lab/internal/cloud"
)

func TestAlarmsAreMadeChangedListedAndDeleted(t *testing.T) {
	engine := alb.New(alb.Options{})
	defer engine.Close()
	c, err := cloud.New(cloud.Config{Dir: t.TempDir(), Account: "123456789012", Region: "us-east-1", RegistryURL: "http://127.0.0.1:1", Engine: engine,
		Users: []cloud.User{{Name: "deployer", AccessKeyID: "AKIA", SecretAccessKey: "secret"}}, Cluster: cloud.Cluster{Name: "lab"}, VPC: cloud.VPC{NodeIP: "10.77.0.2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	srv := httptest.NewServer(c.API())
	defer srv.Close()
	cfg := aws.Config{Region: "us-east-1", BaseEndpoint: &srv.URL, Credentials: credentials.NewStaticCredentialsProvider("AKIA", "secret", "")}
	for _, step := range []struct {
		do   string
		want string // in what is printed, or in the error
		ok   bool
	}{
		{"", "ALARM  STATE  SINCE  REASON\n", true},
		{"web", "", true},
		{"", "web    OK     20", true},
		{"web ALARM", "", true},
		{"slow INSUFFICIENT_DATA", "", true},
		{"", "set by: lab alarm\nweb    ALARM ", true},
		{"web alarm", "want OK, ALARM, INSUFFICIENT_DATA or none", false},
		{"web ALARM now", "want a name and a state", false},
		{"slow none", "", true},
		{"", "REASON\nweb ", true},
	} {
		var out bytes.Buffer
		err := doAlarm(t.Context(), cfg, &out, strings.Fields(step.do))
		said := out.String()
		if err != nil {
			said = err.Error()
		}
		if (err == nil) != step.ok || !strings.Contains(said, step.want) || step.want == "" && said != "" {
			t.Errorf("lab alarm %s: %v, %q, want %q", step.do, err, said, step.want)
		}
	}
	srv.Close()
	if err := doAlarm(t.Context(), aws.Config{Region: "us-east-1", BaseEndpoint: &srv.URL, Credentials: cfg.Credentials, Retryer: func() aws.Retryer { return aws.NopRetryer{} }}, &bytes.Buffer{}, nil); err == nil || !strings.Contains(err.Error(), "listing the alarms") {
		t.Errorf("%v", err)
	}
}
