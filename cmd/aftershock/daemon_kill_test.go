package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"aftershock/alerts/notify"
	"aftershock/detector"
	"aftershock/flags"
	"aftershock/internal/servers"
)

// The daemon is killed at many random instants of the upgrade story: in the
// end nothing was lost and nothing was said twice.
func TestDaemonIsKilled(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		killStory(t, "", 1)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		killStory(t, servers.PostgreSQL(t).Database(), 2)
	})
}

// storedEvent is an event as the API gives it.
type storedEvent struct {
	ID int64 `json:"id"`
	detector.Event
}

// siege is a daemon that dies again and again.
type siege struct {
	t     *testing.T
	home  *home
	hook  *hook
	fleet *fleet
	rng   *rand.Rand
	p     *process
	kills int
	// events are those seen so far; acked the toggles that the API answered.
	events []storedEvent
	acked  []detector.Toggle
	wanted int // toggles asked for
}

func killStory(t *testing.T, database string, seed uint64) {
	f, h := newFleet(t), newHook(t)
	h.trouble, h.hang = 0.5, 250*time.Millisecond
	s := &siege{t: t, hook: h, fleet: f, rng: rand.New(rand.NewPCG(seed, uint64(time.Now().UnixNano())))}
	s.home = newHome(t, config(database, f.scraped(), h.receivers()))
	s.home.file("flags.json", definitions)
	s.p = s.home.start()

	for began := time.Now(); time.Since(began) < 20*time.Second; {
		s.live(2 * time.Second)
		s.strike(time.Duration(s.rng.IntN(60)) * time.Millisecond)
	}
	f.upgrade(1500 * time.Millisecond)
	s.killAt("the upgrade is seen", 15*time.Second, func() bool { return len(s.p.log.lines("upgrade seen")) > 0 })
	// The judge needs a little quiet to see the shift.
	for n := range 3 {
		s.killAt("an alert is delivered", 45*time.Second, func() bool { return h.attempts() > n })
	}
	// The on-call step cures it. From here on toggles rest, since the judge
	// begins to look for the recovery anew at each of them.
	f.cure()
	s.mend()
	for began := time.Now(); !s.resolved(); {
		if time.Since(began) > 60*time.Second {
			t.Fatal("the alert was not resolved within a minute of the cure")
		}
		time.Sleep(time.Second + time.Duration(s.rng.Int64N(int64(3*time.Second))))
		s.p.kill()
		s.revive()
	}
	for s.kills < 25 { // a loaded machine starts slowly
		s.strike(time.Duration(s.rng.IntN(400)) * time.Millisecond)
	}
	s.settle()
	t.Logf("%d kills, %d toggles asked for, %d acknowledged, %d events, %d posts, %d receipts",
		s.kills, s.wanted, len(s.acked), len(s.events), h.attempts(), len(h.receipts()))
}

// mend toggles the flag that gates the blamed binary.
func (s *siege) mend() {
	s.t.Helper()
	var t detector.Toggle
	err := s.p.do(http.MethodPut, "/api/v1/flags/payments-backoff", map[string]any{"variant": "legacy", "reason": "retries are up"}, &t)
	if err != nil || t.State != detector.ToggleVerified {
		s.t.Fatalf("toggle payments-backoff: got %+v, %v", t, err)
	}
}

// resolved says whether the alert is over.
func (s *siege) resolved() bool {
	s.t.Helper()
	all := must[items[detector.Alert]](s.p, "/api/v1/alerts").Items
	return len(all) > 0 && all[0].State == detector.AlertResolved
}

// live lets the daemon be for a random while, and toggles meanwhile.
func (s *siege) live(most time.Duration) {
	for end := time.Now().Add(time.Duration(s.rng.Int64N(int64(most)))); time.Now().Before(end); {
		s.toggle(s.p)
		time.Sleep(time.Duration(200+s.rng.IntN(800)) * time.Millisecond)
	}
}

// strike kills the daemon while a toggle is under way, and starts it again.
func (s *siege) strike(after time.Duration) {
	s.t.Helper()
	toggled := make(chan struct{})
	go func() {
		defer close(toggled)
		s.toggle(s.p)
	}()
	time.Sleep(after)
	s.p.kill()
	<-toggled
	s.revive()
}

// killAt kills the daemon once something has happened.
func (s *siege) killAt(what string, within time.Duration, happened func() bool) {
	s.t.Helper()
	wait(s.t, within, what, func() error {
		if !happened() {
			return errors.New("not yet")
		}
		return nil
	})
	time.Sleep(time.Duration(s.rng.IntN(100)) * time.Millisecond)
	s.p.kill()
	s.revive()
}

// revive starts the daemon again and looks at what it remembers.
func (s *siege) revive() {
	s.t.Helper()
	s.kills++
	s.p = s.home.start()
	s.lookAtEvents()
}

