package rehearsal

import (
	"container/heap"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// next is the next arrival, from the beginning of the warm-up on.
func (r *run) next() (Arrival, bool) {
	if r.warm != nil {
		if a, ok := r.warm.Next(); ok {
			return a, true
		}
		r.warm = nil
	}
	a, ok := r.main.Next()
	a.At += r.o.Warmup
	return a, ok
}

// upcoming is the request that is due next, nil where none is known yet. over says that
// there will be none any more.
func (r *run) upcoming() (j *job, over bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ahead == nil && !r.dry {
		if a, ok := r.next(); ok {
			r.ahead = &job{Arrival: a, entry: &r.plan.entries[a.Route]}
			r.ahead.First = a.At
		} else {
			r.dry = true
		}
	}
	switch {
	case len(r.later) > 0 && (r.ahead == nil || r.later[0].At <= r.ahead.At):
		return r.later[0], false
	case r.ahead != nil:
		return r.ahead, false
	}
	return nil, r.flows.underWay == 0
}

// pop takes the request off that upcoming told, and puts it in the queue; false where the
// phase has been stopped.
func (r *run) pop(j *job) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopping.Err() != nil {
		r.unsent = j.At
		return false
	}
	if j == r.ahead {
		r.ahead = nil
		if j.entry.flow != "" {
			r.flows.underWay++
			if j.At >= r.o.Warmup {
				r.flows.begun++
			}
		}
	} else {
		heap.Pop(&r.later)
	}
	r.queue = append(r.queue, j)
	r.asked.second(time.Since(r.base)).asked++
	return true
}

// Pace waits until the next request is due. It is called by the one goroutine that
// hands out work, which comes back once the one before was taken.
func (r *run) Pace(time.Duration, uint64) (time.Duration, bool) {
	r.limit.use(time.Now())
	for {
		j, over := r.upcoming()
		now := time.Now()
		// A flow under way may go on until the measurement ends.
		due := r.base.Add(r.o.Warmup + r.o.Length)
		if j != nil {
			due = r.base.Add(j.At)
		}
		if over || j == nil && !now.Before(due) {
			return 0, true
		}
		from := due
		if j != nil && !due.After(now) {
			var ok bool
			if ok, from = r.limit.claim(now); ok {
				if late := now.Sub(due); late > behind {
					r.stop(fmt.Errorf("%w: requests were sent %s late, with %d under way and at most %.4g/s", errBehind,
						late.Round(time.Second), r.pending.Load(), r.o.Limits.MaxRate))
				}
				return 0, !r.pop(j)
			}
		}
		timer := time.NewTimer(from.Sub(now))
		select {
		case <-timer.C:
		case <-r.wake:
		case <-r.stopping.Done():
			r.mu.Lock()
			if j != nil {
				r.unsent = j.At
			}
			r.mu.Unlock()
			timer.Stop()
			return 0, true
		}
		timer.Stop()
	}
}

// Rate is that of the profile; Pace alone says when.
func (r *run) Rate(time.Duration) float64 { return r.profile.Rate() }

// draw gives a worker the request that is due. Its number among those sent goes
// along in the URL's fragment, which is never sent, since results come back by URL.
func (r *run) draw(tgt *vegeta.Target) error {
	r.mu.Lock()
	j := r.queue[0]
	r.queue = r.queue[1:]
	n := r.n
	r.n++
	r.under[n] = j
	r.mu.Unlock()
	if r.pending.Add(1) >= int64(r.o.Limits.MaxInFlight) {
		r.full.Store(int64(time.Since(r.base)))
	}
	s := j.leg().step
	q := s.request(j.Draw)
	if j.session == nil && r.pool != nil && !s.Anonymous {
		j.session = r.pool.take()
	}
	if j.vars == nil && j.entry.flow != "" {
		j.vars = map[string]string{}
	}
	switch {
	case j.session != nil:
		q = q.filled(j.vars, j.session.vars)
	case j.vars != nil:
		q = q.filled(j.vars)
	}
	tgt.Method, tgt.URL = q.Method, r.target.at(q.Target)+"#"+strconv.Itoa(n)
	tgt.Header = make(http.Header, len(q.Headers))
	for _, name := range slices.Sorted(maps.Keys(q.Headers)) {
		tgt.Header.Set(name, q.Headers[name])
	}
	if j.session != nil {
		if u, err := url.Parse(tgt.URL); err == nil {
			addCookies(tgt.Header, j.session.cookies(u))
		}
	}
	if q.Body != "" {
		tgt.Body = []byte(q.Body)
	}
	return nil
}

// under is the job of a request, nil where it is a login's.
func (r *run) jobOf(fragment string) *job {
	n, err := strconv.Atoi(fragment)
	if err != nil || fragment == "" {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.under[n]
}
