package reports

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"

	"aftershock/detector/words"
)

// picture writes an SVG that is as wide as its surroundings: horizontal places
// are percentages, vertical ones pixels, so that letters and strokes keep their
// size on a phone and on a wide screen. Curves go into a nested drawing of
// curveWidth units that is stretched, with strokes that aren't.
type picture struct {
	b      strings.Builder
	height float64
}

const curveWidth = 1000

func newPicture(height float64, label string) *picture {
	p := &picture{height: height}
	fmt.Fprintf(&p.b, `<svg class="pic" width="100%%" height="%s" role="img" aria-label="%s">`, px(height), html.EscapeString(label))
	return p
}

func (p *picture) done() template.HTML {
	p.b.WriteString("</svg>")
	return template.HTML(p.b.String()) //nolint:gosec // every text in it went through EscapeString
}

// px writes a vertical place with a tenth of a pixel.
func px(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

// pc writes a share of the width as a percentage.
func pc(v float64) string { return strconv.FormatFloat(math.Round(v*1e4)/100, 'f', -1, 64) + "%" }

// rect draws from x0 to x1 (shares of the width), at least a hairline wide.
func (p *picture) rect(class string, x0, x1, y, height float64, title string) {
	x0, x1 = clamp(x0), clamp(x1)
	fmt.Fprintf(&p.b, `<rect class="%s" x="%s" y="%s" width="%s" height="%s">`, class, pc(x0), px(y), pc(max(x1-x0, 0.003)), px(height))
	p.title(title)
	p.b.WriteString("</rect>")
}

func (p *picture) line(class string, x0, y0, x1, y1 float64) {
	fmt.Fprintf(&p.b, `<line class="%s" x1="%s" y1="%s" x2="%s" y2="%s"/>`, class, pc(x0), px(y0), pc(x1), px(y1))
}

func (p *picture) circle(class string, x, y, r float64, title string) {
	fmt.Fprintf(&p.b, `<circle class="%s" cx="%s" cy="%s" r="%s">`, class, pc(x), px(y), px(r))
	p.title(title)
	p.b.WriteString("</circle>")
}

func (p *picture) title(title string) {
	if title != "" {
		fmt.Fprintf(&p.b, "<title>%s</title>", html.EscapeString(title))
	}
}

// text writes at x moved by dx pixels; anchor is start, middle or end.
func (p *picture) text(class, anchor string, x, dx, y float64, text string) {
	fmt.Fprintf(&p.b, `<text class="%s" text-anchor="%s" x="%s" dx="%s" y="%s">%s</text>`, class, anchor, pc(x), px(dx), px(y), html.EscapeString(text))
}

// label is text whose middle is left out where it has more characters than fit on a
// phone; a pointer on it tells the whole.
func (p *picture) label(anchor string, x, dx, y float64, text string, most int) {
	fmt.Fprintf(&p.b, `<text class="label" text-anchor="%s" x="%s" dx="%s" y="%s">`, anchor, pc(x), px(dx), px(y))
	short := words.Middle(text, most)
	if short != text {
		p.title(text)
	}
	fmt.Fprintf(&p.b, `%s</text>`, html.EscapeString(short))
}

// fits says whether a text goes into a share of the width on the narrowest screen.
func fits(text string, share float64) bool {
	const narrowest, letter = 320, 7
	return share*narrowest > float64(len([]rune(text))*letter+8)
}

// caption names what begins at x: from there on, or up to the edge where that is too near.
func (p *picture) caption(x, y float64, text string) {
	if fits(words.Middle(text, captionLetters), 1-x) {
		p.label("start", x, 2, y, text, captionLetters)
	} else {
		p.label("end", 1, -2, y, text, captionLetters)
	}
}

// captionLetters and labelLetters fit on a phone.
const (
	captionLetters = 40
	labelLetters   = 44
)

// curves opens the stretched drawing of the given height at the top; the
// function draws paths into it.
func (p *picture) curves(height float64, draw func()) {
	fmt.Fprintf(&p.b, `<svg width="100%%" height="%s" viewBox="0 0 %d %s" preserveAspectRatio="none">`, px(height), curveWidth, px(height))
	draw()
	p.b.WriteString("</svg>")
}

type point struct{ x, y float64 }

// path draws a curve through points whose x is a share of the width.
func (p *picture) path(class string, points []point, closed bool) {
	if len(points) == 0 {
		return
	}
	fmt.Fprintf(&p.b, `<path class="%s" d="`, class)
	for n, at := range points {
		op := byte('L')
		if n == 0 {
			op = 'M'
		}
		p.b.WriteByte(op)
		p.b.WriteString(px(at.x * curveWidth))
		p.b.WriteByte(' ')
		p.b.WriteString(px(at.y))
	}
	if closed {
		p.b.WriteByte('Z')
	} else if len(points) == 1 {
		p.b.WriteString("h0")
	}
	p.b.WriteString(`"/>`)
}

func clamp(x float64) float64 { return min(max(x, 0), 1) }

// axis maps values to pixels, the larger the higher up.
type axis struct {
	low, high, height float64
	log               bool
	ticks             []float64
}

// newAxis spans the values: from 0 on a linear axis, or from a power of ten below them
// on a logarithmic one.
func newAxis(values []float64, height float64, log bool) axis {
	low, high := math.Inf(1), 0.0
	for _, v := range values {
		if v > 0 && !math.IsInf(v, 0) {
			low, high = min(low, v), max(high, v)
		}
	}
	if high == 0 {
		low, high = 0.1, 1
	}
	if log {
		a := axis{low: math.Pow(10, math.Floor(math.Log10(low))), high: high * 1.2, height: height, log: true}
		a.high = max(a.high, 10*a.low) // two figures at least
		for v := a.low; v <= a.high*1.0001; v *= 10 {
			a.ticks = append(a.ticks, v)
		}
		for len(a.ticks) > 6 {
			a.ticks = everySecond(a.ticks)
		}
		return a
	}
	a := axis{high: high * 1.08, height: height}
	step := niceStep(a.high / 4)
	for n := 0.0; n*step <= a.high; n++ {
		a.ticks = append(a.ticks, n*step)
	}
	return a
}

func everySecond(in []float64) (out []float64) {
	for n := 0; n < len(in); n += 2 {
		out = append(out, in[n])
	}
	return out
}

// niceStep is 1, 2 or 5 times a power of ten, not below x.
func niceStep(x float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(x)))
	for _, f := range []float64{1, 2, 5} {
		if f*unit >= x*0.999 {
			return f * unit
		}
	}
	return 10 * unit
}

