package fleet

import (
	stdcmp "cmp"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/sources"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/sirupsen/logrus"
)

func world(t testing.TB, kind string, seed uint64) *World {
	t.Helper()
	w, err := New(kind, seed)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func frames(t testing.TB, w *World) []detector.Frame {
	t.Helper()
	var out []detector.Frame
	if err := w.Frames(func(f detector.Frame) error { out = append(out, f); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestUnknownKind(t *testing.T) {
	if _, err := New("gremlins", 1); err == nil {
		t.Error("New took an unknown kind")
	}
}

// small is the first short world from a seed, with a fifth of the requests.
func small(t testing.TB, kind string, seed uint64) *World {
	w := world(t, kind, seed)
	for ; w.Minutes > 4000; seed++ {
		w = world(t, kind, seed)
	}
	for _, l := range w.course.load {
		for i := range l {
			l[i] /= 5
		}
	}
	return w
}

// order puts what a frame lists in one order, and nothing for an empty list.
func order(f *detector.Frame) {
	slices.SortFunc(f.Points, func(a, b detector.Point) int {
		return stdcmp.Or(strings.Compare(a.Indicator.Key(), b.Indicator.Key()), strings.Compare(a.Instance, b.Instance))
	})
	slices.SortFunc(f.Builds, func(a, b detector.Build) int { return strings.Compare(a.Instance, b.Instance) })
	slices.SortFunc(f.Calls, func(a, b detector.Call) int {
		return stdcmp.Or(strings.Compare(a.Client, b.Client), strings.Compare(a.Server, b.Server))
	})
	f.Points, f.Builds, f.Calls = slices.Clip(f.Points), slices.Clip(f.Builds), slices.Clip(f.Calls)
	if len(f.Points) == 0 {
		f.Points = nil
	}
	if len(f.Builds) == 0 {
		f.Builds = nil
	}
	if len(f.Calls) == 0 {
		f.Calls = nil
	}
}

// What is handed over directly is what a reader makes of the files.
func TestFramesAreWhatTheFilesSay(t *testing.T) {
	for _, c := range []Covariates{Usual, {Graph: true, FirstAttempts: true}} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			t.Parallel()
			w := small(t, Layout, 4)
			w.counted = true
			w.Covariates = c
			framesAreWhatTheFilesSay(t, w)
		})
	}
}

func framesAreWhatTheFilesSay(t *testing.T, w *World) {
	want := frames(t, w)
	dir := t.TempDir()
	if err := w.WriteFiles(dir); err != nil {
		t.Fatal(err)
	}
	cfg, err := sources.At(filepath.Join(dir, "telemetry.om.zst"))
	if err != nil {
		t.Fatal(err)
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	src, err := sources.Open(t.Context(), cfg, "", log, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	first, last, err := src.Range(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i, differ := 0, 0
	err = src.Frames(t.Context(), first.Add(-time.Minute), last, time.Minute, func(got detector.Frame) error {
		if i >= len(want) {
			t.Fatalf("the reader gives more than %d frames", len(want))
		}
		// The first scrape of a service graph that begins with the
		// recording is only a base to the reader.
		if i == 0 {
			want[0].Calls = nil
		}
		order(&want[i])
		order(&got)
		if !reflect.DeepEqual(want[i], got) {
			if differ++; differ < 3 {
				t.Errorf("frame %d of %s differs (-want +got):\n%s", i, got.Time, cmp.Diff(want[i], got))
			}
		}
		i++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if i != len(want) || differ > 0 {
		t.Errorf("%d of %d frames read, %d differ", i, len(want), differ)
	}
}

func TestSameSeedSameWorld(t *testing.T) {
	a, b := small(t, Pool, 3), small(t, Pool, 3)
	if !reflect.DeepEqual(frames(t, a), frames(t, b)) {
		t.Error("two runs of one seed give other frames")
	}
	if d := cmp.Diff(a.Answer(), b.Answer(), cmpopts.EquateNaNs()); d != "" {
		t.Error(d)
	}
}

// A request passes every service of its path once.
func TestCountsAreConservedAlongThePath(t *testing.T) {
	w := world(t, None, 5)
	r := newRunner(w)
	for k, o := range w.routes {
		r.clear()
		r.run(k, 700, 1234, 99, nil)
		for j := range o.path {
			n := uint64(0)
			for _, y := range r.tallies[r.latency[k][j]] {
				in := uint64(0)
				for _, c := range y.hist {
					in += c
				}
				if in != y.total {
					t.Errorf("buckets of %s hold %d of %d requests", o.name, in, y.total)
				}
				n += y.total
			}
			if n != 1234 {
				t.Errorf("hop %d of %s counted %d requests, want 1234", j, o.name, n)
			}
		}
	}
}

// Whoever waits for somebody takes at least as long.
func TestCallersAreSlower(t *testing.T) {
	w := world(t, None, 6)
	r := newRunner(w)
	r.run(0, 700, 5000, 7, nil)
	mean := func(j int) float64 {
		var sum, n float64
		for _, y := range r.tallies[r.latency[0][j]] {
			sum, n = sum+y.sum, n+float64(y.total)
		}
		return sum / n
	}
	for j := 1; j < len(w.routes[0].path); j++ {
		if mean(j-1) <= mean(j) {
			t.Errorf("hop %d takes %.4f s, what it calls %.4f s", j-1, mean(j-1), mean(j))
		}
	}
}

// Without the fault and with it, a world's past is the same, and innocents have
// no fault at all.
func TestTruth(t *testing.T) {
	for _, kind := range AllKinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := small(t, kind, 4)
			if err := w.Frames(func(detector.Frame) error { return nil }); err != nil {
				t.Fatal(err)
			}
			a := w.Answer()
			if Guilty(kind) == (len(a.Culprits) == 0) {
				t.Fatalf("culprits %v in a world of kind %s", a.Culprits, kind)
			}
			if Guilty(kind) != (len(a.Shifted) > 0) {
				t.Errorf("moved in a world of kind %s: %v", kind, a.Shifted)
			}
		})
	}
}

// Two runs without the fault are the same, request for request.
func TestCausalRatioOfNothingIsOne(t *testing.T) {
	w := small(t, Latency, 8)
	frames(t, w)
	f := w.faults[0]
	f.times, f.share, f.errors = 1, 0, 1
	if got := w.shifts(); len(got) > 0 {
		t.Errorf("a fault that does nothing moved %v", got)
	}
}

func TestRestartsResetAndRename(t *testing.T) {
	w := small(t, None, 9)
	w.renames = true
	old, renamed := false, false
	for _, f := range frames(t, w) {
		for _, b := range f.Builds {
			switch {
			case b.Version == newVersion && f.Time.Before(w.Time(w.Upgrade+1)):
				t.Fatalf("%s runs the new build at %s, before the upgrade", b.Instance, f.Time)
			case b.Version == newVersion:
				renamed = true
			default:
				old = true
			}
		}
		for _, p := range f.Points {
			if p.Total < 0 || p.Bad < 0 {
				t.Fatalf("negative increment at %s: %+v", f.Time, p)
			}
		}
	}
	if !old || !renamed {
		t.Errorf("builds seen: old %t, new %t", old, renamed)
	}
}

func TestShapes(t *testing.T) {
	s := lognormal(2, 0.5)
	r := source(1)
	n, over := 200000, 0
	limit := float32(2 * math.Exp(0.5*2.3263)) // p99
	for range n {
		if s.at(uint32(r.next())&mask24) > limit {
			over++
		}
	}
	if got := float64(over) / float64(n); math.Abs(got-0.01) > 0.001 {
		t.Errorf("share over the p99 is %.4f, want 0.01", got)
	}
	l := layouts()[0]
	for _, tt := range []struct {
		x    float32
		want int
	}{{0, 0}, {0.005, 0}, {0.0051, 1}, {0.3, 7}, {10, 13}, {11, 14}, {1e9, 14}} {
		if got := l.bucket(tt.x); got != tt.want {
			t.Errorf("bucket(%v) = %d, want %d", tt.x, got, tt.want)
		}
	}
}

func BenchmarkWorld(b *testing.B) {
	for i := range b.N {
		w := world(b, Backoff, uint64(i))
		if err := w.Frames(func(detector.Frame) error { return nil }); err != nil {
			b.Fatal(err)
		}
		w.Answer()
	}
}
