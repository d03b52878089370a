// Package scripts reads the shell scripts, systemd units and crontabs of an
// upgrade's package and says what they would do to the host that they run on,
// without running anything. Shell is parsed, not searched: a word in a comment or in
// the text of a message is none of a command.
package scripts

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"aftershock/detector"
)

// Bounds of what is read.
const (
	MaxText     = 1 << 20 // bytes of one script
	MaxScripts  = 2000    // scripts of one package
	maxFindings = 200     // findings of one script; what is over is told in a note
	maxDepth    = 400     // nesting of one script
	maxCalls    = 5000    // commands of one script
)

// Script is a file of the package: a shell script, a systemd unit or timer, a crontab,
// or a file of the folder cron.d. What it is, its path and its first line tell.
type Script struct {
	// Path is the file's path within the package, with slashes.
	Path string
	Text []byte
	Mode fs.FileMode
	// Program tells that the package only installs the file, by what the package is: of a deb or rpm all that
	// isn't run by dpkg or rpm.
	Program bool
}

// Host is what is known of the host that the package is for. The zero value knows nothing: what depends on it is
// told as a note, if at all.
type Host struct {
	// Units are the names of the systemd units that exist on the host, with or without
	// their suffix ".service"; nil where they aren't known.
	Units []string
	// Zone is the host's time zone, in which its cron and timers run; nil where it isn't known.
	Zone *time.Location
	// Now is the instant after which the next runs are looked for; zero for no runs.
	Now time.Time
	// Retired are hosts that are no more: names, names that begin with "*." or "." for all
	// below them, addresses, and networks ("10.2.0.0/16").
	Retired []string
	// Lookup gives the addresses of a name, to be held against retired networks; nil
	// where names aren't to be looked up.
	Lookup func(ctx context.Context, name string) []netip.Addr
	// Sudo tells whether the host has sudo; nil where it isn't known.
	Sudo *bool
	// Root tells whether whoever runs the scripts is root already; nil where it isn't known.
	Root *bool
	// Reboot is what the package's manifest says of a reboot: "required", "recommended",
	// "none", or "" where it says nothing.
	Reboot string
	// Shellcheck is the path of the program shellcheck, the only one that is ever run; empty
	// where it isn't to be asked.
	Shellcheck string
}

// Check reads the scripts of one package and gives what they would do amiss, ordered by file and line.
// It fails at nothing: what can't be read is a finding ("scripts/unreadable", "scripts/syntax").
// Once ctx is done it stops looking and says so in a finding.
func Check(ctx context.Context, all []Script, host Host) []detector.Finding {
	c := &checker{host: host, retired: retirees(host.Retired), programs: map[string]bool{}, talking: map[string]talk{}}
	if len(all) > MaxScripts {
		c.unreadable(detector.Place{}, fmt.Sprintf("the package has %d scripts, of which %d are read", len(all), MaxScripts))
		all = all[:MaxScripts]
	}
	for _, s := range all {
		if s.Program {
			c.programs[s.Path] = true
		}
		if ctx.Err() != nil {
			c.unreadable(detector.Place{File: s.Path}, "the time for reading scripts was up before this one")
			break
		}
		c.read(s)
	}
	c.units = known(host.Units, c.texts)
	for _, s := range c.shells { // parsed anew, since the trees of all together have no room
		c.begin(s.Path)
		if sh, _ := parse(s); sh != nil {
			c.shell(ctx, sh)
		}
	}
	for _, t := range c.texts {
		if ctx.Err() != nil {
			break
		}
		c.begin(t.path)
		c.schedules(ctx, t)
	}
	c.stopped()
	c.unknowns()
	if host.Shellcheck != "" {
		c.shellcheck(ctx)
	}
	slices.SortStableFunc(c.findings, func(a, b detector.Finding) int {
		return cmp.Or(cmp.Compare(a.Place.File, b.Place.File), cmp.Compare(a.Place.Line, b.Place.Line), cmp.Compare(a.Rule, b.Rule))
	})
	return slices.CompactFunc(c.findings, func(a, b detector.Finding) bool {
		return a.Rule == b.Rule && a.Place == b.Place && a.What == b.What
	})
}

// checker is one inspection.
type checker struct {
	host     Host
	retired  retired
	shells   []Script
	talking  map[string]talk
	programs map[string]bool
	texts    []text // units and crontabs, as files or written by scripts
	units    map[string]bool
	findings []detector.Finding
	count    int // findings of the present script

	halts         []halt
	unknownUnits  detector.Place // the first unit that couldn't be looked up
	unknownZone   detector.Place
	otherLanguage []detector.Place
}

// text is a text with a form of its own: a unit, a timer or a crontab.
type text struct {
	kind  kind
	path  string // of the file that it stands in
	name  string // what it is installed as: "dten.timer", "/etc/cron.d/dten"
	line  int    // the file's line that its first line is
	lines []string
}

func (t text) place(i int) detector.Place { return detector.Place{File: t.path, Line: t.line + i} }

func (c *checker) begin(string) { c.count = 0 }

