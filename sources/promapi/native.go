package promapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/prometheus/prometheus/model/histogram"
)

// The boundary rules of a bucket in the query API's JSON.
const (
	openLeft = iota
	openRight
	openBoth
	closedBoth
)

// jsonBucket is a populated bucket: rule, lower and upper bound, count.
type jsonBucket struct {
	rule                int
	lower, upper, count float64
}

func (b *jsonBucket) UnmarshalJSON(data []byte) error {
	var parts [4]json.RawMessage
	if err := json.Unmarshal(data, &parts); err != nil {
		return errors.New("a histogram's bucket isn't [rule, lower, upper, count]")
	}
	if err := json.Unmarshal(parts[0], &b.rule); err != nil {
		return errors.New("a histogram's bucket has a wrong rule")
	}
	for n, to := range []*float64{&b.lower, &b.upper, &b.count} {
		if err := jsonFloat(parts[n+1], to); err != nil {
			return err
		}
	}
	return nil
}

func jsonFloat(raw json.RawMessage, to *float64) error {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return errors.New("a histogram's number isn't a string")
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return errors.New("a histogram's number isn't one")
	}
	*to = v
	return nil
}

// parseHistogram restores a native histogram from the API's JSON, which lists
// the populated buckets by their bounds and leaves the schema out: with schema s
// the bounds are 2^(i*2^-s), so that any positive bucket tells it. Buckets that
// don't lie so are custom ones.
func parseHistogram(raw []byte) (*histogram.FloatHistogram, error) {
	var in struct {
		Count   json.RawMessage `json:"count"`
		Sum     json.RawMessage `json:"sum"`
		Buckets []jsonBucket    `json:"buckets"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, fmt.Errorf("a histogram isn't one: %w", err)
	}
	if len(in.Buckets) > maxBuckets {
		return nil, fmt.Errorf("a histogram has more than %d buckets", maxBuckets)
	}
	h := &histogram.FloatHistogram{}
	if err := jsonFloat(in.Count, &h.Count); err != nil {
		return nil, err
	}
	if err := jsonFloat(in.Sum, &h.Sum); err != nil {
		return nil, err
	}
	schema, ok := schemaOf(in.Buckets)
	if !ok {
		return customHistogram(h, in.Buckets)
	}
	h.Schema = schema
	var positive, negative []indexed
	for _, b := range in.Buckets {
		switch {
		case b.rule == closedBoth || b.lower < 0 && b.upper > 0:
			h.ZeroThreshold, h.ZeroCount = b.upper, b.count
		case b.lower >= 0:
			positive = append(positive, indexed{index(b.upper, schema), b.count})
		default:
			negative = append(negative, indexed{index(-b.lower, schema), b.count})
		}
	}
	slices.Reverse(negative) // the API lists them from the lowest value up
	var err error
	if h.PositiveSpans, h.PositiveBuckets, err = spans(positive); err != nil {
		return nil, err
	}
	if h.NegativeSpans, h.NegativeBuckets, err = spans(negative); err != nil {
		return nil, err
	}
	return h, nil
}

type indexed struct {
	index int
	count float64
}

const (
	minSchema, maxSchema = -4, 8
	// near is how far a bound may be from its place: the JSON has all digits.
	near = 1e-6
)

// schemaOf finds the exponential schema in which all buckets have their places.
func schemaOf(buckets []jsonBucket) (int32, bool) {
	schema, found := int32(0), false
	for _, b := range buckets {
		lower, upper := b.lower, b.upper
		if upper <= 0 {
			lower, upper = -upper, -lower
		}
		if b.rule == closedBoth || b.lower < 0 && b.upper > 0 {
			continue
		}
		if !(lower > 0 && upper > lower) {
			return 0, false
		}
		if math.IsInf(upper, 1) {
			continue // the overflow bucket: its lower bound is the largest number
		}
		s := -math.Log2(math.Log2(upper / lower))
		rounded := math.Round(s)
		if math.Abs(s-rounded) > near*1e3 || rounded < minSchema || rounded > maxSchema || found && int32(rounded) != schema {
			return 0, false
		}
		if place := math.Log2(upper) * math.Exp2(rounded); math.Abs(place-math.Round(place)) > near*1e3 {
			return 0, false
		}
		schema, found = int32(rounded), true
	}
	return schema, found || len(buckets) <= 1
}

// index is the bucket with this upper bound.
func index(upper float64, schema int32) int {
	if math.IsInf(upper, 1) {
		return int(math.Round(1024 * math.Exp2(float64(schema))))
	}
	return int(math.Round(math.Log2(upper) * math.Exp2(float64(schema))))
}

// spans puts ascending populated buckets into spans.
func spans(buckets []indexed) ([]histogram.Span, []float64, error) {
	var out []histogram.Span
	counts := make([]float64, 0, len(buckets))
	next := 0
	for n, b := range buckets {
		gap := b.index - next
		switch {
		case n > 0 && gap < 0:
			return nil, nil, errors.New("a histogram's buckets are out of order")
		case n == 0 || gap > 0:
			out = append(out, histogram.Span{Offset: int32(gap), Length: 1})
		default:
			out[len(out)-1].Length++
		}
		counts = append(counts, b.count)
		next = b.index + 1
	}
	return out, counts, nil
}

// customHistogram is a histogram of custom bounds. Bounds between two buckets
// without counts are not in the JSON: the gap becomes one bucket.
func customHistogram(h *histogram.FloatHistogram, buckets []jsonBucket) (*histogram.FloatHistogram, error) {
	h.Schema = histogram.CustomBucketsSchema
	last := math.Inf(-1)
	for _, b := range buckets {
		if !(b.lower >= last && b.upper > b.lower) {
			return nil, errors.New("a histogram's buckets are out of order")
		}
		if b.lower > last {
			h.CustomValues = append(h.CustomValues, b.lower)
			h.PositiveBuckets = append(h.PositiveBuckets, 0)
		}
		if !math.IsInf(b.upper, 1) {
			h.CustomValues = append(h.CustomValues, b.upper)
		}
		h.PositiveBuckets = append(h.PositiveBuckets, b.count)
		last = b.upper
	}
	if n := len(h.PositiveBuckets); n > 0 {
		h.PositiveSpans = []histogram.Span{{Length: uint32(n)}}
	}
	return h, nil
}
