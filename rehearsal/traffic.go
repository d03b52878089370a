package rehearsal

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// Options say how a phase is run.
type Options struct {
	// Phase is Before or After, Agent the User-Agent of requests that have none.
	Phase, Agent string
	// Run is which of the phase's Runs this is, from 1 on, with a Pause between them; Runs
	// of 0 is one.
	Run, Runs int
	Pause     time.Duration
	// Length is how long is measured, after a Warmup with the same traffic that isn't.
	Length, Warmup time.Duration
	// Seed and Uniform are those of the schedule, see NewSchedule.
	Seed    uint64
	Uniform bool
	// Timeout is that of one request, Grace what is given to those under way when the
	// phase is ended early (default 5s).
	Timeout, Grace time.Duration
	Limits         Config
	// Roots are the authorities of the copy's certificate; nil: the system's.
	Roots *x509.CertPool
	// Every is how often Show is called with the figures, from one goroutine.
	Every time.Duration
	Show  func(Figures)
}

// Check says why a phase of this profile can't be run under the limits.
func (o *Options) Check(p *Profile) error {
	var errs []error
	o.Limits.SetDefaults()
	errs = append(errs, o.Limits.Validate("limits")...)
	errs = append(errs, p.Validate()...)
	if peak := p.Peak(); peak > o.Limits.MaxRate {
		errs = append(errs, fmt.Errorf("the traffic is up to %.4g requests/s, the cap is %.4g: raise --max-rate or lower --scale", peak, o.Limits.MaxRate))
	}
	// A length of centuries times the runs would overflow.
	runs := time.Duration(max(1, o.Runs))
	if all := min(o.Length, CeilingDuration+1) + o.Warmup; all > o.Limits.MaxDuration || all*runs+o.Pause*(runs-1) > o.Limits.MaxDuration {
		took := "warm-up"
		if all = o.Length + o.Warmup; runs > 1 {
			all, took = all*runs+o.Pause*(runs-1), "warm-ups and pauses"
		}
		errs = append(errs, fmt.Errorf("a phase takes %s with its %s, the cap is %s: raise --max-duration", all, took, o.Limits.MaxDuration))
	}
	if runs > MaxRepeats || o.Pause < 0 || o.Pause > CeilingDuration {
		errs = append(errs, fmt.Errorf("a phase has at most %d runs, and pauses of at most %s", MaxRepeats, CeilingDuration))
	}
	if o.Length < time.Second || o.Warmup < 0 || o.Timeout <= 0 || o.Timeout > 10*time.Minute {
		errs = append(errs, errors.New("a phase takes at least a second, and a request's timeout is over 0 and at most 10m"))
	}
	for _, e := range p.plan().entries {
		known := p.Sessions.variables()
		for _, l := range e.legs {
			if open := l.step.open(known); len(open) > 0 {
				errs = append(errs, fmt.Errorf("%s %s has nothing to put in for %s", l.step.Method, l.step.Route.Route, strings.Join(open, ", ")))
			}
			for name := range l.step.Capture {
				known[name] = true
			}
		}
	}
	return errors.Join(errs...)
}

// Step is how long the steps of a phase are: some 120 of them, of a second at least,
// where the phase is long enough for that, and of a minute at most.
func Step(length time.Duration) time.Duration {
	step := min(max(length/120, time.Second), time.Minute)
	if length/step < 60 {
		step = max(length/60, 10*time.Millisecond)
	}
	return step.Truncate(time.Millisecond)
}

// behind is how late requests may be sent because as many as may be are under way.
const behind = 10 * time.Second

// run is a phase under way.
type run struct {
	o       *Options
	profile *Profile
	target  *Target
	base    time.Time
	warm    *Schedule
	main    *Schedule
	limit   *limiter
	plan    plan
	pool    *pool // nil where there are no sessions

	stopping context.Context
	stop     context.CancelCauseFunc

	mu    sync.Mutex
	ahead *job         // of the schedule, the next
	dry   bool         // the schedule is at its end
	later later        // steps of flows under way
	queue []*job       // handed out by Pace, not yet taken by a worker
	under map[int]*job // under way, by number
	n     int
	asked lately
	flows flows
	wake  chan struct{} // told when later or flows change
	// unsent is when the first arrival that wasn't sent was to start.
	unsent  time.Duration
	pending atomic.Int64
	// full is when as many requests as may be were last seen under way.
	full atomic.Int64
}

