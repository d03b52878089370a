package manifest

import (
	"fmt"
	"path"
	"strings"
	"time"

	"aftershock/detector"
	"aftershock/upgrades/preflight/document"
	"aftershock/upgrades/preflight/inventory"
)

// reboot holds the claim to what the scripts do.
func (k *check) reboot() {
	c := k.m.Reboot
	claim := strings.ToLower(strings.TrimSpace(c.Value))
	scripted := ""
	if len(k.facts.Reboots) > 0 {
		p := k.facts.Reboots[0]
		scripted = p.File
		if p.Line > 0 {
			scripted += fmt.Sprintf(", line %d", p.Line)
		}
	}
	unclaimed := func(says, severity string) {
		if scripted != "" {
			k.add("reboot-unclaimed", severity, c.Line, fmt.Sprintf("the manifest %s, and a script reboots the host (%s)", says, scripted),
				"Hosts go down in the middle of the upgrade without anybody having planned it; what runs beside goes down with them.",
				"Take the reboot out of the script, or plan it: one host after the other, traffic drained first.")
		}
	}
	switch claim {
	case "":
		unclaimed("claims nothing of a reboot", detector.Risk)
	case "none", "no", "false", "never", "not required", "not-required":
		unclaimed("claims that no reboot is needed", detector.Blocker)
	case "required", "yes", "true", "always", "mandatory":
		if k.facts.ScriptsRead && scripted == "" {
			k.add("reboot-unscripted", detector.Note, c.Line, "the manifest requires a reboot, and no script of the package does it",
				"Until somebody reboots, the hosts run partly what was there before.", "Put the reboot of each host into the plan, traffic drained first.")
		}
	default:
		what := fmt.Sprintf("\"reboot: %.40s\" leaves open whether the host is rebooted", c.Value)
		if scripted != "" {
			what += ", and a script does it (" + scripted + ")"
		}
		k.add("reboot-vague", detector.Risk, c.Line, what,
			"Hosts that were rebooted and hosts that weren't run different things afterwards: old libraries, kernels and processes stay until the next restart.",
			"Decide before the upgrade: reboot every host (one after the other, traffic drained) or none, and write required or none. What speaks for it are a new kernel, C library or a driver; else a restart of the services is enough.")
	}
}

// downtime holds the claim to what is known of the way.
func (k *check) downtime() {
	c := k.m.Downtime
	if c.Value == "" {
		return
	}
	var claimed document.Duration
	if none(c.Value) {
		claimed = 0
	} else if err := claimed.UnmarshalText([]byte(c.Value)); err != nil {
		k.add("downtime-unreadable", detector.Risk, c.Line, fmt.Sprintf("\"downtime: %.40s\" is no length of time", c.Value),
			"A window can't be planned with it, and people outside can't be told.", "Ask the vendor for a length such as 10m, measured on data of your size.")
		return
	}
	if k.facts.Inventory == nil || k.facts.Paths == nil {
		return
	}
	for _, ch := range k.m.Changes("") {
		for _, f := range k.facts.Inventory.Find(ch.Name) {
			steps, err := k.facts.Paths.Route(ch.Name, f.Version, ch.To)
			if need := inventory.Downtime(steps); err == nil && need > time.Duration(claimed) {
				k.add("downtime-short", detector.Risk, c.Line, fmt.Sprintf("the manifest claims a downtime of %s, and the known way of %s from %s takes %s", claimed, ch.Name, f.Version, document.Duration(need)),
					"The window is over before the upgrade is.", fmt.Sprintf("Plan with %s, or ask the vendor what became faster.", document.Duration(need)))
				return
			}
		}
	}
}

func none(s string) bool {
	switch strings.ToLower(s) {
	case "none", "no", "zero":
		return true
	}
	return false
}

// configuration tells which settings the manifest is about, and how they are kept for a
// rollback; whether hosts have them is the business of the configuration matrix.
func (k *check) configuration() {
	for _, t := range k.m.Configuration.Removed {
		k.add("setting-removed", detector.Note, t.Line, fmt.Sprintf("the release no longer reads the setting %.100s", t.Value),
			"What it said is ignored by the new build, without an error.", fmt.Sprintf("See with `aftershock config grep %.100s` where it is set, and what takes its place.", t.Value))
		k.findings[len(k.findings)-1].Reversions = []detector.Reversion{{
			Level: detector.LevelConfiguration, Step: "the setting " + t.Value + " goes",
			How:   "Leave it set until a rollback is out of the question: the old build reads it.",
			Place: detector.Place{File: k.m.File, Line: t.Line},
		}}
	}
	for _, t := range k.m.Configuration.Required {
		k.add("setting-required", detector.Note, t.Line, fmt.Sprintf("the release requires the setting %.100s", t.Value),
			"Without it the new build doesn't start, or behaves otherwise.", fmt.Sprintf("Set it on every host beforehand; `aftershock config grep %.100s` shows where it is.", t.Value))
	}
}

// within is the path in the package of a path that the manifest names, which is relative to the
// manifest's directory; ok is false for one that leads out of the package.
func (m Manifest) within(name string) (at string, ok bool) {
	name = strings.ReplaceAll(name, "\\", "/")
	at = path.Join(path.Dir(m.File), strings.TrimPrefix(name, "./"))
	return at, !path.IsAbs(name) && at != ".." && !strings.HasPrefix(at, "../")
}

// unsigned are the ends of names of what can't be named by what it signs.
var unsigned = []string{".sig", ".asc", ".sign", ".minisig", ".p7s", ".p7m", ".sha256", ".sha512"}

// sums are names of lists of digests.
var sums = []string{"sha256sums", "sha512sums", "checksums.txt", "checksums.sha256"}

// signs says whether a file signs others.
func signs(at string) bool {
	base := strings.ToLower(path.Base(at))
	for _, s := range unsigned {
		if strings.HasSuffix(base, s) {
			return true
		}
	}
	for _, s := range sums {
		if base == s {
			return true
		}
	}
	return false
}
