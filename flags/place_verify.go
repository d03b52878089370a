package flags

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/open-feature/go-sdk/openfeature"

	"aftershock/detector"
	"aftershock/flags/remote"
)

// cantVerify marks the evidence of a toggle that nothing can be seen of through
// OpenFeature.
const cantVerify = "not verifiable through OpenFeature: "

func unverifiable(t detector.Toggle) bool { return strings.Contains(t.Evidence, cantVerify) }

// Unverifiable says why a toggle that is in force, as the backend says that was read
// back, can't be seen through OpenFeature; ok is false for all other toggles.
func Unverifiable(t detector.Toggle) (why string, ok bool) {
	_, why, ok = strings.Cut(t.Evidence, cantVerify)
	return why, ok && t.State == detector.ToggleApplied
}

// concludeAway verifies an applied toggle and audits what came of it. Where
// there's nothing to verify it by, it stays applied, and the evidence says so.
func (s *Switchboard) concludeAway(ctx context.Context, p *place, t detector.Toggle, state remote.State) (detector.Toggle, error) {
	ctx = context.WithoutCancel(ctx)
	if why := p.blind(state); why != "" {
		return s.record(ctx, t, detector.ToggleApplied, fmt.Sprintf("read back from the backend %s: it serves %s at revision %s; %s%s",
			p.Name, or(state.Variant, "what was there before"), cut(state.Revision, 100), cantVerify, why))
	}
	seen, evidence := s.verifyAway(ctx, p, t, state)
	switch {
	case seen:
		return s.record(ctx, t, detector.ToggleVerified, evidence)
	case s.stopping.Load():
		return t, fmt.Errorf("set flag %q: %w: the daemon is stopping; the next start verifies it", t.Flag, ErrNotVerified)
	}
	failed, err := s.record(ctx, t, detector.ToggleFailed, evidence)
	return failed, errors.Join(fmt.Errorf("set flag %q to %q: %w: the backend %s has it at revision %s, but %s; undo it or look at its callers",
		t.Flag, t.After, ErrNotVerified, p.Name, t.Revision, evidence), err)
}

// blind says why nothing can be verified, "" if it can.
func (p *place) blind(state remote.State) string {
	switch {
	case p.connection == nil:
		return "no endpoint is configured for " + p.Name
	case state.Expect == nil && !state.Everyone:
		return "who gets what depends on rules that only the backend knows"
	}
	return ""
}

// verifyAway looks at a flag through OpenFeature until it has been as toggled for
// a number of passes, or the time is up.
func (s *Switchboard) verifyAway(ctx context.Context, p *place, t detector.Toggle, state remote.State) (bool, string) {
	ctx, cancel := context.WithTimeout(ctx, p.VerifyTimeout)
	defer cancel()
	start := time.Now()
	for good, why := 0, ""; ; {
		if last := s.serving.Load().document.Away[t.Flag].Last; last != t.ID {
			return false, fmt.Sprintf("it was superseded by toggle %s before it was verified", last)
		}
		if why = p.look(ctx, t.Flag, state, s.now()); why == "" {
			if good++; good == passes {
				return true, fmt.Sprintf("read back from the backend %s at revision %s, and seen through OpenFeature: %d of %d evaluations in a row gave %s, %s after it was written",
					p.Name, cut(state.Revision, 100), passes*probes, passes*probes, or(t.After, "what was there before"), time.Since(start).Round(time.Millisecond))
			}
			continue
		}
		good = 0
		select {
		case <-ctx.Done():
			return false, fmt.Sprintf("in %s it wasn't seen through OpenFeature: %s", time.Since(start).Round(time.Millisecond), why)
		case <-time.After(2 * retry):
		}
		if s.stopping.Load() {
			return false, why
		}
	}
}

// look evaluates a flag once a probe and says what isn't as the backend has it,
// "" if nothing.
func (p *place) look(ctx context.Context, flag string, state remote.State, now time.Time) string {
	for i := range probes {
		want := state.Variant
		if state.Expect != nil {
			want = state.Expect(probe(i), now)
		}
		key, _ := probe(i)[openfeature.TargetingKey].(string)
		got, err := p.connection.client.ObjectValueDetails(ctx, flag, absent{}, openfeature.NewEvaluationContext(key, nil))
		if err != nil {
			return fmt.Sprintf("evaluation failed: %s", cut(err.Error(), 300))
		}
		if got.Value == (absent{}) && want != "" {
			return "the answer has no value"
		}
		if got.Variant != want {
			return fmt.Sprintf("variant %q is served, not %q", cut(got.Variant, 100), want)
		}
		var value any
		if err := json.Unmarshal(state.Variants[want], &value); err == nil && !reflect.DeepEqual(value, got.Value) {
			return fmt.Sprintf("variant %q is served with another value than declared", want)
		}
	}
	return ""
}

// evidence keeps of what was known of an undo which toggle it undoes.
func evidence(t detector.Toggle, text string) string {
	if t.Undoes() {
		text = strings.SplitN(t.Evidence, ";", 2)[0] + "; " + text
	}
	return cut(text, 2*maxText)
}
