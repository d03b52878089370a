package watch

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Processors are the hands that this machine lends to the judgement: as many as Go
// may use.
type Processors struct{}

// Number is how many processors Go may use.
func (Processors) Number() int { return runtime.GOMAXPROCS(0) }

// handful is how many pieces of work a processor takes at once.
const handful = 16

// Do does n pieces of work on all processors.
func (p Processors) Do(n int, do func(hand, i int)) {
	var next atomic.Int64
	var wait sync.WaitGroup
	for hand := range p.Number() {
		wait.Go(func() {
			for {
				to := int(next.Add(handful))
				for i := to - handful; i < min(to, n); i++ {
					do(hand, i)
				}
				if to >= n {
					return
				}
			}
		})
	}
	wait.Wait()
}
