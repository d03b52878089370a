package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"aftershock/detector"
	"aftershock/upgrades/inside"
	"aftershock/upgrades/preflight"
	"aftershock/upgrades/preflight/inventory"
)

// Exit statuses of inspect beside those of all commands.
const (
	exitRisks    = 1
	exitBlockers = 4
)

// several is a flag that may be given several times.
type several []string

func (s *several) String() string { return strings.Join(*s, ", ") }

func (s *several) Set(text string) error {
	if text == "" {
		return errors.New("it is empty")
	}
	*s = append(*s, text)
	return nil
}

var inspectCommand = command{
	name:    "inspect",
	summary: "Tell before an upgrade what is wrong with its package.",
	usage: "inspect PACKAGE [--against INVENTORY] [--config-root DIR] [--format text|json|sarif|md]\n\n" +
		"PACKAGE is a zip, tar (plain, gzip, zstd, xz, bzip2), deb, rpm or a directory. Nothing of it is run, and nothing is written outside a\n" +
		"private directory, which goes with the command.\n\n" +
		"Exit status: 0 nothing above a note, 1 risks, 4 blockers, 2 wrong usage or an unreadable package.",
	example: "aftershock inspect Full-upgrade-package-dten.zip\n" +
		"aftershock inspect Full-upgrade-package-dten.zip --against inventory.yaml --config-root /etc/dten --record upgrade.json",
	define: defineInspect,
}

type inspectArgs struct {
	flags                                             *flag.FlagSet
	against, format, record, start, cache             *string
	roots, settings, paths, compatibility, advisories several
	shellcheck, squawk                                *bool
	signed                                            signatureArgs
}

func defineInspect(f *flag.FlagSet) func(context.Context, shell, []string) (int, error) {
	a := &inspectArgs{
		flags:      f,
		against:    f.String("against", "", "the `inventory` of what is installed and runs: see aftershock inventory"),
		format:     f.String("format", "text", "the output's `form`: text, json, sarif or md"),
		record:     f.String("record", "", "write the record of the upgrade, with what was found, into a `file`: for aftershock upgrades record"),
		start:      f.String("planned-start", "", "when the upgrade is to begin, for the record, as a `time` such as 2026-03-06T09:00:00Z (default: now)"),
		cache:      f.String("cache", "", "keep what was read of each build in a `directory`"),
		shellcheck: f.Bool("shellcheck", true, "ask shellcheck about shell scripts, where it is installed"),
		squawk:     f.Bool("squawk", true, "ask squawk about migrations of PostgreSQL, where it is installed"),
	}
	f.Var(&a.roots, "config-root", "a `directory` of the live configuration; may be given several times")
	f.Var(&a.settings, "settings", "a configuration matrix, as a `file`; may be given several times")
	f.Var(&a.paths, "paths", "a matrix of known upgrade paths, as a `file`")
	f.Var(&a.compatibility, "compatibility", "a matrix of which versions go together, as a `file`; may be given several times")
	f.Var(&a.advisories, "advisories", "CSAF or OSV: a `source`, file, directory or https URL; may be given several times")
	a.signed.define(f)
	return func(ctx context.Context, sh shell, args []string) (int, error) {
		if len(args) != 1 {
			return exitUsage, usagef("one package is needed")
		}
		if err := oneOf(*a.format, "text", "json", "sarif", "md"); err != nil {
			return exitUsage, err
		}
		return a.inspect(ctx, sh, args[0])
	}
}

func (a *inspectArgs) inspect(ctx context.Context, sh shell, path string) (int, error) {
	now := time.Now()
	start := now.UTC().Truncate(time.Minute)
	if *a.start != "" {
		t, err := time.Parse(time.RFC3339, *a.start)
		if err != nil {
			return exitUsage, usagef("--planned-start %q isn't a time such as 2026-03-06T09:00:00Z", *a.start)
		}
		start = t.UTC()
	}
	o, err := a.options(ctx, path, now)
	if err != nil {
		return exitUsage, err
	}
	if o.Private, err = os.MkdirTemp("", "aftershock-inspect-"); err != nil {
		return exitUsage, fmt.Errorf("make a private directory: %w", err)
	}
	defer os.RemoveAll(o.Private)
	said := newStages(sh.stderr)
	o.Progress = said.now
	r, err := preflight.Inspect(ctx, path, o)
	said.over()
	if err != nil {
		return exitUsage, err
	}
	if *a.record != "" {
		if err := writeRecord(r, *a.record, start); err != nil {
			return exitUsage, err
		}
	}
	if err := a.write(sh.stdout, r); err != nil {
		return exitUsage, err
	}
	switch r.Worst() {
	case detector.Blocker:
		return exitBlockers, nil
	case detector.Risk:
		return exitRisks, nil
	}
	return exitOK, nil
}

func (a *inspectArgs) options(ctx context.Context, path string, now time.Time) (o preflight.Options, err error) {
	o = preflight.Options{
		Now: now, ConfigRoots: a.roots, Settings: a.settings, Paths: a.paths, Compatibility: a.compatibility, Advisories: a.advisories,
		Cache: inside.Cache{Dir: *a.cache},
	}
	if *a.shellcheck {
		o.Shellcheck, _ = exec.LookPath("shellcheck") // left out where it isn't there
	}
	if *a.squawk {
		o.Squawk, _ = exec.LookPath("squawk")
	}
	if *a.against != "" {
		inv, err := inventory.Read(*a.against)
		if err != nil {
			return o, err
		}
		o.Inventory = &inv
		if len(o.ConfigRoots) == 0 {
			o.ConfigRoots = inv.ConfigurationRoots
		}
	}
	asked := false
	a.flags.Visit(func(f *flag.Flag) { asked = asked || f.Name == "server" })
	o.Signatures, err = a.signed.options(ctx, path, asked)
	return o, err
}

func (a *inspectArgs) write(w io.Writer, r preflight.Report) error {
	switch *a.format {
	case "json":
		return r.WriteJSON(w)
	case "sarif":
		return r.WriteSARIF(w, version)
	case "md":
		return r.WriteMarkdown(w)
	}
	return r.WriteText(w, terminal(w))
}

// terminal says whether colours are welcome: the writer is a terminal, and nobody said
// otherwise (no-color.org).
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// writeRecord writes the record of the upgrade that the package is.
func writeRecord(r preflight.Report, path string, start time.Time) error {
	if r.Upgrade == nil {
		return fmt.Errorf("write %s: the package doesn't say what it is, so that no record can be drafted: it needs a manifest", path)
	}
	u := *r.Upgrade
	u.PlannedStart = start
	b, err := json.MarshalIndent(u, "", "  ")
	if err != nil {
		return fmt.Errorf("write the record: %w", err)
	}
	return writeFile(path, string(b)+"\n", 0o644)
}

// stages tells what takes long: each stage that lasts over two seconds.
type stages struct {
	w    io.Writer
	stop func()
}

func newStages(w io.Writer) *stages { return &stages{w: w, stop: func() {}} }

func (s *stages) now(what string) {
	s.stop()
	s.stop = progress(s.w, what)
}

func (s *stages) over() { s.stop() }
