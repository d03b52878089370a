package main

import (
	"context"
	"flag"
	"net/url"

	"aftershock/detector"
	"aftershock/detector/words"
)

var alertsCommand = command{
	name:    "alerts",
	summary: "List alerts.",
	usage:   "alerts list [--state inactive|pending|firing|resolved|all] [--format text|json]",
	example: "aftershock alerts list --state firing\naftershock alerts list --format json",
	define: func(f *flag.FlagSet) func(context.Context, shell, []string) (int, error) {
		connect := clientFlags(f)
		state := f.String("state", "", "only alerts of this `state`: inactive, pending, firing, resolved or all; without it those that fire or did")
		format := f.String("format", "text", "the output's `form`: text or json")
		return func(ctx context.Context, sh shell, args []string) (int, error) {
			if len(args) != 1 || args[0] != "list" {
				return exitUsage, usagef("say what to do: list")
			}
			if err := oneOf(*format, "text", "json"); err != nil {
				return exitUsage, err
			}
			q := url.Values{"limit": {"1000"}}
			switch detector.AlertState(*state) {
			case "":
			case detector.AlertInactive, detector.AlertPending, detector.AlertFiring, detector.AlertResolved, "all":
				q.Set("state", *state)
			default:
				return exitUsage, usagef("--state %q is none of inactive, pending, firing, resolved, all", *state)
			}
			c, err := connect()
			if err != nil {
				return exitUsage, err
			}
			all, err := list[detector.Alert](ctx, c, "/api/v1/alerts", q)
			if err != nil {
				return exitUsage, err
			}
			if *format == "json" {
				return exitOK, printJSON(sh.stdout, all)
			}
			rows := [][]string{{"STATE", "SINCE", "UPGRADE", "ALERT"}}
			for _, a := range all {
				rows = append(rows, []string{string(a.State), at(a.StartsAt), a.Upgrade, words.Headline(a)})
			}
			return exitOK, table(sh.stdout, rows)
		}
	},
}
