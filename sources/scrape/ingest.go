package scrape

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
)

// Reasons for single samples to be dropped, without harm to the scrape.
const (
	dropOutOfOrder  = "out_of_order"
	dropDuplicate   = "duplicate"
	dropOutOfBounds = "out_of_bounds"
)

// ingest takes one answer apart and appends its samples.
type ingest struct {
	set    *settings
	target labels.Labels
	cache  *cache
	app    storage.AppenderV2
	ts     int64 // the time of the scrape, milliseconds
	// room is how many more series the store takes.
	room int64

	// samples were in the answer, stored of them were appended.
	samples, stored int

	dropped drops
	// search says that the parser must search the text for start times;
	// misses counts the samples of the metric for which it did so in vain.
	search  bool
	misses  int
	builder labels.Builder
	lset    labels.Labels
}

// drops count the samples that were dropped, by reason.
type drops struct{ outOfOrder, duplicate, outOfBounds int }

func (d drops) any() bool { return d != drops{} }

// use makes app the appender, of the store's given generation.
func (in *ingest) use(app storage.AppenderV2, generation uint64) {
	in.app = app
	in.cache.meet(generation)
}

// body appends all samples of the answer at the time of the scrape: timestamps
// that the target writes are passed over, so that a wrong clock does no harm.
func (in *ingest) body(b []byte, contentType string) *failure {
	opts := textparse.ParserOptions{
		IgnoreNativeHistograms:                  !in.set.native,
		KeepClassicOnClassicAndNativeHistograms: true,
		OpenMetricsSkipSTSeries:                 true,
	}
	if contentType == "" {
		opts.FallbackContentType = "text/plain"
	}
	p, err := textparse.New(b, contentType, nil, opts)
	if p == nil {
		return fail(outcomeMalformed, "correct metrics_path (or the label __metrics_path__)",
			"answer of type %q is no metrics page: %w", clip(contentType), clipped{err})
	}
	_, in.search = p.(*textparse.OpenMetricsParser)
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fail(outcomeMalformed, "correct what the target exposes", "parse answer after %d samples: %w", in.samples, clipped{err})
		}
		if entry == textparse.EntryType {
			in.misses = 0
		}
		if entry != textparse.EntrySeries && entry != textparse.EntryHistogram {
			continue
		}
		in.samples++
		if in.samples > in.set.sampleLimit {
			return fail(outcomeLimit, "expose less, or raise sample_limit", "answer has more than %d samples", in.set.sampleLimit)
		}
		if f := in.sample(p, entry); f != nil {
			return f
		}
	}
}

// sample appends the sample that the parser stands at.
func (in *ingest) sample(p textparse.Parser, entry textparse.Entry) *failure {
	var (
		series []byte
		v      float64
		h      *histogram.Histogram
		fh     *histogram.FloatHistogram
	)
	if entry == textparse.EntryHistogram {
		series, _, h, fh = p.Histogram()
		unmark(h, fh)
		if err := fit(h, fh); err != nil {
			return fail(outcomeLimit, "let the target use fewer buckets", "native histogram %s: %w", clip(string(series)), err)
		}
	} else {
		series, _, v = p.Series()
		if value.IsStaleNaN(v) { // as in unmark
			v = math.Float64frombits(value.NormalNaN)
		}
	}
	e, known := in.cache.entries[string(series)]
	if known && e.seen == in.cache.iter {
		in.dropped.duplicate++
		return nil
	}
	if !known {
		p.Labels(&in.lset)
		lset, f := in.label(in.lset)
		if f != nil {
			return f
		}
		if in.room <= 0 {
			return fail(outcomeLimit, "stop what makes ever new label values, or raise series_limit", "the store is full of series: no new ones (%s) are taken", clip(string(series)))
		}
		in.room--
		e = &cacheEntry{labels: lset}
	}
	ref, err := in.app.Append(e.ref, e.labels, e.startOf(in.start(p), in.ts), in.ts, v, h, fh, storage.AOptions{})
	if err != nil && !in.dropped.take(err) {
		return fail(outcomeMalformed, "correct what the target exposes", "store %s: %w", clip(string(series)), clipped{err})
	}
	if err == nil {
		e.ref = ref
		in.stored++
	}
	// A sample that was dropped is still a sign of life of its series.
	if known {
		e.seen = in.cache.iter
	} else if err == nil {
		in.cache.add(string(series), e)
	}
	return nil
}

// start is the start time of the sample that the parser stands at, 0 if it tells
// none. OpenMetrics has it in a line of its own that comes later, for which the
// parser reads up to the end of the metric: a metric without such lines would
// cost the square of its length, so a few samples without one are enough to
// believe that there is none.
func (in *ingest) start(p textparse.Parser) int64 {
	const enough = 16
	if in.search && in.misses >= enough {
		return 0
	}
	st := p.StartTimestamp()
	if st == 0 {
		in.misses++
	}
	return st
}

// take counts the error of a sample that may be dropped.
func (d *drops) take(err error) bool {
	switch {
	case errors.Is(err, storage.ErrOutOfOrderSample), errors.Is(err, storage.ErrTooOldSample):
		d.outOfOrder++
	case errors.Is(err, storage.ErrDuplicateSampleForTimestamp):
		d.duplicate++
	case errors.Is(err, storage.ErrOutOfBounds):
		d.outOfBounds++
	default:
		return false
	}
	return true
}

