package series

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
)

// TestDoubt holds what the fold makes of telemetry that says two things.
func TestDoubt(t *testing.T) {
	bucketOf := func(le string, more ...string) []string {
		return append(l("service", "s", "instance", "a", "le", le), more...)
	}
	key := "latency|" + base + "|service=s"
	native := Series{Labels: labels.FromStrings(model.MetricNameLabel, base, "service", "s", "instance", "a", "code", "500")}
	for i := range 2 {
		native.Times = append(native.Times, epoch.UnixMilli()+int64(i)*60_000)
		native.Histograms = append(native.Histograms, &histogram.FloatHistogram{
			Count: float64(2 + i), PositiveSpans: []histogram.Span{{Offset: 0, Length: 1}}, PositiveBuckets: []float64{float64(2 + i)},
		})
	}
	for _, tc := range []struct {
		name   string
		series []Series
		want   []brief
	}{
		{"a scrape in the middle of an observation: no bucket has less than the one below", []Series{
			floats(base+"_bucket", bucketOf("1"), 0, 0, 60, 5),
			floats(base+"_bucket", bucketOf("2"), 0, 0, 60, 4),
			floats(base+"_bucket", bucketOf("+Inf"), 0, 0, 60, 6),
		}, []brief{{1, key, "a", "", 6, 0, []float64{1, 2, inf}, []float64{5, 0, 1}}}},
		{"two layouts of one process meet at the bounds of both", []Series{
			floats(base+"_bucket", bucketOf("1", "container", "x"), 0, 0, 60, 1),
			floats(base+"_bucket", bucketOf("2", "container", "x"), 0, 0, 60, 3),
			floats(base+"_bucket", bucketOf("+Inf", "container", "x"), 0, 0, 60, 6),
			floats(base+"_bucket", bucketOf("2", "container", "y"), 0, 0, 60, 1),
			floats(base+"_bucket", bucketOf("4", "container", "y"), 0, 0, 60, 3),
			floats(base+"_bucket", bucketOf("+Inf", "container", "y"), 0, 0, 60, 6),
		}, []brief{{1, key, "a", "", 12, 0, []float64{2, inf}, []float64{4, 8}}}},
		{"a native and a classic histogram of one metric are counted once", []Series{
			native,
			floats(base+"_bucket", bucketOf("+Inf", "code", "500"), 0, 2, 60, 3),
			floats(base+"_count", l("service", "s", "instance", "a", "code", "500"), 0, 2, 60, 3),
		}, []brief{
			{1, "error|" + base + "_count|service=s", "a", "", 1, 1, nil, nil},
			{1, "latency|" + base + "|code=500,service=s", "a", "", 1, 0, []float64{0.5, 1}, []float64{0, 1}},
		}},
		{"empty buckets that were left out", []Series{
			floats(base+"_bucket", bucketOf("1"), 0, 3, 60, 3),
			floats(base+"_bucket", bucketOf("2"), 60, 5),
			floats(base+"_bucket", bucketOf("+Inf"), 0, 3, 60, 6),
		}, []brief{{1, key, "a", "", 3, 0, []float64{1, 2, inf}, []float64{0, 2, 1}}}},
		{"of two builds at once the later speaks", []Series{
			floats("target_info", l("job", "s", "instance", "a", "service_version", "0.9"), 0, 1, 60, 1),
			floats("target_info", l("job", "s", "instance", "a", "service_version", "1"), -60, 1, 0, 1, 60, 1),
			floats("a_requests_total", l("job", "s", "instance", "a", "code", "200"), 0, 1, 60, 2),
		}, []brief{{1, "error|a_requests_total|job=s", "a", "0.9", 1, 0, nil, nil}}},
		{"two processes under one name: their starts are not believed", []Series{
			floats(startName, l("instance", "a", "container", "y"), 0, float64(epoch.Unix()-90), 60, float64(epoch.Unix()-90)),
			floats(startName, l("instance", "a", "container", "x"), 0, float64(epoch.Unix()-90), 60, float64(epoch.Unix()+30)),
			floats("a_requests_total", l("instance", "a", "code", "200"), 0, 10, 60, 12),
		}, []brief{{1, "error|a_requests_total|", "a", "", 2, 0, nil, nil}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, briefs(frames(t, 1, tc.series...))); diff != "" {
				t.Errorf("frames (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSlowScrapes holds that a target that is scraped every other step is up in
// the step between.
func TestSlowScrapes(t *testing.T) {
	var got []int
	for _, fr := range frames(t, 7,
		floats("up", l("instance", "a"), 0, 1, 120, 1, 240, 1),
		floats("a_requests_total", l("instance", "b", "code", "200"), 60, 1, 120, 1, 180, 1, 240, 1, 300, 1, 360, 1, 420, 1),
	) {
		got = append(got, fr.Up)
	}
	// It answers no more after minute 4: minute 6 is without its answer.
	if diff := cmp.Diff([]int{0, 1, 1, 1, 1, 1, 0}[1:], got[1:]); diff != "" {
		t.Errorf("up by minute from 2 on (-want +got):\n%s", diff)
	}
}
