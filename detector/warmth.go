package detector

import (
	"math"

	"aftershock/detector/stat"
)

// The nuisances of a course: warm-ups of the indicator's own service, those of
// services that it calls, and what tells instances from one another.
const (
	ownWarmUps = 3
	warmUps    = ownWarmUps + 2
	apart      = warmUps
)

// warmPrior are the variances of the log ratio that the courses of a warm-up, from
// quick to slow, may add at their height, and of how much instances differ by
// themselves, where one request in a hundred is bad.
var warmPrior = [stat.Nuisances]float64{4, 4, 2, 2, 2, 0.02}

// priors are warmPrior for another share of bad requests. Of latencies with an
// exponential tail, those of an instance that is slower by a factor f exceed a bound
// with the share to the power of 1/f: the log ratio goes with the share's logarithm.
func priors(list []Block, k int) (out [stat.Nuisances]float64) {
	bad, total := 0.0, 0.0
	for i := range list {
		if list[i].Exp[k] > 0 {
			bad += float64(list[i].Exp[k])
			total += float64(list[i].Total)
		}
	}
	x := 1.0
	if bad > 0 && total > 0 {
		x = math.Max(0.1, math.Min(7, -math.Log(bad/total))) / -math.Log(0.01)
	}
	for m, v := range warmPrior {
		out[m] = v * x * x
	}
	return out
}

// warmMemories are the times over which the courses fall, over what an instance is
// given to warm up. Few warm-ups are exponential: far in a tail the logarithm falls
// late and steeply. A sum of two or three comes near.
var warmMemories = [warmUps]float64{0.25, 0.6, 1.2, 0.35, 1}

// restart is one of a share of a service's instances.
type restart struct {
	at    int64
	share float64
	own   bool // of the indicator's own service
	first bool // of its service
}

// warmth is the course of warm-ups: for each restart exp(-time/memory), by the
// share of the service's instances that restarted.
type warmth struct {
	restarts []restart
	// memories are in nanoseconds, 0 for a course that the indicator doesn't take.
	memories [warmUps]float64
}

func (w *warmth) in(begin, end int64) (c [stat.Nuisances]float64) {
	if w == nil {
		return c
	}
	for _, r := range w.restarts {
		if end <= r.at {
			continue
		}
		// The mean over the bin, 0 before the restart.
		from, to := math.Max(0, float64(begin-r.at)), float64(end-r.at)
		for m, memory := range w.memories {
			if from < 8*memory && m < ownWarmUps == r.own {
				c[m] += memory * (math.Exp(-from/memory) - math.Exp(-to/memory)) / float64(end-begin) * r.share
			}
		}
	}
	return c
}

// own is the share of its instances, of those that are known to switch, that the
// indicator's own service has restarted by an instant.
func (w *warmth) own(end int64) float64 {
	sum := 0.0
	if w != nil {
		for _, r := range w.restarts {
			if r.own && r.at < end {
				sum += r.share
			}
		}
	}
	return sum
}

// renewed is by how much the sizes of warm-ups may differ in a bin from those
// before: each service that is called warms up by itself.
func (w *warmth) renewed(begin, end int64, prior *[stat.Nuisances]float64) (v [stat.Nuisances]float64) {
	if w == nil {
		return v
	}
	for _, r := range w.restarts {
		if r.first && !r.own && r.at >= begin && r.at < end {
			copy(v[ownWarmUps:warmUps], prior[ownWarmUps:warmUps])
		}
	}
	return v
}

// warm says whether a restarted instance is warming up at an instant. What falls
// within minutes must not be averaged over many.
func (w *warmth) warm(at int64) bool {
	if w == nil {
		return false
	}
	for _, r := range w.restarts {
		if at > r.at && float64(at-r.at) < 4*max(w.memories[ownWarmUps-1], w.memories[warmUps-1]) {
			return true
		}
	}
	return false
}
