package detector

import (
	"math"
	"time"
)

// features is the number of regressors of a Model: one, log load and its
// square, two harmonics of the day, and the third party's stress.
const features = 8

// Model is the baseline of one share: the expected number of bad requests as
//
//	log E[bad] = log total + beta . x(load, time of day, third party)
//
// a quasi-Poisson regression with log link, learnt one step at a time by a
// Kalman update of the working response (West, Harrison, Migon 1985, "Dynamic
// generalized linear models"), with old information fading at the baseline's
// half-life. Its state and the cost of a step are constant in the length of
// history.
type Model struct {
	Beta [features]float64
	Cov  [features][features]float64
	// LogLoad is the running mean of log total, the origin of the load term.
	LogLoad float64
	// Seen counts the steps learnt from.
	Seen int
}

type vector = [features]float64

// prior variances: the level is free, the shape must earn its place.
var prior = vector{4, 0.06, 0.01, 0.01, 0.01, 0.005, 0.005, 0.1}

// start begins with the first step. elastic is how strongly the share is taken
// to follow the third party's stress until the data says better: 1 for retries,
// which first attempts that fail lead to.
func (m *Model) start(bad, total, elastic float64) {
	m.Beta[0] = math.Log((bad + 0.5) / (total + 1))
	m.Beta[features-1] = elastic
	m.LogLoad = math.Log(total)
	for i, v := range prior {
		m.Cov[i][i] = v
	}
}

// at is the vector of regressors for a step that ended at t with total requests
// while the third party was under stress: the log of the share of first
// attempts that failed over its usual share, 0 where that isn't known.
func (m *Model) at(t time.Time, day time.Duration, total, stress float64) vector {
	l := math.Log(total) - m.LogLoad
	l = math.Max(-2, math.Min(2, l))
	phase := 2 * math.Pi * float64(t.UnixNano()%int64(day)) / float64(day)
	s, c := math.Sincos(phase)
	return vector{1, l, l * l, s, c, 2 * s * c, c*c - s*s, stress}
}

// expect is the expected number of bad requests.
func (m *Model) expect(x vector, total float64) float64 {
	eta := 0.0
	for i, b := range m.Beta {
		eta += b * x[i]
	}
	return total * math.Exp(math.Max(-20, math.Min(3, eta)))
}

// variance is the variance of log expect at x.
func (m *Model) variance(x vector) float64 {
	v := 0.0
	for i := range x {
		for j := range x {
			v += x[i] * m.Cov[i][j] * x[j]
		}
	}
	return math.Max(0, v)
}

// learn takes in one step with bad of total requests; phi is the overdispersion
// that its information is divided by, fade in (0,1] the share of what is known
// that a step keeps.
func (m *Model) learn(x vector, bad, total, phi, fade float64) {
	mu := m.expect(x, total)
	if mu <= 0 {
		return
	}
	m.Seen++
	rate := math.Max(1/float64(m.Seen), 1-fade)
	m.LogLoad += rate * (math.Log(total) - m.LogLoad)
	var px vector
	for i := range px {
		for j := range x {
			m.Cov[i][j] /= fade
			px[i] += m.Cov[i][j] * x[j]
		}
		m.Cov[i][i] = math.Min(m.Cov[i][i], 2*prior[i])
	}
	q := 0.0
	for i := range x {
		q += x[i] * px[i]
	}
	noise := phi / mu
	total2 := q + noise
	// A step may pull no further than three standard deviations: an outage must
	// not become the baseline.
	residual := (bad - mu) / mu
	limit := 3 * math.Sqrt(total2)
	residual = math.Max(-limit, math.Min(limit, residual))
	for i := range m.Beta {
		m.Beta[i] += px[i] / total2 * residual
		for j := range x {
			m.Cov[i][j] -= px[i] * px[j] / total2
		}
	}
}
