package scripts

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"aftershock/detector"
)

// retired are the hosts that are no more.
type retired struct {
	names []string // lower case; one that begins with a dot is of all below
	nets  []netip.Prefix
}

func retirees(all []string) retired {
	var r retired
	for _, s := range all {
		s = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(s), "."))
		if p, err := netip.ParsePrefix(s); err == nil {
			r.nets = append(r.nets, p.Masked())
		} else if a, err := netip.ParseAddr(s); err == nil {
			r.nets = append(r.nets, netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()))
		} else if s != "" {
			r.names = append(r.names, strings.TrimPrefix(s, "*"))
		}
	}
	return r
}

// gone tells which of the retired hosts a host is.
func (c *checker) gone(ctx context.Context, host string) (string, bool) {
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if a, err := netip.ParseAddr(host); err == nil {
		return c.goneAddr(a)
	}
	for _, n := range c.retired.names {
		if host == n || n[0] == '.' && strings.HasSuffix(host, n) {
			return n, true
		}
	}
	if c.host.Lookup == nil || len(c.retired.nets) == 0 || !strings.Contains(host, ".") || ctx.Err() != nil {
		return "", false
	}
	for _, a := range c.host.Lookup(ctx, host) {
		if n, ok := c.goneAddr(a); ok {
			return n, true
		}
	}
	return "", false
}

func (c *checker) goneAddr(a netip.Addr) (string, bool) {
	for _, p := range c.retired.nets {
		if p.Contains(a.Unmap()) {
			if p.IsSingleIP() {
				return p.Addr().String(), true
			}
			return p.String(), true
		}
	}
	return "", false
}

// peer is a host that a command talks to.
type peer struct {
	host string
	by   string // the program
	at   detector.Place
}

var (
	urlHost  = regexp.MustCompile(`\b[a-zA-Z][a-zA-Z0-9+.-]*://(?:[^/\s@"'?#]*@)?(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)`)
	hostname = regexp.MustCompile(`^(?:[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?\.?)+$|^\[?[0-9a-fA-F:]+:[0-9a-fA-F:.]*\]?$`)
	conninfo = regexp.MustCompile(`\b(?:host|hostaddr)\s*=\s*'?([A-Za-z0-9._:-]+)`)
	device   = regexp.MustCompile(`/dev/(?:tcp|udp)/([^/\s"']+)/`)
)

// clients are programs whose operand or option is a host: letters of options with a value, the option
// that names the host, and which operand does (-1: none, 9: all).
var clients = map[string]struct {
	valued  string
	option  byte
	long    string
	operand int
	path    bool // operands are host:path
}{
	"curl": {valued: "AbcCdDeEFHKmoPQrtTuUwxXyYz", operand: 9}, "wget": {valued: "aeioOPtTUQBADIRXl", operand: 9},
	"sftp": {valued: "BbcDFiJlloPRsS", path: true, operand: 0}, "scp": {valued: "cDFiJloPSX", path: true, operand: 9},
	"ssh": {valued: "BbcDEeFIiJLlmOopQRSWw", operand: 0}, "rsync": {valued: "efBTM", path: true, operand: 9},
	"nc": {valued: "IiMmOopqsTVWwXx", operand: 0}, "ncat": {valued: "cegimopsw", operand: 0}, "telnet": {valued: "bln", operand: 0},
	"ftp": {valued: "PoTr", operand: 0}, "lftp": {valued: "efpucs", operand: 0}, "ping": {valued: "cIimQstwW", operand: 0},
	"psql": {valued: "cdfFLoPRTUpv", option: 'h', long: "--host", operand: -1}, "pg_dump": {valued: "dfFUpntj", option: 'h', long: "--host", operand: -1},
	"pg_restore": {valued: "dfFUpntj", option: 'h', long: "--host", operand: -1}, "mysql": {valued: "DePuS", option: 'h', long: "--host", operand: -1},
	"mysqldump": {valued: "PuS", option: 'h', long: "--host", operand: -1}, "mariadb": {valued: "DePuS", option: 'h', long: "--host", operand: -1},
	"redis-cli": {valued: "pasun", option: 'h', operand: -1}, "ssh-keyscan": {valued: "fpTt", operand: 9}, "dig": {operand: -1},
	"smbclient": {valued: "UWIcp", path: true, operand: 0}, "ldapsearch": {valued: "bDwxps", option: 'h', operand: -1}, "ssh-copy-id": {valued: "ipo", operand: 0},
}

