package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
	"aftershock/upgrades"
	"aftershock/watch"

	"github.com/sirupsen/logrus"
)

var backtestCommand = command{
	name:    "backtest",
	summary: "Replay recorded telemetry and print what would have been said, in order of time.",
	usage: "backtest --telemetry PATH-OR-URL --upgrade FILE [--config FILE] [--every 5m] [--format jsonl|text]\n\n" +
		"Exit status: 0 nothing regressed, 1 something did, 2 wrong usage or unreadable input, 3 undecided.",
	example: "aftershock backtest --telemetry telemetry.om.zst --upgrade upgrade.json --format text",
	define:  func(f *flag.FlagSet) func(context.Context, shell, []string) (int, error) { return replay(f, true) },
}

var assessCommand = command{
	name:    "assess",
	summary: "Print the verdicts at the end of recorded telemetry, once.",
	usage:   "assess --telemetry PATH-OR-URL --upgrade FILE [--config FILE] [--format json|text]",
	example: "aftershock assess --telemetry http://127.0.0.1:9090 --start 2026-03-01T00:00:00Z --end 2026-03-06T18:00:00Z --upgrade upgrade.json",
	define:  func(f *flag.FlagSet) func(context.Context, shell, []string) (int, error) { return replay(f, false) },
}

// replay is backtest (events as they come) and assess (the summary alone).
func replay(f *flag.FlagSet, events bool) func(context.Context, shell, []string) (int, error) {
	telemetry := f.String("telemetry", "", "an OpenMetrics `path` (plain, gzip, zstd), a TSDB directory, or the URL of a Prometheus API")
	record := f.String("upgrade", "", "the upgrade record, a JSON or YAML `file`")
	configFile := f.String("config", "", "a configuration `file`, for its watch section and its source's settings")
	every := f.Duration("every", 5*time.Minute, "how often to look, a `duration`")
	start := f.String("start", "", "first instant to read, RFC 3339 `time` (needed for a URL)")
	end := f.String("end", "", "last instant to read, RFC 3339 `time` (needed for a URL)")
	format := "json"
	if events {
		format = "jsonl"
	}
	out := f.String("format", format, "the output's `form`: "+format+" or text")
	return func(ctx context.Context, sh shell, args []string) (int, error) {
		if len(args) > 0 {
			return exitUsage, usagef("unexpected argument %q", args[0])
		}
		if *telemetry == "" || *record == "" {
			return exitUsage, usagef("--telemetry and --upgrade are needed")
		}
		if *out != format && *out != "text" {
			return exitUsage, usagef("--format %q is neither %s nor text", *out, format)
		}
		u, err := upgrades.ReadRecord(*record)
		if err != nil {
			return exitUsage, err
		}
		if !u.Begun() {
			return exitUsage, onlyPlanned(*record, u)
		}
		cfg, src, from, to, err := openRecorded(ctx, sh, *telemetry, *configFile, *start, *end)
		if err != nil {
			return exitUsage, err
		}
		defer src.Close()
		if *every < cfg.Step {
			return exitUsage, usagef("--every %s is shorter than a step (%s)", *every, cfg.Step)
		}
		p := printer{w: sh.stdout, text: *out == "text", quiet: !events}
		judge, err := judgeAll(ctx, cfg, src, from, to, u, *every, &p)
		if err != nil {
			return exitUsage, err
		}
		summary := judge.Summary(u.ID)
		if err := p.summary(summary); err != nil {
			return exitUsage, err
		}
		return status(summary), nil
	}
}

// frames is a source of telemetry.
type frames interface {
	Frames(ctx context.Context, start, end time.Time, step time.Duration, yield func(detector.Frame) error) error
}

// judgeAll lets the very judgement of the daemon see the frames in order of
// time, and looks every so often.
func judgeAll(ctx context.Context, cfg detector.Config, src frames, from, to time.Time, u detector.Upgrade, every time.Duration, p *printer) (*detector.Judge, error) {
	judge := detector.NewJudge(cfg)
	judge.Employ(watch.Processors{})
	// What the record leaves out, as when each instance switched, is found in
	// the telemetry, as the daemon finds it.
	found := upgrades.Config{}
	found.SetDefaults()
	ledger, err := upgrades.NewLedger(found, quietLog())
	if err != nil {
		return nil, err
	}
	judge.Watch(ledger.Record(u))
	var next time.Time
	err = src.Frames(ctx, from, to, cfg.Step, func(f detector.Frame) error {
		for _, known := range ledger.Observe(f) {
			if known.ID == u.ID {
				judge.Watch(known)
			}
		}
		judge.Observe(f)
		if f.Time.Before(next) {
			return nil
		}
		next = f.Time.Truncate(every).Add(every)
		return p.events(judge.Look())
	})
	if err != nil {
		return nil, err
	}
	return judge, p.events(judge.Look())
}

// status is the exit status for a summary.
func status(summary detector.Event) int {
	worst := exitOK
	for _, v := range summary.Verdicts {
		switch v.State {
		case detector.Regressed:
			return exitRegression
		case detector.Undecided:
			worst = exitUndecided
		}
	}
	if len(summary.Verdicts) == 0 {
		return exitUndecided
	}
	return worst
}

// printer writes events as JSON lines or as text.
type printer struct {
	w           io.Writer
	text, quiet bool
	said        bool // that something was printed
}

func (p *printer) events(list []detector.Event) error {
	if p.quiet {
		return nil
	}
	for _, e := range list {
		if err := p.event(e); err != nil {
			return err
		}
	}
	return nil
}

func (p *printer) event(e detector.Event) error {
	if !p.text {
		return json.NewEncoder(p.w).Encode(e)
	}
	event := e.Event
	if event == detector.EventRecovered && e.Direction == detector.Better {
		event = "lost" // what had improved is back at its old level
	}
	line := fmt.Sprintf("%s  %-9s  %s", e.Time.Format("2006-01-02 15:04"), event, e.Indicator.Name())
	switch e.Event {
	case detector.EventShift:
		line += "  " + e.Direction
		if e.Effect != nil {
			line += "  " + words.Change(*e.Effect)
		}
		if len(e.Causes) > 0 {
			line += fmt.Sprintf("  %s (%.0f%%)", words.Suspect(e.Causes[0], nil), e.Causes[0].Probability*100)
		}
	case detector.EventVerdict:
		line += "  " + string(e.Verdict)
	}
	p.said = true
	_, err := fmt.Fprintln(p.w, line)
	return err
}

func (p *printer) summary(e detector.Event) error {
	if !p.text {
		return json.NewEncoder(p.w).Encode(e)
	}
	if p.said {
		if _, err := fmt.Fprintln(p.w); err != nil {
			return err
		}
	}
	return printVerdicts(p.w, e.Verdicts, nil)
}

// quietLog drops what is said: a backtest prints verdicts alone.
func quietLog() *logrus.Logger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return log
}
