package scripts

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"aftershock/detector"

	"mvdan.cc/sh/v3/syntax"
)

// shell asks each rule about each call of a script.
func (c *checker) shell(ctx context.Context, s *shell) {
	at := func(line int) detector.Place { return detector.Place{File: s.path, Line: line} }
	c.secrets(s)
	rules := []func(*shell, *call, detector.Place){c.remoteCode, c.encoded, c.fetchedAndRun, c.permissions, c.defences}
	if !c.installed(s.path) {
		c.sudo(s)
		c.errexit(s)
		rules = append(rules, c.cd, c.removal, c.systemFiles, c.kill, c.reboot, c.unitCall, c.chores, c.cronOff, c.predictable, c.destroys, c.deferred)
	}
	for i := range s.calls {
		if ctx.Err() != nil {
			c.unreadable(at(s.calls[i].line), "the time for reading scripts was up here")
			return
		}
		if c.count >= maxFindings {
			break
		}
		k := &s.calls[i]
		if s.funcs[k.name] {
			continue // the script's own function, whatever it is called
		}
		for _, rule := range rules {
			rule(s, k, at(k.line))
		}
		c.talks(ctx, s, k, at(k.line))
	}
	if s.cut > 0 {
		c.unreadable(at(s.cut), fmt.Sprintf("there are more than %d commands; those from this line on aren't looked at", maxCalls))
	}
	if !c.installed(s.path) {
		c.redirected(s)
	}
}

var installTree = regexp.MustCompile(`(?:^|/)(?:usr/(?:s?bin|lib|libexec|share|local)|etc/(?:init\.d|cron\.[a-z]+|[^/]+)|lib/(?:systemd|udev))/|^(?:bin|sbin|lib|lib64|opt|srv|var)/.*/`)

// installed tells a program that the package brings to the host from a script that the upgrade runs: how it
// goes about its own business, years from now, is not the upgrade's.
func (c *checker) installed(file string) bool {
	return c.programs[file] || installTree.MatchString(file)
}

// has tells whether a call has an option: one letter alone or among others, or a long one.
func (k *call) has(short byte, long string) bool {
	for _, a := range k.args {
		t := a.text
		switch {
		case t == "--":
			return false
		case long != "" && (t == long || strings.HasPrefix(t, long+"=")):
			return true
		case short != 0 && len(t) > 1 && t[0] == '-' && t[1] != '-' && strings.IndexByte(t[1:], short) >= 0:
			return true
		}
	}
	return false
}

// operands gives the arguments that are no options. valued are the letters of options whose value is a word of
// its own.
func (k *call) operands(valued string) []word {
	var all []word
	for i := 0; i < len(k.args); i++ {
		t := k.args[i].text
		if t == "--" {
			return append(all, k.args[i+1:]...)
		}
		if len(t) > 1 && t[0] == '-' {
			if len(t) == 2 && strings.Contains(valued, t[1:]) {
				i++
			}
			continue
		}
		all = append(all, k.args[i])
	}
	return all
}

// guarded tells whether a condition around a call speaks of a word.
func (k *call) guarded(about string) bool {
	return slices.ContainsFunc(k.guards, func(g string) bool { return strings.Contains(g, about) })
}

// remover tells the scripts that run when a package goes.
func remover(file string) bool {
	base := strings.ToLower(path.Base(file))
	for _, p := range []string{"postrm", "prerm", "uninstall", "rollback", "remove", "purge", "preun", "postun"} {
		if strings.Contains(base, p) {
			return true
		}
	}
	return false
}

// maintainer tells a Debian package's own scripts, which dpkg runs as root.
func maintainer(file string) bool {
	switch base := path.Base(file); base {
	case "preinst", "postinst", "prerm", "postrm":
		return true
	default:
		return slices.Contains([]string{".preinst", ".postinst", ".prerm", ".postrm"}, path.Ext(base))
	}
}

// asRoot tells that a script runs as root anyhow: it insists on it, or dpkg runs it.
func (s *shell) asRoot() bool {
	if maintainer(s.path) {
		return true
	}
	asks := false
	syntax.Walk(s.file, func(n syntax.Node) bool {
		if x, ok := n.(*syntax.IfClause); ok {
			for _, st := range x.Cond {
				t := source(st)
				if (strings.Contains(t, "EUID") || strings.Contains(t, "id -u")) && len(x.Then) > 0 && leaves(x.Then[len(x.Then)-1]) {
					asks = true
				}
			}
		}
		return !asks
	})
	return asks
}

