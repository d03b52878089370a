package flags

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"aftershock/detector"
	"aftershock/flags/definitions"
	"aftershock/flags/policy"
)

// View is a flag as people look at it.
type View struct {
	definitions.Flag
	// Serving is the variant that a caller without properties gets, "" where it
	// gets none.
	Serving  string `json:"serving,omitempty"`
	Revision int64  `json:"revision"`
	// Toggles is the number of toggles that stand, in force or under another, which undo
	// takes back one by one.
	Toggles int    `json:"toggles"`
	Gates   []Gate `json:"gates,omitempty"`
	// Standing are those toggles, the latest at the end: InForce those that hold.
	Standing []Standing `json:"standing,omitempty"`
	// Policy is what holds for the flag.
	Policy policy.Rule `json:"policy"`
	// Backend is where the flag lives, nil for the switchboard's own definitions.
	Backend *Living `json:"backend,omitempty"`
}

// Tunable says whether Tune knows what the flag's variants are constants of.
func (v View) Tunable() bool {
	return slices.ContainsFunc(v.Gates, func(g Gate) bool { return g.Tunes != nil })
}

// InForce are the standing toggles that no other replaced.
func (v View) InForce() []Standing {
	return slices.DeleteFunc(slices.Clone(v.Standing), func(s Standing) bool { return s.ReplacedBy != nil })
}

// Beneath is the toggle that is in force again when the last one is undone, nil where
// there is none.
func (v View) Beneath() *Standing {
	n := len(v.Standing)
	if n < 2 || v.Standing[n-2].ReplacedBy == nil || v.Standing[n-2].ReplacedBy.Toggle != v.Standing[n-1].Toggle {
		return nil
	}
	return &v.Standing[n-2]
}

// List returns all flags in order of key.
func (s *Switchboard) List() []View {
	n := s.serving.Load()
	views := []View{}
	for _, key := range n.set.Keys() {
		if s.placeOf(key) == nil {
			views = append(views, s.view(n, key))
		}
	}
	for _, p := range s.places {
		for _, key := range p.keys(n.document) {
			if s.placeOf(key) == p {
				views = append(views, s.viewAway(n, p, key))
			}
		}
	}
	slices.SortFunc(views, func(a, b View) int { return strings.Compare(a.Key, b.Key) })
	return views
}

// Show returns one flag, or ErrUnknown; one that lives in a backend as it was
// last seen.
func (s *Switchboard) Show(key string) (View, error) {
	n := s.serving.Load()
	if p := s.placeOf(key); p != nil {
		if !slices.Contains(p.keys(n.document), key) {
			return View{}, fmt.Errorf("flag %q is %w: it hasn't been seen in the backend %s", cut(key, 100), ErrUnknown, p.Name)
		}
		return s.viewAway(n, p, key), nil
	}
	if _, err := n.flag(key); err != nil {
		return View{}, err
	}
	return s.view(n, key), nil
}

func (s *Switchboard) view(n *snapshot, key string) View {
	f, _ := n.set.Flag(key)
	return View{
		Flag: f, Serving: n.served(key, s), Revision: n.revision, Toggles: len(n.document.Acts[key].Standing),
		Gates: s.gates(key), Standing: s.standing(n, key), Policy: s.Rules().Policy.For(key),
	}
}

func (s *Switchboard) gates(key string) []Gate {
	var gates []Gate
	for _, g := range s.Rules().Gates {
		if g.Flag == key {
			gates = append(gates, g)
		}
	}
	return gates
}

// Revision is the revision of the definitions that are served.
func (s *Switchboard) Revision() int64 { return s.serving.Load().revision }

// History returns the latest state of a flag's last 100 toggles, the latest act
// first; "" stands for all flags.
func (s *Switchboard) History(ctx context.Context, flag string) ([]detector.Toggle, error) {
	toggles, err := s.store.Toggles(ctx, flag, 100)
	if err != nil {
		return nil, fmt.Errorf("read the audit of flag %q: %w", cut(flag, 100), err)
	}
	return s.Replaced(toggles...), nil
}

// Replaced fills in which of the toggles, each in its latest state, lie under another.
func (s *Switchboard) Replaced(toggles ...detector.Toggle) []detector.Toggle {
	by := s.serving.Load().document.replaced()
	for i, t := range toggles {
		toggles[i].ReplacedBy = by[t.ID]
	}
	return toggles
}

// MaxRecent is how many toggles Known returns at most that are over.
const MaxRecent = 1000

// Known returns the latest state of toggles, the latest act first: the last
// MaxRecent of all flags, and however old they are those in force and the plans that
// wait. Of those after since none is missing.
func (s *Switchboard) Known(ctx context.Context) (toggles []detector.Toggle, since time.Time, err error) {
	if toggles, err = s.store.Toggles(ctx, "", MaxRecent); err != nil {
		return nil, since, fmt.Errorf("read the audit: %w", err)
	}
	if len(toggles) < MaxRecent {
		return toggles, since, nil
	}
	since = toggles[len(toggles)-1].At
	have := make(map[string]bool, len(toggles))
	for _, t := range toggles {
		have[t.ID] = true
	}
	older, err := s.Waiting(ctx)
	if err != nil {
		return nil, since, err
	}
	older = slices.DeleteFunc(older, func(t detector.Toggle) bool { return have[t.ID] })
	d := s.serving.Load().document
	for _, flag := range slices.Concat(slices.Collect(maps.Keys(d.Acts)), slices.Collect(maps.Keys(d.Away))) {
		for _, in := range d.inForce(flag) {
			if have[in.Toggle] {
				continue
			}
			have[in.Toggle] = true
			t, err := s.find(ctx, flag, in.Toggle)
			if err != nil {
				return nil, since, err
			}
			older = append(older, t)
		}
	}
	toggles = append(toggles, older...)
	slices.SortStableFunc(toggles, func(a, b detector.Toggle) int { return b.At.Compare(a.At) })
	return toggles, since, nil
}

// Flips returns the last toggles that were applied, as changes for the judge,
// all of them ours, in order of time. At is when the toggle was applied.
func (s *Switchboard) Flips(ctx context.Context) ([]detector.Flip, error) {
	toggles, err := s.History(ctx, "")
	if err != nil {
		return nil, err
	}
	var flips []detector.Flip
	for i := len(toggles) - 1; i >= 0; i-- {
		t := toggles[i]
		if !t.State.TookEffect() {
			continue
		}
		f := flip(t, true)
		f.At = t.Began()
		flips = append(flips, f)
	}
	return flips, nil
}

// Recovered audits that the indicators came back after a toggle. Saying it twice
// is no error.
func (s *Switchboard) Recovered(ctx context.Context, toggle, evidence string) (detector.Toggle, error) {
	return s.outcome(ctx, toggle, detector.ToggleRecovered, evidence)
}

// NotRecovered audits that they didn't by the deadline.
func (s *Switchboard) NotRecovered(ctx context.Context, toggle, evidence string) (detector.Toggle, error) {
	return s.outcome(ctx, toggle, detector.ToggleNoHelp, evidence)
}

func (s *Switchboard) outcome(ctx context.Context, id string, state detector.ToggleState, evidence string) (detector.Toggle, error) {
	t, err := s.find(ctx, "", id)
	if err != nil {
		return t, err
	}
	switch t.State {
	case state:
		return t, nil
	case detector.ToggleApplied, detector.ToggleVerified, detector.ToggleRecovered, detector.ToggleNoHelp:
		return s.record(ctx, t, state, evidence)
	}
	return t, fmt.Errorf("audit toggle %s as %s: %w: it is %s", id, state, ErrInvalid, t.State)
}
