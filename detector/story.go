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

// Stories groups the verdicts of one upgrade that are regressed, and not by what was
// accepted, by the cause that they are told under. The root is a shift of the cause's own service where there is
// one, and among equals the one that is surest. Stories are in order of their
// cause.
func (j *Judge) Stories(upgrade string) []Story {
	groups := map[string][]Verdict{}
	for _, v := range j.Verdicts(upgrade) {
		if v.State == Regressed && v.Accepted == nil && len(v.Causes) > 0 {
			c := v.told()
			groups[c.key()] = append(groups[c.key()], v)
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
		cause := list[0].told()
		for _, v := range list {
			if c := v.told(); c.Probability > cause.Probability {
				cause = c
			}
		}
		out = append(out, Story{Upgrade: upgrade, Cause: cause, Root: list[0], Others: list[1:]})
	}
	return out
}

// suspected is the least probability of a binary under whose name a shift is told
// while no cause is known.
const suspected = 0.2

// told is the cause under which a verdict is told: its leading one, or, where that is
// unknown, the binary that is suspected, so that a story keeps its name when the
// suspect is named.
func (v *Verdict) told() Cause {
	lead := v.Causes[0]
	if lead.Kind == CauseUnknown {
		for _, c := range v.Causes[1:] {
			if c.Kind == CauseBinary && c.Probability >= suspected {
				return c
			}
		}
	}
	return lead
}

// key tells causes apart.
func (c Cause) key() string { return c.Kind + "/" + c.Name }

// rank orders the shifts of a story: own service first, then by how far the
// interval's near end is from no change.
func (j *Judge) rank(v Verdict) float64 {
	r := 0.0
	if v.Effect != nil && v.Effect.Low > 0 {
		r = math.Log(v.Effect.Low)
	}
	c := v.told()
	if c.Kind == CauseBinary && j.services[c.Name][v.Indicator.Service()] {
		r += 100
		if v.Indicator.Kind == Latency {
			r += 10
		}
	}
	return r
}
