package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
	"aftershock/flags"
)

// limitArgs are the flags about whom a toggle is for and for how long.
type limitArgs struct {
	set                                                     *flag.FlagSet
	percent, instance, region, expires, onExpiry, emergency *string
}

func defineLimits(f *flag.FlagSet) limitArgs {
	return limitArgs{
		set:       f,
		percent:   f.String("percent", "", "set: only for a `percentage` of the callers, by their targeting key"),
		instance:  f.String("instance", "", "set: only for callers on these instances, `names` separated by commas"),
		region:    f.String("region", "", "set: only for callers in a `region`"),
		expires:   f.String("expires", "", "set, extend: remind a person after this `duration` (8h), 0 for never; left out, as the policy has it"),
		onExpiry:  f.String("on-expiry", "", "set: `what` happens then: remind, or undo to take the toggle back as well"),
		emergency: f.String("emergency", "", "set: `why` it can't wait for the approval that the policy asks for; people are alerted"),
	}
}

// empty names a flag that was given with nothing in it, "" if none was: an unset
// variable of a script must not widen the toggle to everyone.
func (l limitArgs) empty() (name string) {
	l.set.Visit(func(f *flag.Flag) {
		if slices.Contains([]string{"percent", "instance", "region", "expires", "on-expiry", "emergency"}, f.Name) && strings.TrimSpace(f.Value.String()) == "" {
			name = f.Name
		}
	})
	return name
}

// put adds what was given to the body of a toggle.
func (l limitArgs) put(body map[string]any) error {
	if name := l.empty(); name != "" {
		return usagef("--%s was given with nothing in it", name)
	}
	if *l.percent != "" {
		p, err := strconv.ParseFloat(strings.TrimSuffix(*l.percent, "%"), 64)
		if err != nil || !(p > 0 && p < 100) {
			return usagef("--percent %q is no number between 0 and 100; leave it out for everyone", *l.percent)
		}
		body["percent"] = p
	}
	if *l.instance != "" {
		body["instances"] = strings.Split(*l.instance, ",")
	}
	if *l.region != "" {
		body["region"] = *l.region
	}
	if *l.onExpiry != "" {
		body["on_expiry"] = *l.onExpiry
	}
	if *l.emergency != "" {
		body["emergency"] = *l.emergency
	}
	if *l.expires == "" {
		return nil
	}
	s, err := l.seconds()
	body["expires_in"] = s
	return err
}

// seconds are those of --expires.
func (l limitArgs) seconds() (float64, error) {
	d, err := duration(*l.expires)
	if err != nil || d < 0 {
		return 0, usagef("--expires %q is no duration, like 8h or 30m, or 0", *l.expires)
	}
	return d.Seconds(), nil
}

// stands tells of a toggle in force in one line.
func stands(s flags.Standing) string {
	text := words.Name(s.Variant) + " for " + s.Scope + ", " + s.Toggle
	switch {
	case s.Overdue:
		text += ", EXPIRED at " + at(s.Expires)
	case !s.Expires.IsZero():
		text += ", expires at " + at(s.Expires)
	}
	if s.OnExpiry == detector.ExpiryUndo {
		text += " and is undone then"
	}
	return text
}

// overview tells first what wants a person: a frozen automation, plans that wait,
// toggles that expired.
func (a flagsArgs) overview(ctx context.Context, sh shell, c *client, all []flags.View) error {
	var now struct {
		Freeze detector.Freeze `json:"freeze"`
	}
	if err := c.call(ctx, http.MethodGet, "/api/v1/automation", nil, &now); err != nil {
		return err
	}
	if f := now.Freeze; f.Frozen {
		fmt.Fprintf(sh.stdout, "The automation is frozen by %s since %s: %s\n", words.Name(f.Actor), at(f.At), words.Line(f.Reason))
	}
	waiting, err := list[detector.Toggle](ctx, c, "/api/v1/toggles/waiting", nil)
	if err != nil {
		return err
	}
	for _, t := range waiting {
		fmt.Fprintf(sh.stdout, "%s -> %s for %s: %s\n  by %s: %s\n  aftershock flags approve %s\n", words.Name(t.Flag), words.Name(t.After),
			words.Line(t.Scope.String()), words.Stand(t), words.Name(t.Actor), words.Line(t.Reason), words.Shell(t.ID))
	}
	for _, v := range all {
		for _, s := range v.Standing {
			if s.Overdue {
				fmt.Fprintf(sh.stdout, "Expired: %s: %s\n  it wants aftershock flags extend, acknowledge or undo\n", words.Name(v.Key), words.Line(stands(s)))
			}
		}
	}
	return nil
}

