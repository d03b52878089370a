package main

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"aftershock/alerts/notify"
	"aftershock/detector"
	"aftershock/detector/words"
	"aftershock/web"
)

var alertsCommand = command{
	name:    "alerts",
	summary: "List, show, acknowledge and mark alerts, and test their receivers.",
	usage: "alerts list [--state inactive|pending|firing|resolved|all] | show KEY | ack KEY --reason TEXT |\n" +
		"    mark KEY false|true [--reason TEXT] [--format text|json]\n" +
		"  aftershock alerts test RECEIVER --config FILE [--resolve]\n\n" +
		"KEY is an alert's key or ID as list prints it, or a beginning of either that no other alert has.",
	example: "aftershock alerts list --state firing\naftershock alerts list --format json\naftershock alerts show 8b0c11d2\n" +
		"aftershock alerts ack 8b0c11d2 --reason \"rolling back\"\naftershock alerts mark 8b0c11d2 false --reason \"a game day\"\n" +
		"aftershock alerts test oncall --config aftershock.yml",
	define: func(f *flag.FlagSet) func(context.Context, shell, []string) (int, error) {
		l := alertList{connect: clientFlags(f)}
		f.StringVar(&l.state, "state", "", "list: only alerts of this `state`: inactive, pending, firing, resolved or all; without it those that fire or did")
		f.StringVar(&l.format, "format", "text", "the output's `form`: text or json")
		s := alertSaid{list: &l}
		f.StringVar(&s.reason, "reason", "", "ack, mark: `why`")
		f.StringVar(&s.actor, "actor", whoami(), "ack, mark: `who` says so, where the token has no name")
		file := f.String("config", "", "test: the configuration `file` that has the receiver, read here and not by a daemon")
		resolve := f.Bool("resolve", false, "test: send the end of the last sample instead of another")
		return func(ctx context.Context, sh shell, args []string) (int, error) {
			switch {
			case len(args) == 1 && args[0] == "list":
				if name := stray(f, "server", "state", "format"); name != "" {
					return exitUsage, usagef("list takes no --%s", name)
				}
				return l.run(ctx, sh)
			case len(args) > 0 && slices.Contains([]string{"show", "ack", "mark"}, args[0]):
				return s.run(ctx, sh, f, args)
			case len(args) == 2 && args[0] == "test":
				if name := stray(f, "config", "resolve"); name != "" {
					return exitUsage, usagef("test takes no --%s", name)
				}
				if *file == "" {
					return exitUsage, usagef("test needs --config, the file that has the receiver")
				}
				return testReceiver(ctx, sh, args[1], *file, *resolve)
			}
			return exitUsage, usagef("say what to do: list, show KEY, ack KEY, mark KEY false|true or test RECEIVER")
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
	switch detector.AlertState(l.state) {
	case "":
	case detector.AlertInactive, detector.AlertPending, detector.AlertFiring, detector.AlertResolved, "all":
		q.Set("state", l.state)
	default:
		return exitUsage, usagef("--state %q is none of inactive, pending, firing, resolved, all", l.state)
	}
	c, err := l.connect()
	if err != nil {
		return exitUsage, err
	}
	all, err := list[web.Alert](ctx, c, "/api/v1/alerts", q)
	if err != nil {
		return exitUsage, err
	}
	if l.format == "json" {
		return exitOK, printJSON(sh.stdout, all)
	}
	var tally detector.Tally
	if err := c.call(ctx, "GET", "/api/v1/alerts/tally", nil, &tally); err != nil {
		return exitUsage, err
	}
	rows := [][]string{{"STATE", "SINCE", "ID", "QUIET BY", "MARKED", "ALERT"}}
	for _, a := range all {
		rows = append(rows, []string{string(a.State), at(a.StartsAt), shortID(a.Key), quietBy(a), marked(a.Mark), words.Headline(a.Alert)})
	}
	if err := table(sh.stdout, rows); err != nil {
		return exitUsage, err
	}
	if text := words.Tally(tally); text != "" {
		_, err = fmt.Fprintf(sh.stdout, "\n%s\n", text)
	}
	return exitOK, err
}

// shortID is a name of the alert that is short enough to type: the beginning of what
// Alertmanager has as its label story.
func shortID(key string) string { return notify.StoryID(key)[:8] }

// quietBy says who keeps the alert from being sent again.
func quietBy(a web.Alert) string {
	var by []string
	if a.Covered() {
		by = append(by, "ack "+words.Name(a.Acknowledgement.Actor))
	}
	for _, s := range a.Silences {
		by = append(by, "silence "+s.By)
	}
	return strings.Join(by, ", ")
}

func marked(m *detector.Mark) string {
	switch {
	case m == nil:
		return ""
	case m.False:
		return "false"
	}
	return "true"
}
