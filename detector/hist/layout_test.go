package hist

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/prometheus/model/histogram"
	"pgregory.net/rapid"
)

// exponential counts samples (positive) by the formula of the specification:
// bucket i of schema s is (2^((i-1) 2^-s), 2^(i 2^-s)].
// https://prometheus.io/docs/specs/native_histograms/#schema
func exponential(schema int32, scale float64, samples ...float64) Histogram {
	counts := map[int]float64{}
	for _, x := range samples {
		counts[int(math.Ceil(math.Ldexp(math.Log2(x/scale), int(schema))-1e-9))]++
	}
	return FromNative(sparse(schema, counts), scale)
}

func sparse(schema int32, counts map[int]float64) *histogram.FloatHistogram {
	h := &histogram.FloatHistogram{Schema: schema}
	var at []int
	for i, c := range counts {
		at = append(at, i)
		h.Count += c
	}
	slices.Sort(at)
	next := 0
	for _, i := range at {
		h.PositiveSpans = append(h.PositiveSpans, histogram.Span{Offset: int32(i - next), Length: 1})
		h.PositiveBuckets = append(h.PositiveBuckets, counts[i])
		next = i + 1
	}
	return h
}

// custom counts samples over custom bounds.
func custom(bounds []float64, samples ...float64) *histogram.FloatHistogram {
	h := &histogram.FloatHistogram{
		Schema: histogram.CustomBucketsSchema, CustomValues: bounds, Count: float64(len(samples)),
		PositiveSpans:   []histogram.Span{{Length: uint32(len(bounds) + 1)}},
		PositiveBuckets: make([]float64, len(bounds)+1),
	}
	for _, x := range samples {
		i, _ := slices.BinarySearch(bounds, x)
		h.PositiveBuckets[i]++
	}
	return h
}

func classic(bounds []float64, samples ...float64) Histogram {
	h := Histogram{Bounds: append(slices.Clone(bounds), inf), Counts: make([]float64, len(bounds)+1)}
	for _, x := range samples {
		i, _ := slices.BinarySearch(h.Bounds, x)
		h.Counts[i]++
	}
	return h
}

// quarterDown is 2^-0.25 as Prometheus has it.
const quarterDown = 0.8408964152537144

func TestAboveBound(t *testing.T) {
	wide := sparse(1, map[int]float64{5: 1})
	wide.ZeroThreshold = 1
	fine, coarse := exponential(2, 1, 0.3, 0.9, 3), exponential(0, 1, 0.3, 0.9, 3)
	for _, c := range []struct {
		name  string
		h     Histogram
		x     float64
		count float64
		ok    bool
	}{
		{"a bound between populated buckets", classic([]float64{1, 2, 4}, 3), 2, 1, true},
		{"no bound, in a populated bucket", classic([]float64{1, 2, 4}, 3), 3, 0, false},
		{"no bound, though nothing is around", classic([]float64{1, 2, 4}, 0.5), 3, 0, false},
		{"a bound of the grid beside a populated bucket", fine, quarterDown, 2, true},
		{"a bound of the grid far from any value", fine, math.Exp2(-1.25), 2, true},
		{"beyond all values", fine, 64, 0, true},
		{"below all values", fine, math.Exp2(-20.25), 3, true},
		{"a bound of the fine grid, not of the coarse one", coarse, quarterDown, 0, false},
		{"the same where nothing is around", coarse, math.Exp2(5.25), 0, false},
		{"a bound of the coarse grid", coarse, 1, 1, true},
		{"no bound of any grid", fine, 0.8, 0, false},
		{"in another unit", exponential(3, 1e-3, 0.0123, 0.5), 0.256, 1, true},
		{"zero and below are no bounds", fine, 0, 0, false},
		{"NaN is no bound", fine, math.NaN(), 0, false},
		{"NaN is no bound of a list", classic([]float64{1}, 3), math.NaN(), 0, false},
		{"a histogram of nothing", Histogram{}, 1, 0, true},
		{"nothing counted on a grid", exponential(0, 1), 2, 0, true},
		{"nothing counted on a grid, no bound", exponential(0, 1), 3, 0, false},
		{"fine and coarse, a shared bound", Merge(fine, coarse), 0.5, 4, true},
		{"fine and coarse, a bound of one", Merge(fine, coarse), math.Exp2(5.5), 0, false},
		{"grid and list, a shared bound", Merge(fine, classic([]float64{0.1, 0.5, 2}, 0.3, 1)), 0.5, 3, true},
		{"grid and list, of the grid alone", Merge(fine, classic([]float64{0.1, 0.5, 2}, 0.3, 1)), 8, 0, false},
		{"two lists, of one alone and nothing around", Merge(classic([]float64{1, 2, 4}, 0.5), classic([]float64{1, 4}, 0.5)), 2, 0, false},
		{"an idle instance of a coarser layout", Merge(exponential(0, 1), fine), math.Exp2(5.5), 0, false},
		{"two units", Merge(exponential(0, 1, 5), exponential(0, 1e-3, 5)), 4, 0, false},
		{"under a wide zero bucket", FromNative(&histogram.FloatHistogram{Count: 1, ZeroThreshold: 1, ZeroCount: 1}, 1), 0.5, 0, false},
		{"at the end of a wide zero bucket", FromNative(&histogram.FloatHistogram{Count: 1, ZeroThreshold: 1, ZeroCount: 1}, 1), 1, 0, true},
		{"under a wide zero bucket without counts", FromNative(wide, 1), 0.5, 0, false},
		{"a wide and a narrow zero bucket", Merge(FromNative(wide, 1), coarse), 0.25, 0, false},
		{"a narrow and a wide zero bucket", Merge(fine, FromNative(wide, 1)), 0.25, 0, false},
		{"beyond a wide and a narrow zero bucket", Merge(fine, FromNative(wide, 1)), 2, 2, true},
		{"a custom bound without counts", FromNative(custom([]float64{1, 2, 4}, 3), 1), 1, 1, true},
		{"no custom bound", FromNative(custom([]float64{1, 2, 4}, 0.5), 1), 3, 0, false},
	} {
		if count, ok := c.h.AboveBound(c.x); count != c.count || ok != c.ok {
			t.Errorf("%s: AboveBound(%v) = %v, %v, want %v, %v", c.name, c.x, count, ok, c.count, c.ok)
		}
	}
}

