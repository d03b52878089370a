package scripts

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"aftershock/detector"
)

var (
	hookURL    = regexp.MustCompile(`(?i)/(?:web)?hooks?(?:/|\?|$)|/webhooks?\b|/subscriptions?\b`)
	bannerName = regexp.MustCompile(`(?i)maintenance|down-?time|upgrade-?in-?progress|(?:^|[/._-])banner|/nologin$|\.lock-?out$`)
)

// chores: what a script makes for the time of the upgrade, that somebody has to take away again.
func (c *checker) chores(s *shell, k *call, at detector.Place) {
	switch k.name {
	case "curl", "wget", "http":
		c.webhook(s, k, at)
	case "amtool":
		c.silence(s, k, at)
	case "touch", "cp", "install", "mv", "ln":
		if ops := k.operands("mogt"); len(ops) > 0 {
			target := ops[len(ops)-1].text
			c.banner(target, at, s)
			if k.name == "touch" {
				c.temporary(s, target, at)
			}
		}
	case "tee":
		for _, w := range k.operands("") {
			c.banner(w.text, at, s)
			c.temporary(s, w.text, at)
		}
	default:
		c.credential(s, k, at)
	}
}

func (c *checker) webhook(s *shell, k *call, at detector.Place) {
	method := ""
	target := ""
	for i, a := range k.args {
		switch t := a.text; {
		case (t == "-X" || t == "--request") && i+1 < len(k.args):
			method = k.args[i+1].text
		case strings.HasPrefix(t, "-X") && len(t) > 2:
			method = t[2:]
		case strings.HasPrefix(t, "--request="):
			method = t[len("--request="):]
		case strings.HasPrefix(t, "--post-") || strings.HasPrefix(t, "--method=POST") || strings.HasPrefix(t, "--data") || strings.HasPrefix(t, "--json") || t == "-d" || t == "POST":
			if method == "" {
				method = "POST"
			}
		case strings.Contains(t, "://") && target == "":
			target = t
		}
	}
	if method != "POST" && method != "PUT" || !hookURL.MatchString(target) || strings.Contains(target, "hooks.slack.com") {
		return
	}
	if s.later(k, func(o *call) bool {
		return strings.Contains(o.source, "DELETE") && slices.ContainsFunc(o.args, func(w word) bool { return hookURL.MatchString(w.text) })
	}) {
		return
	}
	name := hostOf(target)
	if name == "" {
		name = clip(redact(target), 80)
	}
	c.add(detector.Finding{
		Rule: "scripts/webhook", Severity: detector.Note, Place: at, What: "registers a webhook at " + name,
		Why:    "it goes on being called after the upgrade, and is nowhere in the configuration",
		Do:     "put down who deletes it and when",
		Chores: []detector.Chore{{Kind: "webhook", Name: name, What: "delete the webhook that the upgrade registered"}},
	})
}

// later tells whether a further call of the script matches.
func (s *shell) later(k *call, match func(*call) bool) bool {
	for i := range s.calls {
		if o := &s.calls[i]; o != k && match(o) {
			return true
		}
	}
	return false
}

func (c *checker) silence(s *shell, k *call, at detector.Place) {
	var verbs []string
	for _, w := range k.operands("") {
		verbs = append(verbs, w.text)
	}
	i := slices.Index(verbs, "silence")
	if i < 0 || i+1 == len(verbs) || verbs[i+1] != "add" {
		return
	}
	if s.later(k, func(o *call) bool {
		return o.name == "amtool" && slices.ContainsFunc(o.args, func(w word) bool { return w.text == "expire" })
	}) {
		return
	}
	what := clip(redact(strings.Join(verbs[i+2:], " ")), 80)
	c.add(detector.Finding{
		Rule: "scripts/silence", Severity: detector.Note, Place: at, What: "silences alerts: " + what,
		Why:    "while it lasts nobody is told of what the upgrade does, nor of anything else that it matches",
		Do:     "keep it narrow and short (--duration), and expire it once the upgrade is judged",
		Chores: []detector.Chore{{Kind: "silence", Name: what, What: "expire the silence that the upgrade made (amtool silence query)"}},
	})
}

