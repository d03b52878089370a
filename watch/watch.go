// Package watch is the loop: it reads frames, learns of upgrades, judges, puts
// down what is new in the journal together with the alerts that it owes, and
// follows flag flips until the indicators are back.
//
// One step is one transaction of the journal. A crash between two steps repeats
// the step, which gives the same answers, so nothing is lost and nothing is
// said twice.
package watch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"aftershock/detector"
)

// Config is what an operator sets: the judgement's own settings and how far
// behind the clock the loop reads.
type Config struct {
	detector.Config `yaml:",inline"`
	// Lag is how long after a step's end its telemetry is read.
	Lag time.Duration `yaml:"lag"`
}

// SetDefaults fills in what was left out.
func (c *Config) SetDefaults() {
	c.Config.SetDefaults()
	if c.Lag == 0 {
		c.Lag = c.Step / 2
	}
}

// Validate names every setting that can't be used, by its path.
func (c *Config) Validate(path string) []error {
	errs := c.Config.Validate(path)
	if c.Lag < 0 || c.Lag > time.Hour {
		errs = append(errs, fmt.Errorf("%s.lag: must be between 0s and 1h", path))
	}
	return errs
}

// Source delivers the frames of (start, end] in order of time.
type Source interface {
	Frames(ctx context.Context, start, end time.Time, step time.Duration, yield func(detector.Frame) error) error
}

// Changes learns of upgrades.
type Changes interface {
	// Observe answers the upgrades that are new or changed by what the frame
	// shows; Record merges one that somebody recorded, Report what a tool said of
	// one, unless it is an update of none that is known; Close ends one.
	Observe(f detector.Frame) []detector.Upgrade
	Record(u detector.Upgrade) detector.Upgrade
	Report(u detector.Upgrade, update bool) (whole detector.Upgrade, known bool)
	Close(id string, at time.Time) detector.Upgrade
	Save() ([]byte, error)
	Restore(state []byte) error
}

// Tick is what one step puts down, all of it or nothing.
type Tick struct {
	Time     time.Time
	State    []byte
	Upgrades []detector.Upgrade
	Verdicts []detector.Verdict
	Events   []detector.Event
	Alerts   []detector.Alert
	// Coverage replaces that of the same hour, unless that has more steps.
	Coverage []detector.Coverage
	Jobs     []Job
}

// Job is durable work that the step owes, unique by kind and key.
type Job struct {
	Kind, Key string
	Payload   json.RawMessage
}

// Kinds of jobs.
const (
	// JobAlert delivers a Delivery.
	JobAlert = "alert"
	// JobRecovery reports an Outcome to the switchboard.
	JobRecovery = "recovery"
	// JobReview writes the review of the upgrade that its key names.
	JobReview = "review"
)

// Delivery is the payload of JobAlert.
type Delivery struct {
	Receiver string         `json:"receiver"`
	Alert    detector.Alert `json:"alert"`
}

// Outcome is the payload of JobRecovery: whether the indicators came back after
// a toggle.
type Outcome struct {
	Toggle    string `json:"toggle"`
	Recovered bool   `json:"recovered"`
	Evidence  string `json:"evidence"`
}

// ErrInvalid says that a tick holds something that the journal can never take.
var ErrInvalid = errors.New("invalid")

// Journal is the durable side. Commit answers ErrInvalid for a tick that it
// will never take.
type Journal interface {
	State(ctx context.Context) (at time.Time, state []byte, err error)
	Commit(ctx context.Context, t Tick) error
}

// Options are the parts that the loop is made of.
type Options struct {
	Config    Config
	Source    Source
	Changes   Changes
	Journal   Journal
	Receivers []string            // of alerts
	Flags     map[string][]string // flags that gate each binary
	// Watchable says whether there is anything of an upgrade to watch; nil: of all.
	Watchable func(u detector.Upgrade) bool
	Log       logrus.FieldLogger
	Registry  prometheus.Registerer
	Now       func() time.Time // nil: time.Now
}