// The trap that AboveBound is there for: the new build's buckets don't have the
// bound 0.25, and of few values a step, those steps that Above knows the count
// in are those with fewer slow requests.
func TestAboveBoundChoosesNoSteps(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	const steps, requests, x = 4000, 40, 0.25
	truth, known, total := 0.0, 0.0, 0.0
	for range steps {
		samples := make([]float64, requests)
		for i := range samples {
			samples[i] = 0.1 * rng.ExpFloat64()
			if samples[i] > x {
				truth++
			}
		}
		h := classic([]float64{0.1, 0.2, 0.3, 1}, samples...)
		if least, most := h.Above(x); least == most {
			known += least
			total += requests
		}
		if _, ok := h.AboveBound(x); ok {
			t.Fatal("0.25 is no bound, yet the count above it is said to be known")
		}
	}
	if share := truth / (steps * requests); total == 0 || known/total > 0.9*share {
		t.Errorf("the steps in which nothing fell around the bound have a share of %v, all have %v: there is no trap", known/total, share)
	}
}

// The bounds of a schema are among those of every finer one, to the last bit,
// so that a process that lowered its resolution can be compared.
func TestSchemasShareBounds(t *testing.T) {
	bound := func(schema int32, i int) float64 {
		b := FromNative(sparse(schema, map[int]float64{i: 1}), 1e-3).Bounds
		return b[len(b)-1]
	}
	for coarse := int32(-4); coarse < 8; coarse++ {
		for fine := coarse + 1; fine <= 8; fine++ {
			for i := -60; i <= 60; i++ {
				a, b := bound(coarse, i), bound(fine, i<<(fine-coarse))
				if a != b {
					t.Fatalf("bound %d of schema %d is %v, and %v in schema %d", i, coarse, a, b, fine)
				}
				if l := (&Layout{Scale: 1e-3, Schema: coarse}); a > 0 && !math.IsInf(a, 0) && !l.has(b) {
					t.Fatalf("bound %d of schema %d (%v) isn't on its grid", i, coarse, a)
				}
			}
		}
	}
}

// A classic histogram that is read as a native one with custom buckets from the
// upgrade on goes on as if nothing had happened.
func TestClassicBecomesCustom(t *testing.T) {
	bounds := []float64{5, 10, 25, 50, 100, 250}
	samples := []float64{3, 12, 12, 80, 1000}
	scaled := make([]float64, len(bounds))
	for i, x := range bounds {
		scaled[i] = x * 1e-3
	}
	before := Histogram{Bounds: append(scaled, inf), Counts: classic(bounds, samples...).Counts}
	if d := cmp.Diff(before, FromNative(custom(bounds, samples...), 1e-3)); d != "" {
		t.Errorf("(-classic +custom):\n%s", d)
	}
}

