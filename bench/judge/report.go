package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"aftershock/bench/fleet"
)

var head = []string{"", "kind", "worlds", "wrong blame", "found", "snr>=4 in 6h", "snr 2..4", "delay", "onset", "effect", "wrong clear", "culprit"}

// report prints the table of all contestants.
func report(out io.Writer, results []result, md bool) {
	rows := [][]string{head}
	for who := range names {
		for _, group := range groups(results) {
			var s score
			for _, r := range group.of {
				s.add(r, who)
			}
			rows = append(rows, s.row(names[who], group.name, len(group.of), who == 0))
		}
	}
	print(out, rows, md)
	fmt.Fprintln(out)
	legend(out)
	var s score
	for i := range results {
		s.add(&results[i], 0)
	}
	fmt.Fprintln(out)
	rows = [][]string{{"leading cause's probability", "shifts", "mean", "true"}}
	for i, b := range s.sure {
		if b.all > 0 {
			upper := 1.0
			if i+1 < len(edges) {
				upper = edges[i+1]
			}
			rows = append(rows, []string{
				fmt.Sprintf("%.2f to %.2f", edges[i], upper), fmt.Sprint(b.all), fmt.Sprintf("%.2f", b.sum/float64(b.all)), percent(b.part),
			})
		}
	}
	print(out, rows, md)
	var sim, judged, ruled time.Duration
	indicators := 0
	for _, r := range results {
		sim, judged, ruled, indicators = sim+r.simulating, judged+r.judging, ruled+r.ruled, indicators+r.indicators
	}
	n := time.Duration(len(results))
	fmt.Fprintf(out, "\nA world in the mean: %d indicators; %.2f s to simulate, %.2f s to judge, %.2f s for the two rules.\n",
		indicators/len(results), (sim / n).Seconds(), (judged / n).Seconds(), (ruled / n).Seconds())
}

func legend(out io.Writer) {
	fmt.Fprint(out, `wrong blame: worlds in which a binary is the leading cause of a worsening that it didn't bring (in brackets: of how many indicators)
found: of the indicators made worse by a ratio of at least 1.1; of those that stand out, within 6 h; of those with snr 2 to 4
delay: median minutes from the onset to the first true shift, over the guilty worlds in which there was one
onset, effect: last word's intervals that hold the truth; culprit: last word's leading cause, of the found ones
`)
}

type group struct {
	name string
	of   []*result
}

// groups are the worlds by kind, then the guilty and the innocent ones.
func groups(results []result) []group {
	var out []group
	add := func(name string, has func(kind string) bool) {
		g := group{name: name}
		for i := range results {
			if has(results[i].kind) {
				g.of = append(g.of, &results[i])
			}
		}
		if len(g.of) > 0 {
			out = append(out, g)
		}
	}
	for _, k := range fleet.AllKinds() {
		add(k, func(kind string) bool { return kind == k })
	}
	add("all guilty", fleet.Guilty)
	add("all innocent", func(kind string) bool { return !fleet.Guilty(kind) })
	return out
}

func (s *score) row(who, kind string, worlds int, words bool) []string {
	row := []string{who, kind, fmt.Sprint(worlds), fmt.Sprintf("%d (%d)", s.spoiled.of, s.wrong), percent(s.found), percent(s.stands), percent(s.middling)}
	delay := "-"
	if len(s.delays) > 0 {
		delay = fmt.Sprintf("%.0f (%d/%d)", median(s.delays), s.first.of, s.first.all)
	}
	row = append(row, delay)
	if !words {
		return append(row, "-", "-", "-", percent(s.culprit))
	}
	return append(row, percent(s.onset), percent(s.effect), percent(s.cleared), percent(s.culprit))
}

func percent(p part) string {
	if p.all == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f%% (%d/%d)", 100*p.share(), p.of, p.all)
}

// print prints rows as a table, the first as its head.
func print(out io.Writer, rows [][]string, md bool) {
	wide := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, c := range r {
			wide[i] = max(wide[i], len(c))
		}
	}
	for n, r := range rows {
		var b strings.Builder
		for i, c := range r {
			if md {
				b.WriteString("| ")
			}
			fmt.Fprintf(&b, "%-*s  ", wide[i], c)
		}
		line := strings.TrimRight(b.String(), " ")
		if md {
			line += " |"
		}
		fmt.Fprintln(out, line)
		if md && n == 0 {
			fmt.Fprintln(out, strings.Repeat("| --- ", len(r))+"|")
		}
	}
}

// details lists what went wrong, world by world.
func details(out io.Writer, results []result) {
	for i := range results {
		r := &results[i]
		fmt.Fprintf(out, "\n%s seed %d: %s, upgrade %s", r.kind, r.seed, strings.Join(r.answer.Changed, " "), r.record.StartedAt.Format("01-02 15:04"))
		if r.answer.Onset != nil {
			fmt.Fprintf(out, ", culprits %v from %s", r.answer.Culprits, r.answer.Onset.Format("01-02 15:04"))
		}
		fmt.Fprintf(out, " %s\n", strings.Join(r.answer.Besides, "; "))
		got := r.sort(0)
		keys := make([]string, 0, len(got))
		for k := range got {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			o := got[k]
			says := func(s *said) string {
				x := math.NaN()
				if s.effect != nil {
					x = s.effect.Ratio
				}
				return fmt.Sprintf("%s x%.2f %s (%.0f%%)", s.at.Format("01-02 15:04"), x, s.cause, 100*s.sure)
			}
			switch {
			case o.wrongly:
				fmt.Fprintf(out, "  WRONG   %s: %s\n", k, says(o.blamed))
			case o.shifted == nil || !o.shifted.Material:
			case o.first == nil:
				fmt.Fprintf(out, "  missed  %s: true x%.2f snr %.1f\n", k, o.shifted.Ratio, o.shifted.SNR)
			case !slices.Contains(o.shifted.Culprits, o.last.binary):
				fmt.Fprintf(out, "  blames  %s: true x%.2f by %v; first %s, last %s\n", k, o.shifted.Ratio, o.shifted.Culprits, says(o.first), says(o.last))
			default:
				fmt.Fprintf(out, "  found   %s: true x%.2f snr %.1f; first %s\n", k, o.shifted.Ratio, o.shifted.SNR, says(o.first))
			}
		}
	}
}
