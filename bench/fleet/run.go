package fleet

// sink takes the telemetry of the world as its processes are scraped.
type sink interface {
	// begin and end enclose what is scraped at the end of minute t.
	begin(t int)
	end(t int) error
	// scraped gives what an instance counted since its last successful scrape,
	// for each of its slots. known is false where the increment can't be told.
	scraped(p process, counts []counted, known bool)
	// called gives what a client asked of a server in the minute.
	called(client, server, count int)
}

// process is a running instance.
type process struct {
	service  *service
	instance *instance
	name     string
	upgraded bool
	layout   *layout
	began    bool // since its last scrape
}

// counted is the increment of one slot.
type counted struct {
	slot *slot
	tally
}

// run lives through the world and gives its telemetry to a sink.
func (w *World) run(to sink) error {
	r := newRunner(w)
	w.quiet = newQuiet(w, r.slots)
	luck := w.rand.fork(1)
	state := w.states(r.slots)
	calls := make([]int, len(w.services)*len(w.services))
	for t := range w.Minutes {
		r.clear()
		clear(calls)
		for k, o := range w.routes {
			lot := luck.fork(uint64(t), uint64(k))
			n := lot.poisson(w.course.load[k][t])
			r.run(k, t, n, lot.next(), w.faults)
			for j := 1; j < len(o.path); j++ {
				calls[o.path[j-1]*len(w.services)+o.path[j]] += n
			}
		}
		w.quiet.note(t, r.tallies)
		to.begin(t)
		for _, s := range state {
			s.gather(t, r.tallies)
			if !w.dark(t) && !luck.fork(uint64(t), uint64(s.id), 99).chance(w.missed) {
				s.scrape(w, t, to)
			}
		}
		for i, n := range calls {
			if w.Covariates.Graph && w.calling(i/len(w.services), i%len(w.services)) {
				to.called(i/len(w.services), i%len(w.services), n)
			}
		}
		if err := to.end(t); err != nil {
			return err
		}
	}
	return nil
}

// dark says whether the minute is in a gap of the whole telemetry.
func (w *World) dark(t int) bool {
	for _, g := range w.gaps {
		if t >= g[0] && t < g[1] {
			return true
		}
	}
	return false
}

func (w *World) calling(client, server int) bool {
	for _, o := range w.routes {
		for j := 1; j < len(o.path); j++ {
			if o.path[j-1] == client && o.path[j] == server {
				return true
			}
		}
	}
	return false
}

// state is an instance between two scrapes.
type state struct {
	id       int
	service  *service
	instance *instance
	slots    []int
	counts   []counted
	last     int // minute of the last scrape, -1: none
	began    bool
}

func (w *World) states(slots []slot) []*state {
	var out []*state
	for i, s := range w.services {
		for _, in := range s.instances {
			st := &state{id: len(out), service: s, instance: in, last: -1}
			for k := range slots {
				if slots[k].service == i {
					st.slots = append(st.slots, k)
					st.counts = append(st.counts, counted{slot: &slots[k]})
				}
			}
			out = append(out, st)
		}
	}
	return out
}

// gather adds what the instance counted in a minute. What a process had counted
// since its last scrape is lost when it ends.
func (s *state) gather(t int, tallies [][]tally) {
	if _, since := s.instance.version(t); since == t {
		s.began = true
		for i := range s.counts {
			s.counts[i].tally = tally{}
		}
	}
	for i, k := range s.slots {
		s.counts[i].add(&tallies[k][s.instance.slot])
	}
}

// lookback is how many minutes may lie between two scrapes for the increment to
// be of use.
const lookback = 5

func (s *state) scrape(w *World, t int, to sink) {
	upgraded, _ := s.instance.version(t)
	p := process{
		service: s.service, instance: s.instance, name: s.instance.name(s.service, upgraded, w.renames),
		upgraded: upgraded, layout: s.service.layoutOf(s.instance, upgraded), began: s.began,
	}
	to.scraped(p, s.counts, s.last >= 0 && (s.began || t-s.last <= lookback))
	for i := range s.counts {
		s.counts[i].tally = tally{}
	}
	s.last, s.began = t, false
}
