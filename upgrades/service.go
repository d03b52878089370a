package upgrades

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"aftershock/detector"
)

// Bounds of what a detector remembers.
const (
	maxServices  = 20_000
	maxBuilds    = 64 // of one service
	maxSightings = 8  // of one instance
	maxOpen      = 4  // upgrades of one service at a time
	maxUsed      = 1000
	// forgetInstance is how long before the last sight of its service an
	// instance must have gone to be forgotten; forgetService how long a service.
	forgetInstance = 24 * time.Hour
	forgetService  = 60 * 24 * time.Hour
)

// service is one binary under one set of service-like labels.
type service struct {
	Binary    string               `json:"binary"`
	Labels    map[string]string    `json:"labels,omitempty"`
	First     time.Time            `json:"first"`
	Last      time.Time            `json:"last"`
	Instances map[string]*instance `json:"instances"`
	// Builds are those that instances ran, with when they last did.
	Builds []run `json:"builds"`
	// Arrivals are new instances with a build that the service ran already.
	Arrivals []arrival `json:"arrivals,omitempty"`
	// Before is the last change of the service's build.
	Before *pair `json:"before,omitempty"`
	// Restless is the last switch that opened no upgrade because the service
	// was in too many.
	Restless time.Time `json:"restless,omitzero"`
}

// restless says whether the service has switched beyond what upgrades are opened
// for and not come to rest since: a version that is another at every look must
// not take the place of everybody else's upgrades.
func (s *service) restless(now moment) bool {
	return !s.Restless.IsZero() && now.at.Sub(s.Restless) < now.settle
}

type run struct {
	Build build     `json:"build"`
	Last  time.Time `json:"last"`
}

type arrival struct {
	Instance string    `json:"instance"`
	Build    build     `json:"build"`
	At       time.Time `json:"at"`
	Earliest time.Time `json:"earliest"`
}

type pair struct {
	From build `json:"from"`
	To   build `json:"to"`
}

// swtch is the switch of one instance to another build.
type swtch struct {
	instance string
	from, to build
	// at is when it switched as far as is known, earliest when the old build was
	// last seen.
	at, earliest time.Time
	// returned marks a new instance with the build that an open upgrade replaces.
	returned bool
	// born marks an instance that nobody had seen before.
	born bool
}

// observe takes in what the service's instances ran and gives the switches, in
// order of instance. open are the changes that the service is in.
func (s *service) observe(seen map[string][]sighting, now moment, open []*entry) []swtch {
	var out []swtch
	established := s.established(now)
	usual := s.usual(established)
	late := now.at.Sub(s.First) <= now.grace
	for _, name := range sortedKeys(seen) {
		in, old := s.Instances[name]
		if !old {
			if len(s.Instances) >= maxInstances {
				continue
			}
			in = &instance{}
			s.Instances[name] = in
		}
		was, lastSeen := in.Build, in.Last
		is := in.look(seen[name], now)
		if is.Build.same(was) && old {
			continue
		}
		sw := swtch{instance: name, from: was, to: is.Build, earliest: lastSeen, at: now.at}
		if is.Started.After(lastSeen) && is.Started.Before(now.at) && now.at.Sub(is.Started) < now.settle {
			sw.at = is.Started.UTC()
		}
		if old {
			// A name that comes back after long with what the service runs by now
			// has missed the upgrade, or is another process's.
			if now.at.Sub(lastSeen) > now.settle && slices.ContainsFunc(established, is.Build.same) {
				continue
			}
			out = append(out, sw)
			continue
		}
		if late || len(established) == 0 {
			continue
		}
		sw.from, sw.earliest, sw.born = usual, s.Last, true
		if newcomer(&sw, established, open) {
			out = append(out, sw)
		} else {
			s.Arrivals = append(s.Arrivals, arrival{name, sw.to, sw.at, sw.earliest})
		}
	}
	return append(out, s.replaced(now)...)
}

// newcomer says whether a new instance is a switch.
func newcomer(sw *swtch, established []build, open []*entry) bool {
	for _, e := range open {
		switch {
		case e.To.same(sw.to):
			sw.from = e.From
			return true
		case e.From.same(sw.to):
			sw.from, sw.returned = e.To, true
			return true
		}
	}
	return !slices.ContainsFunc(established, sw.to.same)
}

