package flags

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aftershock/detector"
	"aftershock/flags/policy"
)

// notices collects what people are told, once for each key.
type notices struct {
	mu   sync.Mutex
	all  []Notice
	keys map[string]bool
	err  error
}

func (n *notices) take(_ context.Context, x Notice) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.keys == nil {
		n.keys = map[string]bool{}
	}
	if n.err == nil && !n.keys[x.Key] {
		n.keys[x.Key] = true
		n.all = append(n.all, x)
	}
	return n.err
}

func (n *notices) texts() (all []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, x := range n.all {
		all = append(all, x.Text)
	}
	return all
}

// fourEyes is a policy that asks for approvals.
func fourEyes(approval string) policy.Config {
	return policy.Config{Rule: policy.Rule{Approval: approval}}
}

func TestApproval(t *testing.T) {
	store, told := &memory{}, &notices{}
	s, _ := start(t, store, Config{Definitions: writeFile(t, fleet), Policy: fourEyes("two"), Notify: told.take})
	r := request("other", "on")
	r.Scope.Percent = 25
	plan, err := s.Set(t.Context(), r)
	if err != nil || plan.State != detector.ToggleWaiting || plan.Needs != 2 || !strings.Contains(plan.Evidence, "2 people other than the planner") {
		t.Fatalf("got %+v, %v", plan, err)
	}
	if store.revision != 1 {
		t.Error("a plan changed the flags")
	}
	if waiting, err := s.Waiting(t.Context()); err != nil || len(waiting) != 1 || waiting[0].ID != plan.ID {
		t.Errorf("waiting: %v, %v", waiting, err)
	}
	for _, actor := range []string{"ada", " ADA "} {
		if _, err := s.Approve(t.Context(), plan.ID, "", actor); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "somebody else") {
			t.Errorf("by the planner: got %v", err)
		}
	}
	if _, err := s.Approve(t.Context(), plan.ID, "", policy.Actor); !errors.Is(err, ErrInvalid) {
		t.Errorf("by the automation's name: got %v", err)
	}
	if got, err := s.Approve(t.Context(), plan.ID, "looks right", "bob"); err != nil || got.State != detector.ToggleWaiting {
		t.Errorf("first: got %+v, %v", got, err)
	}
	if _, err := s.Approve(t.Context(), plan.ID, "", "Bob"); !errors.Is(err, ErrUnchanged) {
		t.Errorf("twice by one: got %v", err)
	}
	got, err := s.Approve(t.Context(), plan.ID, "", "cyd")
	if err != nil || got.State != detector.ToggleVerified || got.Actor != "ada" || len(got.Approvals) != 2 || got.Approvals[0].Reason != "looks right" {
		t.Errorf("second: got %+v, %v", got, err)
	}
	if _, err := s.Approve(t.Context(), plan.ID, "", "dan"); !errors.Is(err, ErrConflict) {
		t.Errorf("once more: got %v", err)
	}
	want := []detector.ToggleState{"planned", "waiting", "waiting", "approved", "applied", "verified"}
	if d := cmp.Diff(want, store.states(plan.ID)); d != "" {
		t.Errorf("audit (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"ada wants to set flag other to on for 25% of the callers: p99 is up"}, told.texts()); d != "" {
		t.Errorf("told (-want +got):\n%s", d)
	}
	if _, err := s.Approve(t.Context(), "nope", "", "bob"); !errors.Is(err, ErrUnknown) {
		t.Errorf("unknown: got %v", err)
	}
}

