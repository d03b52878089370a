package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	guilty   = "dten-payments"
	innocent = "dten-checkout"
	// handsTime is how long a person gets to toggle, stayTime to look around afterwards.
	handsTime = time.Hour
	stayTime  = 12 * time.Hour
)

// script is the story: what is done and what has to be seen, in order.
func (d *director) script() []step {
	o := d.opt
	opening := []step{
		{"building the fleet", 15 * time.Second, 10 * time.Minute, d.build},
		{"starting the daemon", 2 * time.Second, time.Minute, d.startDaemon},
		{"starting the fleet and the load", 4 * time.Second, 3 * time.Minute, d.startFleet},
		{"keeping a baseline", o.baseline, o.baseline + 2*time.Minute, d.keepBaseline},
	}
	if o.control {
		return append(opening,
			step{"rolling harmless builds through the instances", 14 * time.Second, 3 * time.Minute, d.roll("4.1.4")},
			step{"waiting for the daemon to find the upgrade", 5 * time.Second, 90 * time.Second, d.findUpgrade("4.1.4")},
			step{"watching that nothing is blamed", o.watch, o.watch + time.Minute, d.watchNothing},
			step{"fetching the review", time.Second, time.Minute, d.review},
		)
	}
	toggling := step{"toggling " + backoffFlag + " to legacy", 3 * time.Second, time.Minute, d.toggleLegacy}
	ending := []step{
		{"trying constants for " + backoffFlag, 3 * time.Second, 2 * time.Minute, d.tune},
		{"toggling " + backoffFlag + " to tuned", 3 * time.Second, time.Minute, d.toggleTuned},
		{"seeing that the compromise holds", o.hold, o.hold + 90*time.Second, d.seeHold},
		{"fetching the review", time.Second, time.Minute, d.review},
	}
	recovery := 3 * time.Minute
	if o.handsOn {
		recovery = handsTime // who looks around meanwhile isn't thrown out
		toggling = step{"waiting for you to toggle " + backoffFlag, 0, handsTime, d.awaitHands}
		ending = []step{
			{"fetching the review", time.Second, time.Minute, d.review},
			{"waiting until you have finished", 0, stayTime, d.stay},
		}
	}
	return append(append(opening,
		step{"inspecting the vendor's package", 8 * time.Second, 2 * time.Minute, d.inspectPackage},
		step{"rolling the upgrade through the instances", 14 * time.Second, 3 * time.Minute, d.roll("4.2.0")},
		step{"waiting for the daemon to find the upgrade", 5 * time.Second, 90 * time.Second, d.findUpgrade("4.2.0")},
		step{"waiting for the alert", 20 * time.Second, 2 * time.Minute, d.awaitAlert},
		step{"waiting for both shifts, tail latency and retries", 10 * time.Second, 90 * time.Second, d.seeShifts},
		step{"waiting to be told what changed inside", 5 * time.Second, 90 * time.Second, d.awaitReason},
		step{"waiting for the finding that came true", 2 * time.Second, time.Minute, d.awaitForeseen},
		toggling,
		step{"waiting for the toggle to be verified", 3 * time.Second, time.Minute, d.awaitVerified("legacy")},
		step{"waiting for the indicators to recover", 20 * time.Second, recovery, d.awaitRecovery},
	), ending...)
}

func (d *director) startDaemon(ctx context.Context) (string, error) {
	config, err := writeConfig(d.opt.dir, d.receiver.url)
	if err != nil {
		return "", err
	}
	if _, err := d.launcher.start("daemon", nil, d.opt.daemon, "run", "--config", config); err != nil {
		return "", err
	}
	err = await(ctx, func() (bool, string, error) {
		a, err := findDaemon(filepath.Join(d.opt.dir, "data"))
		if err != nil {
			return false, fmt.Sprintf("wait for the daemon's address (%v)", err), nil
		}
		if _, err := a.ask(ctx, "GET", "/-/healthy", nil); err != nil {
			return false, fmt.Sprintf("wait for the daemon to be healthy (%v)", err), nil
		}
		d.api = a
		return true, "", nil
	})
	if err != nil {
		return "", err
	}
	return "it serves " + d.api.base, nil
}

func (d *director) startFleet(ctx context.Context) (string, error) {
	if err := d.shop.open(ctx, d.api.base, d.opt); err != nil {
		return "", err
	}
	// The baseline begins when every route of the story has traffic.
	err := await(ctx, func() (bool, string, error) {
		s, err := read(ctx, d.shop.addrs())
		if err != nil {
			return false, err.Error(), nil
		}
		for _, w := range watched {
			if s[w.service+" http_server_request_duration_seconds http_route="+w.route] < 20 {
				return false, "wait for traffic on " + w.service + w.route, nil
			}
		}
		d.mark = s
		return true, "", nil
	})
	if err != nil {
		return "", err
	}
	d.timeline.add(fmt.Sprintf("4.1.3 runs: gateway, checkout, payments and catalog twice each, acme-pay, %g requests/s", d.opt.rate))
	return "8 instances, acme-pay and the load", nil
}

