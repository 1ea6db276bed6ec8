// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"time"

	"github.com/outlast-ci/outlast/lab/internal/alb/accesslog"
)

// What the real one documents, and cannot be configured (user guide: pages on
// troubleshooting, quotas and listeners).
const (
	ConnectTimeout   = accesslog.ConnectLimit // of TCP to a target; then 504
	HandshakeTimeout = 10 * time.Second       // of TLS with a target; then 502
	MaxRequestHead   = 64 << 10               // bytes
	MaxResponseHead  = 32 << 10               // bytes; then 502
	MaxStreams       = 128                    // requests at once on one HTTP/2 connection
	MaxUserAgent     = 8 << 10                // bytes of it in an access log
)

// What holds without the attribute (user guide; the SDK's comments).
const (
	DefaultIdleTimeout         = time.Minute       // idle_timeout.timeout_seconds
	DefaultClientKeepAlive     = time.Hour         // client_keep_alive.seconds
	DefaultDeregistrationDelay = 300 * time.Second // deregistration_delay.timeout_seconds
	DefaultStickiness          = 24 * time.Hour    // stickiness.lb_cookie.duration_seconds
)

// HeadTimeout ends a client connection whose request head does not come. Ours:
// the real one's is not documented.
const HeadTimeout = time.Minute

// Defaults are the options of a load balancer that is like a real one. Only
// the propagation was measured; the other two ranges are assumptions.
func Defaults() Options { return Options{}.withDefaults() }
