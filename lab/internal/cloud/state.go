// SPDX-License-Identifier: Apache-2.0

package cloud

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/cloud/auth"
	"github.com/outlast-ci/outlast/lab/internal/cloud/ec2"
	"github.com/outlast-ci/outlast/lab/internal/cloud/elb"
)

// state is what survives a restart. It holds the secrets of sessions, so its
// file is for the owner only.
type state struct {
	Account, Region, Cluster string
	VPC                      VPC
	TokenKey                 []byte
	Created                  time.Time
	Seeded                   ec2.Seeded
	Regions                  map[string]*regional
	Sessions                 []auth.Session
}

func (c *Cloud) statePath() string  { return filepath.Join(c.cfg.Dir, "state.json") }
func (c *Cloud) enginePath() string { return filepath.Join(c.cfg.Dir, "targets.json") }

// load reads the state of an earlier run, if there is one.
func (c *Cloud) load() error {
	c.state = state{Account: c.cfg.Account, Region: c.cfg.Region, Cluster: c.cfg.Cluster.Name, VPC: c.cfg.VPC,
		TokenKey: newKey(), Regions: map[string]*regional{}}
	if err := os.MkdirAll(c.cfg.Dir, 0o700); err != nil {
		return err
	}
	b, err := os.ReadFile(c.statePath())
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	var old state
	if err := json.Unmarshal(b, &old); err != nil {
		return fmt.Errorf("reading %q: %w: remove the folder to begin anew", c.statePath(), err)
	}
	if old.Account != c.cfg.Account || old.Region != c.cfg.Region || old.Cluster != c.cfg.Cluster.Name || old.VPC != c.cfg.VPC {
		return fmt.Errorf("reading %q: it is of account %s, region %s, cluster %q, network %+v, and not of %s, %s, %q, %+v: remove the folder to begin anew",
			c.statePath(), old.Account, old.Region, old.Cluster, old.VPC, c.cfg.Account, c.cfg.Region, c.cfg.Cluster.Name, c.cfg.VPC)
	}
	c.state = old
	for _, s := range old.Sessions {
		c.keys.AddSession(s)
	}
	return nil
}

// save writes the state and the data plane's. c.mu is held.
func (c *Cloud) save() error {
	c.state.Sessions = c.keys.Sessions()
	b, err := json.Marshal(c.state)
	if err != nil {
		return fmt.Errorf("saving the cloud: %w", err)
	}
	if err := writeFile(c.statePath(), b); err != nil {
		return fmt.Errorf("saving the cloud: %w", err)
	}
	snapshot, err := c.cfg.Engine.Snapshot()
	if err != nil {
		return fmt.Errorf("saving the targets: %w", err)
	}
	if err := writeFile(c.enginePath(), snapshot); err != nil {
		return fmt.Errorf("saving the targets: %w", err)
	}
	return nil
}

// writeFile replaces a file so that a crash leaves the old or the new one.
func writeFile(path string, b []byte) error {
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// network lets ELBv2 see EC2. It is called with c.mu held.
type network struct{ c *Cloud }

func (n network) Subnet(regionName, id string) (elb.Subnet, bool) {
	r := n.c.in(regionName).EC2
	s := r.Subnets[id]
	if s == nil {
		return elb.Subnet{}, false
	}
	return elb.Subnet{VPC: s.VPC, Zone: s.Zone, Public: public(r, s)}, true
}

// public tells whether the subnet's route table leads to an internet gateway.
func public(r *ec2.Region, s *ec2.Subnet) bool {
	leads := func(t *ec2.RouteTable) bool {
		for _, route := range t.Routes {
			if strings.HasPrefix(route.Gateway, "igw-") {
				return true
			}
		}
		return false
	}
	main := false
	for _, t := range r.RouteTables {
		for _, a := range t.Associations {
			if a.Subnet == s.ID {
				return leads(t)
			}
			if a.Main && t.VPC == s.VPC {
				main = leads(t)
			}
		}
	}
	return main
}

func (n network) SecurityGroupVPC(regionName, id string) (string, bool) {
	g := n.c.in(regionName).EC2.SecurityGroups[id]
	if g == nil {
		return "", false
	}
	return g.VPC, true
}

func (n network) VPC(regionName, id string) (elb.VPC, bool) {
	r := n.c.in(regionName).EC2
	v := r.VPCs[id]
	if v == nil {
		return elb.VPC{}, false
	}
	out := elb.VPC{Zones: map[netip.Prefix]string{}}
	for _, a := range v.CIDRs {
		if p, err := netip.ParsePrefix(a.CIDR); err == nil {
			out.CIDRs = append(out.CIDRs, p)
		}
	}
	for _, s := range r.Subnets {
		if p, err := netip.ParsePrefix(s.CIDR); err == nil && s.VPC == id {
			out.Zones[p] = s.Zone
		}
	}
	return out, true
}

// certificates lets ELBv2 see ACM. It is called with c.mu held.
type certificates struct{ c *Cloud }

func (s certificates) Certificate(arn string) (elb.Certificate, bool) {
	f := strings.Split(arn, ":")
	if len(f) < 6 || s.c.state.Regions[f[3]] == nil {
		return elb.Certificate{}, false
	}
	x := s.c.in(f[3]).ACM.Certificates[arn]
	if x == nil {
		return elb.Certificate{}, false
	}
	return elb.Certificate{Text: slices.Concat(x.Cert, []byte("\n"), x.Chain), Key: x.Key, Names: x.Names()}, true
}

// repositories lets the registry see ECR's repositories of its region.
type repositories struct{ c *Cloud }

func (r repositories) Lookup(name string) (immutable, ok bool) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	repo := r.c.in(r.c.cfg.Region).ECR.Repositories[name]
	if repo == nil {
		return false, false
	}
	return repo.Immutable, true
}

func (r repositories) Pushed(name, digest string) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	repo := r.c.in(r.c.cfg.Region).ECR.Repositories[name]
	if repo == nil {
		return
	}
	if _, old := repo.Pushed[digest]; !old {
		repo.Pushed[digest] = r.c.cfg.Now().UTC()
	}
	if err := r.c.save(); err != nil {
		r.c.log(err.Error())
	}
}