// at is the pixel of a value; what lies outside is drawn at the edge.
func (a axis) at(v float64) float64 {
	var share float64
	switch {
	case math.IsNaN(v):
		share = 0
	case a.log && v <= a.low:
		share = 0
	case a.log:
		share = math.Log(v/a.low) / math.Log(a.high/a.low)
	default:
		share = (v - a.low) / (a.high - a.low)
	}
	return a.height * (1 - clamp(share))
}

// span maps instants to shares of the width.
type span struct{ from, to time.Time }

func (s span) at(t time.Time) float64 {
	return clamp(t.Sub(s.from).Seconds() / s.to.Sub(s.from).Seconds())
}

func (s span) holds(t time.Time) bool { return !t.Before(s.from) && !t.After(s.to) }

// steps of a time axis.
var steps = [...]time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	24 * time.Hour, 48 * time.Hour, 7 * 24 * time.Hour, 14 * 24 * time.Hour, 28 * 24 * time.Hour,
}

// ticks are at most five round instants with their labels, at most four where the
// labels are long.
func (s span) ticks() (at []time.Time, labels []string) {
	length := s.to.Sub(s.from)
	days := s.from.UTC().Format(time.DateOnly) != s.to.UTC().Format(time.DateOnly)
	most := time.Duration(4)
	if days {
		most = 3
	}
	step := length // longer than all: the ends alone would do
	for _, d := range steps {
		if length <= most*d {
			step = d
			break
		}
	}
	if step <= 0 {
		return nil, nil
	}
	layout := "15:04"
	switch {
	case step >= 24*time.Hour:
		layout = "Jan 2"
	case step < time.Minute:
		layout = "15:04:05"
	case days:
		layout = "Jan 2 15:04"
	}
	for t := s.from.UTC().Truncate(step); !t.After(s.to); t = t.Add(step) {
		if s.holds(t) {
			at, labels = append(at, t), append(labels, t.Format(layout))
		}
	}
	return at, labels
}

// timeAxis draws the ticks and labels under a plot of the given height.
func (p *picture) timeAxis(s span, height float64) {
	at, labels := s.ticks()
	for n, t := range at {
		x, anchor := s.at(t), "middle"
		if x < 0.06 {
			anchor = "start"
		} else if x > 0.94 {
			anchor = "end"
		}
		p.line("tick", x, height, x, height+4)
		p.text("label", anchor, x, 0, height+17, labels[n])
	}
}
