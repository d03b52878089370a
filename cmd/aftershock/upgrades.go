package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
	"aftershock/upgrades"
)

var upgradesCommand = command{
	name:    "upgrades",
	summary: "Record, list, show and close upgrades.",
	usage:   "upgrades record FILE | list | show ID | close ID",
	example: "aftershock upgrades record upgrade.json\naftershock upgrades show dten-4.2.0",
	define:  defineUpgrades,
}

type upgradesArgs struct {
	connect func() (*client, error)
	format  *string
}

func defineUpgrades(f *flag.FlagSet) func(context.Context, shell, []string) (int, error) {
	a := upgradesArgs{
		connect: clientFlags(f),
		format:  f.String("format", "text", "the output's `form`: text or json"),
	}
	return func(ctx context.Context, sh shell, args []string) (int, error) {
		if *a.format != "text" && *a.format != "json" {
			return exitUsage, usagef("--format %q is neither text nor json", *a.format)
		}
		c, err := a.connect()
		if err != nil {
			return exitUsage, err
		}
		switch {
		case len(args) == 1 && args[0] == "list":
			return exitOK, a.list(ctx, sh, c)
		case len(args) == 2 && args[0] == "record":
			return exitOK, a.record(ctx, sh, c, args[1])
		case len(args) == 2 && args[0] == "show":
			return exitOK, a.show(ctx, sh, c, args[1])
		case len(args) == 2 && args[0] == "close":
			if err := c.call(ctx, http.MethodPost, "/api/v1/upgrades/"+url.PathEscape(args[1])+"/close", nil, nil); err != nil {
				return exitUsage, err
			}
			_, err := fmt.Fprintf(sh.stdout, "The watch over %s ends with the next step.\n", args[1])
			return exitOK, err
		}
		return exitUsage, usagef("say what to do: record FILE, list, show ID or close ID")
	}
}

// record checks the record here, so that mistakes are told with their line,
// and sends it as it is.
func (a upgradesArgs) record(ctx context.Context, sh shell, c *client, path string) error {
	var data []byte
	var err error
	if path == "-" {
		data, err = io.ReadAll(io.LimitReader(sh.stdin, 1<<20))
	} else {
		if _, err := upgrades.ReadRecord(path); err != nil {
			return err
		}
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return fmt.Errorf("read the record: %w", err)
	}
	var u detector.Upgrade
	if err := c.call(ctx, http.MethodPost, "/api/v1/upgrades", data, &u); err != nil {
		return err
	}
	if *a.format == "json" {
		return printJSON(sh.stdout, u)
	}
	_, err = fmt.Fprintf(sh.stdout, "Recorded %s; it is watched from the next step on.\n", u.ID)
	return err
}

func (a upgradesArgs) list(ctx context.Context, sh shell, c *client) error {
	var all items[detector.Upgrade]
	if err := c.call(ctx, http.MethodGet, "/api/v1/upgrades", nil, &all); err != nil {
		return err
	}
	if *a.format == "json" {
		return printJSON(sh.stdout, all.Items)
	}
	t := tabwriter.NewWriter(sh.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "UPGRADE\tSTARTED\tFINISHED\tSTATE\tBINARIES")
	for _, u := range all.Items {
		var bins []string
		for _, b := range u.Binaries {
			bins = append(bins, words.Versions(b))
		}
		finished, state := "", "watched"
		if !u.FinishedAt.IsZero() {
			finished = u.FinishedAt.UTC().Format(time.RFC3339)
		}
		if !u.ClosedAt.IsZero() {
			state = "closed"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", u.ID, u.StartedAt.UTC().Format(time.RFC3339), finished, state, strings.Join(bins, ", "))
	}
	return t.Flush()
}

func (a upgradesArgs) show(ctx context.Context, sh shell, c *client, id string) error {
	var u detector.Upgrade
	path := "/api/v1/upgrades/" + url.PathEscape(id)
	if err := c.call(ctx, http.MethodGet, path, nil, &u); err != nil {
		return err
	}
	var all items[detector.Verdict]
	if err := c.call(ctx, http.MethodGet, path+"/verdicts", nil, &all); err != nil {
		return err
	}
	if *a.format == "json" {
		return printJSON(sh.stdout, map[string]any{"upgrade": u, "verdicts": all.Items})
	}
	fmt.Fprintf(sh.stdout, "%s, from %s\n", u.ID, u.StartedAt.UTC().Format(time.RFC3339))
	for _, b := range u.Binaries {
		fmt.Fprintf(sh.stdout, "  %s on %d instances\n", words.Versions(b), len(b.Instances))
	}
	return printVerdicts(sh.stdout, all.Items, u.Binaries)
}

// printVerdicts writes a table of verdicts.
func printVerdicts(w io.Writer, all []detector.Verdict, binaries []detector.Binary) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\nINDICATOR\tVERDICT\tEFFECT\tCAUSE\n")
	for _, v := range all {
		effect, cause := "", v.Missing
		if v.Effect != nil {
			effect = words.Ratio(*v.Effect)
		}
		if len(v.Causes) > 0 {
			cause = fmt.Sprintf("%s (%s)", words.Suspect(v.Causes[0], binaries), words.Probability(v.Causes[0].Probability))
		}
		state := string(v.State)
		if !v.Recovered.IsZero() {
			state += ", recovered"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", words.Indicator(v.Indicator), state, effect, cause)
	}
	return t.Flush()
}
