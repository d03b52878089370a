package web

import (
	"cmp"
	"context"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
	"aftershock/journal"
	"aftershock/watch"
)

// healthJobs is how many unfinished jobs are looked at.
const healthJobs = 200

// Receiver is a receiver of alerts with how the last attempt to tell it something ended.
type Receiver struct {
	Name string `json:"name"`
	// At is when that attempt ended, zero before the first since the daemon's start.
	At time.Time `json:"at,omitzero"`
	// Error is why it failed, "" where it didn't; Since is when failures began.
	Error string    `json:"error,omitempty"`
	Since time.Time `json:"failing_since,omitzero"`
}

// job is a job without its payload, which is a receiver's business.
type job struct {
	Kind     string           `json:"kind"`
	Key      string           `json:"key"`
	State    journal.JobState `json:"state"`
	Attempts int              `json:"attempts"`
	Error    string           `json:"error,omitempty"`
}

// trouble is 2 for a job that was given up, 1 for one that failed and is tried
// again, else 0.
func (j job) trouble() int {
	switch j.State {
	case journal.JobFailed:
		return 2
	case journal.JobAgain:
		return 1
	}
	return 0
}

// health is how the daemon does.
type health struct {
	Ready     bool                `json:"ready"`
	Started   time.Time           `json:"started_at"`
	Watch     watch.Status        `json:"watch"`
	Lag       float64             `json:"lag_seconds"` // since the end of the last step, 0 before the first
	Late      bool                `json:"late"`        // whether that is more than it should be
	Coverage  []detector.Coverage `json:"coverage"`    // of the last day
	Receivers []Receiver          `json:"receivers"`
	Storage   journal.Storage     `json:"storage"`
	Targets   []Target            `json:"targets"`
	Jobs      []job               `json:"jobs"`
}

func (s *Server) healthNow(ctx context.Context) (h health, err error) {
	now := time.Now()
	h = health{
		Ready: s.ready.Load(), Started: s.started.UTC(), Watch: s.o.Loop.Status(),
		Coverage: []detector.Coverage{}, Receivers: []Receiver{}, Targets: s.targets(),
	}
	if !h.Watch.Time.IsZero() {
		lag := max(now.Sub(h.Watch.Time), 0)
		// A step is read after the lag that is set, and lasts until the next is.
		h.Lag, h.Late = lag.Seconds(), lag > s.o.Judging.Lag+3*s.o.Judging.Step
	}
	if s.o.Receivers != nil {
		h.Receivers = append(h.Receivers, s.o.Receivers()...)
	}
	if h.Jobs, err = s.unfinished(ctx); err != nil {
		return h, err
	}
	if h.Storage, err = s.o.Journal.Storage(ctx); err != nil {
		return h, err
	}
	hour := now.UTC().Truncate(time.Hour)
	covered, err := s.o.Journal.Coverage(ctx, hour.Add(-23*time.Hour), hour.Add(time.Hour))
	h.Coverage = append(h.Coverage, covered...)
	return h, err
}

// unfinished are the jobs that aren't done, those in trouble first.
func (s *Server) unfinished(ctx context.Context) ([]job, error) {
	all, err := s.o.Journal.Jobs(ctx, healthJobs)
	if err != nil {
		return nil, err
	}
	out := make([]job, 0, len(all))
	for _, j := range all {
		out = append(out, job{j.Kind, j.Key, j.State, j.Attempts, words.Line(j.Error)})
	}
	slices.SortStableFunc(out, func(a, b job) int { return cmp.Compare(b.trouble(), a.trouble()) })
	return out, nil
}

