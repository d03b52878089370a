package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"aftershock/detector"
	"aftershock/detector/words"
	"aftershock/flags"
)

var flagsCommand = command{
	name:    "flags",
	summary: "List, show, set, undo and tune feature flags, and see who did what.",
	usage: "flags list | show FLAG | set FLAG VARIANT --reason TEXT [--value JSON] [--percent P] [--instance A,B] [--region R] [--expires 8h] [--dry-run]\n" +
		"  aftershock flags undo FLAG --reason TEXT | extend FLAG --expires 8h --reason TEXT | acknowledge FLAG --reason TEXT\n" +
		"  aftershock flags approve ID | reject ID | freeze | unfreeze [--reason TEXT]\n" +
		"  aftershock flags history [FLAG] [--since TIME] [--format text|json|csv]\n" +
		"  aftershock flags tune FLAG [--hours N] [--candidate JSON]... [--svg FILE] [--format text|json]",
	example: `aftershock flags set payments-backoff legacy --reason "p99 of /checkout is up" --incident INC-42
aftershock flags tune payments-backoff --hours 24 --svg tuning.svg`,
	define: defineFlags,
}

// flagsArgs are the flags of the flags command.
type flagsArgs struct {
	connect                          func() (*client, error)
	reason, actor, incident, answers *string
	dryRun                           *bool
	format                           *string
	limits                           limitArgs
	since                            *string
	value, svg                       *string
	hours                            *float64
	candidates                       *candidates
}

func defineFlags(f *flag.FlagSet) func(context.Context, shell, []string) (int, error) {
	a := flagsArgs{
		connect:  clientFlags(f),
		reason:   f.String("reason", "", "why, a `text` for the audit (needed to set and undo)"),
		actor:    f.String("actor", whoami(), "who does it, a `name` for the audit"),
		incident: f.String("incident", "", "an incident's `reference`"),
		answers:  f.String("upgrade", "", "the `id` of the upgrade that the toggle answers"),
		dryRun:   f.Bool("dry-run", false, "show what would change, and change nothing"),
		format:   f.String("format", "text", "the output's `form`: text or json; of history also csv"),
		limits:   defineLimits(f),
		since:    f.String("since", "", "history: each line of the audit from that `time` on, RFC 3339 or how long ago (24h)"),
		value:    f.String("value", "", "set: another value for the variant, `JSON`, until the toggle is undone"),
		svg:      f.String("svg", "", "tune: a `file` to draw the chart into"),
		hours:    f.Float64("hours", 24, "tune: how many `hours` of the past are replayed, at most 168"),
	}
	a.candidates = &candidates{}
	f.Var(a.candidates, "candidate", "tune: constants to try as well, a `JSON` object; may be given 8 times")
	return func(ctx context.Context, sh shell, args []string) (int, error) {
		if len(args) == 0 {
			return exitUsage, usagef("say what to do: list, show, set, undo, extend, acknowledge, approve, reject, freeze, unfreeze, history or tune")
		}
		if known := []string{"text", "json", "csv"}; args[0] != "history" {
			if err := oneOf(*a.format, known[:2]...); err != nil {
				return exitUsage, err
			}
		} else if err := oneOf(*a.format, known...); err != nil {
			return exitUsage, err
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
			"extend": {1, a.extend}, "acknowledge": {1, a.acknowledge}, "approve": {1, a.approve}, "reject": {1, a.reject},
			"freeze": {0, a.freeze}, "unfreeze": {0, a.unfreeze},
			"tune": {1, a.tune},
		}
		v, ok := verbs[args[0]]
		if args[0] == "history" && (len(args) == 1 || *a.since != "" || *a.format == "csv") {
			v.args, v.act = len(args)-1, a.audit
			ok = len(args) <= 2
		}
		if !ok || len(args)-1 != v.args {
			return exitUsage, usagef("can't make sense of %q", strings.Join(args, " "))
		}
		return exitOK, v.act(ctx, sh, c, args[1:])
	}
}

