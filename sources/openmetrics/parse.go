package openmetrics

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"aftershock/sources/series"
)

// parser reads lines. Prometheus's own parser makes a label set of every line
// and wants the file in memory; recordings repeat a series' name and labels
// line by line or scrape by scrape, so here these bytes are only compared with
// those of the line before, and then with those of the series that came next the
// last time.
type parser struct {
	cfg      Config
	line     int
	eof      bool // "# EOF" was read
	seconds  bool // timestamps are in seconds: OpenMetrics
	columns  []*column
	byKey    map[string]*column
	warnings []string
	samples  int

	cur    *column
	before *column   // that of the last line of another series, if it keeps anything
	made   *column   // the newest that keeps anything
	values []float64 // of cur, not yet moved to it
	build  labels.ScratchBuilder
}

func newParser(cfg Config) *parser {
	return &parser{cfg: cfg, byKey: make(map[string]*column), build: labels.NewScratchBuilder(16)}
}

// readAll splits the stream into lines.
func (p *parser) readAll(ctx context.Context, r io.Reader) error {
	buf := make([]byte, 512<<10)
	used, total := 0, int64(0)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if used == len(buf) {
			if used >= p.cfg.MaxLine {
				return p.errorf("longer than %d bytes", p.cfg.MaxLine)
			}
			buf = slices.Grow(buf, len(buf))[:2*len(buf)]
		}
		n, err := r.Read(buf[used:])
		used += n
		if total += int64(n); total > p.cfg.MaxBytes {
			return p.errorf("more than %d bytes of text: raise max_bytes", p.cfg.MaxBytes)
		}
		rest := buf[:used]
		for {
			i := bytes.IndexByte(rest, '\n')
			if i < 0 {
				break
			}
			if err := p.parseLine(rest[:i]); err != nil {
				return err
			}
			rest = rest[i+1:]
		}
		used = copy(buf, rest)
		if err == nil {
			continue
		}
		if !errors.Is(err, io.EOF) {
			return p.errorf("%w", err)
		}
		if used > 0 {
			if err := p.parseLine(buf[:used]); err != nil {
				return err
			}
		}
		break
	}
	p.flush()
	if p.seconds && !p.eof {
		p.warnings = append(p.warnings, fmt.Sprintf("no \"# EOF\" after line %d: the file may have been cut off", p.line))
	}
	return nil
}

func (p *parser) errorf(format string, args ...any) error {
	return fmt.Errorf("line %d: "+format, append([]any{p.line}, args...)...)
}

// parseLine reads one line without its line feed.
func (p *parser) parseLine(line []byte) error {
	p.line++
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	if len(line) == 0 {
		return nil
	}
	if p.eof {
		return p.errorf("text after \"# EOF\": %s", excerpt(line))
	}
	if line[0] == '#' {
		p.eof = string(line) == "# EOF"
		return nil
	}
	if len(line) > p.cfg.MaxLine {
		return p.errorf("longer than %d bytes", p.cfg.MaxLine)
	}
	n, err := p.seek(line)
	if err != nil {
		return err
	}
	v, t, err := p.parseSample(line[n:])
	if err != nil {
		return p.errorf("%w: %s", err, excerpt(line))
	}
	return p.keep(t, v)
}

// keep puts a sample to the current column.
func (p *parser) keep(t int64, v float64) error {
	c := p.cur
	if c.any && t <= c.last {
		switch {
		case t < c.last:
			c.unsorted = true
		case math.Float64bits(v) == math.Float64bits(c.value):
			return nil
		default:
			return p.errorf("second value of %s at the same time: %v after %v", excerpt([]byte(c.key)), v, c.value)
		}
	}
	c.any, c.last, c.value = true, t, v
	if c.skip {
		return nil
	}
	if p.samples++; p.samples > p.cfg.MaxSamples {
		return p.errorf("more than %d samples: read a shorter recording, or raise max_samples", p.cfg.MaxSamples)
	}
	n := len(c.values) + len(p.values)
	if n == 0 {
		c.clock = p.firstClock(t)
		p.made = c
	}
	c.tick(n, t, p.before)
	p.values = append(p.values, v)
	return nil
}

// firstClock is the clock for a column that begins at t: that of the column
// before it, if that began at the same time.
func (p *parser) firstClock(t int64) *clock {
	if p.made != nil && p.made.clock.times[0] == t {
		return p.made.clock
	}
	return &clock{}
}

// seek makes the series of a line the current one and gives the length of its
// name and labels.
func (p *parser) seek(line []byte) (int, error) {
	if p.cur != nil {
		if p.cur.heads(line) {
			return len(p.cur.key), nil
		}
		if next := p.cur.follow; next != nil && next.heads(line) {
			p.turnTo(next)
			return len(next.key), nil
		}
	}
	n, err := keyLen(line)
	if err != nil {
		return 0, p.errorf("%w: %s", err, excerpt(line))
	}
	c, err := p.find(line[:n])
	if err != nil {
		return 0, err
	}
	if p.cur != nil {
		p.cur.follow = c
	}
	p.turnTo(c)
	return n, nil
}

