package promapi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/value"

	"aftershock/sources/series"
)

// maxHeld bounds the points of a window of steps, which are all held until it
// is known where counters were reset: 128 MB.
const maxHeld = 8_000_000

// readSteps reads the last sample of each step of a window. What a step counted
// is the difference of two of them, exactly as from raw samples and unlike
// increase(), which extrapolates; last_over_time keeps the metric name, so that
// one request is enough for many metrics. A counter that is reset within a step
// would lose what it had counted in that step before: such steps are read once
// more as raw samples.
func (s *Source) readSteps(ctx context.Context, names []string, w span, add func(series.Series) error) (int, error) {
	var held []series.Series
	points := 0
	// Two steps more than asked for tell what was there before.
	wide := span{from: w.from - w.step, to: w.to, step: w.step}
	n, err := s.readMatrices(ctx, Steps, stepsCall(names, wide), wide, func(one series.Series) error {
		if points += len(one.Times); points > maxHeld {
			return tooMuch("more than %d points in one window", maxHeld)
		}
		held = append(held, keepable(one))
		return nil
	})
	if err != nil {
		return 0, untouched(err)
	}
	raw, err := s.rawAt(ctx, names, resetSteps(held), w.step)
	if err != nil {
		return 0, err
	}
	for _, one := range held {
		one = splice(one, raw[one.Labels.Hash()])
		if err := add(markEnds(one, w)); err != nil {
			return n, err
		}
	}
	return n, nil
}

func stepsCall(names []string, w span) call {
	return call{
		path: "/api/v1/query_range",
		form: url.Values{
			"query": {fmt.Sprintf("last_over_time(%s[%dms])", selector(names), w.step)},
			"start": {seconds(w.from)},
			"end":   {seconds(w.to)},
			"step":  {seconds(w.step)},
			// VictoriaMetrics' cache moves the steps to round times.
			"nocache": {"1"},
		},
	}
}

// keepable copies the slices of a series.
func keepable(one series.Series) series.Series {
	one.Times, one.Values = slices.Clone(one.Times), slices.Clone(one.Values)
	one.Histograms, one.Starts = slices.Clone(one.Histograms), slices.Clone(one.Starts)
	return one
}

// untouched takes the mark off a failure: the receiver has got nothing.
func untouched(err error) error {
	var fail *failure
	if !errors.As(err, &fail) {
		return err
	}
	plain := *fail
	plain.err = nil
	return &plain
}

// resetSteps gives the ends of the steps in which a counter went down.
func resetSteps(held []series.Series) []int64 {
	steps := map[int64]bool{}
	for _, one := range held {
		if one.Histograms == nil && !counts(one.Labels.Get(model.MetricNameLabel)) {
			continue
		}
		for n := 1; n < len(one.Times); n++ {
			down := one.Histograms != nil && one.Histograms[n].Count < one.Histograms[n-1].Count ||
				one.Histograms == nil && one.Values[n] < one.Values[n-1]
			if down {
				steps[one.Times[n]] = true
			}
		}
	}
	ends := make([]int64, 0, len(steps))
	for end := range steps {
		ends = append(ends, end)
	}
	slices.Sort(ends)
	return ends
}

