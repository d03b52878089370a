package series

import (
	"sort"
	"time"

	"aftershock/detector"
)

// fold takes all samples up to hi into the cells, and says whether there were
// any.
func (f *Fold) fold(hi int64) bool {
	told := false
	for _, c := range f.ups {
		told = c.takeUntil(hi) || told
	}
	for _, in := range f.people {
		told = in.learn(hi) || told
	}
	for _, fm := range f.order {
		told = f.foldFamily(fm, hi) || told
	}
	return told
}

// frame makes the frame of the step that ends at hi from the cells.
func (f *Fold) frame(hi int64) detector.Frame {
	if f.unsorted {
		f.unsorted = false
		sort.SliceStable(f.sorted, func(i, j int) bool {
			a, b := f.sorted[i], f.sorted[j]
			switch {
			case a.indicator != b.indicator:
				return a.indicator.key < b.indicator.key
			case a.inst != b.inst:
				return a.inst.key < b.inst.key
			}
			return a.version < b.version
		})
	}
	fr := detector.Frame{Time: time.UnixMilli(hi).UTC(), Step: f.cfg.Step}
	fr.Points = make([]detector.Point, 0, len(f.sorted))
	for _, c := range f.sorted {
		fr.Points = c.points(fr.Points)
	}
	for _, e := range f.sortedEdge {
		if e.seen {
			fr.Calls = append(fr.Calls, detector.Call{Client: e.client, Server: e.server, Count: e.count})
		}
		e.seen, e.count = false, 0
	}
	for _, in := range f.people {
		fr.Builds = in.buildsAt(hi, f.step, f.lookback, fr.Builds)
	}
	sort.SliceStable(fr.Builds, func(i, j int) bool {
		a, b := fr.Builds[i], fr.Builds[j]
		return a.Binary < b.Binary || a.Binary == b.Binary && a.Instance < b.Instance
	})
	fr.Up, fr.Targets = f.upsAt(hi)
	return fr
}
