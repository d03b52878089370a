package tsdbdir

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb"

	"aftershock/sources/series"
)

const hour = int64(3600_000)

var native = &histogram.Histogram{
	Schema: 1, Count: 3, Sum: 4,
	PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}}, PositiveBuckets: []int64{1, 1},
}

// write fills a TSDB directory with a sample a minute over four hours, the
// first two in a block and all in the write-ahead log.
func write(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	db, err := tsdb.Open(dir, nil, nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		t.Fatal(err)
	}
	app := db.Appender(context.Background())
	for i := range int64(240) {
		at := i * 60_000
		for _, m := range []string{"a_requests_total", "node_load1"} {
			v := float64(i)
			if i == 100 {
				v = math.Float64frombits(value.StaleNaN)
			}
			if _, err := app.Append(0, labels.FromStrings(model.MetricNameLabel, m, "instance", "i"), at, v); err != nil {
				t.Fatal(err)
			}
		}
		if i >= 200 {
			if _, err := app.AppendHistogram(0, labels.FromStrings(model.MetricNameLabel, "a_seconds", "instance", "i"), at, native, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := db.CompactHead(tsdb.NewRangeHead(db.Head(), 0, 2*hour-1)); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// listing names every file with its size and time of change.
func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	m := map[string]string{}
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			m[path] = info.ModTime().String() + " " + string(rune(info.Size()))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSeries(t *testing.T) {
	dir := write(t)
	before := listing(t, dir)
	d, err := Open(Config{Path: dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		Name         string
		First, Last  int64
		N, Histogram int
		Stale        bool
	}
	var got []row
	err = d.Series(context.Background(), time.UnixMilli(0), time.UnixMilli(4*hour), func(s series.Series) error {
		r := row{Name: s.Labels.Get(model.MetricNameLabel), First: s.Times[0], Last: s.Times[len(s.Times)-1], N: len(s.Times), Histogram: len(s.Histograms)}
		for _, v := range s.Values {
			r.Stale = r.Stale || value.IsStaleNaN(v)
		}
		got = append(got, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []row{
		{"a_requests_total", 60_000, 239 * 60_000, 239, 0, true},
		{"a_seconds", 200 * 60_000, 239 * 60_000, 40, 40, false},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
	first, last, err := d.Range(context.Background())
	if err != nil || first.UnixMilli() != 0 || last.UnixMilli() != 239*60_000 {
		t.Errorf("range = %v, %v, %v", first, last, err)
	}
	if diff := cmp.Diff(before, listing(t, dir)); diff != "" {
		t.Errorf("the directory was changed (-before +after):\n%s", diff)
	}
}

func TestOpenErrors(t *testing.T) {
	empty := t.TempDir()
	for path, want := range map[string]string{
		empty:                           "no block and no write-ahead log",
		filepath.Join(empty, "missing"): "no such file",
	} {
		if _, err := Open(Config{Path: path}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%s) = %v, want an error with %q", path, err, want)
		}
	}
	broken := t.TempDir()
	if err := os.MkdirAll(filepath.Join(broken, "01ABC"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(broken, "01ABC", "meta.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := Open(Config{Path: broken}, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = d.Series(context.Background(), time.UnixMilli(0), time.UnixMilli(hour), func(series.Series) error { return nil })
	if err == nil || !strings.Contains(err.Error(), broken) {
		t.Errorf("broken block: %v, want an error that names the directory", err)
	}
}
