package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"

	"aftershock/detector"
)

// blame is how well the causes of found, moved indicators of guilty worlds are put
// down, and two simple ways beside it: the latest change on the path, and the binary
// that most onsets of the world's shifts follow (Gandalf's votes, simplified).
type blame struct {
	top1  part // the leading cause is the culprit
	first part // the culprit is the first of the binaries, named or suspected
	top3  part // it is among the first three causes
	names part // a binary leads
	right part // of those, it is the culprit
	last  part // the latest change on the path is the culprit
	votes part // the vote's winner is the culprit
}

// add scores the last word on each found indicator that the culprit moved.
func (b *blame) add(r *result) {
	if r.answer.Culprit == nil {
		return
	}
	culprit := *r.answer.Culprit
	out := r.sort(0)
	winner := vote(r, out)
	for _, o := range out {
		if o.shifted == nil || !o.shifted.Material || o.last == nil {
			continue
		}
		b.top1.count(o.last.binary == culprit)
		b.names.count(o.last.binary != "")
		if o.last.binary != "" {
			b.right.count(o.last.binary == culprit)
		}
		causes := slices.Clone(o.last.causes)
		slices.SortStableFunc(causes, func(x, y detector.Cause) int { return cmp.Compare(y.Probability, x.Probability) })
		binary := slices.IndexFunc(causes, func(c detector.Cause) bool { return c.Kind == detector.CauseBinary })
		at := slices.IndexFunc(causes, func(c detector.Cause) bool { return c.Kind == detector.CauseBinary && c.Name == culprit })
		b.first.count(at >= 0 && at == binary)
		b.top3.count(at >= 0 && at < 3)
		b.last.count(r.paths.latest(o.shifted.Service, o.last.at) == culprit)
		b.votes.count(winner == culprit)
	}
}

// vote lets each shift of a world vote for the binary that was deployed last before
// its likeliest onset.
func vote(r *result, out map[string]*outcome) string {
	votes := map[string]int{}
	for _, o := range out {
		if o.last == nil || o.last.onset == nil {
			continue
		}
		name, found := "", false
		for _, b := range r.record.Binaries {
			if !b.DeployedAt.After(o.last.onset.At) {
				name, found = b.Name, true
			}
		}
		if found {
			votes[name]++
		}
	}
	best := ""
	for _, b := range r.record.Binaries {
		if votes[b.Name] > votes[best] {
			best = b.Name
		}
	}
	return best
}

// attribution prints the table of blame over the guilty worlds, by roll-out, by the
// number of changed binaries and by what else went on.
func attribution(out io.Writer, results []result, md bool) {
	groups := []struct {
		name string
		has  func(r *result) bool
	}{
		{"all", func(*result) bool { return true }},
		{"one after the other", func(r *result) bool { return !together(r) }},
		{"all at once", together},
		{"2 binaries", func(r *result) bool { return len(r.record.Binaries) <= 2 }},
		{"3 binaries", func(r *result) bool { return len(r.record.Binaries) == 3 }},
		{"4 and more", func(r *result) bool { return len(r.record.Binaries) > 3 }},
		{"nothing beside", func(r *result) bool { return len(r.answer.Besides) == 0 }},
		{"trouble beside", func(r *result) bool { return len(r.answer.Besides) > 0 }},
	}
	rows := [][]string{{"guilty worlds", "shifts", "top-1", "first binary", "top-3", "names one", "right then", "latest change", "votes"}}
	for _, g := range groups {
		var b blame
		for i := range results {
			if g.has(&results[i]) {
				b.add(&results[i])
			}
		}
		if b.top1.all == 0 {
			continue
		}
		row := []string{g.name, fmt.Sprint(b.top1.all)}
		for _, p := range []part{b.top1, b.first, b.top3, b.names, b.right, b.last, b.votes} {
			row = append(row, percent(p))
		}
		rows = append(rows, row)
	}
	fmt.Fprintln(out)
	print(out, rows, md)
	var s score
	for i := range results {
		s.add(&results[i], 0)
	}
	fmt.Fprintf(out, "\nExpected calibration error of the leading cause: %.3f\n", s.miscalibration())
}

// together says whether all binaries went out in the same minute.
func together(r *result) bool {
	for _, b := range r.record.Binaries {
		if !b.DeployedAt.Equal(r.record.Binaries[0].DeployedAt) {
			return false
		}
	}
	return true
}

// miscalibration is the expected calibration error over the bins of probability:
// the mean distance of what was claimed from what was true, weighted by how often
// it was claimed (Naeini, Cooper, Hauskrecht 2015).
func (s *score) miscalibration() float64 {
	sum, n := 0.0, 0
	for _, b := range s.sure {
		sum += math.Abs(b.sum - float64(b.of))
		n += b.all
	}
	return sum / math.Max(1, float64(n))
}
