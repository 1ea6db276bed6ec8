// SPDX-License-Identifier: Apache-2.0

package api

import "net"

func DefaultSocketPath() string         { return "" }
func SocketAddr(p string) *net.UnixAddr { return &net.UnixAddr{Name: p, Net: "unix"} }