// heads says whether a line begins with the column's name and labels and goes
// on with a value.
func (c *column) heads(line []byte) bool {
	n := len(c.key)
	return len(line) > n+1 && line[n] == ' ' && line[n+1] > ' ' && line[n+1] != '{' && string(line[:n]) == c.key
}

// turnTo makes c the current column.
func (p *parser) turnTo(c *column) {
	p.flush()
	if p.cur != nil && p.cur != c && len(p.cur.values) > 0 {
		p.before = p.cur
	}
	p.cur = c
}

// flush moves the gathered values to their column.
func (p *parser) flush() {
	if c := p.cur; c != nil && len(p.values) > 0 {
		// Those of a file in order of series come at once: they take no more
		// than their size.
		if c.values == nil {
			c.values = make([]float64, 0, len(p.values))
		}
		c.values = append(c.values, p.values...)
		p.values = p.values[:0]
	}
}

// find gives the column of the series with this name and labels.
func (p *parser) find(key []byte) (*column, error) {
	c := p.byKey[string(key)]
	if c != nil {
		return c, nil
	}
	if len(p.columns) >= p.cfg.MaxSeries {
		return nil, p.errorf("more than %d series: read fewer, or raise max_series", p.cfg.MaxSeries)
	}
	ls, err := p.parseKey(key)
	if err != nil {
		return nil, p.errorf("%w: %s", err, excerpt(key))
	}
	c = &column{key: string(key), labels: ls, skip: !series.Wanted(ls.Get(model.MetricNameLabel))}
	p.byKey[c.key] = c
	p.columns = append(p.columns, c)
	return c, nil
}

// keyLen is the length of the name and labels at the line's beginning.
func keyLen(line []byte) (int, error) {
	i := 0
	for i < len(line) && line[i] != '{' && line[i] != ' ' && line[i] != '\t' {
		i++
	}
	name := i
	for i < len(line) && (line[i] == ' ' || line[i] == '\t') {
		i++
	}
	if i == len(line) || line[i] != '{' {
		if name == 0 {
			return 0, errors.New("no metric name")
		}
		return name, nil
	}
	quoted := false
	for i++; i < len(line); i++ {
		switch b := line[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case !quoted && b == '}':
			return i + 1, nil
		}
	}
	return 0, errors.New("labels are not closed")
}

// parseSample reads the value and the timestamp after the labels, and checks
// that only an exemplar follows.
func (p *parser) parseSample(rest []byte) (v float64, t int64, err error) {
	field, rest := nextField(rest)
	if len(field) == 0 {
		return 0, 0, errors.New("no value")
	}
	if v, err = parseValue(field); err != nil {
		return 0, 0, err
	}
	field, rest = nextField(rest)
	if len(field) == 0 || field[0] == '#' {
		return 0, 0, errors.New("no timestamp: only recordings with timestamps can be read")
	}
	if t, err = p.parseTime(field); err != nil {
		return 0, 0, err
	}
	if field, _ = nextField(rest); len(field) > 0 && field[0] != '#' {
		return 0, 0, fmt.Errorf("unexpected %q after the timestamp", field)
	}
	return v, t, nil
}

func nextField(b []byte) (field, rest []byte) {
	i := 0
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	j := i
	for j < len(b) && b[j] != ' ' && b[j] != '\t' {
		j++
	}
	return b[i:j], b[j:]
}

var powers = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// parseValue reads a number. Up to 15 digits and a point are exact in one
// division (Clinger 1990); the rest is strconv's.
func parseValue(b []byte) (float64, error) {
	var m uint64
	point := -1
	if len(b) > 0 && len(b) <= 16 {
		for i, c := range b {
			switch {
			case c >= '0' && c <= '9':
				m = m*10 + uint64(c-'0')
				continue
			case c == '.' && point < 0 && i > 0 && i < len(b)-1:
				point = i
				continue
			}
			return parseSlow(b)
		}
		switch {
		case point >= 0:
			return float64(m) / powers[len(b)-1-point], nil
		case len(b) <= 15:
			return float64(m), nil
		}
	}
	return parseSlow(b)
}

func parseSlow(b []byte) (float64, error) {
	s := string(b)
	if strings.ContainsAny(s, "pP_xX") {
		return 0, fmt.Errorf("value %q is no number", s)
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("value %q is no number", s)
	}
	return v, nil
}

// maxSeconds parts timestamps in seconds from those in milliseconds: as
// seconds it lies in the year 5138, as milliseconds in 1973.
const maxSeconds = 1e11

// parseTime gives milliseconds.
func (p *parser) parseTime(b []byte) (int64, error) {
	v, err := parseValue(b)
	if err != nil || math.IsNaN(v) || math.Abs(v) > 1e15 {
		return 0, fmt.Errorf("timestamp %q is no time", b)
	}
	if math.Abs(v) >= maxSeconds {
		return int64(v), nil
	}
	p.seconds = true
	return int64(math.Round(v * 1000)), nil
}

// excerpt is the beginning of a text for an error.
func excerpt(b []byte) string {
	const most = 120
	if len(b) > most {
		return strconv.Quote(string(b[:most])) + "…"
	}
	return strconv.Quote(string(b))
}
