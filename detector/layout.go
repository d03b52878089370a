package detector

import (
	"math"
	"slices"

	"aftershock/detector/hist"
)

const (
	// strandedSteps is how many steps in a row must support none of the watched
	// bounds before others are taken: one odd step is no new layout.
	strandedSteps = 5
	// leastTail and mostTail are the shares of slower requests that a bound which both
	// layouts have may stand for.
	leastTail, mostTail = 0.0005, 0.6
)

// follow sees to it that an indicator whose buckets have changed is watched at bounds
// that its new layout has, in the trials that are under way as well. While it isn't
// sure of a new layout the baseline learns nothing of it.
func (t *Track) follow(trials []*Trial) {
	if !t.Chosen || t.Smooth != nil || t.Indicator.Kind != Latency || !(t.scratch.total > 0) {
		return
	}
	if !t.lost() {
		t.Stranded = 0
		return
	}
	if t.Stranded++; t.Stranded < strandedSteps {
		return
	}
	t.Stranded = 0
	if !t.resettle(trials) {
		t.restart(trials)
	}
}

// lost says whether the step's buckets support none of the watched bounds.
func (t *Track) lost() bool {
	for _, x := range t.Bounds {
		if _, ok := t.scratch.hist.AboveBound(x); ok && !math.IsNaN(x) {
			return false
		}
	}
	return true
}

// resettle moves an indicator whose buckets have changed, and the trials of it, to
// the bounds that both the baseline and the new layout have: those nearest to the
// tails. A bound takes over the noise, the daily wave and the load term of the one
// that it stands in for, and has the level that the baseline's distribution gives
// it. Without a bound in common it answers false: there is nothing to compare.
func (t *Track) resettle(trials []*Trial) bool {
	total := t.Base.Total()
	if !(total > 0) {
		return false
	}
	above := func(x float64) (share float64, ok bool) {
		least, most := t.Base.Above(x)
		return least / total, least == most && least > 0
	}
	var shared []float64
	for _, x := range t.scratch.hist.Bounds {
		if share, ok := above(x); ok && share >= leastTail && share <= mostTail && !math.IsInf(x, 1) {
			shared = append(shared, x)
		}
	}
	if len(shared) == 0 {
		return false
	}
	for k, old := range t.Bounds {
		was, ok := above(old)
		i := nearest(shared, math.Log(tails[k]), above)
		if !ok || i < 0 {
			t.forsake(k, trials)
			continue
		}
		share, _ := above(shared[i])
		t.Models[k].Beta[0] += math.Log(share / was)
		t.Bounds[k], t.Bins[k] = shared[i], Bin{}
		for _, tr := range trials {
			tr.Lines[k].Beta[0] += math.Log(share / was)
			tr.Bounds[k] = shared[i]
		}
		shared = slices.Delete(shared, i, i+1)
	}
	return true
}

// restart begins a new baseline, with nothing to compare with the one before.
func (t *Track) restart(trials []*Trial) {
	for k := range t.Bounds {
		t.forsake(k, trials)
		t.Strays[k] = Stray{}
	}
	t.Chosen, t.Base, t.Early, t.Recent = false, hist.Histogram{}, nil, Recent{}
	t.First, t.Steps = t.scratch.at, 0
}

// forsake gives up bound k.
func (t *Track) forsake(k int, trials []*Trial) {
	t.Bounds[k], t.Models[k], t.Bins[k] = math.NaN(), Model{}, Bin{}
	for _, tr := range trials {
		tr.Bounds[k], tr.Lines[k] = math.NaN(), Line{}
	}
}

// nearest is the place of the bound whose log share is nearest to log, -1 where
// there is none.
func nearest(list []float64, log float64, above func(float64) (float64, bool)) int {
	best, gap := -1, math.Inf(1)
	for i, x := range list {
		share, _ := above(x)
		if d := math.Abs(math.Log(share) - log); d < gap {
			best, gap = i, d
		}
	}
	return best
}
