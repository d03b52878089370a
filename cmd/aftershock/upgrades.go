package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"aftershock/detector"
	"aftershock/detector/words"
	"aftershock/upgrades"
)

var upgradesCommand = command{
	name:    "upgrades",
	summary: "Record, list, show and close upgrades, say what people outside are told, and how to go back and clean up.",
	usage:   "upgrades record FILE | list | show ID | status [ID] | close ID | plan ID\n  aftershock upgrades status ID send|discard|correct POST [--title TEXT] [--text TEXT] [--reason TEXT]\n  aftershock upgrades cleanup ID [add KIND NAME | done|kept|open|assign CHORE] [--note TEXT] [--owner NAME] [--due DATE] [--probe TEXT] [--format text|json]\n\nFILE is - for standard input. Without ID, status is of the last upgrade that isn't closed.\nKIND is " + strings.Join(detector.ChoreKinds, ", ") + ". A banner or file by its path, a webhook by its URL and a silence by its ID are\nprobed by themselves; --probe says it of others.",
	example: "aftershock upgrades record upgrade.json\naftershock upgrades list\naftershock upgrades show dten-4.2.0\naftershock upgrades status\naftershock upgrades plan dten-4.2.0\naftershock upgrades cleanup dten-4.2.0 add banner /srv/banner --owner ops --due 2026-03-13\naftershock upgrades cleanup dten-4.2.0 done 1f0c3a77 --note \"taken down\"\naftershock upgrades close dten-4.2.0",
	define:  defineUpgrades,
}

type upgradesArgs struct {
	connect func() (*client, error)
	format  *string
	chore   choreArgs
	// Of a post of the status channel.
	title, text, reason *string
}

func defineUpgrades(f *flag.FlagSet) func(context.Context, shell, []string) (int, error) {
	a := upgradesArgs{
		connect: clientFlags(f),
		format:  f.String("format", "text", "the output's `form`: text or json"),
		chore: choreArgs{
			note:  f.String("note", "", "what there is to say of a chore, as a `text`"),
			owner: f.String("owner", "", "the `name` of whoever sees to a chore"),
			due:   f.String("due", "", "the `date` by which a chore is to be done, as 2026-03-13"),
			probe: f.String("probe", "", "what tells by itself whether an added chore is done, as a `text`: flag KEY, silence ID, url URL, file PATH, cron TEXT or instance BINARY"),
		},
		title:  f.String("title", "", "another `title` of a post that is sent or corrected"),
		text:   f.String("text", "", "the `words` in which a post is sent or corrected"),
		reason: f.String("reason", "", "why a draft is discarded, or a post corrected, as a `text`"),
	}
	return func(ctx context.Context, sh shell, args []string) (int, error) {
		if err := oneOf(*a.format, "text", "json"); err != nil {
			return exitUsage, err
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
		case len(args) == 1 && args[0] == "status":
			return exitOK, a.status(ctx, sh, c, "")
		case len(args) == 2 && args[0] == "status":
			return exitOK, a.status(ctx, sh, c, args[1])
		case len(args) == 4 && args[0] == "status":
			return exitOK, a.post(ctx, sh, c, args[1], args[2], args[3])
		case len(args) == 2 && args[0] == "close":
			return exitOK, a.close(ctx, sh, c, args[1])
		case len(args) == 2 && args[0] == "plan":
			return exitOK, a.plan(ctx, sh, c, args[1])
		case len(args) == 2 && args[0] == "cleanup":
			return exitOK, a.cleanup(ctx, sh, c, args[1])
		case len(args) == 4 && args[0] == "cleanup" && slices.Contains([]string{"done", "kept", "open", "assign"}, args[2]):
			return exitOK, a.change(ctx, sh, c, args[1], args[2], args[3])
		case len(args) == 5 && args[0] == "cleanup" && args[2] == "add":
			return exitOK, a.add(ctx, sh, c, args[1], args[3], args[4])
		}
		if len(args) > 0 && args[0] == "cleanup" {
			return exitUsage, usagef("say cleanup ID to see the chores, cleanup ID add KIND NAME, or cleanup ID done|kept|open|assign CHORE")
		}
		return exitUsage, usagef("say what to do: record FILE, list, show ID, status [ID], close ID, plan ID or cleanup ID")
	}
}

func (a upgradesArgs) close(ctx context.Context, sh shell, c *client, id string) error {
	var u detector.Upgrade
	if err := c.call(ctx, http.MethodPost, "/api/v1/upgrades/"+url.PathEscape(id)+"/close", nil, &u); err != nil {
		return hint(err, listsUpgrades)
	}
	if *a.format == "json" {
		return printJSON(sh.stdout, u)
	}
	_, err := fmt.Fprintf(sh.stdout, "The watch over %s ends with the next step.\n", words.Upgrade(u))
	return err
}

