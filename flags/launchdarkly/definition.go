package launchdarkly

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"aftershock/flags/remote"
)

// definition is a flag in one environment, as far as toggles change it or depend
// on it. Variations go by their IDs.
type definition struct {
	On           bool        `json:"on"`
	OffVariation string      `json:"offVariation,omitempty"`
	Fallthrough  fallthru    `json:"fallthrough"`
	Variations   []variation `json:"variations"`
	// Masked holds what decides before the fallthrough: rules, individual targets
	// and prerequisites, as LaunchDarkly has them.
	Masked map[string]json.RawMessage `json:"masked,omitempty"`
}

// fallthru is what those get whom no rule matches: a variation, or a share of the
// callers each, which is kept as it is.
type fallthru struct {
	Variation string          `json:"variation,omitempty"`
	Rollout   json.RawMessage `json:"rollout,omitempty"`
}

type variation struct {
	ID    string          `json:"id"`
	Name  string          `json:"name"`
	Value json.RawMessage `json:"value"`
}

// answer is a feature flag as the API returns it, with one environment.
type answer struct {
	Key        string `json:"key"`
	Variations []struct {
		ID    string          `json:"_id"`
		Name  string          `json:"name"`
		Value json.RawMessage `json:"value"`
	} `json:"variations"`
	Archived     bool                   `json:"archived"`
	Environments map[string]environment `json:"environments"`
}

type environment struct {
	On           *bool `json:"on"`
	Version      int64 `json:"version"`
	OffVariation *int  `json:"offVariation"`
	Fallthrough  *struct {
		Variation *int            `json:"variation"`
		Rollout   json.RawMessage `json:"rollout"`
	} `json:"fallthrough"`
	Rules          []json.RawMessage `json:"rules"`
	Targets        []json.RawMessage `json:"targets"`
	ContextTargets []json.RawMessage `json:"contextTargets"`
	Prerequisites  []json.RawMessage `json:"prerequisites"`
}

// parse reads the API's answer for a flag; revision is the environment's version.
func parse(body []byte, flag, env string) (d definition, revision string, err error) {
	var got answer
	if err := json.Unmarshal(body, &got); err != nil || got.Key != flag || len(got.Variations) == 0 {
		return d, "", errors.New("LaunchDarkly's answer doesn't describe the flag") //nolint:staticcheck // a name
	}
	if got.Archived {
		return d, "", fmt.Errorf("%w: the flag is archived", remote.ErrReadOnly)
	}
	e, ok := got.Environments[env]
	if !ok || e.On == nil {
		return d, "", fmt.Errorf("LaunchDarkly's answer lacks the environment %s", env) //nolint:staticcheck // a name
	}
	if err := d.name(got); err != nil {
		return d, "", err
	}
	d.On = *e.On
	if d.OffVariation, err = d.at(e.OffVariation); err != nil {
		return d, "", err
	}
	if e.Fallthrough != nil {
		d.Fallthrough.Rollout = e.Fallthrough.Rollout
		if d.Fallthrough.Variation, err = d.at(e.Fallthrough.Variation); err != nil {
			return d, "", err
		}
	}
	d.Masked, err = e.masked()
	return d, strconv.FormatInt(e.Version, 10), err
}

// name takes in the variations, which go by their names, or by their values
// where they have none.
func (d *definition) name(got answer) error {
	names, ids := map[string]bool{}, map[string]bool{}
	for _, v := range got.Variations {
		name := v.Name
		if name == "" {
			name = remote.Cut(string(remote.Canonical(v.Value)), 60)
		}
		if names[name] || name == "" {
			name = v.ID
		}
		if v.ID == "" || len(v.Value) == 0 || ids[v.ID] || names[name] {
			return errors.New("LaunchDarkly's answer has variations that can't be told apart, or one without a value") //nolint:staticcheck // a name
		}
		names[name], ids[v.ID] = true, true
		d.Variations = append(d.Variations, variation{ID: v.ID, Name: name, Value: v.Value})
	}
	return nil
}

