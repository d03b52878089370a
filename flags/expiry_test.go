package flags

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aftershock/detector"
	"aftershock/flags/policy"
)

func TestReminder(t *testing.T) {
	at := time.Date(2026, 3, 6, 12, 0, 0, 0, time.UTC)
	eight := detector.Toggle{At: at, Expires: at.Add(8 * time.Hour)}
	short := detector.Toggle{At: at, Expires: at.Add(20 * time.Minute)}
	with := func(x detector.Toggle, reminded string, acknowledged bool) detector.Toggle {
		x.Reminded, x.Acknowledged = reminded, acknowledged
		return x
	}
	for _, tt := range []struct {
		name  string
		x     detector.Toggle
		after time.Duration
		want  string
	}{
		{"never", detector.Toggle{At: at}, 1000 * time.Hour, ""},
		{"long before", eight, 7*time.Hour + 44*time.Minute, ""},
		{"before", eight, 7*time.Hour + 45*time.Minute, "soon"},
		{"before, again", with(eight, "soon", false), 7*time.Hour + 50*time.Minute, ""},
		{"at", with(eight, "soon", false), 8 * time.Hour, "over"},
		{"at, without one before", eight, 8 * time.Hour, "over"},
		{"after, again", with(eight, "over", false), 9 * time.Hour, ""},
		{"acknowledged", with(eight, "soon", true), 9 * time.Hour, ""},
		{"a quarter of a short time", short, 14 * time.Minute, ""},
		{"a quarter of a short time", short, 15 * time.Minute, "soon"},
	} {
		if got := reminder(tt.x, at.Add(tt.after), 15*time.Minute); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// board is a switchboard whose clock the test has.
func board(t *testing.T, store *memory, told *notices, p policy.Config) (s *Switchboard, pass func(time.Duration)) {
	t.Helper()
	s, _ = start(t, store, Config{Definitions: writeFile(t, fleet), Notify: told.take, Policy: p})
	var ahead atomic.Int64
	s.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	return s, func(d time.Duration) {
		t.Helper()
		ahead.Add(int64(d))
		for range 2 {
			if err := s.tendToggles(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func hours(n int) *time.Duration { d := time.Duration(n) * time.Hour; return &d }

func TestExpiryReminds(t *testing.T) {
	store, told := &memory{}, &notices{}
	s, pass := board(t, store, told, policy.Config{Rule: policy.Rule{Expires: hours(8)}})
	toggle, err := s.Set(t.Context(), request("other", "on"))
	if err != nil || toggle.Expires.Sub(toggle.At) != 8*time.Hour || toggle.OnExpiry != "remind" {
		t.Fatalf("got %+v, %v", toggle, err)
	}
	pass(time.Hour)
	if got := told.texts(); len(got) != 0 {
		t.Errorf("after an hour: %v", got)
	}
	if v, _ := s.Show("other"); !v.Standing[0].Expires.Equal(toggle.Expires) || v.Standing[0].Overdue {
		t.Errorf("shown as %+v", v.Standing)
	}
	pass(6*time.Hour + 50*time.Minute)
	if got := told.texts(); len(got) != 1 || !strings.Contains(got[0], "ada's toggle of flag other to on for everyone expires at") {
		t.Errorf("before: %v", got)
	}
	pass(time.Hour)
	if got := told.texts(); len(got) != 2 || !strings.Contains(got[1], "has expired at") || !strings.Contains(got[1], "stays until a person decides") {
		t.Errorf("at: %v", got)
	}
	if v, _ := s.Show("other"); !v.Standing[0].Overdue || v.Serving != "on" {
		t.Errorf("shown as %+v", v)
	}
	pass(100 * time.Hour)
	if got := told.texts(); len(got) != 2 {
		t.Errorf("later: %v", got)
	}
	got, err := s.Extend(t.Context(), "other", 2*time.Hour, "not done yet", "bob")
	if err != nil || got.By != "bob" || got.State != detector.ToggleVerified || !strings.Contains(got.Evidence, "extended by bob until") {
		t.Errorf("extended: %+v, %v", got, err)
	}
	if v, _ := s.Show("other"); !v.Standing[0].Expires.Equal(got.Expires) {
		t.Errorf("extended, shown at once as %+v", v.Standing)
	}
	pass(time.Minute)
	if v, _ := s.Show("other"); v.Standing[0].Overdue {
		t.Errorf("extended, shown as %+v", v)
	}
	if _, err := s.Acknowledge(t.Context(), "other", "it stays", "bob"); err != nil {
		t.Error(err)
	}
	pass(3 * time.Hour)
	if got := told.texts(); len(got) != 2 {
		t.Errorf("acknowledged: %v", got)
	}
	if got, err := s.Extend(t.Context(), "other", 0, "it stays", "bob"); err != nil || !got.Expires.IsZero() || !strings.Contains(got.Evidence, "for good") {
		t.Errorf("extended for good: %+v, %v", got, err)
	}
	for _, f := range []func() error{
		func() error { _, err := s.Extend(t.Context(), "other", -1, "x", "bob"); return err },
		func() error { _, err := s.Extend(t.Context(), "other", policy.MaxExpiry+1, "x", "bob"); return err },
		func() error { _, err := s.Acknowledge(t.Context(), "other", "", "bob"); return err },
	} {
		if err := f(); !errors.Is(err, ErrInvalid) {
			t.Errorf("got %v, want ErrInvalid", err)
		}
	}
	// One that had no expiry gets one by extending it.
	if got, err := s.Extend(t.Context(), "other", time.Hour, "a while", "bob"); err != nil || got.OnExpiry != "remind" || got.Expires.IsZero() {
		t.Errorf("extended from never: %+v, %v", got, err)
	}
	if _, err := s.Acknowledge(t.Context(), "masked", "x", "bob"); !errors.Is(err, ErrUnchanged) {
		t.Errorf("nothing in force: got %v", err)
	}
	r := request("masked", "off")
	r.Expires = hours(0)
	if got, err := s.Set(t.Context(), r); err != nil || !got.Expires.IsZero() {
		t.Errorf("0 is never: got %+v, %v", got, err)
	}
	r.Expires, r.OnExpiry = nil, "restore"
	if _, err := s.Set(t.Context(), r); !errors.Is(err, ErrInvalid) {
		t.Errorf("on expiry restore: got %v", err)
	}
}

func TestExpiryUndoes(t *testing.T) {
	store, told := &memory{}, &notices{}
	s, pass := board(t, store, told, policy.Config{})
	r := request("other", "on")
	r.Expires, r.OnExpiry = hours(1), "undo"
	toggle, err := s.Set(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Freeze(t.Context(), "game day", "ann"); err != nil {
		t.Fatal(err)
	}
	pass(2 * time.Hour)
	if v, _ := s.Show("other"); v.Serving != "on" {
		t.Error("undone while frozen")
	}
	if _, err := s.Unfreeze(t.Context(), "over", "ann"); err != nil {
		t.Fatal(err)
	}
	// One that lies over it holds it.
	r = request("other", "off")
	if _, err := s.Set(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	pass(2 * time.Minute)
	if v, _ := s.Show("other"); v.Toggles != 2 {
		t.Errorf("another toggle was undone: %+v", v)
	}
	if _, err := s.Undo(t.Context(), "other", "over", "ada"); err != nil {
		t.Fatal(err)
	}
	pass(2 * time.Minute)
	if v, _ := s.Show("other"); v.Serving != "off" || v.Toggles != 0 {
		t.Errorf("not undone: %+v", v)
	}
	got, err := s.find(t.Context(), "", toggle.ID)
	if err != nil || got.State != detector.ToggleUndone || !strings.Contains(got.Evidence, "undone by "+policy.Actor) {
		t.Errorf("got %+v, %v", got, err)
	}
	if texts := told.texts(); len(texts) != 1 || !strings.Contains(texts[0], "it is undone now, as was asked for") {
		t.Errorf("told %v", texts)
	}
}

// kill -9 around a reminder: it goes out once, and the audit says so.
func TestCrashOfReminders(t *testing.T) {
	for crash := 1; ; crash++ {
		store, told := &memory{}, &notices{}
		s, _ := board(t, store, told, policy.Config{})
		r := request("other", "on")
		r.Expires, r.OnExpiry = hours(1), "undo"
		toggle, err := s.Set(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		touched, dead := 0, false
		store.fail = func(string) error {
			if touched++; dead || touched == crash {
				dead = true
				return errDown
			}
			return nil
		}
		s.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
		_ = s.tendToggles(t.Context())
		store.fail = nil
		if !dead {
			break
		}
		s, pass := board(t, store, told, policy.Config{})
		s.grace = 0
		s.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
		if err := s.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		pass(0)
		if texts := told.texts(); len(texts) != 1 {
			t.Errorf("crash %d: told %v", crash, texts)
		}
		if v, _ := s.Show("other"); v.Serving != "off" || v.Toggles != 0 {
			t.Errorf("crash %d: %+v", crash, v)
		}
		if err := s.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, _ := s.find(t.Context(), "", toggle.ID); got.State != detector.ToggleUndone {
			t.Errorf("crash %d: ends as %s: %v", crash, got.State, store.states(toggle.ID))
		}
	}
}

// A restart while a limited toggle is being watched, and somebody who puts it back.
func TestScopedToggleIsWatched(t *testing.T) {
	store := &memory{}
	c := Config{Definitions: writeFile(t, fleet), Check: 10 * time.Millisecond}
	s, _ := start(t, store, c)
	original := string(s.serving.Load().document.Flags["masked"])
	stop := run(t, s)
	r := request("masked", "off")
	r.Scope.Percent = 25
	toggle, err := s.Set(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	s, _ = start(t, store, c)
	run(t, s)
	checks(t, store, 5)
	if d := cmp.Diff([]detector.ToggleState{"planned", "applied", "verified"}, store.states(toggle.ID)); d != "" {
		t.Errorf("before (-want +got):\n%s", d)
	}
	store.rewrite(t, "masked", original)
	eventually(t, "the audit says that it was put back", func() bool {
		return slices.Contains(store.states(toggle.ID), detector.ToggleReverted)
	})
}
