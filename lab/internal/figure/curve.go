// SPDX-License-Identifier: Apache-2.0

package figure

import (
	"cmp"
	"fmt"
	"image/color"
	"maps"
	"math"
	"slices"

	"github.com/outlast-ci/outlast/lab/internal/alb/watch"
	"github.com/outlast-ci/outlast/lab/internal/experiment"
	"github.com/outlast-ci/outlast/lab/internal/experiment/plan"
)

// Geometry of a loss curve, in points.
const (
	curveWidth  = 860
	curveHeight = 470
	curveLeft   = 74
	curveTop    = 84
	curveBottom = 400
	curveRight  = 830
)

// curve is what a loss is drawn over.
type curve struct {
	kind    plan.Kind
	what    string // the timing, in words
	title   string
	rest    string                 // what the other timings are
	of      func(plan.Timings) int // seconds
	beyond  int                    // the slowest node's propagation, in seconds, where the formulas end the loss
	longest float64                // on the axis, in seconds
	marks   []mark
}

// mark is a value that outlast writes, with the settings that had it.
type mark struct {
	words    string
	settings []string
}

// Curve draws failed requests over preStop into path.svg and path.png.
func Curve(e experiment.Experiment, path string) error {
	return curve{
		kind: plan.Shorter, what: "preStop", title: "How long must a pod wait before it stops? Failed requests in a rollout, over preStop", rest: "all else as outlast computes it",
		of: func(t plan.Timings) int { return t.PreStop }, longest: 70, marks: []mark{{"outlast render", []string{"d", "d30"}}, {"fast mode", []string{"dfast"}}},
	}.draw(e, path)
}

// DelayCurve draws failed requests over the deregistration delay into path.svg and path.png.
func DelayCurve(e experiment.Experiment, path string) error {
	return curve{
		kind: plan.Delayed, what: "deregistration delay", title: "How long must a balancer wait for answers? Failed requests in a rollout, over the deregistration delay",
		rest: "preStop and all else as outlast computes it in fast mode", beyond: e.SlowSeconds,
		of: func(t plan.Timings) int { return t.DeregistrationDelay }, longest: 50, marks: []mark{{"outlast render", []string{"d", "d30", "dfast"}}},
	}.draw(e, path)
}

func (k curve) draw(e experiment.Experiment, path string) error {
	series := map[string][]experiment.Result{}
	most := 0
	for _, r := range e.Results {
		if r.Kind == k.kind && r.Invalid == "" {
			series[r.Propagation] = append(series[r.Propagation], r)
			for _, o := range r.Rollouts {
				most = max(most, o.Failed)
			}
		}
	}
	if len(series) == 0 {
		return fmt.Errorf("drawing %s: the experiment has no loss curve over the %s", path, k.what)
	}
	step := nice(float64(most) / 6)
	top := step * math.Ceil(float64(most)*1.04/step)
	return save(path, curveWidth, curveHeight, func(c *canvas) {
		p := plot{c, k, max(top, 1)}
		p.axes(e, max(step, 1))
		with := []color.Color{blue, orange}
		for i, name := range slices.Sorted(maps.Keys(series)) {
			p.ends(name, with[i%2], i)
			p.series(series[name], with[i%2], i)
			p.fill(curveRight-272, curveTop+8+float64(i)*20, 18, 4, with[i%2])
			p.text(curveRight-248, curveTop+14+float64(i)*20, normal, false, left, black, "nodes go on sending for "+between(name))
		}
		p.dot(curveRight-263, curveTop+50, 3, grey)
		p.text(curveRight-248, curveTop+54, normal, false, left, black, "one rollout; the line is their mean")
		for i, m := range k.marks {
			p.mark(e, m, curveTop+84+float64(i)*44)
		}
	})
}

// nice is the next of 1, 2, 5, 10, 20, 50 …
func nice(n float64) float64 {
	if n <= 0 {
		return 1
	}
	ten := math.Pow(10, math.Floor(math.Log10(n)))
	for _, f := range []float64{1, 2, 5, 10} {
		if n <= f*ten {
			return f * ten
		}
	}
	return 10 * ten
}

type plot struct {
	*canvas
	curve
	top float64 // of the vertical axis
}

