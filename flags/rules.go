package flags

import (
	"fmt"
	"reflect"

	"aftershock/detector"
	"aftershock/flags/policy"
)

// Rules are what holds for toggles beside the flags' definitions: which flag gates
// what, and who may toggle it. They are replaced as a whole, and never changed.
type Rules struct {
	Gates  []Gate
	Policy policy.Config
}

// withdraws says why an automatic toggle that was decided before may not be made under
// these rules, "" if it may.
func (r *Rules) withdraws(t detector.Toggle) string {
	gates := make([]policy.Gate, len(r.Gates))
	for i, g := range r.Gates {
		gates[i] = policy.Gate{Flag: g.Flag, Binary: g.Binary, Safe: g.Safe}
	}
	return r.Policy.Withdraws(t, gates)
}

// Rules are those that hold now.
func (s *Switchboard) Rules() *Rules { return s.rules.Load() }

// SetRules makes other rules hold from now on, as a reload does. They must be valid.
// Plans that wait need the approvals that they were made with, or those that are
// asked for now, whichever are more; freezes and toggles in force stay.
func (s *Switchboard) SetRules(gates []Gate, p policy.Config) (changed bool) {
	next := &Rules{Gates: gates, Policy: p}
	next.Policy.SetDefaults()
	if reflect.DeepEqual(next, s.rules.Load()) {
		return false
	}
	s.rules.Store(next)
	return true
}

// hold refuses what was decided under rules that hold no longer: it may be more than
// they allow.
func (r Request) hold(now *Rules) error {
	if r.Under == nil || r.Under == now {
		return nil
	}
	return fmt.Errorf("set flag %q: %w: the policy was reloaded since it was decided", r.Flag, ErrConflict)
}
