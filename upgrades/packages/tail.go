package packages

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

// Bounds of reading.
const (
	maxLook    = 4 << 20  // bytes of a log that one look reads
	maxLine    = 1 << 20  // bytes; a longer line is left out
	maxRotated = 16       // rotated logs that are read at the start
	maxGzip    = 64 << 20 // bytes of one of them, unpacked
)

// tail follows one log over rotations.
type tail struct {
	path string
	read func(line string) *Run

	begun   bool
	file    *os.File
	offset  int64
	partial []byte // of a line whose end isn't written yet
	skip    bool   // the rest of a line that is too long
}

// poll reads on. At the first look it begins with the rotated logs that were
// written after since.
func (t *tail) poll(since time.Time) ([]Run, error) {
	var runs []Run
	if !t.begun {
		t.begun = true
		if err := t.rotated(since, &runs); err != nil {
			return runs, err
		}
	}
	budget := int64(maxLook)
	for {
		if t.file == nil {
			if err := t.open(); err != nil {
				return runs, err
			}
		}
		n, err := t.drain(budget, &runs)
		if err != nil {
			return runs, err
		}
		if budget -= n; budget <= 0 {
			return runs, nil
		}
		replaced, err := t.replaced()
		if err != nil || !replaced {
			return runs, err
		}
		t.close()
	}
}

func (t *tail) open() error {
	// A FIFO would hold up the watch, a device might never end.
	if st, err := os.Stat(t.path); err == nil && !st.Mode().IsRegular() {
		return fmt.Errorf("read the log of packages %s: isn't a regular file", t.path)
	}
	f, err := os.Open(t.path)
	if err != nil {
		return fmt.Errorf("read the log of packages: %w", err)
	}
	t.file, t.offset, t.partial, t.skip = f, 0, nil, false
	return nil
}

func (t *tail) close() {
	if t.file != nil {
		_ = t.file.Close() // it was only read
		t.file = nil
	}
}

// drain reads to the end of the file, at most so many bytes.
func (t *tail) drain(most int64, runs *[]Run) (int64, error) {
	st, err := t.file.Stat()
	if err != nil {
		return 0, fmt.Errorf("read the log of packages: %w", err)
	}
	if st.Size() < t.offset { // emptied in place
		t.offset, t.partial, t.skip = 0, nil, false
	}
	n, err := t.lines(io.NewSectionReader(t.file, t.offset, most), runs)
	t.offset += n
	if err != nil {
		return n, fmt.Errorf("read the log of packages %s: %w", t.path, err)
	}
	return n, nil
}

// replaced says whether another file has come in the place of the open one.
func (t *tail) replaced() (bool, error) {
	mine, err := t.file.Stat()
	if err != nil {
		return false, fmt.Errorf("read the log of packages: %w", err)
	}
	there, err := os.Stat(t.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil // rotated, and nothing was written since
	case err != nil:
		return false, fmt.Errorf("read the log of packages: %w", err)
	}
	return !os.SameFile(mine, there), nil
}

// lines reads whole lines, and keeps what has no end yet.
func (t *tail) lines(r io.Reader, runs *[]Run) (int64, error) {
	buf := make([]byte, 64<<10)
	total := int64(0)
	for {
		n, err := r.Read(buf)
		total += int64(n)
		for data := buf[:n]; len(data) > 0; {
			line, rest, ended := bytes.Cut(data, []byte("\n"))
			data = rest
			if len(t.partial)+len(line) > maxLine {
				t.partial, t.skip = nil, true
			}
			if !t.skip {
				t.partial = append(t.partial, line...)
			}
			if !ended {
				break
			}
			if !t.skip {
				if run := t.read(strings.TrimSuffix(string(t.partial), "\r")); run != nil {
					*runs = keep(*runs, *run)
				}
			}
			t.partial, t.skip = t.partial[:0], false
		}
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// keep has the last word on each run.
func keep(runs []Run, r Run) []Run {
	if n := len(runs); n > 0 && runs[n-1].Log == r.Log && runs[n-1].Started.Equal(r.Started) {
		runs[n-1] = r
		return runs
	}
	return append(runs, r)
}

// rotated reads dpkg.log.1, dpkg.log.2.gz and so on, the oldest first.
func (t *tail) rotated(since time.Time, runs *[]Run) error {
	var names []string
	for n := 1; n <= maxRotated; n++ {
		name := ""
		for _, suffix := range []string{"", ".gz"} {
			st, err := os.Stat(fmt.Sprintf("%s.%d%s", t.path, n, suffix))
			if err == nil && st.Mode().IsRegular() && !st.ModTime().Before(since) {
				name = fmt.Sprintf("%s.%d%s", t.path, n, suffix)
			}
		}
		if name == "" {
			break
		}
		names = append([]string{name}, names...)
	}
	var failed error
	for _, name := range names {
		if err := t.whole(name, runs); err != nil {
			failed = errors.Join(failed, fmt.Errorf("read the log of packages %s: %w", name, err))
		}
		t.partial, t.skip = nil, false
	}
	return failed
}

// whole reads a log that nobody writes any more.
func (t *tail) whole(name string, runs *[]Run) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		unpacked, err := gzip.NewReader(f)
		if err != nil {
			return err
		}
		r = unpacked
	}
	_, err = t.lines(io.LimitReader(r, maxGzip), runs)
	return err
}
