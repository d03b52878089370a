package flags

import (
	"context"
	"errors"
	"slices"
	"testing"

	"aftershock/detector"
)

// interposed is a daemon's store that lets something happen between what the daemon
// read and the first decision that it writes.
type interposed struct {
	*memory
	between func()
}

func (s *interposed) DecideToggle(ctx context.Context, last, next detector.Toggle) error {
	if f := s.between; f != nil {
		s.between = nil
		f()
	}
	return s.memory.DecideToggle(ctx, last, next)
}

// A decision that another daemon made in the instant before ours stands: no toggle
// falls back to a state that it had left, and no approval is lost.
func TestDecisionsInBetween(t *testing.T) {
	for name, tt := range map[string]struct {
		needs string
		other func(ctx context.Context, s *Switchboard, id string) error
		ours  func(ctx context.Context, s *Switchboard, id string) error
		want  []detector.ToggleState
		err   error
	}{
		"approved twice": {
			needs: "one", other: approveBy("bob"), ours: approveBy("eve"), err: ErrConflict,
			want: []detector.ToggleState{detector.TogglePlanned, detector.ToggleWaiting, detector.ToggleApproved, detector.ToggleApplied, detector.ToggleVerified},
		},
		"two of two": {
			needs: "two", other: approveBy("bob"), ours: approveBy("eve"),
			want: []detector.ToggleState{detector.TogglePlanned, detector.ToggleWaiting, detector.ToggleWaiting, detector.ToggleApproved, detector.ToggleApplied, detector.ToggleVerified},
		},
		"the same person": {
			needs: "two", other: approveBy("bob"), ours: approveBy("Bob"), err: ErrUnchanged,
			want: []detector.ToggleState{detector.TogglePlanned, detector.ToggleWaiting, detector.ToggleWaiting},
		},
		"rejected, then approved": {
			needs: "one", ours: approveBy("eve"), err: ErrConflict,
			other: func(ctx context.Context, s *Switchboard, id string) error {
				_, err := s.Reject(ctx, id, "not now", "bob")
				return err
			},
			want: []detector.ToggleState{detector.TogglePlanned, detector.ToggleWaiting, detector.ToggleRejected},
		},
		"approved, then rejected": {
			needs: "one", other: approveBy("bob"), err: ErrConflict,
			ours: func(ctx context.Context, s *Switchboard, id string) error {
				_, err := s.Reject(ctx, id, "not now", "eve")
				return err
			},
			want: []detector.ToggleState{detector.TogglePlanned, detector.ToggleWaiting, detector.ToggleApproved, detector.ToggleApplied, detector.ToggleVerified},
		},
		"approved, then withdrawn": {
			needs: "one", other: approveBy("bob"),
			ours: func(ctx context.Context, s *Switchboard, id string) error { return s.Withdraw(ctx, id, "it recovered") },
			want: []detector.ToggleState{detector.TogglePlanned, detector.ToggleWaiting, detector.ToggleApproved, detector.ToggleApplied, detector.ToggleVerified},
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := &interposed{memory: &memory{}}
			c := Config{Definitions: writeFile(t, fleet), Policy: fourEyes(tt.needs)}
			a, _ := start(t, store, c)
			b, _ := start(t, store.memory, c)
			plan, err := a.Set(t.Context(), request("payments-backoff", "legacy"))
			if err != nil {
				t.Fatal(err)
			}
			store.between = func() {
				if err := tt.other(t.Context(), b, plan.ID); err != nil {
					t.Errorf("the other: %v", err)
				}
			}
			if err := tt.ours(t.Context(), a, plan.ID); !errors.Is(err, tt.err) {
				t.Errorf("got %v, want %v", err, tt.err)
			}
			if got := store.states(plan.ID); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func approveBy(who string) func(context.Context, *Switchboard, string) error {
	return func(ctx context.Context, s *Switchboard, id string) error {
		_, err := s.Approve(ctx, id, "", who)
		return err
	}
}
