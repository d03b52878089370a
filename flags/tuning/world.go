package tuning

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sort"

	"aftershock/detector/hist"
)

// replay is a third party as it was measured: what tunes are tried on.
type replay struct {
	took     latency
	overhead float64 // of the caller's own in each call, ms
	classes  []class
	guesses  []guess
	// unsure is the standard error of how often first attempts fail, as a share of it.
	unsure float64
	seed   uint64
	// bounds are the safe variant's quantiles at watched, ms; 0 until they are known.
	bounds [len(watched)]float64
	// along are those at along, ms.
	along [len(along)]float64
}

// scores stand for a normal distribution of mean 0 and deviation 1: the middles of
// eight parts of it with equal chances, in an order that has nothing to do with that of
// the guesses, which is that of the grid.
var scores = [drawn]float64{-0.496, 0.9, -1.556, 0.16, -0.9, 1.556, -0.16, 0.496}

// first is how often first attempts fail in a class by the n-th guess: as often as was
// counted, which is known so well only.
func (r *replay) first(n int, c class) float64 {
	return c.first * max(1+scores[n%drawn]*r.unsure, 0.1)
}

// unsure is the standard error of how often first attempts fail over all regimes, as a
// share of it, at most a half.
func unsure(regimes []*regime) float64 {
	var all regime
	for _, g := range regimes {
		all.steps = append(all.steps, g.steps...)
	}
	value, sd := all.ratio(func(s Step) float64 { return s.First }, func(s Step) float64 { return s.Calls })
	if !(value > 0) {
		return 0
	}
	return min(sd/value, 0.5)
}

// class is a part of the time with a rate of first failures of its own.
type class struct{ share, first float64 }

// world is the third party that a guess describes, where first attempts fail with
// chance first.
func (r *replay) world(g guess, first float64) party {
	burst, h, outside := g.failing(first)
	slow := min(max(g.slow, 1e-6), 0.5)
	return party{
		burst: burst, h: h, g: outside, burstMemory: g.memory, slow: slow, slowMemory: g.slowMemory,
		took: r.took, failTook: r.took.mean(0, 1-slow),
	}
}

// classify parts steps with outages from the others: those in which first attempts
// fail at least four times as often as in the median call's step, and five did.
func classify(regimes []*regime) []class {
	var all []Step
	calls, first := 0.0, 0.0
	for _, r := range regimes {
		for _, s := range r.steps {
			all = append(all, s)
			calls, first = calls+s.Calls, first+s.First
		}
	}
	rate := func(s Step) float64 { return s.First / max(s.Calls, 1) }
	sort.SliceStable(all, func(i, j int) bool { return rate(all[i]) < rate(all[j]) })
	usual, seen := 0.0, 0.0
	for _, s := range all {
		if seen += s.Calls; seen >= calls/2 {
			usual = rate(s)
			break
		}
	}
	out := class{}
	for _, s := range all {
		if s.First >= 5 && rate(s) >= 4*max(usual, 0.001) {
			out.share, out.first = out.share+s.Calls, out.first+s.First
		}
	}
	if out.share == 0 || out.share >= calls {
		return []class{{1, first / calls}}
	}
	rest := calls - out.share
	return []class{{rest / calls, (first - out.first) / rest}, {out.share / calls, out.first / out.share}}
}

// histogram sums a latency over the steps of the regimes that waited longest for
// an answer, and says for how long, ms.
func histogram(regimes []*regime, key string) (h hist.Histogram, from *regime) {
	for _, r := range regimes {
		if from == nil || r.constants.first() > from.constants.first() {
			from = r
		}
	}
	for _, r := range regimes {
		if r.constants.first() < from.constants.first() {
			continue
		}
		if r.calls > from.calls {
			from = r
		}
		for _, s := range r.steps {
			h = hist.Merge(h, s.latency[key])
		}
	}
	return h, from
}

// ownTime is what the caller's own work adds to each request, ms: by how much the
// requests' latency must be shorter for as many attempts to take longer than the
// caller waits as were given up. ok is false where no regime shows it.
func ownTime(l latency, regimes []*regime) (ms float64, ok bool) {
	best := math.Inf(1)
	for _, r := range regimes {
		patience := r.constants.first()
		if r.retried-r.first < 20 || r.guessed || math.IsInf(patience, 1) || patience > best {
			continue
		}
		best = patience
		ms = l.at(1-(r.retried-r.first)/r.calls) - patience
		ok = true
	}
	return min(max(ms, 0), l.at(0.5)/2), ok
}

