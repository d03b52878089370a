package hist

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/prometheus/model/histogram"
)

// floats takes 8 bytes a number.
func floats(data []byte) (out []float64) {
	for len(data) >= 8 {
		out = append(out, math.Float64frombits(binary.LittleEndian.Uint64(data)))
		data = data[8:]
	}
	return out
}

func bytesOf(x ...float64) (out []byte) {
	for _, v := range x {
		out = binary.LittleEndian.AppendUint64(out, math.Float64bits(v))
	}
	return out
}

// hostile makes a histogram of whatever numbers come.
func hostile(bounds, counts []byte) Histogram {
	h := Histogram{Bounds: floats(bounds), Counts: floats(counts)}
	n := min(len(h.Bounds), len(h.Counts), 64)
	h.Bounds, h.Counts = h.Bounds[:n], h.Counts[:n]
	return h
}

// tame is the same, made to keep what Histogram asks for.
func tame(h Histogram) Histogram {
	bounds := slices.DeleteFunc(slices.Clone(h.Bounds), math.IsNaN)
	slices.Sort(bounds)
	bounds = slices.Compact(bounds)
	counts := make([]float64, len(bounds))
	for i := range counts {
		if c := math.Trunc(math.Abs(h.Counts[i])); c < 1e9 {
			counts[i] = c
		}
	}
	return Histogram{Bounds: bounds, Counts: counts}
}

var nan = math.NaN()

// Broken histograms give broken numbers, but no panic and no endless work; sound
// ones of any bounds keep what is promised.
func FuzzHistogram(f *testing.F) {
	f.Add(bytesOf(1, 2, inf), bytesOf(3, 0, 4), bytesOf(1, 4, inf), bytesOf(3, 0, 4), 2.0, 0.99)
	f.Add(bytesOf(2, 1, nan, -inf), bytesOf(-3, nan, inf, 1e308), bytesOf(nan, nan), bytesOf(1e308, 1e308), nan, nan)
	f.Add(bytesOf(inf, inf, -1), bytesOf(1, 1, 1), bytesOf(0, math.Copysign(0, -1)), bytesOf(1, 1), -inf, -1.0)
	f.Add(bytesOf(), bytesOf(), bytesOf(5e-324, math.MaxFloat64), bytesOf(1, 1), 0.0, 2.0)
	f.Add(bytesOf(5, 4, 3), bytesOf(1, 1, 1), bytesOf(3.5), bytesOf(1), 1.0, 0.5)
	f.Fuzz(func(t *testing.T, aBounds, aCounts, bBounds, bCounts []byte, x, q float64) {
		a, b := hostile(aBounds, aCounts), hostile(bBounds, bCounts)
		for _, h := range []Histogram{a, b, Merge(a, b), Merge(b, a)} {
			h.Above(x)
			h.AboveBound(x)
			h.Quantile(q)
			h.Total()
		}
		a, b = tame(a), tame(b)
		sum := Merge(a, b)
		if d := cmp.Diff(sum, Merge(b, a), cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("not commutative:\n%s", d)
		}
		if got, want := sum.Total(), a.Total()+b.Total(); got != want {
			t.Fatalf("total %v, want %v", got, want)
		}
		check(t, sum)
		for _, x := range append(sum.Bounds, x) {
			ca, okA := a.AboveBound(x)
			cb, okB := b.AboveBound(x)
			if got, ok := sum.AboveBound(x); ok != (okA && okB) || ok && got != ca+cb {
				t.Fatalf("above %v: %v %v, of %v %v and %v %v", x, got, ok, ca, okA, cb, okB)
			}
		}
		if lower, upper, ok := sum.Quantile(q); ok != (sum.Total() > 0 && q <= 1) || ok && lower > upper {
			t.Fatalf("Quantile(%v) = %v, %v, %v of %+v", q, lower, upper, ok, sum)
		}
	})
}

// check holds a histogram against what Histogram promises.
func check(t *testing.T, h Histogram) {
	t.Helper()
	if len(h.Counts) != len(h.Bounds) {
		t.Fatalf("%d counts and %d bounds", len(h.Counts), len(h.Bounds))
	}
	for i, x := range h.Bounds {
		if math.IsNaN(x) || i > 0 && x <= h.Bounds[i-1] {
			t.Fatalf("bounds don't ascend: %v", h.Bounds)
		}
		if c := h.Counts[i]; !(c >= 0) || math.IsInf(c, 0) {
			t.Fatalf("bucket %d counts %v", i, c)
		}
	}
}

// Whatever Validate lets pass becomes a sound histogram with the same counts.
func FuzzFromNative(f *testing.F) {
	f.Add(int32(3), 0.0, 0.0, []byte{0, 2, 3, 1}, bytesOf(1, 2, 3), []byte{}, bytesOf(), bytesOf(), uint8(0))
	f.Add(int32(-53), 0.0, 0.0, []byte{0, 3}, bytesOf(1, nan, inf), []byte{}, bytesOf(), bytesOf(0.1, 1), uint8(1))
	f.Add(int32(-53), 0.0, 0.0, []byte{1, 1}, bytesOf(1e308), []byte{}, bytesOf(), bytesOf(-inf, -1, 5e-324), uint8(3))
	f.Add(int32(8), 1e300, 5.0, []byte{255, 2, 255, 9}, bytesOf(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1), []byte{9, 1}, bytesOf(4), bytesOf(), uint8(2))
	f.Add(int32(-4), inf, 1.0, []byte{127, 2}, bytesOf(1, 1), []byte{127, 1}, bytesOf(4), bytesOf(), uint8(0))
	f.Fuzz(func(t *testing.T, schema int32, zero, zeroCount float64, pos, posBuckets, neg, negBuckets, values []byte, unit uint8) {
		h := &histogram.FloatHistogram{
			Schema: schema, ZeroThreshold: zero, ZeroCount: zeroCount,
			PositiveSpans: spansOf(pos), PositiveBuckets: floats(posBuckets),
			NegativeSpans: spansOf(neg), NegativeBuckets: floats(negBuckets), CustomValues: floats(values),
		}
		if len(values) == 0 {
			h.CustomValues = nil
		}
		if h.Validate() != nil {
			return
		}
		got := FromNative(h, []float64{1, 1e-3, 1e-6, 1e-9}[unit%4])
		check(t, got)
		want := 0.0
		for _, c := range slices.Concat(h.PositiveBuckets, h.NegativeBuckets, []float64{h.ZeroCount}) {
			if c > 0 && c < 1e100 {
				want += c
			}
		}
		if total := got.Total(); math.Abs(total-want) > 1e-9*want {
			t.Fatalf("total %v, want %v: %+v", total, want, got)
		}
		if lower, upper, ok := got.Quantile(0.99); ok != (want > 0) || lower > upper {
			t.Fatalf("p99 in %v..%v, %v", lower, upper, ok)
		}
		check(t, Merge(got, got))
	})
}

// spansOf takes two bytes a span: offset (squared, with its sign) and length.
func spansOf(data []byte) (out []histogram.Span) {
	for len(data) >= 2 && len(out) < 32 {
		o := int32(int8(data[0]))
		out = append(out, histogram.Span{Offset: o * o * o * 1000, Length: uint32(data[1] % 16)})
		data = data[2:]
	}
	return out
}
