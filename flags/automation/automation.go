// Package automation is the thin loop around policy: it reads what is known, has
// policy decide, and does what that says through the switchboard.
//
// It promises that each decision is in the audit before the act and is carried out
// once, over crashes and with several daemons, and that nothing is done while the
// kill switch is on, while anything that a decision needs can't be read, and while
// the watch is blind.
package automation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"aftershock/detector"
	"aftershock/flags"
	"aftershock/flags/policy"
)

// Board is the switchboard, as far as the automation uses it.
type Board interface {
	List() []flags.View
	Frozen(ctx context.Context) (detector.Freeze, error)
	Known(ctx context.Context) (toggles []detector.Toggle, since time.Time, err error)
	Set(ctx context.Context, r flags.Request) (detector.Toggle, error)
	NotRecovered(ctx context.Context, toggle, evidence string) (detector.Toggle, error)
	PutBack(ctx context.Context, flag, toggle, why string) (detector.Toggle, error)
	Withdraw(ctx context.Context, id, why string) error
	Notify(ctx context.Context, n flags.Notice) error
	Rules() *flags.Rules
}

// Journal tells what was judged.
type Journal interface {
	// Firing are the firing alerts.
	Firing(ctx context.Context) ([]detector.Alert, error)
	// Verdicts are the present ones of an upgrade.
	Verdicts(ctx context.Context, upgrade string) ([]detector.Verdict, error)
}

// Options are the parts that the automation is made of.
type Options struct {
	Board   Board
	Journal Journal
	// Blind says why what was judged can't be trusted at present, "" where it can.
	Blind    func() string
	Log      logrus.FieldLogger
	Registry prometheus.Registerer
	Now      func() time.Time // nil: time.Now
}

// Automation is the loop.
type Automation struct {
	o       Options
	actions *prometheus.CounterVec
	said    map[string]string // what was decided of each flag last, for the log
}

// New puts the automation together; Run starts it.
func New(o Options) (*Automation, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	a := &Automation{o: o, said: map[string]string{}, actions: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "aftershock_automation_actions_total", Help: "What the automation did about flags, by kind and outcome.",
	}, []string{"kind", "outcome"})}
	if o.Registry != nil {
		if err := o.Registry.Register(a.actions); err != nil {
			return nil, fmt.Errorf("register metrics of the automation: %w", err)
		}
	}
	return a, nil
}

// Run looks every so often until ctx ends.
func (a *Automation) Run(ctx context.Context) {
	failing := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(a.o.Board.Rules().Policy.Every):
		}
		err := a.Step(ctx)
		if ctx.Err() != nil {
			return
		}
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != "" && text != failing {
			a.o.Log.WithError(err).Error("the automation couldn't do what it should")
		}
		failing = text
	}
}

// Step looks once and does what there is to do.
func (a *Automation) Step(ctx context.Context) error {
	rules := a.o.Board.Rules()
	s, err := a.situation(ctx, rules)
	if err != nil {
		return err
	}
	var errs []error
	for _, act := range rules.Policy.Decide(s) {
		if a.o.Board.Rules() != rules {
			return errors.Join(errs...) // decided anew by what was reloaded
		}
		if a.said[act.Flag] != string(act.Kind)+act.Why {
			a.said[act.Flag] = string(act.Kind) + act.Why
			a.o.Log.WithFields(logrus.Fields{"flag": act.Flag, "upgrade": act.Upgrade, "do": act.Kind, "why": act.Why}).Info("automation decided")
		}
		if act.Kind == policy.None {
			continue
		}
		err := a.do(ctx, act, rules)
		outcome := "done"
		if err != nil {
			outcome = "failed"
			errs = append(errs, fmt.Errorf("%s flag %q: %w", act.Kind, act.Flag, err))
		}
		a.actions.WithLabelValues(string(act.Kind), outcome).Inc()
	}
	return errors.Join(errs...)
}

// situation is what is known. What can't be read is an error: then nothing is
// decided.
func (a *Automation) situation(ctx context.Context, rules *flags.Rules) (policy.Situation, error) {
	s := policy.Situation{Now: a.o.Now().UTC(), Flags: map[string]policy.Flag{}}
	freeze, err := a.o.Board.Frozen(ctx)
	if err != nil {
		return s, err
	}
	if freeze.Frozen {
		s.Frozen = fmt.Sprintf("%s froze the automation: %s", freeze.Actor, freeze.Reason)
	}
	if blind := a.o.Blind(); blind != "" && s.Frozen == "" {
		s.Frozen = "what was judged may be out of date: " + blind
	}
	var since time.Time
	if s.Toggles, since, err = a.o.Board.Known(ctx); err != nil {
		return s, err
	}
	if s.Frozen == "" && crowded(rules, s.Now, since) {
		s.Frozen = "there were so many toggles that what was done lately isn't known"
	}
	firing, err := a.o.Journal.Firing(ctx)
	if err != nil {
		return s, fmt.Errorf("read the firing alerts: %w", err)
	}
	for _, alert := range firing {
		verdicts, err := a.o.Journal.Verdicts(ctx, alert.Upgrade)
		if err != nil {
			return s, fmt.Errorf("read the verdicts of upgrade %s: %w", alert.Upgrade, err)
		}
		s.Blames = append(s.Blames, blame(alert, verdicts))
	}
	for _, g := range rules.Gates {
		s.Gates = append(s.Gates, policy.Gate{Flag: g.Flag, Binary: g.Binary, Safe: g.Safe})
	}
	for _, v := range a.o.Board.List() {
		s.Flags[v.Key] = look(v)
	}
	return s, nil
}

