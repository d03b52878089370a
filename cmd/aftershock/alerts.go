package main

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"aftershock/alerts"
	"aftershock/configs"
	"aftershock/detector"
	"aftershock/detector/words"
)

var alertsCommand = command{
	name:    "alerts",
	summary: "List alerts, and test their receivers.",
	usage:   "alerts list [--state firing|resolved] [--format text|json] | alerts test RECEIVER --config FILE [--resolve]",
	example: "aftershock alerts list --state firing\naftershock alerts list --format json\n" +
		"aftershock alerts test oncall --config aftershock.yml\naftershock alerts test oncall --config aftershock.yml --resolve",
	define: func(f *flag.FlagSet) func(context.Context, shell, []string) (int, error) {
		l := alertList{connect: clientFlags(f)}
		f.StringVar(&l.state, "state", "", "only alerts of this `state`: firing or resolved")
		f.StringVar(&l.format, "format", "text", "the output's `form`: text or json")
		file := f.String("config", "", "the configuration `file` that has the receiver, read here and not by a daemon")
		resolve := f.Bool("resolve", false, "send the end of the last sample instead of another")
		return func(ctx context.Context, sh shell, args []string) (int, error) {
			switch {
			case len(args) == 1 && args[0] == "list":
				if name := stray(f, "server", "state", "format"); name != "" {
					return exitUsage, usagef("list takes no --%s", name)
				}
				return l.run(ctx, sh)
			case len(args) == 2 && args[0] == "test":
				if name := stray(f, "config", "resolve"); name != "" {
					return exitUsage, usagef("test takes no --%s", name)
				}
				if *file == "" {
					return exitUsage, usagef("test needs --config, the file that has the receiver")
				}
				return testReceiver(ctx, sh, args[1], *file, *resolve)
			}
			return exitUsage, usagef("say what to do: list, or test RECEIVER")
		}
	},
}

// stray names a flag that was given though it means nothing here, "" if none was.
func stray(f *flag.FlagSet, known ...string) (name string) {
	f.Visit(func(given *flag.Flag) {
		if !slices.Contains(known, given.Name) {
			name = given.Name
		}
	})
	return name
}

// testReceiver sends a sample to a receiver of the file.
func testReceiver(ctx context.Context, sh shell, name, file string, resolve bool) (int, error) {
	cfg, err := configs.Load(file)
	if err != nil {
		return exitUsage, err
	}
	log := logrus.New()
	log.SetOutput(sh.stderr)
	sender, err := alerts.New(cfg.Alerts, log, nil)
	if err != nil {
		return exitUsage, err
	}
	defer sender.Close()
	if !slices.Contains(sender.Receivers(), name) {
		return exitUsage, fmt.Errorf("test a receiver: %s has none with the name %q, but %s", file, name, strings.Join(sender.Receivers(), ", "))
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := sender.Test(ctx, name, time.Now(), resolve); err != nil {
		return exitUsage, err
	}
	what := "a sample; --resolve sends its end"
	if resolve {
		what = "the end of the sample"
	}
	_, err = fmt.Fprintf(sh.stdout, "%s took %s.\n", name, what)
	return exitOK, err
}

// alertList is the list of the daemon's alerts.
type alertList struct {
	connect       func() (*client, error)
	state, format string
}

func (l alertList) run(ctx context.Context, sh shell) (int, error) {
	if err := oneOf(l.format, "text", "json"); err != nil {
		return exitUsage, err
	}
	q := url.Values{"limit": {"1000"}}
	switch l.state {
	case "":
	case string(detector.AlertFiring), string(detector.AlertResolved):
		q.Set("state", l.state)
	default:
		return exitUsage, usagef("--state %q is neither firing nor resolved", l.state)
	}
	c, err := l.connect()
	if err != nil {
		return exitUsage, err
	}
	all, err := list[detector.Alert](ctx, c, "/api/v1/alerts", q)
	if err != nil {
		return exitUsage, err
	}
	if l.format == "json" {
		return exitOK, printJSON(sh.stdout, all)
	}
	rows := [][]string{{"STATE", "SINCE", "UPGRADE", "ALERT"}}
	for _, a := range all {
		rows = append(rows, []string{string(a.State), at(a.StartsAt), a.Upgrade, words.Headline(a)})
	}
	return exitOK, table(sh.stdout, rows)
}