// Layouts of every kind, over the same samples, before and after an upgrade: at
// each bound that both layouts have the counts are exact, and at no other is
// one given.
func TestLayoutChangesAtTheUpgrade(t *testing.T) {
	lists := [][]float64{{0.1, 0.5, 1, 5}, {0.1, 0.25, 1, 10}, {0.125, 0.25, 0.5, 1, 2, 4}, {0.3}}
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string, samples []float64) Histogram {
			switch k := rapid.IntRange(0, 2*len(lists)+4).Draw(t, name); {
			case k < len(lists):
				return classic(lists[k], samples...)
			case k < 2*len(lists):
				return FromNative(custom(lists[k-len(lists)], samples...), 1)
			default:
				return exponential(int32(k-2*len(lists)-1), 1, samples...)
			}
		}
		values := rapid.SliceOfN(rapid.Float64Range(0.001, 60), 0, 30)
		before, after, more := values.Draw(t, "before"), values.Draw(t, "after"), values.Draw(t, "more")
		a, b, c := draw("old", before), draw("new", after), draw("third", more)
		sum := Merge(a, b)
		if d := cmp.Diff(sum, Merge(b, a), cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("not commutative:\n%s", d)
		}
		if d := cmp.Diff(Merge(sum, c), Merge(a, Merge(b, c)), cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("not associative:\n%s", d)
		}
		if got, want := sum.Total(), float64(len(before)+len(after)); got != want {
			t.Fatalf("total %v, want %v", got, want)
		}
		at := rapid.SampledFrom([]float64{0.1, 0.125, 0.25, 0.3, 0.5, 1, 2, 4, 5, 10, 16, 0.7071067811865475, 4 * quarterDown, 0.7}).Draw(t, "bound")
		_, inA := a.AboveBound(at)
		_, inB := b.AboveBound(at)
		got, ok := sum.AboveBound(at)
		if ok != (inA && inB) {
			t.Fatalf("%v is a bound of the old layout: %v, of the new: %v, of the sum: %v", at, inA, inB, ok)
		}
		want := 0.0
		for _, x := range slices.Concat(before, after) {
			if x > at {
				want++
			}
		}
		if ok && got != want {
			t.Fatalf("%v above %v, want %v", got, at, want)
		}
	})
}

// The bucket that Quantile names holds the exact quantile of the samples, in
// every layout.
func TestQuantileHoldsTheExactOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		samples := rapid.SliceOfN(rapid.Float64Range(0.001, 60), 1, 200).Draw(t, "samples")
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		slices.Sort(samples)
		exact := samples[max(0, int(math.Ceil(q*float64(len(samples))))-1)]
		for _, h := range []Histogram{
			classic([]float64{0.1, 1, 10}, samples...), FromNative(custom([]float64{0.1, 1, 10}, samples...), 1),
			exponential(0, 1, samples...), exponential(5, 1, samples...), exponential(-2, 1, samples...),
			Merge(exponential(3, 1, samples...), exponential(1, 1, samples...)),
		} {
			lower, upper, ok := h.Quantile(q)
			if !ok || !(lower < exact*(1+1e-9) && exact <= upper*(1+1e-9)) {
				t.Fatalf("Quantile(%v) = %v, %v, %v; the exact one is %v (%+v)", q, lower, upper, ok, exact, h)
			}
		}
	})
}

// Counts above a bound fall as the bound rises, in both of their ends, and hold
// the exact count between them.
func TestAboveIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		samples := rapid.SliceOfN(rapid.Float64Range(0.001, 60), 0, 50).Draw(t, "samples")
		low := rapid.Float64Range(0, 70).Draw(t, "low")
		high := rapid.Float64Range(low, 70).Draw(t, "high")
		exact := 0.0
		for _, x := range samples {
			if x > low {
				exact++
			}
		}
		for _, h := range []Histogram{classic([]float64{0.1, 1, 2, 10}, samples...), exponential(1, 1, samples...)} {
			least, most := h.Above(low)
			if !(least <= exact && exact <= most) {
				t.Fatalf("%v..%v above %v, the exact count is %v", least, most, low, exact)
			}
			if l, m := h.Above(high); l > least || m > most {
				t.Fatalf("%v..%v above %v, but %v..%v above %v", least, most, low, l, m, high)
			}
		}
	})
}

func TestQuantileBelowZero(t *testing.T) {
	h := Histogram{Bounds: []float64{-1, 0, 1}, Counts: []float64{5, 0, 1}}
	if lower, upper, ok := h.Quantile(0.5); !ok || !math.IsInf(lower, -1) || upper != -1 {
		t.Errorf("got %v, %v, %v, want -Inf, -1", lower, upper, ok)
	}
}