func (a flagsArgs) list(ctx context.Context, sh shell, c *client, _ []string) error {
	all, err := list[flags.View](ctx, c, "/api/v1/flags", nil)
	if err != nil {
		return err
	}
	if *a.format == "json" {
		return printJSON(sh.stdout, all)
	}
	if err := a.overview(ctx, sh, c, all); err != nil {
		return err
	}
	rows := [][]string{{"FLAG", "SERVING", "VARIANTS", "GATES", "SAFE", "TOGGLES", "LIVES IN"}}
	for _, v := range all {
		gates, safe := gated(v)
		rows = append(rows, []string{v.Key, v.Serving, strings.Join(v.VariantNames(), ","), gates, safe, strconv.Itoa(v.Toggles), livesIn(v)})
	}
	return table(sh.stdout, rows)
}

// livesIn is where the flag lives.
func livesIn(v flags.View) string {
	switch {
	case v.Backend == nil:
		return "here"
	case v.Problem != "":
		return v.Backend.Name + " (trouble)"
	}
	return v.Backend.Name
}

// gated are the binaries that the flag gates, and its safe variants.
func gated(v flags.View) (binaries, safe string) {
	var names, variants []string
	for _, g := range v.Gates {
		names = append(names, g.Binary)
		if g.Safe != "" && !slices.Contains(variants, g.Safe) {
			variants = append(variants, g.Safe)
		}
	}
	return strings.Join(names, ","), strings.Join(variants, ",")
}

func (a flagsArgs) show(ctx context.Context, sh shell, c *client, args []string) error {
	var v flags.View
	if err := c.call(ctx, http.MethodGet, "/api/v1/flags/"+url.PathEscape(args[0]), nil, &v); err != nil {
		return err
	}
	if *a.format == "json" {
		return printJSON(sh.stdout, v)
	}
	gates, safe := gated(v)
	rows := [][]string{
		{"flag", v.Key},
		{"state", v.State},
		{"serving", v.Serving},
		{"gates", gates},
		{"safe", safe},
		{"toggles", strconv.Itoa(v.Toggles) + " in force"},
		{"policy", "approval " + v.Policy.Approval + ", automation " + string(v.Policy.Automation)},
		{"revision", strconv.FormatInt(v.Revision, 10)},
		{"lives in", livesIn(v)},
	}
	if b := v.Backend; b != nil {
		rows = append(rows, backend(v, *b)...)
	}
	if v.Problem != "" {
		rows = append(rows, []string{"problem", v.Problem})
	}
	for _, in := range v.Standing {
		rows = append(rows, []string{"in force", stands(in)})
	}
	for _, name := range v.VariantNames() {
		rows = append(rows, []string{"variant " + name, string(v.Variants[name])})
	}
	return table(sh.stdout, rows)
}

// backend are the rows of a flag that lives elsewhere.
func backend(v flags.View, b flags.Living) [][]string {
	proof := "not through OpenFeature: no endpoint is configured"
	if b.Verifiable {
		proof = "through OpenFeature"
	}
	to := "some callers: its rules decide"
	if b.Everyone {
		to = "everyone"
	}
	rows := [][]string{{"kind", b.Kind}, {"its revision", b.Revision}, {"verified", proof}, {"can't do", strings.Join(lacks(b), ", ")}}
	if v.Serving != "" {
		rows = append(rows, []string{"serving to", to})
	}
	return rows
}

// lacks names what a backend can't do.
func lacks(b flags.Living) []string {
	var out []string
	for _, a := range []struct {
		name string
		can  bool
	}{
		{"scopes", b.Abilities.Scope},
		{"percentages", b.Abilities.Percent},
		{"values", b.Abilities.Value},
		{"compare-and-swap", b.Abilities.CompareAndSwap},
		{"dry run", b.Abilities.DryRun},
		{"reasons", b.Abilities.Comment},
	} {
		if !a.can {
			out = append(out, a.name)
		}
	}
	return out
}

