// SPDX-License-Identifier: Apache-2.0

package server

import "net"

type Server struct{}

func New(log any, wrapper any) *Server { return &Server{} }
func (*Server) Listen(net.Listener)    {}
func (*Server) Stop()                  {}
