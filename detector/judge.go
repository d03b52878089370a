package detector

import (
	"math"
	"slices"
	"sort"
	"time"

	"aftershock/detector/stat"
)

// Judge is the judgement over a whole fleet: it takes in frames in order of
// time and says what it thinks when it is asked. It is not safe for use by
// several goroutines.
type Judge struct {
	cfg      Config
	graph    Graph
	tracks   map[string]*Track
	order    []*Track // by key, for reproducible answers
	byRef    map[*Indicator]*Track
	watches  []*Watch
	placebos map[Kind]*Placebos
	// instances is when each instance was first seen, zero for those that ran
	// before the first frame.
	instances map[string]instance
	services  map[string]map[string]bool
	last      time.Time
	frames    int
	gaps      int
}

type instance struct{ First, Last time.Time }

// Watch is the watch over one upgrade.
type Watch struct {
	Upgrade Upgrade
	Trials  map[string]*Trial
	// Down counts the steps since the start in which most targets were silent.
	Down, Steps int
}

// maxTracks and maxWatches bound what hostile label values can cost.
const (
	maxTracks  = 200_000
	maxWatches = 16
)

// NewJudge starts a judgement with no past.
func NewJudge(cfg Config) *Judge {
	cfg.SetDefaults()
	return &Judge{
		cfg: cfg, tracks: map[string]*Track{}, byRef: map[*Indicator]*Track{},
		placebos:  map[Kind]*Placebos{Latency: {}, Retry: {}, Error: {}},
		instances: map[string]instance{}, services: map[string]map[string]bool{},
	}
}

// Time is the end of the last frame that was taken in.
func (j *Judge) Time() time.Time { return j.last }

// Graph is what is known of who calls whom.
func (j *Judge) Graph() *Graph { return &j.graph }

// Indicators is the number of indicators known.
func (j *Judge) Indicators() int { return len(j.order) }

// Watch begins the watch over an upgrade, or brings what is known of it up to
// date. It answers false when too many upgrades are being watched.
func (j *Judge) Watch(u Upgrade) bool {
	for _, b := range u.Binaries {
		if s := first(b.Selector, "service", "service_name", "job", "app"); s != "" {
			j.serve(b.Name, s)
		}
	}
	for _, w := range j.watches {
		if w.Upgrade.ID == u.ID {
			w.Upgrade = u
			return true
		}
	}
	if len(j.watches) >= maxWatches {
		return false
	}
	j.watches = append(j.watches, &Watch{Upgrade: u, Trials: map[string]*Trial{}})
	return true
}

// Unwatch ends the watch over an upgrade.
func (j *Judge) Unwatch(id string) {
	for i, w := range j.watches {
		if w.Upgrade.ID == id {
			j.watches = append(j.watches[:i], j.watches[i+1:]...)
			return
		}
	}
}

// Watched lists the upgrades being watched.
func (j *Judge) Watched() []Upgrade {
	out := make([]Upgrade, 0, len(j.watches))
	for _, w := range j.watches {
		out = append(out, w.Upgrade)
	}
	return out
}

// Flip tells the judgement of a change of a feature flag. One of ours is a
// treatment of the upgrades that it answers: those it names, and those with a
// binary that the flag gates. From then on the mirror question is asked of every
// shift that it may cure.
func (j *Judge) Flip(f Flip) {
	if !f.Ours {
		return
	}
	at := f.At.Add(2 * j.cfg.Step)
	for _, w := range j.watches {
		if f.At.Before(w.Upgrade.StartedAt) || !f.answers(w.Upgrade) {
			continue
		}
		for _, tr := range w.Trials {
			tr.Treated, tr.Gated = at, f.Binaries
		}
	}
}

func (f Flip) answers(u Upgrade) bool {
	for _, b := range u.Binaries {
		if slices.Contains(f.Binaries, b.Name) {
			return true
		}
	}
	return f.Upgrade == u.ID
}

