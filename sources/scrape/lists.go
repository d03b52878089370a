package scrape

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// lists reads files of targets again and again. What a file said last holds
// until it says something else that is valid, or is gone in two readings
// running: a file that is being replaced is no reason to forget its targets.
type lists struct {
	patterns []string
	files    map[string]*listFile
}

type listFile struct {
	info    os.FileInfo
	read    time.Time
	groups  []Group
	missing int
	// err is what was wrong at the last reading, "" if nothing.
	err string
}

func newLists(patterns []string) *lists {
	return &lists{patterns: patterns, files: map[string]*listFile{}}
}

// poll reads what has changed at now. It returns all groups that hold and, for
// each file whose trouble began, changed or ended at this reading, a change.
func (l *lists) poll(now time.Time) ([]Group, []listChange) {
	var changes []listChange
	present := map[string]bool{}
	for _, name := range l.expand() {
		present[name] = true
		f := l.files[name]
		if f == nil {
			f = &listFile{}
			l.files[name] = f
		}
		before := f.err
		err := f.refresh(name, now)
		f.err = ""
		if err != nil {
			f.err = err.Error()
		}
		if f.err != before {
			changes = append(changes, listChange{file: name, err: err, held: len(f.groups)})
		}
	}
	names := make([]string, 0, len(l.files))
	for name, f := range l.files {
		// Files that a pattern found earlier and that are gone now.
		if f.missing > 1 || !present[name] && f.gone() {
			delete(l.files, name)
			continue
		}
		names = append(names, name)
	}
	sort.Strings(names)
	var groups []Group
	for _, name := range names {
		groups = append(groups, l.files[name].groups...)
	}
	return groups, changes
}

// gone counts one more reading without the file.
func (f *listFile) gone() bool {
	f.missing++
	return f.missing > 1
}

// listChange says that a file can't be read (err) or can be again (nil).
type listChange struct {
	file string
	err  error
	held int
}

// expand resolves the patterns. Paths without one are always there, so that a
// missing file is reported.
func (l *lists) expand() []string {
	var names []string
	for _, p := range l.patterns {
		if !strings.ContainsAny(filepath.Base(p), "*?[") {
			names = append(names, p)
			continue
		}
		found, _ := filepath.Glob(p) // patterns were validated
		names = append(names, found...)
	}
	return names
}

// refresh reads the file if it has changed since the last reading.
func (f *listFile) refresh(name string, now time.Time) error {
	info, err := os.Stat(name)
	if errors.Is(err, os.ErrNotExist) {
		if f.gone() {
			f.groups, f.info = nil, nil
			f.missing = 1
		}
		return fmt.Errorf("file does not exist: write it or correct sources.scrape.files")
	}
	if err != nil {
		return err
	}
	f.missing = 0
	// A pipe that nobody writes to would hold up the reading for ever.
	if !info.Mode().IsRegular() {
		f.info = nil
		return errors.New("isn't a regular file: write it or correct sources.scrape.files")
	}
	// A file that was written within the clock's grain of the last reading may
	// have changed without another time stamp.
	settled := f.read.Sub(info.ModTime()) > 2*time.Second
	if f.info != nil && settled && os.SameFile(f.info, info) && f.info.ModTime().Equal(info.ModTime()) && f.info.Size() == info.Size() {
		if f.err == "" {
			return nil
		}
		return errors.New(f.err)
	}
	groups, err := readGroups(name)
	f.info, f.read = info, now
	if err != nil {
		return err
	}
	f.groups = groups
	return nil
}

func readGroups(name string) ([]Group, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	b, err := io.ReadAll(io.LimitReader(file, maxFileSize+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxFileSize {
		return nil, fmt.Errorf("file is larger than %d MiB: split it", maxFileSize>>20)
	}
	return parseGroups(b, strings.ToLower(filepath.Ext(name)) == ".json")
}

// parseGroups reads target groups in the format of Prometheus' file_sd.
func parseGroups(b []byte, isJSON bool) ([]Group, error) {
	var groups []Group
	if isJSON {
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		if err := d.Decode(&groups); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil, errors.New("file ends too early: is it still being written? replace it in one step (write beside it, then rename)")
			}
			return nil, fmt.Errorf("parse JSON: %w: expected [{\"targets\": [\"host:port\"], \"labels\": {}}]", clipped{err})
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return nil, errors.New("parse JSON: more than one value in the file")
		}
	} else {
		d := yaml.NewDecoder(bytes.NewReader(b))
		d.KnownFields(true)
		if err := d.Decode(&groups); errors.Is(err, io.EOF) {
			return nil, errors.New("file is empty: write [] for no targets")
		} else if err != nil {
			return nil, fmt.Errorf("parse YAML: %w: expected a list of {targets: [host:port], labels: {}}", clipped{err})
		}
	}
	targets := 0
	for i, g := range groups {
		// An empty list is how a generator says that there is nothing now.
		if len(g.Targets) == 0 {
			continue
		}
		if errs := g.validate(); len(errs) > 0 {
			return nil, fmt.Errorf("[%d].%w", i, errs[0])
		}
		targets += len(g.Targets)
	}
	if targets > maxTargets {
		return nil, fmt.Errorf("%d targets, at most %d can be scraped: split them over several daemons", targets, maxTargets)
	}
	return groups, nil
}
