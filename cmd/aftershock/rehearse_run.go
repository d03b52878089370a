package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"time"

	"aftershock/detector/words"
	"aftershock/rehearsal"
	"aftershock/rehearsal/mirror"
)

// run runs the phases that are asked for and, once there are both, judges them.
func (r *rehearse) run(ctx context.Context) (int, error) {
	store := rehearsal.Store{Dir: r.out}
	first, last := rehearsal.Before, rehearsal.After
	if r.phase != "" {
		first, last = r.phase, r.phase
	}
	if first == rehearsal.Before && store.Has(rehearsal.Before) && !r.replace {
		return exitUsage, usagef("%s has a phase before already: give another --out, or --replace", r.out)
	}
	if r.phase == rehearsal.After && store.Has(rehearsal.After) && !r.replace {
		return exitUsage, usagef("%s has a phase after already: give --replace", r.out)
	}
	// What is forbidden is refused before anything is read.
	target, err := r.aim(ctx)
	if err != nil {
		return exitUsage, err
	}
	var before []*rehearsal.Measured
	if r.phase == rehearsal.After {
		if before, err = store.Load(rehearsal.Before); err != nil {
			return exitUsage, err
		}
		r.seed, r.duration, r.repeats = before[0].Seed, time.Duration(before[0].Length), len(before)
		r.pacing = map[bool]string{true: "uniform", false: "poisson"}[before[0].Uniform]
		if w := before[0].Warmup; w != nil { // a copy that had longer to warm up is another
			r.warmup = time.Duration(*w)
		}
	}
	p, err := r.traffic(ctx, store)
	if err != nil {
		return exitUsage, err
	}
	if before != nil && before[0].Profile != p.Digest() {
		return exitUsage, fmt.Errorf("the traffic isn't that of the phase before (%s): give the same --profile, --recording and --scale, or none but the recording", store.ProfilePath())
	}
	r.drawSeed()
	o, err := r.options(first, 1)
	if err != nil {
		return exitUsage, err
	}
	if err := o.Check(&p); err != nil {
		return exitUsage, oneLine(err)
	}
	r.introduce(target, &p)
	for phase := first; ; phase = last {
		if phase == rehearsal.After && r.phase == "" {
			if err := r.upgradeCopy(ctx); err != nil {
				return exitUsage, err
			}
		}
		if status, err := r.playAll(ctx, target, p, store, phase); status != exitOK || err != nil {
			return status, err
		}
		if phase == last {
			break
		}
	}
	if last == rehearsal.Before {
		r.say("Now upgrade the copy, and go on with --phase after.")
		return exitOK, nil
	}
	return r.verdicts(ctx, store)
}

// playAll plays the runs of a phase. One that ends early is the last: after the upgrade it
// tells enough, before it there is nothing to go on with.
func (r *rehearse) playAll(ctx context.Context, target *rehearsal.Target, p rehearsal.Profile, store rehearsal.Store, phase string) (int, error) {
	for run := 1; run <= r.repeats; run++ {
		if run > 1 {
			if err := r.settleCopy(ctx); ctx.Err() != nil {
				return exitInterrupted, context.Cause(ctx)
			} else if err != nil {
				return exitUsage, err
			}
		}
		m, err := r.play(ctx, target, p, store, phase, run)
		switch {
		case err != nil:
			return exitUsage, err
		case ctx.Err() != nil:
			return exitInterrupted, context.Cause(ctx)
		case m.Partial != "" && phase == rehearsal.Before:
			return exitUndecided, fmt.Errorf("the %s ended early: %s", phaseName(m), m.Partial)
		case m.Partial != "":
			return exitOK, nil
		}
	}
	return exitOK, nil
}

// settleCopy is what happens between two runs of a phase.
func (r *rehearse) settleCopy(ctx context.Context) error {
	if r.restart != "" {
		if err := r.command(ctx, r.restart); err != nil {
			return fmt.Errorf("restart the copy by --restart: %w; the runs until then are kept in %s", err, r.out)
		}
	}
	return rehearsal.Pause(ctx, r.pause)
}

func oneLine(err error) error {
	var list interface{ Unwrap() []error }
	if !errors.As(err, &list) {
		return err
	}
	text := ""
	for i, e := range list.Unwrap() {
		if i > 0 {
			text += "; "
		}
		text += e.Error()
	}
	return errors.New(text)
}

// introduce says what is going to happen, and where the copy isn't like production.
func (r *rehearse) introduce(target *rehearsal.Target, p *rehearsal.Profile) {
	r.say("%s (%s): %s, %.4g requests/s, up to %.4g, for %s %s after %s of warm-up; seed %d.",
		target, target.Address(), words.Plural(len(p.Routes), "route"), p.Rate(), p.Peak(), r.duration, often(r.repeats), r.warmup, r.seed)
	if p.Sessions != nil {
		r.say("%d sessions are logged in before each run.", p.Sessions.Size)
	}
	for i := range p.Flows {
		r.say("Flow %s: %.4g/s of %d steps.", p.Flows[i].Flow, p.Flows[i].Rate, len(p.Flows[i].Steps))
	}
	switch {
	case r.production == "":
		r.say("Whether the copy is like production isn't known: give --production and --copy.")
	case len(r.unlike) == 0:
		r.say("The copy is like production in everything that both inventories tell.")
	default:
		r.say("The copy isn't like production:")
		for _, line := range mirror.Listing(r.unlike, 40) {
			r.say("  %s", line)
		}
	}
}

