package upgrades

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"aftershock/detector"
)

const (
	// maxRecords bounds the files of the records directory.
	maxRecords = 10_000
	// racy is how old a file's last change must be before its time and size
	// alone say that it hasn't changed since: file systems count time coarsely.
	racy = 2 * time.Second
)

// Watcher watches a directory of upgrade records: files that end with .json,
// .yml or .yaml, hidden ones left out. It is not safe for concurrent use.
type Watcher struct {
	dir   string
	files map[string]watched
	// broken is the last problem with the directory itself, "" for none.
	broken string
}

type watched struct {
	size    int64
	changed time.Time
	settled bool // changed lay well in the past when the file was read
	id      string
	upgrade detector.Upgrade
	problem string
}

// NewWatcher gives a watcher of the directory, which need not exist yet.
func NewWatcher(dir string) *Watcher {
	return &Watcher{dir: dir, files: map[string]watched{}}
}

// Poll looks at the directory once and gives the records that are new or have
// changed since the last call, in order of their start, and the problems that
// are new since the last call: a file that can't be used is told of once, until
// it changes, and keeps no other from being used. A record whose file is gone
// stays known to whoever was given it.
func (w *Watcher) Poll() ([]detector.Upgrade, []error) {
	names, err := w.list()
	if err != nil {
		if w.broken == err.Error() {
			return nil, nil
		}
		w.broken = err.Error()
		return nil, []error{err}
	}
	w.broken = ""
	now := time.Now()
	next := make(map[string]watched, len(names))
	owner := map[string]string{}
	var found []detector.Upgrade
	var problems []error
	for _, name := range names {
		was, known := w.files[name]
		is := w.read(name, was, known, now)
		if other, taken := owner[is.id]; taken && is.problem == "" {
			is = watched{problem: fmt.Sprintf("read upgrade record %s: its id %q is that of %s already", filepath.Join(w.dir, name), is.id, other)}
		}
		next[name] = is
		if is.problem != "" {
			if is.problem != was.problem {
				problems = append(problems, errors.New(is.problem))
			}
			continue
		}
		owner[is.id] = name
		if !known || was.problem != "" || !equal(was.upgrade, is.upgrade) {
			found = append(found, clone(is.upgrade))
		}
	}
	w.files = next
	sort.SliceStable(found, func(i, j int) bool { return found[i].Begins().Before(found[j].Begins()) })
	return found, problems
}

// list gives the names of the record files, in order.
func (w *Watcher) list() ([]string, error) {
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		return nil, fmt.Errorf("read the directory of upgrade records: %w", err)
	}
	var names []string
	for _, e := range entries {
		switch strings.ToLower(filepath.Ext(e.Name())) {
		case ".json", ".yml", ".yaml":
			if !strings.HasPrefix(e.Name(), ".") {
				names = append(names, e.Name())
			}
		}
	}
	if len(names) > maxRecords {
		return nil, fmt.Errorf("read the directory of upgrade records %s: has %d of them, want at most %d; move old ones away", w.dir, len(names), maxRecords)
	}
	return names, nil
}

func (w *Watcher) read(name string, was watched, known bool, now time.Time) watched {
	path := filepath.Join(w.dir, name)
	st, err := os.Stat(path)
	if err != nil {
		return watched{problem: fmt.Sprintf("read upgrade record: %s", err)}
	}
	if !st.Mode().IsRegular() {
		return watched{problem: fmt.Sprintf("read upgrade record %s: isn't a regular file", path)}
	}
	if known && was.settled && was.size == st.Size() && was.changed.Equal(st.ModTime()) {
		return was
	}
	is := watched{size: st.Size(), changed: st.ModTime(), settled: now.Sub(st.ModTime()) > racy}
	u, err := ReadRecord(path)
	if err != nil {
		is.problem = err.Error()
		return is
	}
	is.id, is.upgrade = u.ID, u
	return is
}