// Observe takes in one frame. Frames that are not later than the last are
// dropped.
func (j *Judge) Observe(f Frame) {
	if !f.Time.After(j.last) {
		return
	}
	if j.frames > 0 && f.Time.Sub(j.last) > 2*j.cfg.Step {
		j.gaps++
	}
	firstFrame := j.frames == 0
	j.last = f.Time
	j.frames++
	j.graph.add(f.Calls)
	for _, b := range f.Builds {
		if s := first(b.Labels, "service", "service_name", "job", "app"); s != "" {
			j.serve(b.Binary, s)
		}
	}
	j.meet(f, firstFrame)
	touched := j.gather(f)
	stress(touched)
	alarm := math.Log(float64(max(1, len(j.order)))) - math.Log(j.cfg.alpha())
	for _, t := range touched {
		j.stepTrials(t, f.Time)
		b, ok := t.step(f.Time, &j.cfg)
		if ok && t.Steps > 2*burnIn && !j.disturbed(t) {
			t.placebo(b, &j.cfg, j.placebos[t.Indicator.Kind], alarm)
		}
	}
	for _, w := range j.watches {
		if f.Time.After(w.Upgrade.StartedAt) {
			w.Steps++
			if f.Targets > 0 && f.Up*2 < f.Targets {
				w.Down++
			}
		}
	}
}

func (j *Judge) serve(binary, service string) {
	set := j.services[binary]
	if set == nil {
		if len(j.services) >= maxServices {
			return
		}
		set = map[string]bool{}
		j.services[binary] = set
	}
	if len(set) < 100 {
		set[service] = true
	}
}

// meet notes when each instance was first seen; one that hasn't been seen for
// a day is forgotten.
func (j *Judge) meet(f Frame, firstFrame bool) {
	see := func(name string) {
		in, ok := j.instances[name]
		if !ok && !firstFrame && len(j.instances) < maxTracks {
			in.First = f.Time
		}
		in.Last = f.Time
		j.instances[name] = in
	}
	for i := range f.Points {
		see(f.Points[i].Instance)
	}
	for _, b := range f.Builds {
		in, ok := j.instances[b.Instance]
		if ok && b.Started.After(in.First) && !b.Started.After(f.Time) {
			in.First = b.Started
			j.instances[b.Instance] = in
		}
	}
	if j.frames%256 == 0 {
		for name, in := range j.instances {
			if f.Time.Sub(in.Last) > j.cfg.Day {
				delete(j.instances, name)
			}
		}
	}
}

// gather adds the frame's points up by indicator, leaving out instances that
// are warming up; it answers the indicators that have data, in order.
func (j *Judge) gather(f Frame) []*Track {
	var touched []*Track
	for i := range f.Points {
		p := &f.Points[i]
		t := j.track(p.Indicator)
		if t == nil {
			continue
		}
		in := j.instances[p.Instance]
		if p.Instance != "" && !in.First.IsZero() && f.Time.Sub(in.First) < j.cfg.Warmup {
			continue
		}
		if !t.scratch.at.Equal(f.Time) {
			touched = append(touched, t)
		}
		t.take(f.Time, *p)
	}
	sort.Slice(touched, func(a, b int) bool { return touched[a].key < touched[b].key })
	return touched
}

// stress tells each retry indicator of the step how much more often than usual
// first attempts failed: the third party's own doing, whatever the caller makes
// of it.
func stress(touched []*Track) {
	for _, t := range touched {
		s := &t.scratch
		usual := t.Firsts.share()
		if t.Indicator.Kind != Retry || !(s.calls > 0) || !(usual > 0) || t.Steps < burnIn {
			continue
		}
		mean := usual * s.calls
		s.stress = math.Max(-2, math.Min(2, math.Log((s.firsts+1)/(mean+1))))
	}
}

func (j *Judge) track(i *Indicator) *Track {
	if t, ok := j.byRef[i]; ok {
		return t
	}
	key := i.Key()
	t, ok := j.tracks[key]
	if !ok {
		if len(j.tracks) >= maxTracks {
			return nil
		}
		t = newTrack(*i)
		j.add(key, t)
	}
	if len(j.byRef) > 4*maxTracks {
		clear(j.byRef)
	}
	j.byRef[i] = t
	return t
}

func (j *Judge) add(key string, t *Track) {
	t.key = key
	j.tracks[key] = t
	at := sort.Search(len(j.order), func(n int) bool { return j.order[n].key >= key })
	j.order = append(j.order, nil)
	copy(j.order[at+1:], j.order[at:])
	j.order[at] = t
}

