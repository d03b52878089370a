package flags

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"aftershock/detector"
	"aftershock/flags/tuning"
)

// Tunes says which third party the constants in a flag's variants are for.
type Tunes struct {
	// Service calls Peer; both as in the labels of the telemetry.
	Service string `yaml:"service" json:"service"`
	Peer    string `yaml:"peer" json:"peer"`
	// Since is the first version of the binary that reads the flag; what ran
	// before it had the safe variant's constants. "" is for all versions.
	Since string `yaml:"since" json:"since,omitempty"`
	// Constants are what a variant's value stands for, or leaves to the binary.
	Constants map[string]map[string]any `yaml:"constants" json:"constants,omitempty"`
}

// validate lists what is wrong, under path.
func (t *Tunes) validate(path, safe string) (errs []error) {
	if t.Service == "" {
		errs = append(errs, fmt.Errorf("%s.service: missing: name the service that calls the third party", path))
	}
	if t.Peer == "" {
		errs = append(errs, fmt.Errorf("%s.peer: missing: name the third party as the telemetry does", path))
	}
	if safe == "" {
		errs = append(errs, fmt.Errorf("%s: the gate needs a safe variant to compare with", path))
	}
	if _, ok := tuning.Numbers(t.Since); t.Since != "" && !ok {
		errs = append(errs, fmt.Errorf("%s.since: %q is no version such as 4.2.0", path, cut(t.Since, 100)))
	}
	for variant, c := range t.Constants {
		if err := tuning.CheckPart(c); err != nil {
			errs = append(errs, fmt.Errorf("%s.constants.%s: %w", path, variant, err))
		}
	}
	return errs
}

// TuneRequest asks what other constants of a flag would do.
type TuneRequest struct {
	Flag string
	// Back is how much of the past is replayed, a day if 0, at most MaxBack.
	Back       time.Duration
	Candidates []json.RawMessage
}

// MaxBack is the most of the past that is replayed.
const MaxBack = 7 * 24 * time.Hour

// Tune replays the third party's measured course against the flag's variants and
// the candidates, and says which constants to serve. One tuning runs at a time; an
// error is ErrUnknown, ErrInvalid, ErrNotReady, or one of package tuning.
func (s *Switchboard) Tune(ctx context.Context, r TuneRequest) (tuning.Result, error) {
	var none tuning.Result
	if r.Back == 0 {
		r.Back = 24 * time.Hour
	}
	if r.Back < 0 || r.Back > MaxBack {
		return none, fmt.Errorf("tune flag %q: %w: %s isn't between 0 and %s", cut(r.Flag, 100), ErrInvalid, r.Back, MaxBack)
	}
	v, err := s.Show(r.Flag)
	if err != nil {
		return none, err
	}
	at := slices.IndexFunc(v.Gates, func(g Gate) bool { return g.Tunes != nil })
	if at < 0 {
		return none, fmt.Errorf("tune flag %q: %w: its gate says nothing under tunes: name the service and the third party there", r.Flag, ErrInvalid)
	}
	if s.config.Past == nil {
		return none, fmt.Errorf("tune flag %q: %w: there is no telemetry to look back at", r.Flag, ErrNotReady)
	}
	if !s.tuning.TryLock() {
		return none, fmt.Errorf("tune flag %q: %w: another tuning is under way; try again in a moment", r.Flag, ErrNotReady)
	}
	defer s.tuning.Unlock()
	q, doubts, err := s.question(ctx, v, v.Gates[at])
	if err != nil {
		return none, err
	}
	q.Candidates = r.Candidates
	rec := tuning.NewRecorder(q.Service, q.Peer)
	err = s.config.Past(ctx, q.Service, q.Peer, r.Back, func(f detector.Frame) error {
		rec.Add(f)
		return nil
	})
	if err != nil {
		return none, fmt.Errorf("tune flag %q: %w", r.Flag, err)
	}
	t, err := tuning.Tune(q, rec)
	if err != nil {
		return none, fmt.Errorf("tune flag %q: %w", r.Flag, err)
	}
	t.Warnings = append(t.Warnings, doubts...)
	return t, nil
}

