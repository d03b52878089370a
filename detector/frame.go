package detector

import (
	"slices"
	"time"

	"aftershock/detector/hist"
)

// Frame is everything that was counted in one step (a minute, usually): what
// every source of telemetry delivers and the only thing that the judgement
// reads. Frames come in order of time; a step in which nothing could be read
// may be missing.
type Frame struct {
	// Time is the end of the step, UTC.
	Time time.Time
	// Step is the step's length.
	Step time.Duration
	// Points holds the increments of the step, at most one point for each
	// indicator, instance and version.
	Points []Point
	// Calls says who called whom in the step, where the telemetry knows it.
	Calls []Call
	// Builds says which build of which binary each instance ran at the end of
	// the step, where the telemetry knows it.
	Builds []Build
	// Up and Targets say how many of the known targets answered in the step.
	// Targets is 0 where the source can't tell.
	Up, Targets int
}

// Point is what one instance counted for one indicator in one step, after
// counter resets were taken out.
type Point struct {
	// Indicator is shared by all points of the indicator from one source.
	Indicator *Indicator
	// Instance names the process that counted ("" where the series have no
	// instance-like label).
	Instance string
	// Version is the build that the instance ran, "" where unknown.
	Version string
	// Total is the number of requests (latency, error) or calls (retry).
	Total float64
	// Bad is the number of retries or of failed requests; 0 for latency.
	Bad float64
	// Hist is the step's distribution of a latency indicator in seconds.
	Hist hist.Histogram
	// Quantiles holds the values of a summary or gauge, which support weaker
	// claims than counts; empty otherwise.
	Quantiles []Quantile
	// FirstFailures is the number of calls whose first attempt failed, and
	// Retried the number of calls with at least one retry. They are negative
	// where the telemetry doesn't have them.
	FirstFailures, Retried float64
	// Failed is the number of calls whose every attempt failed; it means nothing
	// unless CountsFailed.
	Failed       float64
	CountsFailed bool
}

// mostCounted is more than any process counts in a step, leastCounted less than the
// least rate that is no rounding error.
const (
	mostCounted  = 1e12
	leastCounted = 1e-3
)

// sound says whether a process can have counted the point.
func (p *Point) sound() bool {
	count := func(x float64) bool { return x >= 0 && x <= mostCounted } // false for NaN
	if p.Indicator == nil || !count(p.Total) || !count(p.Bad) || p.Total > 0 && p.Total < leastCounted {
		return false
	}
	switch p.Indicator.Kind {
	case Latency, Retry, Error:
	default:
		return false
	}
	return p.FirstFailures <= mostCounted && !slices.ContainsFunc(p.Hist.Counts, func(x float64) bool { return !count(x) })
}

// Quantile is one value of a summary or of a gauge that reports a quantile.
type Quantile struct {
	// Q is the quantile, in 0..1.
	Q float64
	// Value is in the indicator's unit (seconds for latency).
	Value float64
}

// Call is one edge of the service graph in one step.
type Call struct {
	Client, Server string
	Count          float64
}

// Build says that an instance ran a version of a binary.
type Build struct {
	// Binary is the program's name.
	Binary string
	// Labels are the service-like labels of the series that said so (service,
	// job, namespace, ...), without instance-like ones and without the version.
	Labels map[string]string
	// Instance is the process, in the same words as Point.Instance.
	Instance string
	// Version and Revision are what the build info says ("" where absent).
	Version, Revision string
	// Toolchain is the compiler's version, where it is known.
	Toolchain string
	// Started is the start of the process, zero where unknown.
	Started time.Time
}
