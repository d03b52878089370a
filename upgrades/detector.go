package upgrades

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"aftershock/detector"
)

// graceSteps is how many steps a build may be missing before that means
// anything, and how long after a service was first seen its instances may turn
// up late: scrapes fail, and targets are discovered one by one.
const graceSteps = 3

// Detector finds upgrades in the build information of frames. What a service
// runs when it is first seen is where it starts from, no upgrade. From then on
// an instance has switched when it runs another build than before, or when it
// is new and runs a build that its service didn't run.
//
// Switches within the settling time of the last one belong to one upgrade,
// across binaries; it is finished when nothing has switched for that long. When
// all instances are back on the old build, that is a second upgrade, with From
// and To changed about; however much a service flaps after that, no more
// upgrades are opened until it has come to rest. Source is "build-info", or
// "toolchain" when nothing but the compiler differs, with "rollback", "rolled
// back" and "flapping" after it where they hold.
//
// A Detector knows no clock: the frames bring the time. It is not safe for
// concurrent use.
type Detector struct {
	settle   time.Duration
	last     time.Time // time of the last frame
	pruned   time.Time // when the memory was last cleared of what is long gone
	services map[string]*service
	open     []*change // in the order in which they were opened
	used     []string  // the last maxUsed IDs that were given
}

// NewDetector gives a detector that has seen nothing.
func NewDetector(c Config) (*Detector, error) {
	if errs := c.Validate("upgrades"); len(errs) > 0 {
		return nil, fmt.Errorf("make upgrade detector: %w", errors.Join(errs...))
	}
	return &Detector{settle: time.Duration(c.Settle), services: map[string]*service{}}, nil
}

// Observe takes in the next frame and gives the upgrades that are new or have
// changed, in order of ID. The order of the frame's builds doesn't matter. A
// frame that isn't later than the one before is left out.
func (d *Detector) Observe(f detector.Frame) []detector.Upgrade {
	if !f.Time.After(d.last) {
		return nil
	}
	now := moment{at: f.Time.UTC(), grace: graceSteps * f.Step, settle: d.settle}
	d.last = now.at
	seen := gather(f.Builds)
	for _, key := range sortedKeys(seen) {
		s := d.service(key, seen[key], now)
		if s == nil {
			continue
		}
		for _, sw := range s.observe(seen[key], now, d.entries(key)) {
			d.apply(s, sw, now)
		}
		s.note(now, d.entries(key))
	}
	d.reverse(now)
	d.survey(now, seen)
	out := d.report(now)
	d.prune(now)
	return out
}

// Open gives the upgrades whose window is open, in the order in which they
// were opened.
func (d *Detector) Open() []detector.Upgrade {
	out := make([]detector.Upgrade, 0, len(d.open))
	for _, c := range d.open {
		out = append(out, c.upgrade())
	}
	return out
}

// moment is the frame that is being looked at.
type moment struct {
	at            time.Time
	grace, settle time.Duration
}

// service gives the service with the key, a new one when need be, and nil when
// there are too many.
func (d *Detector) service(key string, instances map[string][]sighting, now moment) *service {
	if s, ok := d.services[key]; ok {
		return s
	}
	if len(d.services) >= maxServices {
		return nil
	}
	var any sighting
	for _, seen := range instances {
		any = seen[0]
		break
	}
	s := &service{Binary: any.binary, Labels: any.labels, First: now.at, Instances: map[string]*instance{}}
	d.services[key] = s
	return s
}

// entries are the open changes of the service's build, the newest first.
func (d *Detector) entries(key string) []*entry {
	var out []*entry
	for _, c := range slices.Backward(d.open) {
		for _, e := range c.Entries {
			if e.Service == key && !e.RolledBack {
				e.change = c
				out = append(out, e)
			}
		}
	}
	return out
}

