package rehearsal

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"
	"time"
)

// Phases of a rehearsal.
const (
	Before = "before"
	After  = "after"
)

// Seconds is a duration that is written as seconds.
type Seconds time.Duration

// MarshalJSON writes seconds.
func (s Seconds) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(s).Seconds()) }

// UnmarshalJSON reads seconds.
func (s *Seconds) UnmarshalJSON(data []byte) error {
	var x float64
	if err := json.Unmarshal(data, &x); err != nil {
		return err
	}
	if !(x >= 0 && x < 1e9) {
		return fmt.Errorf("%v is no time in seconds", x)
	}
	*s = Seconds(x*1e9 + 0.5)
	return nil
}

// Measured is what one run of a phase measured. Its JSON form is what a rehearsal's directory
// keeps beside the telemetry.
type Measured struct {
	Phase string `json:"phase"`
	// Run counts the runs of the phase from 1 on.
	Run     int    `json:"run"`
	Target  string `json:"target"`
	Service string `json:"service,omitempty"`
	// Started is when the measurement began, warm-up over. It has Steps steps of Step
	// each, of Length altogether.
	Started time.Time `json:"started_at"`
	Step    Seconds   `json:"step_seconds"`
	Length  Seconds   `json:"length_seconds"`
	// Warmup is how long traffic flowed before that; nil where an older version kept it.
	Warmup *Seconds `json:"warmup_seconds,omitempty"`
	Steps  int      `json:"steps"`
	// Seed, Uniform, Profile (a digest) and Rate (requests/s) are those of the schedule:
	// two phases compare where they are the same.
	Seed    uint64  `json:"seed"`
	Uniform bool    `json:"uniform,omitempty"`
	Profile string  `json:"profile"`
	Rate    float64 `json:"rate"`
	// Sent counts requests that were measured, Failed those without an answer or with a
	// status from 500 on, Abandoned those that were cut off when the phase was ended
	// early. Codes are the answers' statuses.
	Sent      int            `json:"sent"`
	Failed    int            `json:"failed"`
	Abandoned int            `json:"abandoned,omitempty"`
	Codes     map[string]int `json:"codes,omitempty"`
	// Concurrency is how many requests were under way on average.
	Concurrency float64 `json:"concurrency"`
	// P99 is the 99th percentile of the latencies, LateP99 that of how late this machine
	// sent requests, both in seconds. Late says that it matters: the figures are this
	// machine's as much as the copy's.
	P99     float64 `json:"p99_seconds"`
	LateP99 float64 `json:"late_p99_seconds"`
	Late    bool    `json:"late,omitempty"`
	// Logins counts logins, those before the measurement and in the warm-up included, and
	// LoginsFailed those that failed. Flows counts the flows that began while it was
	// measured, FlowsCompleted those that came to their end by then, and FlowsBroken those
	// that couldn't go on.
	Logins         int `json:"logins,omitempty"`
	LoginsFailed   int `json:"logins_failed,omitempty"`
	Flows          int `json:"flows,omitempty"`
	FlowsCompleted int `json:"flows_completed,omitempty"`
	FlowsBroken    int `json:"flows_broken,omitempty"`
	// Partial says why the phase ended early, empty where it didn't.
	Partial string `json:"partial,omitempty"`
	// Doubts are sentences on what the figures can't be trusted with.
	Doubts []string `json:"doubts,omitempty"`

	tally  *tally
	routes []Route
	all    int // warm-up included
	busy   float64
	lates  []uint32 // by bucket
	times  []uint32 // latencies by bucket
}

// count takes in one outcome.
func (m *Measured) count(o *outcome, warm bool, late time.Duration) {
	m.all++
	if warm {
		return
	}
	if m.lates == nil {
		m.lates, m.times, m.Codes = make([]uint32, len(bounds)+1), make([]uint32, len(bounds)+1), map[string]int{}
	}
	m.lates[bucket(late)]++
	m.times[bucket(o.latency)]++
	m.Sent++
	if o.failed() {
		m.Failed++
	}
	if _, known := m.Codes[o.code]; known || len(m.Codes) < 100 {
		m.Codes[o.code]++
	}
	m.busy += o.latency.Seconds()
	m.tally.add(*o)
}

