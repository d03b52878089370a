package detector

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"
)

// The causes of a shift are weighed by Bayes' rule. A way is one in which a cause
// may have brought the shift: when it began, and along which course. Its weight is
//
//	p * BF * N * (W + Z) / (1 + Z)
//
// p being its chance beforehand, and BF the Bayes factor of the shift along that
// course over none. The upgrade's other indicators are witnesses: each moved along,
// or should have and did not, prod over o of [1 - q_o + q_o BF_o] = W * N, with W the
// factors over one and N those under. Z is the sum of p * W * N over all ways of all
// causes. So witnesses tell causes from one another; that one of them is at work
// becomes as good as certain, and not more, however many bear it out; and what began
// here at another time may have a cause of its own beside it.
//
// A binary's onset is its deployment, instance by instance; the others may begin at
// any time. So a binary is blamed for what moved as its instances switched, where
// its call path goes and nowhere else.

// Priors. Chances a day are of one such trouble that moves an indicator; a day is
// one of minutes, as steps usually are: troubles don't come faster where the demo
// compresses the daily wave.
const (
	rateSteps       = 1440
	binaryPrior     = 0.05 // that one of the binaries on the path moves it
	lateShare       = 0.01 // of those, that it shows only later, at any time
	queueShare      = 0.1  // of those, that it shows with load
	roughShare      = 0.15 // of those, that it begins at some time in the roll-out
	returnsDaily    = 2    // that what it was named for comes back
	unknownDaily    = 0.03 // at least; more where placebos say so
	thirdPartyDaily = 0.2
	environDaily    = 0.15
	loadPrior       = 0.15 // that a jump of load moves it
	driftPrior      = 0.05
	earlierDaily    = 0.05
)

// Chances that a cause moves an indicator.
const (
	movesOwn      = 0.6  // of the service where the cause sits
	movesUpstream = 0.45 // of those that call it
	movesPerhaps  = 0.05 // of those that may call it, where nobody knows who calls whom
	movesSame     = 0.95 // of them, on the route and of the kind of the shift
	movesElse     = 0.01
	movesPeer     = 0.8 // retries of the third party
	movesAll      = 0.8 // latency, by the environment
	movesByLoad   = 0.35
	movesBeside   = 0.1 // what isn't latency, by the environment or load
	reverses      = 0.3 // in the other direction, of those that a binary moves
)

// witness is the most that one route's other indicators may say, as a log Bayes
// factor, and elsewise the chance that an indicator moved by some other cause.
const (
	witness  = 5
	elsewise = 0.1
)

// way is one in which a cause may have brought the shift; all are logarithms.
type way struct{ p, bf, plus, minus float64 }

// hypothesis is one suspected cause.
type hypothesis struct {
	kind, name string
	ways       []way
	why        []string
	foreseen   string // what of it was foreseen before the upgrade
}

// weigh answers the log weights of the hypotheses.
func weigh(all []hypothesis) []float64 {
	z := math.Inf(-1)
	for _, h := range all {
		for _, w := range h.ways {
			z = logAdd(z, w.p+w.plus+w.minus)
		}
	}
	out := make([]float64, len(all))
	for i, h := range all {
		out[i] = math.Inf(-1)
		for _, w := range h.ways {
			out[i] = logAdd(out[i], w.p+w.bf+w.minus+logAdd(w.plus, z)-logAdd(0, z))
		}
	}
	return out
}

// hearing is the weighing of one shift.
type hearing struct {
	s      *scene
	m      *sight
	others []*sight
	// list are the readings of m that are likely enough as onsets.
	list []int
	day  float64 // nanoseconds
}