func (a flagsArgs) tellWaiting(sh shell, t detector.Toggle) error {
	if *a.format == "json" {
		return nil
	}
	people := "another person's approval"
	if n := t.Needs - len(t.Approvals); n > 1 {
		people = fmt.Sprintf("the approval of %d others", n)
	}
	_, err := fmt.Fprintf(sh.stdout, "It waits for %s until %s. Somebody else runs:\n  aftershock flags approve %s\n", people, at(t.ApproveBy), words.Shell(t.ID))
	return err
}

// tellUnverified says how far a toggle is proven that nothing but its backend can show.
func (a flagsArgs) tellUnverified(sh shell, why string) error {
	if *a.format == "json" {
		return nil
	}
	_, err := fmt.Fprintf(sh.stdout, "It is in force, as the backend says, which was read back. It isn't verified through OpenFeature: %s.\n", words.Line(why))
	return err
}

// say posts a decision and tells of the toggle that it is about.
func (a flagsArgs) say(ctx context.Context, c *client, path string, more map[string]any) (t detector.Toggle, err error) {
	body := map[string]any{"reason": *a.reason, "actor": *a.actor}
	for name, v := range more {
		body[name] = v
	}
	c.http.Timeout = toggleTimeout
	err = c.call(ctx, http.MethodPost, path, body, &t)
	return t, err
}

func (a flagsArgs) extend(ctx context.Context, sh shell, c *client, args []string) error {
	if strings.TrimSpace(*a.reason) == "" || *a.limits.expires == "" {
		return usagef("--expires and --reason are needed")
	}
	s, err := a.limits.seconds()
	if err != nil {
		return err
	}
	t, err := a.say(ctx, c, "/api/v1/flags/"+url.PathEscape(args[0])+"/extend", map[string]any{"expires_in": s})
	if err != nil {
		return err
	}
	return a.tell(sh, t)
}

func (a flagsArgs) acknowledge(ctx context.Context, sh shell, c *client, args []string) error {
	if strings.TrimSpace(*a.reason) == "" {
		return usagef("--reason is needed: it stands in the audit")
	}
	t, err := a.say(ctx, c, "/api/v1/flags/"+url.PathEscape(args[0])+"/acknowledge", nil)
	if err != nil {
		return err
	}
	return a.tell(sh, t)
}

func (a flagsArgs) approve(ctx context.Context, sh shell, c *client, args []string) error {
	t, err := a.say(ctx, c, "/api/v1/toggles/"+url.PathEscape(args[0])+"/approve", nil)
	if err != nil {
		return err
	}
	return a.toggled(sh, t)
}

func (a flagsArgs) reject(ctx context.Context, sh shell, c *client, args []string) error {
	t, err := a.say(ctx, c, "/api/v1/toggles/"+url.PathEscape(args[0])+"/reject", nil)
	if err != nil {
		return err
	}
	return a.tell(sh, t)
}

func (a flagsArgs) freeze(ctx context.Context, sh shell, c *client, _ []string) error {
	return a.putFreeze(ctx, sh, c, "freeze")
}

func (a flagsArgs) unfreeze(ctx context.Context, sh shell, c *client, _ []string) error {
	return a.putFreeze(ctx, sh, c, "unfreeze")
}