// sudo: one finding a script.
func (c *checker) sudo(s *shell) {
	var lines []int
	interactive := false
	for i := range s.calls {
		k := &s.calls[i]
		if !slices.Contains(k.before, "sudo") && k.name != "sudo" || s.funcs["sudo"] || k.guarded("sudo") {
			continue
		}
		lines = append(lines, k.line)
		interactive = interactive || !strings.Contains(k.source, "sudo -n") && !strings.Contains(k.source, "--non-interactive")
	}
	if len(lines) == 0 {
		return
	}
	f := detector.Finding{
		Rule: "scripts/sudo", Severity: detector.Risk, Place: detector.Place{File: s.path, Line: lines[0]},
		What: "the script assumes sudo" + further(lines),
		Why:  "where sudo isn't installed or asks for a password, an unattended upgrade stops or hangs here, with half of it done",
		Do:   "have the whole script run as root by what rolls it out, and take sudo out; or make sure of sudo -n for these commands",
	}
	known := c.host.Sudo != nil
	switch {
	case known && !*c.host.Sudo:
		f.Severity = detector.Blocker
		f.What = "the script needs sudo, which the host doesn't have" + further(lines)
	case s.asRoot() || c.host.Root != nil && *c.host.Root:
		f.What = "sudo is useless where the script runs as root anyhow" + further(lines)
		f.Why = "the script stops where sudo isn't installed, for nothing"
		f.Do = "take sudo out"
		if known {
			f.Severity = detector.Note
		}
	case known && !interactive:
		f.Severity = detector.Note
	}
	c.add(f)
}

func further(lines []int) string {
	if len(lines) < 2 {
		return ""
	}
	return fmt.Sprintf(" (and in %d further places, the last in line %d)", len(lines)-1, lines[len(lines)-1])
}

// effects are the programs that change a host.
var effects = map[string]bool{
	"rm": true, "mv": true, "cp": true, "ln": true, "install": true, "mkdir": true, "chmod": true, "chown": true, "tar": true, "unzip": true, "dpkg": true,
	"rpm": true, "apt": true, "apt-get": true, "yum": true, "dnf": true, "systemctl": true, "service": true, "sed": true, "psql": true, "mysql": true,
	"useradd": true, "adduser": true, "usermod": true, "groupadd": true, "tee": true, "rsync": true, "dd": true, "mount": true, "umount": true, "crontab": true,
	"scp": true, "sftp": true, "truncate": true, "update-rc.d": true, "kubectl": true, "docker": true, "helm": true,
}

// errexit: several commands that change something, and none whose failure would be seen.
func (c *checker) errexit(s *shell) {
	if s.library || len(s.errexit) > 0 && s.errexit[len(s.errexit)-1].on {
		return
	}
	var lines []int
	for i := range s.calls {
		k := &s.calls[i]
		if effects[k.name] && k.fail == fails && !k.subst && !on(s.errexit, k.line) {
			lines = append(lines, k.line)
		}
	}
	if len(lines) < 2 {
		return
	}
	c.add(detector.Finding{
		Rule: "scripts/no-errexit", Severity: detector.Risk, Place: detector.Place{File: s.path, Line: lines[0]},
		What: fmt.Sprintf("the script goes on when a command fails: no set -e that holds, and %d commands whose failure nothing sees", len(lines)),
		Why:  "a step that failed is followed by those that rely on it, and the upgrade ends with status 0 half done",
		Do:   "put set -eu (bash: set -euo pipefail) at the top, and || true where a failure is meant to pass",
	})
}

