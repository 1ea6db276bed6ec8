// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/alb/handshake"
)

// balancer is a load balancer and its nodes.
type balancer struct {
	LoadBalancer
	nodes []*node
}

// node is one front end: an address, its sockets and its own turn counters.
type node struct {
	engine *Engine
	lb     string // ARN
	name   string // of the load balancer
	addr   netip.Addr
	zone   string
	ports  map[int]*front
	turns  map[string]uint64 // round robin position by target group; under the engine's lock
}

// front is one listening socket of a node. Its configuration is swapped whole.
type front struct {
	node   *node
	server *http.Server
	socket net.Listener
	done   chan struct{}
	config atomic.Pointer[frontConfig]

	ctx    context.Context // of every request, also of hijacked connections
	cancel context.CancelFunc

	mu        sync.Mutex
	idle      map[net.Conn]*time.Timer
	presented map[net.Conn]string // ARN of the certificate that a client connection was shown
	ended     bool
	active    sync.WaitGroup // requests
}

type frontConfig struct {
	lb          LoadBalancer
	listener    Listener
	rules       []Rule // by priority, the default one last
	idleTimeout time.Duration
	keepAlive   time.Duration
	tls         handshake.Listener
}

// PutLoadBalancer makes or changes a load balancer. Sockets that stay the same stay open.
func (e *Engine) PutLoadBalancer(lb LoadBalancer) error {
	if err := validBalancer(lb); err != nil {
		return fmt.Errorf("putting load balancer %q: %w", lb.ARN, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ctx.Err() != nil {
		return fmt.Errorf("putting load balancer %q: the engine is closed", lb.ARN)
	}
	b := e.balancers[lb.ARN]
	if b == nil {
		b = &balancer{}
		e.balancers[lb.ARN] = b
	}
	b.LoadBalancer = lb
	err := e.place(b)
	e.attach()
	e.tend()
	if err != nil {
		return fmt.Errorf("putting load balancer %q: %w", lb.ARN, err)
	}
	return nil
}

// DeleteLoadBalancer closes a load balancer's sockets and frees its addresses.
func (e *Engine) DeleteLoadBalancer(arn string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	b := e.balancers[arn]
	delete(e.balancers, arn)
	if b != nil {
		b.close()
		for _, z := range b.Zones {
			delete(e.addresses, arn+" "+z)
		}
		delete(e.slowness, arn)
		delete(e.jitters, arn)
	}
	e.attach()
	e.tend()
}

// Addresses of a load balancer's nodes, in the order of its zones; nil when it
// is unknown. An address depends on ARN and zone only, but for collisions,
// which are settled first come first served and kept by Snapshot.
func (e *Engine) Addresses(arn string) []netip.Addr {
	e.mu.Lock()
	defer e.mu.Unlock()
	b := e.balancers[arn]
	if b == nil {
		return nil
	}
	var out []netip.Addr
	for _, n := range b.nodes {
		out = append(out, n.addr)
	}
	return out
}

// place makes the balancer's nodes and sockets fit its zones and listeners.
func (e *Engine) place(b *balancer) error {
	var nodes []*node
	for _, z := range b.Zones {
		i := slices.IndexFunc(b.nodes, func(n *node) bool { return n.zone == z })
		if i >= 0 {
			nodes = append(nodes, b.nodes[i])
			continue
		}
		a, err := e.address(b.ARN + " " + z)
		if err != nil {
			return err
		}
		nodes = append(nodes, &node{engine: e, lb: b.ARN, name: b.Name, addr: a, zone: z, ports: map[int]*front{}, turns: map[string]uint64{}})
	}
	for _, n := range b.nodes {
		if !slices.Contains(nodes, n) {
			n.close()
			delete(e.addresses, b.ARN+" "+n.zone)
		}
	}
	b.nodes = nodes
	var errs []error
	for _, n := range b.nodes {
		errs = append(errs, n.open(b.LoadBalancer))
	}
	return errors.Join(errs...)
}

// address gives a load balancer's zone its place in the prefix: one that its
// name picks, or the next free one.
func (e *Engine) address(key string) (netip.Addr, error) {
	if a, ok := e.addresses[key]; ok {
		return a, nil
	}
	taken := map[netip.Addr]bool{}
	for _, a := range e.addresses {
		taken[a] = true
	}
	p := e.opt.Prefix.Masked()
	size := uint64(1) << min(30, p.Addr().BitLen()-p.Bits())
	start := hash(key) % size
	for i := range size {
		a := offset(p.Addr(), (start+i)%size)
		last := a.AsSlice()[len(a.AsSlice())-1]
		if p.Contains(a) && !taken[a] && last != 0 && last != 255 {
			e.addresses[key] = a
			return a, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("no free address in %s for a node: all are taken, delete a load balancer or give a wider prefix", p)
}

func offset(a netip.Addr, n uint64) netip.Addr {
	b := a.AsSlice()
	for i := len(b) - 1; i >= 0 && n > 0; i-- {
		n += uint64(b[i])
		b[i] = byte(n)
		n >>= 8
	}
	out, _ := netip.AddrFromSlice(b)
	return out
}

// open makes the node's sockets fit the listeners.
func (n *node) open(lb LoadBalancer) error {
	want := map[int]bool{}
	var errs []error
	for _, l := range lb.Listeners {
		c, err := newFrontConfig(lb, l)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		want[l.Port] = true
		if f := n.ports[l.Port]; f != nil && f.config.Load().listener.Protocol == l.Protocol {
			f.config.Store(c)
			continue
		} else if f != nil {
			f.close()
		}
		f, err := n.listen(c)
		if err != nil {
			delete(n.ports, l.Port)
			errs = append(errs, fmt.Errorf("opening listener %q: %w", l.ARN, err))
			continue
		}
		n.ports[l.Port] = f
	}
	for p, f := range n.ports {
		if !want[p] {
			f.close()
			delete(n.ports, p)
		}
	}
	return errors.Join(errs...)
}

func newFrontConfig(lb LoadBalancer, l Listener) (*frontConfig, error) {
	c := &frontConfig{
		lb: lb, listener: l, rules: sortRules(l.Rules),
		idleTimeout: seconds(lb.Attributes, "idle_timeout.timeout_seconds", DefaultIdleTimeout),
		keepAlive:   seconds(lb.Attributes, "client_keep_alive.seconds", DefaultClientKeepAlive),
		tls:         handshake.Listener{Policy: l.Policy, HTTP2: lb.Attributes["routing.http2.enabled"] != "false"},
	}
	if l.Protocol != "HTTPS" {
		return c, nil
	}
	for _, k := range l.Certificates {
		cert, err := handshake.Parse(k.ARN, k.Cert, k.Key)
		if err != nil {
			return nil, fmt.Errorf("opening listener %q: %w", l.ARN, err)
		}
		c.tls.Certificates = append(c.tls.Certificates, cert)
	}
	if len(c.tls.Certificates) == 0 {
		return nil, fmt.Errorf("opening listener %q: an HTTPS listener needs a certificate", l.ARN)
	}
	return c, nil
}

func (n *node) listen(c *frontConfig) (*front, error) {
	socket, err := n.engine.opt.Listen("tcp", netip.AddrPortFrom(n.addr, uint16(c.listener.Port)).String())
	if err != nil {
		return nil, err
	}
	f := &front{node: n, socket: socket, done: make(chan struct{}), idle: map[net.Conn]*time.Timer{}, presented: map[net.Conn]string{}}
	f.ctx, f.cancel = context.WithCancel(n.engine.ctx)
	f.config.Store(c)
	f.server = &http.Server{
		BaseContext: func(net.Listener) context.Context { return f.ctx },
		Handler:     f,
		ConnState:   f.connState,
		ConnContext: startOfConn,
		ErrorLog:    log.New(io.Discard, "", 0),
		// A request head that never ends must not hold a socket for ever.
		ReadHeaderTimeout: HeadTimeout,
		MaxHeaderBytes:    MaxRequestHead,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: MaxStreams},
	}
	if c.listener.Protocol == "HTTPS" {
		f.server.TLSConfig = &tls.Config{GetConfigForClient: f.tlsConfig}
	}
	go func() {
		defer close(f.done)
		if f.server.TLSConfig != nil {
			_ = f.server.ServeTLS(socket, "", "")
			return
		}
		_ = f.server.Serve(socket)
	}()
	return f, nil
}

// tlsConfig is asked on every handshake, so that new certificates need no new socket.
func (f *front) tlsConfig(*tls.ClientHelloInfo) (*tls.Config, error) {
	return f.config.Load().tls.Config(func(hello *tls.ClientHelloInfo, arn string) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.presented[hello.Conn] = arn
	}), nil
}

// connState closes client connections that were idle for the idle timeout,
// which, unlike the server's own setting, may change while they live.
func (f *front) connState(c net.Conn, s http.ConnState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s == http.StateClosed || s == http.StateHijacked {
		delete(f.presented, rawOf(c))
	}
	if t := f.idle[c]; t != nil {
		t.Stop()
		delete(f.idle, c)
	}
	if (s == http.StateIdle || s == http.StateNew) && !f.ended {
		f.idle[c] = time.AfterFunc(f.config.Load().idleTimeout, func() { _ = c.Close() })
	}
}

// close ends the socket and its connections at once and leaves the waiting to
// the engine's Close, since requests may want the lock that the caller holds.
func (f *front) close() {
	f.mu.Lock()
	f.ended = true
	for c, t := range f.idle {
		t.Stop()
		delete(f.idle, c)
	}
	f.mu.Unlock()
	f.cancel()
	_ = f.server.Close()
	_ = f.socket.Close() // Serve may not have taken it yet
	f.node.engine.wg.Go(func() {
		<-f.done
		f.active.Wait()
	})
}

func (n *node) close() {
	for _, f := range n.ports {
		f.close()
	}
	n.ports = map[int]*front{}
}

func (b *balancer) close() {
	for _, n := range b.nodes {
		n.close()
	}
}

// uses says whether a rule of the balancer forwards to the group.
func (b *balancer) uses(arn string) bool {
	for _, l := range b.Listeners {
		for _, r := range l.Rules {
			for _, a := range r.Actions {
				if a.Type == "forward" && slices.ContainsFunc(a.TargetGroups, func(w WeightedTargetGroup) bool { return w.ARN == arn }) {
					return true
				}
			}
		}
	}
	return false
}

func hash(words ...string) uint64 {
	h := fnv.New64a()
	for _, w := range words {
		_, _ = h.Write([]byte(w))
		_, _ = h.Write([]byte{0})
	}
	return h.Sum64()
}
