package watch

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"aftershock/detector"
)

// deaf is a book that can't be read for a while either.
type deaf struct {
	*book
	down func() bool
}

func (d deaf) State(ctx context.Context) (time.Time, []byte, error) {
	if d.down() {
		return time.Time{}, nil, errors.New("connection refused")
	}
	return d.book.State(ctx)
}

func (d deaf) Commit(ctx context.Context, t Tick) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.down() {
		return errors.New("connection refused")
	}
	return d.book.Commit(ctx, t)
}

// story runs from before the upgrade to 90 minutes after it and gives what was
// said; at is called before each step.
func story(t *testing.T, wrap func(*book) Journal, at func(l *Loop, now time.Time)) *book {
	t.Helper()
	up := epoch.Add(28 * time.Hour)
	b, c := newBook(), &clock{up}
	l := start(t, b, &telemetry{upgrade: up}, c)
	l.o.Journal = wrap(b)
	l.runTo(t, c, up)
	for now := up; !now.After(up.Add(90 * time.Minute)); now = now.Add(time.Minute) {
		at(l, now)
		c.now = now
		l.catchUp(t.Context(), now)
	}
	return b
}

// said is how often each thing was said. Steps that are caught up on are looked
// at less often, so that it may be said some steps later.
func said(b *book) map[string]int {
	out := map[string]int{}
	for e := range b.events {
		_, what, _ := strings.Cut(e, " UTC ")
		out[what]++
	}
	return out
}

// A journal that can neither be written nor read for a while costs nothing: the
// steps are judged again from what it knows.
func TestAJournalThatIsGoneLosesNothing(t *testing.T) {
	nothing := func(*Loop, time.Time) {}
	want := story(t, func(b *book) Journal { return b }, nothing)
	if len(want.events) == 0 {
		t.Fatal("the undisturbed run says nothing")
	}
	step, down := 0, false
	got := story(t, func(b *book) Journal { return deaf{b, func() bool { return down }} }, func(l *Loop, _ time.Time) {
		if down && l.Status().Blind == "" {
			t.Error("the status doesn't say that steps can't be put down")
		}
		step++
		down = step%7 >= 4 && step < 90 // three steps of seven
	})
	if d := cmp.Diff(said(want), said(got)); d != "" {
		t.Errorf("events differ (-undisturbed +disturbed):\n%s", d)
	}
	if len(got.jobs) != len(want.jobs) {
		t.Errorf("%d jobs, want %d", len(got.jobs), len(want.jobs))
	}
}

// Being told to end in the midst of a step doesn't tear it: it is put down, or
// judged again by the next start.
func TestEndingInTheMidstOfAStepLosesNothing(t *testing.T) {
	up := epoch.Add(28 * time.Hour)
	run := func(end bool) *book {
		s, b, c := &telemetry{upgrade: up}, newBook(), &clock{up}
		l := start(t, b, s, c)
		l.runTo(t, c, up)
		for now := up; !now.After(up.Add(90 * time.Minute)); now = now.Add(time.Minute) {
			c.now = now
			ctx, cancel := context.WithCancel(t.Context())
			if end {
				b.fail = func() bool { cancel(); return now.Minute()%3 == 0 }
			}
			l.catchUp(ctx, now)
			cancel()
			if end {
				b.fail = nil
				if err := l.finish(); err != nil {
					t.Fatal(err)
				}
				l = start(t, b, s, c)
			}
		}
		l.runTo(t, c, c.now)
		return b
	}
	if d := cmp.Diff(said(run(false)), said(run(true))); d != "" {
		t.Errorf("events differ (-undisturbed +ended):\n%s", d)
	}
}

// refusing never takes a document of which is says true.
type refusing struct {
	*book
	is func(Tick) bool
}

func (r refusing) Commit(ctx context.Context, t Tick) error {
	if r.is(t) {
		return ErrInvalid
	}
	return r.book.Commit(ctx, t)
}

