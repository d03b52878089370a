package sources

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/prometheus/model/labels"

	"aftershock/detector"
)

// TestPast: looking back gives the same frames of what is kept, and doesn't change
// what Frames goes on with.
func TestPast(t *testing.T) {
	s := pastSource(t)
	end := epoch.Add(2 * time.Hour)
	into := func(all *[]detector.Frame) func(detector.Frame) error {
		return func(f detector.Frame) error { *all = append(*all, f); return nil }
	}
	var want, first, rest, past, other []detector.Frame
	whole := pastSource(t)
	if err := whole.Frames(t.Context(), epoch, end, time.Minute, into(&want)); err != nil {
		t.Fatal(err)
	}
	if err := s.Frames(t.Context(), epoch, epoch.Add(time.Hour), time.Minute, into(&first)); err != nil {
		t.Fatal(err)
	}
	if err := s.Past(t.Context(), epoch, end, time.Minute, func(labels.Labels) bool { return true }, into(&past)); err != nil {
		t.Fatal(err)
	}
	if err := s.Past(t.Context(), epoch, end, time.Minute, func(ls labels.Labels) bool { return ls.Get("peer") != "" }, into(&other)); err != nil {
		t.Fatal(err)
	}
	if err := s.Frames(t.Context(), epoch.Add(time.Hour), end, time.Minute, into(&rest)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, past, cmpopts.EquateEmpty()); diff != "" || len(past) < 100 {
		t.Errorf("looking back gave other frames (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, append(first, rest...), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("frames after looking back differ (-want +got):\n%s", diff)
	}
	for _, f := range other {
		for _, p := range f.Points {
			if p.Indicator.Kind != detector.Retry {
				t.Fatalf("got a point of %s, which wasn't to be kept", p.Indicator.Key())
			}
		}
	}
}

func pastSource(t *testing.T) *Source {
	t.Helper()
	s, err := New(&flaky{all: recording()}, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
