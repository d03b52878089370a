package channel

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aftershock/detector"
)

var nine = time.Date(2026, 3, 6, 9, 0, 0, 0, time.UTC)

// at is so many minutes after nine.
func at(minutes int) time.Time { return nine.Add(time.Duration(minutes) * time.Minute) }

// upgrade is planned for nine, for 90 minutes and a buffer of 30. Its start and end are in
// minutes after nine; -1 stands for none.
func upgrade(start, end int) detector.Upgrade {
	u := detector.Upgrade{
		ID: "dten-4.2.0", Plan: detector.Plan{PlannedStart: nine, PlannedMinutes: 90, BufferMinutes: 30},
		Binaries: []detector.Binary{{Name: "dten-payments", From: "4.1.3", To: "4.2.0", Instances: []detector.Deployment{{Instance: "host-7", At: nine}}}},
	}
	if start >= 0 {
		u.StartedAt = at(start)
	}
	if end >= 0 {
		u.FinishedAt = at(end)
	}
	return u
}

func alert(state detector.AlertState, from, to int) detector.Alert {
	a := detector.Alert{Key: fmt.Sprintf("dten-4.2.0/dten-payments/%d", from), State: state, StartsAt: at(from), Cause: detector.Cause{Kind: detector.CauseBinary, Name: "dten-payments"}}
	if to >= 0 {
		a.EndsAt = at(to)
	}
	return a
}

func toggle(state detector.ToggleState, minute int) detector.Toggle {
	return detector.Toggle{ID: "t", Flag: "payments-backoff", Before: "new", After: "legacy", Actor: "ana", Reason: "p99 is up", At: at(minute), Applied: at(minute), State: state}
}

func ids(posts []detector.Post) (out []string) {
	for _, p := range posts {
		out = append(out, fmt.Sprintf("%s %d", p.ID, int(p.At.Sub(nine)/time.Minute)))
	}
	return out
}