// cd: where it fails, what follows happens in the wrong place.
func (c *checker) cd(s *shell, k *call, at detector.Place) {
	if k.name != "cd" || k.fail != fails || on(s.errexit, k.line) || k.subst || len(k.args) == 0 {
		return
	}
	if t := k.args[0].text; t == "/" || t == "-" || t == ".." {
		return
	}
	for i := range s.calls {
		d := &s.calls[i]
		if d.line <= k.line || d.fn != k.fn {
			continue
		}
		if d.name == "cd" {
			return
		}
		if !effects[d.name] || !slices.ContainsFunc(d.operands(""), func(w word) bool { return relative(w.text) }) || d.name == "systemctl" || d.name == "service" {
			continue
		}
		c.add(detector.Finding{
			Rule: "scripts/cd-unchecked", Severity: detector.Risk, Place: at,
			What: fmt.Sprintf("cd isn't checked, and %s in line %d works on the folder it leads to", d.name, d.line),
			Why:  "where the folder is missing, it works on whatever folder the script was started in",
			Do:   "cd " + clip(k.args[0].quoted, 60) + " || exit 1",
		})
		return
	}
}

func relative(t string) bool {
	return t != "" && t[0] != '/' && t[0] != '$' && t[0] != '~' && t[0] != '-'
}

// removal: rm -r of what a variable names that may be empty, or may be several words.
func (c *checker) removal(s *shell, k *call, at detector.Place) {
	if k.name != "rm" || !k.has('r', "--recursive") && !k.has('R', "") {
		return
	}
	for _, w := range k.operands("") {
		if w.node == nil {
			continue
		}
		lead, rest, bare := leading(w.node)
		if lead != "" && strings.HasPrefix(rest, "/") && c.maybeEmpty(s, k, lead) {
			severity := detector.Risk
			target := rest
			if strings.Trim(rest, "/*.") == "" {
				target = "/"
				if s.vars[lead] == nil && variableName.MatchString(lead) {
					severity = detector.Blocker
				}
			}
			c.add(detector.Finding{
				Rule: "scripts/removal", Severity: severity, Place: at,
				What: fmt.Sprintf("removes %s where $%s is empty", clip(target, 60), lead),
				Why:  "nothing in the script makes sure that the variable is set; with root's rights the host is lost, or what others put there",
				Do:   fmt.Sprintf(`rm -rf -- "${%s:?}"%s, and set -u at the top`, lead, clip(rest, 60)),
			})
			continue
		}
		if bare != "" && splits(s, bare) {
			c.add(detector.Finding{
				Rule: "scripts/removal-unquoted", Severity: detector.Risk, Place: at,
				What: fmt.Sprintf("$%s isn't quoted in a removal", bare),
				Why:  "a blank or * in its value makes it several paths, each of which is removed",
				Do:   fmt.Sprintf(`quote it: "${%s:?}"`, bare),
			})
		}
	}
}

// leading gives the variable that a word begins with and the static text behind it; and a
// variable that stands in it without quotes.
func leading(w *syntax.Word) (lead, rest, bare string) {
	for _, p := range w.Parts {
		if x, ok := p.(*syntax.ParamExp); ok && x.Param != nil && bare == "" && simple(x) {
			bare = x.Param.Value
		}
	}
	parts := flat(w.Parts)
	if len(parts) == 0 {
		return "", "", bare
	}
	if x, ok := parts[0].(*syntax.ParamExp); ok && x.Param != nil && simple(x) {
		lead = x.Param.Value
		rest, _ = (&renderer{}).parts(parts[1:], false)
	}
	return lead, rest, bare
}

// simple tells a parameter without default or check of its own.
func simple(x *syntax.ParamExp) bool {
	return x.Exp == nil && !x.Length && !x.Excl && x.Repl == nil && x.Slice == nil && x.Index == nil
}

// maybeEmpty tells whether a variable may be empty where a call uses it.
func (c *checker) maybeEmpty(s *shell, k *call, name string) bool {
	switch name {
	case "DPKG_ROOT", "DESTDIR", "HOME", "PWD", "TMPDIR", "USER":
		return false // meant to be, or never
	}
	if on(s.nounset, k.line) || s.tested[name] || k.guarded("$"+name) || k.guarded("${"+name) {
		return false
	}
	if v := s.vars[name]; v != nil {
		return v.empty
	}
	return variableName.MatchString(name) || name >= "1" && name <= "9"
}

// splits tells whether a variable may become several words.
func splits(s *shell, name string) bool {
	if v := s.vars[name]; v != nil {
		return v.spaced
	}
	return variableName.MatchString(name) && name != "DPKG_ROOT" && name != "DESTDIR" || name >= "1" && name <= "9"
}