// counts says whether a metric of this name is a counter, by its suffix.
func counts(name string) bool {
	for _, suffix := range [...]string{"_total", "_count", "_bucket", "_sum"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// rawAt reads the raw samples of the steps with these ends, by the hash of the
// series' labels. Steps that follow each other are read as one.
func (s *Source) rawAt(ctx context.Context, names []string, ends []int64, step int64) (map[uint64][]series.Series, error) {
	raw := map[uint64][]series.Series{}
	points := 0
	for n := 0; n < len(ends); {
		last := n
		for last+1 < len(ends) && ends[last+1] == ends[last]+step {
			last++
		}
		all := span{from: ends[n] - step + 1, to: ends[last]}
		err := s.windows(ctx, JSON, all, func(w span) (int, error) {
			return s.readJSON(ctx, names, w, func(one series.Series) error {
				if points += len(one.Times); points > maxHeld {
					return tooMuch("more than %d samples in the steps with counter resets", maxHeld)
				}
				hash := one.Labels.Hash()
				raw[hash] = append(raw[hash], keepable(one))
				return nil
			})
		})
		if err != nil {
			return nil, err
		}
		n = last + 1
	}
	return raw, nil
}

// splice puts raw samples, in order of time, in between those of the steps.
func splice(one series.Series, raw []series.Series) series.Series {
	if len(raw) == 0 {
		return one
	}
	out := series.Series{Labels: one.Labels}
	take := func(from *series.Series, n int) {
		out.Times = append(out.Times, from.Times[n])
		if one.Histograms != nil {
			out.Histograms = append(out.Histograms, from.Histograms[n])
		} else {
			out.Values = append(out.Values, from.Values[n])
		}
	}
	at := 0
	for r := range raw {
		piece := &raw[r]
		if (piece.Histograms == nil) != (one.Histograms == nil) {
			continue
		}
		for n, t := range piece.Times {
			for ; at < len(one.Times) && one.Times[at] < t; at++ {
				take(&one, at)
			}
			if at < len(one.Times) && one.Times[at] == t {
				at++
			}
			take(piece, n)
		}
	}
	for ; at < len(one.Times); at++ {
		take(&one, at)
	}
	return out
}

// markEnds puts stale markers where a series of numbers breaks off, since the
// server's own are not in the answer: at the end of the first step without a
// sample, after two steps that had one. A series that is scraped more rarely
// than once in a step is left alone.
func markEnds(one series.Series, w span) series.Series {
	if one.Histograms != nil {
		return one
	}
	out := series.Series{Labels: one.Labels, Times: make([]int64, 0, len(one.Times)+1), Values: make([]float64, 0, len(one.Times)+1)}
	// dense says that the step before had a sample, too; end is the end of
	// the step of the last sample.
	dense, end := false, int64(math.MinInt64)
	for n := 0; n <= len(one.Times); n++ {
		next := w.to + 1
		if n < len(one.Times) {
			next = one.Times[n]
		}
		if gap := end + w.step; dense && next > gap && gap <= w.to {
			out.Times = append(out.Times, gap)
			out.Values = append(out.Values, math.Float64frombits(value.StaleNaN))
		}
		if n == len(one.Times) {
			break
		}
		// Steps end at from, from+step and so on; negative ones before.
		steps := (next - w.from) / w.step
		if next > w.from+steps*w.step {
			steps++
		}
		if stepEnd := w.from + steps*w.step; stepEnd != end {
			dense, end = stepEnd == end+w.step, stepEnd
		}
		out.Times = append(out.Times, next)
		out.Values = append(out.Values, one.Values[n])
	}
	return out
}

// readJSON reads the raw samples of a window.
func (s *Source) readJSON(ctx context.Context, names []string, w span, add func(series.Series) error) (int, error) {
	c := call{
		path: "/api/v1/query",
		form: url.Values{
			// Prometheus 3 excludes the beginning of the range, 2 has it: what
			// it brings too much is dropped.
			"query": {fmt.Sprintf("%s[%dms]", selector(names), w.to-w.from+1)},
			"time":  {seconds(w.to)},
		},
	}
	return s.readMatrices(ctx, JSON, c, w, add)
}

// readMatrices sends a query whose answer is a matrix.
func (s *Source) readMatrices(ctx context.Context, way Way, c call, w span, add func(series.Series) error) (int, error) {
	d := s.deliver(add)
	c.way = string(way)
	c.read = func(resp *http.Response) error {
		d.begin()
		a := &assembly{from: w.from, to: w.to}
		notes, err := readMatrix(resp.Body, func(one *matrixSeries) error {
			if err := one.into(a); err != nil {
				return err
			}
			return d.series(a)
		})
		if err == nil && len(notes) > 0 {
			s.log.WithFields(map[string]any{"way": string(way), "notes": notes}).Warn("telemetry server has reservations about its answer")
		}
		return err
	}
	err := s.do(ctx, c)
	return d.result(err)
}