// add takes a finding down, unless the script has too many already.
func (c *checker) add(f detector.Finding) {
	c.count++
	switch {
	case c.count < maxFindings:
		c.findings = append(c.findings, f)
	case c.count == maxFindings:
		c.unreadable(f.Place, fmt.Sprintf("there are more than %d findings; those after this line aren't told", maxFindings))
	}
}

func (c *checker) unreadable(p detector.Place, what string) {
	c.findings = append(c.findings, detector.Finding{
		Rule: "scripts/unreadable", Severity: detector.Risk, Place: p, What: "can't be checked: " + what,
		Why: "nothing is known of what this would do to the host",
		Do:  "read it by hand, or ask the vendor for a smaller one",
	})
}

// kind is what a file is.
type kind int

const (
	kindNone kind = iota
	kindShell
	kindUnit
	kindCrontab // lines of a user's crontab
	kindCronD   // lines with a user's name, as in /etc/cron.d
	kindOther   // a script in another language
)

// kindOf tells what a file is by its path and its first line.
func kindOf(name string, first string) kind {
	base := path.Base(name)
	switch ext := path.Ext(base); {
	case slices.Contains(unitSuffixes, ext) && (ext != ".target" && ext != ".path" || strings.Contains(name, "systemd")):
		return kindUnit
	case base == "crontab" && strings.Contains("/"+name, "/etc/"), strings.Contains("/"+name, "/cron.d/"), strings.HasSuffix(base, ".cron.d"):
		return kindCronD
	case ext == ".cron", ext == ".crontab", base == "crontab", strings.Contains("/"+name, "/crontabs/"):
		if strings.HasPrefix(first, "#!") {
			break
		}
		return kindCrontab
	}
	if lang, ok := language(first); ok {
		if lang == 0 {
			return kindOther
		}
		return kindShell
	}
	switch path.Ext(base) {
	case ".sh", ".bash", ".ksh":
		return kindShell
	}
	switch base {
	case "preinst", "postinst", "prerm", "postrm":
		return kindShell
	}
	return kindNone
}

// Reads tells whether a file is one that Check looks at, by its path and its beginning.
func Reads(name string, head []byte) bool {
	return kindOf(name, firstLine(head)) != kindNone && !strings.Contains("/"+name, "/usr/share/doc/")
}

// firstLine gives the first line of a text, as far as it matters.
func firstLine(text []byte) string {
	text = bytes.TrimPrefix(text[:min(len(text), 300)], []byte("\ufeff"))
	first, _, _ := bytes.Cut(text, []byte("\n"))
	return string(first)
}

// read sorts a file into shell scripts and texts.
func (c *checker) read(s Script) {
	c.begin(s.Path)
	at := detector.Place{File: s.Path}
	k := kindOf(s.Path, firstLine(s.Text))
	if k == kindNone || strings.Contains("/"+s.Path, "/usr/share/doc/") {
		return
	}
	if k == kindOther {
		c.otherLanguage = append(c.otherLanguage, at)
		return
	}
	if len(s.Text) > MaxText {
		c.unreadable(at, fmt.Sprintf("%d bytes are more than the %d of a script", len(s.Text), MaxText))
		return
	}
	if k == kindCrontab && !slices.ContainsFunc(strings.Split(string(s.Text), "\n"), looksCron) {
		return // something else of that name
	}
	if bytes.IndexByte(s.Text, 0) >= 0 || !utf8.Valid(s.Text) && k != kindShell {
		c.unreadable(at, "it isn't text")
		return
	}
	switch k {
	case kindShell:
		sh, err := parse(s)
		if err != nil {
			c.syntax(s.Path, err)
		}
		if sh != nil {
			c.shells = append(c.shells, s)
			c.heard(sh)
			c.texts = append(c.texts, sh.written()...)
		}
	default:
		c.texts = append(c.texts, text{kind: k, path: s.Path, name: path.Base(s.Path), line: 1, lines: strings.Split(string(s.Text), "\n")})
	}
}

// unknowns tells, once each, what would have to be known.
func (c *checker) unknowns() {
	if c.unknownUnits.File != "" {
		c.findings = append(c.findings, detector.Finding{
			Rule: "scripts/units-unknown", Severity: detector.Note, Place: c.unknownUnits,
			What: "whether the units that the scripts name exist isn't known",
			Why:  "a script that restarts a unit which is no more leaves the old build running, or stops halfway",
			Do:   "give an inventory of the host with its units (systemctl list-unit-files)",
		})
	}
	if c.unknownZone.File != "" {
		c.findings = append(c.findings, detector.Finding{
			Rule: "scripts/zone-unknown", Severity: detector.Note, Place: c.unknownZone,
			What: "when the scheduled commands run next isn't known",
			Why:  "cron and timers run in the host's time zone",
			Do:   "give an inventory of the host with its time zone (timedatectl show -p Timezone)",
		})
	}
	if n := len(c.otherLanguage); n > 0 {
		what := "is no shell script and isn't checked"
		if n > 1 {
			what += fmt.Sprintf(", nor are %d further scripts", n-1)
		}
		c.findings = append(c.findings, detector.Finding{
			Rule: "scripts/other-language", Severity: detector.Note, Place: c.otherLanguage[0], What: what,
			Why: "only shell is read; what other scripts do isn't known",
			Do:  "read it by hand",
		})
	}
}