func (d *director) keepBaseline(ctx context.Context) (string, error) {
	if err := pause(ctx, d.opt.baseline); err != nil {
		return "", err
	}
	if err := d.mayNotFire(); err != nil {
		return "", err
	}
	f, err := d.measure(ctx, "4.1.3")
	if err != nil {
		return "", err
	}
	if f.Calls < 20*d.opt.baseline.Seconds()/2 {
		return "", fmt.Errorf("only %.0f calls of acme-pay were made in %s", f.Calls, d.opt.baseline)
	}
	d.timeline.add("baseline: " + f.words())
	return f.words(), nil
}

// mayNotFire is an error when an alert fires before anything was done.
func (d *director) mayNotFire() error {
	notices, _ := d.receiver.all()
	for _, n := range firing(notices) {
		return fmt.Errorf("an alert fires although nothing was done: %s", n.Annotations["summary"])
	}
	return nil
}

// roll replaces the instances one by one: checkout by 4.2.0, payments by the
// version.
func (d *director) roll(payments string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		for n, r := range []struct{ name, build string }{
			{"checkout-1", "checkout-4.2.0"},
			{"checkout-2", "checkout-4.2.0"},
			{"payments-1", "payments-" + payments},
			{"payments-2", "payments-" + payments},
		} {
			if n > 0 {
				if err := pause(ctx, d.opt.gap); err != nil {
					return "", err
				}
			}
			d.progress.say(r.name)
			if err := d.shop.replace(ctx, r.name, r.build); err != nil {
				return "", err
			}
			_, version, _ := strings.Cut(r.build, "-")
			d.timeline.add(r.name + " restarted as " + version)
		}
		d.rolled = time.Now()
		return "4 instances replaced", d.setMark(ctx)
	}
}

// findUpgrade waits until the daemon lists the upgrade, which nobody told it of.
func (d *director) findUpgrade(payments string) func(context.Context) (string, error) {
	want := map[string]string{guilty: payments, innocent: "4.2.0"}
	return func(ctx context.Context) (string, error) {
		var found upgrade
		err := await(ctx, func() (bool, string, error) {
			all, err := d.api.upgrades(ctx)
			if err != nil {
				return false, err.Error(), nil
			}
			for _, u := range all {
				seen := 0
				for _, b := range u.Binaries {
					if want[b.Name] == b.To && b.From == "4.1.3" {
						seen++
					}
				}
				if seen == len(want) {
					found = u
					return !u.StartedAt.IsZero(), "wait until it has begun", nil
				}
			}
			return false, fmt.Sprintf("wait for an upgrade of %s and %s among the %d that the daemon lists", guilty, innocent, len(all)), nil
		})
		if err != nil {
			return "", err
		}
		d.upgrade = found.ID
		d.timeline.add("the daemon found the upgrade by itself: " + found.ID)
		return found.ID, nil
	}
}

func (d *director) awaitAlert(ctx context.Context) (string, error) {
	err := d.receiver.await(ctx, "wait for an alert that blames "+guilty, func(notices []notice) (bool, error) {
		if err := wronglyBlamed(notices); err != nil {
			return false, err
		}
		for _, n := range firing(notices) {
			if n.blames() == guilty {
				d.alerted = n
				return true, nil
			}
			d.progress.say("so far: " + n.Annotations["summary"])
		}
		return false, nil
	})
	if err != nil {
		return "", err
	}
	d.timeline.addAt(d.alerted.At, fmt.Sprintf("alert, %s after the last restart: %s", seconds(max(0, d.alerted.At.Sub(d.rolled))), d.alerted.Annotations["summary"]))
	return d.alerted.Annotations["summary"], nil
}

// awaitReason waits until the alert says in one sentence what changed inside the
// guilty binary, which the daemon takes from the two builds, and why the other is out.
func (d *director) awaitReason(ctx context.Context) (string, error) {
	reason := ""
	err := d.receiver.await(ctx, "wait for an alert that says what changed inside "+guilty, func(notices []notice) (bool, error) {
		for _, n := range firing(notices) {
			r := n.Annotations["reason"]
			if n.blames() == guilty && strings.Contains(r, guilty) && strings.Contains(r, "backoff.") && strings.Contains(r, innocent+" is out") {
				reason = r
				return true, nil
			}
			if r != "" {
				d.progress.say("so far: " + r)
			}
		}
		return false, nil
	})
	if err != nil {
		return "", err
	}
	d.timeline.add("the reason: " + reason)
	return reason, nil
}

