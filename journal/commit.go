package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"aftershock/detector"
)

// Tick is what one step of the watch has to put down.
type Tick struct {
	// Time is the step's end: the judge has seen everything up to here. It is
	// kept to the microsecond.
	Time time.Time
	// State is the judge's saved state, kept with Time; nil leaves the last
	// state and its time as they are.
	State []byte
	// Upgrades replace those of the same ID.
	Upgrades []detector.Upgrade
	// Verdicts replace those of the same upgrade and indicator.
	Verdicts []detector.Verdict
	// Events are appended; one that is there already (same upgrade, time,
	// event and indicator) is dropped.
	Events []detector.Event
	// Alerts replace those of the same key, unless theirs is the higher
	// revision.
	Alerts []detector.Alert
	// Coverage replaces that of the same hour, unless that has more steps.
	Coverage []detector.Coverage
	// Jobs are put down unless their kind and key are known.
	Jobs []Job
}

// Commit writes one step in one transaction: all of it or nothing. Numbers that
// JSON doesn't have (NaN, infinities) give ErrInvalid, naming where they stand.
func (j *Journal) Commit(ctx context.Context, t Tick) error {
	w, err := prepare(t)
	if err != nil {
		return fmt.Errorf("commit the step of %s: %w", t.Time.UTC().Format(time.RFC3339), err)
	}
	return j.write(ctx, "commit the step of "+t.Time.UTC().Format(time.RFC3339), func(x tx) error {
		for _, s := range w {
			if _, err := x.exec(ctx, s.query, s.args...); err != nil {
				return err
			}
		}
		return j.jobs.insert(ctx, x, t.Jobs)
	})
}

// statement is one statement with its arguments.
type statement struct {
	query string
	args  []any
}

const (
	upsertUpgrade = `
		INSERT INTO upgrades (id, started_us, finished_us, closed_us, document) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (id) DO UPDATE SET started_us = excluded.started_us, finished_us = excluded.finished_us,
			closed_us = excluded.closed_us, document = excluded.document`
	upsertVerdict = `
		INSERT INTO verdicts (upgrade, indicator, state, document) VALUES ($1, $2, $3, $4)
		ON CONFLICT (upgrade, indicator) DO UPDATE SET state = excluded.state, document = excluded.document`
	insertEvent = `
		INSERT INTO events (upgrade, time_us, event, indicator, document) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (upgrade, time_us, event, indicator) DO NOTHING`
	upsertAlert = `
		INSERT INTO alerts (key, upgrade, state, starts_us, revision, document) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (key) DO UPDATE SET upgrade = excluded.upgrade, state = excluded.state,
			starts_us = excluded.starts_us, revision = excluded.revision, document = excluded.document
		WHERE excluded.revision >= alerts.revision`
	upsertCoverage = `
		INSERT INTO coverage (hour_us, steps, document) VALUES ($1, $2, $3)
		ON CONFLICT (hour_us) DO UPDATE SET steps = excluded.steps, document = excluded.document
		WHERE excluded.steps >= coverage.steps`
	upsertJudge = `
		INSERT INTO judge (one, at_us, state) VALUES (1, $1, $2)
		ON CONFLICT (one) DO UPDATE SET at_us = excluded.at_us, state = excluded.state`
)