// measure makes the latency of attempts out of what was measured, and notes what
// is doubtful in it.
func (r *replay) measure(h hist.Histogram, of string, regimes []*regime, from *regime, t *Result) {
	whole := newLatency(h, 0)
	if of == ofService {
		own, ok := ownTime(whole, regimes)
		r.overhead = own
		if ok {
			t.warn("only the latency of %s' own requests is measured: %.0f ms of it are taken for the service's own, from how many attempts were given up", t.Service, own)
		} else {
			t.warn("only the latency of %s' own requests is measured: all of it is put down to %s", t.Service, t.Peer)
		}
	}
	r.took = newLatency(h, r.overhead)
	if of == ofAttempts {
		r.givenUp(from, t)
		return
	}
	if of == ofCalls {
		t.warn("only the latency of calls is measured: that of attempts is worked out from it")
	}
	r.guesses = []guess{{h: 0.9, alone: 0.06, memory: 700, slow: 0.01, slowMemory: 2000}}
	r.unfold(h, from)
}

// givenUp mends a distribution of attempts that ends where they were given up.
func (r *replay) givenUp(from *regime, t *Result) {
	patience, share := from.constants.first(), (from.retried-from.first)/from.calls
	if math.IsInf(patience, 1) || from.guessed || from.retried < 0 || share < 0.001 || 1-r.took.below(patience) > 0.5*share {
		return
	}
	t.warn("%.2f%% of attempts were given up after %.0f ms: what they would have taken isn't known", 100*share, patience)
	r.took = r.took.beyond(patience, share)
}

// unfold turns the latency of calls into that of attempts: the mass of each bucket
// is multiplied by how much more was measured there than comes out when calls are
// made of the attempts as they stand (W. H. Richardson, "Bayesian-based iterative
// method of image restoration", 1972, with simulated calls for the blurring).
func (r *replay) unfold(h hist.Histogram, from *regime) {
	const rounds, calls = 6, 4000
	total, patience := h.Total(), from.constants.first()
	for n := range rounds {
		p := r.world(r.guesses[len(r.guesses)/2], from.first/from.calls)
		out := p.play(from.constants, 0, calls, rand.New(rand.NewPCG(r.seed, uint64(n))))
		got := make([]float64, len(r.took.cum))
		for bin, m := range out.took {
			mid := edge(bin) * math.Pow(10, 0.5/binsPerDecade)
			if i := sort.SearchFloat64s(r.took.bounds, mid); i < len(got) {
				got[i] += m
			}
		}
		want := newLatency(h, r.overhead)
		if total <= 0 || len(want.cum) != len(got) {
			return
		}
		// No call shows how long attempts take that are given up, but how many they are.
		longer := 1.0
		if over := 1 - r.took.below(patience); over > 0 && !from.guessed && from.retried >= 0 {
			longer = min(max((from.retried-from.first)/from.calls/over, 0.2), 5)
		}
		r.took = r.took.reshape(func(i int) float64 {
			if r.took.bounds[i] > patience {
				return longer
			}
			return min(max(((want.cum[i]-want.cum[i-1])+1e-7)/(got[i]+1e-7), 0.2), 5)
		})
	}
}

// doubts are what a course can't show.
func doubts(regimes []*regime, t *Result) {
	patient := true
	for _, r := range regimes {
		if r.first < 0 {
			t.warn("first attempts that failed aren't counted while %s was in force: taken from the retries", r.variant)
		}
		if r.retried < 0 {
			t.warn("calls with a retry aren't counted while %s was in force: how long bursts last isn't known", r.variant)
		}
		patient = patient && math.IsInf(r.constants.first(), 1)
	}
	if patient {
		t.warn("no attempt was ever given up for taking long: what giving up would do is a guess")
	}
	if len(regimes) == 1 {
		t.warn("one set of constants alone was in force in that time: how long bursts last is known at its waits only")
	}
}

// fillIn replaces what a regime doesn't count. Where only retries are known, half
// of the attempts after a failure are taken to fail again.
func (r *regime) fillIn() {
	if r.first >= 0 {
		return
	}
	r.guessed = true
	share := 1.0
	switch {
	case r.retried >= 0 && r.retries > 0:
		share = r.retried / r.retries
	case r.constants.MaxAttempts > 1:
		share = 0.5 / (1 - math.Pow(0.5, float64(r.constants.MaxAttempts-1)))
	}
	r.first = share * r.retries
	for i := range r.steps {
		r.steps[i].First = share * r.steps[i].Retries
	}
}

func (t *Result) warn(format string, args ...any) {
	t.Warnings = append(t.Warnings, fmt.Sprintf(format, args...))
}
