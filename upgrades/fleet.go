package upgrades

import (
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"aftershock/detector"
)

// survey looks at the instances of the services in open changes. A frame without any
// build says that nothing could be read, and not that everything is gone.
func (d *Detector) survey(now moment, seen map[string]map[string][]sighting) {
	if len(seen) == 0 {
		return
	}
	for _, c := range d.open {
		for _, e := range c.Entries {
			s := d.services[e.Service]
			if s == nil {
				continue
			}
			f := e.fleet(s, c.Started, now)
			if e.Fleet.Same(f) {
				continue
			}
			e.Fleet, c.dirty = f, true
		}
	}
}

// fleet is what the service's instances run, seen from the entry of a change that started
// then.
func (e *entry) fleet(s *service, started time.Time, now moment) *detector.Fleet {
	f := &detector.Fleet{Since: now.at}
	for name, in := range s.Instances {
		at, switched := e.Instances[name]
		if now.at.Sub(in.Last) >= now.grace {
			// What was gone before the upgrade is none of its business.
			if switched && !in.Last.Before(at) || !in.Last.Before(started.Add(-now.grace)) {
				f.Gone++
				f.GoneNames = append(f.GoneNames, name)
			}
			continue
		}
		// One that went on to a further build has been on this one.
		if in.Build.same(e.To) || switched && !in.Build.same(e.From) {
			f.New++
			if e.Born[name] {
				f.Born++
				f.BornNames = append(f.BornNames, name)
			}
			continue
		}
		f.Old++
		f.OldNames = append(f.OldNames, name)
	}
	f.OldNames, f.BornNames, f.GoneNames = first(f.OldNames), first(f.BornNames), first(f.GoneNames)
	return f
}

// first are the first names that a fleet tells.
func first(names []string) []string {
	slices.Sort(names)
	return slices.Clip(names[:min(len(names), detector.FleetNames)])
}

// fleet passes over a fleet in a record, as in one that was read from the API: it is
// seen, and nobody tells it.
func (p *parser) fleet(path string, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		p.fail(path, n, "want fields, got %s", kindName(n))
	}
}