// prepare makes the statements of a tick before the transaction begins, since
// others wait for its end.
func prepare(t Tick) ([]statement, error) {
	w := make([]statement, 0, len(t.Upgrades)+len(t.Verdicts)+len(t.Events)+len(t.Alerts)+1)
	add := func(query string, what string, document any, args ...any) error {
		doc, err := encode(what, document)
		w = append(w, statement{query, append(args, doc)})
		return err
	}
	for _, u := range t.Upgrades {
		if u.ID == "" {
			return nil, fmt.Errorf("%w: an upgrade has no id", ErrInvalid)
		}
		err := add(upsertUpgrade, "upgrade "+u.ID, u, text(u.ID), micros(u.Begins()), micros(u.FinishedAt), micros(u.ClosedAt))
		if err != nil {
			return nil, err
		}
	}
	for _, v := range t.Verdicts {
		key := v.Indicator.Key()
		what := fmt.Sprintf("verdict of upgrade %s on %s", v.Upgrade, key)
		if err := finiteVerdict(what, v); err != nil {
			return nil, err
		}
		if err := add(upsertVerdict, what, v, text(v.Upgrade), text(key), string(v.State)); err != nil {
			return nil, err
		}
	}
	for _, e := range t.Events {
		key := ""
		if e.Indicator != nil {
			key = e.Indicator.Key()
		}
		what := fmt.Sprintf("event %s of upgrade %s on %s", e.Event, e.Upgrade, key)
		if err := finite(what, e.Effect, e.Causes, e.DecidedIn); err != nil {
			return nil, err
		}
		for _, v := range e.Verdicts {
			if err := finiteVerdict(what+", verdict on "+v.Indicator.Key(), v); err != nil {
				return nil, err
			}
		}
		if err := add(insertEvent, what, e, text(e.Upgrade), micros(e.Time), e.Event, text(key)); err != nil {
			return nil, err
		}
	}
	for _, a := range t.Alerts {
		if a.Key == "" {
			return nil, fmt.Errorf("%w: an alert of upgrade %s has no key", ErrInvalid, a.Upgrade)
		}
		for _, v := range append([]detector.Verdict{a.Root}, a.Others...) {
			if err := finiteVerdict("alert "+a.Key+", verdict on "+v.Indicator.Key(), v); err != nil {
				return nil, err
			}
		}
		err := add(upsertAlert, "alert "+a.Key, a, text(a.Key), text(a.Upgrade), string(a.State), micros(a.StartsAt), a.Revision)
		if err != nil {
			return nil, err
		}
	}
	for _, c := range t.Coverage {
		if err := finiteNumber("coverage of "+c.Hour.UTC().Format(time.RFC3339), "step_seconds", c.Step); err != nil {
			return nil, err
		}
		if err := add(upsertCoverage, "coverage", c, micros(c.Hour), int64(c.Steps)); err != nil {
			return nil, err
		}
	}
	if t.State != nil {
		w = append(w, statement{upsertJudge, []any{micros(t.Time), t.State}})
	}
	return w, nil
}

// encode gives the JSON of a document.
func encode(what string, v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("%w: %s: %w", ErrInvalid, what, err)
	}
	return string(b), nil
}

// finiteVerdict refuses what JSON has no number for, by name.
func finiteVerdict(what string, v detector.Verdict) error {
	if err := finite(what, v.Effect, v.Causes, v.DecidedIn); err != nil {
		return err
	}
	if d := v.Distribution; d != nil {
		for name, all := range map[string][]float64{"bounds": d.Bounds, "before": d.Before, "after": d.After} {
			for i, x := range all {
				if err := finiteNumber(what, fmt.Sprintf("distribution.%s[%d]", name, i), x); err != nil {
					return err
				}
			}
		}
	}
	for i, p := range v.Course {
		for name, x := range map[string]float64{"bad": p.Bad, "total": p.Total, "expected": p.Expected, "low": p.Low, "high": p.High} {
			if err := finiteNumber(what, fmt.Sprintf("course[%d].%s", i, name), x); err != nil {
				return err
			}
		}
	}
	return nil
}

func finite(what string, e *detector.Effect, causes []detector.Cause, decidedIn float64) error {
	if e != nil {
		for name, x := range map[string]float64{"before": e.Before, "after": e.After, "ratio": e.Ratio, "low": e.Low, "high": e.High} {
			if err := finiteNumber(what, "effect."+name, x); err != nil {
				return err
			}
		}
	}
	for i, c := range causes {
		if err := finiteNumber(what, fmt.Sprintf("causes[%d].probability", i), c.Probability); err != nil {
			return err
		}
	}
	return finiteNumber(what, "decided_in_seconds", decidedIn)
}

func finiteNumber(what, name string, x float64) error {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return fmt.Errorf("%w: %s: %s is %v, which JSON has no number for", ErrInvalid, what, name, x)
	}
	return nil
}

// text makes a string that every database takes as text: valid UTF-8 without
// NUL. Keys are looked up by the same.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
