package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"time"

	"aftershock/detector"
	"aftershock/detector/origin"
)

// Bounds of what is read, many times what the data set has.
const (
	maxBytes   = 64 << 20
	maxColumns = 10_000
	maxRows    = 10_000
	maxCells   = 10_000_000
)

// column is one metric of one service.
type column struct {
	service, stat string
	metric        origin.Metric
}

// table is a file of metrics: a row for each time, a value for each column, NaN
// where it is missing. Availabilities are shares.
type table struct {
	times   []time.Time
	columns []column
	values  [][]float64 // by column, then by row
}

// where finds the columns.
func (t *table) where() map[column][]float64 {
	out := make(map[column][]float64, len(t.columns))
	for i, c := range t.columns {
		out[c] = t.values[i]
	}
	return out
}

// bounded ends with an error where a reader would go on for too long.
type bounded struct {
	from io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("longer than %d MB", maxBytes>>20)
	}
	n, err := b.from.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

func bound(from io.Reader) io.Reader { return &bounded{from, maxBytes} }

// heads are the first cells of the rows that a file of metrics begins with.
var heads = [...]string{"microservice", "metric", "statistic", "unix_timestamp"}

// readTable reads a file of metrics: rows of services, metrics and statistics,
// one that names the first column, and one for each time.
func readTable(from io.Reader) (*table, error) {
	in := csv.NewReader(bound(from))
	in.ReuseRecord = true
	var head [len(heads)][]string
	for i, want := range heads {
		row, err := in.Read()
		if err != nil {
			return nil, fmt.Errorf("head: %w", short(err))
		}
		if row[0] != want {
			return nil, fmt.Errorf("row %d begins with %.40q, want %q", i+1, row[0], want)
		}
		if len(row) > maxColumns {
			return nil, fmt.Errorf("%d columns, want at most %d", len(row), maxColumns)
		}
		head[i] = slices.Clone(row[1:])
	}
	t := &table{}
	seen := map[column]bool{}
	for i, service := range head[0] {
		c := column{service, head[2][i], origin.Metric(head[1][i])}
		if service == "" || seen[c] {
			return nil, fmt.Errorf("column %d is of no service, or there twice: %.40q %.40q %.40q", i+2, service, c.metric, c.stat)
		}
		if c.metric != origin.Latency && c.metric != origin.Requests && c.metric != origin.Availability {
			return nil, fmt.Errorf("column %d has the unknown metric %.40q", i+2, c.metric)
		}
		seen[c] = true
		t.columns = append(t.columns, c)
	}
	t.values = make([][]float64, len(t.columns))
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, short(err)
		}
		if err := t.add(row); err != nil {
			return nil, err
		}
	}
	if len(t.times) == 0 {
		return nil, fmt.Errorf("no rows")
	}
	return t, nil
}

// add takes in a row of values.
func (t *table) add(row []string) error {
	n := len(t.times)
	if n >= maxRows || n*len(row) > maxCells {
		return fmt.Errorf("more than %d rows or %d cells", maxRows, maxCells)
	}
	at, err := strconv.ParseFloat(row[0], 64)
	if err != nil || !(at >= 0 && at < 1e11) {
		return fmt.Errorf("row of %.40q: not a time in seconds", row[0])
	}
	when := time.Unix(int64(at), 0).UTC()
	if n > 0 && !when.After(t.times[n-1]) {
		return fmt.Errorf("row of %.40q isn't after the one before it", row[0])
	}
	t.times = append(t.times, when)
	for i, cell := range row[1:] {
		v, c := math.NaN(), t.columns[i]
		if cell != "" {
			if v, err = strconv.ParseFloat(cell, 64); err != nil || !(v >= 0 && v <= 1e15) || c.metric == origin.Availability && v > 100 {
				return fmt.Errorf("row of %.40q, column %d: %.40q isn't fit for %s", row[0], i+2, cell, c.metric)
			}
		}
		if c.metric == origin.Availability {
			v /= 100
		}
		t.values[i] = append(t.values[i], v)
	}
	return nil
}

// readGraph reads who calls whom: a square of numbers, a row for each caller, a
// column for each callee.
func readGraph(from io.Reader) (*detector.Graph, error) {
	in := csv.NewReader(bound(from))
	row, err := in.Read()
	if err != nil {
		return nil, fmt.Errorf("head: %w", short(err))
	}
	if len(row) > maxColumns {
		return nil, fmt.Errorf("%d columns, want at most %d", len(row), maxColumns)
	}
	callees := row[1:]
	g := &detector.Graph{Edges: map[string]map[string]bool{}}
	for n := 0; ; n++ {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			return g, nil
		}
		if err != nil {
			return nil, short(err)
		}
		if n >= len(callees) {
			return nil, fmt.Errorf("more callers than the %d callees", len(callees))
		}
		for i, cell := range row[1:] {
			v, err := strconv.ParseFloat(cell, 64)
			if err != nil || !(v >= 0) {
				return nil, fmt.Errorf("calls of %.40q: %.40q isn't a number", row[0], cell)
			}
			if v > 0 && callees[i] != row[0] {
				if g.Edges[row[0]] == nil {
					g.Edges[row[0]] = map[string]bool{}
				}
				g.Edges[row[0]][callees[i]] = true
			}
		}
	}
}

// answer is an issue's target.json.
type answer struct {
	Target struct {
		Node      string  `json:"node"`
		Metric    string  `json:"metric"`
		Agg       string  `json:"agg"`
		Timestamp float64 `json:"timestamp"`
	} `json:"target"`
	RootCause struct {
		Node string `json:"node"`
	} `json:"root_cause"`
	Metadata struct {
		Reproducibility struct {
			Command string `json:"command"`
		} `json:"reproducibility"`
	} `json:"metadata"`
}

func readAnswer(from io.Reader) (*answer, error) {
	var a answer
	if err := json.NewDecoder(bound(from)).Decode(&a); err != nil {
		return nil, short(err)
	}
	switch {
	case a.Target.Node == "" || a.RootCause.Node == "":
		return nil, fmt.Errorf("no target or no root cause")
	case a.Target.Metric != string(origin.Latency) && a.Target.Metric != string(origin.Availability):
		return nil, fmt.Errorf("the target's metric is %.40q, want latency or availability", a.Target.Metric)
	case !(a.Target.Timestamp >= 0 && a.Target.Timestamp < 1e11):
		return nil, fmt.Errorf("the target's time is %g, want seconds", a.Target.Timestamp)
	}
	return &a, nil
}

// short keeps what a parser says of a file on one plain line, whatever the file has
// in it.
func short(err error) error { return errors.New(clean(err.Error())) }
