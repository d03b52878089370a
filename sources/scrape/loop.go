package scrape

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/storage"
	"github.com/sirupsen/logrus"
)

// settings are what a configuration means for every scrape.
type settings struct {
	interval, timeout time.Duration
	client            *http.Client
	accept            string
	native            bool
	bodyLimit         int64
	sampleLimit       int
	seriesLimit       int64
	limits            LabelLimits
}

// loop scrapes one target, one scrape at a time, until it is stopped.
type loop struct {
	endpoint
	store   *store
	metrics *metrics
	buffers *sync.Pool
	bodies  *atomic.Int64
	log     logrus.FieldLogger
	cache   *cache
	set     *settings

	// cancel ends run, done is closed when it has ended.
	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	status TargetStatus
	// told is what the log says of the target now.
	told    outcome
	dropped bool
	quota   quota
}

// timestampTolerance is how far a scrape may begin from its schedule and still
// be stamped with it: even steps take less room on disk.
const timestampTolerance = 2 * time.Millisecond

// start runs the loop with the settings. It must not be running.
func (l *loop) start(ctx context.Context, set *settings) {
	ctx, l.cancel = context.WithCancel(ctx)
	l.done = make(chan struct{})
	l.set = set
	go func() {
		defer close(l.done)
		l.run(ctx)
	}()
}

// stop ends the loop and waits for it; a running scrape is given up.
func (l *loop) stop() {
	l.cancel()
	<-l.done
}

func (l *loop) run(ctx context.Context) {
	interval, offset := l.set.interval, l.offset(l.set.interval)
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	due := nextDue(time.Now(), interval, offset)
	for {
		timer.Reset(time.Until(due))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		now := time.Now()
		ts := now
		if d := now.Sub(due); d > -timestampTolerance && d < min(timestampTolerance, interval/100) {
			ts = due
		}
		l.scrape(ctx, ts)
		next := due.Add(interval)
		// A scrape that took its whole interval is followed by the next at once;
		// further behind (or when the clock was set) it begins anew from now on.
		if late := time.Since(next); late > interval/2 || late < -2*interval {
			if missed := late/interval + 1; late > 0 && missed < 1000 {
				l.metrics.missed.Add(float64(missed))
			}
			next = nextDue(time.Now(), interval, offset)
		}
		due = next
	}
}

// nextDue is the first instant after now that is the offset away from a multiple
// of the interval.
func nextDue(now time.Time, interval, offset time.Duration) time.Time {
	base := now.Add(-time.Duration(now.UnixNano() % int64(interval))).Add(offset)
	for !base.After(now) {
		base = base.Add(interval)
	}
	for base.Sub(now) > interval {
		base = base.Add(-interval)
	}
	return base.Round(0) // wall clock alone, so that a clock that is set is seen
}

// scrape reads the target once and stores what it said, or that it failed. When
// ctx ends on the way, nothing is stored: the daemon stops, the target didn't.
func (l *loop) scrape(ctx context.Context, ts time.Time) {
	begin := time.Now()
	buf, _ := l.buffers.Get().(*bytes.Buffer)
	if buf == nil {
		buf = &bytes.Buffer{}
	}
	held := &hold{total: l.bodies}
	defer func() {
		held.release()
		if buf.Cap() <= 8<<20 { // larger ones are rare, and soon garbage
			buf.Reset()
			l.buffers.Put(buf)
		}
	}()
	fctx, cancel := context.WithTimeout(ctx, l.set.timeout)
	contentType, f := fetch(fctx, l.set, l.url, buf, held)
	cancel()
	if ctx.Err() != nil {
		return
	}
	in := l.newIngest(ts)
	var err error
	if f == nil {
		if f, err = l.storeAnswer(ctx, in, buf.Bytes(), contentType, begin); f == nil && err != nil {
			f = fail(outcomeStorage, "", "store samples: %w", err)
		}
	}
	// A store that doesn't take the samples says nothing about the target.
	if f != nil && f.kind != outcomeStorage {
		if err := l.storeFailure(ctx, l.newIngest(ts), begin); err != nil {
			l.log.WithError(err).Debug("Kept no record of a failed scrape")
		}
	}
	l.finish(in, f, ts, time.Since(begin))
}

func (l *loop) newIngest(ts time.Time) *ingest {
	l.cache.begin()
	return &ingest{
		set: l.set, target: l.labels, cache: l.cache, ts: ts.UnixMilli(),
		room: l.set.seriesLimit - int64(l.store.headSeries()),
	}
}

