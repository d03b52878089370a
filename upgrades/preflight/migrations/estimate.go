package migrations

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"aftershock/detector"
)

// Table is what is known of a table.
type Table struct {
	// Rows and Bytes (with indexes and what is stored apart) are as of now; 0 for what isn't known, and a
	// table of neither is empty.
	Rows, Bytes int64
	// Services are the values of service labels of what uses the table.
	Services []string
}

// What a small server with network disks does, which the estimates are made with; a good one is up to ten times as fast.
const (
	scanBytes    = 200e6 // bytes a second that are read
	buildBytes   = 50e6  // bytes a second of a table that an index is built of
	rewriteBytes = 40e6  // bytes a second that are written anew, with indexes
	rowsPerByte  = 1.0 / 150
	changedRows  = 20e3 // rows a second that are changed
)

// Below brief nobody notices; from long on it is an outage.
const (
	brief = time.Second
	long  = time.Minute
)

// last is about how long a span takes on a table.
func lasts(span Span, t Table) time.Duration {
	bytes := float64(t.Bytes)
	rows := float64(t.Rows)
	if bytes == 0 {
		bytes = rows / rowsPerByte
	}
	if rows == 0 {
		rows = bytes * rowsPerByte
	}
	seconds := map[Span]float64{Scan: bytes / scanBytes, Build: bytes / buildBytes, Rewrite: bytes / rewriteBytes, Rows: rows / changedRows}[span]
	return time.Duration(math.Min(seconds, 1e6) * float64(time.Second))
}

// size finds what is known of a table.
func (s Server) size(table string) (Table, bool) {
	if t, ok := s.Tables[table]; ok {
		return t, true
	}
	if t, ok := s.Tables[last(table)]; ok && !strings.Contains(table, ".") {
		return t, true
	}
	t, ok := s.Tables["public."+table]
	return t, ok
}

// weight is how grave a lock is on what is known of its table.
type weight struct {
	severity string
	says     string // "about 40 s: 8 GB, 50,000,000 rows"; "" where nothing is known
	table    Table
	brief    bool
}

func (s Server) weigh(l Lock, dialect string) weight {
	t, ok := s.size(l.Table)
	if !ok {
		return weight{severity: detector.Risk}
	}
	d := lasts(l.Span, t)
	w := weight{severity: detector.Risk, table: t, says: fmt.Sprintf("about %s (%s)", round(d), sizeOf(t))}
	switch {
	case d < brief:
		w.severity, w.brief = detector.Note, true
	case d >= long && l.Writes(dialect):
		w.severity = detector.Blocker
	}
	return w
}

func round(d time.Duration) string {
	switch {
	case d < time.Second:
		return "less than 1 s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.0f h", d.Hours())
}

func sizeOf(t Table) string {
	var parts []string
	if t.Rows > 0 || t.Bytes == 0 {
		parts = append(parts, humanize.Comma(t.Rows)+" rows")
	}
	if t.Bytes > 0 {
		parts = append(parts, fmt.Sprintf("%.1f GB", float64(t.Bytes)/1e9))
	}
	return strings.Join(parts, ", ")
}
