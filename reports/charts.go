package reports

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
)

// mark is a change of a flag, numbered in the pictures and named below them.
type mark struct {
	Number int
	At     time.Time
	Text   string
}

// Marks are the toggles and flips of the upgrade in order of time.
func (r Review) marks() []mark {
	var all []mark
	for _, t := range r.Toggles {
		if applied(t) {
			all = append(all, mark{At: t.Began(), Text: words.Name(t.Flag) + " → " + words.Name(t.After)})
		}
	}
	for _, f := range r.Flips {
		all = append(all, mark{At: f.At, Text: words.Name(f.Flag) + " → " + words.Name(f.Variant) + " (by others)"})
	}
	slices.SortStableFunc(all, func(a, b mark) int { return a.At.Compare(b.At) })
	all = all[:min(len(all), 9)]
	for n := range all {
		all[n].Number = n + 1
	}
	return all
}

// share is the course point's measured share, NaN without traffic.
func share(p detector.CoursePoint) float64 {
	if p.Total <= 0 {
		return math.NaN()
	}
	return p.Bad / p.Total
}

const courseHeight = 200

// card is a shift as it is shown at length.
type card struct {
	Shift
	// Review is that of the upgrade that it is seen after.
	Review *Review
	// Anchor leads to the upgrade, where the page tells of several.
	Anchor string
	// Acts are the toggles that answered it, where they aren't told elsewhere.
	Acts []detector.Toggle
	// others are further upgrades whose windows are drawn in.
	others []detector.Upgrade
}

// points are the course up to the instant that the review looks back from, in order of time.
func (s card) points() []detector.CoursePoint {
	points := slices.DeleteFunc(slices.Clone(s.Verdict.Course), func(p detector.CoursePoint) bool { return p.Time.After(s.Review.Now) })
	slices.SortStableFunc(points, func(a, b detector.CoursePoint) int { return a.Time.Compare(b.Time) })
	return words.Counted(points)
}

// course draws the indicator's share over time against what was expected of it,
// with the windows of upgrades, the onset, the alerts and the changes of flags.
func course(s card) template.HTML {
	r := s.Review
	points := s.points()
	if len(points) < 2 {
		return ""
	}
	over := span{points[0].Time, points[len(points)-1].Time}
	if !over.to.After(over.from) {
		return ""
	}
	what := words.Unit(s.Verdict)
	var values []float64
	for _, p := range points {
		values = append(values, share(p), p.Expected, p.High)
	}
	if e := s.Verdict.Effect; e != nil {
		values = append(values, e.Before)
	}
	y := newAxis(slices.DeleteFunc(values, math.IsNaN), courseHeight, words.Logarithmic(s.Verdict.Indicator, what))
	p := newPicture(courseHeight+24, fmt.Sprintf("Course of %s: %s, %s", words.Indicator(s.Verdict.Indicator), words.Name(what), words.Range(over.from, over.to)))
	title := words.Clean(what, 34) + ", linear axis" // it fits on a phone
	if y.log {
		title = words.Clean(what, 34) + ", log axis"
	}
	p.text("label", "start", 0, -34, -10, title)
	s.windows(p, over)
	for _, v := range y.ticks {
		p.line("grid", 0, y.at(v), 1, y.at(v))
		p.text("label", "end", 0, -6, y.at(v)+4, words.Value(what, v))
	}
	p.curves(courseHeight, func() { drawCourse(p, points, over, y) })
	if len(points) <= 150 {
		for _, c := range points {
			if v := share(c); !math.IsNaN(v) {
				title := fmt.Sprintf("%s: %s", words.Time(c.Time), words.Value(what, v))
				if !words.IsQuantile(what) {
					title += " of " + words.Count(c.Total)
				}
				p.circle("dot", over.at(c.Time), y.at(v), 2.5, title)
			}
		}
	}
	if e := s.Verdict.Effect; e != nil && e.Before > 0 {
		p.line("level", 0, y.at(e.Before), 1, y.at(e.Before))
	}
	s.last(p, points, over, y, what)
	for _, m := range r.marks() {
		if over.holds(m.At) {
			x := over.at(m.At)
			p.line("flip", x, 0, x, courseHeight)
			p.circle("badge", x, 9, 8, words.Time(m.At)+" "+m.Text)
			p.text("number", "middle", x, 0, 13, fmt.Sprint(m.Number))
		}
	}
	p.timeAxis(over, courseHeight)
	return p.done()
}

// last marks the last point with its figure: how it stands at the end.
func (s card) last(p *picture, points []detector.CoursePoint, over span, y axis, what string) {
	if c, ok := counted(points); ok {
		v := share(c)
		x, at := over.at(c.Time), y.at(v)
		p.circle("now", x, at, 4, words.Time(c.Time)+": "+words.Value(what, v))
		// Badges of flags stand at the top.
		above := at - 10
		if above < 34 {
			above = max(at+20, 34)
		}
		p.text("figure", "end", x, -6, above, words.Value(what, v))
	}
}

// counted is the last of the points that counted anything.
func counted(points []detector.CoursePoint) (last detector.CoursePoint, ok bool) {
	for _, c := range points {
		if !math.IsNaN(share(c)) && !c.Time.Before(last.Time) {
			last, ok = c, true
		}
	}
	return last, ok
}

