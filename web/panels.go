package web

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"aftershock/detector/words"
	"aftershock/flags/tuning"
)

// Places in a chart of tuning, pixels.
const (
	panelsWidth = 1000.0
	panelsTop   = 92.0
	panelsRow   = 62.0
)

// Colours of a chart of tuning. They are attributes of the shapes, for a picture
// that stands by itself may not bring a style along.
const (
	ink    = "#1c2024"
	soft   = "#56606a"
	line   = "#d5dade"
	bright = "#0b57d0"
	worse  = "#b3261e"
	chosen = "#e9f6ee"
)

// panel is a part of the chart with a scale of its own.
type panel struct {
	title     string
	from, to  float64 // pixels
	low, high float64
	log       bool
	ticks     []float64
	label     func(float64) string
}

// at is the pixel of a value; what lies outside is drawn at the edge.
func (p panel) at(v float64) float64 {
	part := (v - p.low) / (p.high - p.low)
	if p.log {
		part = math.Log(max(v, p.low)/p.low) / math.Log(p.high/p.low)
	}
	if math.IsNaN(part) {
		part = 0
	}
	return p.from + min(max(part, 0), 1)*(p.to-p.from)
}

// panels draws.
type panels struct{ b strings.Builder }

func (d *panels) put(format string, args ...any) { fmt.Fprintf(&d.b, format, args...) }

func (d *panels) text(x, y float64, anchor, fill, more, text string) {
	d.put(`<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s"%s>%s</text>`, x, y, anchor, fill, more, esc(text))
}

func (d *panels) stroke(x0, y0, x1, y1 float64, colour string, width float64, more string) {
	d.put(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="%.1f"%s/>`, x0, y0, x1, y1, colour, width, more)
}

// TuningChart draws what each set of constants does as an SVG that stands by itself:
// the latency of a call from p50 to p99.9 on a logarithmic axis beside retries per
// call and failed calls, with the safe variant's as the lines to hold them against.
func TuningChart(t tuning.Result) string {
	d := &panels{}
	height := panelsTop + panelsRow*float64(len(t.Rows)) + 66
	d.put(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" font-family="system-ui, sans-serif" font-size="13" role="img" aria-label="%s">`,
		panelsWidth, height, panelsWidth, height, esc("Latency, retries and failed calls with each set of constants of "+words.Name(t.Flag)))
	d.put(`<rect width="100%%" height="100%%" fill="#fff"/>`)
	d.text(20, 28, "start", ink, ` font-size="17" font-weight="700"`, words.Name(t.Flag)+": calls of "+words.Name(t.Peer)+" by "+words.Name(t.Service))
	d.text(20, 48, "start", soft, "", fmt.Sprintf("replayed on %s calls, %s; %s of first attempts failed", words.Count(t.Calls), words.Range(t.From, t.To), words.Share(t.FirstFailures)))
	if len(t.Rows) > 0 {
		all := layPanels(t.Rows)
		d.grid(all, t, height)
		for n, row := range t.Rows {
			d.row(all, row, panelsTop+panelsRow*float64(n), t.Suggestion != nil && t.Suggestion.Row == row.Name)
		}
		d.key(height - 14)
	}
	d.put(`</svg>`)
	return d.b.String()
}

// layPanels gives each figure its panel.
func layPanels(rows []tuning.Row) [3]panel {
	low, high, retries, failed := math.Inf(1), 0.0, 0.0, 0.0
	for _, r := range rows {
		low, high = min(low, r.P50.Value), max(high, r.P999.Value+r.P999.Error)
		retries, failed = max(retries, r.Retries.Value+r.Retries.Error, r.Measured), max(failed, r.Failed.Value+r.Failed.Error)
	}
	low, high = max(low, 1e-4)/1.3, max(high, 2e-4)*1.1
	latency := panel{title: "latency of a call (log)", from: 250, to: 600, low: low, high: high, log: true, label: words.Seconds}
	for decade := math.Floor(math.Log10(low)); decade <= math.Log10(high); decade++ {
		for _, f := range []float64{1, 2, 5} {
			if v := f * math.Pow(10, decade); v > low && v < high && (f == 1 || high/low < 200) {
				latency.ticks = append(latency.ticks, v)
			}
		}
	}
	linear := func(title string, from, to, high float64, label func(float64) string) panel {
		high = max(high, 1e-9) * 1.08
		p := panel{title: title, from: from, to: to, high: high, label: label}
		unit := math.Pow(10, math.Floor(math.Log10(high)))
		step := unit
		for _, f := range []float64{0.2, 0.5, 1, 2, 5} {
			if step = f * unit; high/step <= 4 {
				break
			}
		}
		for n := 0.0; n*step <= high; n++ {
			p.ticks = append(p.ticks, n*step)
		}
		return p
	}
	return [3]panel{latency, linear("retries per call", 645, 800, retries, words.Number), linear("failed calls", 845, 970, failed, words.Share)}
}

