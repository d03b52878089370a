package scripts

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"aftershock/detector"

	"mvdan.cc/sh/v3/syntax"
)

var (
	fetchers     = []string{"curl", "wget", "fetch"}
	interpreters = []string{"sh", "bash", "dash", "ksh", "zsh", "python", "python3", "perl", "ruby", "node", "php"}
)

// remoteCode: what a server answers is run as it comes.
func (c *checker) remoteCode(s *shell, k *call, at detector.Place) {
	from := -1
	switch {
	case slices.Contains(interpreters, k.name) && k.to > k.from && !executes(k):
		for i := k.from; i < k.to; i++ {
			if slices.Contains(fetchers, s.calls[i].name) {
				from = i
			}
		}
	case slices.Contains(interpreters, k.name), k.name == "eval", k.name == "source", k.name == ".":
		for _, w := range k.args {
			if w.node != nil && fetches(w.node) {
				from = 0
			}
		}
	}
	if from < 0 {
		return
	}
	c.add(detector.Finding{
		Rule: "scripts/remote-code", Severity: detector.Risk, Place: at,
		What: "runs what a server answers, unseen",
		Why:  "what is run isn't what was inspected: it may change between two hosts, and a connection that breaks runs half of it",
		Do:   "download it to a file, check its digest against one that the vendor signed, and run that",
	})
}

// executes tells that an interpreter has a program of its own, so that its input is data.
func executes(k *call) bool {
	for _, w := range k.args {
		switch t := w.text; {
		case t == "-" || t == "-s" || t == "/dev/stdin":
			return false
		case t == "-c" || t == "-e" || t == "-m" || !strings.HasPrefix(t, "-"):
			return true
		}
	}
	return false
}

// fetches tells a word whose command substitution downloads.
func fetches(w *syntax.Word) bool {
	found := false
	syntax.Walk(w, func(n syntax.Node) bool {
		if x, ok := n.(*syntax.CallExpr); ok && len(x.Args) > 0 && slices.Contains(fetchers, path.Base(x.Args[0].Lit())) {
			found = true
		}
		return !found
	})
	return found
}

var openMode = regexp.MustCompile(`^(?:[0-7]?[0-7][0-7][2367]|[ugoa]*[ao][ugoa]*[+=][rxXst]*w[rwxXst]*|[+=][rxXst]*w[rwxXst]*)$`)

// permissions: anybody may write.
func (c *checker) permissions(_ *shell, k *call, at detector.Place) {
	mode := ""
	switch k.name {
	case "chmod":
		if ops := k.operands(""); len(ops) > 1 {
			mode = ops[0].text
		}
	case "install", "mkdir":
		for i, a := range k.args {
			switch {
			case a.text == "-m" && i+1 < len(k.args):
				mode = k.args[i+1].text
			case strings.HasPrefix(a.text, "--mode="):
				mode = a.text[len("--mode="):]
			case strings.HasPrefix(a.text, "-m") && len(a.text) > 3:
				mode = a.text[2:]
			}
		}
	}
	if !openMode.MatchString(mode) || len(mode) == 4 && mode[0]&1 == 1 && mode[0] >= '0' && mode[0] <= '7' || strings.HasPrefix(mode, "+") {
		return // not open, sticky, or cut down by the umask
	}
	c.add(detector.Finding{
		Rule: "scripts/open-permissions", Severity: detector.Risk, Place: at,
		What: fmt.Sprintf("%s %s lets every user of the host write", k.name, mode),
		Why:  "whoever has any account on the host can put their own program or settings in the service's place",
		Do:   "give the service's user the file (chown) and at most 0755, or 0640 for settings",
	})
}

// systemFiles are those that others rely on, with the rule that watches them.
var systemFiles = map[string]string{
	"/etc/hosts": "hosts-file", "/etc/sudoers": "sudoers", "/etc/sudoers.d": "sudoers", "/etc/resolv.conf": "hosts-file",
	"/etc/selinux/config": "selinux", "/etc/sysconfig/selinux": "selinux", "/etc/passwd": "accounts", "/etc/shadow": "accounts",
	"/etc/group": "accounts", "/etc/gshadow": "accounts", "/etc/ld.so.preload": "preload",
}

