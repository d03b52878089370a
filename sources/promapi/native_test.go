package promapi

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/prometheus/model/histogram"
)

func TestHistogramsAreRestoredFromJSON(t *testing.T) {
	tests := []struct {
		name, json string
		want       *histogram.FloatHistogram
	}{
		{
			"schema 1, both signs and zero",
			`{"count":"11","sum":"2.5","buckets":[[1,"-2","-1.414213562373095","4"],[3,"-0.001","0.001","2"],[0,"1","1.414213562373095","3"],[0,"2","2.82842712474619","2"]]}`,
			&histogram.FloatHistogram{
				Schema: 1, Count: 11, Sum: 2.5, ZeroThreshold: 0.001, ZeroCount: 2,
				PositiveSpans: []histogram.Span{{Offset: 1, Length: 1}, {Offset: 1, Length: 1}}, PositiveBuckets: []float64{3, 2},
				NegativeSpans: []histogram.Span{{Offset: 2, Length: 1}}, NegativeBuckets: []float64{4},
			},
		},
		{
			"wide buckets, schema -2",
			`{"count":"3","sum":"30","buckets":[[0,"1","16","3"]]}`,
			&histogram.FloatHistogram{Schema: -2, Count: 3, Sum: 30, PositiveSpans: []histogram.Span{{Offset: 1, Length: 1}}, PositiveBuckets: []float64{3}},
		},
		{
			"custom bounds with a gap",
			`{"count":"6","sum":"30","buckets":[[0,"-Inf","0.1","1"],[0,"0.3","0.7","2"],[0,"0.7","+Inf","3"]]}`,
			&histogram.FloatHistogram{
				Schema: histogram.CustomBucketsSchema, Count: 6, Sum: 30, CustomValues: []float64{0.1, 0.3, 0.7},
				PositiveSpans: []histogram.Span{{Length: 4}}, PositiveBuckets: []float64{1, 0, 2, 3},
			},
		},
		{"nothing counted", `{"count":"0","sum":"0"}`, &histogram.FloatHistogram{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseHistogram([]byte(test.json))
			if err != nil {
				t.Fatal(err)
			}
			if err := got.Validate(); err != nil {
				t.Errorf("the histogram isn't valid: %v", err)
			}
			if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("histogram (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWrongHistogramsAreRefused(t *testing.T) {
	for _, json := range []string{
		`[]`, `{"count":3,"sum":"1"}`, `{"count":"x","sum":"1"}`, `{"count":"3","sum":"1","buckets":[1]}`,
		`{"count":"3","sum":"1","buckets":[[0,"2","4","1"],[0,"1","2","1"]]}`,
		`{"count":"3","sum":"1","buckets":[[0,"7","3","1"]]}`,
	} {
		if got, err := parseHistogram([]byte(json)); err == nil {
			t.Errorf("%s: got %v, want an error", json, got)
		}
	}
}