func (a flagsArgs) putFreeze(ctx context.Context, sh shell, c *client, verb string) error {
	var f detector.Freeze
	body := map[string]string{"reason": *a.reason, "actor": *a.actor}
	if err := c.call(ctx, http.MethodPost, "/api/v1/automation/"+verb, body, &f); err != nil {
		return err
	}
	if *a.format == "json" {
		return printJSON(sh.stdout, f)
	}
	text := "The automation goes on as the policy has it."
	if f.Frozen {
		text = "The automation is frozen, over restarts, until aftershock flags unfreeze."
	}
	_, err := fmt.Fprintln(sh.stdout, text)
	return err
}

// audit prints every line of the audit, oldest first.
func (a flagsArgs) audit(ctx context.Context, sh shell, c *client, args []string) error {
	q := url.Values{"limit": {"1000"}}
	if len(args) > 0 {
		q.Set("flag", args[0])
	}
	if *a.since != "" {
		since, err := instant(*a.since)
		if err != nil {
			return err
		}
		q.Set("since", since.UTC().Format(time.RFC3339Nano))
	}
	all, err := every[detector.Toggle](ctx, c, "/api/v1/audit", q)
	if err != nil {
		return err
	}
	switch *a.format {
	case "json":
		return printJSON(sh.stdout, all)
	case "csv":
		return auditCSV(sh, all)
	}
	rows := [][]string{{"AT", "FLAG", "CHANGE", "FOR", "STATE", "WHO", "WHY", "EVIDENCE"}}
	for _, x := range all {
		rows = append(rows, []string{
			at(x.Updated), x.Flag, x.Before + " -> " + x.After, x.Scope.String(), string(x.State), by(x), x.Reason, x.Evidence,
		})
	}
	return table(sh.stdout, rows)
}

// by is who brought a toggle to its state.
func by(t detector.Toggle) string {
	if t.By != "" {
		return t.By
	}
	return t.Actor
}

// instant reads a time, or how long ago it was.
func instant(text string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	d, err := duration(text)
	if err != nil || d < 0 {
		return time.Time{}, usagef("--since %q is neither an RFC 3339 time nor a duration", text)
	}
	return time.Now().Add(-d), nil
}

// every asks for all pages of a list, without a bound: an export that lacks
// something is worse than a long one.
func every[T any](ctx context.Context, c *client, path string, q url.Values) ([]T, error) {
	all := []T{}
	for {
		var page items[T]
		if err := c.call(ctx, http.MethodGet, path+"?"+q.Encode(), nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if page.Next == "" {
			return all, nil
		}
		q.Set("after", page.Next)
	}
}

// auditCSV writes the audit as a table for spreadsheets (RFC 4180).
func auditCSV(sh shell, all []detector.Toggle) error {
	w := csv.NewWriter(sh.stdout)
	_ = w.Write([]string{
		"id", "flag", "before", "after", "scope", "state", "updated", "by", "actor", "at", "reason", "incident", "upgrade", "revision",
		"expires_at", "approvals", "emergency", "decision", "value", "evidence",
	})
	for _, t := range all {
		approvals, _ := json.Marshal(t.Approvals)
		if len(t.Approvals) == 0 {
			approvals = nil
		}
		row := []string{
			t.ID, t.Flag, t.Before, t.After, t.Scope.String(), string(t.State), t.Updated.UTC().Format(time.RFC3339Nano), by(t), t.Actor,
			t.At.UTC().Format(time.RFC3339Nano), t.Reason, t.Incident, t.Upgrade, t.Revision, at(t.Expires), string(approvals), t.Emergency,
			t.Decision, string(t.Value), t.Evidence,
		}
		for n, cell := range row {
			row[n] = plainCell(cell)
		}
		_ = w.Write(row)
	}
	w.Flush()
	return w.Error()
}

// maxCell bounds one cell, in characters.
const maxCell = 64 << 10

// plainCell keeps a spreadsheet from taking somebody's text for a formula.
func plainCell(s string) string {
	s = words.Clean(s, maxCell)
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
