package rehearsal

import (
	"math/rand/v2"
	"sort"
	"time"
)

// Arrival is one request of the schedule.
type Arrival struct {
	// At is when it arrives, from the beginning on.
	At time.Duration
	// First is when the first request of its flow arrived, where it is a step of one.
	First time.Duration
	// Route is its place in the profile's routes, those before its flows, Draw chooses
	// among recorded requests and values.
	Route int
	Draw  uint64
}

// Schedule is when what arrives. The same profile, length, seed and pacing give the
// same arrivals, whatever becomes of them.
type Schedule struct {
	length  time.Duration
	uniform bool
	rng     *rand.Rand
	rate    float64   // mean
	course  []float64 // sums of the course's parts up to their ends, of 1 altogether
	routes  []float64 // sums of the routes' shares
	mass    float64   // arrivals expected so far
	n       int
}

// NewSchedule draws arrivals over a length of time: those of a Poisson process with
// the profile's rate and course, or evenly spaced ones (uniform).
func NewSchedule(p *Profile, length time.Duration, seed uint64, uniform bool) *Schedule {
	s := &Schedule{length: length, uniform: uniform, rng: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))}
	course := p.Course
	if len(course) == 0 {
		course = []float64{1}
	}
	s.course = sums(course)
	shares := p.shares()
	for _, x := range shares {
		s.rate += x
	}
	s.routes = sums(shares)
	return s
}

// sums are running sums, of 1 altogether.
func sums(list []float64) []float64 {
	out := make([]float64, len(list))
	sum := 0.0
	for i, x := range list {
		sum += x
		out[i] = sum
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}

// Next is the next arrival; false when there is none any more. Arrivals come in order
// of time. It isn't safe for concurrent use.
func (s *Schedule) Next() (Arrival, bool) {
	if s.uniform {
		s.mass = float64(s.n) + 0.5
	} else {
		s.mass += s.rng.ExpFloat64()
	}
	s.n++
	// The time at which the expected number of arrivals reaches the mass.
	part := s.mass / (s.rate * s.length.Seconds())
	if part >= 1 {
		return Arrival{}, false
	}
	i := sort.Search(len(s.course), func(i int) bool { return s.course[i] > part })
	if i == len(s.course) {
		return Arrival{}, false
	}
	before := 0.0
	if i > 0 {
		before = s.course[i-1]
	}
	at := (float64(i) + (part-before)/(s.course[i]-before)) / float64(len(s.course))
	x := s.rng.Float64()
	route := sort.Search(len(s.routes), func(i int) bool { return s.routes[i] > x })
	return Arrival{
		At:    min(time.Duration(at*float64(s.length)), s.length-1),
		Route: min(route, len(s.routes)-1), Draw: s.rng.Uint64(),
	}, true
}

// RunSeed is the seed of a phase's run, from 1 on: the first has the seed itself, the
// others have such as nothing connects with it (Steele, Lea and Flood 2014, "Fast
// splittable pseudorandom number generators"), exact as numbers of JSON.
func RunSeed(seed uint64, run int) uint64 {
	if run <= 1 {
		return seed
	}
	x := seed + uint64(run-1)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return (x ^ x>>31) >> 12
}
