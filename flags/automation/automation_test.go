package automation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"aftershock/detector"
	"aftershock/flags"
	"aftershock/flags/ofrep"
	"aftershock/flags/policy"
)

var errDown = errors.New("store is down")

// store is a flags.Store in memory that can be made to fail at each call, before
// its effect and after it.
type store struct {
	mu       sync.Mutex
	revision int64
	document []byte
	audit    []detector.Toggle
	freezes  []detector.Freeze
	fail     func() error
}

func (s *store) do(effect func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		if err := s.fail(); err != nil {
			return err
		}
	}
	if err := effect(); err != nil {
		return err
	}
	if s.fail != nil {
		return s.fail()
	}
	return nil
}

func (s *store) Definitions(context.Context) (revision int64, document []byte, err error) {
	err = s.do(func() error { revision, document = s.revision, slices.Clone(s.document); return nil })
	return revision, document, err
}

func (s *store) put(t detector.Toggle) {
	known := func(x detector.Toggle) bool { return x.ID == t.ID && x.State == t.State && x.Updated.Equal(t.Updated) }
	if !slices.ContainsFunc(s.audit, known) {
		s.audit = append(s.audit, t)
	}
}

func (s *store) PutDefinitions(_ context.Context, expected int64, document []byte, t detector.Toggle) (revision int64, err error) {
	err = s.do(func() error {
		if expected != s.revision {
			return flags.ErrConflict
		}
		s.revision, s.document = s.revision+1, slices.Clone(document)
		if revision = s.revision; t.ID != "" {
			s.put(t)
		}
		return nil
	})
	return revision, err
}

func (s *store) AuditToggle(_ context.Context, t detector.Toggle) error {
	return s.do(func() error { s.put(t); return nil })
}

func (s *store) DecideToggle(ctx context.Context, _, next detector.Toggle) error {
	return s.AuditToggle(ctx, next)
}

func (s *store) Toggles(_ context.Context, flag string, limit int) (all []detector.Toggle, err error) {
	err = s.do(func() error {
		seen := map[string]bool{}
		for _, t := range slices.Backward(s.audit) {
			if !seen[t.ID] && (flag == "" || t.Flag == flag) {
				all = append(all, t)
			}
			seen[t.ID] = true
		}
		return nil
	})
	return all[:min(len(all), limit)], err
}

func (s *store) TogglesIn(ctx context.Context, states ...detector.ToggleState) ([]detector.Toggle, error) {
	all, err := s.Toggles(ctx, "", math.MaxInt)
	return slices.DeleteFunc(all, func(t detector.Toggle) bool { return !slices.Contains(states, t.State) }), err
}

func (s *store) Toggle(_ context.Context, id string) (t detector.Toggle, err error) {
	err = s.do(func() error {
		for _, x := range slices.Backward(s.audit) {
			if x.ID == id {
				t = x
				return nil
			}
		}
		return flags.ErrUnknown
	})
	return t, err
}

func (s *store) Freeze(context.Context) (f detector.Freeze, err error) {
	err = s.do(func() error {
		if n := len(s.freezes); n > 0 {
			f = s.freezes[n-1]
		}
		return nil
	})
	return f, err
}

func (s *store) PutFreeze(_ context.Context, f detector.Freeze) error {
	return s.do(func() error { s.freezes = append(s.freezes, f); return nil })
}

// world is everything around the automation; it survives a crash.
type world struct {
	store   store
	mu      sync.Mutex
	ahead   time.Duration
	firing  []detector.Alert
	verdict detector.State
	err     error
	blind   string
	told    []string
	keys    map[string]bool
}

func (w *world) now() time.Time { return time.Now().Add(w.ahead) }

func (w *world) Firing(context.Context) ([]detector.Alert, error) { return w.firing, w.err }

func (w *world) Verdicts(context.Context, string) ([]detector.Verdict, error) {
	var all []detector.Verdict
	for _, a := range w.firing {
		v := a.Root
		v.State = w.verdict
		all = append(all, v)
	}
	return all, w.err
}

func (w *world) notify(_ context.Context, n flags.Notice) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.keys[n.Key] {
		w.keys[n.Key] = true
		w.told = append(w.told, n.Text)
	}
	return nil
}

