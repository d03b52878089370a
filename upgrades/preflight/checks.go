package preflight

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"aftershock/detector"
	"aftershock/upgrades/inside"
	"aftershock/upgrades/preflight/advisories"
	"aftershock/upgrades/preflight/archive"
	"aftershock/upgrades/preflight/inventory"
	"aftershock/upgrades/preflight/manifest"
	"aftershock/upgrades/preflight/migrations"
	"aftershock/upgrades/preflight/scripts"
	"aftershock/upgrades/preflight/settings"
	"aftershock/upgrades/preflight/version"
)

// checkScripts looks at what the package runs, and has run.
func (i *inspection) checkScripts() error {
	i.readTexts()
	system := i.p.Form == archive.FormDeb || i.p.Form == archive.FormRPM
	for _, t := range i.texts {
		if isSQL(t.path) && !scripts.Reads(t.path, t.data) {
			continue
		}
		i.scripts = append(i.scripts, scripts.Script{Path: t.path, Text: t.data, Mode: t.mode, Program: system && !strings.HasPrefix(t.path, "DEBIAN/") && !strings.HasPrefix(t.path, "RPM/")})
	}
	i.add(scripts.Check(i.ctx, i.scripts, i.host())...)
	return nil
}

// host is what is known of the host that the scripts would run on.
func (i *inspection) host() scripts.Host {
	h := scripts.Host{Now: i.o.Now, Reboot: i.m.Reboot.Value, Shellcheck: i.o.Shellcheck}
	inv := i.o.Inventory
	if inv == nil {
		return h
	}
	h.Retired = inv.RetiredHosts
	if zone, err := time.LoadLocation(inv.TimeZone); err == nil && inv.TimeZone != "" {
		h.Zone = zone
	}
	for _, u := range inv.Units {
		h.Units = append(h.Units, u.Name)
	}
	if len(inv.Packages) > 0 {
		has := slices.ContainsFunc(inv.Packages, func(p inventory.Package) bool { return p.Name == "sudo" })
		h.Sudo = &has
	}
	return h
}

// checkMigrations looks at the statements that the package brings and that its scripts
// hand to a database.
func (i *inspection) checkMigrations() error {
	var all []migrations.Text
	named := map[string]scripts.Statement{} // files that scripts hand to a client
	for _, s := range i.scripts {
		for _, st := range scripts.SQL(s) {
			if st.File != "" {
				if was, ok := named[path.Base(st.File)]; !ok || was.Undoes {
					named[path.Base(st.File)] = st
				}
				continue
			}
			all = append(all, migrations.Text{File: s.Path, Line: st.Line, SQL: st.Text, Dialect: st.Dialect, Single: st.Single})
		}
	}
	i.readTexts()
	for _, t := range i.texts {
		if isSQL(t.path) {
			st, ok := named[path.Base(t.path)]
			all = append(all, migrations.Text{File: t.path, SQL: string(t.data), Dialect: st.Dialect, Single: st.Single, Run: ok && !st.Undoes})
		}
	}
	for _, f := range i.p.Files { // what a script gives a client is statements, whatever it is called
		if st, ok := named[path.Base(f.Path)]; ok && !isSQL(f.Path) && f.Link == "" {
			data, err := readHead(i.fs, f.Path, migrations.MaxText+1)
			if err != nil {
				i.add(unread("migrations/unreadable", f.Path, err))
				continue
			}
			all = append(all, migrations.Text{File: f.Path, SQL: string(data), Dialect: st.Dialect, Single: st.Single, Run: !st.Undoes})
		}
	}
	i.add(migrations.Check(i.ctx, all, i.server())...)
	return nil
}

// server is the database of the inventory, if there is one that is understood.
func (i *inspection) server() migrations.Server {
	s := migrations.Server{Tables: map[string]migrations.Table{}, Squawk: i.o.Squawk}
	if i.o.Inventory == nil {
		return s
	}
	for _, d := range i.o.Inventory.Databases {
		s.Dialect, s.Version = migrations.ServerOf(d.Engine, d.Version)
		if s.Dialect == "" {
			continue
		}
		for _, t := range d.Tables {
			var known migrations.Table
			if t.Rows != nil {
				known.Rows = *t.Rows
			}
			if t.Bytes != nil {
				known.Bytes = *t.Bytes
			}
			if t.Rows != nil || known.Bytes > 0 { // else nothing is known of it, not even that it is empty
				s.Tables[t.Name] = known
			}
		}
		break
	}
	return s
}

