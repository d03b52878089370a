package cleanup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"aftershock/detector"
)

// Store is where the ledger is kept.
type Store interface {
	Chores(ctx context.Context, upgrade string) ([]detector.LedgerEntry, error)
	ChangeChore(ctx context.Context, upgrade, id string, change func(detector.LedgerEntry, bool) (detector.LedgerEntry, bool, error)) (detector.LedgerEntry, error)
}

// Options are the parts that a keeper is made of.
type Options struct {
	Store Store
	// Upgrades are those whose chores are kept, Toggles all toggles in their last state.
	Upgrades func(ctx context.Context) ([]detector.Upgrade, error)
	Toggles  func(ctx context.Context) ([]detector.Toggle, error)
	Prober   Prober
	// Remind tells people that chores are overdue; told twice under one key, it goes out
	// once.
	Remind func(ctx context.Context, key, upgrade, text string, at time.Time) error
	Log    logrus.FieldLogger
}

// Keeper keeps the ledgers of all upgrades: it adds what findings and toggles ask for,
// probes what can be probed, and reminds of what is overdue.
type Keeper struct {
	o Options
	// probed is when each chore was probed last, for chores probed since the start; left
	// is how many more are probed in this round.
	probed map[string]time.Time
	left   int
}

// mostProbes bounds the probes of one round: chores come with packages.
const mostProbes = 20

// New makes a keeper.
func New(o Options) *Keeper { return &Keeper{o: o, probed: map[string]time.Time{}} }

// every is how often the keeper looks.
const every = 30 * time.Second

// Run keeps the ledgers until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := k.Advance(ctx, time.Now()); err != nil && ctx.Err() == nil {
			k.o.Log.WithError(err).Error("the clean-up ledger can't be brought up to date; trying again")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Advance brings all ledgers up to date.
func (k *Keeper) Advance(ctx context.Context, now time.Time) error {
	all, err := k.o.Upgrades(ctx)
	if err != nil {
		return err
	}
	toggles, err := k.o.Toggles(ctx)
	if err != nil {
		return err
	}
	var errs []error
	k.left = mostProbes
	for _, u := range all {
		if err := k.advance(ctx, u, World{toggles, all}, now); err != nil {
			errs = append(errs, fmt.Errorf("upgrade %s: %w", u.ID, err))
		}
	}
	return errors.Join(errs...)
}

func (k *Keeper) advance(ctx context.Context, u detector.Upgrade, w World, now time.Time) error {
	if u.Begins().IsZero() {
		return nil // nobody said when
	}
	known, err := k.o.Store.Chores(ctx, u.ID)
	if err != nil {
		return err
	}
	for _, draft := range Drafts(u, w, k.o.Prober.Config, now) {
		if i := slices.IndexFunc(known, func(e detector.LedgerEntry) bool { return e.ID == draft.ID }); i >= 0 {
			if known[i], err = k.move(ctx, known[i], draft); err != nil {
				return err
			}
			continue
		}
		e, err := k.o.Store.ChangeChore(ctx, u.ID, draft.ID, func(_ detector.LedgerEntry, known bool) (detector.LedgerEntry, bool, error) {
			return draft, !known, nil
		})
		if err != nil {
			return err
		}
		known = append(known, e)
		k.o.Log.WithFields(logrus.Fields{"upgrade": u.ID, "chore": e.ID, "kind": e.Kind}).Info("the clean-up ledger has a new chore")
	}
	if !u.Begun() {
		return nil // what isn't upgraded yet has nothing to clean up: what isn't there yet isn't gone
	}
	for i, e := range known {
		if known[i], err = k.complete(ctx, u, e); err != nil {
			return err
		}
		if known[i], err = k.probe(ctx, u, w, known[i], now); err != nil {
			return err
		}
	}
	return k.remind(ctx, u, known, now)
}