// disturbed says whether a watched upgrade may have moved the track lately, so
// that placebos learn from quiet times alone.
func (j *Judge) disturbed(t *Track) bool {
	for _, w := range j.watches {
		if tr := w.Trials[t.key]; tr != nil && tr.Verdict.State != Clear && tr.ev.worse > 0 {
			return true
		}
	}
	return false
}

func (j *Judge) stepTrials(t *Track, at time.Time) {
	for _, w := range j.watches {
		u := &w.Upgrade
		if !at.After(u.StartedAt) || !t.Chosen || at.Sub(u.StartedAt) > j.cfg.Duration {
			continue
		}
		tr := w.Trials[t.key]
		if tr == nil {
			tr = newTrial(t, u)
			w.Trials[t.key] = tr
		}
		s := j.scene(w)
		if j.warming(s, t, at) {
			tr.Warm++
			continue
		}
		tr.step(t, &j.cfg)
	}
}

func (j *Judge) scene(w *Watch) *scene {
	return &scene{upgrade: &w.Upgrade, graph: &j.graph, services: j.services, now: j.last, cfg: &j.cfg}
}

// warming says whether a binary on the indicator's path was being restarted
// within the warm-up.
func (j *Judge) warming(s *scene, t *Track, at time.Time) bool {
	for _, b := range s.upgrade.Binaries {
		if !s.reaches(b, t.Indicator) {
			continue
		}
		if d := at.Sub(s.upgrade.Time(b)); d >= 0 && d < j.cfg.Warmup {
			return true
		}
		for _, in := range b.Instances {
			if d := at.Sub(in.At); d >= 0 && d < j.cfg.Warmup {
				return true
			}
		}
	}
	return false
}

// starts are the instants at which a shift by the upgrade may begin for the
// indicator: each deployment on its path, and later ones at growing distances.
func (j *Judge) starts(s *scene, tr *Trial) []time.Time {
	if !tr.Treated.IsZero() {
		return []time.Time{tr.Treated}
	}
	var out []time.Time
	for _, b := range s.upgrade.Binaries {
		if s.reaches(b, tr.Verdict.Indicator) && len(out) < 8 {
			at := s.upgrade.Time(b)
			if len(out) == 0 || !at.Equal(out[len(out)-1]) {
				out = append(out, at)
			}
		}
	}
	if len(out) == 0 {
		out = append(out, s.upgrade.StartedAt)
	}
	sort.Slice(out, func(a, b int) bool { return out[a].Before(out[b]) })
	for d := 60 * j.cfg.Step; out[0].Add(d).Before(j.last) && len(out) < 14; d *= 2 {
		out = append(out, out[0].Add(d))
	}
	return out
}

// Look weighs everything seen so far and answers what is new: shifts,
// recoveries and changed verdicts, in a reproducible order.
func (j *Judge) Look() []Event {
	var events []Event
	for _, w := range j.watches {
		if j.last.After(w.Upgrade.StartedAt) {
			events = append(events, j.look(w)...)
		}
	}
	return events
}

func (j *Judge) look(w *Watch) []Event {
	s := j.scene(w)
	var logWorse, logBetter []float64
	for _, t := range j.order {
		tr := w.Trials[t.key]
		if tr == nil {
			continue
		}
		tr.weigh(j.starts(s, tr), j.temper(t.Indicator.Kind), &j.cfg)
		z := 0.0
		if e := tr.ev.at[tr.ev.lead]; tr.ev.have[tr.ev.lead] {
			z = e.z(0)
		}
		s.all = append(s.all, moved{track: t, trial: tr, z: z})
		logWorse = append(logWorse, tr.ev.worse)
		logBetter = append(logBetter, tr.ev.better)
	}
	worse := stat.EBH(logWorse, j.cfg.alpha())
	better := stat.EBH(logBetter, j.cfg.alpha())
	var events []Event
	for i, m := range s.all {
		events = append(events, j.decide(w, s, m, worse[i], better[i])...)
	}
	return events
}

// temper is how much the variance is inflated for indicators of a kind: what
// their placebos ask for, or, while there are few, those of all kinds.
func (j *Judge) temper(k Kind) float64 {
	p := j.placebos[k]
	if p.Count < fewPlacebos {
		p = &Placebos{}
		for _, o := range j.placebos {
			p.add(o)
		}
	}
	return tempers[p.temper()]
}