// compare orders versions of this package's world.
func (i *inspection) compare(a, b string) int {
	scheme, err := version.ParseScheme(i.m.Scheme.Value)
	if err != nil {
		scheme = version.Semver
	}
	x, errX := version.Parse(scheme, a)
	y, errY := version.Parse(scheme, b)
	if errX != nil || errY != nil {
		return strings.Compare(a, b)
	}
	return x.Compare(y)
}

// from is the version that runs now, "" where it isn't known.
func (i *inspection) from() string {
	if i.o.Inventory == nil {
		return ""
	}
	names := []string{i.m.Name.Value}
	for _, b := range i.m.Binaries {
		names = append(names, b.Service, b.Name)
	}
	for _, n := range names {
		if n == "" {
			continue
		}
		for _, f := range slices.Concat(i.o.Inventory.Running(n), i.o.Inventory.Find(n)) {
			if f.Version != "" && i.compare(f.Version, i.m.Version.Value) != 0 {
				return f.Version
			}
		}
	}
	return ""
}

// checkSettings holds the live configuration to the matrices.
func (i *inspection) checkSettings() error {
	var all []settings.Matrix
	for _, name := range i.own(settingsNames) {
		data, err := readAll(i.fs, name, 4<<20)
		if err != nil {
			i.add(unread("settings/unreadable", name, err))
			continue
		}
		m, err := settings.ReadMatrix(name, bytes.NewReader(data))
		if err != nil {
			i.add(unread("settings/unreadable", name, err))
			continue
		}
		all = append(all, m)
	}
	for _, name := range i.o.Settings {
		f, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("read the configuration matrix: %w", err)
		}
		m, err := settings.ReadMatrix(name, f)
		_ = f.Close()
		if err != nil {
			return fmt.Errorf("read the configuration matrix: %w", err)
		}
		all = append(all, m)
	}
	for _, b := range i.builds() {
		if b.old.SHA256 != "" && b.old.SHA256 != b.new.SHA256 {
			all = append(all, settings.Mine(inside.Compare(b.Name, b.old, b.new), i.m.Version.Value))
		}
	}
	var live settings.Live
	for _, root := range i.o.ConfigRoots {
		l, err := settings.OpenLive(root)
		if err != nil {
			return fmt.Errorf("read the live configuration: %w", err)
		}
		live.Root = root
		live.Files, live.Uses, live.Unread = append(live.Files, l.Files...), append(live.Uses, l.Uses...), append(live.Unread, l.Unread...)
	}
	i.add(live.Unread...)
	from := i.from()
	for _, m := range all {
		i.add(settings.Check(m, live, from, i.m.Version.Value, i.compare)...)
	}
	return nil
}

// build is a binary of the package with what is in it, and in the one that it replaces.
type build struct {
	manifest.Binary
	old, new inside.Fingerprint
}

// builds reads the binaries that the manifest names. What can't be read is left out: the
// manifest's own rules tell of it.
func (i *inspection) builds() []build {
	if i.built != nil {
		return i.built
	}
	out := []build{}
	for _, b := range i.m.Binaries {
		at := path.Join(i.top, b.Path)
		if b.Path == "" || !slices.ContainsFunc(i.p.Files, func(f archive.File) bool { return f.Path == at && f.Kind != "" }) {
			continue
		}
		fresh, err := i.o.Cache.Take(filepath.Join(i.p.Dir(), filepath.FromSlash(at)))
		if err != nil {
			continue
		}
		one := build{Binary: b, new: fresh}
		if old := i.installed(b); old != "" {
			if p, err := i.o.Cache.Take(old); err == nil {
				one.old = p
			}
		}
		out = append(out, one)
	}
	i.built = out
	return out
}

// installed is the path of a binary's installed build on this machine, "" where the
// inventory doesn't tell.
func (i *inspection) installed(b manifest.Binary) string {
	if i.o.Inventory == nil {
		return ""
	}
	for _, f := range i.o.Inventory.Files {
		if name := path.Base(f.Path); name == b.Name || name == path.Base(b.Path) {
			if st, err := os.Stat(f.Path); err == nil && st.Mode().IsRegular() {
				return f.Path
			}
		}
	}
	return ""
}