// storeAnswer stores the samples of an answer in one commit with the report
// that the target is up. Nothing is stored if the answer is faulty.
func (l *loop) storeAnswer(ctx context.Context, in *ingest, body []byte, contentType string, begin time.Time) (f *failure, err error) {
	var gone []string
	err = l.store.append(ctx, func(app storage.AppenderV2, generation uint64) (err error) {
		defer func() {
			// The parsers are fed by strangers: none of them may end the daemon.
			if p := recover(); p != nil {
				err = fail(outcomeMalformed, "correct what the target exposes", "parse answer: parser gave up: %v", p)
			}
		}()
		in.use(app, generation)
		if f := in.body(body, contentType); f != nil {
			return f
		}
		if gone, err = in.stale(); err != nil {
			return err
		}
		return in.reports(1, time.Since(begin), in.samples)
	})
	if err != nil {
		l.cache.undo()
		if errors.As(err, &f) {
			return f, nil
		}
		return nil, err
	}
	for _, k := range gone {
		delete(l.cache.entries, k)
	}
	return nil, nil
}

// storeFailure ends all series of the target and stores the report that it is down.
func (l *loop) storeFailure(ctx context.Context, in *ingest, begin time.Time) error {
	var gone []string
	err := l.store.append(ctx, func(app storage.AppenderV2, generation uint64) (err error) {
		in.use(app, generation)
		if gone, err = in.stale(); err != nil {
			return err
		}
		return in.reports(0, time.Since(begin), 0)
	})
	if err != nil {
		return err
	}
	for _, k := range gone {
		delete(l.cache.entries, k)
	}
	return nil
}

// retire marks all series of a stopped loop as ended, reports included.
func (l *loop) retire(ctx context.Context, now time.Time) error {
	l.mu.Lock()
	if last := l.status.LastScrape; now.UnixMilli() <= last.UnixMilli() { // the store counts in milliseconds
		now = last.Add(time.Millisecond)
	}
	l.mu.Unlock()
	in := l.newIngest(now)
	err := l.store.append(ctx, func(app storage.AppenderV2, generation uint64) error {
		in.use(app, generation)
		if _, err := in.stale(); err != nil {
			return err
		}
		return in.endReports()
	})
	if err != nil {
		return fmt.Errorf("mark the series of %s as ended: %w", l.shown(), err)
	}
	return nil
}

// finish takes down how the scrape went: status, metrics, log.
func (l *loop) finish(in *ingest, f *failure, ts time.Time, took time.Duration) {
	kind := outcomeOK
	if f != nil {
		kind = f.kind
	} else {
		l.metrics.samples.Add(float64(in.stored))
	}
	l.metrics.scrapes.WithLabelValues(string(kind)).Inc()
	l.metrics.duration.Observe(took.Seconds())
	l.metrics.dropped.WithLabelValues(dropOutOfOrder).Add(float64(in.dropped.outOfOrder))
	l.metrics.dropped.WithLabelValues(dropDuplicate).Add(float64(in.dropped.duplicate))
	l.metrics.dropped.WithLabelValues(dropOutOfBounds).Add(float64(in.dropped.outOfBounds))

	l.mu.Lock()
	defer l.mu.Unlock()
	st := &l.status
	up := kind == outcomeOK || kind == outcomeStorage
	if up != st.Up || st.LastScrape.IsZero() {
		st.Since = ts
	}
	st.Up, st.LastScrape, st.Duration, st.Samples, st.Error = up, ts, took, in.samples, ""
	if f != nil {
		st.Error = f.Error()
	}
	l.tell(f, kind, in.dropped, ts)
}

// tell writes a line where the state has changed, as far as the quota goes: a
// target that goes up and down all the time doesn't fill the log. l.mu is held.
func (l *loop) tell(f *failure, kind outcome, d drops, now time.Time) {
	if d.any() != l.dropped && l.quota.take(now) {
		l.dropped = d.any()
		if l.dropped {
			l.log.WithField("samples", d.String()).Warn("Samples of a target are dropped: let it expose each series once, and check that clocks go forward")
		}
	}
	// A full disk was told by the store, once for all targets.
	if kind == l.told || kind == outcomeStorage || !l.quota.take(now) {
		return
	}
	first := l.told == ""
	l.told = kind
	switch {
	case f != nil:
		l.log.WithField("outcome", kind).WithError(f).Warn("Target can't be scraped")
	case !first:
		l.log.Info("Target is scraped again")
	}
}

// quota allows a burst of five and one more a minute.
type quota struct {
	spent float64
	at    time.Time
}

func (q *quota) take(now time.Time) bool {
	q.spent = max(0, q.spent-now.Sub(q.at).Minutes())
	q.at = now
	if q.spent > 4 {
		return false
	}
	q.spent++
	return true
}