// causes weighs every suspect for the shift of m; the answer is normalised and in
// order of probability.
func (j *Judge) causes(s *scene, m moved) ([]Cause, *Onset) {
	h := j.hear(s, m)
	if h == nil {
		return []Cause{{Kind: CauseUnknown, Probability: 1}}, nil
	}
	var all []hypothesis
	suspects := s.suspects(&h.m.moved)
	for _, k := range suspects {
		all = append(all, h.binary(k, len(suspects)))
	}
	jumps := math.Max(unknownDaily, j.jumps(m.track.noiseKind()))
	all = append(all, h.thirdParty(math.Max(thirdPartyDaily, j.jumps(Retry)))...)
	all = append(all, h.load(), h.environment())
	all = append(all, h.flipped()...)
	all = append(all, h.scheduled()...)
	all = append(all, h.migrated()...)
	all = append(all, h.places(CauseEarlier, h.earlier))
	all = append(all, h.places(CauseUnknown, func(f func(Indicator) float64) []way {
		return h.anytime(f, jumps, h.since(), h.s.now.UnixNano())
	}))
	weights := weigh(all)
	total := math.Inf(-1)
	for _, w := range weights {
		total = logAdd(total, w)
	}
	out := make([]Cause, 0, len(all))
	for i, c := range all {
		out = append(out, Cause{Kind: c.kind, Name: c.name, Probability: math.Exp(weights[i] - total), Why: c.why, Foreseen: c.foreseen})
	}
	out = ranked(fold(out))
	if i := slices.IndexFunc(out, func(c Cause) bool { return c.Kind == CauseBinary }); i >= 0 {
		if text := h.tie(out); text != "" {
			out[i].Why = append(out[i].Why, text)
		}
	}
	if out[0].Kind == CauseBinary {
		out[0].Cleared = h.cleared(out)
	}
	return out, h.onset()
}

func ranked(list []Cause) []Cause {
	sort.SliceStable(list, func(a, b int) bool { return list[a].Probability > list[b].Probability })
	return list
}

// fold adds the causes beside the binaries up to one that is unknown, where none
// of them stands out: that it was something else may be likelier than any binary,
// even where nothing tells what.
func fold(list []Cause) []Cause {
	total, top := 0.0, 0.0
	for _, c := range list {
		if c.Kind != CauseBinary {
			total += c.Probability
			top = math.Max(top, c.Probability)
		}
	}
	if top > total/2 {
		return list
	}
	var out []Cause
	unknown := Cause{Kind: CauseUnknown, Probability: total}
	for _, c := range list {
		if c.Kind == CauseBinary {
			out = append(out, c)
			continue
		}
		if c.Kind != CauseUnknown && c.Probability > total/10 {
			unknown.Why = append(unknown.Why, fmt.Sprintf("with %.0f%% it may be %s", 100*c.Probability, strings.TrimSpace(c.Kind+" "+c.Name)))
		}
	}
	return append(out, unknown)
}

// hear gathers the witnesses.
func (j *Judge) hear(s *scene, m moved) *hearing {
	d := 0
	if m.trial.Verdict.Direction == Better {
		d = 1
	}
	h := &hearing{s: s, day: rateSteps * float64(s.cfg.Step)}
	for i := range s.all {
		if s.all[i].trial == m.trial {
			h.m = j.sight(s, i, d)
		}
	}
	if h.m == nil {
		return nil
	}
	for i := range s.all {
		if s.all[i].trial == m.trial || len(h.others) >= mostSights {
			continue
		}
		if v := j.sight(s, i, d); v != nil {
			v.reverse = j.sight(s, i, 1-d)
			h.others = append(h.others, v)
		}
	}
	// A shift that is found after a flip began after it.
	top := math.Inf(-1)
	after := int64(0)
	if !m.trial.Treated.IsZero() {
		after = m.trial.Treated.UnixNano()
	}
	ok := func(i int) bool { return h.m.end[i] > after }
	for i, b := range h.m.step {
		if ok(i) {
			top = math.Max(top, math.Max(b, h.m.ramp[i]))
		}
	}
	for i, b := range h.m.step {
		if ok(i) && math.Max(b, h.m.ramp[i]) > top-8 {
			h.list = append(h.list, i)
		}
	}
	if len(h.list) == 0 {
		return nil
	}
	return h
}

// since is when a shift after the upgrade may have begun.
func (h *hearing) since() int64 {
	return h.s.upgrade.StartedAt.Add(-h.s.cfg.Step).UnixNano()
}

// along is how the other indicators bear out that a cause moved them, and how they
// gainsay it: says gives an indicator's log Bayes factor. Indicators of one route
// see the same requests, so that together they are one witness.
func (h *hearing) along(moves func(Indicator) float64, says func(o *sight) float64) (plus, minus float64) {
	return h.borne(func(o *sight) float64 { return attest(moves(o.track.Indicator), says(o), o.any) })
}