// checkBinaries holds what the package brings to what runs beside it.
func (i *inspection) checkBinaries() error {
	i.versions = i.m.Versions(i.ctx, i.fs)
	if i.o.Inventory == nil {
		return nil
	}
	inv, changes := *i.o.Inventory, i.m.Changes(filepath.Join(i.p.Dir(), i.top))
	i.add(inv.Check(changes)...)
	var all []inventory.Compatibility
	for _, name := range i.own(compatibilityNames) {
		data, err := readAll(i.fs, name, inventory.MaxMatrix)
		if err == nil {
			var c inventory.Compatibility
			if c, err = inventory.ParseCompatibility(name, data); err == nil {
				all = append(all, c)
			}
		}
		if err != nil {
			i.add(unread("inventory/unreadable", name, err))
		}
	}
	for _, name := range i.o.Compatibility {
		c, err := inventory.ReadCompatibility(name)
		if err != nil {
			return fmt.Errorf("read the compatibility matrix: %w", err)
		}
		all = append(all, c)
	}
	if len(all) == 0 { // interfaces that went are told without a matrix as well
		all = append(all, inventory.Compatibility{})
	}
	for _, c := range all {
		i.add(c.Check(inv, changes)...)
		found, err := c.CheckBuilds(i.ctx, inv, changes, i.o.Cache)
		if err != nil {
			return err
		}
		i.add(found...)
	}
	return nil
}

// paths are the matrices of upgrade paths.
func (i *inspection) paths() (out []inventory.Paths, problems []detector.Finding) {
	for _, name := range i.own(pathsNames) {
		data, err := readAll(i.fs, name, inventory.MaxMatrix)
		if err == nil {
			var p inventory.Paths
			if p, err = inventory.ParsePaths(name, data); err == nil {
				out = append(out, p)
			}
		}
		if err != nil {
			problems = append(problems, unread("inventory/unreadable", name, err))
		}
	}
	for _, name := range i.o.Paths {
		p, err := inventory.ReadPaths(name)
		if err != nil {
			problems = append(problems, unread("inventory/unreadable", name, err))
			continue
		}
		out = append(out, p)
	}
	return out, problems
}

// checkManifest holds what the package says of itself to all that was seen.
func (i *inspection) checkManifest() {
	if i.m.Name.Value == "" && i.m.File == "" {
		return
	}
	f := manifest.Facts{Inventory: i.o.Inventory, Inside: i.versions, ScriptsRead: true}
	all, problems := i.paths()
	i.add(problems...)
	if len(all) > 0 {
		f.Paths = &all[0]
	}
	for _, x := range i.p.Files {
		if x.Link == "" && !strings.Contains(x.Path, "!/") {
			f.Contents = append(f.Contents, manifest.Content{Path: x.Path, Size: x.Size, SHA256: x.SHA256})
		}
	}
	for _, x := range i.found {
		if x.Rule == "scripts/reboot" {
			f.Reboots = append(f.Reboots, x.Place)
		}
	}
	i.add(i.m.Check(f)...)
}

// checkAdvisories matches advisories to the package and to what is in its binaries.
func (i *inspection) checkAdvisories() error {
	if len(i.o.Advisories) == 0 {
		return nil
	}
	p := advisories.Package{Name: i.m.Name.Value, Old: i.from(), New: i.m.Version.Value, Ecosystem: advisories.Product}
	for _, b := range i.builds() {
		p.After = append(p.After, advisories.Components(path.Join(i.top, b.Path), b.new)...)
		p.Before = append(p.Before, advisories.Components(path.Join(i.top, b.Path), b.old)...)
	}
	c := advisories.New(p, map[string]advisories.Order{"Debian": order(version.Debian), "rpm": order(version.RPM)})
	for _, source := range i.o.Advisories {
		if strings.HasPrefix(source, "https://") || strings.HasPrefix(source, "http://") {
			ctx, cancel := context.WithTimeout(i.ctx, 2*time.Minute)
			err := c.AddURL(ctx, advisories.Feeds{}, source)
			cancel()
			if err != nil {
				return fmt.Errorf("read advisories: %w", err)
			}
			continue
		}
		st, err := os.Stat(source)
		if err != nil {
			return fmt.Errorf("read advisories: %w", err)
		}
		if st.IsDir() {
			c.AddFS(os.DirFS(source))
		} else {
			c.AddFile(os.DirFS(filepath.Dir(source)), filepath.Base(source))
		}
	}
	i.add(c.Findings()...)
	return nil
}

func order(s version.Scheme) advisories.Order {
	return func(a, b string) int {
		x, errX := version.Parse(s, a)
		y, errY := version.Parse(s, b)
		if errX != nil || errY != nil {
			return strings.Compare(a, b)
		}
		return x.Compare(y)
	}
}
