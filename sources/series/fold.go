package series

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"aftershock/detector"
)

// Config says how a Fold cuts time and where it stops growing. Zero limits
// take the defaults.
type Config struct {
	// Start is the end of the step before the first frame. Earlier samples
	// only prime the counters.
	Start time.Time
	// Step is the length of a frame; at least a millisecond.
	Step time.Duration
	// Lookback is how long a series may be silent and still be the same count:
	// what was counted across a longer gap is left out, since nobody knows
	// when in the gap it happened. Default: 5 minutes or 5 steps, whichever is
	// longer. A fold that was given the samples since Start-Lookback gives the
	// same frames as one that was given all of them, save that it can't know
	// an instance that came back after a longer gap.
	Lookback time.Duration
	// MaxSeries bounds the raw series that are remembered (default 1,000,000),
	// MaxIndicators the indicators (default 20,000), MaxPerMetric the
	// indicators of one metric (default 5,000), so that a label with a value
	// for each user can't push out everything else.
	MaxSeries, MaxIndicators, MaxPerMetric int
	// MaxLabels bounds the bytes of one series' label set (default 16 KiB).
	MaxLabels int
}

func (c Config) withDefaults() Config {
	if c.Lookback == 0 {
		c.Lookback = Lookback(c.Step)
	}
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&c.MaxSeries, 1_000_000)
	def(&c.MaxIndicators, 20_000)
	def(&c.MaxPerMetric, 5_000)
	def(&c.MaxLabels, 16<<10)
	return c
}

// Lookback is the default of Config.Lookback for a step.
func Lookback(step time.Duration) time.Duration {
	return max(5*time.Minute, 5*step)
}

// Fold turns samples into frames. Samples come by Add in any order of series,
// each series' own in order of time; Emit gives all frames up to an instant
// and forgets their samples, except the last of each series. So a daemon moves
// it on step by step at a cost that doesn't grow with history, and a file goes
// through it in one piece, with the same frames as the result.
//
// The increment between two consecutive samples of a series belongs to the
// step that holds the later one. A Fold isn't safe for concurrent use.
type Fold struct {
	cfg                         Config
	step, lookback, guard, keep int64 // milliseconds
	at                          int64 // end of the last emitted step
	first                       int64 // time of the earliest sample of all
	swept                       int64
	primed                      bool // the samples up to Start are folded

	columns   map[uint64][]*column
	size      int
	families  map[string]*family
	order     []*family
	metrics   map[string]*metric
	instances map[string]*instance
	people    []*instance // the instances in order of their appearance
	pairs     map[string]*pair
	unlinked  bool
	starts    map[string]*column // created series by family key
	ups       []*column

	indicators map[string]*indicator
	perMetric  map[string]int
	cells      map[cellKey]*cell
	sorted     []*cell
	unsorted   bool
	edges      map[[2]string]*edge
	sortedEdge []*edge

	dropped map[string]int
}

// New starts a fold.
func New(cfg Config) (*Fold, error) {
	if cfg.Step < time.Millisecond {
		return nil, fmt.Errorf("start fold: step %s is shorter than a millisecond", cfg.Step)
	}
	if cfg.Start.IsZero() {
		return nil, errors.New("start fold: no start time")
	}
	cfg = cfg.withDefaults()
	f := &Fold{
		cfg:        cfg,
		step:       cfg.Step.Milliseconds(),
		lookback:   cfg.Lookback.Milliseconds(),
		at:         cfg.Start.UnixMilli(),
		first:      math.MaxInt64,
		swept:      cfg.Start.UnixMilli(),
		columns:    make(map[uint64][]*column),
		families:   make(map[string]*family),
		metrics:    make(map[string]*metric),
		instances:  make(map[string]*instance),
		pairs:      make(map[string]*pair),
		starts:     make(map[string]*column),
		indicators: make(map[string]*indicator),
		perMetric:  make(map[string]int),
		cells:      make(map[cellKey]*cell),
		edges:      make(map[[2]string]*edge),
		dropped:    make(map[string]int),
	}
	f.guard = min(1000, f.step/2)
	f.keep = 12 * f.lookback
	return f, nil
}

