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

// decodes tells a program that gives back what was made unreadable.
func decodes(name string, args []string) bool {
	switch name {
	case "base64", "base32", "basenc", "openssl":
		return slices.ContainsFunc(args, func(a string) bool {
			return a == "--decode" || len(a) > 1 && a[0] == '-' && a[1] != '-' && strings.ContainsAny(a[1:], "dD")
		})
	case "xxd":
		return slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "-r") })
	case "uudecode", "rev":
		return true
	}
	return false
}

// encoded: what is run can't be read in the script.
func (c *checker) encoded(s *shell, k *call, at detector.Place) {
	found := false
	switch {
	case slices.Contains(interpreters, k.name) && k.to > k.from && !executes(k):
		for i := k.from; i < k.to; i++ {
			var args []string
			for _, a := range s.calls[i].args {
				args = append(args, a.text)
			}
			found = found || decodes(s.calls[i].name, args)
		}
	case slices.Contains(interpreters, k.name), k.name == "eval", k.name == "source", k.name == ".":
		for _, w := range k.args {
			if w.node == nil {
				continue
			}
			syntax.Walk(w.node, func(n syntax.Node) bool {
				if x, ok := n.(*syntax.CallExpr); ok && len(x.Args) > 0 {
					var args []string
					for _, a := range x.Args[1:] {
						args = append(args, a.Lit())
					}
					found = found || decodes(path.Base(x.Args[0].Lit()), args)
				}
				return !found
			})
		}
	}
	if !found {
		return
	}
	c.add(detector.Finding{
		Rule: "scripts/encoded-code", Severity: detector.Risk, Place: at, What: "decodes a text and runs it",
		Why: "what is run can't be read in the script, and wasn't inspected",
		Do:  "ask the vendor for it in plain text; to see it, decode it without running it",
	})
}

// checks are the programs by which a download is held to a digest or a signature.
var checks = []string{"sha256sum", "sha512sum", "sha384sum", "sha224sum", "sha1sum", "md5sum", "b2sum", "shasum", "gpg", "gpgv", "gpg2", "openssl", "minisign", "cosign", "signify", "rpm", "rpmkeys"}

// downloaded is where a call of curl or wget puts what it fetches, "" for its output.
func (s *shell) downloaded(k *call) string {
	if !slices.Contains(fetchers, k.name) {
		return ""
	}
	for i, a := range k.args {
		t := a.text
		option := k.name == "curl" && len(t) < 8 && len(t) > 1 && t[0] == '-' && t[1] != '-' && strings.HasSuffix(t, "o") ||
			k.name == "wget" && len(t) < 8 && len(t) > 1 && t[0] == '-' && t[1] != '-' && strings.HasSuffix(t, "O") || t == "--output" || t == "--output-document" || k.name == "fetch" && t == "-o"
		if option && i+1 < len(k.args) {
			return k.args[i+1].text
		}
		if _, to, ok := strings.Cut(t, "="); ok && (strings.HasPrefix(t, "--output=") || strings.HasPrefix(t, "--output-document=")) {
			return to
		}
	}
	for _, r := range k.redirs {
		if (r.Op == syntax.RdrOut || r.Op == syntax.RdrClob) && r.Word != nil {
			return s.word(r.Word, 0).text
		}
	}
	return ""
}

// fetchedAndRun: a download that is run with nothing in between that looks at it.
func (c *checker) fetchedAndRun(s *shell, k *call, at detector.Place) {
	target := s.downloaded(k)
	if target == "" || target == "-" || strings.HasPrefix(target, "/dev/") {
		return
	}
	is := func(t string) bool {
		return t == target || path.Clean(t) == path.Clean(target) && strings.Contains(t, "/")
	}
	checked := false
	run := s.later(k, func(o *call) bool {
		checked = checked || slices.Contains(checks, o.name) || slices.Contains(o.before, "gpg")
		if checked {
			return false
		}
		if is(o.word.text) && (strings.Contains(o.word.text, "/") || strings.HasPrefix(o.word.text, "$")) {
			return true
		}
		if !slices.Contains(interpreters, o.name) && o.name != "." && o.name != "source" {
			return false
		}
		ops := o.operands("")
		return len(ops) > 0 && is(ops[0].text)
	})
	if run {
		c.add(detector.Finding{
			Rule: "scripts/remote-code", Severity: detector.Risk, Place: at, What: "runs what a server answers, unseen (" + clip(target, 60) + ")",
			Why: "what is run isn't what was inspected: it may change between two hosts",
			Do:  "check its digest against one that the vendor signed before it is run",
		})
	}
}