// systemFiles: calls that change such a file in place.
func (c *checker) systemFiles(_ *shell, k *call, at detector.Place) {
	ops := k.operands("eftogmS")
	if len(ops) == 0 {
		return
	}
	var targets []word
	switch k.name {
	case "tee":
		targets = ops
	case "sed", "perl":
		if k.has('i', "--in-place") {
			targets = ops
		}
	case "cp", "mv", "install", "ln":
		targets = ops[len(ops)-1:]
		if to := targets[0].text; to == "/etc" || strings.HasSuffix(to, "/") { // into a folder
			for _, w := range ops[:len(ops)-1] {
				w.text = path.Join(to, path.Base(w.text))
				targets = append(targets, w)
			}
		}
	case "dd":
		for _, w := range k.args {
			if to, ok := strings.CutPrefix(w.text, "of="); ok {
				w.text = to
				targets = append(targets, w)
			}
		}
	}
	for _, t := range targets {
		c.systemFile(t.text, at)
	}
}

func (c *checker) systemFile(target string, at detector.Place) {
	rule := systemFiles[target]
	if strings.HasSuffix(target, "/.ssh/authorized_keys") || strings.HasSuffix(target, "/.ssh/authorized_keys2") {
		rule = "login-key"
	}
	if rule == "" {
		rule = systemFiles[path.Dir(target)]
		if path.Dir(target) == "/etc" {
			return
		}
	}
	f := detector.Finding{Severity: detector.Risk, Place: at, Rule: "scripts/" + rule}
	switch rule {
	case "":
		return
	case "hosts-file":
		f.What = "changes how the host resolves names (" + target + ")"
		f.Why = "the host then reaches another address than all others do, and whoever looks for a fault in DNS won't see it"
		f.Do = "have the name changed in DNS; if it must be here, put it into the host's configuration management"
		f.Chores = []detector.Chore{{Kind: "file", Name: target, What: "take the upgrade's entry out of " + target + " again"}}
	case "sudoers":
		f.What = "changes who may do what as root (" + target + ")"
		f.Why = "it outlives the upgrade, and a fault in the file takes sudo from everybody"
		f.Do = "have it reviewed; write it beside, check it with visudo -cf, and then move it in place"
	case "selinux":
		f.What = "changes SELinux's configuration (" + target + ")"
		f.Why = "it takes effect with the next boot, for everything on the host"
		f.Do = "ask the vendor for a policy module instead"
	case "preload":
		f.Rule = "scripts/accounts"
		f.What = "has a library loaded into every program of the host (" + target + ")"
		f.Why = "it sees and changes what all of them do, those of root as well"
		f.Do = "don't let it: ask the vendor to preload it in the unit that needs it"
	case "login-key":
		f.Rule = "scripts/accounts"
		f.What = "lets whoever has a key log in (" + clip(target, 80) + ")"
		f.Why = "the door stays open after the upgrade"
		f.Do = "ask whose key it is; grant access by what manages your accounts"
		f.Chores = []detector.Chore{{Kind: "credential", Name: clip(target, 80), What: "take the key out again, unless it is meant to stay"}}
	default:
		f.What = "writes the host's accounts itself (" + target + ")"
		f.Why = "two writers at once, or a fault in a line, lock everybody out"
		f.Do = "use useradd, usermod or chpasswd"
	}
	c.add(f)
}

// redirected looks at the files that redirections write.
func (c *checker) redirected(s *shell) {
	for _, o := range s.outs {
		at := detector.Place{File: s.path, Line: o.line}
		if o.target.known {
			c.systemFile(o.target.text, at)
		}
		c.banner(o.target.text, at, s)
		c.temporary(s, o.target.text, at)
	}
}