// toggle flips the flag receipts. Only an answer counts.
func (s *siege) toggle(p *process) {
	s.wanted++
	variant := "on"
	if s.wanted%2 == 1 {
		variant = "off"
	}
	var t detector.Toggle
	err := p.do(http.MethodPut, "/api/v1/flags/receipts", map[string]any{"variant": variant, "reason": fmt.Sprint("toggle ", s.wanted)}, &t)
	var refused problemError
	switch {
	case err == nil:
		s.acked = append(s.acked, t)
	case errors.As(err, &refused) && refused.status >= 500 && refused.status != http.StatusServiceUnavailable:
		s.t.Errorf("toggle %d: %v", s.wanted, err)
	}
}

// lookAtEvents holds the events against those seen before: what was said stays
// said, in the same words and under the same number.
func (s *siege) lookAtEvents() {
	s.t.Helper()
	var all []storedEvent
	for after := ""; ; {
		var page items[storedEvent]
		if err := s.p.get("/api/v1/events?limit=50&after="+after, &page); err != nil {
			s.t.Fatalf("list the events: %v", err)
		}
		all = append(all, page.Items...)
		if after = page.Next; after == "" {
			break
		}
	}
	if len(all) < len(s.events) {
		s.t.Fatalf("%d events after kill %d, and %d before it", len(all), s.kills, len(s.events))
	}
	if d := cmp.Diff(s.events, all[:len(s.events)], cmpopts.EquateEmpty()); d != "" {
		s.t.Fatalf("events changed over kill %d (-before +after):\n%s", s.kills, d)
	}
	seen := map[string]bool{}
	for i, e := range all {
		if i > 0 && e.ID <= all[i-1].ID {
			s.t.Errorf("event %d comes after %d", e.ID, all[i-1].ID)
		}
		key := fmt.Sprint(e.Upgrade, e.Time, e.Event.Event, e.Indicator.Key())
		if seen[key] {
			s.t.Errorf("event %d is there twice: %s", e.ID, key)
		}
		seen[key] = true
	}
	s.events = all
}

// settle lets the daemon finish, and holds all that it says against all that
// happened.
func (s *siege) settle() {
	t := s.t
	t.Helper()
	s.hook.mu.Lock()
	s.hook.trouble = 0
	s.hook.mu.Unlock()
	s.wanted += s.wanted % 2 // the last one turns it off
	last := len(s.acked)
	wait(t, 15*time.Second, "a last toggle", func() error {
		s.toggle(s.p)
		if len(s.acked) == last {
			return errors.New("not acknowledged")
		}
		return nil
	})
	s.checkToggles()
	s.checkUpgradeAndEvents()
	s.checkAlerts()
	s.checkReview()
	s.p.stop()
}

// checkReview holds the review of the week to the figures that people were told last.
func (s *siege) checkReview() {
	s.t.Helper()
	review := must[string](s.p, "/api/v1/reports/this?format=md")
	last := map[string]receipt{}
	for _, r := range s.hook.receipts() {
		if r.story != "" && r.effect != "" {
			last[r.story] = r
		}
	}
	for story, r := range last {
		if r.status == "resolved" && !strings.Contains(review, r.effect) {
			s.t.Errorf("people were told %q of story %s, and the review says otherwise:\n%s", r.effect, story, review)
		}
	}
	if len(last) == 0 {
		s.t.Error("no alert said how much")
	}
}

func (s *siege) checkToggles() {
	t := s.t
	var history []detector.Toggle
	// What was cut off is concluded by the next start, after half a minute at
	// the latest where it was only planned.
	wait(t, 20*time.Second, "the toggles to be concluded", func() error {
		history = must[items[detector.Toggle]](s.p, "/api/v1/flags/receipts/history").Items
		for _, x := range history {
			if x.State == detector.ToggleApplied {
				return fmt.Errorf("toggle %s is %s", x.ID, x.State)
			}
		}
		return nil
	})
	byID := map[string]detector.Toggle{}
	for i, x := range history {
		byID[x.ID] = x
		if i > 0 && x.At.After(history[i-1].At) {
			t.Errorf("history: %s of %s stands after %s of %s", x.ID, x.At, history[i-1].ID, history[i-1].At)
		}
	}
	if len(byID) != len(history) {
		t.Errorf("history has %d lines of %d toggles", len(history), len(byID))
	}
	for _, a := range s.acked[max(0, len(s.acked)-60):] { // the history has the last 100
		got, ok := byID[a.ID]
		switch {
		case !ok:
			t.Errorf("toggle %s (%s) was acknowledged and isn't in the history", a.ID, a.Reason)
		case got.Reason != a.Reason || got.After != a.After || got.Before != a.Before || got.Revision != a.Revision:
			t.Errorf("toggle %s: got %+v, acknowledged as %+v", a.ID, got, a)
		case a.State == detector.ToggleVerified && !slices.Contains([]detector.ToggleState{
			detector.ToggleVerified, detector.ToggleRecovered, detector.ToggleNoHelp,
		}, got.State):
			t.Errorf("toggle %s was acknowledged as %s and is %s (%s)", a.ID, a.State, got.State, got.Evidence)
		case got.Updated.Before(a.Updated):
			t.Errorf("toggle %s went back from %s to %s", a.ID, a.Updated, got.Updated)
		}
	}
	// What the automation proposes is none of theirs.
	got := slices.DeleteFunc(must[items[detector.Toggle]](s.p, "/api/v1/flags/payments-backoff/history").Items, func(t detector.Toggle) bool { return t.Decision != "" })
	if len(got) != 1 || got[0].State != detector.ToggleRecovered {
		t.Errorf("history of payments-backoff: got %+v, want one toggle that is seen to have helped", got)
	}
	last := s.acked[len(s.acked)-1]
	var served struct {
		Variant string `json:"variant"`
		Value   bool   `json:"value"`
	}
	if err := s.p.do(http.MethodPost, "/ofrep/v1/evaluate/flags/receipts", map[string]any{"context": map[string]any{}}, &served); err != nil {
		t.Fatal(err)
	}
	if served.Variant != last.After || served.Value != (last.After == "on") {
		t.Errorf("receipts serves %+v, and the last toggle said %s", served, last.After)
	}
	for key, want := range map[string]int{"receipts": 2, "payments-backoff": 3} {
		if v := must[flags.View](s.p, "/api/v1/flags/"+key); len(v.VariantNames()) != want || v.Problem != "" {
			t.Errorf("definition of %s: got the variants %v (%s), want %d of them", key, v.VariantNames(), v.Problem, want)
		}
	}
}

