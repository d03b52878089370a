package inventory

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"aftershock/upgrades/inside"
)

// Bounds of what is taken.
const (
	maxPackages  = 50_000
	maxFiles     = 2000
	maxProcesses = 5000
	maxUnits     = 10_000
	maxRead      = 64 << 20  // bytes of one file that is parsed
	maxInside    = 512 << 20 // bytes of one file that is looked into
	maxNotes     = 50
)

// Options say what to take.
type Options struct {
	// At is put down as the time; zero for none.
	At time.Time
	// Host is the name of the host; "" for that in etc/hostname.
	Host string
	// Files are patterns of absolute paths of files to put down with digest and version,
	// as path.Match has them: "/opt/dten/bin/*".
	Files []string
	// Cache keeps what was found inside binaries; the zero value keeps nothing.
	Cache inside.Cache
	// RPM is the path of rpm, run with -qa where its database is of a form that
	// isn't read here; "" never runs anything. It is used for the root / alone.
	RPM string
	// Known is taken over for what no host can tell: services, retired hosts,
	// configuration roots, databases, third parties.
	Known Inventory
}

// Take takes the inventory of a host whose file system is below root: "/", or a directory in tests
// and for mounted images; links stay below it. What can't be taken is a note of the
// inventory; the error is of the root and the context alone.
func Take(ctx context.Context, root string, o Options) (Inventory, error) {
	if info, err := os.Stat(root); err != nil || !info.IsDir() {
		return Inventory{}, fmt.Errorf("take inventory: %s is no directory", root)
	}
	t := taker{root: filepath.Clean(root), options: o, inv: Inventory{
		TakenAt: o.At.UTC(), Services: o.Known.Services, RetiredHosts: o.Known.RetiredHosts, ConfigurationRoots: o.Known.ConfigurationRoots,
		Databases: o.Known.Databases, ThirdParties: o.Known.ThirdParties,
	}}
	for _, step := range []func(context.Context){t.host, t.disks, t.dpkg, t.rpm, t.units, t.files, t.processes} {
		if err := ctx.Err(); err != nil {
			return Inventory{}, fmt.Errorf("take inventory: %w", err)
		}
		step(ctx)
	}
	if err := ctx.Err(); err != nil {
		return Inventory{}, fmt.Errorf("take inventory: %w", err)
	}
	return t.inv, nil
}

// taker fills an inventory.
type taker struct {
	root    string
	options Options
	inv     Inventory
}

func (t *taker) note(format string, args ...any) {
	if len(t.inv.Notes) < maxNotes {
		t.inv.Notes = append(t.inv.Notes, strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " "))
	}
}

// on is the path of a host's file on this machine, its links followed as the host would.
func (t *taker) on(name string) (string, error) {
	const maxLinks = 40
	rest := strings.Split(strings.Trim(path.Clean("/"+name), "/"), "/")
	at := "/"
	for links := 0; len(rest) > 0; {
		next := path.Join(at, rest[0])
		rest = rest[1:]
		to, err := os.Readlink(filepath.Join(t.root, next))
		if err != nil {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("%s: too many links", name)
		}
		if !path.IsAbs(to) {
			to = path.Join(at, to)
		}
		rest = append(strings.Split(strings.Trim(path.Clean("/"+to), "/"), "/"), rest...)
		at = "/"
	}
	return filepath.Join(t.root, at), nil
}

// read reads a file of the host; a file that isn't there is nil.
func (t *taker) read(name string) []byte {
	at, err := t.on(name)
	if err == nil {
		var data []byte
		if data, err = load(at, maxRead); err == nil {
			return data
		}
	}
	if !os.IsNotExist(err) {
		t.note("%s can't be read: %v", name, err)
	}
	return nil
}

// list gives the names in a directory of the host, none where it isn't there.
func (t *taker) list(name string) []os.DirEntry {
	at, err := t.on(name)
	if err != nil {
		return nil
	}
	entries, err := os.ReadDir(at)
	if err != nil && !os.IsNotExist(err) {
		t.note("%s can't be read: %v", name, err)
	}
	return entries
}

// files puts down the files that the options name.
func (t *taker) files(ctx context.Context) {
	var names []string
	for _, pattern := range t.options.Files {
		if !path.IsAbs(pattern) {
			t.note("files: %q is no absolute path", pattern)
			continue
		}
		found, err := fs.Glob(os.DirFS(t.root), strings.TrimPrefix(path.Clean(pattern), "/"))
		if err != nil {
			t.note("files: %q is no pattern: %v", pattern, err)
			continue
		}
		if len(found) == 0 {
			t.note("files: nothing is called %s", pattern)
		}
		for _, f := range found {
			names = append(names, "/"+f)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > maxFiles {
		t.note("files: %d match, the first %d were taken", len(names), maxFiles)
		names = names[:maxFiles]
	}
	for _, name := range names {
		if ctx.Err() != nil {
			return
		}
		t.file(name)
	}
}

func (t *taker) file(name string) {
	at, err := t.on(name)
	if err != nil {
		t.note("%v", err)
		return
	}
	info, err := os.Stat(at)
	if err != nil || !info.Mode().IsRegular() {
		return
	}
	f := File{Path: name, Modified: info.ModTime().UTC().Truncate(time.Second)}
	if info.Size() > maxInside {
		t.note("%s has %d MB, more than %d: it wasn't looked into", name, info.Size()>>20, maxInside>>20)
	} else if p, err := t.options.Cache.Take(at); err != nil {
		t.note("%s can't be looked into: %v", name, err)
	} else {
		f.SHA256, f.BuildID = p.SHA256, p.BuildID
		if !unknown(p.Version) {
			f.Version = p.Version
		}
	}
	t.inv.Files = append(t.inv.Files, f)
}