func newWorld() *world {
	began := time.Now().Add(-10 * time.Minute)
	return &world{
		keys: map[string]bool{}, verdict: detector.Regressed,
		firing: []detector.Alert{{
			Key: "dten-4.2.0/dten-payments/1", Upgrade: "dten-4.2.0", State: detector.AlertFiring, StartsAt: began,
			Cause: detector.Cause{Kind: detector.CauseBinary, Name: "dten-payments", Probability: 0.97},
			Root: detector.Verdict{
				Indicator: detector.Indicator{Kind: detector.Retry, Metric: "retries", Labels: map[string]string{"service": "payments"}}, Since: began,
			},
		}},
	}
}

const definitions = `{"flags":{"payments-backoff":{"state":"ENABLED","defaultVariant":"new","variants":{"legacy":1,"new":2}}}}`

// start is a start of the daemon.
func (w *world) start(t *testing.T, p policy.Config) (*Automation, *flags.Switchboard) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "flags.json")
	if err := os.WriteFile(file, []byte(definitions), 0o600); err != nil {
		t.Fatal(err)
	}
	p.SetDefaults()
	log := logrus.New()
	log.SetOutput(io.Discard)
	gates := []flags.Gate{{Flag: "payments-backoff", Binary: "dten-payments", Safe: "legacy"}}
	board, err := flags.New(flags.Config{Definitions: file, Gates: gates, Policy: p, Notify: w.notify, VerifyTimeout: 5 * time.Second, Grace: 1}, &w.store, log, nil)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(board.Handler())
	t.Cleanup(server.Close)
	if err := errors.Join(board.Load(t.Context()), board.Connect(t.Context(), ofrep.Config{BaseURL: server.URL})); err != nil {
		t.Fatal(err)
	}
	a, err := New(Options{
		Board: board, Journal: w, Blind: func() string { return w.blind }, Log: log,
		Registry: prometheus.NewRegistry(), Now: w.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return a, board
}

// acts lists the toggles that were applied, with what each ended as.
func (w *world) acts() (acts []string) {
	for _, t := range w.store.audit {
		if t.State == detector.ToggleApplied {
			last := t
			for _, x := range w.store.audit {
				if x.ID == t.ID {
					last = x
				}
			}
			acts = append(acts, fmt.Sprintf("%s for %s, %s", t.After, t.Scope, last.State))
		}
	}
	return acts
}

func auto(putBack bool) policy.Config {
	return policy.Config{Rule: policy.Rule{Automation: policy.Auto, PutBack: &putBack}}
}

func (w *world) step(t *testing.T, a *Automation, pass time.Duration) {
	t.Helper()
	w.ahead += pass
	if err := a.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestStepsToEveryoneAndBack(t *testing.T) {
	w := newWorld()
	a, board := w.start(t, auto(true))
	w.step(t, a, 0)
	if d := cmp.Diff([]string{"legacy for 25% of the callers, verified"}, w.acts()); d != "" {
		t.Errorf("first (-want +got):\n%s", d)
	}
	w.step(t, a, time.Minute)
	w.step(t, a, 5*time.Minute)
	w.step(t, a, time.Minute)
	both := []string{"legacy for 25% of the callers, verified", "legacy for everyone, verified"}
	if d := cmp.Diff(both, w.acts()); d != "" {
		t.Errorf("second (-want +got):\n%s", d)
	}
	w.step(t, a, 30*time.Minute) // it is said that it didn't help
	w.step(t, a, 0)              // and it is put back, step by step
	w.step(t, a, 0)
	w.step(t, a, time.Minute)
	back := []string{
		"legacy for 25% of the callers, undone", "legacy for everyone, undone",
		"new for everyone, verified", "new for 25% of the callers, verified",
	}
	if d := cmp.Diff(back, w.acts()); d != "" {
		t.Errorf("back (-want +got):\n%s", d)
	}
	if v, _ := board.Show("payments-backoff"); v.Serving != "new" || v.Toggles != 0 {
		t.Errorf("shown as %+v", v)
	}
	if len(w.told) != 5 || !strings.Contains(w.told[2], "didn't help") {
		t.Errorf("told %v", w.told)
	}
}

func TestProposal(t *testing.T) {
	w := newWorld()
	a, board := w.start(t, policy.Config{})
	w.step(t, a, 0)
	w.step(t, a, time.Minute)
	waiting, err := board.Waiting(t.Context())
	if err != nil || len(waiting) != 1 || waiting[0].After != "legacy" || waiting[0].Actor != policy.Actor || len(w.acts()) != 0 {
		t.Fatalf("got %+v, %v, acts %v", waiting, err, w.acts())
	}
	got, err := board.Approve(t.Context(), waiting[0].ID, "", "ann")
	if err != nil || got.State != detector.ToggleVerified || got.Approvals[0].Actor != "ann" {
		t.Errorf("accepted: %+v, %v", got, err)
	}
	w.step(t, a, time.Hour)
	if d := cmp.Diff([]string{"legacy for everyone, verified"}, w.acts()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// kill -9 between any two steps of a proposal: it waits for a person after the next
// start all the same.
func TestProposalOutlivesCrashes(t *testing.T) {
	for crash := 1; ; crash++ {
		w, dead := newWorld(), false
		a, _ := w.start(t, policy.Config{})
		touched := 0
		w.store.fail = func() error {
			if touched++; dead || touched >= crash {
				dead = true
				return errDown
			}
			return nil
		}
		err := a.Step(t.Context())
		w.store.fail = nil
		if !dead {
			if err != nil {
				t.Errorf("without a crash: %v", err)
			}
			return
		}
		w.ahead += time.Minute
		a, board := w.start(t, policy.Config{})
		resume(t, board)
		w.step(t, a, time.Minute)
		if waiting, err := board.Waiting(t.Context()); err != nil || len(waiting) != 1 {
			t.Errorf("crash %d: %d proposals wait (%v): %v", crash, len(waiting), err, states(w))
		}
	}
}

func TestProposalIsWithdrawn(t *testing.T) {
	w := newWorld()
	a, board := w.start(t, policy.Config{})
	w.step(t, a, 0)
	w.firing = nil
	w.step(t, a, time.Minute)
	w.step(t, a, time.Minute)
	if waiting, err := board.Waiting(t.Context()); err != nil || len(waiting) != 0 || len(w.acts()) != 0 {
		t.Errorf("got %+v, %v, acts %v", waiting, err, w.acts())
	}
}

func TestAutomaticButApproved(t *testing.T) {
	w := newWorld()
	p := auto(false)
	p.Approval = "one"
	a, board := w.start(t, p)
	w.step(t, a, 0)
	w.step(t, a, 6*time.Minute)
	waiting, err := board.Waiting(t.Context())
	if err != nil || len(waiting) != 1 || waiting[0].Scope.Percent != 25 || len(w.acts()) != 0 {
		t.Fatalf("got %+v, %v, acts %v", waiting, err, w.acts())
	}
	if len(w.told) != 1 || !strings.Contains(w.told[0], "wants to set") {
		t.Errorf("told %v", w.told)
	}
}

// What can't be read, or may be out of date, is no ground to act on.
func TestFailsSafe(t *testing.T) {
	for name, spoil := range map[string]func(w *world, b *flags.Switchboard){
		"frozen":     func(_ *world, b *flags.Switchboard) { _, _ = b.Freeze(context.Background(), "game day", "ann") },
		"blind":      func(w *world, _ *flags.Switchboard) { w.blind = "no telemetry" },
		"no journal": func(w *world, _ *flags.Switchboard) { w.err = errDown },
		"no store":   func(w *world, _ *flags.Switchboard) { w.store.fail = func() error { return errDown } },
		"crowded": func(w *world, _ *flags.Switchboard) {
			for n := range flags.MaxRecent {
				w.store.put(detector.Toggle{ID: fmt.Sprint(n), Flag: "receipts", State: detector.ToggleRejected, At: time.Now().Add(-50 * time.Minute)})
			}
		},
		"undecided by now": func(w *world, _ *flags.Switchboard) { w.verdict = detector.Undecided },
		"another verdict":  func(w *world, _ *flags.Switchboard) { w.verdict = "" },
	} {
		w := newWorld()
		a, board := w.start(t, auto(false))
		spoil(w, board)
		for range 3 {
			_ = a.Step(t.Context())
		}
		ours := slices.ContainsFunc(w.store.audit, func(t detector.Toggle) bool { return t.Flag == "payments-backoff" })
		if len(w.acts()) != 0 || ours {
			t.Errorf("%s: %v", name, w.acts())
		}
	}
}

// reloading is a board whose policy is reloaded between a decision and its act.
type reloading struct {
	*flags.Switchboard
	between func()
}

func (r *reloading) Set(ctx context.Context, q flags.Request) (detector.Toggle, error) {
	r.between()
	return r.Switchboard.Set(ctx, q)
}

// A reload in the midst of a look never lets through what the new policy forbids, and
// what it allows from then on is done.
func TestReloadedPolicy(t *testing.T) {
	w := newWorld()
	a, board := w.start(t, auto(false))
	gates := board.Rules().Gates
	off := auto(false)
	off.Automation = policy.Off
	r := &reloading{board, func() { board.SetRules(gates, off) }}
	a.o.Board = r
	if err := a.Step(t.Context()); err != nil {
		t.Errorf("the look that was overtaken: %v", err)
	}
	r.between = func() {}
	for range 3 {
		if err := a.Step(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if got := w.acts(); len(got) != 0 {
		t.Errorf("toggled by a policy that was off: %v", got)
	}
	if _, err := board.Freeze(t.Context(), "game day", "ann"); err != nil {
		t.Fatal(err)
	}
	board.SetRules(gates, auto(false))
	if err := a.Step(t.Context()); err != nil || len(w.acts()) != 0 {
		t.Errorf("a reload lifted the freeze: %v, %v", w.acts(), err)
	}
	if _, err := board.Unfreeze(t.Context(), "over", "ann"); err != nil {
		t.Fatal(err)
	}
	if err := a.Step(t.Context()); err != nil || len(w.acts()) != 1 {
		t.Errorf("by the new policy: %v, %v", w.acts(), err)
	}
}

// Two daemons on one store carry out a decision once.
func TestTwoDaemons(t *testing.T) {
	w := newWorld()
	var all []*Automation
	for range 2 {
		a, _ := w.start(t, auto(false))
		all = append(all, a)
	}
	var wg sync.WaitGroup
	for _, a := range all {
		wg.Go(func() {
			for range 5 {
				_ = a.Step(context.Background())
			}
		})
	}
	wg.Wait()
	if got := w.acts(); len(got) != 1 {
		t.Errorf("got %v (%v)", got, w.store.audit)
	}
}

// kill -9 between any two steps, from the first look to the last step back: each
// decision is carried out once, and the whole ends as without a crash.
func TestCrashes(t *testing.T) {
	course := []time.Duration{0, 6 * time.Minute, 40 * time.Minute, time.Minute, time.Minute, time.Minute, time.Minute}
	want := []string{
		"legacy for 25% of the callers, undone", "legacy for everyone, undone",
		"new for everyone, verified", "new for 25% of the callers, verified",
	}
	for crash := 1; ; crash += 1 + crash/40 {
		w, dead := newWorld(), false
		a, board := w.start(t, auto(true))
		touched := 0
		w.store.fail = func() error {
			if touched++; dead || touched >= crash {
				dead = true
				return errDown
			}
			return nil
		}
		for n := 0; n < len(course); n++ {
			was := dead
			w.ahead += course[n]
			err := a.Step(t.Context())
			if dead == was {
				if err != nil {
					t.Fatalf("crash %d: %v", crash, err)
				}
				continue
			}
			// The next start, some time later.
			w.store.fail, touched = nil, -1_000_000
			a, board = w.start(t, auto(true))
			w.store.fail = nil
			resume(t, board)
			w.ahead -= course[n]
			n-- // the look is repeated
		}
		if d := cmp.Diff(want, w.acts()); d != "" {
			t.Errorf("crash %d (-want +got):\n%s%v", crash, d, states(w))
		}
		if v, _ := board.Show("payments-backoff"); v.Serving != "new" || v.Toggles != 0 {
			t.Errorf("crash %d: shown as %+v", crash, v)
		}
		if !dead {
			t.Logf("%d points", touched)
			return
		}
	}
}

// resume takes up what a start finds.
func resume(t *testing.T, board *flags.Switchboard) {
	t.Helper()
	if err := board.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func states(w *world) (all []string) {
	for _, t := range w.store.audit {
		all = append(all, fmt.Sprintf("%s %s %s", t.ID, t.After, t.State))
	}
	return all
}
