package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

func (d *director) toggleLegacy(ctx context.Context) (string, error) {
	return d.toggle(ctx, "legacy", "tail latency and retries are worse since the upgrade", suggestion{})
}

// tune asks the daemon which constants to serve, on what was measured of acme-pay
// under the old strategy and the new.
// What little there was of the old strategy since the toggle may not show that other
// constants are better: it is asked again while more of it comes. Where nothing is, on
// call leaves the old one on.
func (d *director) tune(ctx context.Context) (string, error) {
	for begun := time.Now(); ; {
		t, err := d.api.tune(ctx, backoffFlag)
		if err != nil {
			return "", err
		}
		if s := t.Suggestion; s != nil && s.Variant == "tuned" {
			d.tuned = t
			d.timeline.add(fmt.Sprintf("tuning suggests %s: %s", s.Value, t.Why))
			return string(s.Value), nil
		}
		d.progress.say(t.Why)
		if time.Since(begun) >= d.opt.tune {
			d.timeline.add("tuning suggests nothing: " + t.Why)
			return t.Why, nil
		}
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-time.After(tuneAgain):
		}
	}
}

// tuneAgain is how long the demo waits before it asks for constants again.
const tuneAgain = 10 * time.Second

// foretold is the row of the suggestion.
func (t tuning) foretold() (row, error) {
	for _, r := range t.Rows {
		if r.Name == t.Suggestion.Row {
			return r, nil
		}
	}
	return row{}, errors.New("the suggestion isn't among the rows of the tuning")
}

func (d *director) toggleTuned(ctx context.Context) (string, error) {
	if d.tuned.Suggestion == nil {
		d.timeline.add("on call: " + backoffFlag + " stays legacy")
		return "it stays legacy", nil
	}
	if _, err := d.toggle(ctx, "tuned", "keep the new strategy with the constants that tuning suggests", *d.tuned.Suggestion); err != nil {
		return "", err
	}
	return d.awaitVerified("tuned")(ctx)
}

func (d *director) toggle(ctx context.Context, variant, reason string, s suggestion) (string, error) {
	t, err := d.api.set(ctx, backoffFlag, variant, reason, d.upgrade, s)
	if err != nil {
		return "", err
	}
	d.toggled = t
	did := fmt.Sprintf("on call: %s set to %s", backoffFlag, variant)
	if s.Accepts > 0 {
		did += fmt.Sprintf(", and up to ×%g as many requests in the tail accepted", s.Accepts)
	}
	d.timeline.add(did)
	return "set to " + variant, nil
}

// awaitVerified waits until the daemon has verified the last toggle, and until
// payments serves that variant alone.
func (d *director) awaitVerified(variant string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		var last toggle
		err := await(ctx, func() (done bool, missing string, err error) {
			last, err = d.lastState(ctx)
			if err != nil {
				return false, err.Error(), nil
			}
			switch last.State {
			case "verified", "recovered":
				return true, "", nil
			case "failed", "reverted", "undone":
				return false, "", fmt.Errorf("the toggle to %s is %s: %s", variant, last.State, last.Evidence)
			}
			return false, fmt.Sprintf("wait for the toggle to be verified (it is %s: %s)", last.State, last.Evidence), nil
		})
		if err != nil {
			return "", err
		}
		if err := d.awaitServed(ctx, variant); err != nil {
			return "", err
		}
		d.timeline.add(fmt.Sprintf("verified through OpenFeature, and both instances of payments serve %s alone", variant))
		return "verified", d.setMark(ctx)
	}
}

func (d *director) lastState(ctx context.Context) (toggle, error) {
	all, err := d.api.history(ctx)
	if err != nil {
		return toggle{}, err
	}
	at := slices.IndexFunc(all, func(t toggle) bool { return t.ID == d.toggled.ID })
	if at < 0 {
		return toggle{}, fmt.Errorf("find toggle %s: it isn't in the flag's history", d.toggled.ID)
	}
	return all[at], nil
}

// awaitServed waits until payments has served the variant, and no other, from
// one look to the next.
func (d *director) awaitServed(ctx context.Context, variant string) error {
	from, err := read(ctx, d.shop.addrs())
	if err != nil {
		return err
	}
	return await(ctx, func() (bool, string, error) {
		to, err := read(ctx, d.shop.addrs())
		if err != nil {
			return false, err.Error(), nil
		}
		it, others := served(from, to, backoffFlag, variant)
		from = to
		return it >= 10 && others == 0, fmt.Sprintf("wait for payments to serve %s alone (%.0f times, others %.0f times)", variant, it, others), nil
	})
}

// awaitRecovery waits until the daemon says that the toggle helped and has
// resolved every alert of the upgrade. Whoever toggles by hand isn't thrown out where it
// didn't: what is seen is told.
func (d *director) awaitRecovery(ctx context.Context) (string, error) {
	resolved := false
	err := await(ctx, func() (bool, string, error) {
		notices, _ := d.receiver.all()
		if resolved = !d.stillFires(notices); resolved || !d.opt.handsOn {
			return resolved, "wait for the alert to be resolved", wronglyBlamed(notices)
		}
		last, err := d.lastState(ctx)
		return err == nil && last.State == "not-recovered", "wait for the alert to be resolved, or the toggle to be known not to help", wronglyBlamed(notices)
	})
	if err != nil {
		return "", err
	}
	if resolved {
		d.timeline.add("the alert is resolved")
	}
	unhelped := ""
	err = await(ctx, func() (bool, string, error) {
		last, err := d.lastState(ctx)
		if err != nil {
			return false, err.Error(), nil
		}
		if last.State == "not-recovered" && d.opt.handsOn {
			unhelped = last.Evidence
			return true, "", nil
		}
		if last.State == "not-recovered" || last.State == "reverted" {
			return false, "", fmt.Errorf("the toggle is %s: %s", last.State, last.Evidence)
		}
		return last.State == "recovered", fmt.Sprintf("wait for the toggle to be recovered (it is %s: %s)", last.State, last.Evidence), nil
	})
	if err != nil {
		return "", err
	}
	f, err := d.measure(ctx, "4.2.0 legacy")
	if err != nil {
		return "", err
	}
	if unhelped != "" {
		d.timeline.add("not recovered: " + unhelped + "; " + f.words())
		return "not all of them: " + unhelped, nil
	}
	d.helped = true
	d.timeline.add("recovered: " + f.words())
	return f.words(), nil
}

// stillFires says whether an alert stands in the way of the recovery: any, or, where a
// person looks on, one that blames the guilty binary.
func (d *director) stillFires(notices []notice) bool {
	for _, n := range firing(notices) {
		if !d.opt.handsOn || n.blames() == guilty {
			return true
		}
	}
	return false
}
