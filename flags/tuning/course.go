package tuning

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"aftershock/detector"
	"aftershock/detector/hist"
)

// Step is what callers of one build counted in one step. First, the calls whose
// first attempt failed, and Retried, those with a retry, are negative where the
// telemetry doesn't have them, and so is Failed, the calls whose every attempt did.
type Step struct {
	Time                           time.Time
	Length                         time.Duration
	Version                        string
	Calls, Retries, First, Retried float64
	Failed                         float64

	latency map[string]hist.Histogram // seconds, by the key of its indicator
}

// Recorder takes the course of one third party out of frames.
type Recorder struct {
	service, peer string
	steps         []Step
	latencies     map[string]*detector.Indicator
	counted       map[string]float64
	others        []string
	kept          int // histograms
}

// Bounds of what a recorder keeps: steps, latency indicators, and histograms of
// them.
const (
	maxSteps     = 200_000
	maxLatencies = 200
	maxKept      = 300_000
)

// NewRecorder makes one for the calls of service to peer, in the words of their
// labels.
func NewRecorder(service, peer string) *Recorder {
	return &Recorder{service: service, peer: peer, latencies: map[string]*detector.Indicator{}, counted: map[string]float64{}}
}

// Add takes what a frame says of them. Frames come in order of time; what no
// process can have counted is left out.
func (r *Recorder) Add(f detector.Frame) {
	from := len(r.steps)
	at := func(version string) *Step {
		for i := from; i < len(r.steps); i++ {
			if r.steps[i].Version == version {
				return &r.steps[i]
			}
		}
		r.steps = append(r.steps, Step{Time: f.Time, Length: f.Step, Version: version, latency: map[string]hist.Histogram{}})
		return &r.steps[len(r.steps)-1]
	}
	for i := range f.Points {
		p := &f.Points[i]
		if p.Indicator == nil || p.Indicator.Service() != r.service || len(r.steps) >= maxSteps {
			continue
		}
		switch p.Indicator.Kind {
		case detector.Retry:
			r.retries(p, at)
		case detector.Latency:
			r.latency(p, at)
		}
	}
}

func (r *Recorder) retries(p *detector.Point, at func(string) *Step) {
	if peer := p.Indicator.Peer(); peer != r.peer {
		if !slices.Contains(r.others, peer) && len(r.others) < 10 {
			r.others = append(r.others, peer)
		}
		return
	}
	if !countable(p.Total) || !countable(p.Bad) {
		return
	}
	s := at(p.Version)
	s.Calls += p.Total
	s.Retries += p.Bad
	// Below 0 stands for unknown, and stays so for the step. Counters that are read
	// one after the other may differ by a few calls.
	s.First = joined(s.First, min(p.FirstFailures, p.Total))
	s.Retried = joined(s.Retried, min(p.Retried, p.Total, p.Bad))
	if !p.CountsFailed {
		s.Failed = -1
	}
	s.Failed = joined(s.Failed, min(p.Failed, p.Total))
}

// countable says whether a process can have counted x in a step.
func countable(x float64) bool { return x >= 0 && x <= 1e12 } // false for NaN

func joined(a, b float64) float64 {
	if a < 0 || !(b >= 0) {
		return -1
	}
	return a + b
}

func (r *Recorder) latency(p *detector.Point, at func(string) *Step) {
	unsound := func(x float64) bool { return !countable(x) }
	if len(p.Hist.Counts) == 0 || slices.ContainsFunc(p.Hist.Counts, unsound) || p.Indicator.Peer() != "" && p.Indicator.Peer() != r.peer || r.kept >= maxKept {
		return
	}
	r.kept++
	key := p.Indicator.Key()
	if r.latencies[key] == nil {
		if len(r.latencies) >= maxLatencies {
			return
		}
		r.latencies[key] = p.Indicator
	}
	s := at(p.Version)
	s.latency[key] = hist.Merge(s.latency[key], p.Hist)
	r.counted[key] += p.Hist.Total()
}

// kinds of what a latency histogram is of.
const (
	ofAttempts = "attempts"
	ofCalls    = "calls"
	ofService  = "the service's requests"
)

// measured says which latency stands for the third party's, and of what it is:
// a client's for the peer, of attempts or of calls by what it counted, else that
// of the service's own route that is asked about as often as the peer.
func (r *Recorder) measured() (key, of string) {
	calls, attempts := 0.0, 0.0
	for _, s := range r.steps {
		calls, attempts = calls+s.Calls, attempts+s.Calls+s.Retries
	}
	off := func(key string, from float64) float64 { return math.Abs(math.Log(r.counted[key] / from)) }
	best := math.Inf(1)
	for k, i := range r.latencies {
		if r.counted[k] <= 0 {
			continue
		}
		d := min(off(k, calls), off(k, attempts))
		mine := i.Peer() == r.peer
		if !mine {
			d = 1e6 + off(k, calls)
		}
		if d > best || d == best && k > key {
			continue
		}
		best, key, of = d, k, ofService
		if mine {
			of = ofCalls
			if off(k, attempts) < off(k, calls) || strings.Contains(i.Metric, "attempt") {
				of = ofAttempts
			}
		}
	}
	return key, of
}

// missing is the error for a course without calls.
func (r *Recorder) missing() error {
	there := ""
	if len(r.others) > 0 {
		there = "; it retries calls of " + strings.Join(r.others, ", ")
	}
	return fmt.Errorf("%w: no calls of %s by %s with a counter of retries were measured in that time%s", ErrNoData, r.peer, r.service, there)
}

// Span is a time in which a variant was in force, and its value then where that is
// known. Zero times are open ends.
type Span struct {
	From, To time.Time
	Variant  string
	Value    json.RawMessage
}

// settling is how long after a flip calls may still be under way that began
// before it.
func settling(step time.Duration) time.Duration { return max(2*step, 5*time.Second) }

// inForce is the variant whose constants a step was counted under, "" where that
// can't be told: what ran before the flag was read, ran the safe one.
func (q *Question) inForce(s Step) string {
	if older(s.Version, q.Since) {
		return q.Safe
	}
	for _, span := range q.Spans {
		from, to := span.From, span.To
		if !from.IsZero() {
			from = from.Add(settling(s.Length) + s.Length)
		}
		if !s.Time.Before(from) && (to.IsZero() || !s.Time.After(to)) {
			return span.Variant
		}
	}
	return ""
}

// older says whether a version comes before another, by the numbers between their
// dots; versions that can't be compared don't.
func older(version, than string) bool {
	a, okA := Numbers(version)
	b, okB := Numbers(than)
	return okA && okB && slices.Compare(a, b) < 0
}

// Numbers takes a version such as v4.2.0 apart, without what follows a hyphen or
// plus sign.
func Numbers(version string) (all []int, ok bool) {
	version, _, _ = strings.Cut(strings.TrimPrefix(version, "v"), "+")
	version, _, _ = strings.Cut(version, "-")
	for part := range strings.SplitSeq(version, ".") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return nil, false
		}
		all = append(all, n)
	}
	return all, true
}