func (a flagsArgs) set(ctx context.Context, sh shell, c *client, args []string) error {
	if strings.TrimSpace(*a.reason) == "" {
		return usagef("--reason is needed: it stands in the audit")
	}
	body := map[string]any{
		"variant": args[1], "reason": *a.reason, "actor": *a.actor, "incident": *a.incident,
		"upgrade": *a.answers, "dry_run": *a.dryRun,
	}
	if *a.value != "" {
		if !json.Valid([]byte(*a.value)) {
			return usagef("--value isn't JSON")
		}
		body["value"] = json.RawMessage(*a.value)
	}
	if err := a.limits.put(body); err != nil {
		return err
	}
	c.http.Timeout = toggleTimeout
	var t detector.Toggle
	err := c.call(ctx, http.MethodPut, "/api/v1/flags/"+url.PathEscape(args[0]), body, &t)
	if err != nil {
		return err
	}
	return a.toggled(sh, t)
}

func (a flagsArgs) undo(ctx context.Context, sh shell, c *client, args []string) error {
	if strings.TrimSpace(*a.reason) == "" {
		return usagef("--reason is needed: it stands in the audit")
	}
	c.http.Timeout = toggleTimeout
	var t detector.Toggle
	err := c.call(ctx, http.MethodPost, "/api/v1/flags/"+url.PathEscape(args[0])+"/undo",
		map[string]string{"reason": *a.reason, "actor": *a.actor}, &t)
	if err != nil {
		return err
	}
	return a.toggled(sh, t)
}

func (a flagsArgs) toggled(sh shell, t detector.Toggle) error {
	if err := a.tell(sh, t); err != nil || *a.dryRun || t.State == detector.ToggleVerified {
		return err
	}
	if t.State == detector.ToggleWaiting {
		return a.tellWaiting(sh, t)
	}
	return fmt.Errorf("the toggle is %s, not verified; see aftershock flags history %s", words.Name(string(t.State)), words.Shell(t.Flag))
}

func (a flagsArgs) tell(sh shell, t detector.Toggle) error {
	if *a.format == "json" {
		return printJSON(sh.stdout, t)
	}
	flag, before, after := words.Name(t.Flag), words.Name(t.Before), words.Name(t.After)
	if *a.dryRun {
		if _, err := fmt.Fprintf(sh.stdout, "%s would go from %s to %s for %s; nothing was changed.\n", flag, before, after, words.Line(t.Scope.String())); err != nil {
			return err
		}
		return printLines(sh.stdout, t.Evidence)
	}
	_, err := fmt.Fprintf(sh.stdout, "%s: %s -> %s, %s\n%s\n", flag, before, after, words.Name(string(t.State)), words.Line(t.Evidence))
	return err
}

// printLines writes a difference line by line, each cleaned behind its mark and
// indentation.
func printLines(w io.Writer, text string) error {
	for line := range strings.Lines(text) {
		body := strings.TrimLeft(line, " +-")
		if _, err := fmt.Fprintf(w, "%s%s\n", line[:min(len(line)-len(body), 80)], words.Line(body)); err != nil {
			return err
		}
	}
	return nil
}

func (a flagsArgs) history(ctx context.Context, sh shell, c *client, args []string) error {
	all, err := list[detector.Toggle](ctx, c, "/api/v1/flags/"+url.PathEscape(args[0])+"/history", nil)
	if err != nil {
		return err
	}
	if *a.format == "json" {
		return printJSON(sh.stdout, all)
	}
	rows := [][]string{{"AT", "CHANGE", "STATE", "WHO", "WHY", "EVIDENCE"}}
	for _, x := range all {
		rows = append(rows, []string{at(x.At), x.Before + " -> " + x.After, string(x.State), x.Actor, x.Reason, x.Evidence})
	}
	return table(sh.stdout, rows)
}
