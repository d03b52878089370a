package watch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	logtest "github.com/sirupsen/logrus/hooks/test"

	"aftershock/detector"
	"aftershock/detector/hist"
)

var epoch = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// telemetry is a source whose frames depend on their instant alone: one service
// whose tail doubles at the upgrade and comes back at the cure.
type telemetry struct {
	upgrade, cure time.Time
	// gains: another service's tail is better between the two.
	gains bool
	err   error
	asked []time.Time
}

var latency = &detector.Indicator{Kind: detector.Latency, Metric: "http_server_request_duration_seconds", Labels: map[string]string{"service": "pay"}}

var gained = &detector.Indicator{Kind: detector.Latency, Metric: "http_server_request_duration_seconds", Labels: map[string]string{"service": "web"}}

func (s *telemetry) frame(at time.Time) detector.Frame {
	rng := rand.New(rand.NewPCG(uint64(at.Unix()), 7))
	noisy := func(mean float64) float64 { return max(0, mean+rng.NormFloat64()*0.8*mean/10) }
	tail, version := 10.0, "1"
	if at.After(s.upgrade) {
		version = "2"
		if s.cure.IsZero() || !at.After(s.cure) {
			tail = 30
		}
	}
	h := hist.Histogram{Bounds: []float64{0.1, 0.5, 1}, Counts: []float64{noisy(900), noisy(60), noisy(tail)}}
	f := detector.Frame{
		Time: at, Step: time.Minute, Up: 1, Targets: 1,
		Points: []detector.Point{{Indicator: latency, Instance: "pay-0", Version: version, Total: h.Total(), Hist: h, FirstFailures: -1, Retried: -1}},
		Builds: []detector.Build{{Binary: "pay-bin", Labels: map[string]string{"service": "pay"}, Instance: "pay-0", Version: version}},
	}
	if s.gains {
		tail := 90.0
		if version == "2" && !at.After(s.cure) {
			tail = 10
		}
		h := hist.Histogram{Bounds: []float64{0.1, 0.5, 1}, Counts: []float64{noisy(900), noisy(60), noisy(tail)}}
		f.Points = append(f.Points, detector.Point{Indicator: gained, Instance: "web-0", Version: "1", Total: h.Total(), Hist: h, FirstFailures: -1, Retried: -1})
	}
	return f
}

func (s *telemetry) Frames(_ context.Context, start, end time.Time, step time.Duration, yield func(detector.Frame) error) error {
	s.asked = append(s.asked, start)
	if s.err != nil {
		return s.err
	}
	for at := start.Add(step); !at.After(end); at = at.Add(step) {
		if at.Before(epoch) {
			continue
		}
		if err := yield(s.frame(at)); err != nil {
			return err
		}
	}
	return nil
}

// changes knows of one upgrade, when its time has come.
type changes struct {
	at   time.Time
	told bool
}

func (c *changes) Observe(f detector.Frame) []detector.Upgrade {
	if c.told || !f.Time.After(c.at) {
		return nil
	}
	c.told = true
	return []detector.Upgrade{{ID: "u", StartedAt: c.at, Source: "build-info", Binaries: []detector.Binary{{
		Name: "pay-bin", From: "1", To: "2", Selector: map[string]string{"service": "pay"}, DeployedAt: c.at,
	}}}}
}

func (c *changes) Record(u detector.Upgrade) detector.Upgrade { return u }
func (c *changes) Report(u detector.Upgrade, update bool) (detector.Upgrade, bool) {
	return u, !update
}

func (c *changes) Close(id string, at time.Time) detector.Upgrade {
	return detector.Upgrade{ID: id, StartedAt: c.at, ClosedAt: at}
}
func (c *changes) Save() ([]byte, error)  { return json.Marshal(c.told) }
func (c *changes) Restore(b []byte) error { return json.Unmarshal(b, &c.told) }

// book is a journal in memory: a tick is taken as a whole, and doubles are
// dropped, as the real one does it.
type book struct {
	at     time.Time
	state  []byte
	events map[string]bool
	alerts map[string]detector.Alert
	jobs   map[string]json.RawMessage
	hours  map[time.Time]detector.Coverage
	// upgrades are as they were put down last.
	upgrades map[string]detector.Upgrade
	fail     func() bool
}

func newBook() *book {
	return &book{events: map[string]bool{}, alerts: map[string]detector.Alert{}, jobs: map[string]json.RawMessage{}, hours: map[time.Time]detector.Coverage{}, upgrades: map[string]detector.Upgrade{}}
}

