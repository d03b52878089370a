// Package tsdbdir reads telemetry from a Prometheus TSDB directory, without
// changing anything in it: the blocks, and the samples in the write-ahead log
// that aren't in a block yet. The Prometheus that owns the directory may be
// running.
package tsdbdir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"aftershock/sources/series"
)

// Config says which directory to read.
type Config struct {
	// Path is the directory that Prometheus calls storage.tsdb.path.
	Path string `yaml:"path"`
}

// SetDefaults has nothing to set.
func (c *Config) SetDefaults() {}

// Validate names each wrong field by its YAML path under path.
func (c *Config) Validate(path string) []error {
	if c.Path == "" {
		return []error{fmt.Errorf("%s.path: missing: give the directory to read", path)}
	}
	return nil
}

// Dir is a TSDB directory.
type Dir struct {
	path string
	log  *slog.Logger
}

// Open checks that the directory is one of a TSDB. log gets what the TSDB has
// to say while it reads; it may be nil.
func Open(cfg Config, log *slog.Logger) (*Dir, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	entries, err := os.ReadDir(cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("open TSDB directory: %w", err)
	}
	for _, e := range entries {
		if e.Name() == "wal" {
			return &Dir{cfg.Path, log}, nil
		}
		if _, err := os.Stat(filepath.Join(cfg.Path, e.Name(), "meta.json")); e.IsDir() && err == nil {
			return &Dir{cfg.Path, log}, nil
		}
	}
	return nil, fmt.Errorf("open TSDB directory %s: no block and no write-ahead log in it: give what Prometheus calls storage.tsdb.path", cfg.Path)
}

// Close does nothing: the directory is only open while it is read.
func (d *Dir) Close() error { return nil }

// open gives the directory as it is now. Each read opens it anew, since a
// read-only TSDB neither sees new blocks nor frees what it has read.
func (d *Dir) open() (db *tsdb.DBReadOnly, closeAll func() error, err error) {
	sandbox, err := os.MkdirTemp("", "aftershock-tsdb-")
	if err != nil {
		return nil, nil, fmt.Errorf("read TSDB directory: %w", err)
	}
	db, err = tsdb.OpenDBReadOnly(d.path, sandbox, d.log)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("read TSDB directory %s: %w", d.path, err), os.RemoveAll(sandbox))
	}
	return db, func() error { return errors.Join(db.Close(), os.RemoveAll(sandbox)) }, nil
}

// Range is the time of the first and of the last sample.
func (d *Dir) Range(ctx context.Context) (first, last time.Time, err error) {
	lo, hi := int64(math.MaxInt64), int64(math.MinInt64)
	err = d.read(ctx, math.MinInt64/2, math.MaxInt64/2, func(s series.Series) error {
		lo, hi = min(lo, s.Times[0]), max(hi, s.Times[len(s.Times)-1])
		return nil
	})
	if err == nil && hi < lo {
		err = fmt.Errorf("read TSDB directory %s: found nothing to watch: no latency histogram, no counter of requests or retries", d.path)
	}
	return time.UnixMilli(lo).UTC(), time.UnixMilli(hi).UTC(), err
}

// Series gives every wanted series' samples of (start, end] to add.
func (d *Dir) Series(ctx context.Context, start, end time.Time, add func(series.Series) error) error {
	return d.read(ctx, start.UnixMilli()+1, end.UnixMilli(), add)
}

func (d *Dir) read(ctx context.Context, from, to int64, add func(series.Series) error) (err error) {
	db, closeAll, err := d.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	q, err := db.Querier(from, to)
	if err != nil {
		return fmt.Errorf("read TSDB directory %s: %w", d.path, err)
	}
	defer func() { err = errors.Join(err, q.Close()) }()
	names, _, err := q.LabelValues(ctx, model.MetricNameLabel, nil)
	if err != nil {
		return fmt.Errorf("list metrics of TSDB directory %s: %w", d.path, err)
	}
	var it chunkenc.Iterator
	for _, name := range names {
		if !series.Wanted(name) {
			continue
		}
		set := q.Select(ctx, false, &storage.SelectHints{Start: from, End: to}, labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, name))
		for set.Next() {
			if err := ctx.Err(); err != nil {
				return err
			}
			s := set.At()
			it = s.Iterator(it)
			if err := drain(s.Labels(), it, add); err != nil {
				return fmt.Errorf("read %s of TSDB directory %s: %w", name, d.path, err)
			}
		}
		if err := set.Err(); err != nil {
			return fmt.Errorf("read %s of TSDB directory %s: %w", name, d.path, err)
		}
	}
	return nil
}

// drain gives a series' samples to add, floats and native histograms apart.
func drain(ls labels.Labels, it chunkenc.Iterator, add func(series.Series) error) error {
	floats, hists := series.Series{Labels: ls}, series.Series{Labels: ls}
	started := false
	for {
		switch it.Next() {
		case chunkenc.ValNone:
			if err := it.Err(); err != nil {
				return err
			}
			for _, s := range []series.Series{floats, hists} {
				if len(s.Times) == 0 {
					continue
				}
				if !started {
					s.Starts = nil
				}
				if err := add(s); err != nil {
					return err
				}
			}
			return nil
		case chunkenc.ValFloat:
			t, v := it.At()
			st := it.AtST()
			started = started || st != 0
			floats.Times, floats.Values, floats.Starts = append(floats.Times, t), append(floats.Values, v), append(floats.Starts, st)
		default:
			t, h := it.AtFloatHistogram(nil)
			st := it.AtST()
			started = started || st != 0
			hists.Times, hists.Histograms, hists.Starts = append(hists.Times, t), append(hists.Histograms, h), append(hists.Starts, st)
		}
	}
}

var _ io.Closer = (*Dir)(nil)