// record checks the record here, so that mistakes are told with their line,
// and sends it as it is.
func (a upgradesArgs) record(ctx context.Context, sh shell, c *client, path string) error {
	var data []byte
	var err error
	if path == "-" {
		data, err = io.ReadAll(io.LimitReader(sh.stdin, upgrades.MaxRecordSize+1))
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
	if !u.Begun() {
		_, err = fmt.Fprintf(sh.stdout, "Recorded %s, planned for %s; it is watched once it begins: record it again then with started_at, or let its build information tell. It is listed from the next step on\n", words.Name(u.ID), at(u.PlannedStart))
		return err
	}
	_, err = fmt.Fprintf(sh.stdout, "Recorded %s; it is watched from the next step on, as one with what was found of it: aftershock upgrades list\n", words.Name(u.ID))
	return err
}

// listsUpgrades is what helps whoever named an upgrade that isn't there.
const listsUpgrades = "aftershock upgrades list shows those that there are"

// mostListed is how many binaries of an upgrade its row in the list names.
const mostListed = 8

func (a upgradesArgs) list(ctx context.Context, sh shell, c *client) error {
	all, err := list[detector.Upgrade](ctx, c, "/api/v1/upgrades", url.Values{"limit": {"1000"}})
	if err != nil {
		return err
	}
	if *a.format == "json" {
		return printJSON(sh.stdout, all)
	}
	rows := [][]string{{"UPGRADE", "STARTED", "FINISHED", "STATE", "BINARIES"}}
	for _, u := range all {
		var bins []string
		for _, b := range words.Binaries(u)[:min(len(u.Binaries), mostListed)] {
			bins = append(bins, words.Versions(b))
		}
		if more := len(u.Binaries) - len(bins); more > 0 {
			bins = append(bins, fmt.Sprintf("%d more", more))
		}
		state := "watched"
		switch {
		case !u.ClosedAt.IsZero():
			state = "closed"
		case !u.Begun():
			state = "planned"
		case !upgrades.Watchable(u):
			state = "unmeasured"
		}
		rows = append(rows, []string{u.ID, at(u.Begins()), at(u.FinishedAt), state, strings.Join(bins, ", ")})
	}
	return table(sh.stdout, rows)
}

func (a upgradesArgs) show(ctx context.Context, sh shell, c *client, id string) error {
	var u detector.Upgrade
	path := "/api/v1/upgrades/" + url.PathEscape(id)
	if err := c.call(ctx, http.MethodGet, path, nil, &u); err != nil {
		return hint(err, listsUpgrades)
	}
	all, err := list[detector.Verdict](ctx, c, path+"/verdicts", nil)
	if err != nil {
		return err
	}
	if *a.format == "json" {
		return printJSON(sh.stdout, map[string]any{"upgrade": u, "verdicts": all})
	}
	from := "from"
	if !u.Begun() {
		from = "planned for"
	}
	fmt.Fprintf(sh.stdout, "%s, %s %s\n", words.Upgrade(u), from, at(u.Begins()))
	for _, b := range u.Binaries {
		fmt.Fprintf(sh.stdout, "  %s\n", outOn(b))
		if b.Inside != nil {
			fmt.Fprintf(sh.stdout, "    inside: %s\n", words.Line(b.Inside.Summary))
		}
	}
	fmt.Fprintln(sh.stdout)
	return printVerdicts(sh.stdout, all, u.Binaries)
}

// outOn says in words how far a binary has come.
func outOn(b detector.Binary) string {
	text := fmt.Sprintf("%s on %d instances", words.Versions(b), len(b.Instances))
	if len(b.Instances) == 1 {
		text = words.Versions(b) + " on 1 instance"
	}
	if f := b.Fleet; f != nil && f.Old > 0 {
		text += fmt.Sprintf(", %d still on the old build", f.Old)
		if len(f.OldNames) > 0 {
			text += " (" + words.Line(strings.Join(f.OldNames[:min(3, len(f.OldNames))], ", ")) + ")"
		}
	}
	return text
}

// printVerdicts writes a table of verdicts.
func printVerdicts(w io.Writer, all []detector.Verdict, binaries []detector.Binary) error {
	rows := [][]string{{"INDICATOR", "VERDICT", "EFFECT", "CAUSE"}}
	for _, v := range all {
		effect, cause := "", v.Missing
		if v.Effect != nil {
			effect = words.Ratio(*v.Effect)
		}
		if len(v.Causes) > 0 {
			cause = fmt.Sprintf("%s (%s)", words.Suspect(v.Causes[0], binaries), words.Probability(v.Causes[0].Probability))
			if v.State == detector.Undecided && v.Missing != "" {
				cause += "; undecided: " + v.Missing
			}
		}
		state := string(v.State)
		if !v.Recovered.IsZero() {
			state += ", " + words.Verdict(v)
		}
		rows = append(rows, []string{words.Indicator(v.Indicator), state, effect, cause})
	}
	return table(w, rows)
}
