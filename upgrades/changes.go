package upgrades

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"time"

	"aftershock/detector"
)

const (
	// maxKnown bounds the upgrades that are remembered for merging.
	maxKnown = 1000
	// forgetUpgrade is how long after its last activity an upgrade is remembered.
	forgetUpgrade = 60 * 24 * time.Hour
)

// Changes is all that is known of upgrades: what was recorded and what was
// found in the telemetry, each change once. It is not safe for concurrent use.
type Changes struct {
	settle   time.Duration
	detector *Detector // nil: nothing is looked for
	known    []*report
	// superseded are IDs under which upgrades were told before a record gave
	// them another.
	superseded []detector.Upgrade
}

// report is one upgrade as it was recorded, or found, or both.
type report struct {
	Record *detector.Upgrade  `json:"record,omitempty"`
	Found  []detector.Upgrade `json:"found,omitempty"`
	Told   detector.Upgrade   `json:"told"`
}

// New gives the changes of a daemon that has seen nothing yet.
func New(c Config) (*Changes, error) {
	d, err := NewDetector(c)
	if err != nil {
		return nil, err
	}
	if !c.Detect {
		d = nil
	}
	return &Changes{settle: time.Duration(c.Settle), detector: d}, nil
}

// Observe takes in the next frame and gives the upgrades that are new or have
// changed. An upgrade that a record has taken over under another ID comes once
// more under its own, with ClosedAt set.
func (c *Changes) Observe(f detector.Frame) []detector.Upgrade {
	var out []detector.Upgrade
	for _, u := range c.superseded {
		u.ClosedAt = f.Time.UTC()
		out = append(out, u)
	}
	c.superseded = nil
	c.forget(f.Time)
	if c.detector == nil {
		return out
	}
	for _, u := range c.detector.Observe(f) {
		r := c.holder(u)
		r.found(u)
		if now := r.upgrade(c.settle); !equal(now, r.Told) {
			r.Told = now
			out = append(out, clone(now))
		}
	}
	return out
}

// Record takes in an upgrade that somebody recorded, and gives it with what the
// telemetry adds to it. A record with the ID of a known upgrade takes its place.
func (c *Changes) Record(u detector.Upgrade) detector.Upgrade {
	u = clone(u)
	i := slices.IndexFunc(c.known, func(r *report) bool { return r.Told.ID == u.ID })
	if i < 0 {
		c.known = append(c.known, &report{})
		i = len(c.known) - 1
	}
	r := c.known[i]
	r.Record = &u
	c.known = slices.DeleteFunc(c.known, func(o *report) bool {
		if o == r || o.Record != nil {
			return false
		}
		if _, same := Merge(u, o.Told, c.settle); !same {
			return false
		}
		r.Found = append(r.Found, o.Found...)
		c.superseded = append(c.superseded, o.Told)
		return true
	})
	r.Told = r.upgrade(c.settle)
	c.bound()
	return clone(r.Told)
}

// holder is the report that the found upgrade belongs to.
func (c *Changes) holder(u detector.Upgrade) *report {
	for _, r := range c.known {
		if slices.ContainsFunc(r.Found, func(f detector.Upgrade) bool { return f.ID == u.ID }) {
			return r
		}
	}
	for _, r := range slices.Backward(c.known) {
		if r.Record == nil {
			continue
		}
		if _, same := Merge(*r.Record, u, c.settle); same {
			return r
		}
	}
	r := &report{}
	c.known = append(c.known, r)
	return r
}

func (r *report) found(u detector.Upgrade) {
	if i := slices.IndexFunc(r.Found, func(f detector.Upgrade) bool { return f.ID == u.ID }); i >= 0 {
		r.Found[i] = u
		return
	}
	r.Found = append(r.Found, u)
}

// upgrade is what the report says by now.
func (r *report) upgrade(settle time.Duration) detector.Upgrade {
	var u detector.Upgrade
	rest := r.Found
	if r.Record != nil {
		u = *r.Record
	} else {
		u, rest = r.Found[0], r.Found[1:]
	}
	for _, f := range rest {
		u, _ = Merge(u, f, settle)
	}
	return clone(u)
}

// forget drops what is too old.
func (c *Changes) forget(now time.Time) {
	c.known = slices.DeleteFunc(c.known, func(r *report) bool {
		return now.Sub(latest(r.Told)) > forgetUpgrade
	})
	c.bound()
}

// bound drops the oldest of what is too much.
func (c *Changes) bound() {
	if len(c.known) <= maxKnown {
		return
	}
	sort.SliceStable(c.known, func(i, j int) bool { return latest(c.known[i].Told).Before(latest(c.known[j].Told)) })
	c.known = slices.Clone(c.known[len(c.known)-maxKnown:])
}

type changesState struct {
	Detector   json.RawMessage    `json:"detector,omitempty"`
	Known      []*report          `json:"known"`
	Superseded []detector.Upgrade `json:"superseded,omitempty"`
}

// Save gives all that is known as JSON.
func (c *Changes) Save() ([]byte, error) {
	s := changesState{Known: c.known, Superseded: c.superseded}
	if c.detector != nil {
		data, err := c.detector.Save()
		if err != nil {
			return nil, err
		}
		s.Detector = data
	}
	data, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("save the known upgrades: %w", err)
	}
	return data, nil
}

// Restore puts what Save gave in the place of all that is known. When it fails
// nothing has changed.
func (c *Changes) Restore(data []byte) error {
	var s changesState
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("restore the known upgrades: %w", err)
	}
	for _, r := range s.Known {
		if r == nil || r.Record == nil && len(r.Found) == 0 {
			return fmt.Errorf("restore the known upgrades: one of them is empty")
		}
	}
	if c.detector != nil && len(s.Detector) > 0 {
		if err := c.detector.Restore(s.Detector); err != nil {
			return err
		}
	}
	c.known, c.superseded = s.Known, s.Superseded
	return nil
}
