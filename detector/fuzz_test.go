package detector_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/detector/hist"
)

// script reads a fuzzer's bytes as a tale of hostile telemetry; 0 when they end.
type script []byte

func (s *script) pick(n int) int {
	if len(*s) == 0 {
		return 0
	}
	b := (*s)[0]
	*s = (*s)[1:]
	return int(b) % n
}

var hostileNumbers = []float64{
	0, 1, 800, 40, -1, 0.5, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64,
	math.SmallestNonzeroFloat64, 1e15, 1e-15, 1e40, math.Copysign(0, -1),
}

func (s *script) number() float64 { return hostileNumbers[s.pick(len(hostileNumbers))] }

var hostileTimes = []time.Duration{
	time.Minute, 0, -time.Minute, time.Nanosecond, 90 * time.Second, time.Hour, -1000 * time.Hour, 31 * 24 * time.Hour,
	100 * 365 * 24 * time.Hour, math.MaxInt64, math.MinInt64,
}

func (s *script) time(from time.Time) time.Time {
	n := s.pick(len(hostileTimes) + 2)
	switch n - len(hostileTimes) {
	case 0:
		return time.Time{}
	case 1:
		return time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	}
	return from.Add(hostileTimes[n])
}

// endless stands for what a broken exporter may put into a label.
var endless = strings.Repeat("\xff|=,\\", 5000)

var hostileNames = []string{"", "front", "back", "front-a", "back-a", "acme", "1", "2", "new", endless, "\x00", "front-bin", "back-bin"}

func (s *script) name() string { return hostileNames[s.pick(len(hostileNames))] }

var hostileBounds = [][]float64{
	townBounds,
	{0.1, 0.25, 1, math.Inf(1)},
	{},
	{math.Inf(1)},
	{1, 0.5, 0.25},
	{math.NaN(), math.NaN()},
	{0.25, 0.25, 0.25},
	{math.Inf(-1), 0, math.Inf(1)},
	{-1, 0.1, 0.5, math.NaN(), 1},
	{0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9},
	{math.MaxFloat64},
}

var hostileLayouts = []*hist.Layout{
	nil, {}, {Bounds: townBounds}, {Scale: 1, Schema: 3}, {Scale: 1, Schema: -4, Lowest: math.NaN()}, {Scale: math.Inf(1), Schema: 1 << 30},
}

func (s *script) indicator() *detector.Indicator {
	switch n := s.pick(6); n {
	case 0, 1, 2:
		return allKinds[n]
	case 3: // another pointer to the same
		same := *backErrors
		return &same
	}
	kinds := []detector.Kind{detector.Latency, detector.Error, detector.Retry, "", "nonsense"}
	return &detector.Indicator{
		Kind: kinds[s.pick(len(kinds))], Metric: s.name(), Labels: map[string]string{"service": s.name(), "peer": s.name(), s.name(): s.name()},
	}
}

func (s *script) point() detector.Point {
	p := detector.Point{
		Indicator: s.indicator(), Instance: s.name(), Version: s.name(), Total: s.number(), Bad: s.number(),
		FirstFailures: s.number(), Retried: s.number(),
	}
	p.Hist.Bounds = hostileBounds[s.pick(len(hostileBounds))]
	for range p.Hist.Bounds {
		p.Hist.Counts = append(p.Hist.Counts, s.number())
	}
	p.Hist.Layout = hostileLayouts[s.pick(len(hostileLayouts))]
	if s.pick(4) == 0 {
		p.Quantiles = []detector.Quantile{{Q: s.number(), Value: s.number()}}
	}
	return p
}

func (s *script) frame(w *town) detector.Frame {
	w.now = w.now.Add(time.Minute)
	f := detector.Frame{Time: w.now, Step: time.Minute, Up: s.pick(3) - 1, Targets: s.pick(3) - 1}
	// Once a judge was told of the far future, nothing sound comes after it.
	if s.pick(16) == 15 {
		f.Time, f.Step = s.time(w.now), hostileTimes[s.pick(len(hostileTimes))]
	}
	for range s.pick(6) {
		f.Points = append(f.Points, s.point())
	}
	for range s.pick(3) {
		f.Calls = append(f.Calls, detector.Call{Client: s.name(), Server: s.name(), Count: s.number()})
	}
	for range s.pick(3) {
		f.Builds = append(f.Builds, detector.Build{
			Binary: s.name(), Labels: map[string]string{"service": s.name()}, Instance: s.name(), Version: s.name(), Started: s.time(w.now),
		})
	}
	return f
}

// spoil replaces a few numbers of an ordinary frame.
func (s *script) spoil(f *detector.Frame) {
	for range 1 + s.pick(3) {
		p := &f.Points[s.pick(len(f.Points))]
		field := []*float64{&p.Total, &p.Bad, &p.FirstFailures, &p.Retried}
		for i := range p.Hist.Counts {
			field = append(field, &p.Hist.Counts[i])
		}
		*field[s.pick(len(field))] = s.number()
	}
}

func (s *script) upgrade(w *town) detector.Upgrade {
	u := townUpgrade(s.time(w.now))
	u.ID, u.FinishedAt = s.name(), s.time(w.now)
	for range s.pick(4) {
		b := detector.Binary{Name: s.name(), From: s.name(), To: s.name(), Selector: map[string]string{"service": s.name()}, DeployedAt: s.time(w.now)}
		for range s.pick(3) {
			b.Instances = append(b.Instances, detector.Deployment{Instance: s.name(), At: s.time(w.now)})
		}
		u.Binaries = append(u.Binaries, b)
	}
	return u
}

