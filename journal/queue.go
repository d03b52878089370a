package journal

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
	"github.com/sirupsen/logrus"
)

// queue keeps the jobs. The only code that knows river is in this file.
type queue interface {
	migrate(ctx context.Context) error
	insert(ctx context.Context, t tx, jobs []Job) error
	// start works jobs until stop is called, whose context bounds the wait.
	start(ctx context.Context, owner int32, work func(context.Context, Job, int) error) (stop func(context.Context) error, err error)
	list(ctx context.Context, limit int) ([]JobStatus, error)
	// next is when the first of the jobs that wait is due, zero where none waits.
	next(ctx context.Context) (time.Time, error)
}

// riverQueue is a queue on river, whose transactions are of type T.
type riverQueue[T any] struct {
	driver riverdriver.Driver[T]
	native func(tx) T
	log    *slog.Logger
	// poll is how often to look for jobs, listen whether the database tells of
	// new ones.
	poll   time.Duration
	listen bool
	// workers is how many jobs are worked at the same time.
	workers int
}

// newSQLiteQueue polls: river's stand-in for LISTEN on SQLite polls as well,
// and writes more.
func newSQLiteQueue(db *sqliteDB, log logrus.FieldLogger) queue {
	return &riverQueue[*sql.Tx]{
		driver: riversqlite.New(db.writer), log: bridge(log), poll: 80 * time.Millisecond, workers: 32,
		native: func(t tx) *sql.Tx { return t.(sqliteTx).conn.(*sql.Tx) },
	}
}

func newPostgresQueue(db *postgresDB, log logrus.FieldLogger) queue {
	return &riverQueue[pgx.Tx]{
		driver: riverpgxv5.New(db.pool), log: bridge(log), poll: 250 * time.Millisecond, listen: true, workers: 32,
		native: func(t tx) pgx.Tx { return t.(postgresTx).conn.(pgx.Tx) },
	}
}

// args is every job's arguments: river sees one kind of job, so that it needs
// to know no kinds.
type args struct {
	Of      string          `json:"kind" river:"unique"`
	Key     string          `json:"key" river:"unique"`
	Payload json.RawMessage `json:"payload,omitempty"`
	// Bytes is the payload where PostgreSQL's jsonb wouldn't take it.
	Bytes []byte `json:"bytes,omitempty"`
}

// newArgs gives the arguments of a job. JSON may escape NUL and halves of
// surrogate pairs, which jsonb refuses; such a payload goes as bytes.
func newArgs(j Job) args {
	a := args{Of: text(j.Kind), Key: text(j.Key)}
	if bytes.Contains(j.Payload, []byte(`\u0000`)) || bytes.Contains(bytes.ToLower(j.Payload), []byte(`\ud`)) {
		a.Bytes = j.Payload
	} else {
		a.Payload = j.Payload
	}
	return a
}

func (a args) job(at time.Time) Job {
	payload := a.Payload
	if len(a.Bytes) > 0 {
		payload = a.Bytes
	}
	return Job{Kind: a.Of, Key: a.Key, Payload: payload, At: at.UTC()}
}

// Kind implements river.JobArgs.
func (args) Kind() string { return "aftershock" }

func (q *riverQueue[T]) migrate(ctx context.Context) error {
	m, err := rivermigrate.New(q.driver, &rivermigrate.Config{Logger: q.log})
	if err != nil {
		return fmt.Errorf("read the migrations of the jobs' tables: %w", err)
	}
	if err := q.refuseNewer(ctx, m.AllVersions()); err != nil {
		return err
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrate the jobs' tables: %w", err)
	}
	return nil
}

// refuseNewer gives ErrNewer when the jobs' tables are at a version beyond those
// that are known.
func (q *riverQueue[T]) refuseNewer(ctx context.Context, known []rivermigrate.Migration) error {
	exec := q.driver.GetExecutor()
	there, err := exec.TableExists(ctx, &riverdriver.TableExistsParams{Table: "river_migration"})
	if err != nil {
		return fmt.Errorf("look for the jobs' tables: %w", err)
	}
	if !there {
		return nil
	}
	done, err := exec.MigrationGetAllAssumingMain(ctx, &riverdriver.MigrationGetAllAssumingMainParams{})
	if err != nil {
		return fmt.Errorf("read the version of the jobs' tables: %w", err)
	}
	last := known[len(known)-1].Version
	for _, m := range done {
		if m.Version > last {
			return fmt.Errorf("%w: its jobs are at version %d and this program knows %d: run the newer program", ErrNewer, m.Version, last)
		}
	}
	return nil
}

func (q *riverQueue[T]) insert(ctx context.Context, t tx, jobs []Job) error {
	if len(jobs) == 0 {
		return nil
	}
	client, err := river.NewClient(q.driver, &river.Config{Logger: q.log})
	if err != nil {
		return fmt.Errorf("put down jobs: %w", err)
	}
	now := time.Now()
	seen := make(map[[2]string]bool, len(jobs))
	params := make([]river.InsertManyParams, 0, len(jobs))
	for _, j := range jobs {
		if err := j.validate(); err != nil {
			return err
		}
		if id := [2]string{j.Kind, j.Key}; seen[id] {
			continue
		} else {
			seen[id] = true
		}
		opts := &river.InsertOpts{
			MaxAttempts: maxAttempts,
			UniqueOpts:  river.UniqueOpts{ByArgs: true, ByState: rivertype.JobStates()},
		}
		if j.At.After(now) {
			opts.ScheduledAt = j.At
		}
		params = append(params, river.InsertManyParams{
			Args: newArgs(j), InsertOpts: opts,
		})
	}
	inserted, err := client.InsertManyTx(ctx, q.native(t), params)
	if err != nil {
		return fmt.Errorf("put down jobs: %w", err)
	}
	return hasten(ctx, t, now, inserted)
}