// at is the ID of the n-th variation, "" for none.
func (d definition) at(n *int) (string, error) {
	switch {
	case n == nil:
		return "", nil
	case *n < 0 || *n >= len(d.Variations):
		return "", errors.New("LaunchDarkly's answer names a variation that it doesn't have") //nolint:staticcheck // a name
	}
	return d.Variations[*n].ID, nil
}

func (e environment) masked() (map[string]json.RawMessage, error) {
	m := map[string]json.RawMessage{}
	for name, list := range map[string][]json.RawMessage{
		"rules": e.Rules, "targets": e.Targets, "contextTargets": e.ContextTargets, "prerequisites": e.Prerequisites,
	} {
		if len(list) == 0 {
			continue
		}
		b, err := json.Marshal(list)
		if err != nil {
			return nil, fmt.Errorf("write the %s: %w", name, err)
		}
		m[name] = b
	}
	return m, nil
}

func (d definition) nameOf(id string) string {
	for _, v := range d.Variations {
		if v.ID == id {
			return v.Name
		}
	}
	return ""
}

// served is what a caller gets whom no rule knows, "" where that isn't known, and
// whether everyone does.
func (d definition) served() (name string, everyone bool) {
	if !d.On {
		return d.nameOf(d.OffVariation), true
	}
	return d.nameOf(d.Fallthrough.Variation), len(d.Masked) == 0 && d.Fallthrough.Variation != ""
}

// pin is d changed so that everyone gets the variation.
func (d definition) pin(name string) (next definition, doubts []string, err error) {
	id := ""
	for _, v := range d.Variations {
		if v.Name == name {
			id = v.ID
		}
	}
	next = d
	switch {
	case id == "":
		return d, nil, fmt.Errorf("variation %q is %w", remote.Cut(name, 100), remote.ErrUnknown)
	case id == d.OffVariation:
		next.On = false
	case len(d.Masked) == 0 && d.Fallthrough.Variation != "":
		next.On, next.Fallthrough = true, fallthru{Variation: id}
	case d.OffVariation == "":
		return d, nil, fmt.Errorf("%w: the flag has rules or a rollout, and no off variation that could be put back after they were masked; give it one in LaunchDarkly", remote.ErrReadOnly)
	default:
		next.On, next.OffVariation = false, id
		doubts = append(doubts, fmt.Sprintf("the flag has rules, targets or a rollout, which are left as they are: its targeting is switched off, with %s as the variation that is served then", name))
	}
	return next, doubts, nil
}

// instructions lead from one definition to another.
func (d definition) instructions(to definition) ([]map[string]any, error) {
	var out []map[string]any
	add := func(kind string, id string) {
		i := map[string]any{"kind": kind}
		if id != "" {
			i["variationId"] = id
		}
		out = append(out, i)
	}
	if !sameJSON(d.Variations, to.Variations) || !sameJSON(d.Masked, to.Masked) {
		return nil, fmt.Errorf("%w: its variations, rules, targets or prerequisites aren't those of the plan", remote.ErrConflict)
	}
	if d.OffVariation != to.OffVariation {
		if to.OffVariation == "" {
			return nil, fmt.Errorf("%w: LaunchDarkly can't take an off variation away", remote.ErrReadOnly)
		}
		add("updateOffVariation", to.OffVariation)
	}
	if !sameJSON(d.Fallthrough, to.Fallthrough) {
		if to.Fallthrough.Variation == "" {
			return nil, fmt.Errorf("%w: only a single variation can be put into the fallthrough", remote.ErrReadOnly)
		}
		add("updateFallthroughVariationOrRollout", to.Fallthrough.Variation)
	}
	switch {
	case to.On && !d.On:
		add("turnFlagOn", "")
	case !to.On && d.On:
		add("turnFlagOff", "")
	}
	return out, nil
}

func sameJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && remote.Same(x, y)
}
