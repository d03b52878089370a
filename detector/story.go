package detector

import (
	"math"
	"sort"
)

// Story is one cause with all the shifts that are put down to it: the root
// first, those downstream under it.
type Story struct {
	Upgrade string
	Cause   Cause
	Root    Verdict
	Others  []Verdict
}

// Stories groups the verdicts of one upgrade that are regressed by their
// leading cause. The root is a shift of the cause's own service where there is
// one, and among equals the one that is surest. Stories are in order of their
// cause.
func (j *Judge) Stories(upgrade string) []Story {
	groups := map[string][]Verdict{}
	for _, v := range j.Verdicts(upgrade) {
		if v.State == Regressed && len(v.Causes) > 0 {
			key := v.Causes[0].Kind + "/" + v.Causes[0].Name
			groups[key] = append(groups[key], v)
		}
	}
	keys := make([]string, 0, len(groups))
	for k := range groups {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	var out []Story
	for _, k := range keys {
		list := groups[k]
		sort.SliceStable(list, func(a, b int) bool { return j.rank(list[a]) > j.rank(list[b]) })
		out = append(out, Story{Upgrade: upgrade, Cause: list[0].Causes[0], Root: list[0], Others: list[1:]})
	}
	return out
}

// rank orders the shifts of a story: own service first, then by how far the
// interval's near end is from no change.
func (j *Judge) rank(v Verdict) float64 {
	r := 0.0
	if v.Effect != nil && v.Effect.Low > 0 {
		r = math.Log(v.Effect.Low)
	}
	c := v.Causes[0]
	if c.Kind == CauseBinary && j.services[c.Name][v.Indicator.Service()] {
		r += 100
		if v.Indicator.Kind == Latency {
			r += 10
		}
	}
	return r
}