// follow is along of a shift that goes with the exposure to binary k. What a new
// build changes may get better here as it gets worse there: who retries more often
// fails less.
func (h *hearing) follow(moves func(Indicator) float64, k int) (plus, minus float64) {
	return h.borne(func(o *sight) float64 {
		log, any := o.along[k], o.any
		if r := o.reverse; r != nil {
			log = logAdd(log+math.Log(1-reverses), r.along[k]+math.Log(reverses))
			any = math.Max(any, r.any)
		}
		return attest(moves(o.track.Indicator), log, any)
	})
}

// borne adds up what the other indicators attest, by groups.
func (h *hearing) borne(attests func(o *sight) float64) (plus, minus float64) {
	sums := map[string]float64{}
	var order []string // of the groups: sums depend on it in their last digits
	for _, o := range h.others {
		if _, ok := sums[o.group]; !ok {
			order = append(order, o.group)
		}
		sums[o.group] += attests(o)
	}
	for _, group := range order {
		x := sums[group]
		plus += math.Max(0, math.Min(witness, x))
		minus += math.Min(0, math.Max(-witness, x))
	}
	return plus, minus
}

// at is along of what began with an instant.
func (h *hearing) at(moves func(Indicator) float64, t int64) (plus, minus float64) {
	return h.along(moves, func(o *sight) float64 { return o.step[o.at(t)] })
}

// attest is the log Bayes factor of a cause that moves an indicator with chance q,
// where log says so, over none: whatever the cause, something else may have moved
// it as well, with any saying so.
func attest(q, log, any float64) float64 {
	other := logAdd(math.Log(1-elsewise), math.Log(elsewise)+any)
	return logAdd(math.Log(1-q), math.Log(q)+log-other)
}

// anytime are the onsets in [from, to], at a rate a day.
func (h *hearing) anytime(moves func(Indicator) float64, daily float64, from, to int64) []way {
	var out []way
	for _, i := range h.list {
		b, e := max(h.m.begin[i], from), min(h.m.end[i], to)
		if e > b {
			plus, minus := h.at(moves, h.m.begin[i])
			out = append(out, way{math.Log(daily * float64(e-b) / h.day), h.m.step[i], plus, minus})
		}
	}
	return out
}

// somewhen is the mean Bayes factor of an onset in [from, to].
func (h *hearing) somewhen(from, to int64) float64 {
	sum := math.Inf(-1)
	for _, i := range h.list {
		if b, e := max(h.m.begin[i], from), min(h.m.end[i], to); e > b {
			sum = logAdd(sum, h.m.step[i]+math.Log(float64(e-b)))
		}
	}
	return sum - math.Log(math.Max(1, float64(to-from)))
}

// earlier are the steps and slopes that began before the upgrade.
func (h *hearing) earlier(moves func(Indicator) float64) []way {
	end := h.s.upgrade.StartedAt.Add(-2 * h.s.cfg.Step).UnixNano()
	out := h.anytime(moves, earlierDaily, 0, end)
	for _, i := range h.list {
		if t := h.m.begin[i]; t < end {
			plus, minus := h.along(moves, func(o *sight) float64 { return math.Max(o.step[o.at(t)], o.ramp[o.at(t)]) })
			out = append(out, way{math.Log(driftPrior * float64(h.m.end[i]-t) / h.day), h.m.ramp[i], plus, minus})
		}
	}
	return out
}

// from is the chance to move of an indicator by something in a set of services. What
// brought the shift of one route is met all along the route, from where it sits up.
func (h *hearing) from(services map[string]bool) func(Indicator) float64 {
	own, upstream := h.m.track.Indicator, movesUpstream
	if !h.s.graph.Known() {
		upstream = movesPerhaps
	}
	return func(i Indicator) float64 {
		q := movesElse
		for service := range services {
			switch {
			case i.Service() == service:
				q = movesOwn
			case q < movesOwn && h.s.passes(i, service):
				q = upstream
			}
		}
		if q > movesElse && own.Route() != "" && i.Route() == own.Route() && i.Kind == own.Kind && i.Key() != own.Key() && h.s.passes(own, i.Service()) {
			q = movesSame
		}
		return q
	}
}

