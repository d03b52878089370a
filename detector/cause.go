package detector

import (
	"fmt"
	"math"
	"sort"
	"strings"
	"time"
)

// The causes of a shift are weighed by Bayes' rule. A hypothesis says when the
// shift may have begun, and which other indicators it would move along with this
// one, with what chance. Its weight is
//
//	prior * sum over onsets t of P(t) * BF(t) * prod over other indicators o of [1 - q_o + q_o BF_o(t)]
//
// BF being Bayes factors of a shift that began at t over none. A binary's onset
// is its deployment, instance by instance; the others may begin at any time. So
// a binary is blamed for what moved as its instances switched, where its call
// path goes and nowhere else.

// Priors. Chances a day are of one such trouble that moves an indicator; a day is
// one of minutes, as steps usually are: troubles don't come faster where the demo
// compresses the daily wave.
const (
	rateSteps       = 1440
	binaryPrior     = 0.05 // that one of the binaries on the path moves it
	lateShare       = 0.05 // of those, that it shows only later, at any time
	queueShare      = 0.1  // of those, that it shows with load
	roughShare      = 0.15 // of those, that it begins at some time in the roll-out
	offRoute        = 0.05 // that it moves a route that it isn't known to serve
	unknownDaily    = 0.3  // at least; more where placebos say so
	thirdPartyDaily = 0.8
	environDaily    = 0.5
	loadPrior       = 0.15 // that a jump of load moves it
	driftPrior      = 0.05
	earlierDaily    = 0.05
)

// Chances that an indicator moves along.
const (
	movesOwn      = 0.6 // of the service where the cause sits
	movesUpstream = 0.45
	movesElse     = 0.01
	movesPeer     = 0.8 // retries of the third party
	movesAll      = 0.5 // by the environment
	movesByLoad   = 0.35
)

// witness is the most that one route's other indicators may say, as a log Bayes
// factor, and elsewise the chance that an indicator moved by some other cause.
const (
	witness  = 3
	elsewise = 0.1
)

// hypothesis is one suspected cause.
type hypothesis struct {
	kind, name string
	moves      func(i Indicator) float64
	log        float64
	// at is the log Bayes factor of its likeliest way, where it has one.
	at  float64
	why []string
}

// trialOf is the weighing of one shift.
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
	established := s.established(m)
	p := j.calm(m.track.Indicator.Kind)
	jumps := math.Max(unknownDaily, 6*float64(p.Alarm[p.temper()])/float64(max(1, p.Count)))
	all = append(all, h.thirdParty()...)
	all = append(all, h.load(), h.environment())
	all = append(all, h.places(CauseEarlier, h.earlier))
	all = append(all, h.places(CauseUnknown, func(f func(Indicator) float64) float64 {
		return h.anytime(f, math.Log(jumps), h.since(), h.s.now.UnixNano())
	}))
	for i := range all {
		h.join(&all[i], established[all[i].kind+"/"+all[i].name])
	}
	total := math.Inf(-1)
	for _, c := range all {
		total = logAdd(total, c.log)
	}
	out := make([]Cause, 0, len(all))
	for _, c := range all {
		out = append(out, Cause{Kind: c.kind, Name: c.name, Probability: math.Exp(c.log - total), Why: c.why})
	}
	return ranked(fold(out)), h.onset()
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

// establishedShare is the chance that a cause which is established by another
// shift moves this indicator as well.
const establishedShare = 0.4

// event is a cause that another shift is put down to: how surely, and when that
// began.
type event struct {
	sure     float64
	from, to int64
}

// established are the causes of the upgrade's other shifts in the direction of m,
// by kind and name, the surest of each.
func (s *scene) established(m moved) map[string]event {
	out := map[string]event{}
	for _, o := range s.all {
		v := &o.trial.Verdict
		shifted := v.State == Regressed || v.State == Improved
		if o.trial == m.trial || !shifted || v.Direction != m.trial.Verdict.Direction || len(v.Causes) == 0 || v.Onset == nil {
			continue
		}
		c := v.Causes[0]
		key := c.Kind + "/" + c.Name
		if c.Kind != CauseUnknown && c.Kind != CauseEarlier && c.Probability > out[key].sure {
			out[key] = event{c.Probability, v.Onset.Earliest.UnixNano(), v.Onset.Latest.UnixNano()}
		}
	}
	return out
}

