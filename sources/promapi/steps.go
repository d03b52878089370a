package promapi

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"aftershock/sources/series"
)

// readSteps reads the last sample of each step of a window. What a step counted
// is the difference of two of them, exactly as from raw samples and unlike
// increase(), which extrapolates; last_over_time keeps the metric name, so that
// one request is enough for many metrics. Only a counter that is reset within a
// step loses what it counted between the step's start and the reset.
func (s *Source) readSteps(ctx context.Context, names []string, w span, add func(series.Series) error) (int, error) {
	c := stepsCall(names, w)
	return s.readMatrices(ctx, Steps, c, w, add)
}

func stepsCall(names []string, w span) call {
	return call{
		path: "/api/v1/query_range",
		form: url.Values{
			"query": {fmt.Sprintf("last_over_time(%s[%dms])", selector(names), w.step)},
			"start": {seconds(w.from + w.step)},
			"end":   {seconds(w.to)},
			"step":  {seconds(w.step)},
			// VictoriaMetrics' cache moves the steps to round times.
			"nocache": {"1"},
		},
	}
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
	s.samples.WithLabelValues(string(way)).Add(float64(d.kept))
	return d.result(err)
}