// replaced finds the switches in a service that has run two builds for long, as
// after a canary: a new instance of one came and an old one of the other went.
func (s *service) replaced(now moment) []swtch {
	s.Arrivals = slices.DeleteFunc(s.Arrivals, func(a arrival) bool { return now.at.Sub(a.At) > now.settle })
	if len(s.Arrivals) == 0 {
		return nil
	}
	var out []swtch
	for _, name := range sortedKeys(s.Instances) {
		in := s.Instances[name]
		gone := now.at.Sub(in.Last)
		if in.Replaced || gone < now.grace || gone > now.settle || in.Last.Equal(now.at) {
			continue
		}
		i := slices.IndexFunc(s.Arrivals, func(a arrival) bool { return a.Build.same(in.Build) })
		if i < 0 {
			i = slices.IndexFunc(s.Arrivals, func(a arrival) bool { return !a.Build.same(in.Build) })
		}
		if i < 0 {
			continue
		}
		a := s.Arrivals[i]
		s.Arrivals = slices.Delete(s.Arrivals, i, i+1)
		in.Replaced = true
		if !a.Build.same(in.Build) {
			out = append(out, swtch{instance: a.Instance, from: in.Build, to: a.Build, at: a.At, earliest: a.Earliest, born: true})
		}
	}
	return out
}

// established are the builds that the service ran when it was last seen.
func (s *service) established(now moment) []build {
	var out []build
	for _, r := range s.Builds {
		if !r.Last.Before(s.Last.Add(-now.settle)) {
			out = append(out, r.Build)
		}
	}
	return out
}

// usual is the one of the builds that most instances ran when the service was
// last seen.
func (s *service) usual(builds []build) build {
	var best build
	most := -1
	for _, b := range builds {
		n := 0
		for _, in := range s.Instances {
			if in.Last.Equal(s.Last) && in.Build.same(b) {
				n++
			}
		}
		if n > most || n == most && b.compare(best) > 0 {
			best, most = b, n
		}
	}
	return best
}

// note puts down what runs now, for the service and its open changes.
func (s *service) note(now moment, open []*entry) {
	s.Last = now.at
	for _, name := range sortedKeys(s.Instances) {
		in := s.Instances[name]
		if !in.Last.Equal(now.at) {
			continue
		}
		i := slices.IndexFunc(s.Builds, func(r run) bool { return r.Build.same(in.Build) })
		if i < 0 {
			s.Builds = append(s.Builds, run{Build: in.Build})
			i = len(s.Builds) - 1
		}
		s.Builds[i] = run{Build: s.Builds[i].Build.fill(in.Build), Last: now.at}
		for _, e := range open {
			if e.From.same(in.Build) {
				e.FromSeen = now.at
			}
			if _, switched := e.Instances[name]; switched && e.To.same(in.Build) {
				e.ToSeen = now.at
			}
		}
	}
	if len(s.Builds) > maxBuilds {
		sort.SliceStable(s.Builds, func(i, j int) bool { return s.Builds[i].Last.After(s.Builds[j].Last) })
		s.Builds = s.Builds[:maxBuilds]
	}
}

// instance is one process, by name.
type instance struct {
	// Build is what it runs.
	Build     build      `json:"build"`
	Last      time.Time  `json:"last"`
	Sightings []sighting `json:"sightings"`
	// Replaced says that its going is explained already.
	Replaced bool `json:"replaced,omitempty"`
}

// sighting is a build that the telemetry shows for an instance. There may be
// several at a time: OTLP leaves the old target_info for five minutes.
type sighting struct {
	Build   build     `json:"build"`
	Since   time.Time `json:"since"` // when it appeared
	Last    time.Time `json:"last"`
	Started time.Time `json:"started,omitzero"` // of the process

	binary string
	labels map[string]string
}

