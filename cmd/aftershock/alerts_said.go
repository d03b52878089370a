package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"aftershock/alerts/notify"
	"aftershock/detector/words"
	"aftershock/web"
)

// alertSaid is what is asked and said of one alert.
type alertSaid struct {
	list          *alertList
	reason, actor string
}

func (s alertSaid) run(ctx context.Context, sh shell, f *flag.FlagSet, args []string) (int, error) {
	takes, known := map[string]string{"show": "KEY", "ack": "KEY", "mark": "KEY false|true"}[args[0]], []string{"server", "format", "reason", "actor"}
	if args[0] == "show" {
		known = known[:2]
	}
	if name := stray(f, known...); name != "" {
		return exitUsage, usagef("%s takes no --%s", args[0], name)
	}
	if len(args) != 1+len(strings.Fields(takes)) {
		return exitUsage, usagef("it goes %s %s", args[0], takes)
	}
	if err := oneOf(s.list.format, "text", "json"); err != nil {
		return exitUsage, err
	}
	body := map[string]string{"reason": s.reason, "actor": s.actor}
	switch {
	case args[0] == "mark" && args[2] != "false" && args[2] != "true":
		return exitUsage, usagef("%q is neither false, for a false alarm, nor true", args[2])
	case args[0] == "mark":
		body["mark"] = args[2]
	case args[0] == "ack" && strings.TrimSpace(s.reason) == "":
		return exitUsage, usagef("ack needs --reason: say what you are doing about it")
	}
	c, err := s.list.connect()
	if err != nil {
		return exitUsage, err
	}
	a, err := findAlert(ctx, c, args[1])
	if err != nil {
		return exitUsage, err
	}
	if args[0] == "show" {
		return exitOK, s.show(sh, a)
	}
	return exitOK, s.say(ctx, sh, c, args[0], a.Key, body)
}

// alertPath is the alert's path in the API.
func alertPath(key string) string { return "/api/v1/alerts/" + url.PathEscape(key) }

// findAlert finds the alert of a key, an ID, or a beginning of one of them that no
// other alert has.
func findAlert(ctx context.Context, c *client, ref string) (web.AlertDetail, error) {
	var a web.AlertDetail
	if ref == "" {
		return a, usagef("name an alert by its key, its ID or a beginning of either")
	}
	err := c.call(ctx, http.MethodGet, alertPath(ref), nil, &a)
	var r answered
	switch {
	case err == nil && a.Key == ref:
		return a, nil
	case err != nil && (!errors.As(err, &r) || r.status != http.StatusNotFound):
		return a, err
	}
	all, err := list[web.Alert](ctx, c, "/api/v1/alerts", url.Values{"limit": {"1000"}, "state": {"all"}})
	if err != nil {
		return a, err
	}
	var found []string
	for _, a := range all {
		if strings.HasPrefix(a.Key, ref) || strings.HasPrefix(notify.StoryID(a.Key), ref) {
			found = append(found, a.Key)
		}
	}
	switch len(found) {
	case 0:
		return a, fmt.Errorf("there is no alert %q; see aftershock alerts list --state all", words.Name(ref))
	case 1:
		return a, c.call(ctx, http.MethodGet, alertPath(found[0]), nil, &a)
	}
	return a, fmt.Errorf("%q begins %d alerts, among them %s and %s: give more of it", words.Name(ref), len(found), words.Name(found[0]), words.Name(found[1]))
}

func (s alertSaid) say(ctx context.Context, sh shell, c *client, verb, key string, body map[string]string) error {
	path, what := "/mark", "Marked "+words.Name(key)+" as "+body["mark"]
	if verb == "ack" {
		path, what = "/acknowledge", "Acknowledged "+words.Name(key)+": it isn't sent again until it is over, unless another binary is blamed or another service is hit"
	}
	b, err := c.raw(ctx, http.MethodPost, alertPath(key)+path, body)
	if err != nil {
		return err
	}
	if s.list.format == "json" {
		_, err = sh.stdout.Write(b)
		return err
	}
	_, err = fmt.Fprintf(sh.stdout, "%s.\n", what)
	return err
}

func (s alertSaid) show(sh shell, a web.AlertDetail) error {
	if s.list.format == "json" {
		return printJSON(sh.stdout, a)
	}
	rows := [][]string{{"alert", a.Key}, {"id", notify.StoryID(a.Key)}, {"state", string(a.State)}, {"since", at(a.StartsAt)}}
	if !a.EndsAt.IsZero() {
		rows = append(rows, []string{"until", at(a.EndsAt)})
	}
	for _, k := range a.Acknowledgements {
		rows = append(rows, []string{"acknowledged", at(k.At) + " by " + k.Actor + ": " + k.Reason})
	}
	for _, q := range a.Silences {
		rows = append(rows, []string{"silenced", "until " + at(q.EndsAt) + " by " + q.By + ": " + q.Comment})
	}
	for _, m := range a.Marks {
		text := at(m.At) + " as " + marked(&m) + " by " + m.Actor
		if m.Reason != "" {
			text += ": " + m.Reason
		}
		rows = append(rows, []string{"marked", text})
	}
	if err := table(sh.stdout, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(sh.stdout, "\n%s\n", cmp.Or(a.Text, words.Headline(a.Alert.Alert)))
	return err
}
