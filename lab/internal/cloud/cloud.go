// SPDX-License-Identifier: Apache-2.0

// Package cloud imitates the part of AWS that a deployment to EKS behind an
// application load balancer touches: EC2, ELBv2, ACM, ECR, EKS, STS and CloudWatch's
// alarms behind one handler, a registry behind another, and the cluster's token authenticator.
// It is told who may sign requests and what the cluster is; it makes the
// cluster's network once, checks every signature, and keeps everything per
// region in its folder, so that a restart goes on where it was.
package cloud

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/alb"
	"github.com/outlast-ci/outlast/lab/internal/alb/accesslog"
	"github.com/outlast-ci/outlast/lab/internal/cloud/acm"
	"github.com/outlast-ci/outlast/lab/internal/cloud/auth"
	"github.com/outlast-ci/outlast/lab/internal/cloud/ec2"
	"github.com/outlast-ci/outlast/lab/internal/cloud/ecr"
	"github.com/outlast-ci/outlast/lab/internal/cloud/eks"
	"github.com/outlast-ci/outlast/lab/internal/cloud/elb"
	"github.com/outlast-ci/outlast/lab/internal/cloud/monitoring"
	"github.com/outlast-ci/outlast/lab/internal/cloud/region"
	"github.com/outlast-ci/outlast/lab/internal/cloud/s3"
	"github.com/outlast-ci/outlast/lab/internal/cloud/trouble"
	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
	"github.com/outlast-ci/outlast/lab/internal/pki"
)

// User is an identity that may sign requests.
type User = auth.User

// Cluster is what EKS says of the cluster.
type Cluster struct {
	Name     string
	Endpoint string
	CAData   string // PEM
	Version  string
}

// VPC is the cluster's network.
type VPC struct {
	CIDR     string // "": 10.244.0.0/16, which holds the usual pod networks
	PodCIDR  string // inside CIDR, /24 or smaller; "": the first /24 of CIDR
	NodeIP   string // may be outside of CIDR
	NodeName string
}

// Config says what New makes.
type Config struct {
	Dir     string // state and the registry's blobs
	Account string // 12 digits
	Region  string // of the cluster, the VPC and the registry
	Users   []User
	Issuer  *auth.Issuer // of the ID tokens that STS takes; nil: it takes none
	Cluster Cluster
	// RegistryURL is what GetAuthorizationToken answers as proxyEndpoint; its
	// host begins every repositoryUri.
	RegistryURL string
	// PKI is the folder of the authority that certifies what is requested of
	// ACM; "": one in Dir, which is made with the first request.
	PKI string
	// PublicURL is the base URL of API, for messages only.
	PublicURL string
	VPC       VPC
	Engine    *alb.Engine
	// TokenLife is how long a registry token lives; 0 means ECR's 12 hours.
	TokenLife time.Duration
	// Provisioning is how long a new load balancer says so; it serves at once.
	Provisioning time.Duration
	// Limits are those of ELBv2's calls; the zero value is none.
	Limits trouble.Limits
	// AccessLogs is the interval of one access log object; 0 means the service's 5 minutes.
	AccessLogs time.Duration
	Log        func(string)     // nil: nobody listens
	Now        func() time.Time // nil: time.Now
}

// Cloud is the imitation. It is safe for concurrent use.
type Cloud struct {
	cfg      Config
	keys     *auth.Keys
	registry *ecr.Registry
	ec2Ops   map[string]ec2.Operation
	elbOps   map[string]elb.Operation
	elb      elb.API
	ecr      ecr.API
	acm      acm.API
	s3       *s3.Store
	logs     *accesslog.Collector
	trouble  *trouble.Maker

	mu    sync.Mutex
	state state
}

// regional is what one region holds.
type regional struct {
	EC2        *ec2.Region
	ELB        *elb.Region
	ECR        *ecr.Region
	ACM        *acm.Region
	Monitoring *monitoring.Region
}

// New makes the cloud, or takes up the one that is in Dir.
func New(cfg Config) (*Cloud, error) {
	if err := complete(&cfg); err != nil {
		return nil, fmt.Errorf("making the cloud: %w", err)
	}
	c := &Cloud{cfg: cfg, keys: auth.NewKeys(cfg.Account, cfg.Users, cfg.Now), trouble: trouble.New(cfg.Limits, cfg.Now)}
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("making the cloud: %w", err)
	}
	tokens := ecr.Tokens{Key: c.state.TokenKey, Life: cfg.TokenLife, Account: cfg.Account, Now: cfg.Now}
	reg, err := ecr.NewRegistry(filepath.Join(cfg.Dir, "registry"), ecr.Registry{
		Region: cfg.Region, Account: cfg.Account, Tokens: tokens, Repositories: repositories{c}, Log: c.log,
	})
	if err != nil {
		return nil, fmt.Errorf("making the cloud: %w", err)
	}
	c.registry = reg
	c.ecr = ecr.API{Tokens: tokens, Endpoint: cfg.RegistryURL, Images: reg}
	c.elb = elb.API{Engine: cfg.Engine, Network: network{c}, Provisioning: cfg.Provisioning, Certificates: certificates{c}}
	c.acm = acm.API{
		Issue: func(names []string, public any) (cert, chain []byte, err error) {
			return pki.Issue(cfg.PKI, names, public)
		},
		Users: func(name, arn string) []string { return c.in(name).ELB.CertificateUsers(arn) },
	}
	c.elbOps = c.elb.Operations()
	c.ec2Ops = ec2.API{GroupInUse: func(name, group string) string { return c.in(name).ELB.SecurityGroupUser(group) }}.Operations()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.resume(); err != nil {
		return nil, fmt.Errorf("making the cloud: %w", err)
	}
	if err := c.collectLogs(); err != nil {
		return nil, fmt.Errorf("making the cloud: %w", err)
	}
	return c, nil
}

