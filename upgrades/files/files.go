// Package files watches the files that binaries are installed as, so that what
// changed inside a binary is known when an upgrade of it is found.
//
// A file is read once for each build, in the background, one at a time and at low
// priority; what was found in it is kept by its digest, so that the build before
// needn't exist any more. Where the daemon comes after the package manager, the
// build before is read from the process that still runs it.
package files

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"aftershock/detector"
	"aftershock/detector/words"
	"aftershock/upgrades/inside"
)

// Config lists the watched files.
type Config []File

// File is where a binary is installed on this machine.
type File struct {
	// Binary is its name, as the telemetry has it.
	Binary string `yaml:"binary"`
	// Path is the file.
	Path string `yaml:"path"`
}

const (
	maxFiles = 200
	// maxSummary is how many characters of a summary are told.
	maxSummary = 250
	// maxBuilds is how many builds of a binary are remembered.
	maxBuilds = 16
	// Span is how long before or after an upgrade its file may be installed.
	Span = 24 * time.Hour
)

// Validate gives every problem of the section, each with its YAML path.
func (c Config) Validate(path string) []error {
	var errs []error
	if len(c) > maxFiles {
		errs = append(errs, fmt.Errorf("%s: want at most %d files, got %d", path, maxFiles, len(c)))
	}
	seen := map[string]bool{}
	for i, f := range c {
		at := fmt.Sprintf("%s[%d]", path, i)
		if f.Binary == "" {
			errs = append(errs, fmt.Errorf("%s.binary: is missing", at))
		}
		if !filepath.IsAbs(f.Path) {
			errs = append(errs, fmt.Errorf("%s.path: want an absolute path, got %q", at, f.Path))
		}
		if seen[f.Binary] {
			errs = append(errs, fmt.Errorf("%s.binary: %s comes twice", at, f.Binary))
		}
		seen[f.Binary] = true
	}
	return errs
}

// Inspector watches the files. Its methods may be called by one goroutine.
type Inspector struct {
	list  Config
	dir   string
	cache inside.Cache
	log   logrus.FieldLogger

	work sync.WaitGroup
	mu   sync.Mutex
	busy bool
	// builds of each binary, the oldest first; stats of the files when they were
	// last read.
	builds map[string][]build
	stats  map[string]stat
	// missed are the binaries without a file, which is told once.
	missed map[string]bool
	// revision counts what came to be known.
	revision int
}

// build is one that a binary's file held.
type build struct {
	SHA256 string    `json:"sha256"`
	Seen   time.Time `json:"seen"`
	// Inside is what changed since the build before; nil where there is none.
	Inside *detector.Inside `json:"inside,omitempty"`
}

// stat tells whether a file was replaced or written.
type stat struct {
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
	Inode    uint64    `json:"inode"`
}

type state struct {
	Builds map[string][]build `json:"builds"`
	Stats  map[string]stat    `json:"stats"`
}

// New goes on from what an inspector before left in the directory, which is made.
func New(list Config, dir string, log logrus.FieldLogger) (*Inspector, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("keep fingerprints of binaries: %w", err)
	}
	i := &Inspector{
		list: list, dir: dir, log: log, cache: inside.Cache{Dir: filepath.Join(dir, "fingerprints")},
		builds: map[string][]build{}, stats: map[string]stat{}, missed: map[string]bool{},
	}
	raw, err := os.ReadFile(i.path())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return i, nil
	case err != nil:
		return nil, fmt.Errorf("read what is known of binaries: %w", err)
	}
	var s state
	if err := json.Unmarshal(raw, &s); err != nil || s.Builds == nil || s.Stats == nil {
		log.WithField("file", i.path()).Warn("what was known of binaries can't be read; the files are read anew")
		return i, nil
	}
	i.builds, i.stats = s.Builds, s.Stats
	return i, nil
}

func (i *Inspector) path() string { return filepath.Join(i.dir, "builds.json") }