func (b *book) State(context.Context) (time.Time, []byte, error) { return b.at, b.state, nil }

func (b *book) Commit(_ context.Context, t Tick) error {
	if b.fail != nil && b.fail() {
		return errors.New("the disk is full")
	}
	if t.State != nil {
		b.at, b.state = t.Time, t.State
	}
	for _, u := range t.Upgrades {
		b.upgrades[u.ID] = u
	}
	for _, e := range t.Events {
		b.events[fmt.Sprintln(e.Time, e.Event, e.Indicator.Key(), e.Verdict)] = true
	}
	for _, a := range t.Alerts {
		if old, ok := b.alerts[a.Key]; !ok || a.Revision > old.Revision {
			b.alerts[a.Key] = a
		}
	}
	for _, c := range t.Coverage {
		if c.Steps >= b.hours[c.Hour].Steps {
			b.hours[c.Hour] = c
		}
	}
	for _, j := range t.Jobs {
		if _, ok := b.jobs[j.Kind+j.Key]; !ok {
			b.jobs[j.Kind+j.Key] = j.Payload
		}
	}
	return nil
}

// clock is what the loop takes for now.
type clock struct{ now time.Time }

func start(t *testing.T, b *book, s *telemetry, c *clock) *Loop {
	t.Helper()
	log, _ := logtest.NewNullLogger()
	cfg := Config{Config: detector.Config{Baseline: 48 * time.Hour}}
	cfg.SetDefaults()
	l := New(Options{
		Config: cfg, Source: s, Changes: &changes{at: s.upgrade}, Journal: b, Receivers: []string{"oncall"},
		Flags: map[string][]string{"pay-bin": {"backoff"}}, Log: log, Registry: prometheus.NewRegistry(),
		Now: func() time.Time { return c.now },
	})
	if err := l.restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *Loop) runTo(t *testing.T, c *clock, to time.Time) {
	t.Helper()
	c.now = to
	for l.memory.At.Before(to) {
		l.catchUp(t.Context(), to)
	}
}

func TestTheStoryFromShiftToRecovery(t *testing.T) {
	up := epoch.Add(30 * time.Hour)
	s := &telemetry{upgrade: up, cure: up.Add(60 * time.Minute)}
	b, c := newBook(), &clock{up}
	l := start(t, b, s, c)
	l.runTo(t, c, up)
	for at := up; !at.After(s.cure); at = at.Add(time.Minute) {
		l.runTo(t, c, at)
	}
	if len(b.alerts) != 1 {
		t.Fatalf("got %d alerts, want one", len(b.alerts))
	}
	for _, a := range b.alerts {
		if a.State != detector.AlertFiring || a.Cause.Name != "pay-bin" || cmp.Diff(a.Flags, []string{"backoff"}) != "" {
			t.Errorf("alert: got %s blamed on %s with flags %v, want firing, pay-bin, [backoff]", a.State, a.Cause.Name, a.Flags)
		}
		if d := a.StartsAt.Sub(up); d > 20*time.Minute {
			t.Errorf("the alert came after %v, want within 20m", d)
		}
	}
	l.Flipped(Treatment{Toggle: "t1", Flip: detector.Flip{Flag: "backoff", Variant: "old", At: s.cure, Ours: true, Upgrade: "u"}})
	for at := s.cure; at.Before(s.cure.Add(time.Hour)); at = at.Add(time.Minute) {
		l.runTo(t, c, at)
	}
	for _, a := range b.alerts {
		if a.State != detector.AlertResolved {
			t.Errorf("an hour after the cure the alert is %s, want resolved", a.State)
		}
	}
	var o Outcome
	if err := json.Unmarshal(b.jobs[JobRecovery+"t1"], &o); err != nil || !o.Recovered {
		t.Errorf("outcome of the toggle: got %+v (%v), want recovered", o, err)
	}
}