// join adds the way in which an established cause may have brought this shift,
// too.
func (h *hearing) join(c *hypothesis, e event) {
	if e.sure < 0.8 || c.moves == nil || !h.onRoute(c.moves) {
		return
	}
	way := c.at
	if c.kind != CauseBinary {
		slack := int64(5 * h.s.cfg.Step)
		from, to := e.from-slack, e.to+slack
		way = h.anytime(c.moves, -math.Log(float64(to-from)/h.day), from, to)
		if c.kind == CauseLoad {
			way = logAdd(way, c.at) - math.Ln2
		}
	}
	c.log = logAdd(c.log, way+math.Log(establishedShare*e.sure))
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

// along is how the other indicators bear out that a cause moved them: says gives
// an indicator's log Bayes factor for that. Indicators of one route see the same
// requests, so that together they are one witness.
func (h *hearing) along(moves func(Indicator) float64, says func(o *sight) float64) float64 {
	sums := map[string]float64{}
	for _, o := range h.others {
		sums[o.group] += attest(moves(o.track.Indicator), says(o), o.any)
	}
	sum := 0.0
	for _, x := range sums {
		sum += math.Max(-witness, math.Min(witness, x))
	}
	return sum
}

// at is along of what began with an instant.
func (h *hearing) at(moves func(Indicator) float64, t int64) float64 {
	return h.along(moves, func(o *sight) float64 { return o.step[o.at(t)] })
}

// attest is the log Bayes factor of a cause that moves an indicator with chance q,
// where log says so, over none: whatever the cause, something else may have moved
// it as well, with any saying so.
func attest(q, log, any float64) float64 {
	q = math.Min(q, 1-elsewise)
	other := math.Log(elsewise) + any
	return logAdd(math.Log(math.Max(1e-9, 1-q-elsewise)), logAdd(math.Log(q)+log, other)) - logAdd(math.Log(1-elsewise), other)
}

// anytime sums over the onsets in [from, to] at a rate a day.
func (h *hearing) anytime(moves func(Indicator) float64, daily float64, from, to int64) float64 {
	sum := math.Inf(-1)
	for _, i := range h.list {
		b, e := max(h.m.begin[i], from), min(h.m.end[i], to)
		if e <= b {
			continue
		}
		sum = logAdd(sum, h.m.step[i]+h.at(moves, h.m.begin[i])+math.Log(float64(e-b)/h.day))
	}
	return sum + daily
}

// earlier sums over steps and slopes that began before the upgrade.
func (h *hearing) earlier(moves func(Indicator) float64) float64 {
	end := h.s.upgrade.StartedAt.Add(-2 * h.s.cfg.Step).UnixNano()
	ramp := math.Inf(-1)
	for _, i := range h.list {
		if h.m.begin[i] < end {
			t := h.m.begin[i]
			others := h.along(moves, func(o *sight) float64 { return math.Max(o.step[o.at(t)], o.ramp[o.at(t)]) })
			ramp = logAdd(ramp, h.m.ramp[i]+others+math.Log(float64(h.m.end[i]-h.m.begin[i])/h.day))
		}
	}
	return logAdd(ramp+math.Log(driftPrior), h.anytime(moves, math.Log(earlierDaily), 0, end))
}

// from is the chance to move of an indicator by something in a set of services.
func (h *hearing) from(services map[string]bool) func(Indicator) float64 {
	return func(i Indicator) float64 {
		q := movesElse
		for service := range services {
			if i.Service() == service {
				return movesOwn
			}
			if h.s.passes(i, service) {
				q = movesUpstream
			}
		}
		return q
	}
}

// places is a hypothesis about something in one of the services that requests of
// the indicator come by.
func (h *hearing) places(kind string, weigh func(moves func(Indicator) float64) float64) hypothesis {
	at := map[string]bool{h.m.track.Indicator.Service(): true}
	for _, o := range h.others {
		if s := o.track.Indicator.Service(); len(at) < 8 && h.s.passes(h.m.track.Indicator, s) {
			at[s] = true
		}
	}
	sum := math.Inf(-1)
	for service := range at {
		sum = logAdd(sum, weigh(h.from(map[string]bool{service: true})))
	}
	return hypothesis{kind: kind, log: sum - math.Log(float64(len(at)))}
}

// binary weighs binary k of the upgrade, one of n suspects.
func (h *hearing) binary(k, n int) hypothesis {
	b := h.s.upgrade.Binaries[k]
	moves := h.from(h.s.servicesOf(b))
	at := h.m.along[k]
	if !h.m.trial.Treated.IsZero() {
		// A flip takes effect at once, and is where the shift began.
		t := h.m.trial.Treated.UnixNano()
		at = h.m.step[h.m.at(t)] + h.at(moves, t)
	} else {
		at += h.along(moves, func(o *sight) float64 { return o.along[k] })
	}
	first, to := h.s.deployed(b)
	from, now := h.s.upgrade.Time(b).UnixNano(), h.s.now.UnixNano()
	weight := math.Log(binaryPrior / float64(n))
	if !h.onRoute(moves) {
		weight += math.Log(offRoute)
	}
	if h.m.trial.Treated.IsZero() {
		slack := 2 * h.s.cfg.Step
		if h.s.owns(b, h.m.track.Indicator) {
			slack += h.s.cfg.Warmup
		}
		begin, end := first.Add(-h.s.cfg.Step), to.Add(slack)
		rough := h.anytime(moves, -math.Log(float64(end.Sub(begin))/h.day), begin.UnixNano(), end.UnixNano())
		at = logAdd(at+math.Log(1-roughShare), rough+math.Log(roughShare))
	}
	spread := math.Max(1, float64(now-from)/h.day)
	late := h.anytime(moves, -math.Log(spread), from, now)
	out := hypothesis{kind: CauseBinary, name: b.Name, moves: moves, at: at}
	out.log = weight + logAdd(at+math.Log(1-lateShare), late+math.Log(lateShare))
	out.why = h.whyBinary(k, to)
	return out
}

// onRoute says whether the indicator is one that a cause moves.
func (h *hearing) onRoute(moves func(Indicator) float64) bool {
	return moves(h.m.track.Indicator) > movesElse
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
