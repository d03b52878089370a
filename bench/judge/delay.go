package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"aftershock/bench/fleet"
)

// scenario is a rise of a p99 after which the time until the first alert is
// measured, with a look every minute.
type scenario struct {
	name string
	rise fleet.Rise
	aim  float64 // minutes, in the median
}

var scenarios = []scenario{
	{"+25% p99, 600 a minute, all at once", fleet.Rise{Rate: 600, P99: 1.25}, 15},
	{"+25% p99, 6000 a minute, one of four 3 h ahead", fleet.Rise{Rate: 6000, P99: 1.25, Apart: 180, Days: 2}, 3},
}

// measure plays so many worlds of each scenario and prints the delays.
func measure(out io.Writer, worlds int, seed uint64, workers int, md, show bool) error {
	rows := [][]string{{"", "rise", "worlds", "found in 6h", "quarter", "median", "three quarters", "aim", "culprit", "wrong blame"}}
	var all []result
	for _, c := range scenarios {
		results, err := playAll(worlds, workers, func(i int) (result, error) {
			w, err := fleet.NewRise(c.rise, seed+uint64(i))
			if err != nil {
				return result{}, err
			}
			return live(w, time.Minute)
		})
		if err != nil {
			return err
		}
		for who := range names {
			var d delays
			for i := range results {
				d.add(&results[i], who)
			}
			rows = append(rows, d.row(names[who], c))
		}
		all = append(all, results...)
	}
	print(out, rows, md)
	fmt.Fprint(out, `
quarter, median, three quarters: so many of the worlds had a first true shift within these minutes of the onset, which is the culprit's first switch
culprit: the first true shift's leading cause, of the found ones; wrong blame: worlds in which a binary is blamed for what it didn't bring
`)
	if show {
		details(out, all)
	}
	return nil
}

// delays are those of a contestant in the worlds of a scenario.
type delays struct {
	minutes []float64 // +Inf where nothing was found within six hours
	found   part
	culprit part
	spoiled part
}

func (d *delays) add(r *result, who int) {
	var first *said
	spoiled := false
	for _, o := range r.sort(who) {
		spoiled = spoiled || o.wrongly
		if o.shifted == nil || !o.shifted.Worse || o.first == nil || o.first.at.Sub(*r.answer.Onset) > soon {
			continue
		}
		// Of those said at once, the surest of its cause speaks for all.
		if first == nil || o.first.at.Before(first.at) || o.first.at.Equal(first.at) && o.first.sure > first.sure {
			first = o.first
		}
	}
	d.spoiled.count(spoiled)
	d.found.count(first != nil)
	if first == nil {
		d.minutes = append(d.minutes, math.Inf(1))
		return
	}
	d.minutes = append(d.minutes, first.at.Sub(*r.answer.Onset).Minutes())
	d.culprit.count(slices.Contains(r.answer.Culprits, first.binary))
}

func (d *delays) row(who string, c scenario) []string {
	x := slices.Sorted(slices.Values(d.minutes))
	at := func(quarters int) string {
		if m := x[len(x)*quarters/4]; !math.IsInf(m, 1) {
			return fmt.Sprintf("%.0f", m)
		}
		return fmt.Sprintf("over %.0f", soon.Minutes())
	}
	return []string{
		who, c.name, fmt.Sprint(len(x)), percent(d.found), at(1), at(2), at(3), fmt.Sprintf("%.0f", c.aim),
		percent(d.culprit), percent(d.spoiled),
	}
}
