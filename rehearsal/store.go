package rehearsal

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Store is a directory that keeps one rehearsal: the telemetry of the phases' runs
// (before.om.gz, before-2.om.gz, …, after.om.gz, …), what is known of them (before.json,
// …), and the profile (profile.yml). Each file is there whole or not at all, and a run
// is there once its JSON is.
type Store struct{ Dir string }

// Telemetry is the path of a run's telemetry.
func (s Store) Telemetry(phase string, run int) string { return s.file(phase, run, ".om.gz") }

// ProfilePath is the path of the profile.
func (s Store) ProfilePath() string { return filepath.Join(s.Dir, "profile.yml") }

func (s Store) meta(phase string, run int) string { return s.file(phase, run, ".json") }

func (s Store) file(phase string, run int, ext string) string {
	if run > 1 {
		phase += "-" + strconv.Itoa(run)
	}
	return filepath.Join(s.Dir, phase+ext)
}

// Has says whether a phase was kept, or a run of it.
func (s Store) Has(phase string) bool {
	_, err := os.Stat(s.meta(phase, 1))
	return err == nil
}

// Keep writes a run down in place of one of before. The first of a phase takes the place
// of all that the phase had.
func (s Store) Keep(m *Measured) error {
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return fmt.Errorf("keep the rehearsal: %w", err)
	}
	m.Run = max(1, m.Run)
	for run := MaxRepeats; run >= m.Run; run-- {
		if err := os.Remove(s.meta(m.Phase, run)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("keep the rehearsal: %w", err)
		}
		if err := os.Remove(s.Telemetry(m.Phase, run)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("keep the rehearsal: %w", err)
		}
	}
	err := Replace(s.Telemetry(m.Phase, m.Run), func(w io.Writer) error {
		z := gzip.NewWriter(w)
		if err := m.OpenMetrics(z); err != nil {
			return err
		}
		return z.Close()
	})
	if err != nil {
		return fmt.Errorf("keep the rehearsal: %w", err)
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("keep the rehearsal: %w", err)
	}
	return s.write(s.meta(m.Phase, m.Run), append(text, '\n'))
}

// KeepProfile writes the profile down.
func (s Store) KeepProfile(p Profile) error {
	text, err := p.Marshal()
	if err != nil {
		return fmt.Errorf("keep the profile: %w", err)
	}
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return fmt.Errorf("keep the profile: %w", err)
	}
	return s.write(s.ProfilePath(), text)
}

func (s Store) write(path string, text []byte) error {
	err := Replace(path, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep the rehearsal: %w", err)
	}
	return nil
}

// Load reads what is known of a phase's runs, in order; there is at least one.
func (s Store) Load(phase string) ([]*Measured, error) {
	var runs []*Measured
	for run := 1; run <= MaxRepeats; run++ {
		m, err := s.load(phase, run)
		if errors.Is(err, fs.ErrNotExist) && run > 1 {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the phase %s: %w", phase, err)
		}
		runs = append(runs, m)
	}
	return runs, nil
}

func (s Store) load(phase string, run int) (*Measured, error) {
	path := s.meta(phase, run)
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxProfileSize))
	if err != nil {
		return nil, err
	}
	m := &Measured{}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(m); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m.Run = max(1, m.Run) // what was written when a phase was one run
	if m.Phase != phase || m.Run != run || m.Step < Seconds(time.Millisecond) || m.Steps < 0 || m.Steps > 1_000_000 || m.Length < m.Step || m.Started.IsZero() {
		return nil, fmt.Errorf("%s isn't what a rehearsal wrote", path)
	}
	return m, nil
}

// Replace writes a file beside its place and then puts it there, so that nobody
// sees a part of it.
func Replace(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	b := bufio.NewWriterSize(f, 256<<10)
	err = write(b)
	if err == nil {
		err = b.Flush()
	}
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// OpenMetrics writes what was measured as telemetry: a histogram of latencies and a
// counter of requests by code, for each route, with a sample at the end of each step
// and one of zero at the beginning.
func (m *Measured) OpenMetrics(w io.Writer) error {
	b := bufio.NewWriterSize(w, 256<<10)
	const duration, requests = "rehearsal_request_duration_seconds", "rehearsal_requests"
	fmt.Fprintf(b, "# TYPE %s histogram\n# UNIT %s seconds\n# HELP %s Time from when a request was to start until its answer was read, of those that didn't fail and those that timed out.\n", duration, duration, duration)
	for i := range m.routes {
		labels := m.labels(i)
		for k := range len(bounds) + 1 {
			le := "+Inf"
			if k < len(bounds) {
				le = strconv.FormatFloat(bounds[k], 'g', -1, 64)
			}
			m.series(b, duration+"_bucket{"+labels+`,le="`+le+`"}`, func(c *cell) (sum float64) {
				if c.buckets == nil {
					return 0
				}
				for _, n := range c.buckets[:k+1] {
					sum += float64(n)
				}
				return sum
			}, i)
		}
		m.series(b, duration+"_count{"+labels+"}", func(c *cell) float64 { return float64(c.timed) }, i)
		m.series(b, duration+"_sum{"+labels+"}", func(c *cell) float64 { return c.seconds }, i)
	}
	fmt.Fprintf(b, "# TYPE %s counter\n# HELP %s Requests by the status of their answer; timeout and error are those without one.\n", requests, requests)
	for i := range m.routes {
		for _, code := range m.codes(i) {
			m.series(b, requests+"_total{"+m.labels(i)+`,code="`+code+`"}`, func(c *cell) float64 { return float64(c.codes[code]) }, i)
		}
	}
	fmt.Fprint(b, "# EOF\n")
	return b.Flush()
}

// codes are those that a route was answered, and 200: an error is one of all.
func (m *Measured) codes(route int) []string {
	seen := map[string]bool{"200": true}
	for _, step := range m.tally.steps {
		for code := range step[route].codes {
			seen[code] = true
		}
	}
	return sorted(seen)
}

func (m *Measured) series(w io.Writer, name string, of func(*cell) float64, route int) {
	sum := 0.0
	line := func(n int) {
		at := m.Started.Add(time.Duration(n) * time.Duration(m.Step)).UnixMilli()
		fmt.Fprintf(w, "%s %s %d.%03d\n", name, strconv.FormatFloat(sum, 'f', -1, 64), at/1000, at%1000)
	}
	line(0)
	for n := range m.tally.steps {
		sum += of(&m.tally.steps[n][route])
		line(n + 1)
	}
}

// labels are those of a route's series.
func (m *Measured) labels(route int) string {
	r := &m.routes[route]
	return fmt.Sprintf(`service="%s",http_route="%s",http_request_method="%s",instance="rehearsal"`, escape(m.Service), escape(r.Route), escape(r.Method))
}

var escaper = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

func escape(s string) string { return escaper.Replace(strings.ToValidUTF8(s, "\uFFFD")) }