// defences: firewall, SELinux and AppArmor switched off.
func (c *checker) defences(_ *shell, k *call, at detector.Place) {
	t := ""
	for _, a := range k.args {
		t += " " + a.text
	}
	t = strings.TrimSpace(t)
	what, rule, undo := "", "scripts/firewall", ""
	switch {
	case k.name == "ufw" && (strings.HasPrefix(t, "disable") || strings.Contains(t, "--force disable") || strings.Contains(t, "reset")):
		what, undo = "the firewall (ufw)", "ufw enable"
	case (k.name == "iptables" || k.name == "ip6tables") && (t == "-F" || strings.HasPrefix(t, "-F ") || t == "--flush" || strings.HasPrefix(t, "-P INPUT ACCEPT")):
		what, undo = "the firewall ("+k.name+")", "restore its rules"
	case k.name == "nft" && t == "flush ruleset":
		what, undo = "the firewall (nftables)", "systemctl reload nftables"
	case k.name == "systemctl" && unitVerb(t, []string{"firewalld", "ufw", "nftables", "iptables"}), k.name == "service" && (t == "firewalld stop" || t == "iptables stop" || t == "ufw stop"):
		what, undo = "the firewall", "systemctl enable --now it again"
	case k.name == "setenforce" && (t == "0" || strings.EqualFold(t, "permissive")):
		what, rule, undo = "SELinux", "scripts/selinux", "setenforce 1"
	case k.name == "aa-teardown", k.name == "systemctl" && unitVerb(t, []string{"apparmor"}):
		what, rule, undo = "AppArmor", "scripts/selinux", "systemctl start apparmor"
	}
	if what == "" {
		return
	}
	c.add(detector.Finding{
		Rule: rule, Severity: detector.Risk, Place: at, What: "switches " + what + " off",
		Why:    "it protects everything on the host, not only what is upgraded, and it stays off where the script ends early",
		Do:     "ask the vendor which port or right is needed, and open that alone",
		Chores: []detector.Chore{{Kind: "other", Name: what, What: "see that " + what + " is on again (" + undo + ")"}},
	})
}

// unitVerb tells that systemctl's arguments stop, disable or mask one of some units.
func unitVerb(t string, units []string) bool {
	f := strings.Fields(t)
	if !slices.ContainsFunc(f, func(s string) bool { return s == "stop" || s == "disable" || s == "mask" }) {
		return false
	}
	return slices.ContainsFunc(f, func(s string) bool { return slices.Contains(units, strings.TrimSuffix(s, ".service")) })
}

// kill: a process that gets no chance to finish.
func (c *checker) kill(_ *shell, k *call, at detector.Place) {
	if !slices.Contains([]string{"kill", "pkill", "killall"}, k.name) {
		return
	}
	hard := false
	for i, a := range k.args {
		switch strings.ToUpper(a.text) {
		case "-9", "-KILL", "-SIGKILL", "--SIGNAL=9", "--SIGNAL=KILL", "--SIGNAL=SIGKILL":
			hard = true
		case "-S", "--SIGNAL":
			hard = hard || i+1 < len(k.args) && slices.Contains([]string{"9", "KILL", "SIGKILL"}, k.args[i+1].text)
		}
	}
	if !hard {
		return
	}
	c.add(detector.Finding{
		Rule: "scripts/kill", Severity: detector.Risk, Place: at, What: k.name + " -9 gives the process no chance to finish",
		Why: "requests in flight break off and what wasn't written is lost; the unit's own stop isn't run, and systemd may start it again at once",
		Do:  "stop the unit (systemctl stop), which waits and kills only after TimeoutStopSec",
	})
}

// reboot is held against what the manifest claims.
func (c *checker) reboot(_ *shell, k *call, at detector.Place) {
	boots := false
	switch k.name {
	case "reboot", "poweroff", "halt":
		boots = true
	case "shutdown":
		boots = len(k.args) > 0 && !k.has('c', "") && !k.has(0, "--help")
	case "init", "telinit":
		boots = len(k.args) == 1 && (k.args[0].text == "6" || k.args[0].text == "0")
	case "systemctl":
		ops := k.operands("")
		boots = len(ops) > 0 && slices.Contains([]string{"reboot", "poweroff", "halt", "kexec", "soft-reboot"}, ops[0].text)
	}
	if !boots {
		return
	}
	f := detector.Finding{
		Rule: "scripts/reboot", Severity: detector.Risk, Place: at, What: "the script restarts or stops the host by itself",
		Why: "everything on the host goes down with it, at the moment that the script chooses",
		Do:  "take the call out, and reboot in a window of your own after draining the host",
	}
	switch c.host.Reboot {
	case "none":
		f.Severity = detector.Blocker
		f.What += ", where the manifest says that no reboot is needed"
	case "recommended":
		f.What += ", where the manifest only recommends a reboot"
	case "required":
		f.Severity = detector.Note
		f.What += ", as the manifest says"
	}
	c.add(f)
}
