// SPDX-License-Identifier: Apache-2.0

package applybench

import (
	"net"
	"sync"
	"time"
)

// line is a TCP proxy on loopback: what comes back takes a while, and it can be
// cut.
type line struct {
	address, server string

	mu       sync.Mutex
	delay    time.Duration // of what the server sends: the round trip
	reset    bool          // new connections are reset
	listener net.Listener
	open     map[*net.TCPConn]bool
}

func newLine(server string) (*line, error) {
	l := &line{server: server, open: map[*net.TCPConn]bool{}}
	return l, l.listen("127.0.0.1:0")
}

func (l *line) listen(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.listener, l.address = listener, listener.Addr().String()
	l.mu.Unlock()
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go l.serve(c.(*net.TCPConn))
		}
	}()
	return nil
}

func (l *line) serve(c *net.TCPConn) {
	l.mu.Lock()
	reset, delay := l.reset, l.delay
	l.open[c] = true
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.open, c)
		l.mu.Unlock()
		c.Close()
	}()
	if reset {
		c.SetLinger(0) //nolint:errcheck // it is closed next
		return
	}
	s, err := net.Dial("tcp", l.server)
	if err != nil {
		return
	}
	defer s.Close()
	go func() {
		defer s.Close()
		pass(s, c, 0)
	}()
	pass(c, s, delay)
}

// pass copies with a delay, without holding up what comes behind.
func pass(to, from net.Conn, delay time.Duration) {
	type piece struct {
		due  time.Time
		text []byte
	}
	pieces := make(chan piece, 4096)
	go func() {
		defer close(pieces)
		for {
			buf := make([]byte, 32<<10)
			n, err := from.Read(buf)
			if n > 0 {
				pieces <- piece{time.Now().Add(delay), buf[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	broken := false
	for p := range pieces {
		time.Sleep(time.Until(p.due))
		if broken {
			continue // drained, so that the reader ends
		}
		_, err := to.Write(p.text)
		broken = err != nil
	}
}

// kill resets what is open.
func (l *line) kill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		c.SetLinger(0) //nolint:errcheck // it is closed next
		c.Close()
	}
}

// away refuses connections for a time.
func (l *line) away(d time.Duration) error {
	l.mu.Lock()
	l.listener.Close()
	address := l.address
	l.mu.Unlock()
	l.kill()
	time.Sleep(d)
	return l.listen(address)
}

// resets resets connections for a time.
func (l *line) resets(d time.Duration) error {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		l.set(func() { l.reset = true })
		l.kill()
	}
	l.set(func() { l.reset = false })
	return nil
}

func (l *line) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

func (l *line) close() {
	l.set(func() { l.listener.Close() })
	l.kill()
}
