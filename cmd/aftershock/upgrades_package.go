package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
	"aftershock/upgrades/cleanup"
)

// packaged is what is known of an upgrade's package, as the API has it.
type packaged struct {
	Upgrade  string                 `json:"upgrade"`
	Findings []detector.Finding     `json:"findings"`
	True     []string               `json:"came_true"`
	Rollback cleanup.Rollback       `json:"rollback"`
	Chores   []detector.LedgerEntry `json:"chores"`
	Count    detector.ChoreCount    `json:"chore_count"`
}

func packagePath(upgrade string) string { return "/upgrades/" + url.PathEscape(upgrade) + "/package" }

func (a upgradesArgs) packaged(ctx context.Context, c *client, id string) (p packaged, err error) {
	err = c.call(ctx, http.MethodGet, "/api/v1"+packagePath(id), nil, &p)
	return p, hint(err, listsUpgrades)
}

// plan prints how an upgrade is taken back.
func (a upgradesArgs) plan(ctx context.Context, sh shell, c *client, id string) error {
	p, err := a.packaged(ctx, c, id)
	if err != nil {
		return err
	}
	if *a.format == "json" {
		return printJSON(sh.stdout, p.Rollback)
	}
	return writePlan(sh.stdout, p.Rollback)
}

func writePlan(w io.Writer, r cleanup.Rollback) error {
	fmt.Fprintf(w, "How %s is taken back\n", words.Name(r.Upgrade))
	for _, n := range r.NoReturn {
		fmt.Fprintf(w, "\nNO RETURN after %s (%s): %s\n", words.Line(n.Step), words.Line(n.Place.String()), words.Line(n.Lost))
	}
	for _, part := range []struct {
		title string
		steps []detector.Reversion
	}{{"Configuration, which loses nothing:", r.Configuration}, {"Data:", r.Data}} {
		if len(part.steps) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s\n", part.title)
		for n, s := range part.steps {
			fmt.Fprintf(w, "%3d. %s\n", n+1, words.Line(s.Step))
			if s.How != "" {
				fmt.Fprintf(w, "     %s\n", words.Line(s.How))
			}
			if s.Lost != "" {
				fmt.Fprintf(w, "     lost: %s\n", words.Line(s.Lost))
			}
		}
	}
	if len(r.Open) > 0 {
		fmt.Fprintln(w)
	}
	for _, text := range r.Open {
		if _, err := fmt.Fprintf(w, "Not known: %s\n", words.Line(text)); err != nil {
			return err
		}
	}
	return nil
}

// cleanup prints the ledger of an upgrade.
func (a upgradesArgs) cleanup(ctx context.Context, sh shell, c *client, id string) error {
	p, err := a.packaged(ctx, c, id)
	if err != nil {
		return err
	}
	if *a.format == "json" {
		return printJSON(sh.stdout, p.Chores)
	}
	fmt.Fprintf(sh.stdout, "%s: %d open (%d overdue), %d done, %d kept\n", words.Name(id), p.Count.Open, p.Count.Overdue, p.Count.Done, p.Count.Kept)
	if len(p.Chores) == 0 {
		return nil
	}
	fmt.Fprintln(sh.stdout)
	rows := [][]string{{"CHORE", "STATE", "DUE", "OWNER", "KIND", "NAME", "WHAT", "PROBE"}}
	for _, e := range p.Chores {
		state := e.State
		if e.Overdue(time.Now()) {
			state = "overdue"
		}
		rows = append(rows, []string{e.ID, state, at(e.Due), e.Owner, e.Kind, e.Name, e.What, e.Found})
	}
	return table(sh.stdout, rows)
}

// choreArgs are the flags of what changes the ledger.
type choreArgs struct{ note, owner, due, probe *string }

// change says how a chore stands.
func (a upgradesArgs) change(ctx context.Context, sh shell, c *client, id, state, chore string) error {
	due, err := a.chore.dueAt()
	if err != nil {
		return err
	}
	in := cleanup.Change{State: state, Owner: *a.chore.owner, Due: due, Note: *a.chore.note}
	if state == "assign" {
		in.State = ""
	}
	return a.tell(ctx, sh, c, "/api/v1/upgrades/"+url.PathEscape(id)+"/chores/"+url.PathEscape(chore), in)
}

// add puts a chore into the ledger.
func (a upgradesArgs) add(ctx context.Context, sh shell, c *client, id, kind, name string) error {
	due, err := a.chore.dueAt()
	if err != nil {
		return err
	}
	return a.tell(ctx, sh, c, "/api/v1/upgrades/"+url.PathEscape(id)+"/chores", detector.Chore{
		Kind: kind, Name: name, What: *a.chore.note, Owner: *a.chore.owner, Due: due, Probe: *a.chore.probe,
	})
}

func (a upgradesArgs) tell(ctx context.Context, sh shell, c *client, path string, in any) error {
	var e detector.LedgerEntry
	if err := c.call(ctx, http.MethodPost, path, in, &e); err != nil {
		return hint(err, "aftershock upgrades cleanup ID shows the chores")
	}
	if *a.format == "json" {
		return printJSON(sh.stdout, e)
	}
	_, err := fmt.Fprintf(sh.stdout, "%s is %s: %s %s\n", e.ID, e.State, e.Kind, words.Line(e.Name))
	return err
}

// dueAt is the date that --due gives: the day's end in UTC.
func (a choreArgs) dueAt() (time.Time, error) {
	if *a.due == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, *a.due)
	if err != nil {
		return t, usagef("--due %q isn't a date such as 2026-03-13", *a.due)
	}
	return t.Add(24*time.Hour - time.Second), nil
}
