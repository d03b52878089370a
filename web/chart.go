package web

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"slices"
	"strings"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
)

// Size of a course's picture in pixels. It is as wide as its surroundings:
// horizontal places are percentages, so that letters and strokes keep their
// size on a phone.
const (
	chartHeight = 170.0
	chartWidth  = 1000.0 // units of the stretched part
	chartPoints = 400
)

// course draws the share of an indicator over time against what was expected
// of it, with the upgrade's window, the onset and the flips of flags. It is ""
// where there is too little to draw.
func course(u detector.Upgrade, v detector.Verdict, marks []mark) template.HTML {
	points := slices.Clone(v.Course)
	slices.SortStableFunc(points, func(a, b detector.CoursePoint) int { return a.Time.Compare(b.Time) })
	points = points[max(0, len(points)-chartPoints):]
	if len(points) < 2 || !points[len(points)-1].Time.After(points[0].Time) {
		return ""
	}
	what := words.Unit(v)
	c := newChart(points, what, words.Logarithmic(v.Indicator, what))
	if v.Effect != nil {
		c.include(v.Effect.Before)
	}
	for _, m := range marks {
		// A flip made just now is to be seen before the next block is counted.
		if late := m.At.Sub(c.to); late > 0 && late < c.to.Sub(c.from)/10 {
			c.to = m.At
		}
	}
	over := words.Range(c.from, c.to)
	c.put(`<svg class="chart" width="100%%" height="%.0f" role="img" aria-label="%s">`, chartHeight+24,
		esc(fmt.Sprintf("Course of %s, %s, %s, %s: %s", words.Indicator(v.Indicator), words.Name(what), over, words.Axis(v.Indicator, what), c.told(v))))
	c.window(u)
	c.ticks()
	c.curves()
	if e := v.Effect; e != nil && e.Before >= c.low && e.Before <= c.high {
		c.put(`<line class="level" x1="0" x2="100%%" y1="%.1f" y2="%[1]f"><title>before: %[2]s</title></line>`, c.y(e.Before), esc(words.Value(what, e.Before)))
	}
	if o := v.Onset; o != nil {
		if !o.Earliest.After(c.to) && !o.Latest.Before(c.from) {
			c.put(`<rect class="onset-interval" x="%s" y="%.0f" width="%.2f%%" height="6"><title>onset: %s</title></rect>`,
				c.x(o.Earliest), chartHeight-6, 100*max(c.part(o.Latest)-c.part(o.Earliest), 0.004), esc(words.Onset(*o)))
		}
		c.upright("onset", o.At, "onset: "+words.Onset(*o))
	}
	for _, m := range marks {
		if c.holds(m.At) {
			c.upright("flip", m.At, words.Time(m.At)+" "+m.Text)
			c.put(`<circle class="badge" cx="%s" cy="9" r="9"/><text class="number" text-anchor="middle" x="%[1]s" y="13">%d</text>`, c.x(m.At), m.Number)
		}
	}
	c.last(marks)
	c.put(`</svg>`)
	return template.HTML(c.b.String()) //nolint:gosec // every text in it went through esc
}

// latest is the last point that counted anything.
func latest(points []detector.CoursePoint) (p detector.CoursePoint, ok bool) {
	for _, q := range points {
		if !math.IsNaN(share(q)) && !q.Time.Before(p.Time) {
			p, ok = q, true
		}
	}
	return p, ok
}

// last marks the last point with its figure.
func (c *chart) last(marks []mark) {
	p, ok := latest(c.points)
	if !ok {
		return
	}
	v := share(p)
	y := c.y(v)
	c.put(`<circle class="now" cx="%s" cy="%.1f" r="4"><title>%s: %s</title></circle>`, c.x(p.Time), y, esc(words.Time(p.Time)), esc(words.Value(c.what, v)))
	// The figure stands above its point, unless there is no room or a badge is there.
	top := y - 10
	if top < 12 || top < 34 && slices.ContainsFunc(marks, func(m mark) bool { return c.part(m.At) > 0.7 }) {
		top = max(y+20, 34)
	}
	c.put(`<text class="figure" text-anchor="end" x="%s" dx="-4" y="%.1f">%s</text>`, c.x(p.Time), top, esc(words.Value(c.what, v)))
}