func TestTell(t *testing.T) {
	planned := "planned-20260306T090000Z 0"
	closed := func(u detector.Upgrade, minute int) detector.Upgrade { u.ClosedAt = at(minute); return u }
	unplanned := func(u detector.Upgrade) detector.Upgrade { u.Plan = detector.Plan{}; return u }
	late := func(u detector.Upgrade) detector.Upgrade { u.BufferMinutes = 0; return u }
	firing, resolved := detector.AlertFiring, detector.AlertResolved
	for _, tc := range []struct {
		name    string
		upgrade detector.Upgrade
		alerts  []detector.Alert
		toggles []detector.Toggle
		now     int
		step    detector.Step
		line    string
		posts   []string
	}{
		{"planned", upgrade(-1, -1), nil, nil, -60, detector.StepPlanned, "Planned for 2026-03-06 09:00 UTC.", []string{planned}},
		{"planned, and late", upgrade(-1, -1), nil, nil, 10, detector.StepPlanned, "Planned for 2026-03-06 09:00 UTC, and not known to have begun.", []string{planned}},
		{"called off", closed(upgrade(-1, -1), -30), nil, nil, 10, detector.StepClosed, "Called off.", []string{planned, "closed -30"}},
		{"in the window", upgrade(0, -1), nil, nil, 89, detector.StepWindow, "Upgrade under way.", []string{planned, "window 0"}},
		{"in the buffer", upgrade(5, -1), nil, nil, 90, detector.StepBuffer, "Upgrade takes longer: reserve in use.", []string{planned, "window 5", "buffer 90"}},
		{"the buffer is gone", upgrade(5, -1), nil, nil, 120, detector.StepBufferGone, "Upgrade takes longer than its reserve.", []string{planned, "window 5", "buffer 90", "buffer-gone 120"}},
		{"there is no buffer", late(upgrade(5, -1)), nil, nil, 90, detector.StepBufferGone, "Upgrade takes longer than its reserve.", []string{planned, "window 5", "buffer-gone 90"}},
		{"begun when all was to be over", upgrade(200, -1), nil, nil, 210, detector.StepWindow, "Upgrade under way.", []string{planned, "window 200"}},
		{"finished in time", upgrade(0, 90), nil, nil, 100, detector.StepFinished, "Upgrade done.", []string{planned, "window 0", "finished 90"}},
		{"finished in the buffer", upgrade(0, 95), nil, nil, 200, detector.StepWatching, "Under watch: day 1 of 7.", []string{planned, "window 0", "buffer 90", "finished 95", "watching 155"}},
		{"without a plan", unplanned(upgrade(0, 300)), nil, nil, 310, detector.StepFinished, "Upgrade done.", []string{"window 0", "finished 300"}},
		{"day 2", upgrade(0, 30), nil, nil, 24 * 60, detector.StepWatching, "Under watch: day 2 of 7.", []string{planned, "window 0", "finished 30", "watching 90"}},
		{"the last day lasts", upgrade(0, 30), nil, nil, 200 * 60, detector.StepWatching, "Under watch: day 7 of 7.", []string{planned, "window 0", "finished 30", "watching 90"}},
		{"a shift", upgrade(0, 30), []detector.Alert{alert(firing, 50, -1)}, nil, 55, detector.StepShift, "Something does worse.", []string{planned, "window 0", "finished 30", "shift-1 50"}},
		{"a shift in the window", upgrade(0, -1), []detector.Alert{alert(firing, 50, -1)}, nil, 100, detector.StepShift, "Something does worse.", []string{planned, "window 0", "shift-1 50", "buffer 90"}},
		{"a pending alert is none", upgrade(0, 30), []detector.Alert{alert(detector.AlertPending, 50, -1)}, nil, 55, detector.StepFinished, "Upgrade done.", []string{planned, "window 0", "finished 30"}},
		{"one that never fired is none", upgrade(0, 30), []detector.Alert{alert(detector.AlertInactive, 50, 52)}, nil, 55, detector.StepFinished, "Upgrade done.", []string{planned, "window 0", "finished 30"}},
		{"mitigated", upgrade(0, 30), []detector.Alert{alert(firing, 50, -1)}, []detector.Toggle{toggle(detector.ToggleVerified, 60)}, 65, detector.StepMitigated, "Something was done about it.", []string{planned, "window 0", "finished 30", "shift-1 50", "mitigated-1 60"}},
		{"a toggle that failed is nothing done", upgrade(0, 30), []detector.Alert{alert(firing, 50, -1)}, []detector.Toggle{toggle(detector.ToggleFailed, 60)}, 65, detector.StepShift, "Something does worse.", []string{planned, "window 0", "finished 30", "shift-1 50"}},
		{"a toggle that was undone", upgrade(0, 30), []detector.Alert{alert(firing, 50, -1)}, []detector.Toggle{toggle(detector.ToggleUndone, 60)}, 65, detector.StepShift, "Something does worse.", []string{planned, "window 0", "finished 30", "shift-1 50", "mitigated-1 60"}},
		{"a toggle before the shift", upgrade(0, 30), []detector.Alert{alert(firing, 50, -1)}, []detector.Toggle{toggle(detector.ToggleVerified, 40)}, 65, detector.StepShift, "Something does worse.", []string{planned, "window 0", "finished 30", "shift-1 50"}},
		{"recovered", upgrade(0, 30), []detector.Alert{alert(resolved, 50, 80)}, []detector.Toggle{toggle(detector.ToggleRecovered, 60)}, 85, detector.StepRecovered, "No longer seen.", []string{planned, "window 0", "finished 30", "shift-1 50", "mitigated-1 60", "recovered-1 80"}},
		{"recovered for long", upgrade(0, 30), []detector.Alert{alert(resolved, 50, 80)}, nil, 140, detector.StepWatching, "Under watch: day 1 of 7.", []string{planned, "window 0", "finished 30", "shift-1 50", "recovered-1 80", "watching 90"}},
		{"the cause changed", upgrade(0, 30), []detector.Alert{alert(resolved, 50, 60), alert(detector.AlertPending, 60, -1)}, nil, 61, detector.StepShift, "Something does worse.", []string{planned, "window 0", "finished 30", "shift-1 50"}},
		{"it comes back", upgrade(0, 30), []detector.Alert{alert(firing, 85, -1), alert(resolved, 50, 80)}, nil, 86, detector.StepShift, "Something does worse.", []string{planned, "window 0", "finished 30", "shift-1 50", "recovered-1 80", "shift-2 85"}},
		{"two at once are over with the last", upgrade(0, 30), []detector.Alert{alert(resolved, 50, 80), alert(resolved, 51, 85)}, nil, 86, detector.StepRecovered, "No longer seen.", []string{planned, "window 0", "finished 30", "shift-1 50", "recovered-1 85"}},
		{"closed", closed(upgrade(0, 30), 10080), nil, nil, 10081, detector.StepClosed, "Watch ended.", []string{planned, "window 0", "finished 30", "watching 90", "closed 10080"}},
		{"the watch's end is no recovery", closed(upgrade(0, 30), 80), []detector.Alert{alert(resolved, 50, 80)}, nil, 81, detector.StepClosed, "Watch ended.", []string{planned, "window 0", "finished 30", "shift-1 50", "closed 80"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := Facts{Upgrade: tc.upgrade, Alerts: tc.alerts, Toggles: tc.toggles, Flags: []string{"payments-backoff"}, Watch: 7 * day}
			s := Tell(f, at(tc.now))
			if s.Step != tc.step || s.Line != tc.line {
				t.Errorf("got step %s, %q, want %s, %q", s.Step, s.Line, tc.step, tc.line)
			}
			if diff := cmp.Diff(tc.posts, ids(s.Posts)); diff != "" {
				t.Errorf("posts (-want +got):\n%s", diff)
			}
			slices.Reverse(f.Alerts)
			if diff := cmp.Diff(s, Tell(f, at(tc.now))); diff != "" {
				t.Errorf("told again, alerts the other way round (-first +again):\n%s", diff)
			}
			for _, p := range s.Posts {
				public := p.Title + p.Text
				if p.Title == "" || p.Text == "" || strings.Contains(public, "dten") || strings.Contains(public, "host") || strings.Contains(public, "backoff") || strings.Contains(public, "ana") {
					t.Errorf("%s says to everybody: %s: %s", p.ID, p.Title, p.Text)
				}
			}
		})
	}
}

