package detector_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"aftershock/detector"
	"aftershock/detector/hist"
)

// town is a small simulated system for the properties of the whole judge: a
// service front that calls back, with the latency of front, the errors of back
// and its retries of a third party. Counts are Poisson around shares that drift
// at three time scales, with a daily wave of load.
//
// A count is the quantile of its distribution at a number drawn for it, and so
// many numbers are drawn in each minute whatever happens: two towns of one seed
// have the same luck, and a greater share never counts less.
type town struct {
	rng        *rand.Rand
	now        time.Time
	rate       float64 // requests a minute
	indicators []*detector.Indicator
	drift      [][len(drifts)]float64
	// From upgrade on, every bad share is greater by factor.
	upgrade time.Time
	factor  float64
	// mirrored turns luck and drifts over, so that what was more is less.
	mirrored bool
	// instances is how many share the requests.
	instances int
}

// drifts are the standard deviation of a log share, and the minutes over which
// it forgets.
var drifts = [...]struct{ sd, over float64 }{{0.03, 5}, {0.04, 90}, {0.02, 800}}

var (
	frontLatency = &detector.Indicator{Kind: detector.Latency, Metric: "request_seconds", Labels: map[string]string{"service": "front"}}
	backErrors   = &detector.Indicator{Kind: detector.Error, Metric: "requests_total", Labels: map[string]string{"service": "back"}}
	backRetries  = &detector.Indicator{Kind: detector.Retry, Metric: "calls_total", Labels: map[string]string{"service": "back", "peer": "acme"}}

	allKinds = []*detector.Indicator{frontLatency, backErrors, backRetries}
	start    = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
)

func newTown(seed uint64, indicators []*detector.Indicator) *town {
	return &town{
		rng: rand.New(rand.NewPCG(seed, 1)), now: start, rate: 800, indicators: indicators,
		drift: make([][len(drifts)]float64, len(indicators)), factor: 1, instances: 1,
	}
}

// fork is the town as it is now, with luck of its own from here on, and its bad
// shares greater by a factor.
func (w *town) fork(seed uint64, factor float64) *town {
	out := *w
	out.rng, out.drift, out.factor = rand.New(rand.NewPCG(seed, 2)), slices.Clone(w.drift), factor
	return &out
}

// poisson is the quantile of a Poisson distribution at a number drawn for it.
func (w *town) poisson(mean float64) float64 {
	u := w.rng.Float64()
	if w.mirrored {
		u = 1 - u
	}
	p := math.Exp(-mean)
	k, below := 0.0, p
	for below < u && k < 20*mean+50 {
		k++
		p *= mean / k
		below += p
	}
	return k
}

// share is how much greater than usual an indicator's bad share is.
func (w *town) share(i int) float64 {
	sum := 0.0
	for k, d := range drifts {
		keep := math.Exp(-1 / d.over)
		w.drift[i][k] = keep*w.drift[i][k] + d.sd*math.Sqrt(1-keep*keep)*w.rng.NormFloat64()
		sum += w.drift[i][k]
	}
	if w.mirrored {
		sum = -sum
	}
	if w.upgraded() {
		sum += math.Log(w.factor)
	}
	return math.Exp(sum)
}

var townBounds = []float64{0.05, 0.1, 0.25, 0.5, 1, math.Inf(1)}

func (w *town) upgraded() bool { return !w.upgrade.IsZero() && w.now.After(w.upgrade) }

// frame is what the town counts in the next minute.
func (w *town) frame() detector.Frame {
	w.now = w.now.Add(time.Minute)
	phase := 2 * math.Pi * float64(w.now.Unix()%86400) / 86400
	load := w.rate * (1 + 0.3*math.Sin(phase))
	f := detector.Frame{
		Time: w.now, Step: time.Minute, Up: 2, Targets: 2,
		Calls: []detector.Call{{Client: "front", Server: "back", Count: math.Round(load)}},
	}
	version := "1"
	if w.upgraded() {
		version = "2"
	}
	for i, in := range w.indicators {
		x := w.share(i)
		for n := range w.instances {
			p := detector.Point{Indicator: in, Instance: in.Service() + "-" + string(rune('a'+n)), Version: version, FirstFailures: -1, Retried: -1}
			w.count(&p, load/float64(w.instances), x)
			f.Points = append(f.Points, p)
		}
	}
	return f
}

// count draws what one instance counted.
func (w *town) count(p *detector.Point, load, x float64) {
	if p.Indicator.Kind == detector.Latency {
		p.Hist = hist.Histogram{Bounds: townBounds, Counts: []float64{
			math.Round(load * 0.5), math.Round(load * 0.3), w.poisson(load * 0.13),
			w.poisson(load * 0.05 * math.Sqrt(x)), w.poisson(load * 0.009 * x), w.poisson(load * 0.003 * x),
		}}
		p.Total = p.Hist.Total()
		return
	}
	p.Total = math.Round(load)
	p.Bad = math.Min(p.Total, w.poisson(load*0.05*x))
}

// settle lets a judge watch the town for so long, up to its upgrade, and into that.
func (w *town) settle(j *detector.Judge, long time.Duration) {
	for range int(long / time.Minute) {
		j.Observe(w.frame())
	}
	w.upgrade = w.now
	j.Watch(townUpgrade(w.now))
}

// townUpgrade replaces both services.
func townUpgrade(at time.Time) detector.Upgrade {
	u := detector.Upgrade{ID: "u", StartedAt: at, FinishedAt: at.Add(time.Minute)}
	for _, service := range []string{"front", "back"} {
		u.Binaries = append(u.Binaries, detector.Binary{
			Name: service + "-bin", From: "1", To: "2", Selector: map[string]string{"service": service}, DeployedAt: at,
		})
	}
	return u
}

// shifts lets a judge watch the town for so long after its upgrade with a look
// every few minutes, and answers the shifts that it announced; only the first, if
// that is all that is asked for.
func (w *town) shifts(j *detector.Judge, long, every time.Duration, first bool) []detector.Event {
	var out []detector.Event
	for end := w.upgrade.Add(long); w.now.Before(end); {
		j.Observe(w.frame())
		if w.now.Sub(w.upgrade)%every != 0 {
			continue
		}
		for _, e := range j.Look() {
			if e.Event == detector.EventShift {
				out = append(out, e)
			}
		}
		if first && len(out) > 0 {
			break
		}
	}
	return out
}
