package scrape

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"aftershock/sources/series"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/config"
	"github.com/sirupsen/logrus"
)

// Scraper scrapes targets into a TSDB of its own. Open makes one.
type Scraper struct {
	store   *store
	metrics *metrics
	log     logrus.FieldLogger
	buffers sync.Pool
	bodies  atomic.Int64

	// wanted says which metrics are read back.
	wanted func(metric string) bool

	// reload carries a new configuration to Run.
	reload chan *plan
	// closed ends Run, running is held while it runs.
	closed  chan struct{}
	closing sync.Once
	running sync.Mutex

	// mu guards what stands below; only Run changes loops.
	mu    sync.Mutex
	plan  *plan
	loops map[string]*loop
}

// plan is a configuration made ready.
type plan struct {
	Config
	set   *settings
	lists *lists
}

// Open opens the TSDB in dir/tsdb, or makes it, and gets ready to scrape. It
// fails with one clear error when another process has it open. Samples can be
// read from then on; Run scrapes. reg may be nil.
func Open(ctx context.Context, c Config, dir string, log logrus.FieldLogger, reg prometheus.Registerer) (*Scraper, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p, err := newPlan(c)
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(reg)
	if err != nil {
		return nil, err
	}
	st, err := openStore(filepath.Join(dir, "tsdb"), p.Config, m, log)
	if err != nil {
		m.unregister()
		return nil, err
	}
	return &Scraper{
		store: st, metrics: m, log: log, plan: p, wanted: series.Wanted,
		reload: make(chan *plan), closed: make(chan struct{}), loops: map[string]*loop{},
	}, nil
}

// newPlan fills the defaults, validates and makes the HTTP client.
func newPlan(c Config) (*plan, error) {
	c.SetDefaults()
	if errs := c.Validate("sources.scrape"); len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	client, err := config.NewClientFromConfig(c.HTTPClient, "scrape", config.WithUserAgent("aftershock"))
	if err != nil {
		return nil, fmt.Errorf("sources.scrape.http_client: %w", err)
	}
	set := &settings{
		interval: time.Duration(c.Interval), timeout: time.Duration(c.Timeout), client: client,
		native: *c.NativeHistograms, accept: acceptText,
		bodyLimit: int64(c.BodySizeLimit), sampleLimit: c.SampleLimit, seriesLimit: int64(c.SeriesLimit), limits: c.LabelLimits,
	}
	if set.native {
		set.accept = acceptProto
	}
	return &plan{Config: c, set: set, lists: newLists(c.Files)}, nil
}

// maintainInterval is how often the store is looked after.
const maintainInterval = time.Minute

// Run scrapes until ctx ends or Close is called, and returns when every scrape
// has ended. It runs once at a time.
func (s *Scraper) Run(ctx context.Context) error {
	if !s.running.TryLock() {
		return errors.New("run the scraper: it runs already")
	}
	defer s.running.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	var maintenance sync.WaitGroup
	maintenance.Go(func() { s.maintain(ctx) })
	defer maintenance.Wait()
	defer s.stopLoops()
	defer cancel() // first of all

	s.apply(ctx, s.currentPlan(), false)
	for {
		timer := time.NewTimer(s.currentPlan().set.interval)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-s.closed:
			timer.Stop()
			return nil
		case p := <-s.reload:
			timer.Stop()
			s.apply(ctx, p, true)
		case <-timer.C:
			s.apply(ctx, s.currentPlan(), false)
		}
		s.countTargets()
	}
}

// maintain looks after the store until ctx ends: every minute, every second
// while it can't write.
func (s *Scraper) maintain(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			if s.store.impaired() || now.Sub(last) >= maintainInterval {
				s.store.maintain(now)
				last = now
			}
		}
	}
}

// Reload makes c hold from now on: targets that stay keep their series. A c that
// isn't valid changes nothing. Retention and min_free hold from the next start.
func (s *Scraper) Reload(c Config) error {
	p, err := newPlan(c)
	if err != nil {
		return err
	}
	for {
		if s.running.TryLock() { // nobody scrapes: the next Run takes it
			s.setPlan(p)
			s.running.Unlock()
			return nil
		}
		select {
		case s.reload <- p:
			return nil
		case <-s.closed:
			return errors.New("reload the scraper: it is closed")
		case <-time.After(100 * time.Millisecond): // Run may have ended meanwhile
		}
	}
}

// Close ends Run, waits for it and closes the TSDB. It may be called twice.
func (s *Scraper) Close() error {
	var err error
	s.closing.Do(func() {
		close(s.closed)
		s.running.Lock() // kept: Run doesn't start again
		s.currentPlan().set.client.CloseIdleConnections()
		s.metrics.unregister()
		err = s.store.close()
	})
	return err
}