// banner: files that tell programs or people of a maintenance.
func (c *checker) banner(target string, at detector.Place, s *shell) {
	if !bannerName.MatchString(target) || strings.HasPrefix(target, "/dev/") || strings.HasSuffix(target, ".sh") || strings.Contains(target, "systemd") {
		return
	}
	if path.Ext(target) == ".log" || s.removes(target) {
		return
	}
	chore := detector.Chore{Kind: "banner", Name: clip(target, 120), What: "take the banner or flag file away"}
	if strings.HasPrefix(target, "/") && !strings.Contains(target, "$") {
		chore.Probe = "file " + target
	}
	c.add(detector.Finding{
		Rule: "scripts/banner", Severity: detector.Note, Place: at, What: "puts up " + clip(target, 80) + " and doesn't take it away",
		Why:    "users or load balancers go on seeing a maintenance that is over",
		Do:     "remove it at the end, also where the script fails (trap … EXIT)",
		Chores: []detector.Chore{chore},
	})
}

// removes tells whether a script removes a path again.
func (s *shell) removes(target string) bool {
	return s.later(nil, func(o *call) bool {
		return (o.name == "rm" || o.name == "unlink" || o.name == "mv") && slices.ContainsFunc(o.operands(""), func(w word) bool { return w.text == target })
	}) || slices.ContainsFunc(s.traps(), func(t string) bool { return strings.Contains(t, target) })
}

// traps gives the texts of what runs when the script ends.
func (s *shell) traps() []string {
	var all []string
	for i := range s.calls {
		if s.calls[i].name == "trap" && len(s.calls[i].args) > 0 {
			all = append(all, s.calls[i].args[0].text)
		}
	}
	return all
}

// issuers are commands that make credentials, by the words that follow them.
var issuers = map[string][]string{
	"vault": {"token create"}, "kubectl": {"create token", "create serviceaccount"}, "aws": {"iam create-access-key", "iam create-user"},
	"gcloud": {"iam service-accounts keys create"}, "az": {"ad sp create-for-rbac"}, "htpasswd": {""}, "ssh-copy-id": {""}, "createuser": {""},
	"useradd": {""}, "adduser": {""}, "rabbitmqctl": {"add_user"}, "grafana-cli": {"admin create"}, "gh": {"auth token"}, "htdigest": {""},
}

// undoers take such a credential away again.
var undoers = []string{"userdel", "deluser", "revoke", "delete", "delete-access-key", "delete-user", "dropuser", "delete_user"}

func (c *checker) credential(s *shell, k *call, at detector.Place) {
	phrases, ok := issuers[k.name]
	if !ok || k.guarded("--system") {
		return
	}
	var ops []string
	for _, w := range k.operands("ugGdscekKpfborA") {
		ops = append(ops, w.text)
	}
	line := strings.Join(ops, " ")
	if !slices.ContainsFunc(phrases, func(p string) bool { return strings.HasPrefix(line, p) }) {
		return
	}
	switch k.name {
	case "useradd", "adduser":
		// A service's own account stays.
		if k.has('r', "--system") || k.has('D', "--defaults") || len(ops) != 1 || k.has(0, "--group") || k.has(0, "--ingroup") {
			return
		}
	}
	if s.later(k, func(o *call) bool {
		return slices.Contains(undoers, o.name) || slices.ContainsFunc(o.args, func(w word) bool { return slices.Contains(undoers, w.text) }) && o.name == k.name
	}) {
		return
	}
	name := strings.TrimSpace(k.name + " " + clip(redact(line), 60))
	c.add(detector.Finding{
		Rule: "scripts/temporary-credential", Severity: detector.Note, Place: at, What: "makes a credential or an account: " + name,
		Why:    "what was made for the upgrade goes on opening doors after it",
		Do:     fmt.Sprintf("put down who takes it away and when, unless %q is meant to stay", clip(line, 40)),
		Chores: []detector.Chore{{Kind: "credential", Name: name, What: "revoke or delete it, unless it is meant to stay"}},
	})
}