// What the journal can never take is left out, and the rest goes on.
func TestAnInvalidDocumentHoldsUpNothing(t *testing.T) {
	var loop *Loop
	got := story(t, func(b *book) Journal {
		return refusing{b, func(t Tick) bool {
			for _, e := range t.Events {
				if e.Event == detector.EventVerdict {
					return true
				}
			}
			return false
		}}
	}, func(l *Loop, _ time.Time) { loop = l })
	if at := loop.memory.At; !at.Equal(epoch.Add(29*time.Hour + 30*time.Minute)) {
		t.Errorf("the loop stands at %s", at)
	}
	if len(got.events) == 0 || len(got.alerts) != 1 {
		t.Errorf("%d events and %d alerts, want the shift and its alert", len(got.events), len(got.alerts))
	}
	if testutil.ToFloat64(loop.metrics.refused) == 0 {
		t.Error("the metric doesn't count what was left out")
	}
}

func TestFiguresThatAreNoNumbersAreLeftOut(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	good := detector.Verdict{Effect: &detector.Effect{Ratio: 2}, Causes: []detector.Cause{{Probability: 1}}, DecidedIn: 3, Course: []detector.CoursePoint{{Bad: 1}}}
	for _, tt := range []struct {
		name string
		bad  func(*detector.Verdict)
		want func(*detector.Verdict)
	}{
		{"nothing", func(*detector.Verdict) {}, func(*detector.Verdict) {}},
		{"effect", func(v *detector.Verdict) { v.Effect = &detector.Effect{High: inf} }, func(v *detector.Verdict) { v.Effect = nil }},
		{"cause", func(v *detector.Verdict) { v.Causes = []detector.Cause{{Probability: nan}} }, func(v *detector.Verdict) { v.Causes = nil }},
		{"time", func(v *detector.Verdict) { v.DecidedIn = inf }, func(v *detector.Verdict) { v.DecidedIn = 0 }},
		{"course", func(v *detector.Verdict) { v.Course = []detector.CoursePoint{{}, {Expected: nan}} }, func(v *detector.Verdict) { v.Course = nil }},
	} {
		got, want, wantN := good, good, 1
		tt.bad(&got)
		tt.want(&want)
		if tt.name == "nothing" {
			wantN = 0
		}
		if n := mendVerdicts([]*detector.Verdict{&got}); n != wantN {
			t.Errorf("%s: %d verdicts mended, want %d", tt.name, n, wantN)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, d)
		}
	}
}

// The audit tells of the last toggles at every start: each counts once.
func TestAToggleIsHeardOnce(t *testing.T) {
	at := epoch.Add(28 * time.Hour)
	b, c := newBook(), &clock{at}
	l := start(t, b, &telemetry{upgrade: at.Add(time.Hour)}, c)
	l.runTo(t, c, at)
	flip := func(id string, when time.Time) {
		l.Flipped(Treatment{Toggle: id, Flip: detector.Flip{Flag: "f", At: when, Ours: true, Toggle: id}})
	}
	flip("a", at.Add(30*time.Second))
	flip("a", at.Add(29*time.Second))
	flip("old", at.Add(-time.Hour))
	l.runTo(t, c, at.Add(2*time.Minute))
	l = start(t, b, &telemetry{upgrade: at.Add(time.Hour)}, c)
	flip("a", at.Add(30*time.Second))
	flip("b", at.Add(time.Minute))
	l.runTo(t, c, at.Add(4*time.Minute))
	got := []string{}
	for _, x := range l.memory.Treatments {
		got = append(got, x.Toggle)
	}
	if d := cmp.Diff([]string{"a", "b"}, got); d != "" {
		t.Errorf("treatments (-want +got):\n%s", d)
	}
}

func TestAwaitIsToldWhenItWasPutDown(t *testing.T) {
	at := epoch.Add(28 * time.Hour)
	b, c := newBook(), &clock{at}
	l := start(t, b, &telemetry{err: errors.New("blind")}, c)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.AwaitRecord(ctx, detector.Upgrade{ID: "gone"}); !errors.Is(err, context.Canceled) || l.pending() {
		t.Errorf("who no longer waits: got %v, pending %t", err, l.pending())
	}
	done := make(chan error, 1)
	go func() { done <- l.AwaitRecord(t.Context(), detector.Upgrade{ID: "u2", StartedAt: at}) }()
	for !l.pending() {
		time.Sleep(time.Millisecond)
	}
	b.fail = func() bool { return true }
	l.catchUp(t.Context(), at)
	select {
	case err := <-done:
		t.Fatalf("told (%v) though it wasn't put down", err)
	default:
	}
	b.fail = nil
	l.catchUp(t.Context(), at)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := l.judge.Watched(); len(got) != 1 || got[0].ID != "u2" {
		t.Errorf("watched: %+v", got)
	}
}