// many is a frame of thousands of indicators that nobody has seen before.
func (w *town) many(from, n int) detector.Frame {
	f := w.frame()
	for i := range n {
		in := &detector.Indicator{Kind: detector.Error, Metric: "m", Labels: map[string]string{"service": "back", "made": fmt.Sprint("up-", from+i)}}
		f.Points = append(f.Points, detector.Point{Indicator: in, Instance: fmt.Sprint(from + i), Total: 100, Bad: 1, FirstFailures: -1, Retried: -1})
	}
	return f
}

// quickly is a day of two hours, so that little history is needed.
var quickly = detector.Config{Day: 2 * time.Hour, Warmup: 3 * time.Minute}

// Whatever telemetry comes, the judge neither panics nor hangs, and never says
// anything that isn't a number, nor anything that can't be written.
func FuzzObserve(f *testing.F) {
	w, j := newTown(3, allKinds), detector.NewJudge(quickly)
	w.settle(j, 4*time.Hour)
	state, err := j.Save()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{})
	for _, seed := range []uint64{10, 19, 38, 39, 42, 44, 57, 73} {
		f.Add(aTale(seed))
	}
	f.Fuzz(func(t *testing.T, tale []byte) { live(t, w, state, tale) })
}

// live has a judge live through a tale, beginning with the state in which the town
// is about to be upgraded.
func live(t *testing.T, w *town, state, tale []byte) {
	began := time.Now()
	j, err := detector.Restore(quickly, state)
	if err != nil {
		t.Fatal(err)
	}
	s := script(tale)
	w = w.fork(uint64(len(tale)), 1+float64(s.pick(4)))
	if s.pick(8) == 7 { // a judge without a past
		j = detector.NewJudge(quickly)
	}
	for op := 0; len(s) > 0 && op < 40; op++ {
		j = s.act(t, w, j, op)
	}
	// What is said once sound telemetry is back is heard, too.
	for range 15 {
		j.Observe(w.frame())
		heard(t, j.Look())
	}
	for _, u := range j.Watched() {
		said(t, j.Verdicts(u.ID))
		for _, story := range j.Stories(u.ID) {
			said(t, append(story.Others, story.Root))
		}
		heard(t, []detector.Event{j.Summary(u.ID)})
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("took %s", took)
	}
}

// act does one thing to the judge, and answers that to go on with.
func (s *script) act(t *testing.T, w *town, j *detector.Judge, op int) *detector.Judge {
	switch s.pick(8) {
	case 0:
		for range 1 + s.pick(16) {
			j.Observe(w.frame())
		}
	case 1:
		j.Observe(s.frame(w))
	case 2, 3:
		f := w.frame()
		s.spoil(&f)
		j.Observe(f)
	case 4:
		j.Watch(s.upgrade(w))
	case 5:
		j.Flip(detector.Flip{Flag: s.name(), At: s.time(w.now), Ours: s.pick(4) > 0, Upgrade: "u", Binaries: []string{s.name()}})
	case 6:
		state, err := j.Save()
		if err != nil {
			t.Fatal(err)
		}
		if j, err = detector.Restore(quickly, state); err != nil {
			t.Fatal(err)
		}
	default:
		if op < 2 {
			j.Observe(w.many(1000*s.pick(2), 1000*(1+s.pick(2))))
		}
	}
	heard(t, j.Look())
	return j
}

func heard(t *testing.T, events []detector.Event) {
	t.Helper()
	for _, e := range events {
		if _, err := json.Marshal(e); err != nil {
			t.Fatalf("a %s can't be written: %v\n%+v", e.Event, err, e)
		}
		sound(t, e.Effect, e.Causes)
	}
}

func said(t *testing.T, verdicts []detector.Verdict) {
	t.Helper()
	for _, v := range verdicts {
		if _, err := json.Marshal(v); err != nil {
			t.Fatalf("the verdict over %.100s can't be written: %v", v.Indicator.Name(), err)
		}
		sound(t, v.Effect, v.Causes)
	}
}

func sound(t *testing.T, effect *detector.Effect, causes []detector.Cause) {
	t.Helper()
	if e := effect; e != nil {
		for _, x := range []float64{e.Before, e.After, e.Ratio, e.Low, e.High} {
			if math.IsNaN(x) || math.IsInf(x, 0) || x < 0 {
				t.Fatalf("effect %+v", *e)
			}
		}
	}
	sum := 0.0
	for _, c := range causes {
		if !(c.Probability >= 0 && c.Probability <= 1+1e-9) {
			t.Fatalf("%s %s with the probability %v", c.Kind, c.Name, c.Probability)
		}
		sum += c.Probability
	}
	if len(causes) > 0 && math.Abs(sum-1) > 1e-6 {
		t.Fatalf("causes add up to %v", sum)
	}
}

// aTale is where the fuzzer may begin.
func aTale(seed uint64) []byte {
	luck := rand.New(rand.NewPCG(seed, 4))
	out := make([]byte, 20+luck.IntN(200))
	for i := range out {
		out[i] = byte(luck.Uint32())
	}
	return out
}