// cronOff: schedules that a script switches off.
func (c *checker) cronOff(s *shell, k *call, at detector.Place) {
	if remover(s.path) {
		return
	}
	what := ""
	ops := k.operands("")
	cron := func(w word) bool {
		return strings.Contains(w.text, "/cron.") || strings.HasPrefix(w.text, "/var/spool/cron") || w.text == "/etc/crontab"
	}
	switch k.name {
	case "crontab":
		if k.has('r', "") {
			what = "all of a crontab (crontab -r)"
		} else if k.to > k.from {
			for i := k.from; i < k.to; i++ {
				g := &s.calls[i]
				if g.name == "grep" && g.has('v', "--invert-match") || g.name == "sed" && !g.has('n', "") {
					what = "entries of a crontab (" + clip(redact(g.source), 60) + ")"
				}
			}
			if what != "" && len(s.fed(k.from, k.to)) > 0 {
				what = "" // it replaces the entries
			}
		}
	case "mv", "rm":
		if len(ops) > 0 && cron(ops[0]) && (k.name == "rm" || !cron(ops[len(ops)-1]) || strings.Contains(path.Base(ops[len(ops)-1].text), ".")) {
			what = clip(ops[0].text, 80)
		}
	case "chmod":
		if len(ops) > 1 && strings.Contains(ops[0].text, "-x") && cron(ops[1]) {
			what = clip(ops[1].text, 80)
		}
		if k.has('x', "") && len(ops) > 0 && cron(ops[len(ops)-1]) {
			what = clip(ops[len(ops)-1].text, 80)
		}
	case "sed":
		if k.has('i', "--in-place") && len(ops) > 0 && cron(ops[len(ops)-1]) && strings.Contains(k.source, "#") {
			what = "entries of " + clip(ops[len(ops)-1].text, 80)
		}
	}
	if what == "" || maintainer(s.path) && k.name == "rm" {
		return
	}
	c.add(detector.Finding{
		Rule: "scripts/cron-disabled", Severity: detector.Note, Place: at, What: "switches a schedule off: " + what,
		Why:    "what it did (backups, clean-up, exports) stays undone until somebody notices",
		Do:     "switch it on again after the upgrade, unless it is meant to go for good",
		Chores: []detector.Chore{{Kind: "cron", Name: what, What: "switch it on again, or decide that it stays off"}},
	})
}

var predictable = regexp.MustCompile(`^(?:/tmp|/var/tmp|/dev/shm)/[^$*?]*(?:\$\$?)?[^$*?/]*$`)

// temporary: a file in a folder that everybody may write to, at a name that everybody can guess.
func (c *checker) temporary(s *shell, target string, at detector.Place) {
	if !predictable.MatchString(target) {
		return
	}
	runs := s.later(nil, func(o *call) bool {
		if o.word.text == target {
			return true
		}
		return (slices.Contains(interpreters, o.name) || o.name == "." || o.name == "source") && slices.ContainsFunc(o.args, func(w word) bool { return w.text == target })
	})
	f := detector.Finding{
		Rule: "scripts/temp-file", Severity: detector.Note, Place: at, What: "writes " + clip(target, 80) + ", a name that every user can guess",
		Why: "whoever puts a link or a file there first decides what is written where, with the rights of who runs the script",
		Do:  `use tmp=$(mktemp) and trap 'rm -f "$tmp"' EXIT`,
	}
	if runs {
		f.Severity = detector.Risk
		f.What += ", and runs it"
	}
	c.add(f)
}

// predictable: what is downloaded to such a name.
func (c *checker) predictable(s *shell, k *call, at detector.Place) {
	if len(k.redirs) == 0 {
		c.temporary(s, s.downloaded(k), at)
	}
}