// move gives a chore that nobody has said anything of the date that it has by now: the
// upgrade may be put off, or take longer.
func (k *Keeper) move(ctx context.Context, e, draft detector.LedgerEntry) (detector.LedgerEntry, error) {
	stale := func(e detector.LedgerEntry) bool {
		return e.State == detector.ChoreOpen && e.Actor == itself && e.Note == "" && !e.Due.Equal(draft.Due)
	}
	if !stale(e) {
		return e, nil
	}
	return k.o.Store.ChangeChore(ctx, e.Upgrade, e.ID, func(e detector.LedgerEntry, known bool) (detector.LedgerEntry, bool, error) {
		if !known || !stale(e) {
			return e, false, nil
		}
		e.Due = draft.Due
		return e, true, nil
	})
}

// complete gives a chore that a person added without them the owner and the date that others have.
func (k *Keeper) complete(ctx context.Context, u detector.Upgrade, e detector.LedgerEntry) (detector.LedgerEntry, error) {
	c := k.o.Prober.Config
	lacks := func(e detector.LedgerEntry) bool {
		return e.State == detector.ChoreOpen && (e.Due.IsZero() || e.Owner == "" && c.Owner != "")
	}
	if !lacks(e) {
		return e, nil
	}
	return k.o.Store.ChangeChore(ctx, u.ID, e.ID, func(e detector.LedgerEntry, known bool) (detector.LedgerEntry, bool, error) {
		if !known || !lacks(e) {
			return e, false, nil
		}
		e.Owner = cmp.Or(e.Owner, c.Owner)
		if e.Due.IsZero() {
			e.Due = due(u, c)
		}
		return e, true, nil
	})
}

// probe looks whether a chore is gone, and whether one that was done is back.
func (k *Keeper) probe(ctx context.Context, u detector.Upgrade, w World, e detector.LedgerEntry, now time.Time) (detector.LedgerEntry, error) {
	key := e.Upgrade + "\xff" + e.ID
	if e.Probe == "" || e.State == detector.ChoreKept || k.left == 0 || now.Sub(k.probed[key]) < time.Duration(k.o.Prober.Config.Every) {
		return e, nil
	}
	k.probed[key] = now
	k.left--
	got, err := k.o.Prober.look(ctx, u, w, e.Probe)
	if err != nil {
		got = seen{text: err.Error()}
	}
	blind := err != nil
	return k.o.Store.ChangeChore(ctx, e.Upgrade, e.ID, func(e detector.LedgerEntry, known bool) (detector.LedgerEntry, bool, error) {
		return judge(e, got, blind, now), known && changed(e, got, blind), nil
	})
}

// changed says whether a probe has news.
func changed(e detector.LedgerEntry, got seen, blind bool) bool {
	state := e.State == detector.ChoreOpen && got.gone || e.State == detector.ChoreDone && !got.gone && !blind
	return e.State != detector.ChoreKept && (state || e.Found != got.text)
}

// judge puts what a probe saw into the chore: what is gone is done, and what is there is
// open, whoever said that it was done.
func judge(e detector.LedgerEntry, got seen, blind bool, now time.Time) detector.LedgerEntry {
	e.Found, e.ProbedAt = got.text, now.UTC()
	switch {
	case blind:
	case got.gone && e.State == detector.ChoreOpen:
		e.State, e.Actor, e.Note, e.At = detector.ChoreDone, itself, "a probe saw that "+got.text, now.UTC()
	case !got.gone && e.State == detector.ChoreDone:
		e.State, e.Actor, e.Note, e.At = detector.ChoreOpen, itself, "it isn't done: a probe saw that "+got.text, now.UTC()
	}
	return e
}

// remind tells people what is overdue, once each time that a reminder is due.
func (k *Keeper) remind(ctx context.Context, u detector.Upgrade, all []detector.LedgerEntry, now time.Time) error {
	var overdue []detector.LedgerEntry
	first := now
	for _, e := range all {
		if e.Overdue(now) {
			overdue = append(overdue, e)
			if e.Due.Before(first) {
				first = e.Due
			}
		}
	}
	if len(overdue) == 0 {
		return nil
	}
	n := now.Sub(first) / time.Duration(k.o.Prober.Config.Remind)
	key := fmt.Sprintf("cleanup/%s/%d/%d", u.ID, first.Unix(), n)
	return k.o.Remind(ctx, key, u.ID, Reminder(u.ID, overdue), first.Add(n*time.Duration(k.o.Prober.Config.Remind)))
}