// crowded says whether toggles within an hour or a cooldown may be missing, where
// those after since are known: then the rates can't be kept.
func crowded(rules *flags.Rules, now, since time.Time) bool {
	window := time.Hour
	for _, g := range rules.Gates {
		window = max(window, rules.Policy.For(g.Flag).Cooldown)
	}
	return !since.IsZero() && now.Sub(since) < window
}

// blame is an alert with what its indicator's verdict is now: an alert may stand
// for a while after that has changed.
func blame(alert detector.Alert, verdicts []detector.Verdict) policy.Blame {
	b := policy.Blame{
		Key: alert.Key, Since: alert.StartsAt, Upgrade: alert.Upgrade, Cause: alert.Cause,
		Indicator: alert.Root.Indicator.Name(), Verdict: detector.Undecided,
	}
	root := alert.Root.Indicator.Key()
	for _, v := range verdicts {
		if v.State == detector.Regressed {
			b.Regressed = append(b.Regressed, v.Since)
		}
		if v.Indicator.Key() == root {
			b.Verdict = v.State
		}
	}
	return b
}

func look(v flags.View) policy.Flag {
	f := policy.Flag{Serving: v.Serving, Variants: v.VariantNames()}
	switch {
	case v.Backend != nil:
		f.Unusable = "it lives in the backend " + v.Backend.Name + ", where people alone toggle"
	case v.Problem != "":
		f.Unusable = "its definition can't be served: " + v.Problem
	case v.State != "ENABLED":
		f.Unusable = "the flag is " + v.State
	}
	if n := len(v.Standing); n > 0 {
		f.Top = v.Standing[n-1].Toggle
	}
	return f
}

// do carries out one action. Each leaves its mark in the audit, so that the next
// look knows of it.
func (a *Automation) do(ctx context.Context, act policy.Action, rules *flags.Rules) error {
	notice := flags.Notice{
		Key: act.Decision + "|" + string(act.Kind), Flag: act.Flag, Toggle: act.Toggle, Upgrade: act.Upgrade, At: a.o.Now().UTC(),
		Command: "aftershock flags history " + act.Flag,
	}
	switch act.Kind {
	case policy.Toggle, policy.Proposal:
		return a.set(ctx, act, notice, rules)
	case policy.Withdraw:
		return a.o.Board.Withdraw(ctx, act.Toggle, act.Why)
	case policy.NoHelp:
		notice.Text = fmt.Sprintf("the automatic toggle of flag %s didn't help: %s", act.Flag, act.Why)
		if err := a.o.Board.Notify(ctx, notice); err != nil {
			return err
		}
		_, err := a.o.Board.NotRecovered(ctx, act.Toggle, act.Why)
		return err
	case policy.PutBack:
		notice.Text = fmt.Sprintf("flag %s is put back: %s", act.Flag, act.Why)
		if err := a.o.Board.Notify(ctx, notice); err != nil {
			return err
		}
		_, err := a.o.Board.PutBack(ctx, act.Flag, act.Toggle, act.Why)
		return err
	}
	return fmt.Errorf("there is no action %q", act.Kind)
}

// set toggles or proposes. People are told of an automatic toggle before it, so
// that a crash can't leave it unsaid; of a proposal the alert has the command.
func (a *Automation) set(ctx context.Context, act policy.Action, notice flags.Notice, rules *flags.Rules) error {
	propose := act.Kind == policy.Proposal
	rule := rules.Policy.For(act.Flag)
	if !propose && rule.Approvals() == 0 {
		notice.Toggle = act.Decision
		notice.Text = fmt.Sprintf("the automation sets flag %s to %s for %s: %s", act.Flag, act.Variant, act.Scope, act.Why)
		if err := a.o.Board.Notify(ctx, notice); err != nil {
			return err
		}
	}
	_, err := a.o.Board.Set(ctx, flags.Request{
		Flag: act.Flag, Variant: act.Variant, Scope: act.Scope, Reason: act.Why, Actor: policy.Actor,
		Upgrade: act.Upgrade, Decision: act.Decision, Propose: propose, Under: rules,
	})
	if err == nil || errors.Is(err, flags.ErrUnchanged) {
		return nil // where nothing changed, another daemon or an earlier look did it
	}
	if errors.Is(err, flags.ErrConflict) && a.o.Board.Rules() != rules {
		return nil // the next look decides by what was reloaded
	}
	notice.Key += "|failed"
	notice.Text = fmt.Sprintf("the automation couldn't set flag %s: %s", act.Flag, err)
	return errors.Join(err, a.o.Board.Notify(ctx, notice))
}
