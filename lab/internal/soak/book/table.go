// SPDX-License-Identifier: Apache-2.0

package book

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Asked is what is asked of a kind of trial.
type Asked struct {
	Kind   string
	Bar    string // in words
	Trials int
}

// Row is what came of it.
type Row struct {
	Asked
	Passed   int
	Failed   int
	Requests int
	Lost     int     // requests that failed
	Mean     float64 // seconds of a deploy
	Void     int     // trials that were made again since they tell nothing
	Again    int     // failed ones that were made again later
}

// Holds tells whether the bar is met: every trial was made, and passed.
func (r Row) Holds() bool { return r.Failed == 0 && r.Passed >= r.Trials && r.Trials > 0 }

// Rows sums records up.
func Rows(asked []Asked, all []Record) []Row {
	counted := Last(all)
	var rows []Row
	for _, a := range asked {
		row := Row{Asked: a}
		for _, id := range slices.Sorted(maps.Keys(counted)) {
			if r := counted[id]; r.Kind == a.Kind {
				row.add(r)
			}
		}
		for _, r := range all {
			if r.Kind == a.Kind && r.Verdict == Void {
				row.Void++
			} else if r.Kind == a.Kind {
				row.Again++
			}
		}
		if n := row.Passed + row.Failed; n > 0 {
			row.Mean /= float64(n)
			row.Again -= n
		}
		rows = append(rows, row)
	}
	return rows
}

func (r *Row) add(rec Record) {
	if rec.Verdict == Passed {
		r.Passed++
	} else {
		r.Failed++
	}
	r.Requests += rec.Requests
	r.Lost += rec.Failed
	r.Mean += rec.Seconds
}

// Table prints the rows, and what failed.
func Table(w io.Writer, rows []Row, all []Record) {
	fmt.Fprintln(w, "| kind | asked | trials | passed | requests | failed requests | seconds, mean | made again | bar |")
	fmt.Fprintln(w, "|---|---|---:|---:|---:|---:|---:|---:|---|")
	sum := Row{}
	for _, r := range rows {
		bar := "**not met**"
		if r.Holds() {
			bar = "met"
		}
		fmt.Fprintf(w, "| %s | %s | %d | %d | %s | %s | %.0f | %d | %s |\n", r.Kind, r.Bar, r.Trials, r.Passed, thousands(r.Requests), thousands(r.Lost), r.Mean, r.Void+r.Again, bar)
		sum.Trials, sum.Passed, sum.Requests, sum.Lost, sum.Void, sum.Again = sum.Trials+r.Trials, sum.Passed+r.Passed, sum.Requests+r.Requests, sum.Lost+r.Lost, sum.Void+r.Void, sum.Again+r.Again
	}
	fmt.Fprintf(w, "| all | | %d | %d | %s | %s | | %d | |\n", sum.Trials, sum.Passed, thousands(sum.Requests), thousands(sum.Lost), sum.Void+sum.Again)
	counted := Last(all)
	for _, r := range all {
		if r.Verdict != Failed {
			continue
		}
		note := ""
		if newest := counted[r.ID]; newest.Try != r.Try {
			note = fmt.Sprintf(" (made again with %s: %s)", newest.Outlast, newest.Verdict)
		}
		fmt.Fprintf(w, "\n- %s, try %d, with %s: %s%s\n", r.ID, r.Try, r.Outlast, strings.Join(r.Why, "; "), note)
	}
}

// thousands groups digits by three.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