// latest is the figure of the last point with its time, "" without one.
func (s card) latest() string {
	points := s.points()
	c, ok := counted(points)
	if !ok {
		return ""
	}
	return words.Value(words.Unit(s.Verdict), share(c)) + " at " + words.Clock(c.Time)
}

// windows shades the upgrades' windows, the alerts and the onset interval.
func (s card) windows(p *picture, over span) {
	shade := func(class string, from, to time.Time, y, height float64, title string) {
		if to.IsZero() {
			to = s.Review.Now
		}
		if from.Before(over.to) && to.After(over.from) {
			p.rect(class, over.at(from), over.at(to), y, height, title)
		}
	}
	shade("window", s.Review.Upgrade.StartedAt, s.Review.Upgrade.FinishedAt, 0, courseHeight, "upgrade window")
	for _, u := range s.others {
		shade("window", u.StartedAt, u.FinishedAt, 0, courseHeight, "upgrade window of "+words.TheUpgrade(u))
	}
	for _, a := range s.Review.Alerts {
		shade("incident", a.StartsAt, a.EndsAt, -5, 4, "alert: "+words.Headline(a))
	}
	if o := s.Verdict.Onset; o != nil && !o.Earliest.After(over.to) && !o.Latest.Before(over.from) {
		p.rect("onset", over.at(o.Earliest), over.at(o.Latest), courseHeight-6, 6, "onset: "+words.Onset(*o))
		p.line("onset-at", over.at(o.At), 0, over.at(o.At), courseHeight)
	}
}

// drawCourse draws the band, the expectation and the measured share, each broken
// where blocks are missing.
func drawCourse(p *picture, points []detector.CoursePoint, over span, y axis) {
	for _, run := range runs(points) {
		var band, expected, measured []point
		for _, c := range run {
			x := over.at(c.Time)
			band = append(band, point{x, y.at(c.High)})
			expected = append(expected, point{x, y.at(c.Expected)})
			if v := share(c); !math.IsNaN(v) {
				measured = append(measured, point{x, y.at(v)})
			}
		}
		for _, c := range slices.Backward(run) {
			band = append(band, point{over.at(c.Time), y.at(c.Low)})
		}
		p.path("band", band, true)
		p.path("expected", expected, false)
		p.path("measured", measured, false)
	}
}

// runs splits the points where the time between two is more than 2.5 times the
// usual.
func runs(points []detector.CoursePoint) [][]detector.CoursePoint {
	var gaps []time.Duration
	for n := 1; n < len(points); n++ {
		gaps = append(gaps, points[n].Time.Sub(points[n-1].Time))
	}
	sorted := slices.Sorted(slices.Values(gaps))
	usual := sorted[len(sorted)/2]
	var out [][]detector.CoursePoint
	start := 0
	for n, gap := range gaps {
		if gap > usual*5/2 {
			out = append(out, points[start:n+1])
			start = n + 1
		}
	}
	return append(out, points[start:])
}

// quantiles draws each quantile before and after as the bucket that holds it, on
// a logarithmic axis.
func quantiles(s card) template.HTML {
	qs := s.Verdict.Quantiles
	low, high := math.Inf(1), 0.0
	for _, q := range qs {
		for _, v := range []float64{q.Before.Lower, q.Before.Upper, q.After.Lower, q.After.Upper} {
			if v > 0 && !math.IsInf(v, 0) {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	if len(qs) == 0 || high == 0 {
		return ""
	}
	low, high = low/1.6, high*1.6
	at := func(v float64) float64 {
		if !(v > 0) {
			return 0
		}
		return clamp(math.Log(v/low) / math.Log(high/low))
	}
	const row = 30
	height := float64(len(qs) * row)
	p := newPicture(height+22, "Quantiles of "+words.Indicator(s.Verdict.Indicator)+" before and after, as the buckets that hold them")
	for _, v := range latencyTicks(low, high) {
		p.line("grid", at(v), 0, at(v), height)
		p.text("label", "middle", at(v), 0, height+16, words.Seconds(v))
	}
	for n, q := range qs {
		y := float64(n * row)
		p.text("label strong", "end", 0, -6, y+19, words.Quantile(q.Q))
		p.rect("before", at(q.Before.Lower), at(q.Before.Upper), y+5, 9, "before: "+words.Bucket(q.Before))
		p.rect("after", at(q.After.Lower), at(q.After.Upper), y+16, 9, "after: "+words.Bucket(q.After))
	}
	return p.done()
}

// latencyTicks are powers of ten, with 2 and 5 times where they are few.
func latencyTicks(low, high float64) []float64 {
	var all []float64
	factors := []float64{1}
	if high/low < 300 {
		factors = []float64{1, 2, 5}
	}
	if high/low > 60 && len(factors) == 3 {
		factors = []float64{1, 3}
	}
	for d := math.Floor(math.Log10(low)); d <= math.Log10(high); d++ {
		for _, f := range factors {
			v := f * math.Pow(10, d)
			if at := math.Log(v/low) / math.Log(high/low); at > 0.03 && at < 0.97 {
				all = append(all, v)
			}
		}
	}
	return all
}
