package flags

import (
	"context"
	"slices"
	"strings"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
)

// gainsTimeout bounds the look at what may be lost: a toggle must not wait for it.
const gainsTimeout = 3 * time.Second

// weigh adds to a plan what may be lost with it: the indicators that an upgrade improved,
// that a binary which the flag gates is behind, and that aren't known to be the
// same under the variant that it goes to. Where that can't be read, the plan says so; it
// is no reason not to toggle.
func (s *Switchboard) weigh(ctx context.Context, r Request, p *Plan) {
	var binaries []string
	for _, g := range s.gates(r.Flag) {
		binaries = append(binaries, g.Binary)
	}
	if s.config.Gains == nil || len(binaries) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), gainsTimeout)
	defer cancel()
	gains, err := s.config.Gains(ctx, r.Upgrade, binaries)
	var history []detector.Toggle
	if err == nil && len(gains) > 0 {
		history, err = s.store.Toggles(ctx, r.Flag, 100)
	}
	if err != nil {
		s.log.WithError(err).WithField("flag", r.Flag).Warn("what may be lost with a toggle couldn't be read")
		p.Warnings = append(p.Warnings, "what may be lost with it couldn't be read: look at what the upgrade improved first")
		return
	}
	p.MayLose = slices.DeleteFunc(gains, func(g detector.Gain) bool {
		// What was gained under the very variant isn't lost by going back to it.
		return r.Scope.Everyone() && len(r.Value) == 0 && servedAt(history, p.Before, g.Since) == r.Variant
	})
	p.MayLose = p.MayLose[:min(len(p.MayLose), detector.MaxGains)]
}

// MayLose says of a plan that waits what may be lost with it by now.
func (s *Switchboard) MayLose(ctx context.Context, t detector.Toggle) []detector.Gain {
	r, p := Request{Flag: t.Flag, Variant: t.After, Scope: t.Scope, Upgrade: t.Upgrade}, Plan{Before: t.Before}
	if t.OwnValue {
		r.Value = t.Value
	}
	s.weigh(ctx, r, &p)
	return p.MayLose
}

// servedAt is the variant that was served at an instant, by the flag's last toggles, the
// latest act first, and what is served now.
func servedAt(history []detector.Toggle, now string, at time.Time) string {
	acts := slices.Clone(history)
	slices.SortStableFunc(acts, func(a, b detector.Toggle) int { return b.Began().Compare(a.Began()) })
	for _, t := range acts {
		if t.State.TookEffect() && t.Scope.Everyone() && t.Began().After(at) {
			now = t.Before
		}
	}
	return now
}

// losses says line by line what may be lost.
func (p Plan) losses() string {
	var b strings.Builder
	for _, g := range p.MayLose {
		b.WriteString("  may be lost: " + words.Gain(g) + "\n")
	}
	return b.String()
}
