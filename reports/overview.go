package reports

import (
	"fmt"
	"html/template"

	"aftershock/detector"
	"aftershock/detector/words"
)

// maxLanes bounds the shifts in the overview.
const maxLanes = 8

// overview draws the whole story on one time axis: the upgrade's window, the
// worst shifts from their onset to their recovery, and what the flags were on.
func (r Review) overview() template.HTML {
	over, ok := r.stretch()
	if !ok {
		return ""
	}
	const lane = 38
	var draw []func(p *picture, y float64)
	draw = append(draw, func(p *picture, y float64) { r.upgradeLane(p, over, y) })
	for n, s := range r.Shifts {
		if n == maxLanes {
			break
		}
		draw = append(draw, func(p *picture, y float64) { r.shiftLane(p, over, s, y) })
	}
	for _, flag := range r.toggled() {
		draw = append(draw, func(p *picture, y float64) { r.flagLane(p, over, flag, y) })
	}
	height := float64(len(draw) * lane)
	p := newPicture(height+26, "What happened when, "+words.Range(over.from, over.to))
	at, _ := over.ticks()
	for _, t := range at {
		p.line("grid", over.at(t), 0, over.at(t), height+2)
	}
	for n, f := range draw {
		f(p, float64(n*lane))
	}
	p.timeAxis(over, height+2)
	return p.done()
}

// stretch is from a little before the first to a little after the last moment.
func (r Review) stretch() (span, bool) {
	var s span
	for _, m := range r.Timeline {
		if s.from.IsZero() || m.At.Before(s.from) {
			s.from = m.At
		}
		if m.At.After(s.to) {
			s.to = m.At
		}
	}
	if !s.to.After(s.from) {
		return s, false
	}
	margin := s.to.Sub(s.from) / 20
	s.from, s.to = s.from.Add(-margin), s.to.Add(margin)
	return s, true
}

func (r Review) upgradeLane(p *picture, over span, y float64) {
	end, text := r.Upgrade.FinishedAt, words.OfUpgrade(r.Upgrade)
	if end.IsZero() {
		end = over.to
	}
	p.label("start", 0, 2, y+14, text, labelLetters)
	p.rect("bar upgrade", over.at(r.Upgrade.StartedAt), over.at(end), y+20, 10, words.Range(r.Upgrade.StartedAt, end))
	for _, b := range r.Upgrade.Binaries {
		for _, d := range b.Instances {
			if over.holds(d.At) {
				p.line("instance", over.at(d.At), y+18, over.at(d.At), y+32)
			}
		}
	}
}

func (r Review) shiftLane(p *picture, over span, s Shift, y float64) {
	v := s.Verdict
	class, end := "bar worse", v.Recovered
	if !s.Worse() {
		class = "bar better"
	}
	if end.IsZero() {
		end = over.to
	}
	start := s.FoundAt
	if v.Onset != nil {
		start = v.Onset.At
	}
	p.label("start", 0, 2, y+14, words.Indicator(v.Indicator), labelLetters)
	if start.IsZero() {
		return
	}
	if v.Onset != nil {
		p.rect("bar maybe", over.at(v.Onset.Earliest), over.at(v.Onset.Latest), y+20, 10, "onset: "+words.Onset(*v.Onset))
	}
	p.rect(class, over.at(start), over.at(end), y+20, 10, words.Range(start, end))
	if !s.FoundAt.IsZero() {
		p.circle("found", over.at(s.FoundAt), y+25, 5, "found "+words.Time(s.FoundAt))
	}
}

// toggled are the flags of the toggles in order of their first.
func (r Review) toggled() []string {
	var flags []string
	seen := make(map[string]bool)
	for _, t := range r.Toggles {
		if applied(t) && !seen[t.Flag] && len(flags) < 4 {
			seen[t.Flag] = true
			flags = append(flags, t.Flag)
		}
	}
	return flags
}

func (r Review) flagLane(p *picture, over span, flag string, y float64) {
	p.label("start", 0, 2, y+14, "flag "+words.Name(flag), labelLetters)
	var acts []detector.Toggle
	for _, t := range r.Toggles {
		if t.Flag == flag && applied(t) {
			acts = append(acts, t)
		}
	}
	for n, t := range acts {
		end := over.to
		if n+1 < len(acts) {
			end = acts[n+1].Began()
		} else if t.State == detector.ToggleUndone || t.State == detector.ToggleReverted {
			end = t.Updated
		}
		x := over.at(t.Began())
		p.rect(fmt.Sprintf("bar flag%d", n%2), x, over.at(end), y+20, 14, words.Name(t.After)+", "+words.Range(t.Began(), end))
		name := words.Clean(t.After, 16)
		if fits(name, over.at(end)-x) {
			p.text("in", "start", x, 4, y+31, name)
		}
	}
}
