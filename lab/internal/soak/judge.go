// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"fmt"

	"github.com/outlast-ci/outlast/lab/internal/soak/book"
)

// Seen is what is known after a trial, besides its record.
type Seen struct {
	Answers string   // the version that the balancer answers with
	Want    string   // the one it should
	Pods    []string // release of each pod, with "leaving" after it when it is deleted
	Release string   // the one they should have
	Tool    error    // outlast could not be run or looked at
	Early   bool     // the deploy was over before what was to happen to it
}

// More lag than this, and the generator may be what failed.
const (
	mostLate = 0.1  // of the requests, more than 50 ms
	mostLag  = 2.0  // seconds
	leastOf  = 0.97 // of the rate that was asked for
)

// judge says what a trial was worth. A generator that was late makes it void, but
// never when requests failed: those are looked into.
func judge(k Kind, r book.Record, s Seen, rate float64) (book.Verdict, []string) {
	if s.Tool != nil {
		return book.Failed, []string{s.Tool.Error()}
	}
	if s.Early && r.Failed == 0 {
		return book.Void, []string{"the deploy was over before what was to happen to it"}
	}
	if why := lame(r, rate); why != "" && (r.Failed == 0 || k.Losing) {
		return book.Void, []string{why}
	}
	var why []string
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			why = append(why, fmt.Sprintf(format, args...))
		}
	}
	add(r.Exit != k.Exit, "exit %d, want %d", r.Exit, k.Exit)
	add(r.Reason != k.Reason, "reason %q, want %q", r.Reason, k.Reason)
	add(r.Failed > 0 && !k.Losing, "%d requests failed", r.Failed)
	add(r.Failed == 0 && k.Losing, "no request failed: the trials beside this one could not see a loss")
	if why = append(why, standing(r.Exit, s)...); len(why) > 0 {
		return book.Failed, why
	}
	return book.Passed, nil
}

// standing says what is wrong with the application as a trial left it. After a deploy
// that passed no other pod is there; a failed one's may still be leaving.
func standing(exit int, s Seen) (why []string) {
	if s.Answers != s.Want {
		why = append(why, fmt.Sprintf("the balancer answers with %q, want %q", s.Answers, s.Want))
	}
	staying := 0
	for _, release := range s.Pods {
		if release == s.Release {
			staying++
		} else if exit == 0 {
			why = append(why, fmt.Sprintf("a pod of release %s is there", release))
		}
	}
	if staying != replicas {
		why = append(why, fmt.Sprintf("%d pods of release %s are there, want %d", staying, s.Release, replicas))
	}
	return why
}

// lame says why the load was not what was asked for.
func lame(r book.Record, rate float64) string {
	switch {
	case r.Requests == 0:
		return "no request was sent"
	case r.Missed > 0:
		return fmt.Sprintf("%d requests were not sent, since too many were in flight", r.Missed)
	case r.Rate < leastOf*rate:
		return fmt.Sprintf("%.0f requests a second were sent, not %.0f", r.Rate, rate)
	case float64(r.Late) > mostLate*float64(r.Requests):
		return fmt.Sprintf("%d of %d requests were sent more than 50 ms late: the machine was too busy", r.Late, r.Requests)
	case r.MaxLag > mostLag:
		return fmt.Sprintf("a request was sent %.1f s late: the machine was too busy", r.MaxLag)
	}
	return ""
}