// Loop is the watch. Run owns its state; the other methods may be called by
// anyone.
type Loop struct {
	o       Options
	judge   *detector.Judge
	memory  memory
	metrics *metrics
	status  atomic.Pointer[Status]
	source  string // the last error of the source, for the log
	heard   []message
	blank   []byte // Changes before anything was learnt
	// torn is true while the judgement is ahead of what could be put down.
	torn bool

	mu        sync.Mutex
	inbox     []message
	receivers []string
	flags     map[string][]string
}

// Status is how the loop stands, for pages and health.
type Status struct {
	// Time is the end of the last step judged.
	Time       time.Time          `json:"time"`
	Indicators int                `json:"indicators"`
	Watched    []detector.Upgrade `json:"watched"`
	// Blind is why no telemetry can be read at present, "" when it can.
	Blind string `json:"blind,omitempty"`
	// CatchingUp is true while steps of the past are being read.
	CatchingUp bool `json:"catching_up"`
}

// New puts a loop together; Run starts it.
func New(o Options) *Loop {
	if o.Now == nil {
		o.Now = time.Now
	}
	l := &Loop{o: o, metrics: newMetrics(o.Registry), receivers: o.Receivers, flags: o.Flags}
	l.status.Store(&Status{})
	return l
}

// Status is how the loop stood after its last step.
func (l *Loop) Status() Status { return *l.status.Load() }

// Run restores the state and judges step after step until ctx ends. It answers
// an error only when it can't begin; a source that fails is tried again at the
// next step, and what was missed is caught up on.
func (l *Loop) Run(ctx context.Context) error {
	if err := l.restore(ctx); err != nil {
		return err
	}
	step := l.o.Config.Step
	for {
		now := l.o.Now()
		if end := now.Add(-l.o.Config.Lag).Truncate(step); end.After(l.memory.At) {
			l.catchUp(ctx, end)
		}
		next := l.o.Now().Add(-l.o.Config.Lag).Truncate(step).Add(step + l.o.Config.Lag)
		select {
		case <-ctx.Done():
			return l.finish()
		case <-time.After(max(step/20, next.Sub(l.o.Now()))):
		}
	}
}

// finish saves the state once more, together with what was told last, so that
// the next start has nothing to read again. What could not be put down before
// is judged again by the next start.
func (l *Loop) finish() error {
	if l.torn {
		return nil
	}
	return l.settle(context.Background())
}

// settle puts down the state at the end of the last step together with what was
// told since, without a step.
func (l *Loop) settle(ctx context.Context) error {
	tick := Tick{Time: l.memory.At}
	l.hearAll(l.memory.At, &tick)
	if err := l.commit(ctx, tick, true); err != nil {
		return err
	}
	l.attended()
	return nil
}

// mend goes back to what the journal knows after a step that it didn't take.
func (l *Loop) mend(ctx context.Context) error {
	if !l.torn {
		return nil
	}
	if err := l.restore(ctx); err != nil {
		return err
	}
	l.torn = false
	return nil
}

// catchUp reads and judges the steps up to end.
func (l *Loop) catchUp(ctx context.Context, end time.Time) {
	if err := l.mend(ctx); err != nil {
		l.noteSource(ctx, err)
		l.publish(err, true)
		return
	}
	behind := end.Sub(l.memory.At) > 3*l.o.Config.Step
	err := l.o.Source.Frames(ctx, l.memory.At, end, l.o.Config.Step, func(f detector.Frame) error {
		return l.step(ctx, f, f.Time.Before(end.Add(-2*l.o.Config.Step)))
	})
	if err == nil {
		// Steps without any data are over as well.
		l.memory.At = end
	}
	// People are heard also when there is no telemetry.
	if !l.torn && ctx.Err() == nil && (err == nil && behind || l.pending()) {
		err = errors.Join(err, l.settle(ctx))
	}
	l.noteSource(ctx, err)
	l.publish(err, behind && err != nil)
}

