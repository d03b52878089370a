package ofrep

import (
	"sync"
	"time"
)

// maxCached is the number of answers kept.
const maxCached = 4096

// cache keeps answers for a time. It is bounded: when full, expired answers go
// first, then arbitrary ones.
type cache struct {
	mu      sync.Mutex
	entries map[string]cached
}

type cached struct {
	answer  answer
	at      time.Time
	expires time.Time
}

func newCache() *cache { return &cache{entries: map[string]cached{}} }

// get returns the answer and its age.
func (c *cache) get(key string, now time.Time) (answer, time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if !ok || !now.Before(e.expires) {
		return answer{}, 0, false
	}
	return e.answer, now.Sub(e.at), true
}

func (c *cache) put(key string, a answer, now time.Time, ttl time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.entries[key]; !ok && len(c.entries) >= maxCached {
		c.evict(now)
	}
	c.entries[key] = cached{answer: a, at: now, expires: now.Add(ttl)}
}

// evict makes room: all that is expired, and if that's nothing, a sixteenth of
// the rest, so that a full cache isn't swept at every put.
func (c *cache) evict(now time.Time) {
	before := len(c.entries)
	for k, e := range c.entries {
		if !now.Before(e.expires) {
			delete(c.entries, k)
		}
	}
	for k := range c.entries {
		if len(c.entries) <= before-maxCached/16 {
			return
		}
		delete(c.entries, k)
	}
}

func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.entries)
}
