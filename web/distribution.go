package web

import (
	"fmt"
	"html/template"
	"math"
	"strings"

	"aftershock/detector"
	"aftershock/detector/words"
)

// leastShare is the smallest share that a picture of a distribution shows.
const leastShare = 1e-4

// spread is a distribution as its page shows it.
type spread struct {
	Chart template.HTML
	Rows  []bucket
}

// bucket is one bucket of a distribution.
type bucket struct {
	Bounds                detector.Interval
	Before, After         float64 // shares of the requests
	BeforeOver, AfterOver float64 // that took longer than the upper bound
}

// distribution is nil where the verdict has none that can be drawn.
func distribution(v detector.Verdict) *spread {
	d := v.Distribution
	if d == nil || len(d.Bounds) < 2 || !(d.Bounds[0] > 0) || len(d.Before) != len(d.Bounds)+1 || len(d.After) != len(d.Bounds)+1 {
		return nil
	}
	out := &spread{}
	lower, before, after := 0.0, 1.0, 1.0
	for n, share := range d.Before {
		upper := math.Inf(1)
		if n < len(d.Bounds) {
			upper = d.Bounds[n]
		}
		before, after = max(before-share, 0), max(after-d.After[n], 0)
		out.Rows = append(out.Rows, bucket{detector.Interval{Lower: lower, Upper: upper}, share, d.After[n], before, after})
		lower = upper
	}
	out.Chart = tails(v, out.Rows[:len(d.Bounds)])
	return out
}

// tails draws the share of requests that took longer than each bound, before and
// after, on logarithmic axes: a tail shows as a tail, and the dots are where buckets end.
func tails(v detector.Verdict, rows []bucket) template.HTML {
	low, high := rows[0].Bounds.Upper, rows[len(rows)-1].Bounds.Upper
	floor := 1.0
	for _, r := range rows {
		for _, share := range []float64{r.BeforeOver, r.AfterOver} {
			if share > 1e-12 {
				floor = min(floor, share)
			}
		}
	}
	floor = min(max(math.Pow(10, math.Floor(math.Log10(floor))), leastShare), 0.1)
	x := func(bound float64) float64 { return math.Log(bound/low) / math.Log(high/low) }
	y := func(share float64) float64 {
		return chartHeight * min(math.Log(max(share, floor))/math.Log(floor), 1)
	}
	var b strings.Builder
	put := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	put(`<svg class="chart" width="100%%" height="%.0f" role="img" aria-label="%s">`, chartHeight+24,
		esc("Share of requests that took longer than each bound, before and after: "+words.Indicator(v.Indicator)+"; the table below has the figures"))
	for share := 1.0; share >= floor*0.999; share /= 10 {
		put(`<line class="grid" x1="0" x2="100%%" y1="%.1f" y2="%.1f"/><text class="label" x="2" y="%.1f">%s</text>`, y(share), y(share), y(share)-3, esc(words.Share(share)))
	}
	for _, n := range apart(rows, x) {
		at, anchor := x(rows[n].Bounds.Upper), "middle"
		switch {
		case at < 0.04:
			anchor = "start"
		case at > 0.96:
			anchor = "end"
		}
		put(`<line class="grid" x1="%.2f%%" x2="%.2f%%" y1="%.0f" y2="%.0f"/><text class="label" text-anchor="%s" x="%.2f%%" y="%.0f">%s</text>`,
			100*at, 100*at, chartHeight, chartHeight+5, anchor, 100*at, chartHeight+18, esc(words.Seconds(rows[n].Bounds.Upper)))
	}
	for _, curve := range []struct {
		class string
		share func(bucket) float64
	}{{"expected", func(r bucket) float64 { return r.BeforeOver }}, {"measured", func(r bucket) float64 { return r.AfterOver }}} {
		var path, dots strings.Builder
		for n, r := range rows {
			pen, share := "L", curve.share(r)
			if n == 0 {
				pen = "M"
			}
			fmt.Fprintf(&path, "%s%.1f %.1f", pen, chartWidth*x(r.Bounds.Upper), y(share))
			if share <= floor {
				break
			}
			fmt.Fprintf(&dots, `<circle class="dot-%s" cx="%.2f%%" cy="%.1f" r="3"/>`, curve.class, 100*x(r.Bounds.Upper), y(share))
		}
		put(`<svg width="100%%" height="%.0f" viewBox="0 0 %.0f %.0f" preserveAspectRatio="none"><path class="%s" d="%s"/></svg>%s`,
			chartHeight, chartWidth, chartHeight, curve.class, path.String(), dots.String())
	}
	put(`</svg>`)
	return template.HTML(b.String()) //nolint:gosec // every text in it went through esc
}

// apart are the rows whose bounds may be written without running into one another on
// a phone; the last is always among them.
func apart(rows []bucket, x func(float64) float64) (out []int) {
	// Figures stand about their bound, those at the edges within it.
	const between, edge = 0.17, 0.25
	last := len(rows) - 1
	for n := range rows {
		at := x(rows[n].Bounds.Upper)
		room := between
		if len(out) == 1 {
			room = edge
		}
		if n == last || (len(out) == 0 || at-x(rows[out[len(out)-1]].Bounds.Upper) > room) && 1-at > edge {
			out = append(out, n)
		}
	}
	return out
}
