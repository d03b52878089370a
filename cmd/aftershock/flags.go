package main

import (
	"cmp"
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
	summary: "List, show, plan, set, undo and tune feature flags, and see who did what.",
	usage: "flags list\n" +
		"  aftershock flags show FLAG\n" +
		"  aftershock flags plan FLAG VARIANT [as set, without a reason]\n" +
		"  aftershock flags set FLAG VARIANT --reason TEXT [--value JSON] [--accept-tail RATIO] [--percent P] [--instance A,B] [--region R]\n" +
		"      [--expires 8h] [--on-expiry remind|undo] [--emergency TEXT] [--incident REF] [--upgrade ID] [--dry-run]\n" +
		"  aftershock flags undo FLAG --reason TEXT [--toggle ID]\n" +
		"  aftershock flags extend FLAG --expires 8h --reason TEXT\n" +
		"  aftershock flags acknowledge FLAG --reason TEXT\n" +
		"  aftershock flags approve|reject ID [--reason TEXT]\n" +
		"  aftershock flags freeze|unfreeze [--reason TEXT]\n" +
		"  aftershock flags history [FLAG] [--since TIME] [--format text|json|csv]\n" +
		"  aftershock flags tune FLAG [--hours N] [--candidate JSON]... [--svg FILE]",
	example: `aftershock flags list
aftershock flags show payments-backoff
aftershock flags plan payments-backoff legacy
aftershock flags set payments-backoff legacy --reason "p99 of /checkout is up" --incident INC-42 --dry-run
aftershock flags set payments-backoff legacy --reason "p99 of /checkout is up" --percent 25 --expires 8h
aftershock flags history payments-backoff
aftershock flags undo payments-backoff --reason "4.2.1 is out"
aftershock flags extend payments-backoff --expires 8h --reason "4.2.1 isn't out yet"
aftershock flags acknowledge payments-backoff --reason "known: INC-42"
aftershock flags approve 20261125T205923.411-jlu5r7al
aftershock flags freeze --reason "INC-42"
aftershock flags history --since 24h --format csv
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
	value, svg, toggle               *string
	acceptTail                       *float64
	hours                            *float64
	candidates                       *candidates
}

func defineFlags(f *flag.FlagSet) func(context.Context, shell, []string) (int, error) {
	a := flagsArgs{
		connect:    clientFlags(f),
		reason:     f.String("reason", "", "why, a `text` for the audit (needed to set, undo, extend and acknowledge)"),
		actor:      f.String("actor", whoami(), "who does it, a `name` for the audit"),
		incident:   f.String("incident", "", "set: an incident's `reference`"),
		answers:    f.String("upgrade", "", "set: the `id` of the upgrade that the toggle answers"),
		dryRun:     f.Bool("dry-run", false, "set: show what would change, and change nothing"),
		format:     f.String("format", "text", "the output's `form`: text or json; of history also csv"),
		limits:     defineLimits(f),
		since:      f.String("since", "", "history: each line of the audit from that `time` on, RFC 3339 or how long ago (24h)"),
		value:      f.String("value", "", "set: another value for the variant, `JSON`, until the toggle is undone"),
		toggle:     f.String("toggle", "", "undo: the `id` of the toggle that is meant; refused where it isn't the last in force"),
		acceptTail: f.Float64("accept-tail", 0, "set: take up to this `ratio` of requests in the tail, over 1, as the price: no alert is made of it"),
		svg:        f.String("svg", "", "tune: a `file` to draw the chart into"),
		hours:      f.Float64("hours", 24, "tune: how many `hours` of the past are replayed, at most 168"),
	}
	a.candidates = &candidates{}
	f.Var(a.candidates, "candidate", "tune: constants to try as well, a `JSON` object; may be given 8 times")
	return func(ctx context.Context, sh shell, args []string) (int, error) {
		if len(args) == 0 {
			return exitUsage, usagef("say what to do: list, show, plan, set, undo, extend, acknowledge, approve, reject, freeze, unfreeze, history or tune")
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
		v, ok := a.verbs()[args[0]]
		if !ok {
			return exitUsage, usagef("can't make sense of %q", strings.Join(args, " "))
		}
		// An undo must not be done where a dry run or a part of the callers was meant.
		if name := stray(f, append(strings.Fields(v.takes), "server", "actor", "format")...); name != "" {
			return exitUsage, usagef("%s takes no --%s", args[0], name)
		}
		if args[0] == "history" && len(args) <= 2 && (len(args) == 1 || *a.since != "" || *a.format == "csv") {
			return exitOK, a.audit(ctx, sh, c, args[1:])
		}
		if words := strings.Fields(v.args); len(args)-1 != len(words) {
			return exitUsage, usagef("can't make sense of %q: it goes %s", strings.Join(args, " "), strings.TrimSpace(args[0]+" "+v.args))
		}
		return exitOK, v.act(ctx, sh, c, args[1:])
	}
}

// flagsVerb is one thing that the flags command does.
type flagsVerb struct {
	// args are the arguments in words, takes the flags besides those of all.
	args, takes string
	act         func(context.Context, shell, *client, []string) error
}

func (a flagsArgs) verbs() map[string]flagsVerb {
	return map[string]flagsVerb{
		"list":        {"", "", a.list},
		"show":        {"FLAG", "", a.show},
		"plan":        {"FLAG VARIANT", "reason upgrade value accept-tail percent instance region expires on-expiry", a.plan},
		"set":         {"FLAG VARIANT", "reason incident upgrade dry-run value accept-tail percent instance region expires on-expiry emergency", a.set},
		"undo":        {"FLAG", "reason toggle", a.undo},
		"extend":      {"FLAG", "reason expires", a.extend},
		"acknowledge": {"FLAG", "reason", a.acknowledge},
		"approve":     {"ID", "reason", a.approve},
		"reject":      {"ID", "reason", a.reject},
		"freeze":      {"", "reason", a.freeze},
		"unfreeze":    {"", "reason", a.unfreeze},
		"history":     {"FLAG", "since", a.history},
		"tune":        {"FLAG", "hours candidate svg", a.tune},
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
		rows = append(rows, []string{v.Key, v.Serving, strings.Join(v.VariantNames(), ","), gates, safe, strconv.Itoa(len(v.InForce())), livesIn(v)})
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
		{"gates", cmp.Or(gates, "-")},
		{"safe", cmp.Or(safe, "-")},
		{"toggles", strconv.Itoa(len(v.InForce())) + " in force"},
		{"policy", "approval " + v.Policy.Approval + ", automation " + string(v.Policy.Automation)},
		{"lives in", livesIn(v)},
	}
	if b := v.Backend; b != nil {
		rows = append(rows, backend(v, *b)...)
	} else {
		rows = append(rows, []string{"revision", strconv.FormatInt(v.Revision, 10)})
	}
	if v.Problem != "" {
		rows = append(rows, []string{"problem", v.Problem})
	}
	for _, in := range v.InForce() {
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
	rows := [][]string{{"kind", b.Kind}, {"revision", b.Revision}, {"verified", proof}, {"can't do", strings.Join(lacks(b), ", ")}}
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
		{"dry run there", b.Abilities.DryRun},
		{"reason there", b.Abilities.Comment},
	} {
		if !a.can {
			out = append(out, a.name)
		}
	}
	return out
}

// plan shows what set would do, with what may be lost, and changes nothing.
func (a flagsArgs) plan(ctx context.Context, sh shell, c *client, args []string) error {
	if strings.TrimSpace(*a.reason) == "" {
		*a.reason = "plan"
	}
	*a.dryRun = true
	return a.set(ctx, sh, c, args)
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
	if *a.acceptTail != 0 {
		body["accepts"] = *a.acceptTail
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
		map[string]string{"reason": *a.reason, "actor": *a.actor, "toggle": *a.toggle}, &t)
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
	if why, ok := flags.Unverifiable(t); ok {
		return a.tellUnverified(sh, why)
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
	_, err := fmt.Fprintf(sh.stdout, "%s: %s -> %s, %s\n%s\n", flag, before, after, words.Stand(t), words.Line(t.Evidence))
	for n := 0; err == nil && n < len(t.MayLose) && t.State.TookEffect(); n++ {
		_, err = fmt.Fprintf(sh.stdout, "May be lost with it: %s\n", words.Gain(t.MayLose[n]))
	}
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
	rows := [][]string{{"AT", "CHANGE", "FOR", "STATE", "WHO", "WHY", "EVIDENCE"}}
	for _, x := range all {
		rows = append(rows, []string{at(x.At), x.Before + " -> " + x.After, x.Scope.String(), words.Stand(x), x.Actor, x.Reason, x.Evidence})
	}
	return table(sh.stdout, rows)
}