// Run sends a phase's traffic and measures. When ctx ends, or the copy fails too
// many requests, the phase ends early and what was measured until then is answered,
// marked as partial; the error says only that nothing could be begun.
func Run(ctx context.Context, t *Target, p *Profile, o Options) (*Measured, error) {
	o.Limits.SetDefaults()
	if o.Grace == 0 {
		o.Grace = 5 * time.Second
	}
	if err := o.Check(p); err != nil {
		return nil, err
	}
	cut, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	r := &run{
		o: &o, profile: p, target: t, limit: newLimiter(o.Limits.MaxRate), plan: p.plan(), under: map[int]*job{}, unsent: -1, wake: make(chan struct{}, 1),
	}
	r.stopping, r.stop = context.WithCancelCause(ctx)
	defer r.stop(nil)
	tr := newTransport(cut, r)
	defer tr.inner.CloseIdleConnections()
	client := &http.Client{
		Transport: tr, Timeout: o.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if p.Sessions != nil {
		pool, err := newPool(r.stopping, p.Sessions, t, client, r.limit)
		if err != nil {
			return nil, err
		}
		r.pool = pool
		defer pool.wg.Wait()
		defer r.stop(nil)
	}
	r.begin()
	attacker := vegeta.NewAttacker(vegeta.Client(client), vegeta.Workers(10), vegeta.MaxWorkers(uint64(o.Limits.MaxInFlight)), vegeta.MaxBody(0))
	results := attacker.Attack(r.draw, r, 0, "")
	warmup := Seconds(o.Warmup)
	m := &Measured{
		Warmup: &warmup, Phase: o.Phase, Run: max(1, o.Run), Target: t.String(), Service: p.Service, Started: r.base.Add(o.Warmup).Truncate(time.Millisecond).UTC(),
		Step: Seconds(Step(o.Length)), Length: Seconds(o.Length), Seed: o.Seed, Uniform: o.Uniform, Profile: p.Digest(), Rate: p.Rate(),
		tally: newTally(Step(o.Length), o.Length, len(r.plan.kinds)), routes: r.plan.kinds,
	}
	r.collect(m, results, attacker, kill, tr)
	return m, nil
}

// begin draws the schedules. Times count from here on; a whole millisecond, as files have
// them.
func (r *run) begin() {
	p, o := r.profile, r.o
	if o.Warmup > 0 {
		flat := *p
		flat.Course = nil
		if len(p.Course) > 0 { // as much as at the beginning of what is measured
			flat.Routes, flat.Flows = slices.Clone(p.Routes), slices.Clone(p.Flows)
			flat.Scale(max(0.01, p.Course[0]*p.Peak()/p.Rate()/slices.Max(p.Course)))
		}
		r.warm = NewSchedule(&flat, o.Warmup, o.Seed^1, o.Uniform)
	}
	r.main = NewSchedule(p, o.Length, o.Seed, o.Uniform)
	r.base = time.Now()
}

// errBehind and errFailing are why a phase ends early.
var (
	errBehind  = errors.New("the copy is too slow")
	errFailing = errors.New("the copy fails")
)

// collect takes in the results until there are no more.
func (r *run) collect(m *Measured, results <-chan *vegeta.Result, attacker *vegeta.Attacker, kill context.CancelFunc, tr *transport) {
	every := r.o.Every
	if every <= 0 {
		every = time.Second
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var grace <-chan time.Time
	stopping, stopped := r.stopping.Done(), time.Duration(-1)
	var recent lately
	var lost []time.Duration
	for {
		select {
		case res, ok := <-results:
			if !ok {
				r.finish(m, stopped, lost)
				return
			}
			o, warm, late := r.outcome(res)
			if o.code == "" {
				lost = append(lost, o.at)
				continue
			}
			recent.add(time.Since(r.base), &o)
			m.count(&o, warm, late)
			if why := r.failing(&recent); why != nil {
				r.stop(why)
			}
		case <-tick.C:
			if r.o.Show != nil {
				r.o.Show(r.figures(m, &recent, tr))
			}
		case <-stopping:
			stopping, stopped = nil, time.Since(r.base)
			go attacker.Stop()
			timer := time.NewTimer(r.o.Grace)
			defer timer.Stop()
			grace = timer.C
		case <-grace:
			grace = nil
			kill()
		}
	}
}

// outcome is what became of a request, its time from the beginning of what is
// measured; without a code where it was cut off. late is how long after its time this
// machine sent it.
func (r *run) outcome(res *vegeta.Result) (o outcome, warm bool, late time.Duration) {
	r.pending.Add(-1)
	_, fragment, _ := strings.Cut(res.URL, "#")
	n, err := strconv.Atoi(fragment)
	if err != nil || n < 0 {
		return o, true, 0
	}
	r.mu.Lock()
	a := r.under[n]
	delete(r.under, n)
	r.mu.Unlock()
	due := r.base.Add(a.At)
	o = outcome{route: a.leg().kind, at: a.At - r.o.Warmup, latency: res.End().Sub(due)}
	r.goOn(a, int(res.Code), res.End().Sub(r.base))
	switch {
	case res.Code > 0:
		o.code = strconv.Itoa(int(res.Code))
	case strings.Contains(res.Error, "context canceled"):
	case strings.Contains(res.Error, "Client.Timeout") || strings.Contains(res.Error, "deadline exceeded"):
		o.code = codeTimeout
	default:
		o.code = codeError
	}
	late = res.Timestamp.Sub(due)
	if full := time.Duration(r.full.Load()); full > 0 && a.At-full < behind {
		late = 0 // the copy held it up, not this machine
	}
	return o, o.at < 0, late
}

// enough is how many requests of ten seconds say that the copy fails.
const enough = 20

// tellSteps is how many steps the phase after goes on all the same, for a minute at
// most: that the copy fails since it was upgraded is what is to be told.
const tellSteps = 10

func (r *run) failing(recent *lately) error {
	if r.o.Limits.StopErrors >= 1 {
		return nil
	}
	measured := time.Since(r.base) - r.o.Warmup
	if r.o.Phase == After && measured < min(tellSteps*Step(r.o.Length)+Step(r.o.Length)/2, time.Minute) {
		return nil
	}
	now := recent.sum(time.Since(r.base))
	if now.total < enough || float64(now.failed) < r.o.Limits.StopErrors*float64(now.total) {
		return nil
	}
	return fmt.Errorf("%w: %.0f%% of the requests of the last %d s failed", errFailing, 100*float64(now.failed)/float64(now.total), span)
}

// finish puts down how the phase ended. What isn't complete is cut off: from when a
// request wasn't sent or was cut off, or the phase was stopped.
func (r *run) finish(m *Measured, stopped time.Duration, lost []time.Duration) {
	m.Abandoned = len(lost)
	m.conclude()
	r.mu.Lock()
	r.flows.tell(m)
	r.mu.Unlock()
	if r.pool != nil {
		r.pool.tell(m)
	}
	if stopped < 0 {
		return
	}
	end := stopped - r.o.Warmup
	r.mu.Lock()
	if r.unsent >= 0 {
		end = min(end, r.unsent-r.o.Warmup)
	}
	r.mu.Unlock()
	for _, at := range lost {
		end = min(end, at)
	}
	m.tally.cutAt(end)
	m.Steps = len(m.tally.steps)
	m.Partial = "interrupted"
	if cause := context.Cause(r.stopping); errors.Is(cause, errBehind) || errors.Is(cause, errFailing) {
		m.Partial = cause.Error()
	}
}

func (r *run) figures(m *Measured, recent *lately, tr *transport) Figures {
	elapsed := time.Since(r.base)
	now := recent.sum(elapsed)
	r.mu.Lock()
	asked := r.asked.sum(elapsed).asked
	r.mu.Unlock()
	window := min(max(elapsed.Seconds(), 0.1), span)
	f := Figures{
		Elapsed: elapsed, Length: r.o.Warmup + r.o.Length, Warming: elapsed < r.o.Warmup, Rate: float64(now.total) / window, Asked: float64(asked) / window,
		InFlight: int(tr.inFlight.Load()), P50: quantile(now.buckets, 0.5), P99: quantile(now.buckets, 0.99),
		Sent: m.all, Failed: m.Failed,
	}
	if now.total > 0 {
		f.Errors = float64(now.failed) / float64(now.total)
	}
	return f
}
