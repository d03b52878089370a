package scrape

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"aftershock/sources/series"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// Series gives every stored series that series.Wanted asks for, with its samples
// of (start, end], to add, metric by metric, with its stale markers and, where
// the target told them, its start times. A metric that was a number at times and
// a native histogram at others comes as two series with equal labels. An error
// of add ends the reading and is returned.
func (s *Scraper) Series(ctx context.Context, start, end time.Time, add func(series.Series) error) error {
	st := s.store
	st.mu.RLock()
	defer st.mu.RUnlock()
	if st.db == nil {
		return errors.New("read scraped samples: the store is closed, or being opened again after a failed write")
	}
	mint, maxt := start.UnixMilli()+1, end.UnixMilli()
	if mint > maxt {
		return nil
	}
	q, err := st.db.Querier(mint, maxt)
	if err != nil {
		return fmt.Errorf("read scraped samples: %w", err)
	}
	defer func() { _ = q.Close() }()
	names, _, err := q.LabelValues(ctx, model.MetricNameLabel, nil)
	if err != nil {
		return fmt.Errorf("read names of scraped metrics: %w", err)
	}
	r := reader{mint: mint, maxt: maxt, add: add}
	for _, name := range names {
		if !s.wanted(name) {
			continue
		}
		set := q.Select(ctx, true, nil, labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, name))
		for set.Next() {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := r.series(set.At()); err != nil {
				return err
			}
		}
		if err := set.Err(); err != nil {
			return fmt.Errorf("read scraped samples of %s: %w", name, err)
		}
	}
	return nil
}

// reader takes stored series apart.
type reader struct {
	mint, maxt int64
	add        func(series.Series) error
	it         chunkenc.Iterator
}

// series hands one stored series on.
func (r *reader) series(stored storage.Series) error {
	floats := series.Series{Labels: stored.Labels()}
	hists := series.Series{Labels: stored.Labels()}
	it := stored.Iterator(r.it)
	r.it = it
	last := chunkenc.ValNone
	for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
		t := it.AtT()
		if t < r.mint || t > r.maxt {
			continue
		}
		switch vt {
		case chunkenc.ValFloat:
			_, v := it.At()
			if value.IsStaleNaN(v) && last != chunkenc.ValNone && last != chunkenc.ValFloat {
				// The end of a histogram, written by who didn't know what it ends.
				push(&hists, t, 0)
				hists.Histograms = append(hists.Histograms, &histogram.FloatHistogram{Sum: math.Float64frombits(value.StaleNaN)})
				continue
			}
			push(&floats, t, it.AtST())
			floats.Values = append(floats.Values, v)
		case chunkenc.ValHistogram, chunkenc.ValFloatHistogram:
			_, h := it.AtFloatHistogram(nil)
			push(&hists, t, it.AtST())
			hists.Histograms = append(hists.Histograms, h)
		}
		last = vt
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("read scraped samples of %s: %w", clip(stored.Labels().String()), err)
	}
	for _, s := range []series.Series{floats, hists} {
		if len(s.Times) == 0 {
			continue
		}
		if err := r.add(s); err != nil {
			return err
		}
	}
	return nil
}

// push adds a time and its start time (0 for unknown); Starts stays nil as long
// as none is known.
func push(s *series.Series, t, start int64) {
	if start != 0 && s.Starts == nil {
		s.Starts = make([]int64, len(s.Times), len(s.Times)+1)
	}
	s.Times = append(s.Times, t)
	if s.Starts != nil {
		s.Starts = append(s.Starts, start)
	}
}
