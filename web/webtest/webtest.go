// Package webtest runs a whole web server for tests: a real journal on SQLite,
// a real switchboard over it that verifies its toggles through the server, and
// a watch loop that only remembers what it was told.
package webtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"aftershock/detector"
	"aftershock/flags"
	"aftershock/flags/ofrep"
	"aftershock/flags/policy"
	"aftershock/journal"
	"aftershock/reports"
	"aftershock/upgrades"
	"aftershock/upgrades/inbox"
	"aftershock/watch"
	"aftershock/web"
	"aftershock/web/channel"
)

// Token is what writing needs.
const Token = "a-token-for-tests-7Q4X"

// Loop is a watch that does nothing.
type Loop struct {
	mu       sync.Mutex
	Now      watch.Status
	recorded []detector.Upgrade
	reported []inbox.Report
	// Refuse is what Report answers.
	Refuse error
	closed []string
}

// Status answers Now.
func (l *Loop) Status() watch.Status { l.mu.Lock(); defer l.mu.Unlock(); return l.Now }

// Record remembers u.
func (l *Loop) Record(u detector.Upgrade) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recorded = append(l.recorded, u)
}

// CloseUpgrade remembers id.
func (l *Loop) CloseUpgrade(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = append(l.closed, id)
}

// Report remembers what deployment tools told.
func (l *Loop) Report(_ context.Context, all []inbox.Report) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Refuse == nil {
		l.reported = append(l.reported, all...)
	}
	return l.Refuse
}

// Reported is what deployment tools told.
func (l *Loop) Reported() []inbox.Report { l.mu.Lock(); defer l.mu.Unlock(); return l.reported }

// Told is what was recorded and closed.
func (l *Loop) Told() (recorded []detector.Upgrade, closed []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.recorded, l.closed
}

// Store lets a switchboard keep its flags in a journal.
type Store struct{ *journal.Journal }

// PutDefinitions tells a conflict in the switchboard's word.
func (s Store) PutDefinitions(ctx context.Context, expected int64, document []byte, t detector.Toggle) (int64, error) {
	revision, err := s.Journal.PutDefinitions(ctx, expected, document, t)
	if errors.Is(err, journal.ErrConflict) {
		return 0, fmt.Errorf("%w: %w", flags.ErrConflict, err)
	}
	return revision, err
}

// AuditToggle audits without jobs.
func (s Store) AuditToggle(ctx context.Context, t detector.Toggle) error {
	return s.Journal.AuditToggle(ctx, t)
}

// DecideToggle tells a conflict in the switchboard's word.
func (s Store) DecideToggle(ctx context.Context, last, next detector.Toggle) error {
	err := s.Journal.DecideToggle(ctx, last, next)
	if errors.Is(err, journal.ErrConflict) {
		err = errors.Join(flags.ErrConflict, err)
	}
	return err
}

// Toggle tells an unknown one in the switchboard's word.
func (s Store) Toggle(ctx context.Context, id string) (detector.Toggle, error) {
	states, err := s.Journal.ToggleHistory(ctx, id)
	if errors.Is(err, journal.ErrNotFound) {
		return detector.Toggle{}, fmt.Errorf("%w: %w", flags.ErrUnknown, err)
	}
	if err != nil {
		return detector.Toggle{}, err
	}
	return states[len(states)-1], nil
}

// Server is a running server and what stands behind it.
type Server struct {
	*web.Server
	URL     string
	Journal *journal.Journal
	Board   *flags.Switchboard
	Loop    *Loop
	Channel *channel.Channel
	// Stop ends the server and answers what Serve did.
	Stop func() error
}

const definitions = `{"flags": {
	"payments-backoff": {"state": "ENABLED", "defaultVariant": "new", "variants": {
		"legacy": {"attempts": 2, "spread": false}, "new": {"attempts": 6, "spread": true}, "tuned": {"attempts": 3, "spread": true}}},
	"checkout-banner": {"state": "ENABLED", "defaultVariant": "off", "variants": {"on": true, "off": false}},
	"retired": {"state": "DISABLED", "defaultVariant": "off", "variants": {"on": true, "off": false}}
}}`

type history struct{ *journal.Journal }

func (h history) Events(ctx context.Context, upgrade string) (out []detector.Event, err error) {
	all, _, err := h.Journal.Events(ctx, journal.EventQuery{Upgrade: upgrade, Limit: 1000})
	for _, e := range all {
		out = append(out, e.Event)
	}
	return out, err
}

func (h history) Alerts(ctx context.Context, upgrade string) ([]detector.Alert, error) {
	all, _, err := h.Journal.Alerts(ctx, journal.AlertQuery{Upgrade: upgrade, Fired: true})
	return all, err
}

