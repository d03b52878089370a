package scrape

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
)

// transport answers requests from a function, without a network.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(body string) *http.Response {
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/plain"}},
		Body: io.NopCloser(strings.NewReader(body)),
	}
}

// TestSchedule runs the loops for two minutes of a synthetic clock: each target
// is asked once an interval at an offset of its own, a slow one never twice at a
// time, and none waits for another.
func TestSchedule(t *testing.T) {
	for _, interval := range []time.Duration{time.Second, 15 * time.Second} {
		t.Run(interval.String(), func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				asked := map[string][]time.Time{}
				running := map[string]int{}
				c := testConfig("a:1", "b:1", "c:1", "slow:1")
				c.Interval, c.Timeout = model.Duration(interval), model.Duration(interval)
				log, _ := quiet()
				s, err := Open(t.Context(), c, dir, log, nil)
				if err != nil {
					t.Fatal(err)
				}
				s.plan.set.client = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
					mu.Lock()
					defer mu.Unlock()
					host := r.URL.Hostname()
					asked[host] = append(asked[host], time.Now())
					if running[host]++; running[host] > 1 {
						t.Errorf("%s is asked twice at a time", host)
					}
					defer func() { running[host]-- }()
					if host == "slow" {
						mu.Unlock()
						<-r.Context().Done()
						mu.Lock()
						return nil, r.Context().Err()
					}
					return answer("m 1\n"), nil
				})}
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
				defer cancel()
				if err := s.Run(ctx); err != nil {
					t.Error(err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				offsets := map[time.Duration]bool{}
				for host, ts := range asked {
					offset := ts[0].Sub(ts[0].Truncate(interval))
					offsets[offset] = true
					// The last one may be due in the instant of the end.
					if n := int(2 * time.Minute / interval); len(ts) != n && len(ts) != n-1 {
						t.Errorf("%s was asked %d times in 2 minutes, want %d", host, len(ts), n)
					}
					for i, at := range ts {
						if i > 0 && at.Sub(ts[i-1]) != interval {
							t.Errorf("%s was asked %s after the last time, want %s", host, at.Sub(ts[i-1]), interval)
						}
					}
				}
				if len(offsets) != 4 {
					t.Errorf("offsets = %v, want four different ones", offsets)
				}
			})
		})
	}
}

func TestNextDue(t *testing.T) {
	day := time.Date(2026, 3, 6, 9, 0, 0, 0, time.UTC)
	for _, tt := range []struct{ now, interval, offset, want time.Duration }{
		{0, 15 * time.Second, 0, 15 * time.Second},
		{0, 15 * time.Second, 4 * time.Second, 4 * time.Second},
		{4 * time.Second, 15 * time.Second, 4 * time.Second, 19 * time.Second},
		{14 * time.Second, 15 * time.Second, 4 * time.Second, 19 * time.Second},
		{3500 * time.Millisecond, time.Second, 700 * time.Millisecond, 3700 * time.Millisecond},
		{3900 * time.Millisecond, time.Second, 700 * time.Millisecond, 4700 * time.Millisecond},
	} {
		got := nextDue(day.Add(tt.now), tt.interval, tt.offset).Sub(day)
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("nextDue(%s, %s, %s) (-want +got):\n%s", tt.now, tt.interval, tt.offset, d)
		}
	}
}
