package promapi

import (
	"fmt"
	"math"
	"sort"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"aftershock/sources/series"
)

// What one series may hold in one window. A day at one sample a second is
// 86,400 samples.
const (
	maxChunk         = 1 << 20
	maxSeriesSamples = 4 << 20
	// maxSeriesBuckets bounds buckets times samples of a native histogram:
	// 128 MB.
	maxSeriesBuckets = 16 << 20
	maxLabels        = 128
	maxLabelBytes    = 16 << 10
)

// assembly collects the pieces of one series until the next one begins.
type assembly struct {
	labels labels.Labels
	// from and to bound the samples kept, in milliseconds, both included.
	from, to int64
	// lastChunk is the start of the chunk before.
	lastChunk int64

	floats samples[float64]
	hists  samples[*histogram.FloatHistogram]
	// buckets counts what the histograms hold.
	buckets int

	iter [chunkenc.EncFloatHistogramST + 1]chunkenc.Iterator
}

type samples[V any] struct {
	times  []int64
	values []V
	starts []int64
	// unsorted says that chunks overlap.
	unsorted bool
}

func (s *samples[V]) add(t, start int64, v V) {
	if n := len(s.times); n > 0 && t <= s.times[n-1] {
		s.unsorted = true
	}
	if start != 0 && s.starts == nil {
		s.starts = make([]int64, len(s.times), cap(s.times))
	}
	s.times = append(s.times, t)
	s.values = append(s.values, v)
	if s.starts != nil {
		s.starts = append(s.starts, start)
	}
}

// reset forgets the samples but keeps their memory.
func (s *samples[V]) reset() {
	clear(s.values) // histograms may go
	s.times, s.values, s.starts, s.unsorted = s.times[:0], s.values[:0], nil, false
}

// grow makes room for n more samples.
func (s *samples[V]) grow(n int) {
	if need := len(s.times) + n; need > min(cap(s.times), cap(s.values)) {
		times, values := make([]int64, len(s.times), need), make([]V, len(s.values), need)
		copy(times, s.times)
		copy(values, s.values)
		s.times, s.values = times, values
	}
}

func (s *samples[V]) Len() int           { return len(s.times) }
func (s *samples[V]) Less(i, j int) bool { return s.times[i] < s.times[j] }
func (s *samples[V]) Swap(i, j int) {
	s.times[i], s.times[j] = s.times[j], s.times[i]
	s.values[i], s.values[j] = s.values[j], s.values[i]
	if s.starts != nil {
		s.starts[i], s.starts[j] = s.starts[j], s.starts[i]
	}
}

// settle brings overlapping chunks into order; the first of two samples of one
// instant stays.
func (s *samples[V]) settle() {
	if !s.unsorted {
		return
	}
	sort.Stable(s)
	keep := 0
	for i := range s.times {
		if i > 0 && s.times[i] == s.times[keep-1] {
			continue
		}
		s.times[keep], s.values[keep] = s.times[i], s.values[i]
		if s.starts != nil {
			s.starts[keep] = s.starts[i]
		}
		keep++
	}
	s.times, s.values = s.times[:keep], s.values[:keep]
	if s.starts != nil {
		s.starts = s.starts[:keep]
	}
}

// begin starts a new series, in the memory of the one before.
func (a *assembly) begin(l labels.Labels) {
	a.labels, a.lastChunk, a.buckets = l, math.MinInt64, 0
	a.floats.reset()
	a.hists.reset()
}

// finish gives the series: as one of numbers, one of histograms, or both where
// the metric changed its type in between.
func (a *assembly) finish(add func(series.Series) error) error {
	a.floats.settle()
	a.hists.settle()
	if len(a.floats.times) > 0 {
		one := series.Series{Labels: a.labels, Times: a.floats.times, Values: a.floats.values, Starts: a.floats.starts}
		if err := add(one); err != nil {
			return err
		}
	}
	if len(a.hists.times) > 0 {
		return add(series.Series{Labels: a.labels, Times: a.hists.times, Histograms: a.hists.values, Starts: a.hists.starts})
	}
	return nil
}

// chunks adds a frame's chunks to the series. Chunks come in the order of their
// starts and may overlap; samples within a chunk ascend.
func (a *assembly) chunks(chunks []prompb.Chunk) error {
	room := 0
	for i := range chunks {
		c := &chunks[i]
		if c.MinTimeMs < a.lastChunk {
			return fmt.Errorf("its chunks are out of order (%d ms after %d ms)", c.MinTimeMs, a.lastChunk)
		}
		a.lastChunk = c.MinTimeMs
		if len(c.Data) > maxChunk {
			return fmt.Errorf("a chunk has %d bytes, over the bound of %d", len(c.Data), maxChunk)
		}
		if len(c.Data) > 2 && (c.Type == prompb.Chunk_XOR || c.Type == prompb.Chunk_XOR2) {
			// No sample takes less than one bit, whatever the header claims.
			room += min(int(c.Data[0])<<8|int(c.Data[1]), 8*len(c.Data))
		}
	}
	if len(a.floats.times)+room <= maxSeriesSamples {
		a.floats.grow(room)
	}
	for i := range chunks {
		if c := &chunks[i]; c.MaxTimeMs >= a.from && c.MinTimeMs <= a.to {
			if err := a.chunk(chunkenc.Encoding(c.Type), c.Data); err != nil {
				return err
			}
		}
	}
	return nil
}

