// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"context"
	"errors"
	"net"
	"syscall"
)

var (
	errDelayExpired = errors.New("the target's deregistration delay is over")
	errIdleTimeout  = errors.New("nothing was sent or received for the idle timeout")
	errNoRetry      = errors.New("the target closed a connection that was about to be used")
)

// connectError is a connection that was never made.
type connectError struct {
	timeout bool
	err     error
}

func (c *connectError) Error() string { return "connecting to target: " + c.err.Error() }
func (c *connectError) Unwrap() error { return c.err }

// dial connects to a target within the connect timeout.
func (e *Engine) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, e.opt.ConnectTimeout)
	defer cancel()
	defer context.AfterFunc(e.ctx, cancel)()
	conn, err := e.opt.Dialer(ctx, network, addr)
	if err == nil {
		return conn, nil
	}
	// A VPC says nothing about an address nobody has; a local kernel does.
	if silent(err) {
		<-ctx.Done()
	}
	// net.Dialer has a timer of its own for the deadline, which may be the first to end.
	var slow net.Error
	late := errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.As(err, &slow) && slow.Timeout()
	return nil, &connectError{timeout: late, err: err}
}

// silent says whether err is this machine's own word for an address without an owner.
func silent(err error) bool {
	return errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) ||
		errors.Is(err, syscall.EHOSTDOWN) || errors.Is(err, syscall.ETIMEDOUT)
}
