// SPDX-License-Identifier: Apache-2.0

package figure

import (
	"fmt"
	"image/color"
	"strings"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/experiment"
	"github.com/outlast-ci/outlast/lab/internal/experiment/observe"
)

// Geometry of the picture of the rollouts, in points.
const (
	panelWidth  = 560
	panelHeight = 262
	margin      = 14
	labelWidth  = 78
	podHeight   = 26
	barsHeight  = 82
	legendTop   = 58
	span        = 100 // seconds
	before      = 3
)

// causes of failures from the bottom up, with what the legend calls them.
var causes = []struct {
	key  string
	with color.Color
	name string
}{
	{"502 connect-reset", red, "502: process gone (connection refused)"},
	{"504 connect-timeout", violet, "504: address gone (10 s without an answer)"},
	{"502 delay-expired", amber, "502: cut, delay over"},
	{"503 no-target", orange, "503: no target"},
	{"", black, "other failures"},
}

// Rollouts draws the first rollout of each setting that is not one of the loss
// curve's into path.svg and path.png.
func Rollouts(e experiment.Experiment, path string) error {
	var shown []experiment.Result
	for _, name := range []string{"a", "b", "c", "d", "c30", "d30", "c15", "dfast", "dover", "nomin"} {
		if r, ok := e.Of(name); ok && len(r.Rollouts) > 0 && r.Invalid == "" {
			shown = append(shown, r)
		}
	}
	if len(shown) == 0 {
		return fmt.Errorf("drawing %s: the experiment has no valid setting to show", path)
	}
	rows := (len(shown) + 1) / 2
	width, height := float64(2*panelWidth+3*margin), float64(legendTop+60+rows*(panelHeight+margin)+margin)
	return save(path, width, height, func(c *canvas) {
		c.text(margin, 24, large+2, true, left, black, "One rolling update of two pods behind a load balancer, with different drain timings")
		c.text(margin, 44, normal, false, left, grey, fmt.Sprintf("%.0f requests/s to each application, %.0f %% of them take %d s; real pods, kubelet and load balancer controller, the lab's model of the balancer", e.Rate, 100*e.SlowShare, e.SlowSeconds))
		legend(c, margin, legendTop)
		for i, r := range shown {
			x, y := margin+float64(i%2)*(panelWidth+margin), legendTop+60+float64(i/2)*(panelHeight+margin)
			panel{c, x, y, r, e}.draw()
		}
	})
}

// legend explains the bars.
func legend(c *canvas, x, y float64) {
	row := func(y float64, items []key) {
		at := x
		for _, k := range items {
			h := 9.0
			if k.thin {
				h = 4
			}
			c.fill(at, y-4-h/2, 18, h, k.with)
			at += 24
			at += c.text(at, y, small, false, left, black, k.name) + 22
		}
	}
	row(y+14, []key{{pale, "pod starting", false}, {blue, "pod ready", false}, {sky, "pod terminating (preStop, then finishing)", false},
		{grey, "target initial", true}, {green, "target healthy", true}, {amber, "target draining", true}})
	c.line(1.6, 0, black, x+6, y+24, x+6, y+36)
	w := c.text(x+24, y+34, small, false, left, black, "last request that the balancer sent to a pod")
	at := x + 24 + w + 22
	for _, k := range causes {
		c.fill(at, y+25, 18, 10, k.with)
		at += 24
		at += c.text(at, y+34, small, false, left, black, k.name) + 22
	}
}

type key struct {
	with color.Color
	name string
	thin bool
}

// panel is one setting.
type panel struct {
	*canvas
	x, y   float64
	result experiment.Result
	of     experiment.Experiment
}

func (p panel) px(seconds float64) float64 {
	return p.x + labelWidth + (seconds+before)*(panelWidth-labelWidth-margin)/(span+before)
}

// since the rollout began, within the picture.
func (p panel) since(at time.Time) float64 {
	return min(span, max(-before, at.Sub(p.result.Rollouts[0].Started).Seconds()))
}

// end of the rollout: soon after it, the next one began.
func (p panel) end() float64 { return p.since(p.result.Rollouts[0].Ended) }