// apply puts a switch down to the upgrade that it belongs to.
func (d *Detector) apply(s *service, sw swtch, now moment) {
	key := serviceKey(s.Binary, s.Labels)
	entries := d.entries(key)
	for _, e := range entries {
		switch {
		case e.To.same(sw.to):
			e.forward(sw)
			return
		case e.To.same(sw.from) && e.From.same(sw.to):
			e.back(sw)
			return
		}
	}
	if sw.returned {
		return // an old build's new instance says nothing by itself
	}
	if len(entries) >= maxOpen || s.restless(now) {
		s.Restless = now.at
		if len(entries) > 0 && !entries[0].change.Flapping {
			entries[0].change.Flapping, entries[0].change.dirty = true, true
		}
		return
	}
	rollback := s.Before != nil && s.Before.From.same(sw.to) && s.Before.To.same(sw.from)
	c := d.joinable(key, rollback, now)
	if c == nil {
		c = &change{Rollback: rollback}
		d.open = append(d.open, c)
	}
	e := &entry{
		Service: key, Binary: s.Binary, Selector: d.selector(key, s), From: sw.from, To: sw.to,
		Instances: map[string]time.Time{}, FromSeen: now.at, ToSeen: now.at, change: c,
	}
	c.Entries = append(c.Entries, e)
	e.forward(sw)
	s.Before = &pair{From: sw.from, To: sw.to}
}

// joinable is the newest open change that a switch of a further service joins.
func (d *Detector) joinable(key string, rollback bool, now moment) *change {
	for _, c := range slices.Backward(d.open) {
		if c.Rollback != rollback || now.at.Sub(c.Activity) > d.settle || len(c.Entries) >= maxBinaries {
			continue
		}
		if !slices.ContainsFunc(c.Entries, func(e *entry) bool { return e.Service == key }) {
			return c
		}
	}
	return nil
}

// reverse opens the upgrades in which services went back to the old build.
func (d *Detector) reverse(now moment) {
	for _, c := range slices.Clone(d.open) {
		wait := now.grace
		if c.Depth > 0 {
			wait = now.settle // it has been to and fro: only rest is believed
		}
		for _, e := range c.Entries {
			if e.RolledBack || len(e.Backs) == 0 || !e.FromSeen.Equal(now.at) || e.FromSeen.Sub(e.ToSeen) < wait {
				continue
			}
			e.RolledBack, c.dirty = true, true
			r := d.reversal(c)
			back := &entry{
				Service: e.Service, Binary: e.Binary, Selector: e.Selector, From: e.To, To: e.From,
				Instances: map[string]time.Time{}, FromSeen: e.ToSeen, ToSeen: e.FromSeen, change: r,
			}
			r.Entries = append(r.Entries, back)
			for _, name := range sortedKeys(e.Backs) {
				b := e.Backs[name]
				back.forward(swtch{instance: name, at: b.At, earliest: b.Earliest})
			}
			if s := d.services[e.Service]; s != nil {
				s.Before = &pair{From: back.From, To: back.To}
			}
		}
	}
}

// reversal is the change that takes c back.
func (d *Detector) reversal(c *change) *change {
	for _, r := range d.open {
		if r.parent == c {
			return r
		}
	}
	r := &change{Rollback: !c.Rollback, Depth: c.Depth + 1, parent: c}
	d.open = append(d.open, r)
	return r
}

// report names, ends and gives what has changed.
func (d *Detector) report(now moment) []detector.Upgrade {
	var out []detector.Upgrade
	var still []*change
	for _, c := range d.open {
		if c.ID == "" {
			id := makeID(c.upgrade().Binaries, c.Started)
			c.ID = id
			for n := 2; slices.Contains(d.used, c.ID); n++ {
				c.ID = fmt.Sprintf("%s-%d", id, n)
			}
			d.used = append(d.used, c.ID)
			d.used = d.used[max(0, len(d.used)-maxUsed):]
		}
		over := !slices.ContainsFunc(c.Entries, func(e *entry) bool { return !e.RolledBack })
		if over || now.at.Sub(c.Activity) >= d.settle {
			c.Finished, c.dirty = c.LastSwitch, true
		} else {
			still = append(still, c)
		}
		if c.dirty {
			out = append(out, c.upgrade())
			c.dirty = false
		}
		c.parent = nil
	}
	d.open = still
	sort.Slice(out, func(i, j int) bool { return out[i].ID < out[j].ID })
	return out
}

// selector says which series the service's binary emits: its service label, and
// every label where that alone would also match the same binary elsewhere.
func (d *Detector) selector(key string, s *service) map[string]string {
	name, value := primary(s.Labels)
	if name == "" {
		return s.Labels
	}
	for k, o := range d.services {
		if k != key && o.Binary == s.Binary && o.Labels[name] == value {
			return s.Labels
		}
	}
	return map[string]string{name: value}
}

func primary(labels map[string]string) (name, value string) {
	for _, n := range []string{"service", "service_name", "job", "app"} {
		if v := labels[n]; v != "" {
			return n, v
		}
	}
	return "", ""
}
