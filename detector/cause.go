package detector

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"time"
)

// moved is how far an indicator has moved after the upgrade: its z, signed, at
// the bound that says most.
type moved struct {
	track *Track
	trial *Trial
	z     float64
	// What prepare finds: for each binary of the upgrade whether it is on the
	// indicator's path, which of them serve it, and whether any reaches it.
	reach   []bool
	owners  []int
	touched bool
}

// maxSuspects bounds how many binaries are weighed for one shift.
const maxSuspects = 25

// scene is what the causes of one upgrade's shifts are judged on.
type scene struct {
	upgrade  *Upgrade
	graph    *Graph
	services map[string]map[string]bool // services of each binary
	all      []moved
	now      time.Time
	cfg      *Config

	// What is the same for all shifts of one direction, found when it is first
	// asked for; index 0 is worse, 1 better.
	ready       bool
	own, moves  [2][]int // of each binary: its indicators, and how many of them moved
	movers      [2][]int // indicators that moved and are served by a binary
	unexplained [2][]float64
}

// prepare works out who reaches what, once for all shifts.
func (s *scene) prepare() {
	if s.ready {
		return
	}
	s.ready = true
	n := len(s.upgrade.Binaries)
	for i := range s.all {
		m := &s.all[i]
		m.reach = make([]bool, n)
		for k, b := range s.upgrade.Binaries {
			if s.owns(b, m.track.Indicator) {
				m.owners = append(m.owners, k)
			}
			m.reach[k] = s.reaches(b, m.track.Indicator)
			m.touched = m.touched || m.reach[k]
		}
	}
	for d, sign := range []float64{1, -1} {
		s.own[d], s.moves[d] = make([]int, n), make([]int, n)
		s.unexplained[d] = make([]float64, n)
		for k := range s.unexplained[d] {
			s.unexplained[d][k] = 1
		}
		for i, m := range s.all {
			s.count(d, sign, i, m)
		}
	}
}

// count adds one indicator to what is known of each binary. An indicator that
// moved and that a binary can't have moved wants a second cause beside it: that
// is what makes the binary less likely.
func (s *scene) count(d int, sign float64, i int, m moved) {
	for _, k := range m.owners {
		s.own[d][k]++
		if sign*m.z > 3 {
			s.moves[d][k]++
		}
	}
	if sign*m.z > 3 && len(m.owners) > 0 && m.track.Indicator.Kind == Latency {
		s.movers[d] = append(s.movers[d], i)
	}
	e := m.trial.ev.worse
	if sign < 0 {
		e = m.trial.ev.better
	}
	if !m.touched || e <= 0 {
		return
	}
	for k, reach := range m.reach {
		if !reach {
			s.unexplained[d][k] = max(0.02, s.unexplained[d][k]/(1+e))
		}
	}
}

// owns says whether the binary serves the indicator's service.
func (s *scene) owns(b Binary, i Indicator) bool {
	return b.Matches(i.Labels) || s.services[b.Name][i.Service()]
}

// reaches says whether the binary is on the indicator's call path. A retry
// indicator is its caller's own; where nobody knows who calls whom, every
// binary may be on the path.
func (s *scene) reaches(b Binary, i Indicator) bool {
	if s.owns(b, i) {
		return true
	}
	if i.Kind == Retry {
		return false
	}
	if !s.graph.Known() {
		return true
	}
	for service := range s.services[b.Name] {
		if s.graph.Reaches(i.Service(), service) {
			return true
		}
	}
	return false
}

// deployed is the window in which the binary went out.
func (s *scene) deployed(b Binary) (from, to time.Time) {
	from = s.upgrade.Time(b)
	to = from
	for _, d := range b.Instances {
		if d.At.After(to) {
			to = d.At
		}
	}
	return from, to
}