// What the upgrade had improved hasn't recovered when it goes with the toggle: it is lost.
func TestAToggleLosesWhatWasImproved(t *testing.T) {
	up := epoch.Add(30 * time.Hour)
	s := &telemetry{upgrade: up, cure: up.Add(60 * time.Minute), gains: true}
	b, c := newBook(), &clock{up}
	l := start(t, b, s, c)
	for at := up; !at.After(s.cure); at = at.Add(time.Minute) {
		l.runTo(t, c, at)
	}
	states := map[string]detector.State{}
	for _, v := range l.judge.Verdicts("u") {
		states[v.Indicator.Service()] = v.State
	}
	if states["pay"] != detector.Regressed || states["web"] != detector.Improved {
		t.Fatalf("before the toggle: %v", states)
	}
	l.Flipped(Treatment{Toggle: "t1", Flip: detector.Flip{Flag: "backoff", Variant: "old", At: s.cure, Ours: true, Upgrade: "u"}})
	for at := s.cure; at.Before(s.cure.Add(time.Hour)); at = at.Add(time.Minute) {
		l.runTo(t, c, at)
	}
	var o Outcome
	err := json.Unmarshal(b.jobs[JobRecovery+"t1"], &o)
	if err != nil || !o.Recovered || !strings.HasPrefix(o.Evidence, "all 1 shifted indicators are back") || !strings.HasSuffix(o.Evidence, "; one that had improved is lost again: "+gained.Name()) {
		t.Errorf("got %+v, %v, want the one back and the other lost", o, err)
	}
}

// A toggle of everyone that didn't help lowers the suspicion against what its flag
// gates; one of a part of the callers, or an undo, says nothing about that.
func TestAToggleThatDidntHelp(t *testing.T) {
	up := epoch.Add(30 * time.Hour)
	for _, tt := range []struct {
		name          string
		change        func(f *detector.Flip)
		told, doubted bool
	}{
		{"everyone", func(*detector.Flip) {}, true, true},
		{"a part", func(f *detector.Flip) { f.Scope.Percent = 25 }, false, false},
		{"an undo", func(f *detector.Flip) { f.Undoes = true }, true, false},
		{"another binary's", func(f *detector.Flip) { f.Binaries = []string{"cart-bin"} }, true, false},
	} {
		b, c := newBook(), &clock{up}
		l := start(t, b, &telemetry{upgrade: up}, c)
		l.runTo(t, c, up)
		for at := up; at.Before(up.Add(time.Hour)); at = at.Add(time.Minute) {
			l.runTo(t, c, at)
		}
		f := detector.Flip{Flag: "backoff", Variant: "old", At: c.now, Ours: true, Upgrade: "u", Binaries: []string{"pay-bin"}}
		tt.change(&f)
		l.Flipped(Treatment{Toggle: "t1", Flip: f})
		for range (recoverySteps + 5) / 5 {
			l.runTo(t, c, c.now.Add(5*time.Minute))
		}
		var o Outcome
		payload, told := b.jobs[JobRecovery+"t1"]
		if told {
			_ = json.Unmarshal(payload, &o)
		}
		if told != tt.told || o.Recovered {
			t.Errorf("%s: outcome %+v, told: %t", tt.name, o, told)
		}
		for _, a := range b.alerts {
			p := l.judge.Stories("u")[0].Cause.Probability // before the doubt
			doubted := len(a.Cause.Why) > 0 && strings.HasPrefix(a.Cause.Why[0], "flag backoff was set to old, and it didn't help")
			if doubted != tt.doubted || doubted && !(a.Cause.Probability < p) {
				t.Errorf("%s: blamed with %v without the doubt, %v with it: %q", tt.name, p, a.Cause.Probability, a.Cause.Why)
			}
		}
		// A restart remembers.
		if err := l.restore(t.Context()); err != nil || len(l.memory.Doubts) > 0 != tt.doubted {
			t.Errorf("%s: after a restart: %v, %v", tt.name, l.memory.Doubts, err)
		}
		l.forgetDoubts("u")
		if len(l.memory.Doubts) != 0 {
			t.Errorf("%s: not forgotten", tt.name)
		}
	}
}