// question is what the flag's definition and history say of it.
func (s *Switchboard) question(ctx context.Context, v View, g Gate) (q tuning.Question, doubts []string, err error) {
	q = tuning.Question{
		Flag: v.Key, Service: g.Tunes.Service, Peer: g.Tunes.Peer, Since: g.Tunes.Since, Safe: g.Safe, Seed: 1,
	}
	for _, name := range v.VariantNames() {
		q.Variants = append(q.Variants, tuning.Variant{Name: name, Value: v.Variants[name], Beneath: g.Tunes.Constants[name]})
	}
	// The new one is what the definition gives without toggles, unless that is the
	// safe one by now.
	var base struct {
		DefaultVariant string `json:"defaultVariant"`
	}
	if err := json.Unmarshal(s.serving.Load().document.base(v.Key), &base); err != nil {
		return q, nil, fmt.Errorf("tune flag %q: read its definition: %w", v.Key, err)
	}
	toggles, err := s.History(ctx, v.Key)
	if err != nil {
		return q, nil, err
	}
	slices.SortStableFunc(toggles, func(a, b detector.Toggle) int { return a.Began().Compare(b.Began()) })
	names := []string{base.DefaultVariant, v.Serving}
	q.Spans = spans(toggles, v)
	for _, span := range slices.Backward(q.Spans) {
		names = append(names, span.Variant)
	}
	for _, name := range append(names, v.VariantNames()...) {
		if _, known := v.Variants[name]; known && name != g.Safe {
			q.New = name
			break
		}
	}
	switch last := q.Spans[len(q.Spans)-1]; {
	case last.Variant == "":
		doubts = append(doubts, "a toggle for some of the callers stands: what was counted since is left out")
	case last.Variant != v.Serving:
		doubts = append(doubts, fmt.Sprintf("%s is served, but the last toggle set %s: the definitions were changed in between, and when isn't known", v.Serving, last.Variant))
	}
	if len(v.Targeting) > 0 && v.Toggles == 0 {
		doubts = append(doubts, fmt.Sprintf("a targeting rule gives variants to some: all callers are taken to have got %s", v.Serving))
	}
	return q, doubts, nil
}

// spans say when which variant was served, by the toggles in order of their taking
// effect. What was only planned, proposed or refused changed nothing; while a toggle for
// some of the callers stands, which constants a call ran isn't known.
func spans(toggles []detector.Toggle, v View) []tuning.Span {
	all := []tuning.Span{{Variant: v.Serving}}
	first := true
	for _, t := range toggles {
		// One that failed after it was written was served all the same.
		if !t.State.TookEffect() && t.Applied.IsZero() {
			continue
		}
		if first {
			all[0].Variant, first = t.Before, false
		}
		all[len(all)-1].To = t.Began()
		next := tuning.Span{From: t.Began(), Variant: t.After, Value: t.Value}
		if !t.Scope.Everyone() && !t.Undoes() {
			next.Variant, next.Value = "", nil
		}
		all = append(all, next)
	}
	return all
}

// checkVariants names variants under constants that the flag hasn't, and the safe
// variant when it has no constants that can be used.
func (t *Tunes) checkVariants(path, safe string, variants map[string]json.RawMessage) (errs []error) {
	for name := range t.Constants {
		if _, ok := variants[name]; !ok {
			errs = append(errs, fmt.Errorf("%s.constants.%s: the flag has no such variant", path, cut(name, 100)))
		}
	}
	if value, ok := variants[safe]; ok {
		if _, _, err := tuning.Parse(value, t.Constants[safe]); err != nil {
			errs = append(errs, fmt.Errorf("%s: variant %q: %w", path, safe, err))
		}
	}
	return errs
}
