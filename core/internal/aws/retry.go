// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
)

// patience says how often a request is tried, by what is wrong with it.
type patience struct {
	throttled int // the API refuses its rate
	broken    int // connections and servers that fail
}

// Two kinds of patience.
var (
	// lasting outlives 60 s of throttling: its pauses sum up to 65 s at least.
	lasting = patience{throttled: 18, broken: 8}
	// polling leaves throttling to the caller, who asks again anyway and knows when.
	polling = patience{throttled: 1, broken: 3}
)

// longestPause is that between two tries.
const longestPause = 10 * time.Second

// retryer makes one. Every option is given: the SDK's own differ with its versions and
// with AWS_NEW_RETRIES_2026, and give up after a few seconds of throttling. There is no
// quota of retries, either: callers have deadlines.
func (p patience) retryer() awssdk.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff = max(p.throttled, p.broken), longestPause
		o.Backoff = retry.BackoffDelayerFunc(p.pause)
		o.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(p.retryable)}, retry.DefaultRetryables...)
		o.Throttles = []retry.IsErrorThrottle{retry.IsErrorThrottleFunc(func(err error) awssdk.Ternary { return awssdk.BoolTernary(throttled(err)) })}
		o.RateLimiter = ratelimit.None
		o.RetryCost, o.ThrottlingRetryCost, o.NoRetryIncrement = 0, 0, 0
		o.BaseDelay = time.Second
	})
}

// retryable says yes or no to throttling; all else is the SDK's to say.
func (p patience) retryable(err error) awssdk.Ternary {
	if !throttled(err) {
		return awssdk.UnknownTernary
	}
	return awssdk.BoolTernary(p.throttled > 1)
}

// pause doubles from a second on, with half of it left to chance, and ends the tries of
// what is broken. The SDK counts tries from 1, or from 0 with AWS_NEW_RETRIES_2026.
func (p patience) pause(attempt int, err error) (time.Duration, error) {
	if !throttled(err) && attempt >= p.broken {
		return 0, err
	}
	longest := min(longestPause, time.Second<<min(max(attempt-1, 0), 5))
	return longest/2 + time.Duration(rand.Int64N(int64(longest/2)+1)), nil
}

// throttled tells an answer to too many calls from others. Some APIs say so in the words
// of a validation error only (github.com/spinnaker/clouddriver/pull/1187).
func throttled(err error) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	if _, ok := retry.DefaultThrottleErrorCodes[api.ErrorCode()]; ok {
		return true
	}
	said := strings.ToLower(api.ErrorMessage())
	for _, words := range []string{"rate exceeded", "request limit exceeded", "too many requests", "throttl"} {
		if strings.Contains(said, words) {
			return true
		}
	}
	return false
}