// thinned brings neighbours together until there are at most so many points. The last
// stays as it is: it is told with its figure.
func thinned(points []detector.CoursePoint, most int) []detector.CoursePoint {
	if len(points) <= most || most < 2 {
		return points
	}
	last := len(points) - 1
	every := (last + most - 2) / (most - 1)
	out := make([]detector.CoursePoint, 0, most)
	for some := range slices.Chunk(points[:last], every) {
		sum := detector.CoursePoint{Time: some[len(some)-1].Time}
		for _, p := range some {
			sum.Bad += p.Bad
			sum.Total += p.Total
			sum.Expected += p.Expected / float64(len(some))
			sum.Low += p.Low / float64(len(some))
			sum.High += p.High / float64(len(some))
		}
		out = append(out, sum)
	}
	return append(out, points[last])
}

// chart is a picture being drawn.
type chart struct {
	b         strings.Builder
	points    []detector.CoursePoint
	what      string
	from, to  time.Time
	low, high float64 // of the vertical axis; low is 0 unless log
	log       bool
}

func newChart(points []detector.CoursePoint, what string, log bool) *chart {
	c := &chart{points: points, what: what, log: log, from: points[0].Time, to: points[len(points)-1].Time, low: math.Inf(1)}
	band := 0.0
	for _, p := range points {
		for _, v := range []float64{share(p), p.Expected} {
			if v > 0 && !math.IsInf(v, 0) {
				c.low, c.high = min(c.low, v), max(c.high, v)
			}
		}
		band = max(band, p.High)
	}
	// A wide band must not press the course to the floor, nor is there a share
	// over 100%.
	c.high = max(c.high, min(band, 3*c.high))
	if words.IsShare(what) {
		c.high = min(c.high, 1)
	}
	switch {
	case c.high == 0 && log:
		c.low, c.high = 0.01, 1
	case c.high == 0:
		c.low, c.high = 0, 1
	case log:
		// One decade at least, so that there are figures to read by.
		c.low, c.high = math.Pow(10, math.Floor(math.Log10(c.low))), c.high*1.3
		c.high = max(c.high, 10*c.low*1.01)
	default:
		c.low, c.high = 0, c.high*1.12
	}
	return c
}

// include makes room for a level.
func (c *chart) include(v float64) {
	switch {
	case !(v > 0) || math.IsInf(v, 0):
	case c.log && v < c.low:
		c.low = math.Pow(10, math.Floor(math.Log10(v)))
	case v > c.high:
		c.high = v * 1.12
	}
}

func esc(s string) string { return html.EscapeString(s) }

func (c *chart) put(format string, args ...any) { fmt.Fprintf(&c.b, format, args...) }

// told is the picture in words, for those who don't see it.
func (c *chart) told(v detector.Verdict) string {
	if v.Effect == nil {
		return "no effect known"
	}
	s := words.BeforeAfter(*v.Effect)
	if v.Onset != nil {
		s += " since " + words.Onset(*v.Onset)
	}
	if !v.Recovered.IsZero() {
		s += ", " + words.Verdict(v) + " " + words.Time(v.Recovered)
	}
	return s
}

// share is the measured share, NaN without traffic.
func share(p detector.CoursePoint) float64 {
	if p.Total <= 0 {
		return math.NaN()
	}
	return p.Bad / p.Total
}

func (c *chart) part(t time.Time) float64 {
	return min(max(float64(t.Sub(c.from))/float64(c.to.Sub(c.from)), 0), 1)
}

// x is the place of an instant as a percentage.
func (c *chart) x(t time.Time) string { return fmt.Sprintf("%.2f%%", 100*c.part(t)) }

func (c *chart) holds(t time.Time) bool { return !t.Before(c.from) && !t.After(c.to) }

// y is the pixel of a value.
func (c *chart) y(v float64) float64 {
	part := 0.0
	switch {
	case math.IsNaN(v) || v <= c.low:
	case c.log:
		part = math.Log(v/c.low) / math.Log(c.high/c.low)
	default:
		part = (v - c.low) / (c.high - c.low)
	}
	return chartHeight * (1 - min(part, 1))
}

// window shades the span in which instances switched.
func (c *chart) window(u detector.Upgrade) {
	end := u.FinishedAt
	if end.IsZero() {
		end = c.to
	}
	if u.StartedAt.After(c.to) || end.Before(c.from) {
		return
	}
	width := max(c.part(end)-c.part(u.StartedAt), 0.004)
	c.put(`<rect class="window" x="%s" y="0" width="%.2f%%" height="%.0f"><title>upgrade window, %s</title></rect>`,
		c.x(u.StartedAt), 100*width, chartHeight, esc(words.Range(u.StartedAt, end)))
}

