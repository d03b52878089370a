package preflight

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"aftershock/detector"
	"aftershock/upgrades/inside"
	"aftershock/upgrades/preflight/archive"
	"aftershock/upgrades/preflight/document"
	"aftershock/upgrades/preflight/inventory"
	"aftershock/upgrades/preflight/manifest"
	"aftershock/upgrades/preflight/migrations"
	"aftershock/upgrades/preflight/scripts"
)

// Options say what a package is held to. What is left out isn't known, and nothing is
// claimed of it.
type Options struct {
	// Now is the instant of the inspection.
	Now time.Time
	// Private is a directory below which the package is unpacked, for nobody else.
	Private string
	Limits  archive.Limits
	// Inventory is what is installed and runs; nil where it isn't known.
	Inventory *inventory.Inventory
	// ConfigRoots are directories of the live configuration.
	ConfigRoots []string
	// Settings, Paths and Compatibility are files of matrices beside those of the package.
	Settings, Paths, Compatibility []string
	// Advisories are files, directories and URLs of CSAF and OSV.
	Advisories []string
	// Signatures is how the package's signatures are looked at.
	Signatures Signatures
	// Shellcheck and Squawk are the programs, "" for not asking them.
	Shellcheck, Squawk string
	// Cache keeps what is found inside binaries.
	Cache inside.Cache
	// Progress is told what is being done; nil for nobody.
	Progress func(what string)
}

// Names of the matrices that a package may bring at its top.
var (
	settingsNames      = []string{"settings.yaml", "settings.yml", "configuration.yaml", "config-matrix.yaml"}
	pathsNames         = []string{"upgrade-paths.yaml", "upgrade-paths.yml"}
	compatibilityNames = []string{"compatibility.yaml", "compatibility.yml"}
)

// maxScripts bounds the text that is read for scripts and statements, in bytes.
const maxScripts = 64 << 20

// inspection is one package being inspected.
type inspection struct {
	ctx context.Context
	o   Options
	p   *archive.Package
	fs  fs.FS
	// top is the directory that holds everything, "" for the root.
	top      string
	m        manifest.Manifest
	found    []detector.Finding
	scripts  []scripts.Script
	texts    []textFile
	versions map[string]string
	verifies []string
	built    []build
}

type textFile struct {
	path string
	data []byte
	mode fs.FileMode
}

// Inspect looks at the package at a path. The error says that it can't be read at all, or
// that something the options name can't.
func Inspect(ctx context.Context, file string, o Options) (r Report, err error) {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Limits == (archive.Limits{}) {
		o.Limits = archive.DefaultLimits
	}
	o.Progress("unpacking")
	p, err := archive.Open(ctx, file, o.Private, o.Now, o.Limits)
	if err != nil {
		return r, err
	}
	defer func() {
		if closing := p.Close(); err == nil && closing != nil {
			err = fmt.Errorf("remove what was unpacked of %s: %w", file, closing)
		}
	}()
	i := &inspection{ctx: ctx, o: o, p: p, fs: p.FS(), found: slices.Clone(p.Findings)}
	i.readManifest()
	i.found = append(i.found, archive.Ages(p.Files, i.m.BuiltAt)...)
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"reading signatures", i.checkSignatures},
		{"reading scripts", i.checkScripts},
		{"reading migrations", i.checkMigrations},
		{"reading the live configuration", i.checkSettings},
		{"reading binaries", i.checkBinaries},
		{"reading advisories", i.checkAdvisories},
	} {
		o.Progress(step.what)
		if err := step.do(); err != nil {
			return r, err
		}
		if err := ctx.Err(); err != nil {
			return r, err
		}
	}
	i.checkManifest()
	return i.report(), nil
}

// report sums up.
func (i *inspection) report() Report {
	r := Report{
		Package: filepath.Base(i.p.Path), Form: i.p.Form, Name: i.m.Name.Value, Version: i.m.Version.Value, SHA256: i.p.SHA256,
		Files: len(i.p.Files), Bytes: i.p.Size, InspectedAt: i.o.Now.UTC().Truncate(time.Second), Findings: sortFindings(i.found), Verifies: i.verifies,
	}
	for n, f := range r.Findings {
		f.Hypotheses = i.bound(f)
		r.Findings[n] = recorded(f)
	}
	named := r.Name != ""
	r.Package, r.Name, r.Version = plain(r.Package), cut(plain(r.Name), recordShort), cut(plain(r.Version), recordShort)
	if !named {
		return r
	}
	u := i.m.Upgrade(r.Package, i.o.Inventory)
	u.Binaries = recordedBinaries(u.Binaries)
	u.Findings = r.Findings
	r.Upgrade = &u
	return r
}

