package scripts

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"aftershock/detector"
)

var unitSuffixes = []string{".service", ".timer", ".socket", ".path", ".mount", ".target", ".slice", ".scope", ".automount", ".swap"}

// unitName gives a unit its suffix, and takes the folder off.
func unitName(s string) string {
	s = path.Base(s)
	if !slices.Contains(unitSuffixes, path.Ext(s)) {
		s += ".service"
	}
	return s
}

// known gathers the units of the host and of the package; nil where the host's aren't known.
func known(host []string, own []text) map[string]bool {
	if host == nil {
		return nil
	}
	all := map[string]bool{}
	for _, u := range host {
		all[unitName(u)] = true
	}
	for _, t := range own {
		if t.kind == kindUnit {
			all[t.name] = true
		}
	}
	return all
}

// exists tells whether a unit, or the template that it is of, is among those known.
func exists(units map[string]bool, name string) bool {
	if units[name] {
		return true
	}
	if i := strings.IndexByte(name, '@'); i > 0 {
		return units[name[:i+1]+path.Ext(name)]
	}
	return false
}

// verbs are those of systemctl that need the unit, with whether they start it.
var verbs = map[string]bool{
	"start": true, "restart": true, "reload": true, "reload-or-restart": true, "try-restart": true, "try-reload-or-restart": true, "enable": true,
	"reenable": true, "unmask": false, "stop": false, "disable": false, "mask": false, "kill": false, "edit": false, "preset": false,
}

// halt is a unit that a script stops or disables, or starts again.
type halt struct {
	unit    string
	verb    string
	at      detector.Place
	dynamic bool // the verb isn't known
	mild    bool // by a program that passes over units which are missing
}

// unitAction reads systemctl, service, invoke-rc.d and their like: what is done to which units.
func unitAction(k *call) (verb string, units []word, now bool) {
	switch k.name {
	case "systemctl", "deb-systemd-invoke":
		if k.has(0, "--user") || k.has(0, "--root") || k.has('H', "--host") || k.has('M', "--machine") {
			return "", nil, false
		}
		ops := k.operands("tpsnoP")
		if len(ops) > 1 {
			return ops[0].text, ops[1:], k.has(0, "--now")
		}
	case "service", "invoke-rc.d", "rc-service":
		if ops := k.operands(""); len(ops) > 1 {
			return ops[1].text, ops[:1], false
		}
	case "deb-systemd-helper", "update-rc.d":
		return "", nil, false // they mind units that are missing
	default:
		if strings.HasPrefix(k.word.text, "/etc/init.d/") && len(k.args) > 0 {
			return k.args[0].text, []word{{text: k.name, known: true, line: k.line}}, false
		}
	}
	return "", nil, false
}

// unitCall: a unit that is missing, and units that are stopped.
func (c *checker) unitCall(s *shell, k *call, at detector.Place) {
	verb, units, _ := unitAction(k)
	for _, u := range units {
		if !u.known || strings.ContainsAny(u.text, "*?[$ ") || u.text == "" {
			continue
		}
		name := unitName(u.text)
		mild := k.name == "deb-systemd-invoke" || k.name == "invoke-rc.d"
		c.halts = append(c.halts, halt{unit: name, verb: verb, at: at, dynamic: strings.Contains(verb, "$"), mild: mild})
		starts, minds := verbs[verb]
		if !minds || k.guarded(u.text) || k.guarded(strings.TrimSuffix(name, ".service")) {
			continue
		}
		if mild {
			continue
		}
		if c.units == nil {
			if c.unknownUnits.File == "" {
				c.unknownUnits = at
			}
			continue
		}
		if !exists(c.units, name) {
			c.missing(s, k, at, verb, name, starts)
		}
	}
}

func (c *checker) missing(s *shell, k *call, at detector.Place, verb, name string, starts bool) {
	f := detector.Finding{
		Rule: "scripts/unit-missing", Severity: detector.Risk, Place: at,
		What: fmt.Sprintf("%s of %s, which exists neither on the host nor in the package", verb, name),
		Why:  "the call fails and the script goes on, as if the unit had been seen to",
		Do:   fmt.Sprintf("find what %s is called now (systemctl list-unit-files) and put that in, or take the line out", name),
	}
	if s.ends(k) {
		f.Severity = detector.Blocker
		f.Why = "the call fails and ends the script here, with what stands before it done and what follows not"
	}
	if !starts && k.fail == handled {
		f.Severity = detector.Note
		f.Why = "the call fails, which the script allows for"
	}
	if starts {
		f.Hypotheses = []detector.Hypothesis{{
			Kind: detector.HypothesisOldBuild, Unit: name,
			Says: fmt.Sprintf("%s wasn't restarted by the upgrade, since there is no such unit: the host goes on running the old build", name),
		}}
	}
	c.add(f)
}

// brings tells whether the package has a unit.
func (c *checker) brings(unit string) bool {
	return slices.ContainsFunc(c.texts, func(t text) bool { return t.kind == kindUnit && t.name == unit })
}

// stopped tells of units that the package's scripts stop or disable and none starts again.
func (c *checker) stopped() {
	undone := map[string]string{"stop": "start", "disable": "enable", "mask": "unmask"}
	told := map[string]bool{}
	for _, h := range c.halts {
		undo := undone[h.verb]
		if undo == "" || remover(h.at.File) || told[h.unit+h.verb] {
			continue
		}
		again := slices.ContainsFunc(c.halts, func(o halt) bool {
			if o.unit != h.unit {
				return h.verb == "stop" && activates(o.unit, h.unit) && (o.verb == "start" || o.verb == "restart")
			}
			switch {
			case o.dynamic, o.verb == undo, h.verb == "disable" && o.verb == "reenable":
				return true
			case h.verb == "stop":
				return o.verb == "restart" || o.verb == "reload-or-restart" || o.verb == "enable"
			}
			return false
		})
		if again || c.units != nil && !exists(c.units, h.unit) || c.units == nil && h.mild && !c.brings(h.unit) {
			continue
		}
		told[h.unit+h.verb] = true
		severity, why := detector.Risk, "stays off after the upgrade, until somebody notices"
		if h.verb == "stop" && h.mild && c.brings(h.unit) {
			severity, why = detector.Note, "stays off after the upgrade, until the next boot or until something needs it"
		}
		kind, noun := "other", "unit"
		if strings.HasSuffix(h.unit, ".timer") || h.unit == "cron.service" || h.unit == "crond.service" {
			kind, noun = "cron", "schedule"
		}
		c.findings = append(c.findings, detector.Finding{
			Rule: "scripts/unit-stopped", Severity: severity, Place: h.at,
			What: fmt.Sprintf("%s of %s, and no script of the package undoes it", h.verb, h.unit),
			Why:  "the " + noun + " " + why,
			Do:   fmt.Sprintf("systemctl %s %s after the upgrade, unless it is meant to be off for good", undo, h.unit),
			Chores: []detector.Chore{{
				Kind: kind, Name: h.unit, What: fmt.Sprintf("%s %s again, or decide that it stays off", undo, h.unit),
			}},
		})
	}
}

// activates tells that a unit starts a service when it is needed: the socket, path or timer of its
// name (systemd.socket(5)).
func activates(unit, service string) bool {
	name, ok := strings.CutSuffix(service, ".service")
	return ok && (unit == name+".socket" || unit == name+".path" || unit == name+".timer")
}
