// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/outlast-ci/outlast/core/event"
)

const (
	// requestTimeout ends one try; the waits around the call have their own deadline.
	requestTimeout = 30 * time.Second
	// patience is for how long a request is tried that the server cannot take now:
	// a minute of refusals, and one more wait.
	patience = 75 * time.Second
	// hello is that time until the server has answered once: who gives a wrong
	// address should hear so soon.
	hello = 5 * time.Second
)

// patient sends a request again while the server is away or overloaded. All of
// ours may be sent twice: a server-side apply says the same again, an Update
// and a Delete name the one object that they mean, and Create looks what its
// first try has done. No answer of ours is a stream, so each is read to its end here.
type patient struct {
	next   http.RoundTripper
	renews bool // a login that is refused is renewed below: worth one more try

	observe event.Func // told of waits; nil: nobody is

	mu              sync.Mutex
	patience, hello time.Duration
	met             bool      // the server has answered
	silent          time.Time // since when it does not; zero: it does
	told            time.Time // when a wait was told last
	teller          *heard    // by whom
}

// RoundTrip sends a request, and again until the answer is one to act upon.
func (p *patient) RoundTrip(req *http.Request) (*http.Response, error) {
	wait := p.begin()
	defer wait.end()
	began := wait.began
	for try := 1; ; try++ {
		if made, ok := req.Context().Value(triesKey{}).(*int); ok {
			*made = try
		}
		res, err := p.once(req)
		since, most := p.note(began, err)
		rest, again := pause(res, err, try)
		if try == 1 && p.renews && res != nil && res.StatusCode == http.StatusUnauthorized {
			rest, again = 0, true
		}
		wait.take(res, err, again)
		if !again || req.Context().Err() != nil || time.Since(since)+rest > most || req.Body != nil && req.GetBody == nil {
			if err != nil && try > 1 {
				err = fmt.Errorf("tried %d times in %s: %w", try, time.Since(began).Round(time.Second), err)
			}
			return res, err
		}
		select {
		case <-req.Context().Done():
			return nil, fmt.Errorf("%w, after %d tries: %w", context.Cause(req.Context()), try, orStatus(res, err))
		case <-time.After(rest):
		}
	}
}

// note tells since when there has been trouble: with this call, or with the
// whole server, whose silence is waited for once and not by every call anew.
func (p *patient) note(began time.Time, err error) (since time.Time, most time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if since = began; err == nil {
		p.met, p.silent = true, time.Time{}
	} else if p.silent.IsZero() {
		p.silent = began
	}
	if !p.silent.IsZero() && p.silent.Before(began) {
		since = p.silent
	}
	if p.met {
		return since, p.patience
	}
	return since, p.hello
}

// once sends a request and reads the whole answer.
func (p *patient) once(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeoutCause(req.Context(), requestTimeout, errNoAnswer)
	defer cancel()
	clone := req.Clone(ctx)
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		clone.Body = body
	}
	res, err := p.next.RoundTrip(clone)
	if err == nil {
		var text []byte
		text, err = io.ReadAll(res.Body)
		err = errors.Join(err, res.Body.Close())
		res.Body = io.NopCloser(bytes.NewReader(text))
	}
	if err != nil && errors.Is(context.Cause(ctx), errNoAnswer) && !errors.Is(err, errNoAnswer) { // net/http says one or the other
		err = fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	if err != nil {
		return nil, err
	}
	return res, nil
}

var errNoAnswer = errors.New("no answer within " + requestTimeout.String())

func orStatus(res *http.Response, err error) error {
	if err == nil {
		err = errors.New(res.Status)
	}
	return err
}

// pause tells whether a request is worth another try, and after how long: at
// random, so that those who failed together do not come back together.
func pause(res *http.Response, err error, try int) (wait time.Duration, again bool) {
	grown := 100 * time.Millisecond << min(try, 10)
	if err != nil {
		return rand.N(min(grown, time.Second)), transient(err)
	}
	after, said := 1, false
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds >= 0 {
		after, said = seconds, true
	}
	wait = time.Duration(after)*time.Second + rand.N(min(grown, 4*time.Second))
	switch res.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return wait, true
	case http.StatusInternalServerError: // of etcd, or because a controller's webhook is away
		text := body(res)
		return wait, said || bytes.Contains(text, []byte("etcdserver: ")) || bytes.Contains(text, []byte("failed calling webhook"))
	}
	return 0, false
}

// body reads an answer that is read again later.
func body(res *http.Response) []byte {
	text, _ := io.ReadAll(res.Body) // from memory
	res.Body = io.NopCloser(bytes.NewReader(text))
	return text
}

// transient tells a connection that broke from one that will never be.
func transient(err error) bool {
	var auth *AuthError
	var name *net.DNSError
	var network *net.OpError
	var slow net.Error
	switch {
	case errors.As(err, &auth):
		return false
	case errors.As(err, &name):
		return !name.IsNotFound
	case errors.As(err, &network):
		return network.Op != "remote error" && network.Op != "local error" // TLS refuses
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, errNoAnswer):
		return true
	case errors.As(err, &slow):
		return slow.Timeout()
	}
	for _, words := range []string{"http2: ", "stream error: ", "server closed idle connection"} { // of types that net/http keeps to itself
		if strings.Contains(err.Error(), words) {
			return true
		}
	}
	return false
}

// triesKey is the key of an *int in a context, which learns how often the
// context's request was sent.
type triesKey struct{}

// single makes requests that client-go does not send again: its tries would
// multiply the patient's.
type single struct{ rest.Interface }

func (s single) Get() *rest.Request  { return s.Interface.Get().MaxRetries(0) }
func (s single) Post() *rest.Request { return s.Interface.Post().MaxRetries(0) }
func (s single) Put() *rest.Request  { return s.Interface.Put().MaxRetries(0) }
func (s single) Patch(kind types.PatchType) *rest.Request {
	return s.Interface.Patch(kind).MaxRetries(0)
}
func (s single) Delete() *rest.Request          { return s.Interface.Delete().MaxRetries(0) }
func (s single) Verb(verb string) *rest.Request { return s.Interface.Verb(verb).MaxRetries(0) }
