package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// reach says how a person gets at the daemon: a link that signs in, where there is one,
// and where the token lies.
func (d *director) reach(ctx context.Context) string {
	token := filepath.Join(d.opt.dir, "data", "token")
	link, err := d.api.signIn(ctx)
	if err != nil {
		return fmt.Sprintf("  console   %s/\n  token     in the file %s, which the console asks for to toggle\n", d.api.base, token)
	}
	return fmt.Sprintf("  console   %s/\n  sign in   %s (once, within the hour)\n  token     in the file %s, should the console ask for it\n", d.api.base, link, token)
}

// shell are the variables with which aftershock's commands reach the daemon.
func (d *director) shell() string {
	return fmt.Sprintf("  export AFTERSHOCK_SERVER=%s AFTERSHOCK_TOKEN=$(cat %s)\n", d.api.base, shellQuote(filepath.Join(d.opt.dir, "data", "token")))
}

// signIn asks for a link that signs a browser in.
func (a *api) signIn(ctx context.Context) (string, error) {
	content, err := a.ask(ctx, http.MethodPost, "/api/v1/sign-in", object{})
	if err != nil {
		return "", err
	}
	return parseLink(content)
}

// effective are the states of toggles that took effect and weren't taken back: the
// automation's proposal says "waiting" until somebody approves it.
var effective = []string{"applied", "verified", "recovered", "not-recovered"}

// awaitHands waits until a person has toggled.
func (d *director) awaitHands(ctx context.Context) (string, error) {
	d.progress.tell(fmt.Sprintf("\nIt's your turn: payments is worse since the upgrade, and an alert says so. Toggle %s to legacy, in the console\n\n%s\nor in another shell:\n\n%s  %s flags plan %s legacy\n  %s flags set %s legacy --upgrade %s --reason 'tail latency and retries are worse since the upgrade'\n",
		backoffFlag, d.reach(ctx), d.shell(), shellQuote(d.opt.daemon), backoffFlag, shellQuote(d.opt.daemon), backoffFlag, shellQuote(d.upgrade)))
	err := await(ctx, func() (bool, string, error) {
		all, err := d.api.history(ctx)
		if err != nil {
			return false, err.Error(), nil
		}
		for _, t := range all {
			if slices.Contains(effective, t.State) && t.After == "legacy" && t.At.After(d.alerted.At.Add(-time.Minute)) {
				d.toggled = t
				return true, "", nil
			}
		}
		return false, "nobody set " + backoffFlag + " to legacy", nil
	})
	if err != nil {
		return "", err
	}
	d.timeline.add(fmt.Sprintf("%s set %s to legacy", d.toggled.by(), backoffFlag))
	return d.toggled.by() + " set it to legacy", nil
}

// entered is told of the first line that comes over in. Its end says nothing: there may
// be no keyboard.
func entered(in io.Reader) <-chan struct{} {
	pressed := make(chan struct{})
	go func() {
		if _, err := bufio.NewReader(in).ReadString('\n'); err == nil {
			close(pressed)
		}
	}()
	return pressed
}

// stay keeps everything running until a person has finished, by Enter or Ctrl-C, says what
// there is to try, and what comes of it. It is the last step: the interrupt ends the story
// in order.
func (d *director) stay(ctx context.Context) (string, error) {
	d.progress.tell(d.whatNext(ctx))
	seen := map[string]bool{}
	all, err := d.api.history(ctx)
	if err != nil {
		return "", err
	}
	for _, t := range all {
		seen[t.ID] = true
	}
	enter := entered(d.in)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var trial *trial
	for {
		select {
		case <-enter:
			return d.leave(ctx, "you have finished")
		case <-ctx.Done():
			if d.interrupted() != nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return d.leave(context.WithoutCancel(ctx), "you have finished")
			}
			return "", context.Cause(ctx)
		case <-tick.C:
		}
		all, err := d.api.history(ctx)
		if err != nil {
			continue // the daemon says more when it is asked again
		}
		// The last act comes first.
		for _, t := range slices.Backward(all) {
			if !seen[t.ID] && slices.Contains(effective, t.State) {
				seen[t.ID] = true
				trial = d.begin(ctx, t)
			}
		}
		if trial != nil && trial.look(ctx, d) {
			trial = nil
		}
	}
}

// whatNext says what a person may try.
func (d *director) whatNext(ctx context.Context) string {
	run := shellQuote(d.opt.daemon)
	back := "The indicators are back."
	if !d.helped {
		back = "Not all indicators are back; the toggle's page says which."
	}
	return fmt.Sprintf(`
%s All of it stays up for you; try next:

%s
  - the toggle's page says what came back with it, and what the upgrade had improved and is lost again: %s
  - other constants than the vendor's may keep some of that: %s
    %s flags tune %s
    %s flags set %s tuned --upgrade %s --reason 'the compromise'
  - take it back: %s flags undo %s --reason 'try again'
  - the review of the week: %s

in a shell with

%s
Press Enter or Ctrl-C here when you have finished.
`, back, d.reach(ctx), d.api.base+"/toggles/"+d.toggled.ID, d.api.base+"/flags/"+backoffFlag+"/tuning", run, backoffFlag, run, backoffFlag, shellQuote(d.upgrade), run, backoffFlag,
		d.api.base+"/reports/this", d.shell())
}

// leave writes the reviews anew, with what the person did.
func (d *director) leave(ctx context.Context, why string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	d.reviewed = nil
	if _, err := d.review(ctx); err != nil {
		return "", err
	}
	return why, nil
}

// trial is a toggle of a person's whose effect is counted.
type trial struct {
	toggle toggle
	said   *row // what tuning foretold, nil where it didn't
	parts  []sample
	begun  time.Time
	last   time.Time
}

// begin tells of a toggle, and begins to count.
func (d *director) begin(ctx context.Context, t toggle) *trial {
	text := fmt.Sprintf("%s set %s to %s", t.by(), backoffFlag, t.After)
	d.timeline.add(text)
	d.progress.tell(text + "; what comes of it is counted for " + seconds(d.opt.hold))
	x := &trial{toggle: t}
	if tuned, err := d.api.tune(ctx, backoffFlag); err == nil {
		for _, r := range tuned.Rows {
			if r.Name == t.After {
				x.said = &r
			}
		}
	}
	return x
}

// look counts on, and says whether the trial is over.
func (x *trial) look(ctx context.Context, d *director) bool {
	if time.Since(x.last) < partLength {
		return false
	}
	if x.begun.IsZero() {
		// Until payments serves it alone, calls run the constants of before.
		if err := d.awaitServedBriefly(ctx, x.toggle.After); err != nil {
			return false
		}
		x.begun = time.Now()
	}
	now, err := read(ctx, d.shop.addrs())
	if err != nil {
		return false
	}
	x.parts, x.last = append(x.parts, now), time.Now()
	if time.Since(x.begun) < d.opt.hold || len(x.parts) < 2 {
		return false
	}
	f := phase("4.2.0 "+x.toggle.After, x.parts[0], now, d.bounds)
	d.figures = append(d.figures, f)
	lines := []string{"with " + x.toggle.After + ": " + f.words()}
	if x.said != nil {
		d.held, _ = held(*x.said, x.parts)
		for _, c := range d.held {
			lines = append(lines, "tuning: "+c.words())
		}
	}
	for _, line := range lines {
		d.timeline.add(line)
		d.progress.tell(strings.ToUpper(line[:1]) + line[1:])
	}
	return true
}

// awaitServedBriefly is awaitServed for some seconds.
func (d *director) awaitServedBriefly(ctx context.Context, variant string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	return d.awaitServed(ctx, variant)
}
