package main

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"time"

	"aftershock/bench/fleet"
	"aftershock/detector"
)

// part counts how many of how many.
type part struct{ of, all int }

func (p *part) count(yes bool) {
	p.all++
	if yes {
		p.of++
	}
}

func (p part) share() float64 { return float64(p.of) / float64(p.all) }

// score is how a contestant did over some worlds.
type score struct {
	spoiled  part // worlds with a wrong blame
	wrong    int  // indicators wrongly blamed on a binary
	found    part // moved indicators, ratio at least 1.1
	stands   part // those with snr at least 4, within six hours
	middling part // those with snr from 2 to 4
	first    part // guilty worlds with a moved indicator in which one was found
	delays   []float64
	onset    part // onset intervals that hold the onset
	effect   part // effect intervals that hold the true ratio
	cleared  part // clear at the end, of those that rose by over 5%
	culprit  part // last word names the culprit, of the found ones
	// How far probabilities can be believed: the leading cause's, the same where it
	// is a binary, and those of all causes.
	sure, named, every calibration
}

// by when an indicator that stands out must be found.
const soon = 6 * time.Hour

// outcome is what became of one indicator in the eyes of a contestant.
type outcome struct {
	shifted     *fleet.Shifted // nil: not moved by a culprit
	first, last *said          // worse shifts
	blamed      *said          // the first that blames a binary
	wrongly     bool
}

// sort puts together what a contestant said of each indicator.
func (r *result) sort(who int) map[string]*outcome {
	out := make(map[string]*outcome)
	at := func(key string) *outcome {
		o := out[key]
		if o == nil {
			o = &outcome{}
			out[key] = o
		}
		return o
	}
	for i := range r.answer.Shifted {
		s := &r.answer.Shifted[i]
		at(s.Key).shifted = s
	}
	for i := range r.says[who] {
		s := &r.says[who][i]
		if !s.worse {
			continue
		}
		o := at(s.key)
		// What is said before a culprit did anything is wrong of every indicator.
		early := r.answer.Onset != nil && s.at.Before(*r.answer.Onset)
		if o.shifted != nil {
			early = s.at.Before(o.shifted.Onset)
		}
		if s.binary != "" && o.blamed == nil {
			o.blamed = s
		}
		if s.binary != "" && (o.shifted == nil || !o.shifted.Worse || early) {
			o.wrongly = true
		}
		if !early {
			if o.first == nil {
				o.first = s
			}
			o.last = s
		}
	}
	return out
}

// add scores what a contestant said of a world.
func (s *score) add(r *result, who int) {
	out := r.sort(who)
	spoiled, material, earliest := false, false, time.Time{}
	for _, o := range out {
		if o.wrongly {
			s.wrong++
			spoiled = true
		}
		if o.shifted == nil || !o.shifted.Material {
			continue
		}
		material = true
		s.moved(o)
		if o.first != nil && (earliest.IsZero() || o.first.at.Before(earliest)) {
			earliest = o.first.at
		}
	}
	s.spoiled.count(spoiled)
	if material {
		s.first.count(!earliest.IsZero())
		if !earliest.IsZero() {
			s.delays = append(s.delays, earliest.Sub(*r.answer.Onset).Minutes())
		}
	}
	if who == 0 {
		s.lastWord(r, out)
	}
}

// moved scores a moved indicator.
func (s *score) moved(o *outcome) {
	s.found.count(o.first != nil)
	switch snr := o.shifted.SNR; {
	case snr >= 4:
		s.stands.count(o.first != nil && o.first.at.Sub(o.shifted.Onset) <= soon)
	case snr >= 2:
		s.middling.count(o.first != nil)
	}
	if o.last != nil {
		s.culprit.count(slices.Contains(o.shifted.Culprits, o.last.binary))
	}
}

// lastWord scores the verdicts at the end of a world.
func (s *score) lastWord(r *result, out map[string]*outcome) {
	for i := range r.last {
		v := &r.last[i]
		o := out[v.Indicator.Key()]
		if o == nil {
			o = &outcome{}
		}
		if o.shifted != nil && o.shifted.Ratio > 1.05 {
			s.cleared.count(v.State == detector.Clear)
		}
		if v.State != detector.Regressed {
			continue
		}
		s.believe(v.Causes, o)
		if o.shifted == nil || !o.shifted.Material {
			continue
		}
		if v.Onset != nil {
			const step = time.Minute
			s.onset.count(!o.shifted.Sure.Before(v.Onset.Earliest.Add(-step)) && !o.shifted.Deployed.After(v.Onset.Latest.Add(step)))
		}
		if v.Effect != nil && len(r.answer.Besides) == 0 {
			if x := trueRatio(o.shifted, v.Effect); !math.IsNaN(x) {
				s.effect.count(x >= v.Effect.Low && x <= v.Effect.High)
			}
		}
	}
}

var bound = regexp.MustCompile(`over ([0-9.e+-]+) ?(ms|s)\b`)

// trueRatio is the true ratio of the share that an effect speaks of; NaN where
// that isn't known.
func trueRatio(s *fleet.Shifted, e *detector.Effect) float64 {
	if s.Kind != string(detector.Latency) {
		return s.Ratio
	}
	m := bound.FindStringSubmatch(e.What)
	if m == nil {
		return math.NaN()
	}
	x, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return math.NaN()
	}
	if m[2] == "ms" {
		x /= 1000
	}
	return s.At(x)
}

func median(x []float64) float64 {
	if len(x) == 0 {
		return math.NaN()
	}
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/2]
}
