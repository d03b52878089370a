package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"aftershock/detector"
	"aftershock/detector/words"
)

// standing is what people outside are told of an upgrade, as the API has it.
type standing struct {
	Upgrade string          `json:"upgrade"`
	Title   string          `json:"title"`
	Step    detector.Step   `json:"step,omitempty"`
	Line    string          `json:"line"`
	Posts   []detector.Post `json:"posts"`
	Inside  *struct {
		Step detector.Step `json:"step"`
		Line string        `json:"line"`
	} `json:"inside,omitempty"`
	Drafts    []detector.Post `json:"drafts,omitempty"`
	Discarded []detector.Post `json:"discarded,omitempty"`
}

// status says how an upgrade stands for people outside, what they were told, and what waits
// for somebody on call.
func (a upgradesArgs) status(ctx context.Context, sh shell, c *client, id string) error {
	if id == "" {
		all, err := list[detector.Upgrade](ctx, c, "/api/v1/upgrades", url.Values{"limit": {"1000"}})
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(u detector.Upgrade) bool { return u.ClosedAt.IsZero() })
		if i < 0 {
			return errors.New("no upgrade is open: name one; " + listsUpgrades)
		}
		id = all[i].ID
	}
	var s standing
	if err := c.call(ctx, http.MethodGet, "/api/v1/upgrades/"+url.PathEscape(id)+"/status", nil, &s); err != nil {
		return hint(err, listsUpgrades)
	}
	if *a.format == "json" {
		return printJSON(sh.stdout, s)
	}
	fmt.Fprintf(sh.stdout, "%s: %s\n", words.Line(cmp.Or(s.Title, s.Upgrade)), words.Line(s.Line))
	if s.Inside != nil && s.Inside.Step != s.Step {
		fmt.Fprintf(sh.stdout, "inside: %s\n", words.Line(s.Inside.Line))
	}
	fmt.Fprintln(sh.stdout)
	rows := [][]string{{"SENT", "POST", "BY", "TITLE", "TEXT"}}
	for _, p := range s.Posts {
		rows = append(rows, []string{at(p.SentAt), p.ID, words.Name(p.Actor), p.Title, p.Text})
	}
	for _, p := range s.Drafts {
		rows = append(rows, []string{"draft", p.ID, "", p.Title, p.Text})
	}
	for _, p := range s.Discarded {
		rows = append(rows, []string{"discarded", p.ID, words.Name(p.Actor), p.Title, p.Reason})
	}
	return table(sh.stdout, rows)
}

// post sends or discards a draft, or corrects what was sent.
func (a upgradesArgs) post(ctx context.Context, sh shell, c *client, id, what, post string) error {
	path := "/api/v1/upgrades/" + url.PathEscape(id) + "/status"
	in := map[string]string{"title": *a.title, "text": *a.text, "reason": *a.reason}
	done := map[string]string{"send": "sent", "discard": "discarded", "correct": "corrected"}[what]
	switch what {
	case "send":
		delete(in, "reason")
		in["post"] = post
	case "discard", "correct":
		path += "/" + url.PathEscape(post) + "/" + what
	default:
		return usagef("%q is none of send, discard, correct", what)
	}
	var p detector.Post
	if err := c.call(ctx, http.MethodPost, path, in, &p); err != nil {
		return hint(err, "aftershock upgrades status "+words.Shell(id)+" shows the posts")
	}
	if *a.format == "json" {
		return printJSON(sh.stdout, p)
	}
	_, err := fmt.Fprintf(sh.stdout, "%s is %s: %s\n", p.ID, done, words.Line(p.Title))
	return err
}
