package fleet

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
)

const (
	// cacheTTL is how old a flag's value may get before it is asked for again.
	cacheTTL = 500 * time.Millisecond
	// fetchTime bounds one question to the provider.
	fetchTime = 500 * time.Millisecond
)

// cache keeps a provider's answers for a short time, so that a flag may be
// evaluated in every request. A value that has grown old is served while the
// next one is fetched; when the provider doesn't answer, the last good value
// stays, and where there never was one the caller's default is used.
type cache struct {
	openfeature.FeatureProvider
	ttl time.Duration

	mu      sync.Mutex
	entries map[string]*cached
}

type cached struct {
	answer   any // openfeature.GenericResolutionDetail of some type
	good     bool
	at       time.Time
	fetching bool
}

func newCache(p openfeature.FeatureProvider, ttl time.Duration) *cache {
	return &cache{FeatureProvider: p, ttl: ttl, entries: map[string]*cached{}}
}

// Init starts the provider beneath, where it wants to be started.
func (c *cache) Init(about openfeature.EvaluationContext) error {
	if h, ok := c.FeatureProvider.(openfeature.StateHandler); ok {
		return h.Init(about)
	}
	return nil
}

// Shutdown ends the provider beneath.
func (c *cache) Shutdown() {
	if h, ok := c.FeatureProvider.(openfeature.StateHandler); ok {
		h.Shutdown()
	}
}

func (c *cache) BooleanEvaluation(ctx context.Context, flag string, fallback bool, flat openfeature.FlattenedContext) openfeature.BoolResolutionDetail {
	return through(ctx, c, flag, fallback, flat, c.FeatureProvider.BooleanEvaluation)
}

func (c *cache) ObjectEvaluation(ctx context.Context, flag string, fallback any, flat openfeature.FlattenedContext) openfeature.InterfaceResolutionDetail {
	return through(ctx, c, flag, fallback, flat, c.FeatureProvider.ObjectEvaluation)
}

type evaluate[T any] func(context.Context, string, T, openfeature.FlattenedContext) openfeature.GenericResolutionDetail[T]

func through[T any](ctx context.Context, c *cache, flag string, fallback T, flat openfeature.FlattenedContext, ask evaluate[T]) openfeature.GenericResolutionDetail[T] {
	key := fmt.Sprintf("%T %s %v", fallback, flag, flat)
	fetch := func(ctx context.Context) openfeature.GenericResolutionDetail[T] {
		ctx, cancel := context.WithTimeout(ctx, fetchTime)
		defer cancel()
		return ask(ctx, flag, fallback, flat)
	}
	c.mu.Lock()
	e := c.entries[key]
	if e == nil {
		e = &cached{}
		c.entries[key] = e
	}
	answer, known := e.answer.(openfeature.GenericResolutionDetail[T])
	stale := time.Since(e.at) >= c.ttl && !e.fetching
	if stale {
		e.fetching = true
	}
	c.mu.Unlock()
	switch {
	case known && !stale:
		return answer
	case known:
		// It owns itself for fetchTime at most, which is shorter than a drain.
		go func() { keep(c, e, fetch(context.WithoutCancel(ctx))) }()
		return answer
	case !stale: // the first answer is on its way for another request
		return fetch(ctx)
	}
	return keep(c, e, fetch(context.WithoutCancel(ctx)))
}

func keep[T any](c *cache, e *cached, got openfeature.GenericResolutionDetail[T]) openfeature.GenericResolutionDetail[T] {
	c.mu.Lock()
	defer c.mu.Unlock()
	good := got.Error() == nil
	e.at, e.fetching = time.Now(), false
	if good || !e.good {
		e.answer, e.good = got, good
	}
	kept, ok := e.answer.(openfeature.GenericResolutionDetail[T])
	if !ok {
		return got
	}
	return kept
}