func often(repeats int) string {
	if repeats == 1 {
		return "a phase"
	}
	return fmt.Sprintf("a run, %d runs a phase, each", repeats)
}

// upgradeCopy waits until the copy was upgraded, or does it by the command given.
func (r *rehearse) upgradeCopy(ctx context.Context) error {
	if r.between == "" {
		r.say("Now upgrade the copy, then press Enter.")
		if _, err := r.line(ctx); errors.Is(err, io.EOF) {
			return fmt.Errorf("nobody pressed Enter: the phase before is kept in %s; upgrade the copy and go on with --phase after", r.out)
		} else if err != nil {
			return err
		}
		return nil
	}
	r.say("Upgrading the copy: %s", r.between)
	if err := r.command(ctx, r.between); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("upgrade the copy by --between: %w; the phase before is kept in %s", err, r.out)
	}
	return nil
}

// command runs a shell command that was given, with what it says beside the output.
func (r *rehearse) command(ctx context.Context, text string) error {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", text)
	cmd.Stdout, cmd.Stderr = r.sh.stderr, r.sh.stderr
	cmd.WaitDelay = 10 * time.Second
	return cmd.Run()
}

// play does one run of a phase and keeps what it measured, also when it is interrupted.
func (r *rehearse) play(ctx context.Context, target *rehearsal.Target, p rehearsal.Profile, store rehearsal.Store, phase string, run int) (*rehearsal.Measured, error) {
	o, err := r.options(phase, run)
	if err != nil {
		return nil, err
	}
	name := phase
	if r.repeats > 1 {
		name = fmt.Sprintf("%s %d/%d", phase, run, r.repeats)
	}
	live := newLive(r.sh.stderr, name)
	o.Every, o.Show = time.Second, live.show
	m, err := rehearsal.Run(ctx, target, &p, o)
	live.end()
	if err != nil {
		return nil, oneLine(err)
	}
	if phase == rehearsal.Before && run == 1 {
		if err := store.KeepProfile(p); err != nil {
			return nil, err
		}
	}
	if err := store.Keep(m); err != nil {
		return nil, err
	}
	part := ""
	if m.Partial != "" {
		part = ", partial (" + m.Partial + ")"
	}
	r.say("Phase %s%s: %d requests in %d steps of %s, %d failed; %.3g under way on average%s. Kept in %s.", name, part, m.Sent, m.Steps,
		time.Duration(m.Step), m.Failed, m.Concurrency, had(p.Concurrency), r.out)
	for _, d := range m.Doubts {
		r.say("Doubt: %s", d)
	}
	return m, nil
}

func had(concurrency float64) string {
	if concurrency == 0 {
		return ""
	}
	return fmt.Sprintf(", production had %.3g", concurrency)
}

// live shows a phase's figures: on a terminal one line that is renewed, else a line
// every ten seconds.
type live struct {
	w        io.Writer
	phase    string
	terminal bool
	last     time.Duration
}

func newLive(w io.Writer, phase string) *live {
	l := &live{w: w, phase: phase}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		l.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return l
}

// quietFor is how long nothing is said where there is no terminal.
const quietFor = 10 * time.Second

func (l *live) show(f rehearsal.Figures) {
	line := fmt.Sprintf("%s %s/%s  %.1f/s (asked %.1f)  %d in flight  p50 %s  p99 %s  errors %.2f%%  %d sent", l.phase,
		f.Elapsed.Round(time.Second), f.Length, f.Rate, f.Asked, f.InFlight, figure(f.P50), figure(f.P99), 100*f.Errors, f.Sent)
	if f.Warming {
		line += "  warming up"
	}
	if l.terminal {
		fmt.Fprintf(l.w, "\r%s\x1b[K", line)
		l.last = f.Elapsed
		return
	}
	if f.Elapsed-l.last >= quietFor-time.Second/2 {
		l.last = f.Elapsed
		fmt.Fprintln(l.w, line)
	}
}

// end ends the renewed line.
func (l *live) end() {
	if l.terminal && l.last > 0 {
		fmt.Fprintln(l.w)
	}
}

// figure is a latency in seconds for people.
func figure(seconds float64) string {
	switch {
	case math.IsNaN(seconds):
		return "-"
	case math.IsInf(seconds, 1):
		return ">1m"
	}
	return time.Duration(seconds * float64(time.Second)).Round(10 * time.Microsecond).String()
}
