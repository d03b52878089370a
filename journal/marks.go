package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"aftershock/detector"
)

// PutMark puts down whether an alert was a false alarm. Marks are only added; the
// last one counts. It gives ErrNotFound where there is no such alert.
func (j *Journal) PutMark(ctx context.Context, m detector.Mark) error {
	wrong := int64(0)
	if m.False {
		wrong = 1
	}
	return j.say(ctx, "mark alert "+m.Alert, m, m.Alert, m.Actor, m.At, `
		INSERT INTO alert_marks (alert, at_us, document, false_alarm) SELECT $1, $2, $3, $4
		WHERE EXISTS (SELECT 1 FROM alerts WHERE key = $5)`, wrong, text(m.Alert))
}

// PutAcknowledgement puts down that somebody looks after an alert. It gives
// ErrNotFound where there is no such alert.
func (j *Journal) PutAcknowledgement(ctx context.Context, k detector.Acknowledgement) error {
	return j.say(ctx, "acknowledge alert "+k.Alert, k, k.Alert, k.Actor, k.At, `
		INSERT INTO alert_acknowledgements (alert, at_us, document) SELECT $1, $2, $3
		WHERE EXISTS (SELECT 1 FROM alerts WHERE key = $4)`, text(k.Alert))
}

func (j *Journal) say(ctx context.Context, what string, document any, alert, actor string, at time.Time, query string, more ...any) error {
	return j.write(ctx, what, func(t tx) error {
		if alert == "" || actor == "" || at.IsZero() {
			return fmt.Errorf("%w: it lacks the alert, the actor or the time", ErrInvalid)
		}
		doc, err := encode(what, document)
		if err != nil {
			return err
		}
		n, err := t.exec(ctx, query, append([]any{text(alert), micros(at), doc}, more...)...)
		if err == nil && n == 0 {
			return ErrNotFound
		}
		return err
	})
}

// Marks gives every mark of an alert in the order in which they were put down.
func (j *Journal) Marks(ctx context.Context, alert string) (all []detector.Mark, err error) {
	err = j.read("read the marks of alert "+alert, func(t tx) error {
		return t.each(ctx, documents(&all), `SELECT document FROM alert_marks WHERE alert = $1 ORDER BY seq`, text(alert))
	})
	return all, err
}

// Acknowledgements gives every acknowledgement of an alert in the order in which
// they were put down.
func (j *Journal) Acknowledgements(ctx context.Context, alert string) (all []detector.Acknowledgement, err error) {
	err = j.read("read the acknowledgements of alert "+alert, func(t tx) error {
		return t.each(ctx, documents(&all), `SELECT document FROM alert_acknowledgements WHERE alert = $1 ORDER BY seq`, text(alert))
	})
	return all, err
}

// Said gives what people said last of each of the alerts, by its key; alerts of
// which nobody said anything are left out. At most 1000 keys may be given.
func (j *Journal) Said(ctx context.Context, alerts ...string) (map[string]detector.Said, error) {
	out := map[string]detector.Said{}
	if len(alerts) == 0 {
		return out, nil
	}
	if len(alerts) > maxLimit {
		return nil, fmt.Errorf("read what was said of alerts: %w: %d alerts, and %d are allowed", ErrInvalid, len(alerts), maxLimit)
	}
	places, args := make([]string, len(alerts)), make([]any, len(alerts))
	byText := make(map[string]string, len(alerts))
	for n, key := range alerts {
		places[n], args[n] = fmt.Sprintf("$%d", n+1), text(key)
		byText[text(key)] = key
	}
	last := func(t tx, table string, put func(*detector.Said) any) error {
		return t.each(ctx, func(r row) error {
			var key string
			var doc []byte
			if err := r.Scan(&key, &doc); err != nil {
				return err
			}
			key = byText[key]
			said := out[key]
			if err := json.Unmarshal(doc, put(&said)); err != nil {
				return fmt.Errorf("decode what was said of alert %s: %w", key, err)
			}
			out[key] = said
			return nil
		}, `SELECT alert, document FROM `+table+` WHERE seq IN (
			SELECT max(seq) FROM `+table+` WHERE alert IN (`+strings.Join(places, ", ")+`) GROUP BY alert)`, args...)
	}
	err := j.read("read what was said of alerts", func(t tx) error {
		if err := last(t, "alert_marks", func(s *detector.Said) any { s.Mark = &detector.Mark{}; return s.Mark }); err != nil {
			return err
		}
		return last(t, "alert_acknowledgements", func(s *detector.Said) any {
			s.Acknowledgement = &detector.Acknowledgement{}
			return s.Acknowledgement
		})
	})
	return out, err
}

// Tally counts the alerts that fired, those of them that people marked, and those
// whose last mark says that they were false.
func (j *Journal) Tally(ctx context.Context) (c detector.Tally, err error) {
	err = j.read("count the false alarms", func(t tx) error {
		return one(ctx, t, func(r row) error { return r.Scan(&c.Fired, &c.Marked, &c.False) }, `
			SELECT count(*), count(m.seq), coalesce(sum(m.false_alarm), 0)
			FROM alerts a LEFT JOIN alert_marks m
				ON m.seq = (SELECT max(seq) FROM alert_marks WHERE alert = a.key)
			WHERE a.state IN ('firing', 'resolved')`)
	})
	return c, err
}
