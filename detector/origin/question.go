package origin

import (
	"fmt"
	"math"
	"time"

	"aftershock/detector"
)

// Metric is what a series measures of a service.
type Metric string

// The metrics that are understood.
const (
	// Latency is in seconds: the mean of a row, or a quantile of it.
	Latency Metric = "latency"
	// Requests is how many there were in a row.
	Requests Metric = "requests"
	// Availability is the share of a row's requests that didn't fail, 0 to 1.
	Availability Metric = "availability"
)

// Series is one metric of a service over the question's rows.
type Series struct {
	Service string
	Metric  Metric
	// Stat tells latencies of a service apart ("Average", "p99").
	Stat string
	// Values are one for each row, in the metric's unit; NaN where it is missing.
	Values []float64
}

// Target is where the trouble was noticed.
type Target struct {
	Service string
	Metric  Metric // Latency or Availability
	Stat    string
}

// Question is what is known of a trouble. Its rows stand in order of time,
// equally far apart but for gaps.
type Question struct {
	Times []time.Time
	// Normal is how many of the first rows are normal times, a day and more. Those
	// from Onset on show the trouble. The rows in between are just before it: they
	// hold what has changed since the normal times without being the trouble, and
	// there may be none.
	Normal, Onset int
	Series        []Series
	Graph         *detector.Graph
	Target        Target
}

// What bounds the work, which goes with the product of rows and series, and with
// the square of the rows since the onset: a week and an hour in steps of five
// minutes.
const (
	maxRows   = 2100
	maxSeries = 5000
	maxSince  = 12
)

type key struct {
	service string
	metric  Metric
	stat    string
}

// check says what is wrong with the question, and finds its series.
func (q *Question) check() (map[key][]float64, error) {
	if q.Graph == nil {
		return nil, fmt.Errorf("there is no call graph")
	}
	if q.Normal < 1 || q.Onset < q.Normal || q.Onset >= len(q.Times) {
		return nil, fmt.Errorf("%d rows with %d normal ones and the onset at %d: want a normal row and one since the onset at least",
			len(q.Times), q.Normal, q.Onset)
	}
	if since := len(q.Times) - q.Onset; since > maxSince {
		return nil, fmt.Errorf("%d rows since the onset, want at most %d", since, maxSince)
	}
	if len(q.Times) > maxRows || len(q.Series) > maxSeries {
		return nil, fmt.Errorf("%d rows of %d series, want at most %d of %d", len(q.Times), len(q.Series), maxRows, maxSeries)
	}
	for i := 1; i < len(q.Times); i++ {
		if !q.Times[i].After(q.Times[i-1]) {
			return nil, fmt.Errorf("row %d isn't after the one before it", i)
		}
	}
	if q.Target.Metric != Latency && q.Target.Metric != Availability {
		return nil, fmt.Errorf("a target's metric is %s or %s, not %q", Latency, Availability, q.Target.Metric)
	}
	series := map[key][]float64{}
	for _, s := range q.Series {
		k := key{s.Service, s.Metric, s.Stat}
		if s.Service == "" {
			return nil, fmt.Errorf("a series is of no service")
		}
		if _, twice := series[k]; twice {
			return nil, fmt.Errorf("%s has %s %s twice", s.Service, s.Metric, s.Stat)
		}
		if len(s.Values) != len(q.Times) {
			return nil, fmt.Errorf("%s %s %s has %d values for %d rows", s.Service, s.Metric, s.Stat, len(s.Values), len(q.Times))
		}
		for i, v := range s.Values {
			if math.IsInf(v, 0) || v < 0 || s.Metric == Availability && v > 1 {
				return nil, fmt.Errorf("%s %s %s is %g in row %d", s.Service, s.Metric, s.Stat, v, i)
			}
		}
		series[k] = s.Values
	}
	if _, ok := series[key{q.Target.Service, q.Target.Metric, q.Target.Stat}]; !ok {
		return nil, fmt.Errorf("the target %s has no %s %s", q.Target.Service, q.Target.Metric, q.Target.Stat)
	}
	if q.Target.Metric == Availability && requestsOf(series, q.Target.Service) == nil {
		return nil, fmt.Errorf("the target %s has an availability but no requests that it would be a share of", q.Target.Service)
	}
	return series, nil
}
