package detector_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"aftershock/detector"
	"aftershock/detector/hist"
)

// tale is everything that happens to a judge: the same frames to every judge that
// is told it, and an upgrade and a flip at the same instants.
type tale struct {
	frames        []detector.Frame
	upgrade, flip int // before which frame
	at            time.Time
}

// tell is the tale of a town over some hours, with an upgrade that makes things
// worse and a flip that cures them.
func tell(w *town) tale {
	s := tale{upgrade: 5 * 60, flip: 6 * 60}
	for i := range 7 * 60 {
		switch i {
		case s.upgrade:
			w.upgrade, w.factor = w.now, 2.5
			s.at = w.now
		case s.flip:
			w.factor = 1
		}
		s.frames = append(s.frames, w.frame())
	}
	return s
}

// hear tells a judge the tale. between is called after every frame, before a look
// at it if there is one, and may answer another judge to go on with.
func (s tale) hear(between func(i int, j *detector.Judge) *detector.Judge) ([]detector.Event, []detector.Verdict) {
	var out []detector.Event
	j := detector.NewJudge(detector.Config{})
	for i, f := range s.frames {
		switch i {
		case s.upgrade:
			j.Watch(townUpgrade(s.at))
		case s.flip:
			j.Flip(detector.Flip{Flag: "f", At: s.frames[i-1].Time, Ours: true, Upgrade: "u", Binaries: []string{"back-bin"}})
		}
		j.Observe(f)
		j = between(i, j)
		if i > s.upgrade && i%7 == 0 {
			out = append(out, j.Look()...)
		}
	}
	return out, j.Verdicts("u")
}

func untouched(_ int, j *detector.Judge) *detector.Judge { return j }

// lines are the events and the last verdicts as the product writes them.
func lines(t rapid.TB, events []detector.Event, verdicts []detector.Verdict) string {
	var b strings.Builder
	out := json.NewEncoder(&b)
	for _, e := range events {
		if err := out.Encode(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Encode(verdicts); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// eventful fails the test if the tale doesn't hold what is to be compared.
func eventful(t *testing.T, events []detector.Event) {
	t.Helper()
	for _, want := range []string{detector.EventShift, detector.EventRecovered, detector.EventVerdict} {
		if !slices.ContainsFunc(events, func(e detector.Event) bool { return e.Event == want }) {
			t.Fatalf("nothing in the tale is a %s: there is nothing to compare", want)
		}
	}
}

// The order in which a frame lists its points, calls and builds says nothing, even
// while instances have different bucket layouts.
func TestOrderWithinAFrameChangesNothing(t *testing.T) {
	w := newTown(6, allKinds)
	w.instances = 3
	s := tell(w)
	coarse := []float64{0.1, 0.25, 1, townBounds[len(townBounds)-1]}
	for i := range s.frames {
		f := &s.frames[i]
		f.Calls = append(f.Calls, detector.Call{Client: "front", Server: "other", Count: 5}, detector.Call{Client: "back", Server: "store", Count: 7})
		for k := range f.Points {
			p := &f.Points[k]
			service, slot, _ := strings.Cut(p.Instance, "-")
			f.Builds = append(f.Builds, detector.Build{
				Binary: service + "-bin", Labels: map[string]string{"service": service}, Instance: p.Instance, Version: p.Version,
			})
			if i >= s.upgrade && slot == "b" && p.Indicator.Kind == detector.Latency {
				c := p.Hist.Counts
				p.Hist = hist.Histogram{Bounds: coarse, Counts: []float64{c[0] + c[1], c[2], c[3] + c[4], c[5]}}
			}
		}
	}
	events, verdicts := s.hear(untouched)
	eventful(t, events)
	want := lines(t, events, verdicts)
	rapid.Check(t, func(t *rapid.T) {
		luck := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 3))
		mixed := s
		mixed.frames = slices.Clone(s.frames)
		for i := range mixed.frames {
			f := &mixed.frames[i]
			f.Points, f.Calls, f.Builds = shuffled(luck, f.Points), shuffled(luck, f.Calls), shuffled(luck, f.Builds)
		}
		events, verdicts := mixed.hear(untouched)
		if d := cmp.Diff(want, lines(t, events, verdicts)); d != "" {
			t.Fatalf("another order changes what is said (-one +other):\n%s", d)
		}
	})
}

func shuffled[T any](luck *rand.Rand, list []T) []T {
	list = slices.Clone(list)
	luck.Shuffle(len(list), func(a, b int) { list[a], list[b] = list[b], list[a] })
	return list
}

// Several instances of one version say together what one says that counted it
// all, up to the rounding of sums.
func TestSplittingOverInstancesChangesNothing(t *testing.T) {
	for _, instances := range []int{2, 5} {
		t.Run(fmt.Sprint(instances), func(t *testing.T) {
			w := newTown(uint64(instances), allKinds)
			w.instances = instances
			split := tell(w)
			whole := split
			whole.frames = slices.Clone(split.frames)
			for i := range whole.frames {
				whole.frames[i].Points = summed(split.frames[i].Points)
			}
			events, verdicts := split.hear(untouched)
			eventful(t, events)
			others, lasts := whole.hear(untouched)
			near := cmp.Options{cmpopts.EquateApprox(1e-6, 1e-9), cmpopts.EquateNaNs()}
			if d := cmp.Diff(others, events, near); d != "" {
				t.Errorf("%d instances differ from one (-one +several):\n%s", instances, d)
			}
			if d := cmp.Diff(lasts, verdicts, near); d != "" {
				t.Errorf("%d instances end differently from one (-one +several):\n%s", instances, d)
			}
		})
	}
}

// summed adds up the points of each indicator.
func summed(points []detector.Point) []detector.Point {
	var out []detector.Point
	for _, p := range points {
		n := len(out) - 1
		if n < 0 || out[n].Indicator != p.Indicator {
			p.Instance = p.Indicator.Service() + "-a"
			p.Hist.Counts = slices.Clone(p.Hist.Counts)
			out = append(out, p)
			continue
		}
		out[n].Total += p.Total
		out[n].Bad += p.Bad
		for k, c := range p.Hist.Counts {
			out[n].Hist.Counts[k] += c
		}
	}
	return out
}
