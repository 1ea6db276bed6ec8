// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/outlast-ci/outlast/lab/internal/alb"
)

// Client asks a Handler at Base, such as http://127.0.0.1:1234.
type Client struct{ Base string }

// SetPropagation gives a load balancer a range of its own, MIN-MAX.
func (c Client) SetPropagation(ctx context.Context, arn, between string) error {
	return c.set(ctx, "propagation", arn, between)
}

// SetJitter gives the target groups of a load balancer a range of their own, MIN-MAX.
func (c Client) SetJitter(ctx context.Context, arn, between string) error {
	return c.set(ctx, "jitter", arn, between)
}

func (c Client) set(ctx context.Context, what, arn, between string) error {
	res, err := c.do(ctx, http.MethodPut, "/_lab/"+what+"?"+url.Values{"arn": {arn}, "range": {between}}.Encode())
	if err != nil {
		return fmt.Errorf("setting the %s of %s: %w", what, arn, err)
	}
	return res.Body.Close()
}

// Targets hands every target change from now on to each, until ctx ends. ready
// is called when none can be missed any more.
func (c Client) Targets(ctx context.Context, ready func(), each func(alb.Event)) error {
	res, err := c.do(ctx, http.MethodGet, "/_lab/targets")
	if err != nil {
		return fmt.Errorf("following the targets: %w", err)
	}
	defer res.Body.Close()
	ready()
	for in := json.NewDecoder(res.Body); ; {
		var e alb.Event
		if err := in.Decode(&e); ctx.Err() != nil {
			return nil
		} else if errors.Is(err, io.EOF) {
			return errors.New("following the targets: the lab ended the stream, so changes are missing")
		} else if err != nil {
			return fmt.Errorf("following the targets: %w", err)
		}
		each(e)
	}
}

func (c Client) do(ctx context.Context, method, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.Base+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode >= 300 {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
		return nil, errors.Join(fmt.Errorf("%s: %s", res.Status, strings.TrimSpace(string(text))), res.Body.Close())
	}
	return res, nil
}