// hasten makes jobs of the next seconds ready at once: they are fetched when
// their time has come, while river's scheduler looks every 5 s only.
func hasten(ctx context.Context, t tx, now time.Time, inserted []*rivertype.JobInsertResult) error {
	for _, res := range inserted {
		if res.UniqueSkippedAsDuplicate || res.Job.State != rivertype.JobStateScheduled || res.Job.ScheduledAt.Sub(now) > 10*time.Second {
			continue
		}
		if _, err := t.exec(ctx, `UPDATE river_job SET state = 'available' WHERE id = $1 AND state = 'scheduled'`, res.Job.ID); err != nil {
			return fmt.Errorf("put down jobs: %w", err)
		}
	}
	return nil
}

// retry is the journal's backoff in river's form.
type retry struct{}

func (retry) NextRetry(job *rivertype.JobRow) time.Time {
	return time.Now().Add(backoff(len(job.Errors) + 1))
}

func (q *riverQueue[T]) start(ctx context.Context, owner int32, work func(context.Context, Job, int) error) (func(context.Context) error, error) {
	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, j *river.Job[args]) error {
		err := work(ctx, j.Args.job(j.ScheduledAt), j.Attempt)
		var p permanent
		if errors.As(err, &p) {
			return river.JobCancel(short(err))
		}
		var l later
		if errors.As(err, &l) {
			return river.JobSnooze(l.wait)
		}
		return short(err)
	}))
	client, err := river.NewClient(q.driver, &river.Config{
		ID:                          ownerName(owner),
		Logger:                      q.log,
		Workers:                     workers,
		Queues:                      map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: q.workers}},
		PollOnly:                    !q.listen,
		FetchCooldown:               20 * time.Millisecond,
		FetchPollInterval:           q.poll,
		RetryPolicy:                 retry{},
		MaxAttempts:                 maxAttempts,
		JobTimeout:                  jobTimeout,
		SoftStopTimeout:             softStop,
		CompletedJobRetentionPeriod: keepDone,
		CancelledJobRetentionPeriod: keepFailed,
		DiscardedJobRetentionPeriod: keepFailed,
	})
	if err != nil {
		return nil, err
	}
	if err := client.Start(ctx); err != nil {
		return nil, err
	}
	return client.Stop, nil
}

// short bounds what river keeps of an error for each attempt. The error given
// up for the client's end is left as it is, since river looks for it.
func short(err error) error {
	const most = 500
	if err == nil || len(err.Error()) <= most {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return context.Canceled
	}
	return errors.New(text(err.Error()[:most]) + "…")
}

func (q *riverQueue[T]) list(ctx context.Context, limit int) ([]JobStatus, error) {
	client, err := river.NewClient(q.driver, &river.Config{Logger: q.log})
	if err != nil {
		return nil, err
	}
	found, err := client.JobList(ctx, river.NewJobListParams().First(limit).
		OrderBy(river.JobListOrderByID, river.SortOrderDesc).
		States(rivertype.JobStateAvailable, rivertype.JobStateCancelled, rivertype.JobStateDiscarded,
			rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled))
	if err != nil {
		return nil, err
	}
	all := make([]JobStatus, 0, len(found.Jobs))
	for _, j := range found.Jobs {
		var a args
		if err := json.Unmarshal(j.EncodedArgs, &a); err != nil {
			return nil, fmt.Errorf("read job %d: %w", j.ID, err)
		}
		status := JobStatus{
			Job:      a.job(j.ScheduledAt),
			State:    jobState(string(j.State), len(j.Errors) > 0),
			Attempts: j.Attempt,
		}
		if n := len(j.Errors); n > 0 {
			status.Error = j.Errors[n-1].Error
		}
		all = append(all, status)
	}
	return all, nil
}

func (q *riverQueue[T]) next(ctx context.Context) (time.Time, error) {
	client, err := river.NewClient(q.driver, &river.Config{Logger: q.log})
	if err != nil {
		return time.Time{}, err
	}
	found, err := client.JobList(ctx, river.NewJobListParams().First(1).
		OrderBy(river.JobListOrderByScheduledAt, river.SortOrderAsc).
		States(rivertype.JobStateAvailable, rivertype.JobStateRetryable, rivertype.JobStateScheduled))
	if err != nil || len(found.Jobs) == 0 {
		return time.Time{}, err
	}
	return found.Jobs[0].ScheduledAt, nil
}

// jobState gives the journal's word for river's state.
func jobState(state string, failed bool) JobState {
	switch rivertype.JobState(state) {
	case rivertype.JobStateRunning:
		return JobRunning
	case rivertype.JobStateCompleted:
		return JobDone
	case rivertype.JobStateCancelled, rivertype.JobStateDiscarded:
		return JobFailed
	case rivertype.JobStateRetryable:
		return JobAgain
	}
	if failed {
		return JobAgain // near its next try river calls it available
	}
	return JobWaiting
}