// causes weighs every suspect for the shift of m. The weight of each is its
// prior times the mean likelihood of the onsets that it explains, times what
// speaks for its mechanism; the answer is normalised and in order of
// probability.
func (s *scene) causes(m moved) ([]Cause, *Onset) {
	s.prepare()
	sign, d := 1.0, 0
	if m.trial.Verdict.Direction == Better {
		sign, d = -1, 1
	}
	// A shift that is found after a flip began after it: what was deployed
	// before is no suspect, unless the flag gates it.
	since := m.trial.Treated
	p := m.trial.onsetProfile(m.trial.ev.lead, since, s.now, sign)
	if len(p.logLik) == 0 {
		return []Cause{{Kind: CauseUnknown, Probability: 1}}, nil
	}
	onset := p.interval()
	after := p.within(s.upgrade.StartedAt.Add(-s.cfg.Step), s.now)
	var out []Cause
	add := func(kind, name string, weight float64, why ...string) {
		out = append(out, Cause{Kind: kind, Name: name, Probability: weight, Why: why})
	}
	suspects := s.suspects(m)
	for _, k := range suspects {
		w, why := s.binary(k, m, p, d, sign)
		add(CauseBinary, s.upgrade.Binaries[k].Name, w*0.6/float64(len(suspects)), why...)
	}
	w, peer, why := s.thirdParty(m, sign)
	add(CauseThirdParty, peer, w*after, why...)
	w, why = s.load(m)
	add(CauseLoad, "", w*after, why...)
	w, why = s.environment(sign)
	add(CauseEnvironment, "", w*after, why...)
	add(CauseEarlier, "", 0.1*p.within(time.Time{}, s.upgrade.StartedAt.Add(-2*s.cfg.Step)))
	add(CauseUnknown, "", 0.07*after)
	total := 0.0
	for _, c := range out {
		total += c.Probability
	}
	for i := range out {
		out[i].Probability = out[i].Probability / total
	}
	sort.SliceStable(out, func(a, b int) bool { return out[a].Probability > out[b].Probability })
	return out, onset
}

// suspects are the binaries that may have done it, as indices: on the call path,
// running by now, and, after a flip, gated by the flag or deployed since. When
// there are too many, those whose own service moved come first.
func (s *scene) suspects(m moved) []int {
	var out []int
	for k, b := range s.upgrade.Binaries {
		_, last := s.deployed(b)
		if !s.reaches(b, m.track.Indicator) || s.upgrade.Time(b).After(s.now) {
			continue
		}
		if last.After(m.trial.Treated) || slices.Contains(m.trial.Gated, b.Name) {
			out = append(out, k)
		}
	}
	if len(out) > maxSuspects {
		slices.SortStableFunc(out, func(a, b int) int {
			return (s.moves[0][b] + s.moves[1][b]) - (s.moves[0][a] + s.moves[1][a])
		})
		out = out[:maxSuspects]
		slices.Sort(out)
	}
	return out
}

// binary is the weight of binary k: how well the onset meets its deployment,
// whether its own service moved, and whether a changed binary below it did.
func (s *scene) binary(k int, m moved, p profile, d int, sign float64) (float64, []string) {
	b := s.upgrade.Binaries[k]
	from, to := s.deployed(b)
	slack := s.cfg.Warmup + 2*s.cfg.Step
	if !to.After(m.trial.Treated) {
		// A flip takes effect at once: nothing has to warm up.
		from, to, slack = m.trial.Treated, m.trial.Treated, 2*s.cfg.Step
	}
	w := p.within(from.Add(-s.cfg.Step), to.Add(slack))
	why := []string{fmt.Sprintf("%s went from %s to %s at %s, on the call path of %s",
		b.Name, or(b.From, "an unknown version"), or(b.To, "an unknown version"),
		from.UTC().Format(time.RFC3339), m.track.Indicator.Name())}
	for _, o := range s.all {
		if sign*o.z > 3 && o.track != m.track && len(why) < 4 && slices.Contains(o.owners, k) {
			why = append(why, "its own indicator moved too: "+o.track.Indicator.Name())
		}
	}
	switch {
	case s.moves[d][k] > 0:
		w *= 6 * s.dominance(k, m, d, sign)
	case s.own[d][k] > 0:
		w *= 0.15
	}
	w *= s.unexplained[d][k]
	if below := s.below(b, m, sign); below != "" {
		w *= 0.2
		why = append(why, "but "+below+", which it calls, changed and moved as well")
	}
	return w, why
}

// dominance compares how far the binary's own service moved with the changed
// service that moved furthest: on its way up a call path a shift is diluted by
// the time spent elsewhere, so the root shows it most.
func (s *scene) dominance(k int, m moved, d int, sign float64) float64 {
	mine, most := 0.0, 0.0
	route := m.track.Indicator.Route()
	for _, at := range s.movers[d] {
		o := &s.all[at]
		if r := o.track.Indicator.Route(); r != "" && route != "" && r != route {
			continue
		}
		r := sign * o.trial.ev.at[o.trial.ev.lead].logRatio()
		for _, owner := range o.owners {
			if owner == k {
				mine = math.Max(mine, r)
			}
			if s.reaches(s.upgrade.Binaries[owner], m.track.Indicator) {
				most = math.Max(most, r)
			}
		}
	}
	if mine == 0 {
		return 1
	}
	return math.Exp(2 * (mine - most))
}