func (s *Server) targets() []Target {
	if s.o.Targets == nil {
		return []Target{}
	}
	all := slices.Clone(s.o.Targets())
	slices.SortStableFunc(all, func(a, b Target) int {
		if a.Up != b.Up {
			if b.Up {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Address, b.Address)
	})
	return all
}

// day is the coverage of the last 24 hours as a page shows it.
type day struct {
	Chart template.HTML
	// Text says it in words.
	Text string
	Good bool
}

// coverage draws each of the last 24 hours as a bar of the steps that were judged, of
// those that could be read until now. What the daemon wasn't there for yet is no gap: before
// started nothing is missed, unless something of it was judged by an earlier run.
func coverage(all []detector.Coverage, step time.Duration, now, started time.Time) day {
	const height = 44.0
	first := now.UTC().Truncate(time.Hour).Add(-23 * time.Hour)
	hours := map[time.Time]detector.Coverage{}
	for _, c := range all {
		hours[c.Hour.UTC()] = c
		if c.Hour.Before(started) {
			started = c.Hour
		}
	}
	c := &chart{from: first, to: first.Add(24 * time.Hour)}
	judged, silent, due := 0, 0, 0
	c.put(`<g>`)
	for n := range 24 {
		hour := first.Add(time.Duration(n) * time.Hour)
		from, to := hour, hour.Add(time.Hour)
		if to.After(now) {
			to = now
		}
		if started.After(from) {
			from = started
		}
		steps := hours[hour].Steps
		want := max(int(to.Sub(from)/step), steps, 0)
		judged, silent, due = judged+steps, silent+hours[hour].Silent, due+want
		if want == 0 {
			continue
		}
		seen, heard := height*float64(steps)/float64(want), height*float64(steps-hours[hour].Silent)/float64(want)
		c.put(`<rect class="old" x="%s" y="0" width="3.9%%" height="%.0f"><title>%s: %d of %d steps judged, %d of them with most targets silent</title></rect>`,
			c.x(hour), height, hour.Format("15:04"), steps, want, hours[hour].Silent)
		c.put(`<rect class="silent" x="%s" y="%.1f" width="3.9%%" height="%.1f"/><rect class="new" x="%s" y="%.1f" width="3.9%%" height="%.1f"/>`,
			c.x(hour), height-seen, seen, c.x(hour), height-heard, heard)
	}
	c.put(`</g>`)
	c.times(height + 18)
	// Hours needn't begin with a step.
	out := day{Good: due-judged <= 2 && silent == 0, Text: fmt.Sprintf("%s of %s steps judged", words.Count(float64(judged)), words.Count(float64(due)))}
	if silent > 0 {
		out.Text += fmt.Sprintf(", %s of them while most targets were silent", words.Count(float64(silent)))
	}
	out.Chart = template.HTML(fmt.Sprintf(`<svg class="chart lanes" width="100%%" height="%.0f" role="img" aria-label="%s">%s</svg>`, //nolint:gosec // of figures alone
		height+24, esc("Coverage of the last day, hour by hour: "+out.Text), c.b.String()))
	return out
}

// work counts jobs by their state, in words.
func work(jobs map[journal.JobState]int) string {
	var parts []string
	for _, state := range []struct {
		state journal.JobState
		text  string
	}{
		{journal.JobWaiting, "waiting"},
		{journal.JobRunning, "under way"},
		{journal.JobAgain, "to be tried again"},
		{journal.JobFailed, "given up"},
		{journal.JobDone, "done of late"},
	} {
		parts = append(parts, words.Count(float64(jobs[state.state]))+" "+state.text)
	}
	return strings.Join(parts, ", ")
}

func (s *Server) healthPage(w http.ResponseWriter, r *http.Request) error {
	h, err := s.healthNow(r.Context())
	if err != nil {
		return err
	}
	troubled, up, failing := 0, 0, 0
	for _, j := range h.Jobs {
		if j.trouble() > 0 {
			troubled++
		}
	}
	for _, t := range h.Targets {
		if t.Up {
			up++
		}
	}
	for _, to := range h.Receivers {
		if to.Error != "" {
			failing++
		}
	}
	return s.render(w, r, http.StatusOK, "health.html", map[string]any{
		"Title": "Health", "Health": h, "Day": coverage(h.Coverage, s.o.Judging.Step, time.Now().Add(-s.o.Judging.Lag-s.o.Judging.Step), s.started), "Failing": failing, "Work": work(h.Storage.Jobs),
		"Targets": h.Targets[:min(len(h.Targets), 200)], "Up": up, "Known": len(h.Targets), "Scrapes": s.o.Targets != nil,
		"Jobs": h.Jobs[:min(len(h.Jobs), 50)], "Troubled": troubled, "Waiting": len(h.Jobs) - troubled, "Refresh": 15,
	})
}

// health is the page of health for machines.
func (s *Server) health(w http.ResponseWriter, r *http.Request) error {
	h, err := s.healthNow(r.Context())
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, h)
}
