// SPDX-License-Identifier: Apache-2.0

package labstate

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAStateIsKeptForItsOwnerOnly(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(dir); !errors.Is(err, ErrNone) {
		t.Fatalf("no lab was made: %v", err)
	}
	s := State{Dir: dir, Region: "cn-northwest-1", Seed: 7, Propagation: "15s-17s", Registration: "0s-10s", Jitter: "2s-4s", HostIP: "10.0.0.1", Ports: map[string]int{"api": 1, "registry": 2, "kube": 3}, Users: map[string]User{"deployer": {"AKIA", "secret"}}, Started: true}
	if err := s.Save(); err != nil {
		t.Fatal(err)
	}
	back, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, back); diff != "" {
		t.Error(diff)
	}
	if info, err := os.Stat(filepath.Join(dir, "lab.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("it holds keys: %v %v", info.Mode(), err)
	}
	if err := os.WriteFile(filepath.Join(dir, "lab.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil || errors.Is(err, ErrNone) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a broken state: %v", err)
	}
}

func TestTheEnvironmentOfAUser(t *testing.T) {
	s := State{Dir: "/lab", Region: "cn-northwest-1", Cluster: "lab", Propagation: "15s-17s", Jitter: "2s-4s", HostIP: "10.0.0.1", Ports: map[string]int{"api": 1, "registry": 2}, Users: map[string]User{"deployer": {"AKIA", "secret"}}}
	got := map[string]string{}
	for _, pair := range s.Env("deployer") {
		name, value, _ := strings.Cut(pair, "=")
		got[name] = value
	}
	for name, want := range map[string]string{
		"AWS_REGION": "cn-northwest-1", "AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINT_URL_ACM": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_ECR": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_CLOUDWATCH": "http://127.0.0.1:1",
		"OUTLAST_CLUSTER_NAME": "lab", "OUTLAST_SET": "P=17s\nL=2s\nM=2s\nJ=4s\nQ=3s\nT_reg=5s\nB=10s",
		"OUTLAST_BUILD_ARG": "GO_IMAGE=10.0.0.1:2/mirror/golang:latest\nBASE_IMAGE=10.0.0.1:2/mirror/static:latest",
	} {
		if got[name] != want {
			t.Errorf("%s=%q, want %q", name, got[name], want)
		}
	}
	if got["AWS_ENDPOINT_URL"] != "" {
		t.Error("services that the lab does not imitate must not go to it")
	}
}

func TestTheFolder(t *testing.T) {
	dir, err := DefaultDir(func(string) string { return "/x/../lab" })
	if err != nil || dir != "/lab" {
		t.Errorf("LAB_DIR gives %q, %v", dir, err)
	}
}
