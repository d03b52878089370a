// Package series turns raw series of samples into frames of increments: it
// finds the indicators among the metric names, takes counter resets out, folds
// pods and instances into service identities and puts what each step counted
// into detector.Frame. Every way of reading telemetry ends here, so that all of
// them give equal numbers.
package series

import (
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
)

// Series is one series of samples in order of time, as a source delivers it.
// Exactly one of Values and Histograms is as long as Times.
type Series struct {
	Labels labels.Labels
	// Times are milliseconds since the epoch, strictly ascending.
	Times []int64
	// Values may hold stale markers, which end the series at that time.
	Values     []float64
	Histograms []*histogram.FloatHistogram
	// Starts are the created or start timestamps (milliseconds) of each
	// sample's counter, 0 where unknown; nil where there are none at all.
	Starts []int64
}
