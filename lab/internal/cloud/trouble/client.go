// SPDX-License-Identifier: Apache-2.0

package trouble

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Client asks the Control at Base, such as http://127.0.0.1:1234.
type Client struct{ Base string }

// Order orders a fault, and returns it with its ID.
func (c Client) Order(ctx context.Context, f Fault) (Fault, error) {
	err := c.Ask(ctx, http.MethodPost, "faults", f, &f)
	return f, err
}

// End forgets the fault with that ID, and returns how many calls it hit.
func (c Client) End(ctx context.Context, id int) (hits int, err error) {
	var all []Fault
	if err := c.Ask(ctx, http.MethodGet, "faults", nil, &all); err != nil {
		return 0, err
	}
	for _, f := range all {
		if f.ID == id {
			hits = f.Hits
		}
	}
	return hits, c.Ask(ctx, http.MethodDelete, fmt.Sprintf("faults/%d", id), nil, nil)
}

// Ask sends a request for a path of Control with an optional JSON body, and
// reads the answer into one. What Control refuses is an error in its words.
func (c Client) Ask(ctx context.Context, method, path string, body, into any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.Base+"/_lab/"+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("asking the lab's AWS: %w; is it up? see lab status", err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		return errors.New(strings.TrimSpace(string(answer)))
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}
