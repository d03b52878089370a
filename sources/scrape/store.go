package scrape

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/fileutil"
	"github.com/prometheus/prometheus/util/compression"
	"github.com/sirupsen/logrus"
)

// errPaused is why nothing is stored at the moment; the store has said so in
// the log.
var errPaused = errors.New("storing is paused")

// store is the TSDB in a directory, closed to other processes. It stops writing
// before the disk is full, because a half-written WAL record would cost all that
// is written after it at the next start, and because tsdb panics when it can't
// write the chunks of its head. Where a write fails all the same, it opens the
// TSDB anew before it writes again: that cuts the broken record off while
// nothing stands behind it.
type store struct {
	dir     string
	lock    fileutil.Releaser
	log     logrus.FieldLogger
	metrics *metrics
	minFree uint64
	options func() *tsdb.Options
	// free says how many bytes the disk has left; a test's own.
	free func(dir string) (uint64, error)

	// mu keeps the TSDB open while it is in use.
	mu sync.RWMutex
	db *tsdb.DB
	// generation counts how often the TSDB was opened: refs of one are of no
	// use in the next.
	generation uint64

	// state guards what stands below.
	state  sync.Mutex
	broken error     // a write failed; the TSDB must be opened anew
	paused string    // why nothing is stored, "" if all is
	retry  time.Time // when to open again, while broken
}

// openStore opens (or makes) the TSDB in dir.
func openStore(dir string, c Config, m *metrics, log logrus.FieldLogger) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory of the scraped samples: %w", err)
	}
	// Prometheus locks the same file, so it is kept out as well.
	lock, _, err := fileutil.Flock(filepath.Join(dir, "lock"))
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
		return nil, fmt.Errorf("lock %s: another process uses this data directory: stop it, or give this one a directory of its own (--data)", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	s := &store{
		dir: dir, lock: lock, log: log, metrics: m, minFree: uint64(c.MinFree), free: freeBytes,
		options: func() *tsdb.Options { return tsdbOptions(time.Duration(c.Retention)) },
	}
	if s.db, err = s.open(); err != nil {
		_ = lock.Release()
		return nil, err
	}
	m.series(s)
	return s, nil
}

// tsdbOptions makes the options of the TSDB: Prometheus' own, with start times
// stored with each sample.
func tsdbOptions(retention time.Duration) *tsdb.Options {
	o := tsdb.DefaultOptions()
	o.RetentionDuration = retention.Milliseconds()
	// Blocks grow up to a tenth of the retention, at most 31 days, as in Prometheus.
	o.MaxBlockDuration = max(o.MinBlockDuration, min(o.RetentionDuration/10, (31*24*time.Hour).Milliseconds()))
	o.WALCompression = compression.Snappy
	o.NoLockfile = true // the store holds it
	o.EnableSTStorage = true
	o.FloatChunkEncoding = chunkenc.EncXOR2
	o.EnableHistogramSTEncoding = true
	// tsdb's own minutely pass writes head chunks, and panics when the disk is
	// full, where nobody can catch it; maintain does it instead. Blocks are
	// still compacted and deleted whenever a commit finds the head full.
	o.BlockReloadInterval = 10 * 365 * 24 * time.Hour
	return o
}

func (s *store) open() (*tsdb.DB, error) {
	db, err := tsdb.Open(s.dir, newSlog(s.log), prometheus.NewRegistry(), s.options(), nil)
	if err != nil {
		return nil, fmt.Errorf("open the TSDB in %s: %w (if it can't be repaired, move the directory away and start again)", s.dir, err)
	}
	return db, nil
}

// append gives the TSDB's appender to write and commits what it appended. It
// returns errPaused (wrapped) while nothing can be stored.
func (s *store) append(ctx context.Context, write func(app storage.AppenderV2, generation uint64) error) (err error) {
	if reason := s.ready(); reason != "" {
		return fmt.Errorf("%w: %s", errPaused, reason)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return fmt.Errorf("%w: the TSDB is being opened again", errPaused)
	}
	app := s.db.AppenderV2(ctx)
	committed := false
	defer func() {
		if !committed { // write failed or panicked
			if rerr := app.Rollback(); rerr != nil { // it writes the new series
				s.fail(rerr)
			}
		}
	}()
	if err := write(app, s.generation); err != nil {
		return err
	}
	committed = true
	if err := app.Commit(); err != nil {
		s.fail(err)
		return fmt.Errorf("%w: %w", errPaused, err)
	}
	return nil
}