func (s *Scraper) currentPlan() *plan {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.plan
}

func (s *Scraper) setPlan(p *plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan = p
}

// apply reads the lists and starts and stops loops so that those of the plan
// run; changed says that the settings are new, so that the others start again.
func (s *Scraper) apply(ctx context.Context, p *plan, changed bool) {
	old := s.currentPlan()
	s.setPlan(p)
	groups, changes := p.lists.poll(time.Now())
	s.tell(changes)
	var all []endpoint
	for _, g := range append(p.Targets[:len(p.Targets):len(p.Targets)], groups...) {
		all = append(all, p.endpoints(g)...)
	}
	wanted, err := unique(all)
	if err != nil {
		s.log.WithError(err).Error("Too many targets")
	}
	keep := make(map[string]endpoint, len(wanted))
	for _, e := range wanted {
		keep[e.key()] = e
	}
	var removed, restart []*loop
	s.mu.Lock()
	for k, l := range s.loops {
		if _, ok := keep[k]; !ok {
			delete(s.loops, k)
			removed = append(removed, l)
		} else if changed {
			restart = append(restart, l)
		}
	}
	s.mu.Unlock()
	s.retire(ctx, removed)
	stopAll(restart)
	for _, l := range restart {
		l.start(ctx, p.set)
	}
	s.mu.Lock()
	for k, e := range keep {
		if s.loops[k] == nil {
			l := s.newLoop(e)
			s.loops[k] = l
			l.start(ctx, p.set)
		}
	}
	s.mu.Unlock()
	if changed && old != p {
		old.set.client.CloseIdleConnections()
	}
	s.countTargets()
}

func (s *Scraper) newLoop(e endpoint) *loop {
	return &loop{
		endpoint: e, store: s.store, metrics: s.metrics, buffers: &s.buffers, bodies: &s.bodies, cache: newCache(),
		log:    s.log.WithFields(logrus.Fields{"target": e.shown(), "job": e.labels.Get("job"), "instance": e.labels.Get("instance")}),
		status: TargetStatus{URL: e.shown(), Labels: e.labels.Map()},
	}
}

// retire stops the loops of targets that are no longer listed and ends their series.
func (s *Scraper) retire(ctx context.Context, loops []*loop) {
	stopAll(loops)
	for _, l := range loops {
		if err := l.retire(ctx, time.Now()); err != nil {
			s.log.WithError(err).WithField("target", l.shown()).Debug("Left the series of a removed target open")
		}
	}
}

func (s *Scraper) stopLoops() {
	s.mu.Lock()
	loops := make([]*loop, 0, len(s.loops))
	for _, l := range s.loops {
		loops = append(loops, l)
	}
	clear(s.loops)
	s.mu.Unlock()
	stopAll(loops)
}

// stopAll tells all loops to end before it waits for the first.
func stopAll(loops []*loop) {
	for _, l := range loops {
		l.cancel()
	}
	for _, l := range loops {
		l.stop()
	}
}

// tell writes what changed about the files of targets.
func (s *Scraper) tell(changes []listChange) {
	for _, c := range changes {
		log := s.log.WithField("file", c.file)
		if c.err == nil {
			log.Info("File of targets can be read again")
			continue
		}
		s.metrics.fileErrors.Inc()
		log.WithError(c.err).WithField("lists_held", c.held).Warn("File of targets can't be used; what it said last still holds")
	}
}

// countTargets sets the gauge of the targets' states.
func (s *Scraper) countTargets() {
	n := map[string]int{"up": 0, "down": 0, "new": 0}
	for _, t := range s.Targets() {
		switch {
		case t.LastScrape.IsZero():
			n["new"]++
		case t.Up:
			n["up"]++
		default:
			n["down"]++
		}
	}
	for state, count := range n {
		s.metrics.targets.WithLabelValues(state).Set(float64(count))
	}
}

// Targets lists how each target does, ordered by job, instance and URL. It is
// empty while Run doesn't run.
func (s *Scraper) Targets() []TargetStatus {
	s.mu.Lock()
	loops := make([]*loop, 0, len(s.loops))
	for _, l := range s.loops {
		loops = append(loops, l)
	}
	s.mu.Unlock()
	out := make([]TargetStatus, 0, len(loops))
	for _, l := range loops {
		l.mu.Lock()
		out = append(out, l.status)
		l.mu.Unlock()
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i], out[j]
		for _, n := range []string{"job", "instance"} {
			if a.Labels[n] != b.Labels[n] {
				return a.Labels[n] < b.Labels[n]
			}
		}
		return a.URL < b.URL
	})
	return out
}