func (p panel) draw() {
	o := p.result.Rollouts[0]
	t := p.result.Timings
	title := p.result.Title
	if t.PreStop >= 0 && !strings.Contains(title, t.String()) {
		title += ", " + t.String()
	}
	p.text(p.x, p.y+14, large, true, left, black, title)
	verdict, with := fmt.Sprintf("%d of %d requests failed", o.Failed, o.Requests), color.Color(red)
	if o.Failed == 0 {
		verdict, with = fmt.Sprintf("none of %d requests failed", o.Requests), green
	}
	p.text(p.x+panelWidth-margin, p.y+14, large, true, right, with, verdict)
	p.text(p.x, p.y+30, small, false, left, grey, fmt.Sprintf("nodes of the balancer go on sending for %s; at least %d healthy targets of %d",
		between(p.result.Propagation), o.MinHealthy, p.of.Replicas))
	top, base := p.y+40, p.y+40+4*podHeight
	bottom := base + 8 + barsHeight
	for s := 0.0; s <= span; s += 10 {
		p.line(0.5, 0, faint, p.px(s), top, p.px(s), bottom)
		p.text(p.px(s), bottom+13, small, false, center, grey, fmt.Sprintf("%.0f", s))
	}
	p.text(p.px(span/2), bottom+27, small, false, center, grey, "seconds since the rollout began")
	olds, news := 0, 0
	for i, s := range o.Pods {
		name := ""
		if s.New {
			news++
			name = fmt.Sprintf("new pod %d", news)
		} else {
			olds++
			name = fmt.Sprintf("old pod %d", olds)
		}
		if i < 4 {
			p.pod(top+float64(i)*podHeight, name, s)
		}
	}
	p.bars(o.Seconds, base+8, bottom)
	if p.end() < span {
		p.line(0.8, 2, grey, p.px(p.end()), top, p.px(p.end()), bottom)
		p.text(p.px(p.end())+5, bottom-barsHeight/2, small, false, left, grey, "over")
	}
}

// between is a range of seconds in words.
func between(propagation string) string {
	return strings.Replace(strings.ReplaceAll(propagation, "s", ""), "-", " to ", 1) + " s"
}

// pod draws the life of a pod, and below it that of its target.
func (p panel) pod(y float64, name string, s observe.Story) {
	p.text(p.px(-before)-6, y+15, small, false, right, black, name)
	bar := func(from, to time.Time, dy, h float64, with color.Color) {
		if from.IsZero() {
			return
		}
		end := p.end()
		if !to.IsZero() {
			end = p.since(to)
		}
		p.fill(p.px(p.since(from)), y+dy, p.px(end)-p.px(p.since(from)), h, with)
	}
	bar(s.Created, first(s.Ready, s.Deleted, s.Exited), 3, 10, pale)
	bar(s.Ready, first(s.Deleted, s.Exited), 3, 10, blue)
	bar(s.Deleted, s.Exited, 3, 10, sky)
	bar(s.Created, first(s.Healthy, s.Draining, s.Unused), 15, 4, grey)
	bar(s.Healthy, first(s.Draining, s.Unused), 15, 4, green)
	bar(s.Draining, s.Unused, 15, 4, amber) // it may last longer than the rollout
	if !s.LastRequest.IsZero() && !s.New {
		x := p.px(p.since(s.LastRequest))
		p.line(1.6, 0, black, x, y+1, x, y+21)
	}
}

// first of the times that are known.
func first(times ...time.Time) time.Time {
	var least time.Time
	for _, t := range times {
		if !t.IsZero() && (least.IsZero() || t.Before(least)) {
			least = t
		}
	}
	return least
}

// bars draws the requests of each second, and on top of nothing those that failed.
func (p panel) bars(seconds []observe.Second, top, bottom float64) {
	most := p.of.Rate * 1.1
	scale := (bottom - top) / most
	p.line(0.8, 0, grey, p.px(-before), bottom, p.px(span), bottom)
	p.text(p.px(-before)-6, top+34, small, false, right, black, "requests/s,")
	p.text(p.px(-before)-6, top+47, small, false, right, red, "failed")
	wide := p.px(1) - p.px(0)
	for _, s := range seconds {
		if float64(s.At) >= p.end()-0.5 {
			break
		}
		x := p.px(float64(s.At))
		all := min(float64(s.Requests), most) * scale // after a stall more come than there is room for
		p.fill(x, bottom-all, wide, all, faint)
		left, at := s.Failed, bottom
		rest := 0
		for _, n := range left {
			rest += n
		}
		for _, k := range causes {
			n := left[k.key]
			if k.key == "" {
				n = rest
			}
			rest -= n
			p.fill(x, at-float64(n)*scale, wide, float64(n)*scale, k.with)
			at -= float64(n) * scale
		}
	}
	p.line(0.5, 0, pale, p.px(-before), bottom-p.of.Rate*scale, p.px(span), bottom-p.of.Rate*scale)
	p.text(p.px(-before)-6, bottom-p.of.Rate*scale+3, small, false, right, grey, fmt.Sprintf("%.0f", p.of.Rate))
	p.text(p.px(-before)-6, bottom, small, false, right, grey, "0")
}