// peersOf gives the hosts that one call talks to, as its words name them.
func peersOf(k *call) []string {
	var all []string
	seen := func(h string) {
		if h = strings.TrimSpace(h); h != "" && !strings.Contains(h, "$") && hostname.MatchString(h) && !slices.Contains(all, h) {
			all = append(all, h)
		}
	}
	texts := func(w word) []string { return append([]string{w.text}, w.alts...) }
	for _, w := range append(slices.Clip(k.args), k.word) {
		for _, t := range texts(w) {
			for _, m := range urlHost.FindAllStringSubmatch(t, 16) {
				seen(m[1])
			}
			for _, m := range device.FindAllStringSubmatch(t, 16) {
				seen(m[1])
			}
		}
	}
	for _, r := range k.redirs {
		if r.Word != nil {
			t, _ := (&renderer{}).parts(r.Word.Parts, false)
			if m := device.FindStringSubmatch(t); m != nil {
				seen(m[1])
			}
		}
	}
	p, ok := clients[k.name]
	if !ok {
		return all
	}
	for i, w := range k.args {
		for _, t := range texts(w) {
			switch {
			case p.option != 0 && t == "-"+string(p.option) && i+1 < len(k.args):
				for _, v := range texts(k.args[i+1]) {
					seen(v)
				}
			case p.option != 0 && strings.HasPrefix(t, "-"+string(p.option)) && t[1] != '-':
				seen(t[2:])
			case p.long != "" && strings.HasPrefix(t, p.long+"="):
				seen(t[len(p.long)+1:])
			}
			if m := conninfo.FindStringSubmatch(t); m != nil && p.long != "" {
				seen(m[1])
			}
		}
	}
	for i, w := range k.operands(p.valued) {
		if p.operand < 0 || p.operand != 9 && i > p.operand {
			break
		}
		for _, t := range texts(w) {
			if h, ok := operandHost(t, p.path, k.name); ok {
				seen(h)
			}
		}
	}
	return all
}

// operandHost gives the host of an operand: [user@]host[:path], or host[:port][/path].
func operandHost(t string, withPath bool, program string) (string, bool) {
	if strings.Contains(t, "://") {
		return "", false // seen already
	}
	if program == "smbclient" {
		t = strings.TrimLeft(t, `/\`)
	}
	if _, after, ok := strings.Cut(t, "@"); ok {
		t = after
	}
	if strings.HasPrefix(t, "[") {
		h, _, ok := strings.Cut(t, "]")
		return strings.TrimPrefix(h, "["), ok
	}
	if strings.HasPrefix(t, "/") || strings.HasPrefix(t, ".") {
		return "", false
	}
	if withPath && program != "sftp" && program != "smbclient" && !strings.Contains(t, ":") {
		return "", false // a file of this host
	}
	t, _, _ = strings.Cut(t, "/")
	if strings.Count(t, ":") <= 1 {
		t, _, _ = strings.Cut(t, ":")
	}
	return t, t != ""
}

// peers gives the hosts that a command line talks to, and those of the package's scripts that it
// runs, one level deep.
func (c *checker) peers(command string, at int) []peer {
	s := words(command, at)
	if s == nil {
		return nil
	}
	var all []peer
	for i := range s.calls {
		k := &s.calls[i]
		for _, h := range peersOf(k) {
			all = append(all, peer{host: h, by: k.name})
		}
		for _, w := range append([]word{k.word}, k.args...) {
			all = append(all, c.script(w.text)...)
		}
	}
	return all
}

// talk is what the scripts of one name talk to.
type talk struct {
	scripts int
	peers   []peer
}

// heard takes down what a script talks to, for those that run it.
func (c *checker) heard(s *shell) {
	base := path.Base(s.path)
	t := c.talking[base]
	t.scripts++
	for i := range s.calls {
		for _, h := range peersOf(&s.calls[i]) {
			t.peers = append(t.peers, peer{host: h, by: s.calls[i].name, at: detector.Place{File: s.path, Line: s.calls[i].line}})
		}
	}
	c.talking[base] = t
}

// script gives what the package's script that a path of the host means talks to: the only one of its name.
func (c *checker) script(name string) []peer {
	base := path.Base(name)
	if !strings.Contains(name, "/") && path.Ext(name) == "" || strings.Contains(base, "$") {
		return nil
	}
	if t := c.talking[base]; t.scripts == 1 {
		return t.peers
	}
	return nil
}

// talks: a command of a script itself that talks to a retired host.
func (c *checker) talks(ctx context.Context, s *shell, k *call, at detector.Place) {
	if len(c.retired.names)+len(c.retired.nets) == 0 {
		return
	}
	for _, h := range peersOf(k) {
		gone, ok := c.gone(ctx, h)
		if !ok {
			continue
		}
		severity := detector.Risk
		if s.ends(k) && k.fn == "" {
			severity = detector.Blocker
		}
		c.retiredHost(at, peer{host: h, by: k.name}, gone, "", severity, nil)
	}
}

// retiredHost is the finding of a command that talks to a host which is no more.
func (c *checker) retiredHost(at detector.Place, p peer, gone, when, severity string, h *detector.Hypothesis, chores ...detector.Chore) {
	f := detector.Finding{
		Rule: "scripts/retired-host", Severity: severity, Place: at, What: fmt.Sprintf("%s talks to %s, which is retired", p.by, p.host),
		Why:    "it waits for an answer until its time limit, retries and fails; what it should bring or fetch is missing, without anybody being told",
		Do:     fmt.Sprintf("ask the vendor for what took %s's place, or take this out before the upgrade", p.host),
		Chores: chores,
	}
	if !strings.EqualFold(strings.TrimPrefix(gone, "."), p.host) {
		f.What += " (" + gone + ")"
	}
	if when != "" {
		f.What += ", " + when
	}
	if p.at.File != "" {
		f.What += fmt.Sprintf(" (in %s line %d)", p.at.File, p.at.Line)
	}
	if h != nil {
		g := *h
		g.Says = fmt.Sprintf("%s talks to the retired host %s at %q (%s line %d)", p.by, p.host, g.Schedule, at.File, at.Line)
		f.Hypotheses = []detector.Hypothesis{g}
	}
	c.add(f)
}

// hostOf gives a URL's host and path alone, to be shown.
func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host + u.Path
}
