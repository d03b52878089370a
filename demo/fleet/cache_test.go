package fleet

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
)

// switchboard serves one boolean, or fails.
type switchboard struct {
	openfeature.NoopProvider
	value, away bool
	asked       int
}

func (s *switchboard) BooleanEvaluation(_ context.Context, _ string, fallback bool, _ openfeature.FlattenedContext) openfeature.BoolResolutionDetail {
	s.asked++
	if s.away {
		return openfeature.BoolResolutionDetail{Value: fallback, ProviderResolutionDetail: openfeature.ProviderResolutionDetail{
			ResolutionError: openfeature.NewGeneralResolutionError("away"),
		}}
	}
	return openfeature.BoolResolutionDetail{Value: s.value, ProviderResolutionDetail: openfeature.ProviderResolutionDetail{Variant: "on"}}
}

func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		board := &switchboard{value: true}
		c := newCache(board, time.Second)
		ask := func() openfeature.BoolResolutionDetail {
			d := c.BooleanEvaluation(t.Context(), "f", false, openfeature.FlattenedContext{"a": 1})
			synctest.Wait()
			return d
		}
		for range 100 {
			if got := ask(); !got.Value || got.Variant != "on" {
				t.Fatalf("got %+v, want the server's value", got)
			}
		}
		if board.asked != 1 {
			t.Errorf("got %d questions within the time to live, want 1", board.asked)
		}
		time.Sleep(time.Second)
		board.value = false
		if !ask().Value {
			t.Error("got the new value at once, want the old one while the new is fetched")
		}
		if ask().Value {
			t.Error("got the old value after the new was fetched")
		}
		board.away = true
		time.Sleep(time.Minute)
		ask()
		if got := ask(); got.Error() != nil || got.Value {
			t.Errorf("got %+v while the server is away, want its last value", got)
		}
		board.away, board.value = false, true
		time.Sleep(time.Minute)
		ask()
		if !ask().Value {
			t.Error("got the last value after the server came back, want its new one")
		}
	})
}

func TestCacheWithoutAnyAnswer(t *testing.T) {
	c := newCache(&switchboard{away: true}, time.Second)
	if got := c.BooleanEvaluation(t.Context(), "f", true, nil); !got.Value || got.Error() == nil {
		t.Errorf("got %+v, want the caller's default and the error", got)
	}
}
