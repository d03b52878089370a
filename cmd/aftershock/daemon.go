package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/sirupsen/logrus"
	logrusslog "github.com/sirupsen/logrus/hooks/slog"
	"golang.org/x/sync/errgroup"

	"aftershock/alerts"
	"aftershock/configs"
	"aftershock/detector"
	"aftershock/flags"
	"aftershock/flags/automation"
	"aftershock/flags/ofrep"
	"aftershock/flags/policy"
	"aftershock/journal"
	"aftershock/reports"
	"aftershock/sources"
	"aftershock/upgrades"
	"aftershock/upgrades/inbox"
	"aftershock/watch"
	"aftershock/web"
	"aftershock/web/channel"
)

// daemon holds the parts of the running product and how they are joined.
type daemon struct {
	file     string
	log      *logrus.Logger
	registry *prometheus.Registry
	journal  *journal.Journal
	source   *sources.Source
	board    *flags.Switchboard
	sender   atomic.Pointer[alerts.Sender]
	loop     *watch.Loop
	web      *web.Server
	inbox    *inbox.Inbox
	ledger   *upgrades.Ledger
	auto     *automation.Automation
	channel  *channel.Channel
	reports  waiting

	cfg configs.Config // as at the start

	mu     sync.Mutex // one reload at a time
	alerts alerts.Config
}

// newDaemon opens everything, in the order in which the parts need one
// another. What was opened is closed again when a later part fails.
func newDaemon(ctx context.Context, cfg configs.Config, file string, log *logrus.Logger) (d *daemon, err error) {
	d = &daemon{file: file, log: log, registry: prometheus.NewRegistry(), cfg: cfg, alerts: cfg.Alerts}
	d.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	if err := os.MkdirAll(cfg.Data, 0o750); err != nil {
		return d, fmt.Errorf("make the data directory: %w", err)
	}
	if d.journal, err = journal.Open(ctx, cfg.Journal, cfg.Data, log.WithField("part", "journal"), d.registry); err != nil {
		return d, err
	}
	if d.board, err = d.newSwitchboard(ctx); err != nil {
		return d, err
	}
	if err := d.registerOverdue(); err != nil {
		return d, err
	}
	sender, err := alerts.New(cfg.Alerts, log.WithField("part", "alerts"), d.registry)
	if err != nil {
		return d, err
	}
	d.sender.Store(sender)
	if d.source, err = sources.Open(ctx, cfg.Sources, cfg.Data, log.WithField("part", "sources"), d.registry); err != nil {
		return d, err
	}
	if d.ledger, err = upgrades.NewLedger(cfg.Upgrades, log.WithField("part", "upgrades")); err != nil {
		return d, err
	}
	if err := d.ledger.Inspect(cfg.Upgrades.Files, cfg.Data); err != nil {
		return d, err
	}
	d.loop = watch.New(watch.Options{
		Config: cfg.Watch, Source: d.source, Changes: d.ledger, Journal: ticks{d.journal},
		Receivers: sender.Receivers(), Flags: gating(cfg.Flags.Gates), Log: log.WithField("part", "watch"), Registry: d.registry,
		Watchable: upgrades.Watchable,
	})
	if s := cfg.Sources.Scrape; s != nil && cfg.Watch.Lag < time.Duration(s.Timeout) {
		log.WithFields(logrus.Fields{"watch.lag": cfg.Watch.Lag, "sources.scrape.timeout": s.Timeout}).
			Warn("a step is read before a slow scrape of it may have ended: what comes late counts for the next step; a lag not shorter than the timeout avoids that")
	}
	if d.auto, err = d.newAutomation(); err != nil {
		return d, err
	}
	if d.inbox, err = inbox.New(cfg.Upgrades.Inbox); err != nil {
		return d, err
	}
	d.channel = d.newChannel()
	return d, d.listen(ctx)
}

func (d *daemon) newSwitchboard(ctx context.Context) (*flags.Switchboard, error) {
	c := d.cfg.Flags
	c.OnFlip = func(f detector.Flip) {
		if d.loop != nil {
			d.loop.Flipped(d.treatment(f))
		}
	}
	c.Notify = d.notify
	c.Past, c.Gains = d.past, d.journal.Gains
	board, err := flags.New(c, store{d.journal}, d.log.WithField("part", "flags"), d.registry)
	if err != nil {
		return nil, err
	}
	return board, board.Load(ctx)
}

// gating are the flags by the binary that they gate.
func gating(gates []flags.Gate) map[string][]string {
	by := map[string][]string{}
	for _, g := range gates {
		by[g.Binary] = append(by[g.Binary], g.Flag)
	}
	return by
}

