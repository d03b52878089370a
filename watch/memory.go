package watch

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"
	"time"

	"aftershock/detector"
)

// memory is what the loop itself must remember across restarts, beside the
// judgement and the changes.
type memory struct {
	// At is the end of the last step judged.
	At    time.Time
	Steps int
	// Open holds the alerts that have not been resolved, by upgrade and cause.
	Open map[string]detector.Alert
	// Flips wait for their instant; Treatments wait for recovery.
	Flips      []Treatment
	Treatments []Treatment
	// Toggles are those heard of lately, with the instant of their flip: after
	// a restart the audit tells of them again.
	Toggles map[string]time.Time
	// Doubts say, for an upgrade's binary, which toggle of a flag that gates it
	// didn't help.
	Doubts map[string]string
	// Culprits are the binaries that alerts named, by upgrade.
	Culprits map[string]string
	// Seen are the upgrades that the log told of lately.
	Seen map[string]seen
	// Hours are those whose coverage isn't put down, and the one under way.
	Hours []detector.Coverage
}

type savedState struct {
	Memory         memory
	Judge, Changes []byte
}

func (l *Loop) save() ([]byte, error) {
	judge, err := l.judge.Save()
	if err != nil {
		return nil, err
	}
	changes, err := l.o.Changes.Save()
	if err != nil {
		return nil, fmt.Errorf("save what is known of upgrades: %w", err)
	}
	var b bytes.Buffer
	b.Grow(len(judge) + len(changes) + 64<<10)
	if err := gob.NewEncoder(&b).Encode(savedState{l.memory, judge, changes}); err != nil {
		return nil, fmt.Errorf("save the loop's state: %w", err)
	}
	return b.Bytes(), nil
}

// restore goes back to the state that the journal holds, or begins a baseline's
// length ago when it holds none or one that can't be used.
func (l *Loop) restore(ctx context.Context) error {
	if l.blank == nil {
		blank, err := l.o.Changes.Save()
		if err != nil {
			return fmt.Errorf("save what is known of upgrades: %w", err)
		}
		l.blank = blank
	}
	at, state, err := l.o.Journal.State(ctx)
	if err != nil {
		return fmt.Errorf("read the saved state: %w", err)
	}
	if len(state) > 0 {
		err := l.decode(state)
		if err == nil {
			log := l.o.Log.WithField("at", at)
			if l.torn { // once for each failed step
				log.Debug("going back to the saved state")
			} else {
				log.Info("going on from the saved state")
			}
			return nil
		}
		l.o.Log.WithError(err).Warn("the saved state can't be used; learning the baseline anew from the telemetry")
	}
	if err := l.o.Changes.Restore(l.blank); err != nil {
		return fmt.Errorf("forget what was known of upgrades: %w", err)
	}
	l.judge = detector.NewJudge(l.o.Config.Config)
	l.judge.Employ(Processors{})
	l.memory = memory{
		At:   l.o.Now().Add(-l.o.Config.Baseline).Truncate(l.o.Config.Step),
		Open: map[string]detector.Alert{},
	}
	return nil
}

func (l *Loop) decode(state []byte) error {
	var s savedState
	if err := gob.NewDecoder(bytes.NewReader(state)).Decode(&s); err != nil {
		return fmt.Errorf("decode the loop's state: %w", err)
	}
	judge, err := detector.Restore(l.o.Config.Config, s.Judge)
	if err != nil {
		return err
	}
	judge.Employ(Processors{})
	if err := l.o.Changes.Restore(s.Changes); err != nil {
		return fmt.Errorf("restore what is known of upgrades: %w", err)
	}
	l.judge, l.memory = judge, s.Memory
	if l.memory.Open == nil {
		l.memory.Open = map[string]detector.Alert{}
	}
	return nil
}
