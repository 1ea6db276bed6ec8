// SPDX-License-Identifier: Apache-2.0

package figure

import (
	"cmp"
	"fmt"
	"image/color"
	"maps"
	"math"
	"slices"

	"github.com/outlast-ci/outlast/lab/internal/experiment"
)

// Geometry of the loss curve, in points.
const (
	curveWidth  = 860
	curveHeight = 470
	curveLeft   = 74
	curveTop    = 84
	curveBottom = 400
	curveRight  = 830
	longestStop = 70 // seconds, on the axis
)

// Curve draws failed requests over preStop into path.svg and path.png.
func Curve(e experiment.Experiment, path string) error {
	series := map[string][]experiment.Result{}
	most := 0
	for _, r := range e.Results {
		if r.Kind == experiment.Shorter && r.Invalid == "" {
			series[r.Propagation] = append(series[r.Propagation], r)
			for _, o := range r.Rollouts {
				most = max(most, o.Failed)
			}
		}
	}
	if len(series) == 0 {
		return fmt.Errorf("drawing %s: the experiment has no loss curve", path)
	}
	step := nice(float64(most) / 6)
	top := step * math.Ceil(float64(most)*1.04/step)
	return save(path, curveWidth, curveHeight, func(c *canvas) {
		p := plot{c, max(top, 1)}
		p.axes(e, max(step, 1))
		with := []color.Color{blue, orange}
		for i, name := range slices.Sorted(maps.Keys(series)) {
			p.series(series[name], with[i%2], i)
			p.fill(curveRight-272, curveTop+8+float64(i)*20, 18, 4, with[i%2])
			p.text(curveRight-248, curveTop+14+float64(i)*20, normal, false, left, black, "nodes go on sending for "+between(name))
		}
		p.dot(curveRight-263, curveTop+50, 3, grey)
		p.text(curveRight-248, curveTop+54, normal, false, left, black, "one rollout; the line is their mean")
		p.computed(e)
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
	top float64 // of the vertical axis
}

func (p plot) px(preStop float64) float64 {
	return curveLeft + preStop*(curveRight-curveLeft)/longestStop
}

func (p plot) py(failed float64) float64 {
	return curveBottom - failed*(curveBottom-curveTop)/p.top
}

func (p plot) axes(e experiment.Experiment, step float64) {
	p.text(16, 26, large+2, true, left, black, "How long must a pod wait before it stops? Failed requests in a rollout, over preStop")
	p.text(16, 46, normal, false, left, grey, fmt.Sprintf("%.0f requests/s, %.0f %% of them take %d s; two pods are replaced, about %d requests come in a rollout; all else as outlast computes it",
		e.Rate, 100*e.SlowShare, e.SlowSeconds, typical(e)))
	for y := 0.0; y <= p.top+step/2; y += step {
		p.line(0.5, 0, pale, curveLeft, p.py(y), curveRight, p.py(y))
		p.text(curveLeft-8, p.py(y)+4, normal, false, right, black, fmt.Sprintf("%.0f", y))
	}
	for x := 0.0; x <= longestStop; x += 5 {
		p.line(0.8, 0, grey, p.px(x), curveBottom, p.px(x), curveBottom+5)
		p.text(p.px(x), curveBottom+19, normal, false, center, black, fmt.Sprintf("%.0f", x))
	}
	p.line(0.8, 0, grey, curveLeft, curveBottom, curveRight, curveBottom)
	p.text((curveLeft+curveRight)/2, curveBottom+40, normal, false, center, black, "preStop, seconds")
	p.text(16, curveTop-12, normal, false, left, black, "failed requests in a rollout")
}

// typical number of requests in a rollout of the curve.
func typical(e experiment.Experiment) int {
	var all []int
	for _, r := range e.Results {
		for _, o := range r.Rollouts {
			if r.Kind == experiment.Shorter {
				all = append(all, o.Requests)
			}
		}
	}
	slices.Sort(all)
	return int(math.Round(float64(all[len(all)/2])/100) * 100)
}

func (p plot) series(list []experiment.Result, with color.Color, nth int) {
	slices.SortFunc(list, func(a, b experiment.Result) int { return cmp.Compare(a.Timings.PreStop, b.Timings.PreStop) })
	shift := float64(nth)*5 - 2.5 // so that neither hides the other
	var xy []float64
	for _, r := range list {
		sum := 0.0
		for _, o := range r.Rollouts {
			sum += float64(o.Failed)
		}
		xy = append(xy, p.px(float64(r.Timings.PreStop))+shift, p.py(sum/float64(max(1, len(r.Rollouts)))))
	}
	p.line(2, 0, with, xy...)
	for _, r := range list {
		for _, o := range r.Rollouts {
			p.dot(p.px(float64(r.Timings.PreStop))+shift, p.py(float64(o.Failed)), 3, with)
		}
	}
}

// computed marks what outlast would write.
func (p plot) computed(e experiment.Experiment) {
	d, ok := e.Of("d")
	if !ok {
		return
	}
	x := p.px(float64(d.Timings.PreStop))
	p.line(1.4, 4, green, x, curveTop+64, x, curveBottom)
	p.text(x-8, curveTop+84, normal, true, right, green, fmt.Sprintf("outlast render: preStop %d s", d.Timings.PreStop))
	failed, n := 0, 0
	for _, name := range []string{"d", "d30"} {
		if r, ok := e.Of(name); ok && r.Invalid == "" {
			failed, n = failed+r.Failed, n+len(r.Rollouts)
		}
	}
	p.text(x-8, curveTop+101, normal, false, right, green, fmt.Sprintf("%d failed in %d rollouts", failed, n))
}