// treatment is a flip with the binaries that its flag gates.
func (d *daemon) treatment(f detector.Flip) watch.Treatment {
	for _, g := range d.board.Rules().Gates {
		if g.Flag == f.Flag {
			f.Binaries = append(f.Binaries, g.Binary)
		}
	}
	return watch.Treatment{Toggle: f.Toggle, Flip: f}
}

// listen binds the listener and tells where it is: DATA/listen holds the
// address, DATA/token what writing needs.
func (d *daemon) listen(ctx context.Context) error {
	token, loose, err := ownToken(filepath.Join(d.cfg.Data, "token"))
	if err != nil {
		return err
	}
	if loose {
		d.log.WithField("token_file", filepath.Join(d.cfg.Data, "token")).
			Warn("the token was open to everybody on this machine; it is no more, but remove it and restart to have a new one made")
	}
	d.web, err = web.New(web.Options{
		Config: d.cfg.Web, Version: version, Journal: d.journal, Loop: teller{d}, Switchboard: d.board,
		Channel: d.channel, OpenStatus: d.cfg.Status.Read == "anyone",
		Judging: d.cfg.Watch,
		Review:  d.review, Week: d.weekPage, Weeks: d.weeks, Parse: upgrades.ParseRecord, Inbox: d.inbox, Reload: d.reload, Token: token, Registry: d.registry,
		Escalate: d.escalate,
		Targets:  d.targets(), Receivers: d.receivers, Silences: d.silences, Tell: d.tellsOf, Log: d.log.WithField("part", "web"), Slog: slog.New(logrusslog.NewHandler(d.log, nil)),
	})
	if err != nil {
		return err
	}
	if err := d.board.Connect(ctx, ofrep.Config{BaseURL: d.web.OwnURL()}); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(d.cfg.Data, "listen"), d.web.Addr()+"\n", 0o644); err != nil {
		return err
	}
	d.log.WithFields(logrus.Fields{"address": d.web.Addr(), "token_file": filepath.Join(d.cfg.Data, "token")}).Info("listening")
	return nil
}

// targets tells the console of the targets of own scraping; nil when the daemon
// doesn't scrape.
func (d *daemon) targets() func() []web.Target {
	if d.cfg.Sources.Scrape == nil {
		return nil
	}
	return func() []web.Target {
		var out []web.Target
		for _, t := range d.source.Targets() {
			out = append(out, web.Target{Address: t.URL, Labels: t.Labels, Up: t.Up, Scraped: t.LastScrape, Error: t.Error})
		}
		return out
	}
}

// run works until ctx ends or a part fails.
func (d *daemon) run(ctx context.Context) error {
	// The loop knows those that it heard of before.
	flips, err := d.board.Flips(ctx)
	if err != nil {
		return err
	}
	for _, f := range flips {
		d.loop.Flipped(d.treatment(f))
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.web.Serve(ctx) })
	g.Go(func() error { return d.source.Run(ctx) })
	g.Go(func() error { return d.journal.Work(ctx, d.handlers(ctx)) })
	g.Go(func() error { return d.board.Run(ctx) })
	g.Go(func() error { return d.loop.Run(ctx) })
	g.Go(func() error { d.heartbeat(ctx); return nil })
	g.Go(func() error { d.auto.Run(ctx); return nil })
	g.Go(func() error { d.weekly(ctx); return nil })
	g.Go(func() error { d.channel.Run(ctx); return nil })
	g.Go(func() error { d.newKeeper().Run(ctx); return nil })
	d.web.SetReady(true)
	context.AfterFunc(ctx, func() { d.web.SetReady(false) })
	return g.Wait()
}

// heartbeat sends the firing alerts again, as Alertmanager wants it.
func (d *daemon) heartbeat(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := d.resend(ctx); err != nil && ctx.Err() == nil {
			d.log.WithError(err).Warn("the firing alerts were not sent again")
		}
	}
}

func (d *daemon) resend(ctx context.Context) error {
	firing, _, err := d.journal.Alerts(ctx, journal.AlertQuery{State: detector.AlertFiring, Page: journal.Page{Limit: 1000}})
	if err != nil || len(firing) == 0 {
		return err
	}
	return d.sender.Load().Resend(ctx, d.tallied(ctx, firing...))
}

// reload reads the configuration again. A wrong one changes nothing. Settings
// that hold from the start on wait for the next, which the log says.
func (d *daemon) reload() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	cfg, err := configs.Load(d.file)
	if err != nil {
		return err
	}
	// What can fail comes first: a Sender without metrics, to try the receivers,
	// and the definitions of flags.
	trial, err := alerts.New(cfg.Alerts, d.log.WithField("part", "alerts"), nil)
	if err != nil {
		return err
	}
	trial.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := d.board.Load(ctx); err != nil {
		return err
	}
	if err := d.source.Reload(cfg.Sources); err != nil {
		return err
	}
	if err := d.reloadAlerts(cfg.Alerts); err != nil {
		return err
	}
	if d.board.SetRules(cfg.Flags.Gates, cfg.Flags.Policy) {
		d.loop.SetFlags(gating(cfg.Flags.Gates))
		d.log.Info("the policy and the gates of flags were reloaded")
	}
	d.cfg.Reports = cfg.Reports
	setLevel(d.log, cfg.Log)
	d.log.Info("the configuration was reloaded")
	if later := unread(cfg, d.cfg); len(later) > 0 {
		d.log.WithField("sections", later).Warn("the configuration has changes that hold from the next start on")
	}
	return nil
}

