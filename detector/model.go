package detector

import (
	"math"
	"time"
)

// features is the number of regressors of a Model: one, log load and its
// square, two harmonics of the day, the weekend, and the third party's stress.
const features = 9

// Line is the expectation of one share:
//
//	log E[bad] = log total + beta . x(load, time of day, weekend, third party)
type Line struct {
	Beta [features]float64
	// LogLoad is the origin of the load term.
	LogLoad float64
	// Seen counts the bins learnt from.
	Seen int
}

// Model is the baseline of one share: a Line learnt one bin at a time by a
// Kalman update of the log ratio (West, Harrison, Migon 1985, "Dynamic
// generalized linear models"), with old information fading at the baseline's
// half-life. Its state and the cost of a step are constant in the length of
// history.
type Model struct {
	Line
	// Cov is the upper triangle of the covariance, row by row. It is kept in half
	// the precision that it is reckoned with.
	Cov [features * (features + 1) / 2]float32
}

type vector = [features]float64

// prior variances: the level is free, the shape must earn its place.
var prior = vector{4, 0.06, 0.01, 0.01, 0.01, 0.005, 0.005, 0.005, 0.1}

// start begins with the first step. elastic is how strongly the share is taken
// to follow the third party's stress until the data says better: 1 for retries,
// which first attempts that fail lead to.
func (m *Model) start(bad, total, load, elastic float64) {
	m.Beta[0] = math.Log((bad + 0.5) / (total + 1))
	m.Beta[features-1] = elastic
	m.LogLoad = math.Log(load)
	m.Seen = 1
	var cov [features]vector
	for i, v := range prior {
		cov[i][i] = v
	}
	m.keep(&cov)
}

// keep packs the covariance, full unpacks it.
func (m *Model) keep(cov *[features]vector) {
	n := 0
	for i := range cov {
		for k := i; k < features; k++ {
			m.Cov[n] = float32(cov[i][k])
			n++
		}
	}
}

func (m *Model) full() (cov [features]vector) {
	n := 0
	for i := range cov {
		for k := i; k < features; k++ {
			cov[i][k] = float64(m.Cov[n])
			cov[k][i] = cov[i][k]
			n++
		}
	}
	return cov
}

// at is the vector of regressors for a step that ended at t with load requests
// while the third party was under stress: the log of the share of first
// attempts that failed over its usual share, 0 where that isn't known.
func (m *Line) at(t time.Time, day time.Duration, load, stress float64) vector {
	l := math.Log(load) - m.LogLoad
	l = math.Max(-2, math.Min(2, l))
	phase := 2 * math.Pi * float64(t.UnixNano()%int64(day)) / float64(day)
	s, c := math.Sincos(phase)
	return vector{1, l, l * l, s, c, 2 * s * c, c*c - s*s, weekend(t, day), stress}
}

// week is the number of days in a week, the sixth and seventh of which are its
// weekend; the first of all days that are counted (1970-01-01) was a fourth.
const (
	week     = 7
	saturday = 2
	monday   = 4
)

// weekend is 1 at a weekend and 0 on working days, with a slope of a quarter of a day
// from the one to the other, since weekends begin at other hours elsewhere. Until a
// baseline has seen one, nothing is expected of it.
func weekend(t time.Time, day time.Duration) float64 {
	at := math.Mod(float64(t.UnixNano())/float64(day), week)
	edge := math.Min(at-saturday, monday-at) // days inside, negative outside
	return math.Max(0, math.Min(1, 4*edge))
}

// expect is the expected number of bad requests.
func (m *Line) expect(x *vector, total float64) float64 {
	eta := 0.0
	for i, b := range m.Beta {
		eta += b * x[i]
	}
	return total * math.Exp(math.Max(-20, math.Min(3, eta)))
}

// learn takes in one bin: x are its mean regressors, y the log of what was
// counted over what was expected, with the variance that it has by its noise.
// fade in (0,1] is the share of what is known that the bin keeps.
func (m *Model) learn(x *vector, y, variance, fade float64) {
	m.Seen++
	cov := m.full()
	var px vector
	for i := range px {
		for j := range x {
			cov[i][j] /= fade
			px[i] += cov[i][j] * x[j]
		}
		cov[i][i] = math.Min(cov[i][i], 2*prior[i])
	}
	total := variance
	for i := range x {
		total += x[i] * px[i]
	}
	for i := range m.Beta {
		m.Beta[i] += px[i] / total * y
		for j := range x {
			cov[i][j] -= px[i] * px[j] / total
		}
	}
	m.keep(&cov)
}

// waves is the number of regressors of a Season: one, two harmonics and the weekend.
const waves = 6

// Season is the usual log load of the time of day: a regression on two harmonics and
// the weekend, learnt by recursive least squares that forgets at the baseline's half-life.
type Season struct {
	Beta [waves]float64
	Cov  [waves][waves]float32
	Seen int
}

func wave(t time.Time, day time.Duration) [waves]float64 {
	s, c := math.Sincos(2 * math.Pi * float64(t.UnixNano()%int64(day)) / float64(day))
	return [waves]float64{1, s, c, 2 * s * c, c*c - s*s, weekend(t, day)}
}

// usual is the log load to expect at t.
func (s *Season) usual(t time.Time, day time.Duration) float64 {
	x, sum := wave(t, day), 0.0
	for i, b := range s.Beta {
		sum += b * x[i]
	}
	return sum
}

// seasonNoise is the variance of log load about its season, over the steps that
// it takes to forget.
const seasonNoise = 2

// learn takes in the log load of a step; jumps are taken in with care.
func (s *Season) learn(t time.Time, day time.Duration, load, fade float64) {
	x := wave(t, day)
	if s.Seen == 0 {
		s.Beta[0] = load
		for i := range s.Cov {
			s.Cov[i][i] = 0.1
		}
	}
	s.Seen++
	d := math.Max(-0.5, math.Min(0.5, load-s.usual(t, day)))
	var px [waves]float64
	var cov [waves][waves]float64
	total := float64(seasonNoise)
	for i := range px {
		for k := range x {
			cov[i][k] = float64(s.Cov[i][k]) / fade
			px[i] += cov[i][k] * x[k]
		}
		cov[i][i] = math.Min(cov[i][i], 0.2)
		total += x[i] * px[i]
	}
	for i := range px {
		s.Beta[i] += px[i] / total * d
		for k := range px {
			s.Cov[i][k] = float32(cov[i][k] - px[i]*px[k]/total)
		}
	}
}
