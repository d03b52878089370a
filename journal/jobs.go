package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"
)

// Bounds of jobs.
const (
	// maxPayload bounds the payload of a job, in bytes.
	maxPayload = 1 << 20
	// maxAttempts with backoffCap between them is about ten days.
	maxAttempts  = 3000
	backoffFirst = time.Second
	backoffCap   = 5 * time.Minute
	// jobTimeout ends the context of one attempt.
	jobTimeout = 10 * time.Minute
	// softStop is how long Work waits for attempts under way before it ends
	// their context, hardStop how long it waits after that.
	softStop = 10 * time.Second
	hardStop = 10 * time.Second
	// keepDone and keepFailed are how long finished jobs stay, and with them
	// the memory of their keys.
	keepDone   = 7 * 24 * time.Hour
	keepFailed = 90 * 24 * time.Hour
)

// Job is durable work: it is worked at least once by the handler of its kind.
type Job struct {
	// Kind says which handler works the job.
	Kind string `json:"kind"`
	// Key is the job's identity within its kind: a job whose kind and key are
	// known already is dropped, also when the first is done. Keys are
	// forgotten a week after the job was done, 90 days after it was given up.
	Key string `json:"key"`
	// Payload is the handler's, at most 1 MiB of JSON; nil is null.
	Payload json.RawMessage `json:"payload,omitempty"`
	// At is when to begin; zero is now.
	At time.Time `json:"at,omitzero"`
}

func (j Job) validate() error {
	switch {
	case j.Kind == "" || j.Key == "":
		return fmt.Errorf("%w: job %q %q has no kind or no key", ErrInvalid, j.Kind, j.Key)
	case len(j.Kind)+len(j.Key) > 4096:
		return fmt.Errorf("%w: job %q has a key of %d bytes, and 4096 are allowed", ErrInvalid, j.Kind, len(j.Key))
	case len(j.Payload) > maxPayload:
		return fmt.Errorf("%w: job %q %q has a payload of %d bytes, and %d are allowed", ErrInvalid, j.Kind, j.Key, len(j.Payload), maxPayload)
	case len(j.Payload) > 0 && !json.Valid(j.Payload):
		return fmt.Errorf("%w: job %q %q has a payload that is no JSON", ErrInvalid, j.Kind, j.Key)
	}
	return nil
}

// Handler works one job. After an error the job is tried again, after 1 s, 2 s,
// 4 s … up to 5 minutes, give or take a fifth, for about ten days; after
// Permanent it isn't. It may run twice for one job, so its effect must bear
// that; it must return soon after ctx ends.
type Handler func(ctx context.Context, j Job) error

// permanent marks an error that no retry heals.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent wraps a handler's error to give the job up at once. It stays
// visible in Jobs.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}

// later is an answer of a handler whose work isn't done yet.
type later struct{ wait time.Duration }

func (l later) Error() string { return "not done yet, to be looked at again in " + l.wait.String() }

// Later is what a handler answers whose work waits for something: the job is
// worked again after the wait, however often, and holds up no other job until
// then. It counts as no failure.
func Later(wait time.Duration) error { return later{wait} }

// backoff is how long to wait after the n-th failure (from 1).
func backoff(n int) time.Duration {
	d := backoffCap
	if n < 10 { // 2^9 s is beyond the cap
		d = min(backoffFirst<<(max(n, 1)-1), backoffCap)
	}
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

// JobState is how far a job has come.
type JobState string

// The states of a job.
const (
	JobWaiting JobState = "waiting" // for its time or a free worker
	JobRunning JobState = "running"
	JobAgain   JobState = "again" // failed, to be tried again
	JobDone    JobState = "done"
	JobFailed  JobState = "failed" // given up
)

// JobStatus is a job as it stands.
type JobStatus struct {
	Job
	State    JobState `json:"state"`
	Attempts int      `json:"attempts"`
	// Error is the last attempt's, "" where none failed.
	Error string `json:"error,omitempty"`
}

// Jobs lists the jobs that are not done, those given up included: the newest
// first, at most limit (1 to 1000).
func (j *Journal) Jobs(ctx context.Context, limit int) ([]JobStatus, error) {
	all, err := j.jobs.list(ctx, min(max(limit, 1), maxLimit))
	if err != nil {
		return nil, fmt.Errorf("list the jobs: %w", j.db.explain(err))
	}
	return all, nil
}

// Enqueue puts down jobs in a transaction of their own.
func (j *Journal) Enqueue(ctx context.Context, jobs ...Job) error {
	return j.write(ctx, "put down jobs", func(t tx) error { return j.jobs.insert(ctx, t, jobs) })
}

// Work works the jobs with the handlers of their kinds until ctx ends, then
// waits for those under way: 10 s, and after their context was ended another
// 10 s. What is not finished then is worked again by the next Work. It
// returns nil unless it couldn't begin or end in order. A job whose kind has
// no handler is tried again later.
func (j *Journal) Work(ctx context.Context, handlers map[string]Handler) error {
	if !j.working.TryLock() {
		return errors.New("work the jobs: they are being worked already")
	}
	defer j.working.Unlock()
	for kind := range handlers { // counted from the first on
		for _, result := range []string{"done", "again", "failed"} {
			j.metrics.worked.WithLabelValues(kind, result)
		}
	}
	owner := lockOwners + rand.Int32N(1<<30)
	defer j.db.leave(context.WithoutCancel(ctx))
	if err := j.adopt(ctx, owner); err != nil {
		if ctx.Err() != nil {
			return nil // it ended before it began
		}
		return fmt.Errorf("work the jobs: take over those left behind: %w", j.db.explain(err))
	}
	stop, err := j.jobs.start(context.WithoutCancel(ctx), owner, j.handle(handlers))
	if err != nil {
		return fmt.Errorf("work the jobs: %w", j.db.explain(err))
	}
	j.tend(ctx, owner)
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), softStop+hardStop)
	defer cancel()
	if err := stop(late); err != nil {
		return fmt.Errorf("work the jobs: end those under way: %w", err)
	}
	return nil
}