// label checks the labels that the target wrote and adds the target's own;
// a label that both have keeps the target's value, and what was written moves to
// exported_NAME, as in Prometheus.
func (in *ingest) label(scraped labels.Labels) (labels.Labels, *failure) {
	name := scraped.Get(model.MetricNameLabel)
	if name == "" || !scraped.IsValid(model.UTF8Validation) {
		return labels.EmptyLabels(), fail(outcomeMalformed, "correct what the target exposes", "invalid metric or label name in %s", clip(scraped.String()))
	}
	in.builder.Reset(scraped)
	in.target.Range(func(l labels.Label) {
		if was := scraped.Get(l.Name); was != "" {
			exported := model.ExportedLabelPrefix + l.Name
			for in.builder.Get(exported) != "" {
				exported = model.ExportedLabelPrefix + exported
			}
			in.builder.Set(exported, was)
		}
		in.builder.Set(l.Name, l.Value)
	})
	lset := in.builder.Labels()
	if dup, has := lset.HasDuplicateLabelNames(); has {
		return labels.EmptyLabels(), fail(outcomeMalformed, "correct what the target exposes", "label %q comes twice in %s", clip(dup), clip(name))
	}
	return lset, in.set.limits.check(name, lset)
}

// check holds the labels of a series against the limits.
func (l LabelLimits) check(name string, lset labels.Labels) (f *failure) {
	const advice = "shorten what the target exposes, or raise label_limits"
	if n := lset.Len(); n > l.Count {
		return fail(outcomeLimit, advice, "series of %s has %d labels, more than %d", clip(name), n, l.Count)
	}
	lset.Range(func(lb labels.Label) {
		switch {
		case f != nil:
		case len(lb.Name) > l.NameLength:
			f = fail(outcomeLimit, advice, "label name %s of %s is %d bytes long, more than %d", clip(lb.Name), clip(name), len(lb.Name), l.NameLength)
		case len(lb.Value) > l.ValueLength:
			f = fail(outcomeLimit, advice, "label value of %s in %s is %d bytes long, more than %d", clip(lb.Name), clip(name), len(lb.Value), l.ValueLength)
		}
	})
	return f
}

// unmark takes the stale marker out of a histogram: nobody but the scraper ends
// a series.
func unmark(h *histogram.Histogram, fh *histogram.FloatHistogram) {
	if h != nil && value.IsStaleNaN(h.Sum) {
		h.Sum = math.Float64frombits(value.NormalNaN)
	}
	if fh != nil && value.IsStaleNaN(fh.Sum) {
		fh.Sum = math.Float64frombits(value.NormalNaN)
	}
}

// fit lowers the resolution of a native histogram until it has at most
// maxNativeBuckets.
func fit(h *histogram.Histogram, fh *histogram.FloatHistogram) error {
	for {
		var n int
		var schema int32
		switch {
		case h != nil:
			n, schema = len(h.PositiveBuckets)+len(h.NegativeBuckets), h.Schema
		case fh != nil:
			n, schema = len(fh.PositiveBuckets)+len(fh.NegativeBuckets), fh.Schema
		default:
			return errors.New("is empty")
		}
		if n <= maxNativeBuckets {
			return nil
		}
		if !histogram.IsExponentialSchema(schema) || schema <= histogram.ExponentialSchemaMin {
			return fmt.Errorf("has %d buckets, more than %d", n, maxNativeBuckets)
		}
		var err error
		if h != nil {
			err = h.ReduceResolution(schema - 1)
		} else {
			err = fh.ReduceResolution(schema - 1)
		}
		if err != nil {
			return err
		}
	}
}

// stale marks the series that the scrape didn't hold as ended and returns their
// keys, to be forgotten once that is stored.
func (in *ingest) stale() ([]string, error) {
	keys := in.cache.vanished()
	for _, k := range keys {
		e := in.cache.entries[k]
		_, err := in.app.Append(e.ref, e.labels, 0, in.ts, math.Float64frombits(value.StaleNaN), nil, nil, storage.AOptions{RejectOutOfOrder: true})
		if err != nil && !in.dropped.take(err) {
			return nil, fmt.Errorf("mark %s stale: %w", clip(e.labels.String()), err)
		}
	}
	return keys, nil
}

// report appends one of the scraper's own samples about the target.
func (in *ingest) report(name string, v float64) error {
	e := in.cache.reports[name]
	if e == nil {
		in.builder.Reset(in.target)
		in.builder.Set(model.MetricNameLabel, name)
		e = &cacheEntry{labels: in.builder.Labels()}
		in.cache.reports[name] = e
	}
	ref, err := in.app.Append(e.ref, e.labels, 0, in.ts, v, nil, nil, storage.AOptions{RejectOutOfOrder: true})
	if err != nil && !in.dropped.take(err) {
		return fmt.Errorf("store %s: %w", name, err)
	}
	if err == nil {
		e.ref = ref
	}
	return nil
}

// The scraper's own samples about each target.
const (
	reportUp       = "up"
	reportDuration = "scrape_duration_seconds"
	reportSamples  = "scrape_samples_scraped"
)

// reports appends the scraper's own samples about the target.
func (in *ingest) reports(up float64, took time.Duration, samples int) error {
	return errors.Join(
		in.report(reportUp, up),
		in.report(reportDuration, took.Seconds()),
		in.report(reportSamples, float64(samples)),
	)
}

// endReports marks the scraper's own series about the target as ended.
func (in *ingest) endReports() error {
	var errs []error
	for name := range in.cache.reports {
		errs = append(errs, in.report(name, math.Float64frombits(value.StaleNaN)))
	}
	return errors.Join(errs...)
}

// String is for the log: "3 duplicate, 1 out of order".
func (d drops) String() string {
	var parts []string
	for _, r := range []struct {
		n    int
		what string
	}{{d.duplicate, "duplicate"}, {d.outOfOrder, "out of order"}, {d.outOfBounds, "too old or too far ahead"}} {
		if r.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", r.n, r.what))
		}
	}
	return strings.Join(parts, ", ")
}
