package journal

import "sync"

// changes counts the writes of this process, and wakes those who wait for the next.
type changes struct {
	mu   sync.Mutex
	seen int64
	next chan struct{}
}

func newChanges() *changes { return &changes{next: make(chan struct{})} }

func (c *changes) note() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen++
	close(c.next)
	c.next = make(chan struct{})
}

// Changes gives the number of writes of this process so far, the bookkeeping of jobs left
// out, and a channel that the next one closes. What another process writes into the same
// database isn't told.
func (j *Journal) Changes() (seen int64, next <-chan struct{}) {
	j.changes.mu.Lock()
	defer j.changes.mu.Unlock()
	return j.changes.seen, j.changes.next
}
