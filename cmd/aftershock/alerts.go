package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
)

var alertsCommand = command{
	name:    "alerts",
	summary: "List alerts.",
	usage:   "alerts list [--state firing|resolved] [--format text|json]",
	example: "aftershock alerts list --state firing",
	define: func(f *flag.FlagSet) func(context.Context, shell, []string) (int, error) {
		connect := clientFlags(f)
		state := f.String("state", "", "only alerts of this `state`: firing or resolved")
		format := f.String("format", "text", "the output's `form`: text or json")
		return func(ctx context.Context, sh shell, args []string) (int, error) {
			if len(args) != 1 || args[0] != "list" {
				return exitUsage, usagef("say what to do: list")
			}
			c, err := connect()
			if err != nil {
				return exitUsage, err
			}
			var all items[detector.Alert]
			if err := c.call(ctx, http.MethodGet, "/api/v1/alerts?state="+url.QueryEscape(*state), nil, &all); err != nil {
				return exitUsage, err
			}
			if *format == "json" {
				return exitOK, printJSON(sh.stdout, all.Items)
			}
			t := tabwriter.NewWriter(sh.stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(t, "STATE\tSINCE\tALERT")
			for _, a := range all.Items {
				fmt.Fprintf(t, "%s\t%s\t%s\n", a.State, a.StartsAt.UTC().Format(time.RFC3339), words.Headline(a))
			}
			return exitOK, t.Flush()
		}
	},
}
