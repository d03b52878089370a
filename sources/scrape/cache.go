package scrape

import (
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
)

// cache remembers the series of one target from scrape to scrape: so that known
// series cost no parsing of labels, and those that vanish can be marked stale.
// It is used by one goroutine at a time.
type cache struct {
	// iter counts the scrapes that were tried; an entry's seen is the last
	// one that held its series.
	iter    uint64
	entries map[string]*cacheEntry // by the series as the target writes it
	reports map[string]*cacheEntry // up and the like, by name
	// generation is the store's that the refs belong to.
	generation uint64
	// fresh are the entries that the running scrape added.
	fresh []string
}

type cacheEntry struct {
	ref    storage.SeriesRef
	labels labels.Labels
	seen   uint64
	// starts are the start time that the target tells and the one that is
	// stored for it, in milliseconds.
	told, start int64
}

func newCache() *cache {
	return &cache{entries: map[string]*cacheEntry{}, reports: map[string]*cacheEntry{}}
}

// begin starts a scrape.
func (c *cache) begin() {
	c.iter++
	c.fresh = c.fresh[:0]
}

// meet forgets the refs when the store was opened anew: the same number may
// mean another series there.
func (c *cache) meet(generation uint64) {
	if c.generation == generation {
		return
	}
	c.generation = generation
	for _, e := range c.entries {
		e.ref = 0
	}
	for _, e := range c.reports {
		e.ref = 0
	}
}

func (c *cache) add(series string, e *cacheEntry) {
	e.seen = c.iter
	c.entries[series] = e
	c.fresh = append(c.fresh, series)
}

// undo forgets what the running scrape added: its samples were not stored.
func (c *cache) undo() {
	for _, series := range c.fresh {
		delete(c.entries, series)
	}
	c.fresh = c.fresh[:0]
}

// vanished lists the entries that the running scrape didn't hold. Entries of
// series that it held under another spelling (the target changed the format or
// the order of its labels) are forgotten, not listed.
func (c *cache) vanished() (keys []string) {
	for k, e := range c.entries {
		if e.seen != c.iter {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 || len(keys) == len(c.entries) {
		return keys
	}
	held := make(map[storage.SeriesRef]bool, len(c.entries))
	for _, e := range c.entries {
		if e.seen == c.iter {
			held[e.ref] = true
		}
	}
	gone := keys[:0]
	for _, k := range keys {
		if held[c.entries[k].ref] {
			delete(c.entries, k)
			continue
		}
		gone = append(gone, k)
	}
	return gone
}

// startOf turns the start time that the target tells for a sample at t into the
// one to store: 0 if it tells none, and never after the sample, even where the
// target's clock is ahead. As long as the target tells the same, so does startOf.
func (e *cacheEntry) startOf(told, t int64) int64 {
	switch {
	case told <= 0:
		e.told, e.start = 0, 0
	case told != e.told:
		e.told, e.start = told, min(told, t-1)
	}
	return e.start
}
