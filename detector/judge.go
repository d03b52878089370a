package detector

import (
	"hash/crc32"
	"math"
	"sort"
	"time"
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
	pools     map[Kind]*Pool
	// flips are those of other people.
	flips []Flip
	// accepted are the prices in force, the latest last.
	accepted []Acceptance
	last     time.Time
	frames   int

	// known grows with everything that says where shifts may begin.
	known int
	// turns is how many trials are weighed at a look at least because it is their turn.
	turns int

	scratch course
	hands   Hands
	onsets  []float64
	past    []Block
}

type instance struct{ First, Last time.Time }

// Watch is the watch over one upgrade.
type Watch struct {
	Upgrade Upgrade
	Trials  map[string]*Trial
	// Down counts the steps since the start in which most targets were silent.
	Down, Steps int
	// Changed is when the upgrade's record last changed, Turn the key of the trial
	// that was last weighed because it was its turn.
	Changed time.Time
	Turn    string
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
		placebos: map[Kind]*Placebos{Latency: {}, quantile: {}, Retry: {}, Error: {}},
		pools:    map[Kind]*Pool{Latency: {}, quantile: {}, Retry: {}, Error: {}},
		known:    1, turns: fewTurns,
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
	// An instance that switches starts anew, even under its old name.
	for _, b := range u.Binaries {
		for _, d := range b.Instances {
			if in, ok := j.instances[d.Instance]; ok && d.At.After(in.First) {
				in.First = d.At
				j.instances[d.Instance] = in
			}
		}
	}
	for _, w := range j.watches {
		if w.Upgrade.ID == u.ID {
			if !w.Upgrade.same(&u) {
				w.Changed = j.last
			}
			w.Upgrade = u
			j.known++
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
// shift that it may cure. Other people's are changes that may have brought a shift.
func (j *Judge) Flip(f Flip) {
	j.price(f)
	if !f.Ours {
		j.remember(f)
		return
	}
	j.known++
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
		if hasBinary(f.Binaries, b.Name) {
			return true
		}
	}
	return f.Upgrade == u.ID
}

// longestGap is how far the next frame may lie ahead: a clock gone wild must not
// end the judgement for good.
const longestGap = 366 * 24 * time.Hour

// Observe takes in one frame. Frames that are not later than the last, or a year
// later, are dropped, and so are points that no process can have counted.
func (j *Judge) Observe(f Frame) {
	if !f.Time.After(j.last) || j.frames > 0 && f.Time.Sub(j.last) > longestGap {
		return
	}
	firstFrame := j.frames == 0
	j.last = f.Time
	j.frames++
	if j.graph.add(f.Calls) {
		j.known++
	}
	for _, b := range f.Builds {
		if s := first(b.Labels, "service", "service_name", "job", "app"); s != "" {
			j.serve(b.Binary, s)
		}
	}
	j.meet(f, firstFrame)
	touched := j.gather(f)
	stress(touched)
	burden(touched)
	smooth(touched)
	alarm := math.Log(float64(max(1, len(j.order)))) - math.Log(j.cfg.alpha())
	j.enrol(touched)
	tries := make([]try, len(touched))
	j.share(len(touched), func(hand *Judge, i int) {
		t := touched[i]
		hand.stepTrials(t)
		if t.step(f.Time, &j.cfg, j.pools[t.noiseKind()]) && !j.disturbed(t) {
			tries[i] = hand.placebo(t)
		}
	})
	// What indicators of a kind learn together is added up once all have stepped, so
	// that what each of them learns doesn't depend on the others of the same step.
	for i, t := range touched {
		j.pools[t.noiseKind()].take(t.scratch.spreads)
		j.placebos[t.noiseKind()].count(&tries[i], alarm)
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
	if len(set) < 100 && !set[service] {
		set[service] = true
		j.known++
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
	n := 0
	for i := range f.Points {
		p := &f.Points[i]
		if !p.sound() {
			continue
		}
		t := j.track(p.Indicator)
		if t == nil {
			continue
		}
		in := j.instances[p.Instance]
		warm := p.Instance != "" && !in.First.IsZero() && f.Time.Sub(in.First) < j.cfg.Warmup
		if !t.scratch.at.Equal(f.Time) {
			n++
		}
		t.take(f.Time, p, warm)
	}
	touched := make([]*Track, 0, n)
	for _, t := range j.order {
		if t.scratch.at.Equal(f.Time) {
			touched = append(touched, t)
		}
	}
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

// burden gives the indicators of a service that count its requests the load of the
// whole service: what slows one route down is what all of them ask for. Retries go
// by their own calls.
func burden(touched []*Track) {
	type counter struct{ metric, service string }
	sums := map[counter]float64{}
	for _, t := range touched {
		if t.Indicator.Kind != Retry {
			sums[counter{t.Indicator.Metric, t.Indicator.Service()}] += t.scratch.load
		}
	}
	for _, t := range touched {
		if t.Indicator.Kind != Retry {
			t.scratch.load = sums[counter{t.Indicator.Metric, t.Indicator.Service()}]
		}
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
	t.turn = int(crc32.ChecksumIEEE([]byte(key)) % (1 << 16))
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
		if tr := w.Trials[t.key]; tr != nil && (tr.Verdict.State == Regressed || tr.Verdict.State == Improved) {
			return true
		}
	}
	return false
}

// enrol begins the trials of the indicators that the upgrades being watched find.
func (j *Judge) enrol(touched []*Track) {
	for _, w := range j.watches {
		if !j.watching(w) {
			continue
		}
		var met []*Track
		for _, t := range touched {
			if t.Chosen && w.Trials[t.key] == nil {
				met = append(met, t)
			}
		}
		begun := make([]*Trial, len(met))
		j.share(len(met), func(_ *Judge, i int) {
			begun[i] = newTrial(met[i], &w.Upgrade, j.pools[met[i].noiseKind()], &j.cfg)
		})
		s := j.scene(w)
		for i, t := range met {
			w.Trials[t.key] = begun[i]
			j.starts(s, begun[i])
			begun[i].knew = j.known
		}
	}
}

// watching says whether the step under way is part of a watch.
func (j *Judge) watching(w *Watch) bool {
	return j.last.After(w.Upgrade.StartedAt) && j.last.Sub(w.Upgrade.StartedAt) <= j.cfg.Duration
}

func (j *Judge) stepTrials(t *Track) {
	var list [maxWatches]*Trial
	trials := list[:0]
	for _, w := range j.watches {
		if tr := w.Trials[t.key]; tr != nil && t.Chosen && j.watching(w) {
			trials = append(trials, tr)
		}
	}
	t.scratch.settle()
	t.follow(trials)
	for _, tr := range trials {
		tr.step(t, &j.cfg)
	}
}

func (j *Judge) scene(w *Watch) *scene {
	return &scene{upgrade: &w.Upgrade, graph: &j.graph, services: j.services, flips: j.flips, now: j.last, cfg: &j.cfg}
}
