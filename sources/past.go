package sources

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"aftershock/detector"
	"aftershock/sources/series"
)

// pastPiece is how much of the past is read at once.
const pastPiece = 2 * time.Hour

// Past gives the frames of (start, end] as Frames does, but of the series alone
// that keep says yes to, and without a part in what Frames remembers: for looking
// back while the watch goes on. It may be called at any time.
func (s *Source) Past(ctx context.Context, start, end time.Time, step time.Duration, keep func(labels.Labels) bool, yield func(detector.Frame) error) error {
	fold, err := series.New(series.Config{Start: start, Step: step})
	if err != nil {
		return err
	}
	add := func(one series.Series) error {
		if !keep(one.Labels) {
			return nil
		}
		return fold.Add(one)
	}
	from := start.Add(-series.Lookback(step))
	for !fold.At().Add(step).After(end) {
		to := fold.At().Add(max(step, pastPiece-pastPiece%step))
		if to.After(end) {
			to = end.Add(-end.Sub(fold.At()) % step)
		}
		if r, ok := s.reader.(stepper); ok {
			err = r.Steps(ctx, from, to, step, add)
		} else {
			err = s.reader.Series(ctx, from, to, add)
		}
		if err != nil {
			return fmt.Errorf("read telemetry of %s to %s: %w", from.UTC().Format(time.RFC3339), to.UTC().Format(time.RFC3339), err)
		}
		if err := fold.Emit(to, yield); err != nil {
			return err
		}
		from = to
	}
	return nil
}
