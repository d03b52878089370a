package main

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"aftershock/detector"
)

// fewFailures is how many failures the judgement needs to know a baseline by.
const fewFailures = 40

// rarity is how often the requests of an indicator failed before the upgrade.
type rarity struct{ failed, total float64 }

// padFailures takes error indicators that failed less than fewFailures times before
// the upgrade for such that did so often, evenly spread over the requests: without any
// failure the judgement has no baseline to compare with, and a copy that fails outright
// once it is upgraded would be undecided. It errs on the side of the upgrade: a rise must
// stand out from more failures than there were. It answers which indicators these are.
func (l recordedFrames) padFailures(boundary time.Time) map[string]rarity {
	rare := map[string]rarity{}
	errors := func(yield func(key string, f *detector.Frame, p *detector.Point)) {
		for i := range l {
			for k := range l[i].Points {
				if p := &l[i].Points[k]; p.Indicator.Kind == detector.Error && !l[i].Time.After(boundary) {
					yield(p.Indicator.Key(), &l[i], p)
				}
			}
		}
	}
	errors(func(key string, _ *detector.Frame, p *detector.Point) {
		r := rare[key]
		rare[key] = rarity{r.failed + p.Bad, r.total + p.Total}
	})
	maps.DeleteFunc(rare, func(_ string, r rarity) bool { return r.failed >= fewFailures || r.total < 2*fewFailures })
	errors(func(key string, _ *detector.Frame, p *detector.Point) {
		if r, ok := rare[key]; ok {
			p.Bad = min(p.Total, p.Bad+(fewFailures-r.failed)*p.Total/r.total)
		}
	})
	return rare
}

// doubtRare says of padded indicators that they are, and takes back what can't be
// claimed of them: that they fail no more often, or less.
func doubtRare(verdicts []detector.Verdict, rare map[string]rarity) {
	for i := range verdicts {
		v := &verdicts[i]
		r, ok := rare[v.Indicator.Key()]
		if !ok {
			continue
		}
		said := fmt.Sprintf("before the upgrade %.0f of %.0f requests failed: it is judged as if %d had", r.failed, r.total, fewFailures)
		if v.State == detector.Clear || v.State == detector.Improved {
			v.State, v.Missing, v.DecidedIn, v.Effect = detector.Undecided, said, 0, nil
		}
		v.Warnings = append(slices.Clone(v.Warnings), said)
	}
}