// noteSource logs a change of the source's health, once.
func (l *Loop) noteSource(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	text := ""
	if err != nil {
		text = err.Error()
		l.metrics.failures.Inc()
	}
	switch {
	case text != "" && l.source == "":
		l.o.Log.WithError(err).Error("a step could not be read or put down; trying again at every step")
	case text == "" && l.source != "":
		l.o.Log.Info("steps are read and put down again")
	}
	l.source = text
}

func (l *Loop) publish(err error, catching bool) {
	s := &Status{Time: l.memory.At, Indicators: l.judge.Indicators(), Watched: l.judge.Watched(), CatchingUp: catching}
	if err != nil {
		s.Blind = err.Error()
	}
	l.status.Store(s)
	l.metrics.indicators.Set(float64(s.Indicators))
	l.metrics.watched.Set(float64(len(s.Watched)))
	l.metrics.time.Set(float64(s.Time.UnixMilli()) / 1000)
}

var errStop = errors.New("stopped")

// step judges one frame. While catching up, looks and commits are rarer.
func (l *Loop) step(ctx context.Context, f detector.Frame, past bool) error {
	if ctx.Err() != nil {
		return fmt.Errorf("judge a step: %w", errStop)
	}
	began := time.Now()
	tick := Tick{Time: f.Time}
	heard := l.hearAll(f.Time, &tick)
	for _, u := range l.o.Changes.Observe(f) {
		l.upgrade(u, &tick)
	}
	l.applyFlips(f.Time)
	l.judge.Observe(f)
	l.memory.At = f.Time
	l.memory.Steps++
	l.cover(f)
	l.metrics.frames.Inc()
	if past && l.memory.Steps%5 != 0 && len(tick.Upgrades) == 0 && !heard {
		return nil
	}
	tick.Events = l.judge.Look()
	l.expire(f.Time, &tick)
	l.tellStories(f.Time, &tick)
	l.follow(f.Time, &tick)
	l.verdicts(&tick)
	l.metrics.look.Observe(time.Since(began).Seconds())
	if past && !tick.news() && !heard && l.memory.Steps%60 != 0 {
		return nil
	}
	if err := l.commit(ctx, tick, heard || tick.news() || l.memory.Steps%15 == 0); err != nil {
		return err // what was heard is heard again with the step's repetition
	}
	l.attended()
	// Catching up may take long, and must not look as if nothing happened.
	l.publish(nil, past)
	return nil
}

func (t *Tick) news() bool {
	return len(t.Events)+len(t.Upgrades)+len(t.Alerts)+len(t.Jobs) > 0
}

// commitTimeout bounds one write to the journal; a large state gets a second
// more for each slowestWrite bytes, as a step that is cut off each time is never
// over.
const (
	commitTimeout = 5 * time.Second
	slowestWrite  = 4 << 20
)

func patience(state []byte) time.Duration {
	return commitTimeout + time.Duration(len(state)/slowestWrite)*time.Second
}

// commit puts a tick down. If that fails the loop goes back to what the
// journal knows, and repeats the step. The end of the daemon doesn't tear a
// step apart: what was judged is put down.
func (l *Loop) commit(ctx context.Context, t Tick, withState bool) error {
	l.clean(&t)
	headings := l.headings(t)
	if withState {
		state, err := l.save()
		if err != nil {
			return err
		}
		t.State = state
	}
	t.Coverage = l.memory.Hours
	put, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience(t.State))
	defer cancel()
	err := l.o.Journal.Commit(put, t)
	if errors.Is(err, ErrInvalid) {
		err = l.commitRest(put, t, err)
	}
	if err != nil {
		l.torn = true
		err = fmt.Errorf("put down the step that ended at %s: %w", t.Time.Format(time.RFC3339), err)
		if ctx.Err() != nil {
			return err
		}
		if again := l.mend(ctx); again != nil {
			return fmt.Errorf("%w; and %w", err, again)
		}
		return err
	}
	l.covered()
	for _, e := range t.Events {
		l.metrics.events.WithLabelValues(e.Event).Inc()
	}
	l.report(t, headings)
	return nil
}