// At is the end of the last emitted step.
func (f *Fold) At() time.Time { return time.UnixMilli(f.at).UTC() }

// Dropped says how many series were turned away since the last call, by reason.
func (f *Fold) Dropped() map[string]int {
	d := f.dropped
	f.dropped = make(map[string]int)
	return d
}

// Len is the number of raw series that the fold remembers.
func (f *Fold) Len() int { return f.size }

// Indicators is the number of indicators found so far.
func (f *Fold) Indicators() int { return len(f.indicators) }

// Add takes samples of a series. It copies what it keeps of the slices but
// keeps Labels and the histograms, which must not change afterwards. Samples
// that aren't later than the series' last one are skipped, so a read that was
// broken off can be repeated. The error says that the series is malformed;
// series over a limit are left out and counted instead (see Dropped).
func (f *Fold) Add(s Series) error {
	if err := s.check(); err != nil {
		return err
	}
	if len(s.Times) == 0 {
		return nil
	}
	h := s.Labels.Hash()
	var col *column
	for _, c := range f.columns[h] {
		if c.native == (s.Histograms != nil) && labels.Equal(c.labels, s.Labels) {
			col = c
			break
		}
	}
	if col == nil {
		if col = f.admit(s, h); col == nil {
			return nil
		}
	}
	col.add(s)
	for i, t := range s.Times {
		if s.Histograms != nil || !value.IsStaleNaN(s.Values[i]) {
			f.first = min(f.first, t)
			if col.inst != nil {
				col.inst.first = min(col.inst.first, t)
			}
			break
		}
	}
	return nil
}

// admit makes the column of a series that is seen for the first time, or
// returns nil if it serves nothing or goes over a limit.
func (f *Fold) admit(s Series, hash uint64) *column {
	metric := s.Labels.Get(model.MetricNameLabel)
	n := parseName(metric)
	if n.role == ignored {
		return nil
	}
	if size := int(s.Labels.ByteSize()); size > f.cfg.MaxLabels {
		f.dropped["labels too long"]++
		return nil
	}
	if f.size >= f.cfg.MaxSeries {
		f.dropped["too many series"]++
		return nil
	}
	col := &column{labels: s.Labels, native: s.Histograms != nil}
	if !f.place(col, metric, n) {
		return nil
	}
	f.columns[hash] = append(f.columns[hash], col)
	f.size++
	return col
}

func (s Series) check() error {
	for i := 1; i < len(s.Times); i++ {
		if s.Times[i] <= s.Times[i-1] {
			return fmt.Errorf("fold %s: sample %d at %d ms isn't later than the one before, at %d ms", s.Labels, i, s.Times[i], s.Times[i-1])
		}
	}
	n := len(s.Values)
	if s.Histograms != nil {
		n = len(s.Histograms)
		if s.Values != nil {
			return fmt.Errorf("fold %s: both floats and histograms", s.Labels)
		}
	}
	if n != len(s.Times) {
		return fmt.Errorf("fold %s: %d samples at %d times", s.Labels, n, len(s.Times))
	}
	if s.Starts != nil && len(s.Starts) != len(s.Times) {
		return fmt.Errorf("fold %s: %d start times of %d samples", s.Labels, len(s.Starts), len(s.Times))
	}
	return nil
}

// Emit gives every frame that ends in (At, until] to yield, in order of time,
// and forgets their samples. Steps in which no sample lies have no frame. The
// frame is the receiver's to keep. If yield returns an error, Emit stops with
// it; the frame counts as emitted.
func (f *Fold) Emit(until time.Time, yield func(detector.Frame) error) error {
	f.link()
	defer f.forget()
	if !f.primed {
		f.primed = true
		f.fold(f.at)
		f.frame(f.at) // of what was counted before the first step
	}
	for f.at+f.step <= until.UnixMilli() {
		f.at += f.step
		hi := f.at
		if !f.fold(hi) {
			continue
		}
		if err := yield(f.frame(hi)); err != nil {
			return err
		}
	}
	return nil
}