func (d *panels) grid(all [3]panel, t tuning.Result, height float64) {
	bottom := height - 60
	if s := t.Suggestion; s != nil {
		if n := slices.IndexFunc(t.Rows, func(r tuning.Row) bool { return r.Name == s.Row }); n >= 0 {
			d.put(`<rect x="10" y="%.1f" width="980" height="%.1f" rx="6" fill="%s"/>`, panelsTop+panelsRow*float64(n), panelsRow, chosen)
		}
	}
	for _, p := range all {
		d.text(p.from, panelsTop-14, "start", soft, ` font-weight="600"`, p.title)
		for _, v := range p.ticks {
			d.stroke(p.at(v), panelsTop, p.at(v), bottom, line, 1, "")
			d.text(p.at(v), bottom+16, "middle", soft, ` font-size="11"`, p.label(v))
		}
	}
	safe := t.Rows[0]
	for n, v := range []float64{safe.P99.Value, safe.Retries.Value, safe.Failed.Value} {
		d.stroke(all[n].at(v), panelsTop-6, all[n].at(v), bottom, soft, 1.2, ` stroke-dasharray="4 4"`)
	}
}

func (d *panels) row(all [3]panel, r tuning.Row, y float64, suggested bool) {
	mid := y + panelsRow/2
	weight := ""
	if suggested {
		weight = ` font-weight="700"`
	}
	d.text(20, y+17, "start", ink, weight, words.Name(r.Name))
	for n, part := range shortened(r.Constants) {
		d.text(20, y+30+11.5*float64(n), "start", soft, ` font-size="10.5"`, part)
	}
	p := all[0]
	d.stroke(p.at(r.P50.Value), mid, p.at(r.P999.Value), mid, ink, 1.5, "")
	for n, q := range []struct {
		name string
		e    tuning.Estimate
	}{{"p50", r.P50}, {"p99", r.P99}, {"p99.9", r.P999}} {
		x := p.at(q.e.Value)
		d.stroke(p.at(q.e.Value-q.e.Error), mid, p.at(q.e.Value+q.e.Error), mid, bright, 5, ` stroke-opacity="0.25"`)
		fill := []string{"#fff", bright, ink}[n]
		d.put(`<circle cx="%.1f" cy="%.1f" r="4.5" fill="%s" stroke="%s" stroke-width="1.5"><title>%s</title></circle>`, x, mid, fill, ink, esc(q.name+" "+words.Seconds(q.e.Value)))
		anchor := "middle"
		if close := p.at(r.P999.Value)-p.at(r.P99.Value) < 44; close && n > 0 {
			anchor = []string{"", "end", "start"}[n]
		}
		d.text(x, mid-9, anchor, ink, ` font-size="11"`, words.Seconds(q.e.Value))
	}
	for n, e := range []tuning.Estimate{r.Retries, r.Failed} {
		p := all[n+1]
		d.put(`<rect x="%.1f" y="%.1f" width="%.1f" height="12" fill="%s" fill-opacity="0.75"/>`, p.from, mid-6, max(p.at(e.Value)-p.from, 1), []string{bright, worse}[n])
		d.stroke(p.at(e.Value-e.Error), mid, p.at(e.Value+e.Error), mid, ink, 1.5, "")
		d.text(p.from+3, mid-10, "start", ink, ` font-size="11"`, p.label(e.Value))
	}
	if r.Calls > 0 {
		x := all[1].at(r.Measured)
		d.put(`<path d="M%.1f %.1fl5 9h-10z" fill="%s"><title>measured: %s</title></path>`, x, mid+7, ink, esc(words.Number(r.Measured)))
	}
}

// shortened is the constants in lines that fit beside the latencies.
func shortened(c tuning.Constants) (lines []string) {
	const fits = 38
	for part := range strings.SplitSeq(c.Text(), ", ") {
		if n := len(lines); n > 0 && len(lines[n-1])+len(part) < fits {
			lines[n-1] += ", " + part
		} else {
			lines = append(lines, part)
		}
	}
	return lines
}

func (d *panels) key(y float64) {
	x := 250.0
	for n, name := range []string{"p50", "p99", "p99.9"} {
		d.put(`<circle cx="%.1f" cy="%.1f" r="4.5" fill="%s" stroke="%s" stroke-width="1.5"/>`, x, y-4, []string{"#fff", bright, ink}[n], ink)
		d.text(x+9, y, "start", soft, ` font-size="11"`, name)
		x += 52
	}
	d.stroke(x+6, y-4, x+30, y-4, soft, 1.2, ` stroke-dasharray="4 4"`)
	d.text(x+36, y, "start", soft, ` font-size="11"`, "the safe variant's")
	d.put(`<path d="M%.1f %.1fl5 9h-10z" fill="%s"/>`, 650.0, y-9, ink)
	d.text(660, y, "start", soft, ` font-size="11"`, "measured")
	d.text(730, y, "start", soft, ` font-size="11"`, "bars and shades: standard errors")
}
