package journal

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"aftershock/detector"
)

// Gains are the indicators that upgrades under watch, and the one named ("" for none),
// improved and that are put down to one of the binaries: those with the surest effect
// first, at most detector.MaxGains.
func (j *Journal) Gains(ctx context.Context, upgrade string, binaries []string) (all []detector.Gain, err error) {
	err = j.read("read what upgrades improved", func(t tx) error {
		return t.each(ctx, func(r row) error {
			var doc []byte
			if err := r.Scan(&doc); err != nil {
				return err
			}
			var v detector.Verdict
			if err := json.Unmarshal(courseless(doc), &v); err != nil {
				return fmt.Errorf("decode a document: %w", err)
			}
			if g, ok := gain(v, binaries); ok {
				all = append(all, g)
			}
			return nil
		}, `SELECT v.document FROM verdicts v JOIN upgrades u ON u.id = v.upgrade
			WHERE v.state = $1 AND (u.closed_us = 0 OR u.id = $2) ORDER BY v.upgrade, v.indicator`, string(detector.Improved), text(upgrade))
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b detector.Gain) int { return cmp.Compare(sure(b), sure(a)) })
	return all[:min(len(all), detector.MaxGains)], nil
}

// gain is a verdict as a gain, where one of the binaries is behind it.
func gain(v detector.Verdict, binaries []string) (g detector.Gain, ok bool) {
	if v.State != detector.Improved || len(v.Causes) == 0 {
		return g, false
	}
	c := v.Causes[0]
	if c.Kind != detector.CauseBinary || !slices.ContainsFunc(binaries, func(b string) bool { return detector.SameBinary(b, c.Name) }) {
		return g, false
	}
	return detector.Gain{
		Upgrade: v.Upgrade, Indicator: v.Indicator, Effect: v.Effect, Binary: c.Name, Probability: c.Probability, Since: v.Since,
	}, true
}

// sure is how far the near end of the effect's interval is from no change, as a logarithm.
func sure(g detector.Gain) float64 {
	if g.Effect == nil || g.Effect.High <= 0 {
		return 0
	}
	return -math.Log(g.Effect.High)
}