func (p plot) px(seconds float64) float64 {
	return curveLeft + seconds*(curveRight-curveLeft)/p.longest
}

func (p plot) py(failed float64) float64 {
	return curveBottom - failed*(curveBottom-curveTop)/p.top
}

func (p plot) axes(e experiment.Experiment, step float64) {
	p.text(16, 26, large+2, true, left, black, p.title)
	p.text(16, 46, normal, false, left, grey, fmt.Sprintf("%.0f requests/s, %.0f %% of them take %d s; two pods are replaced, about %d requests come in a rollout; %s",
		e.Rate, 100*e.SlowShare, e.SlowSeconds, p.typical(e), p.rest))
	for y := 0.0; y <= p.top+step/2; y += step {
		p.line(0.5, 0, pale, curveLeft, p.py(y), curveRight, p.py(y))
		p.text(curveLeft-8, p.py(y)+4, normal, false, right, black, fmt.Sprintf("%.0f", y))
	}
	for x := 0.0; x <= p.longest; x += 5 {
		p.line(0.8, 0, grey, p.px(x), curveBottom, p.px(x), curveBottom+5)
		p.text(p.px(x), curveBottom+19, normal, false, center, black, fmt.Sprintf("%.0f", x))
	}
	p.line(0.8, 0, grey, curveLeft, curveBottom, curveRight, curveBottom)
	p.text((curveLeft+curveRight)/2, curveBottom+40, normal, false, center, black, p.what+", seconds")
	p.text(16, curveTop-12, normal, false, left, black, "failed requests in a rollout")
}

// typical number of requests in a rollout of the curve.
func (p plot) typical(e experiment.Experiment) int {
	var all []int
	for _, r := range e.Results {
		for _, o := range r.Rollouts {
			if r.Kind == p.kind {
				all = append(all, o.Requests)
			}
		}
	}
	slices.Sort(all)
	return int(math.Round(float64(all[len(all)/2])/100) * 100)
}

func (p plot) series(list []experiment.Result, with color.Color, nth int) {
	slices.SortFunc(list, func(a, b experiment.Result) int { return cmp.Compare(p.of(a.Timings), p.of(b.Timings)) })
	shift := float64(nth)*5 - 2.5 // so that neither hides the other
	var xy []float64
	for _, r := range list {
		sum := 0.0
		for _, o := range r.Rollouts {
			sum += float64(o.Failed)
		}
		xy = append(xy, p.px(float64(p.of(r.Timings)))+shift, p.py(sum/float64(max(1, len(r.Rollouts)))))
	}
	p.line(2, 0, with, xy...)
	for _, r := range list {
		for _, o := range r.Rollouts {
			p.dot(p.px(float64(p.of(r.Timings)))+shift, p.py(float64(o.Failed)), 3, with)
		}
	}
}

// ends marks on the axis where the formulas end the loss of a series.
func (p plot) ends(propagation string, with color.Color, nth int) {
	d, err := watch.ParseRange(propagation)
	if err != nil {
		return // nobody ran it
	}
	x := d.Max.Seconds() + float64(p.beyond)
	words := fmt.Sprintf("P = %.0f s", x)
	if p.beyond > 0 {
		words = fmt.Sprintf("P + R = %.0f s", x)
	}
	y := float64(curveBottom-74) + float64(nth)*20
	p.line(1, 2, with, p.px(x), y, p.px(x), curveBottom)
	p.text(p.px(x)+5, y+9, small, false, left, with, words)
}

// mark draws a value that outlast writes, and what came of it.
func (p plot) mark(e experiment.Experiment, m mark, y float64) {
	failed, n, at := 0, 0, plan.Unwritten
	for _, name := range m.settings {
		if r, ok := e.Of(name); ok && r.Invalid == "" {
			failed, n, at = failed+r.Failed, n+len(r.Rollouts), p.of(r.Timings)
		}
	}
	if at == plan.Unwritten {
		return
	}
	x := p.px(float64(at))
	p.line(1.4, 4, green, x, y-20, x, curveBottom)
	p.text(x-8, y, normal, true, right, green, fmt.Sprintf("%s: %s %d s", m.words, p.what, at))
	p.text(x-8, y+17, normal, false, right, green, fmt.Sprintf("%d failed in %d rollouts", failed, n))
}
