package unleash

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"aftershock/flags/remote"
)

// Variants of a flag that has none of its own.
const (
	on  = "on"
	off = "off"
)

// override marks the strategies that are ours, by their title.
const override = "Aftershock: everyone gets "

// definition is a flag in one environment, as far as toggles change it. It has no
// identities: a strategy that is restored gets another.
type definition struct {
	Enabled    bool       `json:"enabled"`
	Strategies []strategy `json:"strategies"`
	// Variants are those of the environment, which apply where the strategy that
	// lets a caller in has none.
	Variants []variant `json:"variants,omitempty"`
}

type strategy struct {
	ID          string            `json:"id,omitempty"`
	Name        string            `json:"name"`
	Title       string            `json:"title,omitempty"`
	Disabled    bool              `json:"disabled,omitempty"`
	Parameters  map[string]string `json:"parameters,omitempty"`
	Constraints []json.RawMessage `json:"constraints"`
	Segments    []json.RawMessage `json:"segments,omitempty"`
	Variants    []variant         `json:"variants"`
	SortOrder   int               `json:"sortOrder"`
}

type variant struct {
	Name       string            `json:"name"`
	Weight     int               `json:"weight"`
	WeightType string            `json:"weightType,omitempty"`
	Stickiness string            `json:"stickiness,omitempty"`
	Payload    *payload          `json:"payload,omitempty"`
	Overrides  []json.RawMessage `json:"overrides,omitempty"`
}

type payload struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

func (s strategy) ours() bool { return strings.HasPrefix(s.Title, override) }

// everyone says whether the strategy lets all callers in.
func (s strategy) everyone() bool {
	if s.Disabled || len(s.Constraints) > 0 || len(s.Segments) > 0 {
		return false
	}
	return s.Name == "default" || s.Name == "flexibleRollout" && s.Parameters["rollout"] == "100"
}

// parse reads the answer of the admin API for a feature in an environment.
func parse(body []byte, environment string) (definition, error) {
	var got struct {
		Environment string     `json:"environment"`
		Enabled     *bool      `json:"enabled"`
		Strategies  []strategy `json:"strategies"`
		Variants    []variant  `json:"variants"`
	}
	if err := json.Unmarshal(body, &got); err != nil || got.Enabled == nil || got.Environment != environment {
		return definition{}, errors.New("Unleash's answer doesn't describe the flag in its environment") //nolint:staticcheck // a name
	}
	d := definition{Enabled: *got.Enabled, Strategies: got.Strategies, Variants: got.Variants}
	slices.SortStableFunc(d.Strategies, func(a, b strategy) int { return cmp.Compare(a.SortOrder, b.SortOrder) })
	return d, nil
}

// plain is d without identities.
func (d definition) plain() definition {
	d.Strategies = slices.Clone(d.Strategies)
	for i := range d.Strategies {
		d.Strategies[i].ID = ""
	}
	return d
}

// variants are the values by name: those that a strategy or the environment has,
// and "off", which is the flag switched off; "on" as well where there are none.
func (d definition) variants() map[string]json.RawMessage {
	all := map[string]json.RawMessage{}
	for _, v := range d.declared() {
		all[v.Name] = v.value()
	}
	if len(all) == 0 {
		all[on] = json.RawMessage("true")
	}
	if _, taken := all[off]; !taken {
		all[off] = json.RawMessage("false")
	}
	return all
}

func (d definition) declared() []variant {
	var all []variant
	for _, s := range d.Strategies {
		if !s.ours() {
			all = append(all, s.Variants...)
		}
	}
	return append(all, d.Variants...)
}

// value is the payload as JSON, true where there is none.
func (v variant) value() json.RawMessage {
	if v.Payload == nil {
		return json.RawMessage("true")
	}
	return v.Payload.value()
}

func (p payload) value() json.RawMessage {
	switch p.Type {
	case "json":
		if json.Valid([]byte(p.Value)) {
			return json.RawMessage(p.Value)
		}
	case "number":
		if _, err := strconv.ParseFloat(p.Value, 64); err == nil && json.Valid([]byte(p.Value)) {
			return json.RawMessage(p.Value)
		}
	}
	b, err := json.Marshal(p.Value)
	if err != nil { // a string can always be written
		return json.RawMessage(`""`)
	}
	return b
}

// served is what a caller without properties gets, "" where that isn't known, and
// whether everyone does.
func (d definition) served() (name string, everyone bool) {
	if !d.Enabled {
		return off, true
	}
	for _, s := range d.Strategies {
		if s.Disabled {
			continue
		}
		if !s.everyone() {
			return "", false
		}
		from := s.Variants
		if len(from) == 0 {
			from = d.Variants
		}
		return single(from)
	}
	// An environment that is on without an enabled strategy lets everyone in.
	return single(d.Variants)
}

// single is the one variant that everyone gets.
func single(variants []variant) (string, bool) {
	if len(variants) == 0 {
		return on, true
	}
	name := ""
	for _, v := range variants {
		if len(v.Overrides) > 0 || v.Weight > 0 && name != "" {
			return "", false
		}
		if v.Weight > 0 {
			name = v.Name
		}
	}
	return name, name != ""
}

// pin is d changed so that everyone gets the variant: switched off, or with a
// strategy of ours before all others, which stay as they are.
func (d definition) pin(name string) (definition, error) {
	declared := d.declared()
	at := slices.IndexFunc(declared, func(v variant) bool { return v.Name == name })
	next := definition{Enabled: true, Variants: d.Variants}
	first := 0
	for _, s := range d.Strategies {
		if !s.ours() {
			next.Strategies = append(next.Strategies, s)
			first = min(first, s.SortOrder)
		}
	}
	switch {
	case at < 0 && name == off:
		next.Enabled = false
		return next, nil
	case at < 0 && (name != on || len(declared) > 0):
		return d, fmt.Errorf("variant %q is %w", remote.Cut(name, 100), remote.ErrUnknown)
	}
	// Where switching on is all that it takes, that's all that is done.
	if served, everyone := next.served(); everyone && served == name && len(next.Strategies) > 0 {
		return next, nil
	}
	s := strategy{
		Name: "flexibleRollout", Title: override + remote.Cut(name, 60), SortOrder: first - 1, Constraints: []json.RawMessage{},
		Parameters: map[string]string{"rollout": "100", "stickiness": "default", "groupId": "aftershock"}, Variants: []variant{},
	}
	if at >= 0 {
		v := declared[at]
		v.Weight, v.WeightType, v.Overrides, v.Stickiness = 1000, "variable", nil, "default"
		s.Variants = []variant{v}
	}
	next.Strategies = append([]strategy{s}, next.Strategies...)
	return next, nil
}