// What was told once is told alike at any later instant, under the same ID.
func TestToldOnceIsToldAlike(t *testing.T) {
	u := upgrade(5, 100)
	u.ClosedAt = at(10000)
	f := Facts{
		Upgrade: u, Watch: 7 * day, Flags: []string{"payments-backoff"}, Toggles: []detector.Toggle{toggle(detector.ToggleRecovered, 160)},
		Alerts: []detector.Alert{alert(detector.AlertResolved, 150, 180), alert(detector.AlertResolved, 400, 500)},
	}
	var before []detector.Post
	for now := 0; now < 10100; now += 10 {
		s := Tell(f, at(now))
		for _, p := range before {
			if !slices.ContainsFunc(s.Posts, func(q detector.Post) bool { return cmp.Equal(p, q) }) {
				t.Fatalf("at minute %d %s isn't told any more", now, p.ID)
			}
		}
		before = s.Posts
	}
	want := []string{
		"planned-20260306T090000Z 0", "window 5", "buffer 90", "finished 100", "shift-1 150", "watching 160", "mitigated-1 160", "recovered-1 180",
		"shift-2 400", "recovered-2 500", "closed 10000",
	}
	if diff := cmp.Diff(want, ids(before)); diff != "" {
		t.Error(diff)
	}
}

