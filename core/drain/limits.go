// SPDX-License-Identifier: Apache-2.0

package drain

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/outlast-ci/outlast/core/drain/internal/symbols"
)

const maxGroups = 1_000

func oneOf[T ~string](what string, v T, words ...T) error {
	if slices.Contains(words, v) {
		return nil
	}
	return fmt.Errorf("%s %q is none of %v", what, v, words)
}

// validate refuses what the arithmetic is not made for; given are timings that
// are judged.
func (in Inputs) validate(given ...Seconds) error {
	total, err := in.symbols().Check()
	if err != nil {
		return err
	}
	if err := symbols.Within("the number of target groups", len(in.Groups), maxGroups); err != nil {
		return err
	}
	for _, g := range append(slices.Clone(in.Groups), Group{Delay: in.Delay}) {
		longest, err := g.symbols().Check()
		if err = cmp.Or(err, oneOf("balancer", cmp.Or(g.Balancer, in.Balancer), ALB, NLB, Instance)); err != nil {
			return fmt.Errorf("target group %s: %w", g.Name, err)
		}
		if g.Delay != nil {
			given = append(given, *g.Delay)
		}
		total += longest
	}
	given = append(given, in.Floor.DeregistrationDelay, in.Floor.PreStop, in.Floor.GracePeriod, in.LongerHook, in.MinReady, in.ProgressDeadline, in.GateTimeout)
	if in.Running != nil {
		given = append(given, in.Running.DeregistrationDelay, in.Running.PreStop, in.Running.GracePeriod)
	}
	for _, s := range given {
		if err := symbols.Within("a given timing", s, Seconds(symbols.MaxDuration/time.Second)); err != nil {
			return err
		}
		total += s.Duration()
	}
	// The longest sum that is multiplied by the replicas has each time at most 8 times.
	if limit := time.Duration(math.MaxInt64/8) / time.Duration(max(1, in.Replicas)); total+time.Hour > limit {
		return fmt.Errorf("times of %s in all, for N = %d pods, are more than can be added up", total, in.Replicas)
	}
	return cmp.Or(oneOf("mode", in.Mode, Auto, Strict, Fast), oneOf("application", in.App, Abrupt, Graceful), oneOf("timeout order", in.Order, NoOrder, AppFirst, BalancerFirst))
}
