// SPDX-License-Identifier: Apache-2.0

package output

import (
	"fmt"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/core"
	"github.com/outlast-ci/outlast/core/gate"
)

// Measures of the picture, in pixels.
const (
	svgWidth  = 960
	svgLeft   = 220
	svgRow    = 34
	svgHeader = 60
)

// phase is one coloured piece of a pod's bar.
type phase struct {
	from, to time.Time
	color    string
}

// timeline draws each pod's life and that of its target, over the time of the
// gate. A run without a gate has an empty picture that says so.
// Of several clusters it is that of the last one that was begun.
func timeline(r core.Report) string {
	title := or(r.Run.Environment, r.Run.Cluster)
	for _, one := range r.Clusters {
		if one.Gate != nil {
			r, title = one, or(one.Run.Environment, "cluster")+", "+one.Run.Where()
		}
	}
	if r.Gate == nil || len(r.Gate.Workloads) == 0 {
		return `<svg xmlns="http://www.w3.org/2000/svg" width="420" height="40"><text x="10" y="25" font-family="sans-serif" font-size="13">the gate did not run: there is no timeline</text></svg>` + "\n"
	}
	g := *r.Gate
	var rows []gate.PodTimeline
	for _, w := range g.Workloads {
		rows = append(rows, w.Pods...)
	}
	total := max(g.Finished.Sub(g.Started), time.Second)
	x := func(t time.Time) float64 {
		part := float64(t.Sub(g.Started)) / float64(total)
		return svgLeft + min(1, max(0, part))*(svgWidth-svgLeft-20)
	}
	height := svgHeader + len(rows)*svgRow + 40
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", svgWidth, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/><text x="12" y="22" font-size="15">%s to %s: %s in %s</text>`+"\n",
		svgWidth, height, escape(r.Run.App), escape(title), r.Result, total.Round(time.Second))
	legend(&b)
	step := tick(total)
	for at := time.Duration(0); at <= total; at += step {
		px := x(g.Started.Add(at))
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle" fill="#666">%s</text>`+"\n",
			px, px, svgHeader-6, height-28, px, height-12, at)
	}
	for i, p := range rows {
		drawRow(&b, svgHeader+i*svgRow, p, g, x)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func legend(b *strings.Builder) {
	at := svgLeft
	for _, item := range [][2]string{{"pod: starting", "#c9d6e8"}, {"ready", "#4a7ebb"}, {"terminating", "#e8a33d"}, {"target: registered", "#d8d8d8"}, {"healthy", "#4aa564"}, {"draining", "#d9534f"}} {
		fmt.Fprintf(b, `<rect x="%d" y="34" width="11" height="11" fill="%s"/><text x="%d" y="44" fill="#444">%s</text>`+"\n", at, item[1], at+15, item[0])
		at += 26 + 7*len(item[0])
	}
}

func drawRow(b *strings.Builder, y int, p gate.PodTimeline, g gate.Result, x func(time.Time) float64) {
	name := or(p.Name, p.UID)
	kind := "old"
	if p.New {
		kind = "new"
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s <tspan fill="#888">%s</tspan></text>`+"\n", svgLeft-10, y+17, escape(name), kind)
	end := func(times ...time.Time) time.Time {
		for _, t := range times {
			if !t.IsZero() {
				return t
			}
		}
		return g.Finished
	}
	pieces := func(top int, phases []phase) {
		for _, ph := range phases {
			if from, to := x(ph.from), x(ph.to); !ph.from.IsZero() && to > from {
				fmt.Fprintf(b, `<rect x="%.1f" y="%d" width="%.1f" height="11" fill="%s"/>`+"\n", from, top, to-from, ph.color)
			}
		}
	}
	gone := end(p.Ended, p.Gone)
	pieces(y+2, []phase{
		{p.Created, end(p.Ready, p.Deleted, p.Gone), "#c9d6e8"},
		{p.Ready, end(p.Deleted, p.Gone), "#4a7ebb"},
		{p.Deleted, gone, "#e8a33d"},
	})
	pieces(y+15, []phase{
		{p.Registered, end(p.Healthy, p.Draining, p.Drained), "#d8d8d8"},
		{p.Healthy, end(p.Draining, p.Drained), "#4aa564"},
		{p.Draining, end(p.Drained), "#d9534f"},
	})
}

// tick chooses the distance of the grid lines: about eight of them.
func tick(total time.Duration) time.Duration {
	for _, step := range []time.Duration{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800} {
		if total/(step*time.Second) <= 8 {
			return step * time.Second
		}
	}
	return time.Hour
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(printable(s))
}
