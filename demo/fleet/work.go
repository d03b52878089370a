package fleet

import (
	"context"
	"math"
	"math/rand/v2"
	"time"
)

// Work waits as long as a piece of work takes that mostly waits itself (a
// database, a disk): a lognormal time with the median and the shape sigma. It
// burns no CPU, so that a busy machine hardly changes the distribution. It ends
// early when ctx does.
func Work(ctx context.Context, median time.Duration, sigma float64) {
	Wait(ctx, time.Duration(float64(median)*math.Exp(sigma*rand.NormFloat64())))
}

// Wait waits for d or until ctx ends, and says whether d passed.
func Wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
