package main

import (
	"fmt"
	"io"
	"time"

	"github.com/sirupsen/logrus"

	"aftershock/bench/fleet"
	"aftershock/detector"
	"aftershock/upgrades"
)

// every is how long lies between two looks at the worlds of a kind.
const every = 5 * time.Minute

// said is a shift that a contestant announced.
type said struct {
	at     time.Time
	key    string
	worse  bool
	binary string // the cause, if that is a binary
	cause  string // kind and name of the leading cause
	causes []detector.Cause
	sure   float64
	onset  *detector.Onset
	effect *detector.Effect
}

// contestant is a rule under test.
type contestant interface {
	observe(f detector.Frame) []said
}

// result is what was said of one world, and what is true.
type result struct {
	kind   string
	seed   uint64
	answer fleet.Answer
	record detector.Upgrade
	// says is by contestant: judge, p99, Mann-Whitney.
	says [3][]said
	last []detector.Verdict // the judge's last word
	// rivals is whom each baseline names for an indicator of which the judge told a shift.
	rivals map[string][rivals]string
	// indicators is how many there were.
	indicators                 int
	simulating, judging, ruled time.Duration
}

var names = [3]string{"aftershock", "p99 rule", "Mann-Whitney"}

// setting is what is the same in all worlds of a run.
type setting struct {
	binaries   int // that change, 0: two to four
	covariates fleet.Covariates
}

// play lives through one world of a kind.
func (s setting) play(kind string, seed uint64) (result, error) {
	w, err := fleet.NewOf(kind, seed, s.binaries)
	if err != nil {
		return result{}, err
	}
	w.Covariates = s.covariates
	return live(w, every)
}

// live lives through a world and lets all contestants watch it, the judge with
// so much time between two looks.
func live(w *fleet.World, every time.Duration) (result, error) {
	begun := time.Now()
	u := w.UpgradeRecord()
	r := result{kind: w.Kind, seed: w.Seed, record: u}
	var cfg detector.Config
	cfg.SetDefaults()
	// What the record leaves out, as when each instance switched, is found in
	// the telemetry, as the daemon and backtest do.
	found := upgrades.Config{}
	found.SetDefaults()
	log := logrus.New()
	log.SetOutput(io.Discard)
	ledger, err := upgrades.NewLedger(found, log)
	if err != nil {
		return result{}, err
	}
	j := &judge{judge: detector.NewJudge(cfg), ledger: ledger, id: u.ID, every: every}
	j.judge.Watch(ledger.Record(u))
	series := newSeries(u)
	twice := newDID(&series.paths)
	rules := []contestant{&threshold{series: series}, &rank{series: series}}
	err = w.Frames(func(f detector.Frame) error {
		at := time.Now()
		r.says[0] = append(r.says[0], j.observe(f)...)
		between := time.Now()
		series.add(f)
		twice.add(f)
		for i, c := range rules {
			r.says[i+1] = append(r.says[i+1], c.observe(f)...)
		}
		r.judging += between.Sub(at)
		r.ruled += time.Since(between)
		return nil
	})
	if err != nil {
		return result{}, fmt.Errorf("simulate %s: %w", w.ID(), err)
	}
	at := time.Now()
	r.says[0] = append(r.says[0], shifts(j.judge.Look())...)
	r.last = j.judge.Summary(u.ID).Verdicts
	r.judging += time.Since(at)
	r.answer = w.Answer()
	// The values of all minutes of all worlds would be too much to keep.
	r.rivals, r.indicators = r.rival(&series.paths, twice), len(series.order)
	r.simulating = time.Since(begun) - r.judging - r.ruled
	return r, nil
}

// judge is the judgement under test, looked at as backtest does it.
type judge struct {
	judge  *detector.Judge
	ledger *upgrades.Ledger
	id     string
	every  time.Duration
	next   time.Time
}

func (j *judge) observe(f detector.Frame) []said {
	for _, known := range j.ledger.Observe(f) {
		if known.ID == j.id {
			j.judge.Watch(known)
		}
	}
	j.judge.Observe(f)
	if f.Time.Before(j.next) {
		return nil
	}
	j.next = f.Time.Truncate(j.every).Add(j.every)
	return shifts(j.judge.Look())
}

func shifts(events []detector.Event) []said {
	var out []said
	for _, e := range events {
		if e.Event != detector.EventShift || e.Indicator == nil {
			continue
		}
		s := said{at: e.Time, key: e.Indicator.Key(), worse: e.Direction == detector.Worse, causes: e.Causes, onset: e.Onset, effect: e.Effect}
		s.lead(e.Causes)
		out = append(out, s)
	}
	return out
}

// lead takes over the most probable cause.
func (s *said) lead(causes []detector.Cause) {
	for i, c := range causes {
		if i > 0 && c.Probability <= s.sure {
			continue
		}
		s.sure, s.cause, s.binary = c.Probability, c.Kind, ""
		if c.Name != "" {
			s.cause += " " + c.Name
		}
		if c.Kind == detector.CauseBinary {
			s.binary = c.Name
		}
	}
}
