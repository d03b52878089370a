package main

import (
	"context"
	"fmt"
	"math"
	"time"
)

// kept is the variant that on call settled on.
func (d *director) kept() string {
	if d.tuned.Suggestion == nil {
		return "legacy"
	}
	return "tuned"
}

// seeHold watches the tuned constants: no alert, and retries and tail nearer to
// the baseline's than to the new strategy's.
func (d *director) seeHold(ctx context.Context) (string, error) {
	begun := time.Now()
	base, worse := d.figures[0], d.figures[1]
	parts := []sample{d.mark}
	last := begun
	var f figures
	err := await(ctx, func() (bool, string, error) {
		notices, _ := d.receiver.all()
		if err := wronglyBlamed(notices); err != nil {
			return false, "", err
		}
		for _, n := range firing(notices) {
			return false, "", fmt.Errorf("an alert fires with the %s constants: %s", d.kept(), n.Annotations["summary"])
		}
		over := time.Since(begun) >= d.opt.hold
		if !over && time.Since(last) < partLength {
			return false, "hold", nil
		}
		now, err := read(ctx, d.shop.addrs())
		if err != nil {
			return false, err.Error(), nil
		}
		if time.Since(last) >= partLength/2 || len(parts) == 1 {
			parts, last = append(parts, now), time.Now()
		} else {
			parts[len(parts)-1] = now // a part that is too short belongs to the one before
		}
		if !over {
			return false, "hold", nil
		}
		f = phase("4.2.0 "+d.kept(), d.mark, now, d.bounds)
		d.progress.say(f.words())
		// The old constants were seen to recover before.
		holds := d.tuned.Suggestion == nil || near(f.RetriesPerCall, base.RetriesPerCall, worse.RetriesPerCall, f.Calls, base.Calls) &&
			// A baseline with few requests over the bound doesn't tell where its
			// tail is.
			(base.Tails[0].Share*base.Calls < 20 || near(f.Tails[0].Share, base.Tails[0].Share, worse.Tails[0].Share, f.Calls, base.Calls))
		return holds, "wait for retries and tail nearer to the baseline's than to the new strategy's: " + f.words(), nil
	})
	if err != nil {
		return "", err
	}
	d.figures = append(d.figures, f)
	if d.tuned.Suggestion == nil {
		d.timeline.add("the compromise holds, no alert: " + f.words())
		return f.words(), nil
	}
	said, err := d.tuned.foretold()
	if err != nil {
		return "", err
	}
	comparisons, more := held(said, parts)
	d.held = comparisons
	text := "the compromise holds, no alert: "
	if more {
		text = "the compromise holds in part, no alert, but more calls are lost than was foretold: "
	}
	d.timeline.add(text + f.words())
	for _, c := range d.held {
		d.timeline.add("tuning: " + c.words())
	}
	return text + f.words(), nil
}

// near says whether a share is nearer to the baseline's than to the worse one,
// by ratio, or within two standard deviations of the baseline's, where counts
// vary twice as much as Poisson's because trouble comes in bursts.
func near(now, base, worse, calls, baseCalls float64) bool {
	if calls == 0 || baseCalls == 0 {
		return false
	}
	return now <= math.Sqrt(base*worse) || now <= base+2*math.Sqrt(2*base*(1/calls+1/baseCalls))
}