// places is a hypothesis about something in one of the services that requests of
// the indicator come by.
func (h *hearing) places(kind string, ways func(moves func(Indicator) float64) []way) hypothesis {
	at := []string{h.m.track.Indicator.Service()}
	for _, o := range h.others {
		if s := o.track.Indicator.Service(); len(at) < 8 && !slices.Contains(at, s) && h.s.passes(h.m.track.Indicator, s) {
			at = append(at, s)
		}
	}
	c := hypothesis{kind: kind}
	for _, service := range at {
		moves := h.from(map[string]bool{service: true})
		for _, w := range ways(moves) {
			w.p += math.Log(moves(h.m.track.Indicator) / float64(len(at)))
			c.ways = append(c.ways, w)
		}
	}
	return c
}

// binary weighs binary k of the upgrade, one of n suspects.
func (h *hearing) binary(k, n int) hypothesis {
	b := h.s.upgrade.Binaries[k]
	moves := h.from(h.s.servicesOf(b))
	first, to := h.s.deployed(b)
	inside := b.Inside.mechanism(h.m.track.Indicator.Kind)
	foreseen, likelier := h.fallback(b)
	inside += likelier
	w := way{p: math.Log(binaryPrior/float64(n)*moves(h.m.track.Indicator)) + inside}
	if t := h.m.trial.Treated.UnixNano(); !h.m.trial.Treated.IsZero() {
		// A flip takes effect at once, and is where the shift began.
		w.bf = h.m.step[h.m.at(t)]
		w.plus, w.minus = h.at(moves, t)
	} else {
		slack := 2 * h.s.cfg.Step
		if h.s.owns(b, h.m.track.Indicator) {
			slack += h.s.cfg.Warmup
		}
		rough := h.somewhen(first.Add(-h.s.cfg.Step).UnixNano(), to.Add(slack).UnixNano())
		w.bf = logAdd(h.m.along[k]+math.Log(1-roughShare), rough+math.Log(roughShare))
		w.plus, w.minus = h.follow(moves, k)
	}
	// What shows later, at any time, has witnesses of its own; what the binary was named
	// for may come back.
	from, now := h.s.upgrade.Time(b).UnixNano(), h.s.now.UnixNano()
	daily := math.Exp(inside) * binaryPrior / float64(n) * lateShare * h.day / math.Max(1, float64(now-from))
	if h.m.trial.Was == b.Name {
		daily += returnsDaily
	}
	ways := h.anytime(moves, daily*moves(h.m.track.Indicator), from, now)
	return hypothesis{kind: CauseBinary, name: b.Name, ways: append(ways, w), why: h.whyBinary(k, to), foreseen: foreseen}
}

// servicesOf are the services that a binary serves.
func (s *scene) servicesOf(b Binary) map[string]bool {
	out := map[string]bool{}
	for name := range s.services[b.Name] {
		out[name] = true
	}
	for _, m := range s.all {
		if b.Matches(m.track.Indicator.Labels) {
			out[m.track.Indicator.Service()] = true
		}
	}
	return out
}

// onset is where the onset lies with probability 0.95, and the likeliest instant,
// of a shift that began at any time.
func (h *hearing) onset() *Onset {
	v := h.m
	top := math.Inf(-1)
	for _, i := range h.list {
		top = math.Max(top, v.step[i])
	}
	mass, total := make([]float64, len(h.list)), 0.0
	for n, i := range h.list {
		mass[n] = math.Exp(v.step[i]-top) * float64(v.end[i]-v.begin[i])
		total += mass[n]
	}
	best, low, high, sum := h.list[0], h.list[0], h.list[len(h.list)-1], 0.0
	for n, i := range h.list {
		if v.step[i] > v.step[best] {
			best = i
		}
		if sum < 0.025*total {
			low = i
		}
		if sum < 0.975*total {
			high = i
		}
		sum += mass[n]
	}
	at := func(t int64) time.Time { return time.Unix(0, t).UTC() }
	return &Onset{At: at(v.begin[best]), Earliest: at(v.begin[low]), Latest: at(v.end[high])}
}
