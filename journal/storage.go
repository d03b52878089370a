package journal

import (
	"context"
	"errors"
	"io/fs"
	"os"
)

// Storage is what the journal takes, and its work by state.
type Storage struct {
	// Kind is SQLite or PostgreSQL.
	Kind string `json:"kind"`
	// Bytes are those of the database, its log of changes included on SQLite.
	Bytes int64 `json:"bytes"`
	// Jobs are all by state; done and failed ones until they are cleaned away.
	Jobs map[JobState]int `json:"jobs"`
}

// Storage measures.
func (j *Journal) Storage(ctx context.Context) (s Storage, err error) {
	err = j.read("measure the journal", func(t tx) error {
		if s.Kind, s.Bytes, err = j.db.size(ctx); err != nil {
			return err
		}
		s.Jobs, err = counted(ctx, t)
		return err
	})
	return s, err
}

// counted are the jobs by state.
func counted(ctx context.Context, t tx) (map[JobState]int, error) {
	counts := map[JobState]int{JobWaiting: 0, JobRunning: 0, JobAgain: 0, JobDone: 0, JobFailed: 0}
	return counts, t.each(ctx, func(r row) error {
		var state string
		var failed bool
		var n int64
		if err := r.Scan(&state, &failed, &n); err != nil {
			return err
		}
		counts[jobState(state, failed)] += int(n)
		return nil
	}, `SELECT CAST(state AS TEXT), errors IS NOT NULL, count(*) FROM river_job GROUP BY 1, 2`)
}

func (d *sqliteDB) size(context.Context) (kind string, bytes int64, err error) {
	for _, file := range []string{d.file, d.file + "-wal"} {
		info, err := os.Stat(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // no log while nothing was written
		}
		if err != nil {
			return "", 0, err
		}
		bytes += info.Size()
	}
	return "SQLite", bytes, nil
}

func (d *postgresDB) size(ctx context.Context) (kind string, bytes int64, err error) {
	err = one(ctx, d.read(), func(r row) error { return r.Scan(&bytes) }, `SELECT pg_database_size(current_database())`)
	return "PostgreSQL", bytes, err
}