// Look begins to read the files that have changed, unless it is still at it.
func (i *Inspector) Look(now time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.busy {
		return
	}
	var todo []File
	for _, f := range i.list {
		s, ok := look(f.Path)
		if !ok && !i.missed[f.Binary] {
			i.log.WithFields(logrus.Fields{"binary": f.Binary, "file": f.Path}).Warn("there is no such file (upgrades.files); what changes inside the binary won't be known until there is")
		}
		i.missed[f.Binary] = !ok
		if ok && s.Size > 0 && s != i.stats[f.Binary] {
			todo = append(todo, f)
		}
	}
	if len(todo) == 0 {
		return
	}
	i.busy = true
	i.work.Go(func() {
		lowly(func() { i.read(todo, now) })
		i.mu.Lock()
		defer i.mu.Unlock()
		i.busy = false
	})
}

// Wait waits until what was begun is done, but not for longer than a limit: a file on
// a dead mount may keep its reader for good. Nothing is lost by not waiting, for what
// is kept appears whole, and is read again otherwise.
func (i *Inspector) Wait(limit time.Duration) (done bool) {
	over := make(chan struct{})
	go func() {
		i.work.Wait()
		close(over)
	}()
	select {
	case <-over:
		return true
	case <-time.After(limit):
		return false
	}
}

// read takes in the files and puts down what they hold.
func (i *Inspector) read(todo []File, now time.Time) {
	for _, f := range todo {
		s, ok := look(f.Path)
		if !ok {
			continue
		}
		log := i.log.WithFields(logrus.Fields{"binary": f.Binary, "file": f.Path})
		if _, known := i.latest(f); !known {
			if old, ok := replaced(f.Path); ok {
				i.take(f, old, time.Time{}, log)
			}
		}
		i.take(f, f.Path, now, log)
		i.mu.Lock()
		i.stats[f.Binary] = s // one that can't be read is not tried again until it changes
		i.mu.Unlock()
	}
	if err := i.save(); err != nil {
		i.log.WithError(err).Warn("what is known of binaries can't be kept")
	}
}

// change is what is told of a difference; nil where nothing was found, but not all
// could be compared either.
func change(d inside.Difference) *detector.Inside {
	if d.Empty() && !d.Whole() {
		return nil
	}
	return &detector.Inside{Summary: words.Clean(d.Sentence(), maxSummary), Touches: d.Touches(), Same: d.Empty()}
}

// latest is the digest of the build that was last seen of a binary.
func (i *Inspector) latest(f File) (sha256 string, known bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	list := i.builds[f.Binary]
	if len(list) == 0 {
		return "", false
	}
	return list[len(list)-1].SHA256, true
}

// take reads one file, which held the binary from an instant on.
func (i *Inspector) take(f File, path string, seen time.Time, log logrus.FieldLogger) {
	p, err := i.cache.Take(path)
	if err != nil {
		log.WithError(err).Warn("the inside of a binary can't be read")
		return
	}
	before, known := i.latest(f)
	if known && before == p.SHA256 {
		return
	}
	b := build{SHA256: p.SHA256, Seen: seen}
	if was, ok := i.cache.Get(before); known && ok {
		b.Inside = change(inside.Compare(f.Binary, was, p))
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	list := append(i.builds[f.Binary], b)
	i.builds[f.Binary] = list[max(0, len(list)-maxBuilds):]
	i.revision++
	log.WithField("sha256", p.SHA256).Info("read the inside of a binary")
}

func (i *Inspector) save() error {
	i.mu.Lock()
	raw, err := json.Marshal(state{i.builds, i.stats})
	i.mu.Unlock()
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(i.dir, "new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), i.path())
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// Revision is how much has come to be known since the start: nothing new while it
// stays the same.
func (i *Inspector) Revision() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.revision
}

// Change is what changed inside a binary of an upgrade; nil while that isn't known.
func (i *Inspector) Change(u *detector.Upgrade, b *detector.Binary) *detector.Inside {
	i.mu.Lock()
	defer i.mu.Unlock()
	// A build that comes back after a roll-back is there twice: what was installed
	// nearest to the deployment counts.
	var best *detector.Inside
	near := Span
	for _, x := range i.builds[b.Name] {
		d := x.Seen.Sub(u.Time(*b)).Abs()
		if d <= near && (b.SHA256 == "" || x.SHA256 == b.SHA256) {
			best, near = x.Inside, d
		}
	}
	return best
}