// reloadAlerts puts a new Sender in the place of the old, unless its receivers
// are the same: what a Sender remembers of deliveries is worth keeping.
func (d *daemon) reloadAlerts(c alerts.Config) error {
	if reflect.DeepEqual(c, d.alerts) {
		return nil
	}
	old := d.sender.Load()
	old.Unregister(d.registry)
	sender, err := alerts.New(c, d.log.WithField("part", "alerts"), d.registry)
	if err != nil {
		return err
	}
	d.sender.Store(sender)
	d.alerts = c
	d.loop.SetReceivers(sender.Receivers())
	old.Close()
	return nil
}

// unread names the sections in which now differs from what the daemon was
// started with, and which only a start reads.
func unread(now, started configs.Config) []string {
	now.Sources.Scrape, started.Sources.Scrape = nil, nil // reloaded
	now.Flags.OnFlip, started.Flags.OnFlip = nil, nil
	now.Flags.Notify, started.Flags.Notify = nil, nil
	now.Flags.Gates, started.Flags.Gates = nil, nil // reloaded
	now.Flags.Policy, started.Flags.Policy = policy.Config{}, policy.Config{}
	var out []string
	for _, s := range []struct {
		name      string
		now, then any
	}{
		{"web", now.Web, started.Web},
		{"journal", now.Journal, started.Journal},
		{"sources", now.Sources, started.Sources},
		{"watch", now.Watch, started.Watch},
		{"upgrades", now.Upgrades, started.Upgrades},
		{"flags", now.Flags, started.Flags},
		{"status", now.Status, started.Status},
		{"log.format", now.Log.Format, started.Log.Format},
	} {
		if !reflect.DeepEqual(s.now, s.then) {
			out = append(out, s.name)
		}
	}
	return out
}

func (d *daemon) close() error {
	var errs []error
	if s := d.sender.Load(); s != nil {
		s.Close()
	}
	if d.ledger != nil {
		d.ledger.Rest()
	}
	if d.source != nil {
		errs = append(errs, d.source.Close())
	}
	if d.journal != nil {
		errs = append(errs, d.journal.Close())
	}
	return errors.Join(errs...)
}

// review writes the review of one upgrade.
func (d *daemon) review(ctx context.Context, upgrade, format string, w http.ResponseWriter) error {
	r, err := reports.Build(ctx, history{d.journal}, upgrade, time.Now().UTC())
	if err != nil {
		return err
	}
	switch format {
	case "html":
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		return r.HTML(w)
	case "md":
		w.Header().Set("Content-Type", "text/markdown; charset=utf-8")
		return r.Markdown(w)
	case "json":
		w.Header().Set("Content-Type", "application/json")
		return r.JSON(w)
	}
	return web.BadRequest(fmt.Sprintf("format %.20q is none of html, md, json", format))
}

// ownToken reads the token, or makes one at the first start. A file that all
// the world may read or write is closed to it; loose says that it was open.
func ownToken(path string) (token string, loose bool, err error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return newToken(path)
	case err != nil:
		return "", false, fmt.Errorf("read the token: %w", err)
	case !info.Mode().IsRegular() || info.Size() > maxToken:
		return "", false, fmt.Errorf("read the token: %s isn't a regular file of at most %d bytes; remove it to have a new one made", path, maxToken)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", false, fmt.Errorf("read the token: %w", err)
	}
	token = strings.TrimSpace(string(b))
	if token == "" {
		return newToken(path)
	}
	if len(token) < minToken || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", false, fmt.Errorf("read the token: %s doesn't hold one word of at least %d plain characters; remove it to have a new one made", path, minToken)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o007 != 0 {
		if err := os.Chmod(path, info.Mode().Perm()&^0o007); err != nil {
			return "", true, fmt.Errorf("close the token to everybody else: %w", err)
		}
		loose = true
	}
	return token, loose, nil
}

// Bounds of a token that somebody else wrote, in bytes.
const (
	minToken = 16
	maxToken = 4096
)

func newToken(path string) (string, bool, error) {
	token := rand.Text()
	return token, false, writeFile(path, token+"\n", 0o600)
}

// writeFile replaces a file as a whole.
func writeFile(path, text string, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