func (s *siege) checkUpgradeAndEvents() {
	t := s.t
	s.lookAtEvents()
	all := must[items[detector.Upgrade]](s.p, "/api/v1/upgrades").Items
	if len(all) != 1 || all[0].Binaries[0].Name != "dten-payments" || all[0].Binaries[0].To != "4.2.0" || len(all[0].Binaries) != 1 {
		t.Fatalf("upgrades: got %+v, want the one of dten-payments to 4.2.0", all)
	}
	if got := len(all[0].Binaries[0].Instances); got != 2 {
		t.Errorf("the upgrade has %d instances, want 2", got)
	}
	shifts := 0
	for _, e := range s.events {
		if e.Upgrade != all[0].ID {
			t.Errorf("event %d is of upgrade %s, which there isn't", e.ID, e.Upgrade)
		}
		if e.Event.Event == detector.EventShift && e.Direction == detector.Worse {
			shifts++
			if e.Indicator.Service() != "payments" {
				t.Errorf("event %d blames %s", e.ID, e.Indicator.Name())
			}
		}
	}
	if shifts == 0 {
		t.Error("no event tells of the shift")
	}
	verdicts := must[items[detector.Verdict]](s.p, "/api/v1/upgrades/"+all[0].ID+"/verdicts").Items
	seen := map[string]bool{}
	for _, v := range verdicts {
		if seen[v.Indicator.Key()] {
			t.Errorf("two verdicts on %s", v.Indicator.Name())
		}
		seen[v.Indicator.Key()] = true
	}
	if len(seen) != 4 {
		t.Errorf("got verdicts on %d indicators, want latency and retries of two services", len(seen))
	}
}

func (s *siege) checkAlerts() {
	t := s.t
	var all []detector.Alert
	// Every alert that was put down reaches the receiver, in its last state.
	wait(t, 20*time.Second, "the last state of every alert to be received", func() error {
		all = must[items[detector.Alert]](s.p, "/api/v1/alerts").Items
		for _, a := range all {
			want := fmt.Sprintf("%s-%d-%s", notify.StoryID(a.Key), a.Revision, a.State)
			if !slices.ContainsFunc(s.hook.receipts(), func(r receipt) bool { return r.key == want }) {
				return fmt.Errorf("%s was not received", want)
			}
		}
		return nil
	})
	if len(all) == 0 {
		t.Fatal("there is no alert")
	}
	known := map[string]detector.Alert{}
	for _, a := range all {
		known[notify.StoryID(a.Key)] = a
		if a.Cause.Name != "dten-payments" {
			t.Errorf("alert %s blames %s", a.Key, a.Cause.Name)
		}
	}
	first := map[string]receipt{}
	byKey := map[string]receipt{}
	for _, r := range s.hook.receipts() {
		if _, ok := known[r.story]; !ok {
			t.Errorf("receipt %s tells of an alert that the journal doesn't know", r.key)
		}
		if _, ok := first[r.story]; !ok {
			first[r.story] = r
		}
		if f := first[r.story]; r.fingerprint != f.fingerprint || !r.startsAt.Equal(f.startsAt) || r.binary != f.binary {
			t.Errorf("receipt %s says %+v, and the first of its alert %+v", r.key, r, f)
		}
		if f, ok := byKey[r.key]; ok && f != r {
			t.Errorf("two receipts under the key %s differ: %+v and %+v", r.key, f, r)
		}
		byKey[r.key] = r
	}
}