func TestRejectAndLapse(t *testing.T) {
	store := &memory{}
	s, _ := start(t, store, Config{Definitions: writeFile(t, fleet), Policy: fourEyes("one")})
	now := time.Now()
	s.now = func() time.Time { return now }
	plan := func() detector.Toggle {
		t.Helper()
		got, err := s.Set(t.Context(), request("other", "on"))
		if err != nil || got.State != detector.ToggleWaiting {
			t.Fatalf("got %+v, %v", got, err)
		}
		return got
	}
	withdrawn := plan()
	if got, err := s.Reject(t.Context(), withdrawn.ID, "never mind", "ada"); err != nil || got.State != detector.ToggleRejected || got.By != "ada" {
		t.Errorf("withdrawn by the planner: got %+v, %v", got, err)
	}
	if _, err := s.Approve(t.Context(), withdrawn.ID, "", "bob"); !errors.Is(err, ErrConflict) {
		t.Errorf("approved after that: got %v", err)
	}
	late, swept := plan(), plan()
	now = now.Add(s.Rules().Policy.ApproveWithin + time.Second)
	if got, err := s.Approve(t.Context(), late.ID, "", "bob"); !errors.Is(err, ErrConflict) || got.State != detector.ToggleLapsed {
		t.Errorf("too late: got %+v, %v", got, err)
	}
	if err := s.tendToggles(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.find(t.Context(), "", swept.ID); got.State != detector.ToggleLapsed {
		t.Errorf("swept: got %+v", got)
	}
	for range 2 { // saying it twice is no error
		if err := s.Withdraw(t.Context(), swept.ID, "over"); err != nil {
			t.Errorf("withdrawn: %v", err)
		}
	}
	proposal := plan()
	if err := s.Withdraw(t.Context(), proposal.ID, "the alert is over"); err != nil {
		t.Error(err)
	}
	if got, _ := s.find(t.Context(), "", proposal.ID); got.State != detector.ToggleLapsed || got.Evidence != "the alert is over" {
		t.Errorf("withdrawn: got %+v", got)
	}
	if err := s.Withdraw(t.Context(), "nope", "over"); !errors.Is(err, ErrUnknown) {
		t.Errorf("withdraw an unknown one: got %v", err)
	}
	if store.revision != 1 {
		t.Error("something was changed")
	}
}

// A plan is held to what it was made on.
func TestPlanIsHeld(t *testing.T) {
	store := &memory{}
	s, _ := start(t, store, Config{Definitions: writeFile(t, fleet), Policy: policy.Config{Flags: map[string]policy.Rule{"other": {Approval: "one"}}}})
	plan, err := s.Set(t.Context(), request("other", "on"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Set(t.Context(), request("masked", "off")); err != nil || got.State != detector.ToggleVerified {
		t.Fatalf("a flag without approval: %+v, %v", got, err)
	}
	store.rewrite(t, "other", `{"state":"ENABLED","defaultVariant":"off","variants":{"on":true,"off":false},"targeting":{"if":[{"var":"vip"},"on"]}}`)
	got, err := s.Approve(t.Context(), plan.ID, "", "bob")
	if !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "plan it again") {
		t.Errorf("got %+v, %v; want a conflict", got, err)
	}
	if now, _ := s.find(t.Context(), "", plan.ID); now.State != detector.ToggleFailed {
		t.Errorf("ends as %+v", now)
	}
	// Another flag's change doesn't matter, and the plan takes it in.
	plan, err = s.Set(t.Context(), request("other", "on"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Undo(t.Context(), "masked", "over", "ada"); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Approve(t.Context(), plan.ID, "", "bob"); err != nil || got.State != detector.ToggleVerified {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestEmergency(t *testing.T) {
	store, told := &memory{}, &notices{}
	s, _ := start(t, store, Config{Definitions: writeFile(t, fleet), Policy: fourEyes("two"), Notify: told.take})
	r := request("other", "on")
	r.Emergency = "nobody else is awake"
	got, err := s.Set(t.Context(), r)
	if err != nil || got.State != detector.ToggleVerified || got.Emergency != r.Emergency || got.Needs != 2 || len(got.Approvals) != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
	if texts := told.texts(); len(texts) != 1 || !strings.Contains(texts[0], "without the approval that is asked for: nobody else is awake") {
		t.Errorf("told %v", texts)
	}
	for _, x := range store.audit {
		if x.Emergency == "" {
			t.Errorf("state %s doesn't say that it was an emergency", x.State)
		}
	}
	told.err = errDown
	r.Variant = "off"
	if got, err := s.Set(t.Context(), r); err != nil || got.State != detector.ToggleVerified {
		t.Errorf("an emergency waits for its alert: %+v, %v", got, err)
	}
	r.Emergency = strings.Repeat("x", 1<<20)
	if _, err := s.Set(t.Context(), r); !errors.Is(err, ErrInvalid) || len(err.Error()) > 500 {
		t.Errorf("huge reason: got %v", err)
	}
}

// Two approvals at once, on two daemons, apply a plan once.
func TestApprovalsAtOnce(t *testing.T) {
	store := &memory{}
	c := Config{Definitions: writeFile(t, fleet), Policy: fourEyes("one")}
	a, _ := start(t, store, c)
	b, _ := start(t, store, c)
	for round := range 10 {
		plan, err := a.Set(t.Context(), request("payments-backoff", []string{"legacy", "tuned"}[round%2]))
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				got, err := []*Switchboard{a, b}[i%2].Approve(context.Background(), plan.ID, "", fmt.Sprint("person-", i))
				if err != nil && !errors.Is(err, ErrConflict) && !errors.Is(err, ErrUnknown) {
					t.Errorf("got %+v, %v", got, err)
				}
			})
		}
		wg.Wait()
		applied := 0
		for _, state := range store.states(plan.ID) {
			if state == detector.ToggleApplied {
				applied++
			}
		}
		if applied != 1 {
			t.Fatalf("applied %d times: %v", applied, store.states(plan.ID))
		}
		if got, _ := a.find(t.Context(), "", plan.ID); got.State != detector.ToggleVerified {
			t.Errorf("ends as %s: %s (%v)", got.State, got.Evidence, store.states(plan.ID))
		}
		if err := errors.Join(a.Load(t.Context()), b.Load(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
}

// kill -9 at each step of toggles for a part of the callers, approved by somebody,
// or automatic: the next start brings each to a true end, and does it once.
func TestCrashOfDecidedToggles(t *testing.T) {
	scoped := request("masked", "off")
	scoped.Scope = detector.Scope{Percent: 25, Region: "eu-1"}
	automatic := request("masked", "off")
	automatic.Actor, automatic.Decision = policy.Actor, "auto-0123-1"
	acts := map[string]struct {
		prepare func(t *testing.T, s *Switchboard) string
		act     func(ctx context.Context, s *Switchboard, id string) error
		policy  string
		goesOn  detector.ToggleState // from this state on, the toggle is made
	}{
		"scoped": {policy: "none", goesOn: detector.ToggleApplied, act: func(ctx context.Context, s *Switchboard, _ string) error {
			_, err := s.Set(ctx, scoped)
			return err
		}},
		"planned": {policy: "one", goesOn: detector.ToggleApplied, act: func(ctx context.Context, s *Switchboard, _ string) error {
			_, err := s.Set(ctx, scoped)
			return err
		}},
		"approved": {
			policy: "one", goesOn: detector.ToggleApproved,
			prepare: func(t *testing.T, s *Switchboard) string {
				p, err := s.Set(t.Context(), scoped)
				if err != nil {
					t.Fatal(err)
				}
				return p.ID
			},
			act: func(ctx context.Context, s *Switchboard, id string) error {
				_, err := s.Approve(ctx, id, "", "bob")
				return err
			},
		},
		"automatic": {policy: "none", goesOn: detector.TogglePlanned, act: func(ctx context.Context, s *Switchboard, _ string) error {
			_, err := s.Set(ctx, automatic)
			return err
		}},
	}
	for name, tt := range acts {
		for crash := 1; ; crash++ {
			store, id := &memory{}, ""
			c := Config{Definitions: writeFile(t, fleet), Policy: fourEyes(tt.policy), Gates: []Gate{{Flag: "masked", Binary: "b", Safe: "off"}}}
			c.Policy.Automation, c.Policy.Steps = policy.Auto, []float64{100}
			s, _ := start(t, store, c)
			if tt.prepare != nil {
				id = tt.prepare(t, s)
			}
			touched, dead := 0, ""
			store.fail = func(point string) error {
				if touched++; dead != "" || touched == crash {
					dead = point
					return errDown
				}
				return nil
			}
			err := tt.act(t.Context(), s, id)
			store.fail = nil
			if dead == "" {
				if err != nil {
					t.Errorf("%s without a crash: %v", name, err)
				}
				break
			}
			var states []detector.ToggleState
			if len(store.audit) > 0 {
				states = store.states(store.audit[0].ID)
			}
			for range 2 { // a second start finds nothing to do
				s2, _ := start(t, store, c)
				s2.grace = 0
				if err := s2.Resume(t.Context()); err != nil {
					t.Errorf("%s, crash %d: resume: %v", name, crash, err)
				}
				endsOnce(t, fmt.Sprintf("%s, crash %d after %v", name, crash, states), store, s2, tt.goesOn, states)
			}
		}
	}
}

// endsOnce holds the one toggle's audit against what is served.
func endsOnce(t *testing.T, name string, store *memory, s *Switchboard, goesOn detector.ToggleState, before []detector.ToggleState) {
	t.Helper()
	made, applied := false, 0
	for _, state := range before {
		made = made || state == goesOn || state == detector.ToggleApplied
	}
	in := s.serving.Load().document.Acts["masked"].Standing
	for _, x := range store.audit {
		if x.State == detector.ToggleApplied {
			applied++
		}
	}
	end := detector.ToggleState("")
	if len(store.audit) > 0 {
		end = store.audit[len(store.audit)-1].State
	}
	switch {
	case made && (end != detector.ToggleVerified || applied != 1 || len(in) != 1):
		t.Errorf("%s: ends as %s, applied %d times, %d in force; want it made once", name, end, applied, len(in))
	case !made && (applied != 0 || len(in) != 0 || end != "" && end != detector.ToggleFailed && end != detector.ToggleWaiting):
		t.Errorf("%s: ends as %s, applied %d times, %d in force; want it not made", name, end, applied, len(in))
	}
}

// What was decided long ago isn't done by a late start, nor an automatic toggle
// after somebody froze.
func TestNotCarriedOn(t *testing.T) {
	for _, tt := range []struct {
		name  string
		state detector.ToggleState
		decision,
		text string
		change func(*memory, *detector.Toggle)
	}{
		{"approved long ago", detector.ToggleApproved, "", "may no longer hold", func(_ *memory, t *detector.Toggle) { t.Updated = t.Updated.Add(-2 * time.Hour) }},
		{"changed since", detector.ToggleApproved, "", "since it was planned", func(_ *memory, t *detector.Toggle) { t.Held = "another" }},
		{"frozen since", detector.TogglePlanned, "auto-1-1", "frozen by ann", func(m *memory, _ *detector.Toggle) {
			m.freezes = append(m.freezes, detector.Freeze{Frozen: true, Actor: "ann", At: time.Now()})
		}},
	} {
		store := &memory{}
		s, _ := start(t, store, Config{Definitions: writeFile(t, fleet)})
		x := detector.Toggle{
			ID: "x", Flag: "other", After: "on", Actor: "ada", Reason: "r", State: tt.state, Decision: tt.decision,
			Updated: time.Now().Add(-time.Minute), Held: digest(s.serving.Load().document.Flags["other"]),
		}
		tt.change(store, &x)
		store.audit = append(store.audit, x)
		_ = s.Resume(t.Context())
		got, err := s.find(t.Context(), "", "x")
		if err != nil || got.State != detector.ToggleFailed || !strings.Contains(got.Evidence, tt.text) || store.revision != 1 {
			t.Errorf("%s: got %+v, %v", tt.name, got, err)
		}
	}
}

func TestDecisionsOnce(t *testing.T) {
	store := &memory{}
	s, _ := start(t, store, Config{Definitions: writeFile(t, fleet)})
	r := request("other", "on")
	r.Actor, r.Decision = policy.Actor, "auto-1-1"
	if got, err := s.Set(t.Context(), r); err != nil || got.ID != "auto-1-1" || got.State != detector.ToggleVerified {
		t.Fatalf("got %+v, %v", got, err)
	}
	r.Variant = "off"
	if _, err := s.Set(t.Context(), r); !errors.Is(err, ErrUnchanged) {
		t.Errorf("the same decision again: got %v", err)
	}
	store.fail = func(point string) error {
		if point == "toggle" {
			return errDown
		}
		return nil
	}
	r.Decision = "auto-1-2"
	if _, err := s.Set(t.Context(), r); !errors.Is(err, errDown) {
		t.Errorf("whether it was done can't be read: got %v", err)
	}
	store.fail = nil
	if _, err := s.Freeze(t.Context(), "game day", "ann"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Set(t.Context(), r); !errors.Is(err, ErrFrozen) || !strings.Contains(err.Error(), "game day") {
		t.Errorf("frozen: got %v", err)
	}
	if _, err := s.PutBack(t.Context(), "other", "auto-1-1", "no help"); !errors.Is(err, ErrFrozen) {
		t.Errorf("frozen: put back: got %v", err)
	}
	if got, err := s.Set(t.Context(), request("masked", "off")); err != nil || got.State != detector.ToggleVerified {
		t.Errorf("a person while frozen: %+v, %v", got, err)
	}
	// Another start has it frozen, too.
	s2, _ := start(t, store, Config{})
	if _, err := s2.Set(t.Context(), r); !errors.Is(err, ErrFrozen) {
		t.Errorf("frozen, after a restart: got %v", err)
	}
	if _, err := s2.Unfreeze(t.Context(), "over", "ann"); err != nil {
		t.Fatal(err)
	}
	store.fail = func(point string) error {
		if point == "freeze" {
			return errDown
		}
		return nil
	}
	if _, err := s2.Set(t.Context(), r); !errors.Is(err, ErrFrozen) || !errors.Is(err, errDown) {
		t.Errorf("the kill switch can't be read: got %v", err)
	}
	store.fail = nil
	if got, err := s2.PutBack(t.Context(), "other", "auto-1-1", "no help"); err != nil || got.State != detector.ToggleVerified || got.Actor != policy.Actor {
		t.Errorf("put back: got %+v, %v", got, err)
	}
	if _, err := s2.Freeze(t.Context(), strings.Repeat("x", maxText+1), "ann"); !errors.Is(err, ErrInvalid) {
		t.Errorf("huge reason: got %v", err)
	}
	if _, err := s2.Set(t.Context(), Request{Flag: "other", Variant: "on", Reason: "x", Actor: " Aftershock (automation)"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("somebody by the automation's name: got %v", err)
	}
}

// Two daemons came to the same approval: the slower one finds the toggle in force,
// says nothing untrue of it, and has it verified.
func TestSlowerApproval(t *testing.T) {
	store := &memory{}
	s, _ := start(t, store, Config{Definitions: writeFile(t, fleet), Policy: fourEyes("one")})
	plan, err := s.Set(t.Context(), request("other", "on"))
	if err != nil {
		t.Fatal(err)
	}
	done, err := s.Approve(t.Context(), plan.ID, "", "bob")
	if err != nil {
		t.Fatal(err)
	}
	for name, slower := range map[string]detector.Toggle{"audited as approved": done, "not audited": plan} {
		if slower.ID = plan.ID; name == "audited as approved" {
			slower.State, slower.Updated = detector.ToggleApproved, time.Now().UTC()
			store.audit = append(store.audit, slower)
		}
		n := len(store.audit)
		if err := s.stillHeld(t.Context(), slower); !errors.Is(err, ErrConflict) || len(store.audit) != n {
			t.Errorf("%s: got %v, and %d more lines", name, err, len(store.audit)-n)
		}
	}
	approved := done
	approved.State = detector.ToggleApproved
	if got, err := s.carryOn(t.Context(), approved); err != nil || got.State != detector.ToggleVerified {
		t.Errorf("got %+v, %v", got, err)
	}
	if s.serving.Load().revision != 2 {
		t.Error("applied twice")
	}
}

// bury puts so many later toggles into the audit that none before is among the last.
func bury(store *memory, at time.Time) {
	for n := range MaxRecent + 1 {
		store.audit = append(store.audit, detector.Toggle{ID: fmt.Sprint("later-", n), Flag: "elsewhere", State: detector.ToggleRejected, At: at, Updated: at})
	}
}

// A plan that waits, and a toggle in force, are found behind any number of later
// toggles; the plan lapses all the same.
func TestBuried(t *testing.T) {
	store := &memory{}
	s, _ := start(t, store, Config{Definitions: writeFile(t, fleet), Policy: policy.Config{Flags: map[string]policy.Rule{"other": {Approval: "one"}}}})
	now := time.Now()
	s.now = func() time.Time { return now }
	stands, err := s.Set(t.Context(), request("masked", "off"))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := s.Set(t.Context(), request("other", "on"))
	if err != nil || plan.State != detector.ToggleWaiting {
		t.Fatalf("got %+v, %v", plan, err)
	}
	bury(store, now.Add(time.Minute))
	if got, err := s.Waiting(t.Context()); err != nil || len(got) != 1 || got[0].ID != plan.ID {
		t.Errorf("waiting: got %v, %v", got, err)
	}
	known, since, err := s.Known(t.Context())
	if err != nil || !since.Equal(now.Add(time.Minute)) {
		t.Fatalf("known since %s, %v", since, err)
	}
	var older []string
	for _, x := range known {
		if x.Flag != "elsewhere" {
			older = append(older, x.ID)
		}
	}
	slices.Sort(older)
	if d := cmp.Diff(slices.Sorted(slices.Values([]string{stands.ID, plan.ID})), older); d != "" {
		t.Errorf("known (-want +got):\n%s", d)
	}
	now = now.Add(2 * time.Hour)
	if err := s.tendToggles(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := s.find(t.Context(), "", plan.ID); err != nil || got.State != detector.ToggleLapsed {
		t.Errorf("swept: got %+v, %v", got, err)
	}
}