// chunk decodes one chunk. The decoder of the TSDB trusts its input and may
// panic on a wrong one, which becomes an error here.
func (a *assembly) chunk(encoding chunkenc.Encoding, data []byte) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("a chunk of type %s can't be decoded: %v", encoding, r)
		}
	}()
	least := 3 // count and flags
	if encoding == chunkenc.EncXOR {
		least = 2
	}
	if !chunkenc.IsValidEncoding(encoding) || len(data) < least {
		return fmt.Errorf("a chunk of type %d with %d bytes isn't one", encoding, len(data))
	}
	isHistogram := encoding != chunkenc.EncXOR && encoding != chunkenc.EncXOR2
	if isHistogram && len(data) > least {
		if err := checkLayout(data[least:]); err != nil {
			return err
		}
	}
	c, err := chunkenc.FromData(encoding, data)
	if err != nil {
		return err
	}
	it := c.Iterator(a.iter[encoding])
	a.iter[encoding] = it
	switch encoding {
	case chunkenc.EncXOR:
		err = a.numbers(it)
	default:
		err = a.any(it)
	}
	if err != nil {
		return err
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("a chunk of type %s can't be decoded: %w", encoding, err)
	}
	return nil
}

// numbers takes the samples of a chunk of plain numbers: what any does, in the
// loop where nearly all the time of reading goes.
func (a *assembly) numbers(it chunkenc.Iterator) error {
	if len(a.hists.times) > 0 || a.floats.starts != nil {
		return a.any(it)
	}
	times, values, before := a.floats.times, a.floats.values, int64(math.MinInt64)
	if n := len(times); n > 0 {
		before = times[n-1]
	}
	for last := int64(math.MinInt64); it.Next() != chunkenc.ValNone; {
		t, v := it.At()
		if t <= last {
			return errBackwards(t, last)
		}
		last = t
		if t < a.from || t > a.to {
			continue
		}
		if t <= before {
			a.floats.unsorted = true
		}
		times, values = append(times, t), append(values, v)
	}
	a.floats.times, a.floats.values = times, values
	if len(times) > maxSeriesSamples {
		return fmt.Errorf("has more than %d samples in one window", maxSeriesSamples)
	}
	return nil
}

func errBackwards(t, last int64) error {
	return fmt.Errorf("samples of a chunk are out of order (%d ms after %d ms)", t, last)
}

// any takes the samples of a chunk of any type.
func (a *assembly) any(it chunkenc.Iterator) error {
	last := int64(math.MinInt64)
	for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
		t := it.AtT()
		if t <= last {
			return errBackwards(t, last)
		}
		last = t
		if t < a.from || t > a.to {
			continue
		}
		var err error
		if kind == chunkenc.ValFloat {
			_, v := it.At()
			err = a.float(t, it.AtST(), v)
		} else {
			_, h := it.AtFloatHistogram(nil)
			err = a.histogram(t, it.AtST(), h)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *assembly) float(t, start int64, v float64) error {
	if len(a.floats.times) >= maxSeriesSamples {
		return fmt.Errorf("has more than %d samples in one window", maxSeriesSamples)
	}
	// A stale marker in between histograms ends the histograms.
	if len(a.floats.times) == 0 && len(a.hists.times) > 0 && value.IsStaleNaN(v) {
		return a.histogram(t, start, &histogram.FloatHistogram{Sum: v})
	}
	a.floats.add(t, start, v)
	return nil
}

func (a *assembly) histogram(t, start int64, h *histogram.FloatHistogram) error {
	if len(a.hists.times) >= maxSeriesSamples {
		return fmt.Errorf("has more than %d histograms in one window", maxSeriesSamples)
	}
	a.buckets += len(h.PositiveBuckets) + len(h.NegativeBuckets) + len(h.PositiveSpans) + len(h.NegativeSpans)
	if a.buckets > maxSeriesBuckets {
		return fmt.Errorf("has more than %d histogram buckets in one window", maxSeriesBuckets)
	}
	if !value.IsStaleNaN(h.Sum) {
		if err := h.Validate(); err != nil {
			return fmt.Errorf("has a wrong histogram: %w", err)
		}
	}
	a.hists.add(t, start, h)
	return nil
}

// toLabels checks and converts a series' labels.
func toLabels(pairs []prompb.Label) (labels.Labels, error) {
	if len(pairs) > maxLabels {
		return labels.EmptyLabels(), fmt.Errorf("a series has %d labels, over the bound of %d", len(pairs), maxLabels)
	}
	size := 0
	b := labels.NewScratchBuilder(len(pairs))
	for _, p := range pairs {
		if size += len(p.Name) + len(p.Value); size > maxLabelBytes {
			return labels.EmptyLabels(), fmt.Errorf("a series has labels of more than %d bytes", maxLabelBytes)
		}
		if p.Value != "" {
			b.Add(p.Name, p.Value)
		}
	}
	b.Sort()
	l := b.Labels()
	if name, twice := l.HasDuplicateLabelNames(); twice {
		return labels.EmptyLabels(), fmt.Errorf("a series has the label %q twice", oneLine(name))
	}
	return l, nil
}
