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
	"aftershock/flags"
)

var flagsCommand = command{
	name:    "flags",
	summary: "List, show, set and undo feature flags, and see who did what.",
	usage:   "flags list | show FLAG | set FLAG VARIANT --reason TEXT [--dry-run] | undo FLAG --reason TEXT | history FLAG",
	example: `aftershock flags set payments-backoff legacy --reason "p99 of /checkout is up" --incident INC-42`,
	define:  defineFlags,
}

// flagsArgs are the flags of the flags command.
type flagsArgs struct {
	connect                          func() (*client, error)
	reason, actor, incident, answers *string
	dryRun                           *bool
	format                           *string
}

func defineFlags(f *flag.FlagSet) func(context.Context, shell, []string) (int, error) {
	a := flagsArgs{
		connect:  clientFlags(f),
		reason:   f.String("reason", "", "why, a `text` for the audit (needed to set and undo)"),
		actor:    f.String("actor", whoami(), "who does it, a `name` for the audit"),
		incident: f.String("incident", "", "an incident's `reference`"),
		answers:  f.String("upgrade", "", "the `id` of the upgrade that the toggle answers"),
		dryRun:   f.Bool("dry-run", false, "show what would change, and change nothing"),
		format:   f.String("format", "text", "the output's `form`: text or json"),
	}
	return func(ctx context.Context, sh shell, args []string) (int, error) {
		if *a.format != "text" && *a.format != "json" {
			return exitUsage, usagef("--format %q is neither text nor json", *a.format)
		}
		if len(args) == 0 {
			return exitUsage, usagef("say what to do: list, show, set, undo or history")
		}
		c, err := a.connect()
		if err != nil {
			return exitUsage, err
		}
		verbs := map[string]struct {
			args int
			act  func(context.Context, shell, *client, []string) error
		}{
			"list": {0, a.list}, "show": {1, a.show}, "set": {2, a.set}, "undo": {1, a.undo}, "history": {1, a.history},
		}
		v, ok := verbs[args[0]]
		if !ok || len(args)-1 != v.args {
			return exitUsage, usagef("can't make sense of %q", args)
		}
		return exitOK, v.act(ctx, sh, c, args[1:])
	}
}

func (a flagsArgs) list(ctx context.Context, sh shell, c *client, _ []string) error {
	var all items[flags.View]
	if err := c.call(ctx, http.MethodGet, "/api/v1/flags", nil, &all); err != nil {
		return err
	}
	if *a.format == "json" {
		return printJSON(sh.stdout, all.Items)
	}
	t := tabwriter.NewWriter(sh.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FLAG\tSERVING\tVARIANTS\tGATES\tTOGGLES IN FORCE")
	for _, v := range all.Items {
		gates := ""
		for i, g := range v.Gates {
			if i > 0 {
				gates += ", "
			}
			gates += g.Binary
		}
		fmt.Fprintf(t, "%s\t%s\t%v\t%s\t%d\n", v.Key, v.Serving, v.VariantNames(), gates, v.Toggles)
	}
	return t.Flush()
}

func (a flagsArgs) show(ctx context.Context, sh shell, c *client, args []string) error {
	var v flags.View
	if err := c.call(ctx, http.MethodGet, "/api/v1/flags/"+url.PathEscape(args[0]), nil, &v); err != nil {
		return err
	}
	return printJSON(sh.stdout, v)
}

func (a flagsArgs) set(ctx context.Context, sh shell, c *client, args []string) error {
	if *a.reason == "" {
		return usagef("--reason is needed: it stands in the audit")
	}
	var t detector.Toggle
	err := c.call(ctx, http.MethodPut, "/api/v1/flags/"+url.PathEscape(args[0]), map[string]any{
		"variant": args[1], "reason": *a.reason, "actor": *a.actor, "incident": *a.incident,
		"upgrade": *a.answers, "dry_run": *a.dryRun,
	}, &t)
	if err != nil {
		return err
	}
	return a.toggled(sh, t)
}

func (a flagsArgs) undo(ctx context.Context, sh shell, c *client, args []string) error {
	if *a.reason == "" {
		return usagef("--reason is needed: it stands in the audit")
	}
	var t detector.Toggle
	err := c.call(ctx, http.MethodPost, "/api/v1/flags/"+url.PathEscape(args[0])+"/undo",
		map[string]string{"reason": *a.reason, "actor": *a.actor}, &t)
	if err != nil {
		return err
	}
	return a.toggled(sh, t)
}

func (a flagsArgs) toggled(sh shell, t detector.Toggle) error {
	if *a.format == "json" {
		return printJSON(sh.stdout, t)
	}
	if *a.dryRun {
		_, err := fmt.Fprintf(sh.stdout, "%s would go from %s to %s; nothing was changed.\n%s\n", t.Flag, t.Before, t.After, t.Evidence)
		return err
	}
	if _, err := fmt.Fprintf(sh.stdout, "%s: %s -> %s, %s\n%s\n", t.Flag, t.Before, t.After, t.State, t.Evidence); err != nil {
		return err
	}
	if t.State != detector.ToggleVerified {
		return fmt.Errorf("the toggle was applied but not verified; see aftershock flags history %s", t.Flag)
	}
	return nil
}

func (a flagsArgs) history(ctx context.Context, sh shell, c *client, args []string) error {
	var all items[detector.Toggle]
	if err := c.call(ctx, http.MethodGet, "/api/v1/flags/"+url.PathEscape(args[0])+"/history", nil, &all); err != nil {
		return err
	}
	if *a.format == "json" {
		return printJSON(sh.stdout, all.Items)
	}
	t := tabwriter.NewWriter(sh.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "AT\tCHANGE\tSTATE\tWHO\tWHY\tEVIDENCE")
	for _, x := range all.Items {
		fmt.Fprintf(t, "%s\t%s -> %s\t%s\t%s\t%s\t%s\n", x.At.UTC().Format(time.RFC3339), x.Before, x.After, x.State, x.Actor, x.Reason, x.Evidence)
	}
	return t.Flush()
}