func (h history) review(ctx context.Context, upgrade, format string, w http.ResponseWriter) error {
	r, err := reports.Build(ctx, h, upgrade, time.Now().UTC())
	if err != nil {
		return err
	}
	kinds := map[string]struct {
		kind  string
		write func(io.Writer) error
	}{
		"html": {"text/html; charset=utf-8", r.HTML}, "md": {"text/markdown; charset=utf-8", r.Markdown}, "json": {"application/json", r.JSON},
	}
	k, ok := kinds[format]
	if !ok {
		return web.BadRequest(fmt.Sprintf("format %.20q is none of html, md, json", format))
	}
	w.Header().Set("Content-Type", k.kind)
	return k.write(w)
}

// Marks says nothing of any alert.
func (h history) Marks(context.Context, []string) (map[string]bool, error) { return nil, nil }

// storyDay lies in the week of the story that commands are tested on.
var storyDay = time.Date(2026, 3, 6, 12, 0, 0, 0, time.UTC)

// week reviews the week of the story, whatever its name.
func (h history) week(ctx context.Context, name, format string, w http.ResponseWriter) error {
	s, err := reports.ParseWeek(name, time.UTC)
	if err != nil {
		s = reports.WeekOf(storyDay, time.UTC)
	}
	r, err := reports.BuildWeek(ctx, h, s, time.Now())
	if err != nil {
		return err
	}
	b, err := r.Form(ctx, format, reports.Browser)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", reports.MediaType(format))
	w.Header().Set("Content-Disposition", fmt.Sprintf("inline; filename=%q", r.FileName(format)))
	_, err = w.Write(b)
	return err
}

// weeks are those up to now, in UTC.
func weeks(n int) (all []web.WeekSpan) {
	for k := range n {
		s := reports.WeekOf(time.Now(), time.UTC).Before(k)
		all = append(all, web.WeekSpan{Name: s.Name, From: s.From, To: s.To})
	}
	return all
}

// Start runs a server until the test ends. Each change may alter its options.
func Start(t testing.TB, change ...func(*web.Options)) *Server {
	t.Helper()
	return StartFlags(t, policy.Config{}, change...)
}

// StartFlags is Start with a policy for the flags.
func StartFlags(t testing.TB, p policy.Config, change ...func(*web.Options)) *Server {
	t.Helper()
	return StartBoard(t, func(c *flags.Config) { c.Policy = p }, change...)
}

// StartBoard is Start with other settings of the switchboard.
func StartBoard(t testing.TB, set func(*flags.Config), change ...func(*web.Options)) *Server {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	dir := t.TempDir()
	log := logrus.New()
	log.SetOutput(io.Discard)
	registry := prometheus.NewRegistry()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	j, err := journal.Open(ctx, journal.Config{}, dir, log, registry)
	must(err)
	file := filepath.Join(dir, "flags.json")
	must(os.WriteFile(file, []byte(definitions), 0o600))
	c := flags.Config{
		Definitions: file, VerifyTimeout: 3 * time.Second,
		Gates: []flags.Gate{{Flag: "payments-backoff", Binary: "dten-payments", Safe: "legacy", Tunes: tunes()}},
		Past:  past, Gains: j.Gains,
	}
	set(&c)
	board, err := flags.New(c, Store{j}, log, registry)
	must(err)
	must(board.Load(ctx))
	told, err := inbox.New(inbox.Config{})
	must(err)
	s := &Server{Journal: j, Board: board, Loop: &Loop{Now: watch.Status{Time: time.Now().UTC().Truncate(time.Minute), Indicators: 25}}}
	s.Channel = channel.New(channel.Options{
		Config:  channel.Config{Auto: []detector.Step{detector.StepPlanned, detector.StepWindow, detector.StepFinished}},
		Journal: j, Watch: 7 * 24 * time.Hour, Gates: func() []flags.Gate { return board.Rules().Gates },
		Gone: func(context.Context, detector.Upgrade, detector.Post) error { return nil }, Log: log,
	})
	var judging watch.Config
	judging.SetDefaults()
	o := web.Options{
		Channel: s.Channel, Judging: judging,
		Config: web.Config{Listen: "127.0.0.1:0"}, Version: "1.2.3", Journal: j, Loop: s.Loop, Switchboard: board,
		Review: history{j}.review, Week: history{j}.week, Weeks: weeks, Parse: upgrades.ParseRecord, Inbox: told, Reload: func() error { return nil },
		Token: Token, Registry: registry, Log: log, Slog: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&o)
	}
	s.Server, err = web.New(o)
	must(err)
	s.URL = "http://" + s.Addr()
	must(board.Connect(ctx, ofrep.Config{BaseURL: s.OwnURL()}))
	served, ran := make(chan error, 1), make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	go func() { ran <- board.Run(ctx) }()
	s.Stop = sync.OnceValue(func() error { cancel(); return errors.Join(<-served, <-ran) })
	s.SetReady(true)
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
