package upgrades

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"aftershock/detector"
)

// change is an upgrade in the making.
type change struct {
	ID       string   `json:"id"`
	Entries  []*entry `json:"entries"`
	Rollback bool     `json:"rollback,omitempty"`
	Flapping bool     `json:"flapping,omitempty"`
	// Depth counts the reversals that led here.
	Depth int `json:"depth,omitempty"`
	// Started is when an old build was last seen alone, LastSwitch the last
	// switch to the new builds, Activity the last switch either way.
	Started    time.Time `json:"started"`
	LastSwitch time.Time `json:"last_switch"`
	Activity   time.Time `json:"activity"`
	Finished   time.Time `json:"finished,omitzero"`

	dirty  bool    // changed in this frame
	parent *change // what it reverses, within this frame
}

// entry is one service's part in a change.
type entry struct {
	Service   string               `json:"service"` // its key
	Binary    string               `json:"binary"`
	Selector  map[string]string    `json:"selector,omitempty"`
	From      build                `json:"from"`
	To        build                `json:"to"`
	Deployed  time.Time            `json:"deployed"`
	Instances map[string]time.Time `json:"instances"`
	// Born are the ones of Instances that were new by name.
	Born map[string]bool `json:"born,omitempty"`
	// Fleet is what the instances were last seen to run.
	Fleet *detector.Fleet `json:"fleet,omitempty"`
	// Backs are the instances that went back to From.
	Backs map[string]back `json:"backs,omitempty"`
	// FromSeen is when an instance was last seen to run From, ToSeen when one of
	// those that switched was last seen to run To.
	FromSeen   time.Time `json:"from_seen"`
	ToSeen     time.Time `json:"to_seen"`
	RolledBack bool      `json:"rolled_back,omitempty"`

	change *change
}

type back struct {
	At       time.Time `json:"at"`
	Earliest time.Time `json:"earliest"`
}

// forward puts down that an instance switched to the new build.
func (e *entry) forward(sw swtch) {
	c := e.change
	c.dirty = true
	if _, ok := e.Backs[sw.instance]; ok {
		delete(e.Backs, sw.instance)
		c.Flapping = true
	}
	if _, ok := e.Instances[sw.instance]; !ok && len(e.Instances) < maxInstances {
		e.Instances[sw.instance] = sw.at
		if sw.born {
			if e.Born == nil {
				e.Born = map[string]bool{}
			}
			e.Born[sw.instance] = true
		}
		if e.Deployed.IsZero() || sw.at.Before(e.Deployed) {
			e.Deployed = sw.at
		}
		first := sw.earliest
		if first.IsZero() || sw.at.Before(first) {
			first = sw.at
		}
		// A rollout's first instance bounds its start; those that join later may
		// have been away for long, which says nothing of the upgrade.
		if c.Started.IsZero() || c.ID == "" && first.Before(c.Started) {
			c.Started = first
		}
		if sw.at.Before(c.Started) {
			c.Started = sw.at
		}
	}
	c.LastSwitch = later(c.LastSwitch, sw.at)
	c.Activity = later(c.Activity, sw.at)
}

// back puts down that an instance went back to the old build.
func (e *entry) back(sw swtch) {
	if e.Backs == nil {
		e.Backs = map[string]back{}
	}
	if len(e.Backs) < maxInstances {
		e.Backs[sw.instance] = back{At: sw.at, Earliest: sw.earliest}
	}
	if !sw.returned {
		e.change.Activity = later(e.change.Activity, sw.at)
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// upgrade is the change in the words of the domain.
func (c *change) upgrade() detector.Upgrade {
	u := detector.Upgrade{ID: c.ID, StartedAt: c.Started, FinishedAt: c.Finished, Source: c.source()}
	for _, e := range c.Entries {
		from, to := e.From.names(e.To)
		b := detector.Binary{Name: e.Binary, From: from, To: to, Selector: e.Selector, DeployedAt: e.Deployed, Fleet: e.Fleet}
		for name, at := range e.Instances {
			b.Instances = append(b.Instances, detector.Deployment{Instance: name, At: at})
		}
		sortDeployments(b.Instances)
		u.Binaries = append(u.Binaries, b)
	}
	sort.SliceStable(u.Binaries, func(i, j int) bool {
		a, b := u.Binaries[i], u.Binaries[j]
		if a.Name != b.Name {
			return a.Name < b.Name
		}
		return labelKey(a.Selector) < labelKey(b.Selector)
	})
	return clone(u)
}

func (c *change) source() string {
	words := []string{"toolchain"}
	if slices.ContainsFunc(c.Entries, func(e *entry) bool { return !e.From.toolchainOnly(e.To) }) {
		words[0] = "build-info"
	}
	if c.Rollback {
		words = append(words, "rollback")
	}
	if slices.ContainsFunc(c.Entries, func(e *entry) bool { return e.RolledBack }) {
		words = append(words, "rolled back")
	}
	if c.Flapping {
		words = append(words, "flapping")
	}
	return strings.Join(words, ", ")
}

// stateFormat is the form in which a detector's memory is written.
const stateFormat = 1

type state struct {
	Format   int        `json:"format"`
	Last     time.Time  `json:"last"`
	Services []*service `json:"services"`
	Open     []*change  `json:"open"`
	Used     []string   `json:"used"`
}

// Save gives the detector's memory as JSON, so that a restarted daemon knows
// what ran before.
func (d *Detector) Save() ([]byte, error) {
	s := state{Format: stateFormat, Last: d.last, Services: []*service{}, Open: d.open, Used: d.used}
	for _, key := range sortedKeys(d.services) {
		s.Services = append(s.Services, d.services[key])
	}
	data, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("save what the upgrade detector knows: %w", err)
	}
	return data, nil
}

// Restore puts the memory that Save gave in the place of the detector's. When
// it fails the detector is as before.
func (d *Detector) Restore(data []byte) error {
	var s state
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("restore what the upgrade detector knew: %w", err)
	}
	if s.Format != stateFormat {
		return fmt.Errorf("restore what the upgrade detector knew: format %d, want %d: was it written by a newer version?", s.Format, stateFormat)
	}
	services := make(map[string]*service, len(s.Services))
	for _, svc := range s.Services {
		if svc == nil || svc.Instances == nil || hasNil(svc.Instances) {
			return errors.New("restore what the upgrade detector knew: a service without its instances")
		}
		services[serviceKey(svc.Binary, svc.Labels)] = svc
	}
	for _, c := range s.Open {
		if c == nil || slices.Contains(c.Entries, nil) || len(c.Entries) == 0 {
			return errors.New("restore what the upgrade detector knew: an upgrade without its binaries")
		}
		for _, e := range c.Entries {
			if e.Instances == nil {
				e.Instances = map[string]time.Time{}
			}
		}
	}
	d.last, d.services, d.open, d.used = s.Last, services, s.Open, s.Used
	return nil
}

func hasNil(m map[string]*instance) bool {
	for _, in := range m {
		if in == nil {
			return true
		}
	}
	return false
}