// seeShifts waits until the daemon has found both sides of what the new backoff
// does, a tail behind payments and the retries, and puts nothing down to the
// harmless binary.
func (d *director) seeShifts(ctx context.Context) (string, error) {
	var shifted []string
	err := await(ctx, func() (bool, string, error) {
		verdicts, err := d.api.verdicts(ctx, d.upgrade)
		if err != nil {
			return false, err.Error(), nil
		}
		kinds := map[string]bool{}
		shifted = nil
		for _, v := range verdicts {
			if v.State != "regressed" || len(v.Causes) == 0 {
				continue
			}
			if v.Causes[0].Name == innocent {
				return false, innocent + " leads the causes of a shift", nil
			}
			if v.Causes[0].Name == guilty {
				kinds[v.Indicator.Kind] = true
				shifted = append(shifted, v.name())
			}
		}
		missing := fmt.Sprintf("put down to %s so far: %s", guilty, strings.Join(shifted, ", "))
		d.progress.say(missing)
		return kinds["latency"] && kinds["retry"], missing, nil
	})
	if err != nil {
		return "", err
	}
	what := "put down to " + guilty + ": " + strings.Join(shifted, ", ")
	f, err := d.measure(ctx, "4.2.0 new")
	if err != nil {
		return "", err
	}
	d.timeline.add(what)
	d.timeline.add("with the new backoff: " + f.words())
	return what, nil
}

// wronglyBlamed is an error when an alert ever blamed the harmless binary.
func wronglyBlamed(notices []notice) error {
	for _, n := range notices {
		if n.blames() == innocent {
			return fmt.Errorf("%s was blamed, which is harmless: %s", innocent, n.Annotations["summary"])
		}
	}
	return nil
}

// watchNothing sees that no binary is blamed for the watch time.
func (d *director) watchNothing(ctx context.Context) (string, error) {
	limit, cancel := context.WithTimeout(ctx, d.opt.watch)
	defer cancel()
	blamed := errors.New("a binary was blamed although both builds are harmless")
	err := d.receiver.await(limit, "watch", func(notices []notice) (bool, error) {
		for _, n := range notices {
			if b := n.blames(); b != "" {
				return false, fmt.Errorf("%w: %s: %s", blamed, b, n.Annotations["summary"])
			}
		}
		return false, nil
	})
	if errors.Is(err, blamed) || ctx.Err() != nil {
		return "", err
	}
	verdicts, err := d.api.verdicts(ctx, d.upgrade)
	if err != nil {
		return "", err
	}
	states := map[string]int{}
	for _, v := range verdicts {
		states[v.State]++
		if v.State == "regressed" && len(v.Causes) > 0 && v.Causes[0].Kind == "binary" && v.Causes[0].Probability >= .9 {
			return "", fmt.Errorf("%w: %s, for %s %v", blamed, v.Causes[0].Name, v.Indicator.Kind, v.Indicator.Labels)
		}
	}
	if len(verdicts) == 0 {
		return "", errors.New("the daemon has no verdict on any indicator")
	}
	f, err := d.measure(ctx, "harmless builds")
	if err != nil {
		return "", err
	}
	what := fmt.Sprintf("nothing was blamed; %d indicators: %d clear, %d undecided, %d regressed, %d improved", len(verdicts),
		states["clear"], states["undecided"], states["regressed"], states["improved"])
	d.timeline.add(what + "; " + f.words())
	return what, nil
}

// review keeps the reviews of the upgrade and of the week.
func (d *director) review(ctx context.Context) (string, error) {
	for _, r := range []struct{ name, of string }{{"review", upgradeReport(d.upgrade)}, {"week", weekReport}} {
		for _, format := range []string{"html", "md"} {
			content, err := d.api.report(ctx, r.of, format)
			if err != nil {
				return "", err
			}
			if !strings.Contains(string(content), guilty) {
				return "", fmt.Errorf("the %s (%s) doesn't speak of %s", r.name, format, guilty)
			}
			path := filepath.Join(d.opt.dir, r.name+"."+format)
			if err := os.WriteFile(path, content, 0o644); err != nil {
				return "", fmt.Errorf("keep review: %w", err)
			}
			d.reviewed = append(d.reviewed, path)
		}
	}
	d.timeline.add("the reviews of the upgrade and of the week are written")
	return d.reviewed[0], nil
}