func complete(cfg *Config) error {
	if cfg.Dir == "" || len(cfg.Account) != 12 || cfg.Region == "" || cfg.Cluster.Name == "" || cfg.Engine == nil {
		return fmt.Errorf("needed are Dir, a 12-digit Account, Region, Cluster.Name and Engine")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.TokenLife == 0 {
		cfg.TokenLife = ecr.TokenLife
	}
	if cfg.PKI == "" {
		cfg.PKI = filepath.Join(cfg.Dir, "pki")
	}
	if cfg.VPC.CIDR == "" {
		cfg.VPC.CIDR = "10.244.0.0/16"
	}
	if cfg.VPC.PodCIDR == "" {
		p, err := netip.ParsePrefix(cfg.VPC.CIDR)
		if err != nil {
			return fmt.Errorf("VPC.CIDR: %w", err)
		}
		cfg.VPC.PodCIDR = netip.PrefixFrom(p.Masked().Addr(), 24).String()
	}
	if _, err := netip.ParseAddr(cfg.VPC.NodeIP); err != nil {
		return fmt.Errorf("VPC.NodeIP: %w", err)
	}
	users := make([]User, len(cfg.Users))
	for i, u := range cfg.Users {
		if u.Name != "" && strings.Contains(u.ARN, ":role/") && u.AccessKeyID+u.SecretAccessKey == "" {
			users[i] = u
			continue
		}
		if u.AccessKeyID == "" || u.SecretAccessKey == "" || u.Name == "" {
			return fmt.Errorf("user %d needs a name, an access key and a secret", i)
		}
		if u.ARN == "" {
			u.ARN = region.ARN("iam", cfg.Region, cfg.Account, "user/"+u.Name)
		}
		users[i] = u
	}
	cfg.Users = users
	return nil
}

func (c *Cloud) log(format string) {
	if c.cfg.Log != nil {
		c.cfg.Log(format)
	}
}

// in returns a region's resources, making the region when it is new. c.mu is held.
func (c *Cloud) in(name string) *regional {
	r := c.state.Regions[name]
	if r == nil {
		r = &regional{EC2: ec2.NewRegion(name), ELB: elb.NewRegion(), ECR: ecr.NewRegion()}
		c.state.Regions[name] = r
	}
	if r.ACM == nil { // or saved before there was an ACM
		r.ACM = acm.NewRegion()
	}
	if r.Monitoring == nil { // likewise
		r.Monitoring = monitoring.NewRegion()
	}
	return r
}

// resume makes the network when there is none and hands the rest to the data plane.
func (c *Cloud) resume() error {
	home := c.in(c.cfg.Region)
	if c.state.Seeded.VPC == "" {
		seeded, err := ec2.Seed(home.EC2, ec2.SeedOptions{Account: c.cfg.Account, Cluster: c.cfg.Cluster.Name,
			CIDR: c.cfg.VPC.CIDR, PodCIDR: c.cfg.VPC.PodCIDR, NodeIP: c.cfg.VPC.NodeIP, NodeName: c.cfg.VPC.NodeName})
		if err != nil {
			return err
		}
		c.state.Seeded, c.state.Created = seeded, c.cfg.Now().UTC()
	}
	if err := c.wake(); err != nil {
		return err
	}
	return c.save()
}

// wake gives the data plane its targets back, then all groups and load
// balancers, which may have changed after the targets were saved.
func (c *Cloud) wake() error {
	snapshot, err := os.ReadFile(c.enginePath())
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	if err == nil {
		if err := c.cfg.Engine.Restore(snapshot); err != nil {
			return fmt.Errorf("restoring targets from %q: %w", c.enginePath(), err)
		}
	}
	for _, r := range c.state.Regions {
		if err := c.elb.PushAll(r.ELB); err != nil {
			return err
		}
	}
	return nil
}

// Registry is the OCI registry in ECR's manners.
func (c *Cloud) Registry() http.Handler { return c.registry }

// CreateRepository makes a repository; one that is there already is left as it is.
func (c *Cloud) CreateRepository(regionName, name string, immutable bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.in(regionName).ECR.Repositories[name] != nil {
		return nil
	}
	if err := c.in(regionName).ECR.Create(name, immutable, wire.Call{Account: c.cfg.Account, Now: c.cfg.Now()}); err != nil {
		return fmt.Errorf("creating repository %q: %w", name, err)
	}
	return c.save()
}

// ProviderID is what the Kubernetes node of the cluster has as spec.providerID.
func (c *Cloud) ProviderID() string { return c.state.Seeded.ProviderID() }

// VPCID is the id of the cluster's VPC.
func (c *Cloud) VPCID() string { return c.state.Seeded.VPC }

// Save writes the state and the data plane's. Every call that changes
// something does so itself; this is for what the lab sets beside the API.
func (c *Cloud) Save() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.save()
}

// Close saves the state. The engine is the caller's.
func (c *Cloud) Close() error {
	c.logs.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.save()
	if e := c.registry.Close(); err == nil {
		err = e
	}
	return err
}

func (c *Cloud) clusters(regionName string) map[string]eks.Cluster {
	if regionName != c.cfg.Region {
		return nil
	}
	x := c.cfg.Cluster
	return map[string]eks.Cluster{x.Name: {
		Name: x.Name, Endpoint: x.Endpoint, Version: x.Version, CA: x.CAData, VPC: c.state.Seeded.VPC, Subnets: c.state.Seeded.Subnets,
		SecurityGroup: c.state.Seeded.NodeSG, Created: float64(c.state.Created.Unix()),
	}}
}

func newKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // crypto/rand never fails
	return key
}