// look takes in what is shown for the instance, decides what it runs, and gives
// the sighting that says so: the process that started last, where all say when
// they started, else the build that appeared last.
func (in *instance) look(seen []sighting, now moment) sighting {
	var before time.Time // when the present build appeared
	var lastOfPresent time.Time
	for _, o := range in.Sightings {
		if o.Build.same(in.Build) {
			before, lastOfPresent = o.Since, o.Last
		}
	}
	current := make([]sighting, 0, len(seen))
	for _, n := range seen {
		n.Since, n.Last = now.at, now.at
		if n.Build.bare() && !in.Build.bare() {
			n.Build = in.Build // the compiler alone doesn't say that the build changed
		}
		for _, o := range in.Sightings {
			if o.Build.same(n.Build) && !o.Last.Before(in.Last.Add(-now.grace)) {
				n.Since, n.Build = o.Since, n.Build.fill(o.Build)
			}
		}
		current = append(current, n)
	}
	best := latestOf(current)
	for _, o := range in.Sightings {
		gone := !slices.ContainsFunc(current, func(n sighting) bool { return n.Build.same(o.Build) })
		if gone && now.at.Sub(o.Last) <= now.settle && len(current) < maxSightings {
			current = append(current, o)
		}
	}
	in.Sightings = current
	in.Last, in.Replaced = now.at, false
	stale := !in.Build.empty() && !best.Build.same(in.Build) && best.Since.Before(before)
	if stale && now.at.Sub(lastOfPresent) < now.grace {
		// What was there beside the present build is still there, and the present
		// one missing for a moment: no switch back yet.
		best.Build = in.Build
		return best
	}
	if best.Build.same(in.Build) {
		in.Build = in.Build.fill(best.Build)
		return best
	}
	in.Build = best.Build
	return best
}

func latestOf(seen []sighting) sighting {
	byStart := !slices.ContainsFunc(seen, func(s sighting) bool { return s.Started.IsZero() })
	return slices.MaxFunc(seen, func(a, b sighting) int {
		if byStart && !a.Started.Equal(b.Started) {
			return a.Started.Compare(b.Started)
		}
		return cmp.Or(a.Since.Compare(b.Since), a.Started.Compare(b.Started), a.Build.compare(b.Build))
	})
}

// gather sorts a frame's builds by service and instance, each build once.
func gather(builds []detector.Build) map[string]map[string][]sighting {
	sorted := make([]sighting, 0, len(builds))
	names := make([]string, 0, len(builds))
	for _, b := range builds {
		if id := buildOf(b); !id.empty() && b.Binary != "" {
			sorted = append(sorted, sighting{Build: id, Started: b.Started.UTC(), binary: clean(b.Binary), labels: cleanLabels(b.Labels)})
			names = append(names, clean(b.Instance))
		}
	}
	out := map[string]map[string][]sighting{}
	for i, s := range sorted {
		key := serviceKey(s.binary, s.labels)
		if out[key] == nil {
			out[key] = map[string][]sighting{}
		}
		out[key][names[i]] = append(out[key][names[i]], s)
	}
	for _, instances := range out {
		for name, seen := range instances {
			instances[name] = distinct(seen)
		}
	}
	return out
}

// distinct makes one of the sightings that don't contradict each other.
func distinct(seen []sighting) []sighting {
	slices.SortFunc(seen, func(a, b sighting) int {
		return cmp.Or(b.Build.compare(a.Build), b.Started.Compare(a.Started))
	})
	var out []sighting
	for _, s := range seen {
		i := slices.IndexFunc(out, func(o sighting) bool { return o.Build.same(s.Build) })
		if i < 0 {
			out = append(out, s)
			continue
		}
		out[i].Build = out[i].Build.fill(s.Build)
		if s.Started.After(out[i].Started) {
			out[i].Started = s.Started
		}
	}
	if len(out) > maxSightings {
		out = out[:maxSightings]
	}
	return out
}

func serviceKey(binary string, labels map[string]string) string {
	return binary + "\x00" + labelKey(labels)
}

// clean makes a text that comes through JSON as it is.
func clean(s string) string {
	return strings.ToValidUTF8(clipTo(s, maxText), "\ufffd")
}

func cleanLabels(labels map[string]string) map[string]string {
	out := make(map[string]string, min(len(labels), maxLabels))
	for _, n := range sortedKeys(labels) {
		if len(out) == maxLabels {
			break
		}
		if v := labels[n]; v != "" {
			out[clean(n)] = clean(v)
		}
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}

// prune forgets what is long gone.
func (d *Detector) prune(now moment) {
	if now.at.Sub(d.pruned) < time.Hour {
		return
	}
	d.pruned = now.at
	for key, s := range d.services {
		if now.at.Sub(s.Last) > forgetService {
			delete(d.services, key)
			continue
		}
		for name, in := range s.Instances {
			if s.Last.Sub(in.Last) > max(forgetInstance, now.settle) {
				delete(s.Instances, name)
			}
		}
	}
}