// handle gives the one handler that river knows: it finds the kind's, counts
// and logs.
func (j *Journal) handle(handlers map[string]Handler) func(ctx context.Context, job Job, attempt int) error {
	return func(ctx context.Context, job Job, attempt int) error {
		kind, handler := job.Kind, handlers[job.Kind]
		err := fmt.Errorf("find the handler of %q: there is none in this program", kind)
		if handler != nil {
			err = recovered(ctx, handler, job)
		} else {
			kind = "unknown" // not a label from the database
		}
		log := j.log.WithFields(logFields(job, attempt))
		var p permanent
		var l later
		switch {
		case errors.As(err, &l):
		case err == nil:
			j.metrics.worked.WithLabelValues(kind, "done").Inc()
		case errors.As(err, &p):
			j.metrics.worked.WithLabelValues(kind, "failed").Inc()
			log.WithError(err).Error("job given up")
		case ctx.Err() != nil:
			j.metrics.worked.WithLabelValues(kind, "again").Inc()
			log.WithError(err).Info("job interrupted, to be worked again")
		default:
			j.metrics.worked.WithLabelValues(kind, "again").Inc()
			log.WithError(err).Warn("job failed, to be tried again")
		}
		return err
	}
}

// recovered turns a handler's panic into an error.
func recovered(ctx context.Context, handler Handler, job Job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("work the job: panic: %v\n%s", p, debug.Stack())
		}
	}()
	return handler(ctx, job)
}

func logFields(job Job, attempt int) map[string]any {
	return map[string]any{"kind": job.Kind, "key": job.Key, "attempt": attempt}
}

// tend keeps taking over the jobs of the dead, and counts, until ctx ends.
func (j *Journal) tend(ctx context.Context, owner int32) {
	ticker := time.NewTicker(5 * time.Second)
	defer ticker.Stop()
	for n := 0; ; n++ {
		if n%3 == 0 {
			if err := j.count(ctx); err != nil && ctx.Err() == nil {
				j.log.WithError(err).Warn("jobs could not be counted")
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := j.adopt(ctx, owner); err != nil && ctx.Err() == nil {
			j.log.WithError(j.db.explain(err)).Warn("jobs left behind could not be taken over")
		}
	}
}

func (j *Journal) adopt(ctx context.Context, owner int32) error {
	n, err := j.db.adopt(ctx, owner)
	if n > 0 {
		j.metrics.adopted.Add(float64(n))
		j.log.WithField("jobs", n).Info("took over jobs of a process that died")
	}
	return err
}

// count sets the gauges of jobs.
func (j *Journal) count(ctx context.Context) error {
	next, err := j.jobs.next(ctx)
	if err != nil {
		return fmt.Errorf("look for the job that is due: %w", j.db.explain(err))
	}
	late := 0.0
	if !next.IsZero() {
		late = max(0, time.Since(next).Seconds())
	}
	j.metrics.overdue.Set(late)
	return j.read("count the jobs", func(t tx) error {
		counts, err := counted(ctx, t)
		if err != nil {
			return err
		}
		for state, n := range counts {
			j.metrics.jobs.WithLabelValues(string(state)).Set(float64(n))
		}
		return nil
	})
}
