package watch

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"aftershock/detector"
)

// message is one thing told to the loop from outside, with the answer's way
// back.
type message struct {
	flip    *Treatment
	upgrade *detector.Upgrade
	report  *detector.Upgrade
	update  bool // of the report: it ends an upgrade that is known
	closing string
	done    chan struct{} // closed when it has been put down; may be nil
}

// Flipped tells the loop of a flag flip that took effect.
func (l *Loop) Flipped(t Treatment) { l.tell(message{flip: &t}) }

// Record tells the loop of an upgrade that somebody reported.
func (l *Loop) Record(u detector.Upgrade) { l.tell(message{upgrade: &u}) }

// CloseUpgrade ends the watch over an upgrade.
func (l *Loop) CloseUpgrade(id string) { l.tell(message{closing: id}) }

// AwaitRecord is Record that returns when it has been put down.
func (l *Loop) AwaitRecord(ctx context.Context, u detector.Upgrade) error {
	return l.tellAndWait(ctx, message{upgrade: &u})
}

// Report tells the loop what a deployment tool said of an upgrade; the answer is
// closed when it has been put down.
func (l *Loop) Report(u detector.Upgrade, update bool) <-chan struct{} {
	done := make(chan struct{})
	l.tell(message{report: &u, update: update, done: done})
	return done
}

// AwaitClose is CloseUpgrade that returns when it has been put down.
func (l *Loop) AwaitClose(ctx context.Context, id string) error {
	return l.tellAndWait(ctx, message{closing: id})
}

func (l *Loop) tellAndWait(ctx context.Context, m message) error {
	m.done = make(chan struct{})
	l.tell(m)
	select {
	case <-m.done:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inbox = slices.DeleteFunc(l.inbox, func(o message) bool { return o.done == m.done })
	return fmt.Errorf("wait until an upgrade is put down: %w", ctx.Err())
}

// SetReceivers makes the names hold for the alerts from now on.
func (l *Loop) SetReceivers(names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.receivers = slices.Clone(names)
}

// SetFlags makes the flags, by the binary that they gate, hold for what alerts say from
// now on.
func (l *Loop) SetFlags(byBinary map[string][]string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flags = maps.Clone(byBinary)
}

func (l *Loop) tell(m message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inbox = append(l.inbox, m)
}

func (l *Loop) told() []message {
	l.mu.Lock()
	defer l.mu.Unlock()
	in := l.inbox
	l.inbox = nil
	return in
}

// hearAll acts on everything told and not yet put down; attended says that it
// has been.
func (l *Loop) hearAll(now time.Time, tick *Tick) (heard bool) {
	l.heard = append(l.heard, l.told()...)
	for _, m := range l.heard {
		l.hear(m, now, tick)
	}
	return len(l.heard) > 0
}

func (l *Loop) attended() {
	for _, m := range l.heard {
		if m.done != nil {
			close(m.done)
		}
	}
	l.heard = nil
}

// pending says whether something told waits to be put down.
func (l *Loop) pending() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.inbox)+len(l.heard) > 0
}