// A delay of sending shows in the figures from lateLeast seconds on, if it is more
// than lateShare of the latencies where both are compared, at their 99th percentiles.
const (
	lateLeast = 0.005
	lateShare = 0.25
)

// conclude fills in what is known at the end.
func (m *Measured) conclude() {
	m.Steps = len(m.tally.steps)
	if m.lates != nil {
		longest := bounds[len(bounds)-1]
		m.LateP99, m.P99 = min(quantile(m.lates, 0.99), longest), min(quantile(m.times, 0.99), longest)
		m.Late = m.LateP99 >= lateLeast && m.LateP99 > lateShare*m.P99
	}
	if span := (time.Duration(m.Step) * time.Duration(m.Steps)).Seconds(); span > 0 {
		m.Concurrency = round(m.busy / span)
	}
	if m.Late {
		m.Doubts = append(m.Doubts, fmt.Sprintf("this machine is too busy or too small for the traffic: it sent one request in a hundred %.3g s late, where their latency is %.3g s", m.LateP99, m.P99))
	}
	m.doubtCodes()
}

// doubtCodes doubts routes that hardly do what production does: most of their answers
// are 4xx.
func (m *Measured) doubtCodes() {
	for i := range m.routes {
		codes, total, refused := map[string]int{}, 0, 0
		for _, step := range m.tally.steps {
			for code, n := range step[i].codes {
				codes[code] += int(n)
				total += int(n)
				if len(code) == 3 && code[0] == '4' {
					refused += int(n)
				}
			}
		}
		if total == 0 || refused*2 < total {
			continue
		}
		names := slices.Collect(maps.Keys(codes))
		sort.Slice(names, func(a, b int) bool {
			return cmp.Or(cmp.Compare(codes[names[b]], codes[names[a]]), cmp.Compare(names[a], names[b])) < 0
		})
		m.Doubts = append(m.Doubts, fmt.Sprintf("%.0f%% of %s %s were answered %s: it hardly does what production does; a credential, a body or a value may be missing",
			100*float64(codes[names[0]])/float64(total), m.routes[i].Method, m.routes[i].Route, names[0]))
	}
}

// Comparable says why two phases can't be compared, nil where they can: each run after
// has the traffic and the schedule of its like before.
func Comparable(before, after []*Measured) error {
	if len(before) == 0 || len(after) == 0 || len(after) > len(before) {
		return fmt.Errorf("%d runs before and %d after: want as many", len(before), len(after))
	}
	for i, b := range before {
		if b.Profile != before[0].Profile || b.Uniform != before[0].Uniform || b.Length != before[0].Length || b.Step != before[0].Step {
			return fmt.Errorf("the runs before had different traffic: run %d isn't like the first", i+1)
		}
		if i > 0 && !b.Started.After(before[i-1].Started) {
			return fmt.Errorf("run %d before began before run %d", i+1, i)
		}
	}
	last := before[len(before)-1]
	for i, a := range after {
		if err := comparable(before[i], a, i+1); err != nil {
			return err
		}
		if !a.Started.After(last.Started) {
			return fmt.Errorf("run %d after began at %s, not after the run that goes before it (%s)", i+1, a.Started.Format(time.RFC3339), last.Started.Format(time.RFC3339))
		}
		last = a
	}
	return nil
}

func comparable(before, after *Measured, run int) error {
	switch {
	case before.Phase != Before || after.Phase != After:
		return fmt.Errorf("want the phases before and after, have %.20q and %.20q", before.Phase, after.Phase)
	case before.Profile != after.Profile:
		return fmt.Errorf("the phases had different traffic: profile %.24s before, %.24s after", before.Profile, after.Profile)
	case before.Seed != after.Seed || before.Uniform != after.Uniform || before.Length != after.Length || before.Step != after.Step:
		return fmt.Errorf("the phases had different schedules in run %d: give both the same --seed, --pacing and --duration", run)
	}
	return nil
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