// TestFailingCommitsLoseNothing stops the journal at random ticks and restarts
// the loop at others: what is said in the end is what an undisturbed run says.
func TestFailingCommitsLoseNothing(t *testing.T) {
	up := epoch.Add(28 * time.Hour)
	run := func(seed uint64) *book {
		rng := rand.New(rand.NewPCG(seed, 3))
		s := &telemetry{upgrade: up}
		b, c := newBook(), &clock{up}
		l := start(t, b, s, c)
		l.runTo(t, c, up)
		if seed > 0 {
			b.fail = func() bool { return rng.Float64() < 0.2 }
		}
		for at := up; at.Before(up.Add(90 * time.Minute)); at = at.Add(time.Minute) {
			if seed > 0 && rng.Float64() < 0.1 {
				l = start(t, b, s, c)
			}
			l.runTo(t, c, at)
		}
		return b
	}
	want := run(0)
	if len(want.events) == 0 || len(want.alerts) == 0 {
		t.Fatal("the undisturbed run says nothing")
	}
	for at := epoch; at.Before(up); at = at.Add(time.Hour) {
		if c := want.hours[at]; c.Steps != 60 || c.Silent != 0 || c.Step != 60 {
			t.Errorf("the hour from %s has %+v, want 60 steps of 60 s", at, c)
		}
	}
	for seed := range uint64(6) {
		got := run(seed + 1)
		if d := cmp.Diff(want.events, got.events); d != "" {
			t.Errorf("seed %d: events differ (-undisturbed +disturbed):\n%s", seed, d)
		}
		for key, a := range want.alerts {
			if g := got.alerts[key]; g.State != a.State || g.Revision != a.Revision {
				t.Errorf("seed %d: alert %s is %s at revision %d, want %s at %d", seed, key, g.State, g.Revision, a.State, a.Revision)
			}
		}
		if d := cmp.Diff(want.hours, got.hours); d != "" {
			t.Errorf("seed %d: the coverage differs (-undisturbed +disturbed):\n%s", seed, d)
		}
		if len(got.jobs) != len(want.jobs) {
			t.Errorf("seed %d: %d jobs, want %d", seed, len(got.jobs), len(want.jobs))
		}
	}
}

// What a firing alert is told by doesn't change when another shift of the story
// becomes the surest, nor when it recovers first: receivers know it by that.
func TestAFiringAlertKeepsItsRoot(t *testing.T) {
	s := &telemetry{upgrade: epoch.Add(1000 * time.Hour)}
	l := start(t, newBook(), s, &clock{epoch})
	verdict := func(service string) detector.Verdict {
		return detector.Verdict{Upgrade: "u", State: detector.Regressed, Indicator: detector.Indicator{Kind: detector.Latency, Metric: "m", Labels: map[string]string{"service": service}}}
	}
	cause := detector.Cause{Kind: detector.CauseBinary, Name: "b", Probability: 0.99}
	u := detector.Upgrade{ID: "u"}
	story := func(root string, others ...string) detector.Story {
		out := detector.Story{Upgrade: "u", Cause: cause, Root: verdict(root)}
		for _, o := range others {
			out.Others = append(out.Others, verdict(o))
		}
		return out
	}
	for i, told := range []detector.Story{story("a"), story("a"), story("a"), story("a"), story("b", "a"), story("c", "b")} {
		l.tellStory("u/b", u, told, epoch.Add(time.Duration(i)*time.Minute), &Tick{})
	}
	a := l.memory.Open["u/b"]
	if got := a.Root.Indicator.Labels["service"]; a.State != detector.AlertFiring || got != "a" {
		t.Errorf("the alert is %s and told by %s, want firing and a", a.State, got)
	}
	var others []string
	for _, v := range a.Others {
		others = append(others, v.Indicator.Labels["service"])
	}
	if d := cmp.Diff([]string{"c", "b"}, others); d != "" {
		t.Errorf("others (-want +got):\n%s", d)
	}
}

// A story is in the journal from its first step on: pending while nobody is told,
// and inactive where it goes before anybody was.
func TestAPendingAlertIsPutDown(t *testing.T) {
	s := &telemetry{upgrade: epoch.Add(1000 * time.Hour)}
	l := start(t, newBook(), s, &clock{epoch})
	told := detector.Story{
		Upgrade: "u", Cause: detector.Cause{Kind: detector.CauseUnknown, Probability: 0.6},
		Root: detector.Verdict{Upgrade: "u", State: detector.Regressed, Indicator: *latency},
	}
	var began, firing, over, resolved Tick
	l.tellStory("u/", detector.Upgrade{ID: "u"}, told, epoch, &began)
	l.tellStories(epoch.Add(time.Minute), &over) // the judge knows of no story
	l.tellStory("u/", detector.Upgrade{ID: "u"}, told, epoch.Add(2*time.Minute), &Tick{})
	l.tellStory("u/", detector.Upgrade{ID: "u"}, told, epoch.Add(8*time.Minute), &firing)
	l.tellStories(epoch.Add(9*time.Minute), &resolved)
	for _, c := range []struct {
		name  string
		tick  Tick
		state detector.AlertState
		jobs  int
	}{
		{"began", began, detector.AlertPending, 0},
		{"over", over, detector.AlertInactive, 0},
		{"firing", firing, detector.AlertFiring, 1},
		{"resolved", resolved, detector.AlertResolved, 1},
	} {
		if len(c.tick.Alerts) != 1 || c.tick.Alerts[0].State != c.state || len(c.tick.Jobs) != c.jobs {
			t.Errorf("%s: %d alerts %+v with %d deliveries, want one that is %s with %d", c.name, len(c.tick.Alerts), c.tick.Alerts, len(c.tick.Jobs), c.state, c.jobs)
		}
	}
	if a, b := began.Alerts, over.Alerts; len(a) == 1 && len(b) == 1 && (a[0].Key != b[0].Key || !b[0].EndsAt.Equal(epoch.Add(time.Minute)) || b[0].Revision <= a[0].Revision) {
		t.Errorf("got %+v, then %+v, want the same alert with its end", a[0], b[0])
	}
}

