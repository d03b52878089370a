// Package weather is how a third party fares over time: partial outages and slow
// phases of its shards, each by its own random process, drawn from a seed and
// independent of who calls.
package weather

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Config is the climate.
type Config struct {
	Seed   uint64
	Shards int
	// A shard fails for about Burst at a time, FailShare of all time.
	Burst     time.Duration
	FailShare float64
	// A shard is slow for about Phase at a time, SlowShare of all time.
	Phase     time.Duration
	SlowShare float64
}

// Sky is the weather over one shard at one instant.
type Sky struct {
	Failing, Slow bool
}

// Weather holds the shards' states. Its methods may be called at once from
// several goroutines.
type Weather struct {
	mu     sync.Mutex
	shards []shard
}

type shard struct {
	failing, slow spell
}

// New draws the weather from now on.
func New(c Config, now time.Time) *Weather {
	w := &Weather{shards: make([]shard, max(1, c.Shards))}
	for n := range w.shards {
		// A generator for each process, so that no draw depends on who asks when.
		rng := func(stream int) *rand.Rand { return rand.New(rand.NewPCG(c.Seed, uint64(2*n+stream))) }
		w.shards[n] = shard{newSpell(rng(0), now, c.Burst, c.FailShare), newSpell(rng(1), now, c.Phase, c.SlowShare)}
	}
	return w
}

// At is the weather over the shard of the hash. Instants that go back in time
// get the weather of the latest one asked for.
func (w *Weather) At(hash uint32, now time.Time) Sky {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &w.shards[hash%uint32(len(w.shards))]
	return Sky{s.failing.at(now), s.slow.at(now)}
}

// spell is an on-off Markov process in continuous time.
type spell struct {
	rng     *rand.Rand
	on      bool
	until   time.Time
	lengths [2]float64 // mean time off and on, seconds
}

func newSpell(rng *rand.Rand, now time.Time, on time.Duration, share float64) spell {
	s := spell{rng: rng}
	if share <= 0 || on <= 0 {
		s.until = now.Add(1 << 62)
		return s
	}
	s.lengths = [2]float64{on.Seconds() * (1 - share) / share, on.Seconds()}
	s.on = rng.Float64() < share
	s.until = now
	s.extend()
	return s
}

func (s *spell) extend() {
	mean := s.lengths[0]
	if s.on {
		mean = s.lengths[1]
	}
	s.until = s.until.Add(time.Duration(mean * s.rng.ExpFloat64() * float64(time.Second)))
}

func (s *spell) at(now time.Time) bool {
	for now.After(s.until) {
		s.on = !s.on
		s.extend()
	}
	return s.on
}
