package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"aftershock/configs"
	"aftershock/detector"
	"aftershock/detector/words"
	"aftershock/sources"
)

// openRecorded opens recorded telemetry and says which span of it to read.
func openRecorded(ctx context.Context, sh shell, where, configFile, start, end string) (cfg detector.Config, src *sources.Source, from, to time.Time, err error) {
	at, err := sources.At(where)
	if err != nil {
		return cfg, nil, from, to, err
	}
	if configFile != "" {
		c, err := configs.Load(configFile)
		if err != nil {
			return cfg, nil, from, to, err
		}
		cfg = c.Watch.Config
		if p := c.Sources.Prometheus; p != nil && at.Prometheus != nil {
			settings := *p
			settings.URL = at.Prometheus.URL
			at.Prometheus = &settings
		}
	}
	cfg.SetDefaults()
	log := newLog(sh.stderr, configs.Log{Level: "warning", Format: "text"})
	src, err = sources.Open(ctx, at, "", log.WithFields(logrus.Fields{}), nil)
	if err != nil {
		return cfg, nil, from, to, err
	}
	from, to, err = span(ctx, src, start, end, cfg.Step)
	if err != nil {
		_ = src.Close()
		return cfg, nil, from, to, err
	}
	return cfg, src, from, to, nil
}

// onlyPlanned refuses a record of an upgrade that hasn't begun where something is to be judged by it.
func onlyPlanned(file string, u detector.Upgrade) error {
	return fmt.Errorf("read upgrade record %s: it is only planned: want started_at; where a daemon watched it: aftershock upgrades show %s --format json | jq .upgrade", file, words.Shell(u.ID))
}

// span is what was asked for, or all that the telemetry has.
func span(ctx context.Context, src *sources.Source, start, end string, step time.Duration) (from, to time.Time, err error) {
	for _, p := range []struct {
		name, text string
		into       *time.Time
	}{{"--start", start, &from}, {"--end", end, &to}} {
		if p.text == "" {
			continue
		}
		if *p.into, err = time.Parse(time.RFC3339, p.text); err != nil {
			return from, to, usagef("%s %q is no RFC 3339 time like 2026-03-06T09:00:00Z", p.name, p.text)
		}
	}
	if from.IsZero() || to.IsZero() {
		first, last, err := src.Range(ctx)
		if err != nil {
			return from, to, fmt.Errorf("tell the span of the telemetry: %w; give --start and --end", err)
		}
		if from.IsZero() {
			from = first.Truncate(step).Add(-step)
		}
		if to.IsZero() {
			to = last.Truncate(step)
			if to.Before(last) {
				to = to.Add(step)
			}
		}
	}
	if !from.Before(to) {
		return from, to, usagef("the span from %s to %s is empty", from.Format(time.RFC3339), to.Format(time.RFC3339))
	}
	return from, to, nil
}