// below names a changed binary that b's service calls, whose own indicators
// moved: the likelier root.
func (s *scene) below(b Binary, m moved, sign float64) string {
	if m.track.Indicator.Kind == Retry || !s.graph.Known() {
		return ""
	}
	for _, o := range s.upgrade.Binaries {
		if o.Name == b.Name || s.owns(o, m.track.Indicator) && s.owns(b, m.track.Indicator) {
			continue
		}
		for from := range s.services[b.Name] {
			for to := range s.services[o.Name] {
				if from == to || !s.graph.Reaches(from, to) || s.graph.Reaches(to, from) {
					continue
				}
				for _, i := range s.all {
					if i.track.Indicator.Service() == to && sign*i.z > 3 {
						return o.Name
					}
				}
			}
		}
	}
	return ""
}

// thirdParty asks whether a third party's bad hours explain the shift: callers
// that no upgrade reached moved as well, or first attempts fail more often.
func (s *scene) thirdParty(m moved, sign float64) (w float64, peer string, why []string) {
	w = 0.04
	peer = m.track.Indicator.Peer()
	if m.track.Indicator.Kind != Retry {
		peer = ""
	} else {
		w = 0.15
	}
	service := m.track.Indicator.Service()
	for _, o := range s.all {
		i := o.track.Indicator
		if i.Kind != Retry {
			continue
		}
		near := i.Service() == service || s.graph.Reaches(service, i.Service())
		if near && peer == "" && sign*o.z > 3 {
			peer = i.Peer()
			w = 0.12
		}
	}
	for _, o := range s.all {
		i := o.track.Indicator
		if i.Kind != Retry || i.Peer() != peer || peer == "" {
			continue
		}
		if !o.touched {
			if sign*o.z > 3 {
				w *= 30
				why = append(why, fmt.Sprintf("%s moved as well, which the upgrade can't reach", i.Name()))
			} else if math.Abs(o.z) < 1.5 {
				w *= 0.1
			}
		}
		if was, is := o.trial.FirstsWas, o.trial.Firsts.share(); i.Service() == service && was > 0 && is > 0 {
			if change := math.Log(is / was); sign*change > 0.7*math.Abs(o.trial.ev.at[0].logRatio()) {
				w *= 4
				why = append(why, fmt.Sprintf("first attempts failed at %.2g%% before and %.2g%% after", was*100, is*100))
			} else if sign*change < 0.05 {
				w *= 0.1
				why = append(why, fmt.Sprintf("but first attempts fail as before (%.2g%%, %.2g%%)", was*100, is*100))
			}
		}
	}
	return w, peer, why
}

// load asks whether traffic went where the baseline has never been.
func (s *scene) load(m moved) (float64, []string) {
	steps := 0
	for _, b := range m.trial.Blocks.List {
		steps += b.Steps
	}
	if steps > 0 && float64(m.trial.Outside) > 0.3*float64(steps) {
		return 0.4, []string{"traffic is outside the range that the baseline has seen"}
	}
	return 0.02, nil
}

// environment asks whether indicators that the upgrade can't reach moved too.
func (s *scene) environment(sign float64) (float64, []string) {
	n, moves := 0, 0
	for _, o := range s.all {
		if !o.touched {
			n++
			if sign*o.z > 2.5 {
				moves++
			}
		}
	}
	w := 0.06
	if n >= 2 && moves > 0 {
		return w * math.Exp(6*float64(moves)/float64(n)),
			[]string{fmt.Sprintf("%d of %d indicators that the upgrade can't reach moved as well", moves, n)}
	}
	if n >= 3 {
		w *= 0.3
	}
	return w, nil
}

// share says in words which share the bound stands for.
func share(i Indicator, bound float64) string {
	switch i.Kind {
	case Latency:
		return fmt.Sprintf("share of requests over %.4g s", bound)
	case Retry:
		return "retries per call"
	default:
		return "share of failed requests"
	}
}