// ready says why nothing can be stored now, "" if it can.
func (s *store) ready() string {
	s.state.Lock()
	defer s.state.Unlock()
	if s.broken == nil {
		s.checkSpace()
	}
	return s.paused
}

// checkSpace pauses or resumes by the room on the disk; state is held.
func (s *store) checkSpace() {
	free, err := s.free(s.dir)
	switch {
	case err != nil: // not every file system can tell; then only a failed write does
	case free < s.minFree:
		s.pause(fmt.Sprintf("%d MiB are free, below min_free (%d MiB)", free>>20, s.minFree>>20), nil)
	case s.broken == nil:
		s.resume()
	}
}

// fail takes a failed write down: the TSDB must be opened anew.
func (s *store) fail(err error) {
	s.state.Lock()
	defer s.state.Unlock()
	if s.broken != nil {
		return
	}
	s.broken = err
	s.retry = time.Now().Add(time.Second)
	s.metrics.storageErrors.Inc()
	s.pause("the last write failed", err)
}

// pause and resume tell a change of state once; state is held.
func (s *store) pause(reason string, err error) {
	if s.paused == "" {
		log := s.log.WithFields(logrus.Fields{"dir": s.dir, "reason": reason})
		if err != nil {
			log = log.WithError(err)
		}
		log.Error("Scraped samples are not stored: free space on this disk or lower sources.scrape.retention; storing goes on by itself then")
	}
	s.paused = reason
	s.metrics.storageUp.Set(0)
}

func (s *store) resume() {
	if s.paused != "" {
		s.log.WithField("dir", s.dir).Info("Scraped samples are stored again")
	}
	s.paused = ""
	s.metrics.storageUp.Set(1)
}

// maintain does what can wait: it writes full chunks of the head to disk and
// opens a broken TSDB again. It must not run twice at a time.
func (s *store) maintain(now time.Time) {
	s.state.Lock()
	broken, due := s.broken != nil, !now.Before(s.retry)
	if !broken {
		s.checkSpace()
	}
	paused := s.paused != ""
	s.state.Unlock()
	switch {
	case broken && due:
		s.reopen(now)
	case !broken && !paused:
		s.mu.RLock()
		defer s.mu.RUnlock()
		if s.db != nil {
			s.db.ForceHeadMMap()
		}
	}
}

// reopen closes the TSDB whose write failed and opens it again.
func (s *store) reopen(now time.Time) {
	err := s.probe()
	if err == nil {
		s.mu.Lock()
		if s.db != nil {
			if err := closeDB(s.db); err != nil {
				s.log.WithError(err).WithField("dir", s.dir).Debug("Closed a broken TSDB")
			}
			s.db = nil
		}
		s.db, err = s.open()
		s.generation++
		s.mu.Unlock()
	}
	s.state.Lock()
	defer s.state.Unlock()
	if err != nil {
		s.retry = now.Add(10 * time.Second)
		s.metrics.storageErrors.Inc()
		s.log.WithError(err).WithField("dir", s.dir).Debug("Tried to open the TSDB again")
		return
	}
	s.broken = nil
	s.resume()
	s.checkSpace()
}

// probe says whether the disk takes a few blocks again.
func (s *store) probe() error {
	if free, err := s.free(s.dir); err == nil && free < s.minFree {
		return fmt.Errorf("%d MiB are free, below min_free (%d MiB)", free>>20, s.minFree>>20)
	}
	f, err := os.CreateTemp(s.dir, "probe-*.tmp")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(make([]byte, 1<<20))
	return errors.Join(err, f.Close())
}

// closeDB closes the TSDB. tsdb panics when the disk is full while it writes its
// head chunks; those are in the WAL, so nothing is lost.
func closeDB(db *tsdb.DB) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("close the TSDB: %v", p)
			debug.FreeOSMemory()
		}
	}()
	return db.Close()
}

// close ends all use of the TSDB.
func (s *store) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.db != nil {
		err = closeDB(s.db)
		s.db = nil
	}
	return errors.Join(err, s.lock.Release())
}

// headSeries is the number of series in memory.
func (s *store) headSeries() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return 0
	}
	return s.db.Head().NumSeries()
}

// impaired says that the store is broken or paused and has to be looked after.
func (s *store) impaired() bool {
	s.state.Lock()
	defer s.state.Unlock()
	return s.broken != nil || s.paused != ""
}
