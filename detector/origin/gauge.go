package origin

import (
	"math"
	"slices"
)

// shift is how far a series has moved to the worse in some rows.
type shift struct {
	// known says that there were values to compare.
	known bool
	// e is the e-value against "nothing has moved": 0.5 where it moved to the
	// better, growing with the rarity of the rows.
	e float64
	// p is the p-value that e was made of, out of so many windows.
	p       float64
	windows int
	// now and was are the means of the rows, seen and expected.
	now, was float64
}

// likely is the chance that the series has moved, one in two beforehand.
func (s shift) likely() float64 {
	if !s.known {
		return 0
	}
	return s.e / (1 + s.e)
}

// span is a run of rows, counted from an onset.
type span struct{ from, to int }

// scan stands for the run at which the series itself is furthest off.
var scan = span{-1, -1}

// gauge holds a window of a series, so many rows before an onset and so many
// since, against all such windows of normal times.
type gauge struct {
	s                    scores
	normal, before, rows int
	usual                []float64 // how far off normal rows are before an onset, in order
	lean                 map[int]float64
	null                 map[span]nulls
}

// nulls are the scores of the windows of normal times: by window, and in order.
type nulls struct{ by, sorted []float64 }

func (q *Question) gauge(s scores) *gauge {
	g := &gauge{
		s: s, normal: q.Normal, before: q.Onset - q.Normal, rows: len(q.Times) - q.Onset,
		lean: map[int]float64{}, null: map[span]nulls{},
	}
	for i := 0; g.before > 0 && i+g.before <= q.Normal; i++ {
		if d := s.off(i, i+g.before); !math.IsNaN(d) {
			g.usual = append(g.usual, math.Abs(d))
		}
	}
	slices.Sort(g.usual)
	return g
}

// expect is how far off the rows since an onset are expected to be, by those
// just before it. They are believed as far as they are rare themselves: what
// has changed for good since the normal times mustn't be taken for the trouble,
// but a few ordinary rows say little about the next.
func (g *gauge) expect(onset int) float64 {
	if g.before == 0 {
		return 0
	}
	if d, ok := g.lean[onset]; ok {
		return d
	}
	d := g.s.off(onset-g.before, onset)
	if math.IsNaN(d) {
		d = 0
	}
	e := evalue(rank(atLeast(g.usual, math.Abs(d)), len(g.usual)))
	d *= max(0, 1-1/e)
	g.lean[onset] = d
	return d
}

// worst is the run of rows since an onset at which the series is furthest off: a
// trouble may begin after it was noticed, and end before the last row.
func (g *gauge) worst(onset int) span {
	best, run, off := math.Inf(-1), span{0, g.rows}, g.expect(onset)
	for a := range g.rows {
		for b := a + 1; b <= g.rows; b++ {
			if v := g.s.score(off, onset+a, onset+b); v > best {
				best, run = v, span{a, b}
			}
		}
	}
	return run
}

// score is how bad the rows of a run are.
func (g *gauge) score(onset int, run span) float64 {
	if run == scan {
		run = g.worst(onset)
	}
	return g.s.score(g.expect(onset), onset+run.from, onset+run.to)
}

// onsets are where windows of normal times may have theirs.
func (g *gauge) onsets() (from, to int) { return g.before, g.normal - g.rows + 1 }

func (g *gauge) nulls(run span) nulls {
	if n, ok := g.null[run]; ok {
		return n
	}
	var n nulls
	from, to := g.onsets()
	for o := from; o < to; o++ {
		v := g.score(o, run)
		n.by = append(n.by, v)
		if !math.IsNaN(v) {
			n.sorted = append(n.sorted, v)
		}
	}
	slices.Sort(n.sorted)
	g.null[run] = n
	return n
}

// at measures the window with an onset, over a run of its rows. The p-value is
// its rank: the share of normal windows that score as high, itself counted among
// them. No assumption is made on the distribution, and nothing is rarer than once
// in all windows. What isn't worse than expected (not above 0) isn't rare. A
// window of normal times is held against those that share no row with it.
func (g *gauge) at(onset int, run span) shift {
	out := shift{p: 1, e: evalue(1)}
	score, n := g.score(onset, run), g.nulls(run)
	if math.IsNaN(score) || len(n.sorted) == 0 {
		return out
	}
	as, all := atLeast(n.sorted, score), len(n.sorted)
	from, _ := g.onsets()
	near := g.before + g.rows - 1
	for i := max(onset-near-from, 0); i < min(onset+near+1-from, len(n.by)); i++ {
		if v := n.by[i]; !math.IsNaN(v) {
			all--
			if v >= score {
				as--
			}
		}
	}
	if all < 1 {
		return out
	}
	out.known, out.windows = true, all
	if score > 0 {
		out.p = rank(as, all)
	}
	out.e = evalue(out.p)
	if run == scan {
		run = g.worst(onset)
	}
	out.now = g.s.size(onset+run.from, onset+run.to)
	out.was = g.s.expected(g.expect(onset), onset+run.from, onset+run.to)
	return out
}

// atLeast counts the values, which are in order, that are as high as v.
func atLeast(sorted []float64, v float64) int {
	i, _ := slices.BinarySearch(sorted, v)
	return len(sorted) - i
}

// rank is the p-value of what so many of all others are as high as.
func rank(as, all int) float64 { return float64(as+1) / float64(all+1) }

// evalue calibrates a p-value, see the package's comment. It falls from infinity
// to 1/2.
func evalue(p float64) float64 {
	if p > 0.999 { // the formula cancels to 0/0 at 1
		return 0.5
	}
	l := math.Log(p)
	return (1 - p + p*l) / (p * l * l)
}
