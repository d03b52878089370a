package journal

import (
	"errors"
	"strings"
	"testing"
	"time"

	"aftershock/detector"
)

// raised puts alerts of these keys and states into the journal.
func raised(t *testing.T, j *Journal, states map[string]detector.AlertState) {
	t.Helper()
	var tick Tick
	for key, state := range states {
		tick.Alerts = append(tick.Alerts, detector.Alert{Key: key, Upgrade: "u", State: state, StartsAt: noon, Revision: 1})
	}
	if err := j.Commit(t.Context(), tick); err != nil {
		t.Fatal(err)
	}
}

func testMarks(t *testing.T, p place) {
	j := p.open(t)
	raised(t, j, map[string]detector.AlertState{
		"u/pay/1": detector.AlertFiring, "u/cart/2": detector.AlertResolved, "u/\x00/3": detector.AlertResolved, "u/soon/4": detector.AlertPending,
	})
	wrong := detector.Mark{Alert: "u/pay/1", False: true, Actor: "ann", Reason: "a game day", At: noon}
	right := detector.Mark{Alert: "u/pay/1", Actor: "bob", Reason: "no, it was the retries", At: noon.Add(time.Hour)}
	strange := detector.Mark{Alert: "u/\x00/3", False: true, Actor: "cat", At: noon}
	early := detector.Mark{Alert: "u/soon/4", False: true, Actor: "cat", At: noon}
	for _, m := range []detector.Mark{wrong, right, strange, early} {
		if err := j.PutMark(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	ack := detector.Acknowledgement{Alert: "u/pay/1", Actor: "ann", Reason: "on it", At: noon, Binary: "pay", Services: []string{"checkout", "pay"}}
	again := detector.Acknowledgement{Alert: "u/pay/1", Actor: "bob", Reason: "taking over", At: noon.Add(time.Hour)}
	for _, k := range []detector.Acknowledgement{ack, again} {
		if err := j.PutAcknowledgement(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = p.open(t)
	equal(t, "marks, all kept", must[[]detector.Mark](t)(j.Marks(t.Context(), "u/pay/1")), []detector.Mark{wrong, right})
	equal(t, "acknowledgements, all kept", must[[]detector.Acknowledgement](t)(j.Acknowledgements(t.Context(), "u/pay/1")), []detector.Acknowledgement{ack, again})
	equal(t, "the last that was said", must[map[string]detector.Said](t)(j.Said(t.Context(), "u/pay/1", "u/cart/2", "u/\x00/3")), map[string]detector.Said{
		"u/pay/1": {Mark: &right, Acknowledgement: &again}, "u/\x00/3": {Mark: &strange},
	})
	equal(t, "of none", must[map[string]detector.Said](t)(j.Said(t.Context())), map[string]detector.Said{})
	equal(t, "tally", must[detector.Tally](t)(j.Tally(t.Context())), detector.Tally{Fired: 3, Marked: 2, False: 1})
}

func testMarksOfNothing(t *testing.T, p place) {
	j := p.open(t)
	equal(t, "tally", must[detector.Tally](t)(j.Tally(t.Context())), detector.Tally{})
	raised(t, j, map[string]detector.AlertState{"u/pay/1": detector.AlertFiring})
	for what, c := range map[string]struct{ got, want error }{
		"mark of no alert":            {j.PutMark(t.Context(), detector.Mark{Alert: "u/none/1", Actor: "ann", At: noon}), ErrNotFound},
		"acknowledgement of no alert": {j.PutAcknowledgement(t.Context(), detector.Acknowledgement{Alert: "u/none/1", Actor: "ann", At: noon}), ErrNotFound},
		"mark by nobody":              {j.PutMark(t.Context(), detector.Mark{Alert: "u/pay/1", At: noon}), ErrInvalid},
		"acknowledgement at no time":  {j.PutAcknowledgement(t.Context(), detector.Acknowledgement{Alert: "u/pay/1", Actor: "ann"}), ErrInvalid},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: got %v, want %v", what, c.got, c.want)
		}
	}
	if rows(t, j, "alert_marks") != 0 || rows(t, j, "alert_acknowledgements") != 0 {
		t.Error("something was put down all the same")
	}
	if _, err := j.Said(t.Context(), make([]string, maxLimit+1)...); !errors.Is(err, ErrInvalid) {
		t.Errorf("too many keys: got %v, want ErrInvalid", err)
	}
}

func testMarksAppendOnly(t *testing.T, p place) {
	j := p.open(t)
	raised(t, j, map[string]detector.AlertState{"u/pay/1": detector.AlertFiring})
	if err := j.PutMark(t.Context(), detector.Mark{Alert: "u/pay/1", Actor: "ann", At: noon}); err != nil {
		t.Fatal(err)
	}
	if err := j.PutAcknowledgement(t.Context(), detector.Acknowledgement{Alert: "u/pay/1", Actor: "ann", At: noon}); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"alert_marks", "alert_acknowledgements"} {
		statements := []string{`UPDATE ` + table + ` SET at_us = 0`, `DELETE FROM ` + table}
		if p.config.URL != "" {
			statements = append(statements, `TRUNCATE `+table)
		}
		for _, s := range statements {
			err := j.db.write(t.Context(), func(x tx) error {
				_, err := x.exec(t.Context(), s)
				return err
			})
			if err == nil || !strings.Contains(err.Error(), "append-only") {
				t.Errorf("%s: got %v, want a refusal", s, err)
			}
		}
		if rows(t, j, table) != 1 {
			t.Errorf("%s lost its row", table)
		}
	}
}
