// SPDX-License-Identifier: Apache-2.0

// Package labstate is what a running lab tells others about itself: one JSON
// file in the lab's folder, readable by its owner only, since keys are in it.
package labstate

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// State is the content of lab.json.
type State struct {
	Dir          string            `json:"dir"`
	Region       string            `json:"region"`
	Account      string            `json:"account"`
	Cluster      string            `json:"cluster"`
	Seed         uint64            `json:"seed"`         // of all draws of the balancers
	Propagation  string            `json:"propagation"`  // MIN-MAX of a deregistration, e.g. 15s-17s
	Registration string            `json:"registration"` // MIN-MAX of a registration, e.g. 1s-3s
	Jitter       string            `json:"jitter"`       // MIN-MAX from the end of a deregistration delay until the target is unused, e.g. 0s-15s
	Requeue      string            `json:"requeue"`      // of the controller's look at readiness gates, e.g. 3s
	HostIP       string            `json:"hostIP"`       // of the link between host and node
	NodeIP       string            `json:"nodeIP"`
	Ports        map[string]int    `json:"ports"` // api, registry, hook, kube, etcd, webhook, metrics, health
	Users        map[string]User   `json:"users"`
	Tools        map[string]string `json:"tools"`   // programs by name
	Started      bool              `json:"started"` // the last up went through
}

// User is an AWS key of the lab.
type User struct {
	AccessKeyID     string `json:"accessKeyId"`
	SecretAccessKey string `json:"secretAccessKey"`
}

// ErrNone says that no lab was made in a folder yet.
var ErrNone = errors.New("no lab was made here yet; run: lab up")

// DefaultDir is $LAB_DIR, else a folder of the user's cache.
func DefaultDir(getenv func(string) string) (string, error) {
	if dir := getenv("LAB_DIR"); dir != "" {
		return filepath.Abs(dir)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding a folder for the lab: %w; set LAB_DIR", err)
	}
	return filepath.Join(cache, "outlast-lab", "run"), nil
}

// Load reads the state of the lab in dir.
func Load(dir string) (State, error) {
	text, err := os.ReadFile(filepath.Join(dir, "lab.json"))
	if errors.Is(err, os.ErrNotExist) {
		return State{}, ErrNone
	}
	if err != nil {
		return State{}, fmt.Errorf("reading the lab's state: %w", err)
	}
	var s State
	if err := json.Unmarshal(text, &s); err != nil {
		return State{}, fmt.Errorf("reading the lab's state in %s: %w", dir, err)
	}
	return s, nil
}

// Save writes the state.
func (s State) Save() error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	tmp := filepath.Join(s.Dir, "lab.json.new")
	if err := os.WriteFile(tmp, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing the lab's state: %w", err)
	}
	return os.Rename(tmp, filepath.Join(s.Dir, "lab.json"))
}

// Path joins names below the lab's folder.
func (s State) Path(names ...string) string {
	return filepath.Join(append([]string{s.Dir}, names...)...)
}

// API is the address of the imitated AWS, as the host reaches it.
func (s State) API() string { return fmt.Sprintf("http://127.0.0.1:%d", s.Ports["api"]) }

// Control is the address at which the lab takes orders and tells what AWS does not.
func (s State) Control() string { return fmt.Sprintf("http://127.0.0.1:%d", s.Ports["hook"]) }

// AWS is what a user of the lab gives an SDK's client.
func (s State) AWS(user string) aws.Config {
	u := s.Users[user]
	return aws.Config{Region: s.Region, BaseEndpoint: aws.String(s.API()), Credentials: credentials.NewStaticCredentialsProvider(u.AccessKeyID, u.SecretAccessKey, "")}
}

// Registry is host:port of the registry, as host and node reach it.
func (s State) Registry() string { return fmt.Sprintf("%s:%d", s.HostIP, s.Ports["registry"]) }

// Kube is the address of the API server.
func (s State) Kube() string { return fmt.Sprintf("https://%s:%d", s.HostIP, s.Ports["kube"]) }

// Kubeconfig is the file with the administrator's access.
func (s State) Kubeconfig() string { return s.Path("pki", "admin.kubeconfig") }

// IssuerKey is the file with the key that signs ID tokens of CI jobs.
func (s State) IssuerKey() string { return s.Path("pki", "issuer.pem") }

// LogBucket is where load balancers of the lab may write their access logs; it
// is there from the start.
func (s State) LogBucket() string { return "outlast-lab-logs" }

// Env lists the variables under which outlast works in the lab as a user,
// each NAME=value: the SDK's own variables, BuildKit's and the tools' PATH.
func (s State) Env(user string) []string {
	u := s.Users[user]
	return []string{
		"AWS_REGION=" + s.Region,
		"AWS_ACCESS_KEY_ID=" + u.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY=" + u.SecretAccessKey,
		"AWS_EC2_METADATA_DISABLED=true",
		"AWS_ENDPOINT_URL_ACM=" + s.API(),
		"AWS_ENDPOINT_URL_CLOUDWATCH=" + s.API(),
		"AWS_ENDPOINT_URL_ECR=" + s.API(),
		"AWS_ENDPOINT_URL_EKS=" + s.API(),
		"AWS_ENDPOINT_URL_STS=" + s.API(),
		"AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2=" + s.API(),
		"AWS_ENDPOINT_URL_S3=" + s.API(),
		"BUILDKIT_HOST=unix://" + s.Path("buildkit", "buildkitd.sock"),
		"DOCKER_CONFIG=" + s.Path("docker"),
		"OUTLAST_CLUSTER_NAME=" + s.Cluster,
		"OUTLAST_BUILD_ARG=GO_IMAGE=" + s.Registry() + "/mirror/golang:latest\nBASE_IMAGE=" + s.Registry() + "/mirror/static:latest",
		"OUTLAST_SET=" + strings.Join(s.Planning(), "\n"),
	}
}

// What holds in a lab for which nothing else was asked.
const (
	// Propagation is the slow end of the 10 to 17 s that were measured on real
	// load balancers.
	Propagation = "15s-17s"
	// Registration is a guess, and a short one: nobody documents it.
	Registration = "1s-3s"
	// Jitter is short, since each rollout in the lab waits for it: a fifth of what
	// Outlast plans for (J). The experiment gives its load balancers all of that.
	Jitter = "0s-3s"
	// Seed is the same for all, so that a lab that is made anew draws what the
	// last one drew: what differs then is not chance.
	Seed uint64 = 1
)

// Planning lists the planning values of the drain formulas that fit the lab,
// which is quicker than AWS: SYMBOL=VALUE each. Outlast's own defaults are for
// real load balancers.
func (s State) Planning() []string {
	_, slowest, _ := strings.Cut(s.Propagation, "-")
	_, latest, _ := strings.Cut(s.Jitter, "-")
	return []string{"P=" + slowest, "L=2s", "M=2s", "J=" + latest, "Q=3s", "T_reg=5s", "B=10s"}
}
