package scripts

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"aftershock/detector"

	"mvdan.cc/sh/v3/syntax"
)

// runsTold is how many of the next runs are told.
const runsTold = 5

// entry is a command that runs by itself at some times.
type entry struct {
	at       detector.Place
	schedule string
	command  string
	unit     string
	zone     *time.Location // of its own; nil for the host's
	cal      calendar
	probe    string
}

// schedules reads a unit or crontab.
func (c *checker) schedules(ctx context.Context, t text) {
	switch t.kind {
	case kindCrontab, kindCronD:
		c.crontab(ctx, t)
	case kindUnit:
		u := parseUnit(t)
		switch path.Ext(t.name) {
		case ".timer":
			c.timer(ctx, t, u)
		case ".service":
			for _, x := range u {
				if strings.HasPrefix(x.key, "Exec") {
					c.execute(ctx, x)
				}
			}
		}
	}
}

// setting is a line of a unit.
type setting struct {
	at                  detector.Place
	section, key, value string
}

// parseUnit reads a unit as systemd.syntax(7) has it: sections, keys, values that go on after a backslash.
func parseUnit(t text) []setting {
	var all []setting
	section := ""
	for i := 0; i < len(t.lines); i++ {
		first := i
		l := strings.TrimSpace(strings.TrimSuffix(t.lines[i], "\r"))
		if l == "" || l[0] == '#' || l[0] == ';' {
			continue
		}
		for strings.HasSuffix(l, `\`) && i+1 < len(t.lines) {
			i++
			if next := strings.TrimSpace(t.lines[i]); next == "" || next[0] != '#' && next[0] != ';' {
				l = strings.TrimSuffix(l, `\`) + " " + next
			}
		}
		if l[0] == '[' {
			section = strings.Trim(l, "[]")
			continue
		}
		if k, v, ok := strings.Cut(l, "="); ok {
			all = append(all, setting{at: t.place(first), section: section, key: strings.TrimSpace(k), value: strings.TrimSpace(v)})
		}
	}
	return all
}

// execute looks at the hosts that a service's command talks to.
func (c *checker) execute(ctx context.Context, x setting) {
	command := strings.TrimLeft(x.value, "-@:+!|")
	for _, p := range c.peers(command, x.at.Line) {
		if gone, ok := c.gone(ctx, p.host); ok {
			c.retiredHost(x.at, p, gone, x.key, detector.Risk, nil)
		}
	}
}

func (c *checker) timer(ctx context.Context, t text, u []setting) {
	name := strings.TrimSuffix(t.name, ".timer") + ".service"
	for _, x := range u {
		if x.section == "Timer" && x.key == "Unit" && x.value != "" {
			name = unitName(x.value)
		}
	}
	command := ""
	for _, s := range c.texts {
		if s.kind == kindUnit && s.name == name {
			for _, x := range parseUnit(s) {
				if x.key == "ExecStart" && command == "" {
					command = strings.TrimLeft(x.value, "-@:+!|")
				}
			}
		}
	}
	if command == "" && c.units != nil && !exists(c.units, name) && len(u) > 0 {
		c.add(detector.Finding{
			Rule: "scripts/unit-missing", Severity: detector.Risk, Place: u[0].at,
			What: fmt.Sprintf("the timer starts %s, which exists neither on the host nor in the package", name),
			Why:  "systemd refuses the timer, and what it should run never does",
			Do:   "name the unit in Unit=, or ask the vendor for it",
		})
	}
	for _, x := range u {
		if x.section != "Timer" || x.value == "" {
			continue
		}
		e := entry{at: x.at, schedule: x.value, command: command, unit: name, probe: ""}
		switch x.key {
		case "OnCalendar":
			cal, zone, err := parseCalendar(x.value)
			if err != nil {
				c.badSchedule(x.at, x.value, err)
				continue
			}
			e.cal, e.zone = cal, zone
			c.scheduled(ctx, e)
		case "OnBootSec", "OnStartupSec", "OnActiveSec", "OnUnitActiveSec", "OnUnitInactiveSec":
			e.schedule = x.key + "=" + x.value
			c.scheduled(ctx, e)
		}
	}
}

var environment = regexp.MustCompile(`^\s*([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$`)

func (c *checker) crontab(ctx context.Context, t text) {
	vars := map[string]string{}
	var zone *time.Location
	for i, l := range t.lines {
		l = strings.TrimSpace(strings.TrimSuffix(l, "\r"))
		if l == "" || l[0] == '#' {
			continue
		}
		if m := environment.FindStringSubmatch(l); m != nil {
			v := strings.Trim(m[2], `"'`)
			vars[m[1]] = v
			if m[1] == "CRON_TZ" {
				if z, err := location(v); err == nil {
					zone = z
				}
			}
			if secretName.MatchString(m[1]) && !notSecret.MatchString(m[1]) && static(v) {
				c.secret(&shell{path: t.path}, t.line+i, "the variable "+m[1]+" of a crontab")
			}
			continue
		}
		if t.name == "" && !looksCron(l) {
			continue // a line of a script that feeds crontab, but none of the table
		}
		schedule, command, ok := splitCron(l)
		if !ok {
			c.badSchedule(t.place(i), clip(redact(l), 60), fmt.Errorf("want five fields and a command"))
			continue
		}
		if t.kind == kindCronD || hasUser(command) {
			_, rest, _ := cutBlank(command)
			command = rest
		}
		command, _, _ = strings.Cut(strings.ReplaceAll(command, `\%`, "\x00"), "%") // what follows is its input
		command = strings.ReplaceAll(command, "\x00", "%")
		for k, v := range vars {
			command = strings.NewReplacer("${"+k+"}", v, "$"+k, v).Replace(command)
		}
		e := entry{at: t.place(i), schedule: schedule, command: command, zone: zone, probe: probe(command)}
		if schedule != "@reboot" {
			cal, err := parseCron(schedule)
			if err != nil {
				c.badSchedule(t.place(i), schedule, err)
				continue
			}
			e.cal = cal
		}
		c.scheduled(ctx, e)
	}
}

// hasUser tells a line of cron.d by the name of a user before the command.
func hasUser(command string) bool {
	user, rest, ok := cutBlank(command)
	if !ok || strings.ContainsAny(user, "/$\"'=;|&()[]") {
		return false
	}
	return user == "root" || user == "www-data" || user == "nobody" || strings.HasPrefix(rest, "/")
}

// probe gives a text that finds the entry in a crontab, without what is secret.
func probe(command string) string {
	if r := redact(command); r == strings.Join(strings.Fields(command), " ") && len(r) <= 120 {
		return "cron " + r
	}
	for _, w := range strings.Fields(command) {
		if strings.HasPrefix(w, "/") && !strings.HasPrefix(w, "/dev/") {
			return "cron " + w
		}
	}
	return ""
}

func (c *checker) badSchedule(at detector.Place, schedule string, err error) {
	c.add(detector.Finding{
		Rule: "scripts/schedule", Severity: detector.Risk, Place: at, What: fmt.Sprintf("can't read the schedule %q: %v", clip(schedule, 60), err),
		Why: "cron passes over the whole table with such a line, and systemd over the timer: what should run doesn't",
		Do:  "check it with crontab -T or systemd-analyze calendar, and have it mended",
	})
}

// scheduled tells of a command that will run by itself, and of retired hosts that it talks to.
func (c *checker) scheduled(ctx context.Context, e entry) {
	shown := clip(redact(e.command), 80)
	if shown == "" {
		shown = e.unit
	}
	f := detector.Finding{
		Rule: "scripts/scheduled-run", Severity: detector.Note, Place: e.at, What: fmt.Sprintf("runs %s by itself, at %q", shown, e.schedule),
		Why: "what shifts at these times comes of this and not of the binaries",
		Do:  "see whether it may run on this host at these times; take the entry out if not",
	}
	h := detector.Hypothesis{
		Kind: detector.HypothesisRun, Schedule: e.schedule, Unit: e.unit,
		Says: fmt.Sprintf("%s runs at %q since the upgrade (%s line %d)", shown, e.schedule, e.at.File, e.at.Line),
	}
	zone := e.zone
	if zone == nil {
		zone = c.host.Zone
	}
	if zone == nil && e.cal.set {
		if c.unknownZone.File == "" {
			c.unknownZone = e.at
		}
	}
	if zone != nil && e.cal.set {
		h.Zone = zone.String()
		if !c.host.Now.IsZero() {
			h.Runs = e.cal.next(c.host.Now, zone, runsTold)
			if len(h.Runs) == 0 {
				f.What += ": never, within 40 years"
				f.Do = "have the schedule mended, or the entry taken out"
			} else {
				f.What += ", next on " + h.Runs[0].Format("2006-01-02 15:04 MST")
			}
		}
	}
	f.Hypotheses = []detector.Hypothesis{h}
	c.add(f)
	chore := detector.Chore{Kind: "cron", Name: e.schedule + " " + shown, What: "take the schedule out: it talks to a host that is retired", Probe: e.probe}
	for _, p := range c.peers(e.command, e.at.Line) {
		if gone, ok := c.gone(ctx, p.host); ok {
			c.retiredHost(e.at, p, gone, "at "+e.schedule, detector.Risk, &f.Hypotheses[0], chore)
		}
	}
}

// looksCron tells a line of a crontab from other text.
func looksCron(l string) bool {
	s, _, ok := splitCron(l)
	if !ok {
		return false
	}
	if s[0] == '@' {
		return true
	}
	return strings.Trim(strings.ReplaceAll(s, " ", ""), "0123456789*/,-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" &&
		strings.ContainsAny(s[:1], "0123456789*")
}

// written gives the units and crontabs that a script writes: by a redirection, through tee,
// or into crontab.
func (s *shell) written() []text {
	var all []text
	keep := func(target string, lines []line) {
		k := kindOf(target, "")
		if k != kindUnit && k != kindCronD && k != kindCrontab || len(lines) == 0 {
			return
		}
		all = append(all, gather(k, s.path, path.Base(target), lines)...)
	}
	for _, o := range s.outs {
		if o.target.known {
			keep(o.target.text, s.fed(o.from, o.to))
		}
	}
	for i := range s.calls {
		k := &s.calls[i]
		lines := k.heredoc
		if k.to > k.from {
			lines = append(slices.Clip(lines), s.fed(k.from, k.to)...)
		}
		switch k.name {
		case "tee":
			for _, w := range k.operands("") {
				keep(w.text, lines)
			}
		case "crontab":
			if !k.has('l', "") && !k.has('r', "") {
				all = append(all, gather(kindCrontab, s.path, "", lines)...)
			}
		}
	}
	return all
}

// gather makes texts of lines: one for each run of consecutive lines, so that each keeps its number.
func gather(k kind, file, name string, lines []line) []text {
	var all []text
	for _, l := range lines {
		if n := len(all); n > 0 && all[n-1].line+len(all[n-1].lines) == l.at {
			all[n-1].lines = append(all[n-1].lines, l.text)
			continue
		}
		all = append(all, text{kind: k, path: file, name: name, line: l.at, lines: []string{l.text}})
	}
	return all
}

// fed gives what calls print, as far as it stands in the script.
func (s *shell) fed(from, to int) []line {
	var all []line
	for i := from; i < to && i < len(s.calls); i++ {
		k := &s.calls[i]
		switch k.name {
		case "cat":
			all = append(all, k.heredoc...)
		case "echo", "printf":
			for _, a := range k.args {
				if strings.HasPrefix(a.text, "-") && len(a.text) == 2 || k.name == "printf" && len(k.args) > 1 && strings.Contains(a.text, "%s") {
					continue
				}
				t := strings.ReplaceAll(a.text, `\n`, "\n")
				for j, l := range strings.Split(strings.TrimSuffix(t, "\n"), "\n") {
					at := a.line
					if strings.Contains(a.text, "\n") {
						at += j
					}
					all = append(all, line{at: at, text: l})
				}
			}
		}
	}
	return all
}

// words parses a command into calls, as cron's shell would; nil where it can't be.
func words(command string, at int) *shell {
	if len(command) > 1<<16 || nesting([]byte(command)) > maxDepth {
		return nil
	}
	f, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(command), "")
	if err != nil {
		return nil
	}
	s := &shell{file: f, vars: map[string]*variable{}, funcs: map[string]bool{}, tested: map[string]bool{}}
	s.assignments()
	w := walker{sh: s, base: at - 1}
	w.stmts(f.Stmts, scope{})
	return s
}