// bound gives hypotheses that name no binary those of the package that the place tells: a
// finding in what a binary's own directory holds.
func (i *inspection) bound(f detector.Finding) []detector.Hypothesis {
	if len(i.m.Binaries) != 1 {
		return f.Hypotheses
	}
	out := slices.Clone(f.Hypotheses)
	for n := range out {
		if len(out[n].Binaries) == 0 && len(out[n].Services) == 0 {
			out[n].Binaries = []string{i.m.Binaries[0].Name}
		}
	}
	return out
}

// add takes findings in.
func (i *inspection) add(all ...detector.Finding) { i.found = append(i.found, all...) }

// readManifest reads what the package says of itself.
func (i *inspection) readManifest() {
	i.top = topOf(i.p.Files)
	switch i.p.Form {
	case archive.FormDeb:
		fields := map[string]document.Text{}
		data, _ := fs.ReadFile(i.fs, "DEBIAN/control")
		lines := strings.Split(string(data), "\n")
		for name, value := range i.p.Fields {
			at := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+":") })
			fields[name] = document.Text{Value: value, Line: at + 1}
		}
		i.m = manifest.Control("DEBIAN/control", fields)
		return
	case archive.FormRPM:
		fields := map[string]document.Text{}
		for name, value := range i.p.Fields {
			fields[name] = document.Text{Value: value}
		}
		v := i.p.Fields["Version"]
		if e := i.p.Fields["Epoch"]; e != "" && e != "0" {
			v = e + ":" + v
		}
		if rel := i.p.Fields["Release"]; rel != "" {
			v += "-" + rel
		}
		fields["Version"] = document.Text{Value: v}
		i.m = manifest.Header("", fields)
		return
	}
	name := manifest.Find(i.fs)
	if name == "" {
		i.add(manifest.Missing())
		return
	}
	data, err := readAll(i.fs, name, manifest.MaxSize)
	if err != nil {
		i.add(unread("manifest/unreadable", name, err))
		return
	}
	m, problems := manifest.Parse(name, data)
	i.m = m
	i.add(problems...)
}

// topOf is the one directory in which a package holds everything, "" where there is none.
func topOf(files []archive.File) string {
	top := ""
	for n, f := range files {
		first, _, below := strings.Cut(f.Path, "/")
		if !below || n > 0 && first != top {
			return ""
		}
		top = first
	}
	return top
}

// unread is the finding of a file that can't be read.
func unread(rule, file string, err error) detector.Finding {
	return detector.Finding{
		Rule: rule, Severity: detector.Risk, Place: detector.Place{File: file},
		What: "it can't be read: " + plain(err.Error()), Why: "what isn't read isn't inspected", Do: "see why, and inspect the package again",
	}
}

// readAll reads a file of at most so many bytes.
func readAll(fsys fs.FS, name string, most int) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err == nil && len(data) > most {
		err = fmt.Errorf("it is larger than %d bytes", most)
	}
	return data, err
}

// readTexts reads the package's scripts and statements, once. One that is larger than is
// read comes with one byte more than that, by which its own check tells.
func (i *inspection) readTexts() {
	if i.texts != nil {
		return
	}
	i.texts = []textFile{}
	total, left, first := 0, 0, ""
	at := i.p.Contents()
	for _, f := range i.p.Files {
		content, ok := at[f.Path]
		if !ok || f.Kind == "archive" {
			continue
		}
		most := scripts.MaxText
		head, err := readHead(i.fs, content, 512)
		switch {
		case err != nil || f.Link != "" && (isSQL(content) || scripts.Reads(content, head)): // it is read where it lies
			continue
		case isSQL(f.Path):
			most = migrations.MaxText
		case !scripts.Reads(f.Path, head):
			continue
		}
		if total += int(min(f.Size, int64(most))); total > maxScripts {
			if left++; left == 1 {
				first = f.Path
			}
			continue
		}
		data, err := readHead(i.fs, content, most+1)
		if err != nil {
			i.add(unread("scripts/unreadable", f.Path, err))
			continue
		}
		i.texts = append(i.texts, textFile{f.Path, data, f.Mode})
	}
	if left > 0 {
		i.add(unread("scripts/unreadable", first, fmt.Errorf("scripts and statements are more than %d MB together; %d files from this one on are left out", maxScripts>>20, left)))
	}
}

func isSQL(name string) bool { return strings.EqualFold(path.Ext(name), ".sql") }

// readHead reads the beginning of a file.
func readHead(fsys fs.FS, name string, most int) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(most)))
}

// own finds the matrices that the package brings.
func (i *inspection) own(names []string) (out []string) {
	for _, n := range names {
		if _, err := fs.Stat(i.fs, path.Join(i.top, n)); err == nil {
			out = append(out, path.Join(i.top, n))
		}
	}
	return out
}