// Those inside are told of binaries, alerts and toggles; both are cleaned.
func TestInsideAndOutside(t *testing.T) {
	u := upgrade(0, 30)
	u.ClosedAt = at(80)
	g := toggle(detector.ToggleVerified, 60)
	g.Reason = "p99\u202e is\nup"
	s := Tell(Facts{Upgrade: u, Watch: 7 * day, Flags: []string{"payments-backoff"}, Alerts: []detector.Alert{alert(detector.AlertResolved, 50, 80)}, Toggles: []detector.Toggle{g}}, at(90))
	by := map[string]detector.Post{}
	for _, p := range s.Posts {
		by[p.ID] = p
	}
	for id, want := range map[string]string{
		"window": "dten-payments 4.1.3 → 4.2.0", "shift-1": "dten-payments", "mitigated-1": "payments-backoff: new → legacy by ana, p99 is up", "closed": "dten-payments",
	} {
		if !strings.Contains(by[id].Inside, want) {
			t.Errorf("%s: inside is told %q, want %q in it", id, by[id].Inside, want)
		}
	}
	for id, want := range map[string]string{
		"planned-20260306T090000Z": "An upgrade is planned for 2026-03-06 09:00 UTC. It is to take 1 h 30 min; 30 min more are held in reserve.",
		"window":                   "The upgrade began at 2026-03-06 09:00 UTC. It is to be done by 2026-03-06 10:30 UTC, or with its reserve by 2026-03-06 11:00 UTC.",
		"finished":                 "The upgrade was done at 2026-03-06 09:30 UTC. What it does to the system is watched for 7 d.",
		"closed":                   "The watch over the upgrade ended at 2026-03-06 10:20 UTC. What was noticed at 2026-03-06 09:50 UTC was still seen then.",
	} {
		if by[id].Text != want {
			t.Errorf("%s: everybody is told %q, want %q", id, by[id].Text, want)
		}
	}
	for id, p := range by {
		if want := id == "shift-1" || id == "closed"; p.Wrong != want {
			t.Errorf("%s: says that something is wrong: %t, want %t", id, p.Wrong, want)
		}
	}
}

// The present step is told to everybody only as far as it was sent.
func TestOutside(t *testing.T) {
	f := Facts{Upgrade: upgrade(0, 30), Watch: 7 * day}
	sent := func(steps ...detector.Step) (out []detector.Post) {
		for _, s := range steps {
			out = append(out, detector.Post{Step: s, Title: title(s)})
		}
		return out
	}
	for _, tc := range []struct {
		alerts []detector.Alert
		sent   []detector.Post
		want   Now
	}{
		{nil, nil, Now{Line: "Nothing has been told of this upgrade yet."}},
		{nil, sent(detector.StepWindow), Now{detector.StepWindow, "Upgrade under way"}},
		{nil, sent(detector.StepWindow, detector.StepFinished), Now{detector.StepWatching, "Under watch: day 2 of 7."}},
		{[]detector.Alert{alert(detector.AlertFiring, 50, -1)}, sent(detector.StepFinished), Now{detector.StepFinished, "Upgrade done"}},
		{nil, sent(detector.StepFinished, detector.StepShift), Now{detector.StepShift, "Something does worse"}},
	} {
		f.Alerts = tc.alerts
		if got := Tell(f, at(1500)).Outside(tc.sent); got != tc.want {
			t.Errorf("got %+v, want %+v", got, tc.want)
		}
	}
}

// A draft that is sent late doesn't hide what came after it.
func TestOutsideOfALateDraft(t *testing.T) {
	f := Facts{Upgrade: upgrade(0, 30), Watch: 7 * day, Alerts: []detector.Alert{alert(detector.AlertFiring, 50, -1)}}
	s := Tell(f, at(55))
	for i := range s.Posts { // the shift first, then one of the others
		sent := []detector.Post{s.Posts[len(s.Posts)-1], s.Posts[i]}
		if got := s.Outside(sent); got.Step != detector.StepShift {
			t.Errorf("with %s sent late it stands at %s", s.Posts[i].ID, got.Step)
		}
	}
}