// Which flags an alert names is set while it fires, and told as it is next told.
func TestFlagsAreSetMeanwhile(t *testing.T) {
	up := epoch.Add(30 * time.Hour)
	b, c := newBook(), &clock{up}
	l := start(t, b, &telemetry{upgrade: up}, c)
	for _, want := range [][]string{{"backoff"}, {"canary", "retries"}} {
		l.runTo(t, c, c.now.Add(2*time.Hour))
		if len(b.alerts) != 1 {
			t.Fatalf("got %d alerts, want one", len(b.alerts))
		}
		for _, a := range b.alerts {
			if d := cmp.Diff(want, a.Flags); d != "" || a.State != detector.AlertFiring {
				t.Errorf("a %s alert names (-want +got):\n%s", a.State, d)
			}
		}
		l.SetFlags(map[string][]string{"pay-bin": {"canary", "retries"}, "cart-bin": {"carts"}})
	}
}

func TestPatienceGrowsWithTheState(t *testing.T) {
	for _, tt := range []struct {
		size int
		want time.Duration
	}{{0, 5 * time.Second}, {1 << 20, 5 * time.Second}, {400 << 20, 105 * time.Second}} {
		if got := patience(make([]byte, tt.size)); got != tt.want {
			t.Errorf("a state of %d bytes: got %s, want %s", tt.size, got, tt.want)
		}
	}
}

// While the loop catches up the status moves with it, and says so.
func TestStatusMovesWhileCatchingUp(t *testing.T) {
	s := &telemetry{upgrade: epoch.Add(1000 * time.Hour)}
	b, c := newBook(), &clock{epoch.Add(time.Hour)}
	l := start(t, b, s, c)
	var seen []Status
	b.fail = func() bool { seen = append(seen, l.Status()); return false }
	l.runTo(t, c, epoch.Add(5*time.Hour))
	moved, catching := 0, 0
	for i, st := range seen {
		if i > 0 && st.Time.After(seen[i-1].Time) {
			moved++
		}
		if st.CatchingUp {
			catching++
		}
	}
	if moved == 0 || catching == 0 {
		t.Errorf("over %d ticks the status moved %d times and was catching up %d times, want both above 0", len(seen), moved, catching)
	}
	if st := l.Status(); st.CatchingUp || !st.Time.Equal(c.now) {
		t.Errorf("in the end: got %+v, want the present", st)
	}
}

func TestABlindSourceIsTriedAgainAndCaughtUpOn(t *testing.T) {
	s := &telemetry{upgrade: epoch.Add(1000 * time.Hour)}
	b, c := newBook(), &clock{epoch.Add(time.Hour)}
	l := start(t, b, s, c)
	l.runTo(t, c, epoch.Add(time.Hour))
	s.err = errors.New("connection refused")
	c.now = epoch.Add(2 * time.Hour)
	l.catchUp(t.Context(), c.now)
	if got := l.Status(); got.Blind == "" || !got.Time.Equal(epoch.Add(time.Hour)) {
		t.Errorf("status while blind: %+v, want the reason and the last step judged", got)
	}
	s.err = nil
	l.runTo(t, c, c.now)
	if got := l.Status(); got.Blind != "" || !got.Time.Equal(c.now) {
		t.Errorf("status after: %+v, want caught up", got)
	}
	if last := s.asked[len(s.asked)-1]; !last.Equal(epoch.Add(time.Hour)) {
		t.Errorf("caught up from %v, want from the last step judged", last)
	}
}
