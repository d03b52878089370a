package promapi

import (
	"context"
	"fmt"
	"time"

	"aftershock/detector"
	"aftershock/sources/series"
)

const (
	// firstFrames is the time that is read before its frames are given, until
	// it is known how dense the series are; targetFrames is how many samples
	// should be in memory then: about 100 MB.
	firstFrames  = 6 * time.Hour
	targetFrames = 4_000_000
)

// Frames gives the frames of (start, end], one for each whole step in which
// there are samples, in order of time. A call that starts where the last one
// has ended goes on with what that one knew, at the cost of the new samples
// alone. Samples that arrive up to a step late count in the step after. An
// error of yield ends the reading and is returned.
func (s *Source) Frames(ctx context.Context, start, end time.Time, step time.Duration, yield func(detector.Frame) error) error {
	if step < time.Millisecond || step%time.Millisecond != 0 {
		return fmt.Errorf("read frames from %s: the step %s isn't in whole milliseconds", s.base, step)
	}
	start = start.Truncate(time.Millisecond)
	end = start.Add(end.Sub(start) / step * step)
	if !end.After(start) {
		return nil
	}
	way, err := s.Way(ctx)
	if err != nil {
		return err
	}
	fold, from, err := s.takeFold(start, step)
	if err != nil {
		return err
	}
	defer s.keepFold(fold, step)
	window := min(firstFrames, time.Duration(s.config.Window)).Truncate(step)
	for at := start; at.Before(end); {
		to := at.Add(max(window, step))
		if to.After(end) {
			to = end
		}
		n, err := s.fill(ctx, fold, way, span{from: from.UnixMilli(), to: to.UnixMilli(), step: step.Milliseconds()})
		if err != nil {
			return err
		}
		if err := fold.Emit(to, yield); err != nil {
			return err
		}
		switch {
		case n > targetFrames:
			window = (window / 2).Truncate(step)
		case n < targetFrames/4:
			window = min(2*window, time.Duration(s.config.Window)).Truncate(step)
		}
		at, from = to, to
	}
	return nil
}

// fill puts the series of a span into the fold.
func (s *Source) fill(ctx context.Context, fold *series.Fold, way Way, w span) (n int, err error) {
	err = s.readWay(ctx, way, w, func(one series.Series) error {
		n += len(one.Times)
		return fold.Add(one)
	})
	for reason, count := range fold.Dropped() {
		s.leftOut.WithLabelValues(reason).Add(float64(count))
		if s.first(reason) {
			s.log.WithFields(map[string]any{"reason": reason, "series": count}).Warn("leaving series out")
		}
	}
	return n, err
}

// first says whether a reason comes for the first time.
func (s *Source) first(reason string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.told[reason]
	s.told[reason] = true
	return !before
}

// takeFold gives the fold that stands at start, or a new one, and the time from
// which it wants samples. Nobody else has it until it is put back.
func (s *Source) takeFold(start time.Time, step time.Duration) (*series.Fold, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live != nil && s.liveStep == step && s.live.At().Equal(start) {
		fold := s.live
		s.live = nil
		return fold, start.Add(-step), nil
	}
	fold, err := series.New(series.Config{Start: start, Step: step, MaxSeries: s.config.MaxSeries})
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("read frames from %s: %w", s.base, err)
	}
	// Whole steps back, since steps are read at their ends.
	back := (series.Lookback(step) + step - 1) / step * step
	return fold, start.Add(-back), nil
}

func (s *Source) keepFold(fold *series.Fold, step time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live, s.liveStep = fold, step
}