// ticks draws the grid with its figures, and the times below.
func (c *chart) ticks() {
	for _, v := range c.levels() {
		y := c.y(v)
		c.put(`<line class="grid" x1="0" x2="100%%" y1="%.1f" y2="%.1f"/><text class="label" x="2" y="%.1f">%s</text>`, y, y, y-3, esc(words.Value(c.what, v)))
	}
	c.times(chartHeight + 18)
}

// times writes the beginning, the middle and the end below, at y.
func (c *chart) times(y float64) {
	layout := "15:04"
	switch length := c.to.Sub(c.from); {
	case length > 48*time.Hour:
		layout = "Jan 2"
	case c.from.UTC().YearDay() != c.to.UTC().YearDay():
		layout = "Jan 2 15:04"
	case length < 5*time.Minute:
		layout = "15:04:05"
	}
	for n, anchor := range []string{"start", "middle", "end"} {
		at := c.from.Add(time.Duration(n) * c.to.Sub(c.from) / 2).UTC()
		c.put(`<text class="label" text-anchor="%s" x="%d%%" y="%.0f">%s</text>`, anchor, n*50, y, at.Format(layout))
	}
}

// levels are at most five round values within the axis.
func (c *chart) levels() (all []float64) {
	if c.log {
		for v := c.low; v < c.high; v *= 10 {
			all = append(all, v)
		}
		for len(all) > 5 {
			for n := 0; 2*n < len(all); n++ {
				all[n] = all[2*n]
			}
			all = all[:(len(all)+1)/2]
		}
		return all
	}
	unit := math.Pow(10, math.Floor(math.Log10(c.high/4)))
	step := unit
	for _, f := range []float64{1, 2, 2.5, 5, 10} {
		if step = f * unit; step >= c.high/4*0.999 {
			break
		}
	}
	for n := 1.0; n*step < c.high; n++ {
		all = append(all, n*step)
	}
	return all
}

// curves draws the band, the expectation and the measured share, each broken
// where blocks are missing.
func (c *chart) curves() {
	c.put(`<svg width="100%%" height="%.0f" viewBox="0 0 %.0f %.0f" preserveAspectRatio="none">`, chartHeight, chartWidth, chartHeight)
	var band, back, expected, measured strings.Builder
	edge := make([]string, 0, len(c.points))
	flush := func() {
		slices.Reverse(edge)
		back.WriteString(band.String() + "L" + strings.Join(edge, "L") + "Z")
		band.Reset()
		edge = edge[:0]
	}
	gap, broken := c.gap(), true
	for n, p := range c.points {
		if n > 0 && p.Time.Sub(c.points[n-1].Time) > gap {
			flush()
			broken = true
		}
		x, pen := chartWidth*c.part(p.Time), "L"
		if len(edge) == 0 {
			pen = "M"
		}
		fmt.Fprintf(&band, "%s%.1f %.1f", pen, x, c.y(p.High))
		fmt.Fprintf(&expected, "%s%.1f %.1f", pen, x, c.y(p.Expected))
		edge = append(edge, fmt.Sprintf("%.1f %.1f", x, c.y(p.Low)))
		if v := share(p); math.IsNaN(v) {
			broken = true
		} else {
			if pen = "L"; broken {
				pen, broken = "M", false
			}
			fmt.Fprintf(&measured, "%s%.1f %.1f", pen, x, c.y(v))
		}
	}
	flush()
	c.put(`<path class="band" d="%s"/><path class="expected" d="%s"/><path class="measured" d="%s"/></svg>`, back.String(), expected.String(), measured.String())
}

// gap is the time between two points from which on they aren't joined.
func (c *chart) gap() time.Duration {
	gaps := make([]time.Duration, 0, len(c.points))
	for n := 1; n < len(c.points); n++ {
		gaps = append(gaps, c.points[n].Time.Sub(c.points[n-1].Time))
	}
	slices.Sort(gaps)
	return gaps[len(gaps)/2] * 5 / 2
}

// upright draws a vertical line at an instant.
func (c *chart) upright(class string, at time.Time, title string) {
	if c.holds(at) {
		c.put(`<line class="%s" x1="%s" x2="%[2]s" y1="0" y2="%.0f"><title>%s</title></line>`, class, c.x(at), chartHeight, esc(title))
	}
}