var (
	// systemTree are folders without which a host is none.
	systemTree = regexp.MustCompile(`^/(?:\.?\*|(?:bin|boot|dev|etc|home|lib|lib32|lib64|libx32|opt|proc|root|run|sbin|srv|sys|usr|usr/(?:bin|lib|sbin|share|local)|var|var/(?:lib|log|spool))(?:/\.?\*?)?)?$`)
	disk       = regexp.MustCompile(`^/dev/(?:(?:s|h|v|xv)d[a-z]|nvme|mmcblk|dm-|md|mapper/|disk/)`)
)

// destroys: the host's own folders, and disks.
func (c *checker) destroys(_ *shell, k *call, at detector.Place) {
	what := ""
	ops := k.operands("")
	switch {
	case k.name == "rm" && (k.has('r', "--recursive") || k.has('R', "")):
		for _, w := range ops {
			if w.known && systemTree.MatchString(w.text) {
				what = "removes " + w.text
			}
		}
	case k.name == "find":
		deletes := slices.ContainsFunc(k.args, func(w word) bool { return w.text == "-delete" })
		narrow := slices.ContainsFunc(k.args, func(w word) bool {
			return slices.Contains([]string{"-name", "-iname", "-path", "-regex", "-mtime", "-mmin", "-user", "-newer", "-empty", "-inum", "-maxdepth", "-perm", "-xtype", "-lname", "-wholename"}, w.text)
		})
		if deletes && !narrow && len(ops) > 0 && systemTree.MatchString(ops[0].text) {
			what = "removes all below " + ops[0].text
		}
	case strings.HasPrefix(k.name, "mkfs"), k.name == "wipefs" && k.has('a', "--all"), k.name == "shred", k.name == "blkdiscard", k.name == "sgdisk" && k.has('Z', "--zap-all"):
		for _, w := range ops {
			if disk.MatchString(w.text) {
				what = "writes " + w.text + " over"
			}
		}
	case k.name == "dd":
		for _, w := range k.args {
			if to, ok := strings.CutPrefix(w.text, "of="); ok && disk.MatchString(to) {
				what = "writes " + to + " over"
			}
		}
	}
	if what == "" {
		return
	}
	c.add(detector.Finding{
		Rule: "scripts/removal", Severity: detector.Blocker, Place: at, What: clip(what, 80),
		Why: "the host, or all that is kept there, is lost",
		Do:  "don't run it; ask the vendor what it is meant to remove",
	})
}

// deferred: at, batch and systemd-run have a command run later.
func (c *checker) deferred(_ *shell, k *call, at detector.Place) {
	when := ""
	switch k.name {
	case "at", "batch":
		if k.has('l', "") || k.has('r', "") || k.has('d', "") || k.has('c', "") || k.name == "at" && len(k.args) == 0 {
			return
		}
		when = "once, by " + k.name
	default:
		for i, w := range k.wrapper {
			for _, o := range []string{"--on-calendar", "--on-active", "--on-boot", "--on-startup", "--on-unit-active", "--on-unit-inactive", "--timer-property"} {
				if v, ok := strings.CutPrefix(w.text, o+"="); ok {
					when = v
				} else if w.text == o && i+1 < len(k.wrapper) {
					when = k.wrapper[i+1].text
				}
			}
		}
		if when == "" {
			return
		}
		when = fmt.Sprintf("at %q", clip(when, 60))
	}
	shown := k.name
	if k.name == "at" || k.name == "batch" {
		shown = "what it is given"
	}
	c.add(detector.Finding{
		Rule: "scripts/scheduled-run", Severity: detector.Note, Place: at, What: fmt.Sprintf("runs %s by itself, %s", shown, when),
		Why:    "it runs after the upgrade is over, when nobody watches for it",
		Do:     "put down what it does, and look at it when it ran (atq, systemctl list-timers)",
		Chores: []detector.Chore{{Kind: "cron", Name: shown, What: "see that it ran, and that it doesn't run again unless it is meant to"}},
	})
}
