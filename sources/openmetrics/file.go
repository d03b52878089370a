// Package openmetrics reads recorded telemetry from text files with
// timestamps: OpenMetrics (seconds) or Prometheus's older format
// (milliseconds), plain or compressed by gzip or zstd, told apart by their
// first bytes.
//
// A file is read once, in one pass and at the speed of its decompression; what
// series.Wanted asks for stays in memory in columns, about 8 bytes a sample.
// Every error names the file and the line.
package openmetrics

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sort"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"aftershock/sources/series"
)

// Config says what to read and where to stop. Zero limits take the defaults.
type Config struct {
	// Path is the file.
	Path string `yaml:"path"`
	// MaxSeries and MaxSamples bound what is kept in memory (default 1,000,000
	// and 100,000,000), MaxLine a line's length in bytes (default 1 MiB),
	// MaxBytes the text after decompression (default 64 GiB).
	MaxSeries  int   `yaml:"max_series,omitempty"`
	MaxSamples int   `yaml:"max_samples,omitempty"`
	MaxLine    int   `yaml:"max_line,omitempty"`
	MaxBytes   int64 `yaml:"max_bytes,omitempty"`
}

// SetDefaults fills in the limits that aren't set.
func (c *Config) SetDefaults() {
	if c.MaxSeries == 0 {
		c.MaxSeries = 1_000_000
	}
	if c.MaxSamples == 0 {
		c.MaxSamples = 100_000_000
	}
	if c.MaxLine == 0 {
		c.MaxLine = 1 << 20
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 64 << 30
	}
}

// Validate names each wrong field by its YAML path under path.
func (c *Config) Validate(path string) []error {
	var errs []error
	if c.Path == "" {
		errs = append(errs, fmt.Errorf("%s.path: missing: give the file to read", path))
	}
	if c.MaxSeries < 0 || c.MaxSamples < 0 || c.MaxLine < 0 || c.MaxBytes < 0 {
		errs = append(errs, fmt.Errorf("%s: limits must not be negative", path))
	}
	return errs
}

// File is a file that has been read.
type File struct {
	columns  []*column
	min, max int64
	samples  int
	warnings []string
}

// Open reads the whole file.
func Open(ctx context.Context, cfg Config) (*File, error) {
	cfg.SetDefaults()
	r, err := os.Open(cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("read telemetry file: %w", err)
	}
	defer func() { _ = r.Close() }() // it was only read
	f, err := read(ctx, r, cfg)
	if err != nil {
		return nil, fmt.Errorf("read telemetry file %s: %w", cfg.Path, err)
	}
	return f, nil
}

// read parses a plain or compressed stream.
func read(ctx context.Context, r io.Reader, cfg Config) (*File, error) {
	cfg.SetDefaults()
	plain, closer, err := decompress(r)
	if err != nil {
		return nil, err
	}
	defer closer()
	p := newParser(cfg)
	if err := p.readAll(ctx, plain); err != nil {
		return nil, err
	}
	return p.finish()
}

// decompress tells the compression by the first bytes.
func decompress(r io.Reader) (io.Reader, func(), error) {
	b := bufio.NewReaderSize(r, 256<<10)
	magic, err := b.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, nil, fmt.Errorf("decompress gzip: %w", err)
		}
		return z, func() { _ = z.Close() }, nil
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(b, zstd.WithDecoderMaxWindow(128<<20), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, nil, fmt.Errorf("decompress zstd: %w", err)
		}
		return z, z.Close, nil
	}
	return b, func() {}, nil
}

// Range is the time of the first and of the last sample.
func (f *File) Range() (first, last time.Time) {
	return time.UnixMilli(f.min).UTC(), time.UnixMilli(f.max).UTC()
}

// Samples is the number of samples that are kept.
func (f *File) Samples() int { return f.samples }

// Warnings are doubts about the file that don't stop its use.
func (f *File) Warnings() []string { return f.warnings }

// Series gives every series' samples of (start, end] to add. The slices belong
// to the file: add must not write to them.
func (f *File) Series(ctx context.Context, start, end time.Time, add func(series.Series) error) error {
	from, to := start.UnixMilli(), end.UnixMilli()
	for _, c := range f.columns {
		times := c.times()
		i := sort.Search(len(times), func(i int) bool { return times[i] > from })
		j := i + sort.Search(len(times)-i, func(n int) bool { return times[i+n] > to })
		if i == j {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := add(series.Series{Labels: c.labels, Times: times[i:j:j], Values: c.values[i:j:j]}); err != nil {
			return err
		}
	}
	return nil
}

// Close lets go of what was read.
func (f *File) Close() error {
	f.columns = nil
	return nil
}

// finish puts the columns in order of time and takes their range.
func (p *parser) finish() (*File, error) {
	f := &File{min: math.MaxInt64, max: math.MinInt64, warnings: p.warnings}
	for _, c := range p.columns {
		if len(c.values) == 0 {
			continue
		}
		if c.unsorted {
			if err := c.sort(); err != nil {
				return nil, err
			}
		}
		times := c.times()
		f.min, f.max = min(f.min, times[0]), max(f.max, times[len(times)-1])
		f.samples += len(times)
		f.columns = append(f.columns, c)
	}
	if len(f.columns) == 0 {
		return nil, fmt.Errorf("found nothing to watch in %d lines: no latency histogram, no counter of requests or retries", p.line)
	}
	return f, nil
}
