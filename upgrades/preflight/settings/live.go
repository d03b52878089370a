package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"aftershock/detector"
)

// Bounds of the live configuration.
const (
	maxFileBytes  = 1 << 20   // a file
	maxTotalBytes = 64 << 20  // all files
	maxFiles      = 20_000    // looked at
	maxUses       = 200_000   // kept
	maxDepth      = 24        // of directories
	maxNesting    = 64        // of keys in a file
	maxValue      = 64 << 10  // of a value
	maxKey        = 400       // characters of a key
	maxParts      = 64        // of a key
	maxValues     = 128 << 20 // of all values, those that aliases repeat counted each time
)

// Live is the live configuration as far as it was read.
type Live struct {
	// Root is the directory, as it was given.
	Root string
	// Files are those that were read, in order.
	Files []string
	Uses  []Use
	// Unread are files that look like configuration and can't be read, and bounds that
	// were met, as notes.
	Unread []detector.Finding

	bytes   int
	values  int
	looked  int
	full    bool
	envs    map[string][]string // EnvironmentFile= -> components
	visited []fs.FileInfo
}

// ReadLive reads what a file system has of configuration: YAML, JSON (also with comments),
// TOML, INI, Java properties, files of environment variables, systemd units, compose
// files and ConfigMaps. Links are followed to files as far as the file system does;
// os.Root's refuses those that lead out. Binary files are passed over. Root goes before
// the paths.
func ReadLive(fsys fs.FS, root string) Live {
	l := Live{Root: root, envs: map[string][]string{}}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error { return l.visit(fsys, name, d, err) })
	if err != nil {
		l.unread(".", 0, err.Error())
	}
	l.environments(fsys)
	slices.Sort(l.Files)
	slices.SortStableFunc(l.Uses, func(a, b Use) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		return a.Line - b.Line
	})
	return l
}

// OpenLive reads the configuration below a directory, or one file. The error says that
// it can't be opened at all.
func OpenLive(root string) (Live, error) {
	info, err := os.Stat(root)
	if err != nil {
		return Live{}, fmt.Errorf("open configuration: %w", err)
	}
	if !info.IsDir() {
		f, err := os.OpenRoot(path.Dir(root))
		if err != nil {
			return Live{}, fmt.Errorf("open configuration: %w", err)
		}
		defer f.Close()
		l := Live{Root: path.Dir(root), envs: map[string][]string{}}
		l.read(f.FS(), path.Base(root))
		return l, nil
	}
	r, err := os.OpenRoot(root)
	if err != nil {
		return Live{}, fmt.Errorf("open configuration: %w", err)
	}
	defer r.Close()
	return ReadLive(r.FS(), root), nil
}

func (l *Live) visit(fsys fs.FS, name string, d fs.DirEntry, err error) error {
	if err != nil {
		if name == "." {
			return err
		}
		l.unread(name, 0, reason(err))
		if d != nil && d.IsDir() {
			return fs.SkipDir
		}
		return nil
	}
	if l.full {
		return fs.SkipAll
	}
	if l.looked++; l.looked > maxFiles {
		l.stop(fmt.Sprintf("there are more than %d files", maxFiles))
		return fs.SkipAll
	}
	base := path.Base(name)
	if d.IsDir() {
		// Kubernetes mounts a ConfigMap's files as links into such a directory.
		if name != "." && (strings.HasPrefix(base, "..") || base == ".git" || base == "node_modules") {
			return fs.SkipDir
		}
		if strings.Count(name, "/") >= maxDepth {
			l.unread(name, 0, fmt.Sprintf("it is more than %d directories deep", maxDepth))
			return fs.SkipDir
		}
		return nil
	}
	if formOf(name) != formNone {
		l.read(fsys, name)
	}
	return nil
}

// reason drops the path of an error, which is told anyway.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// shown is a path as findings have it.
func (l *Live) shown(name string) string {
	if l.Root == "" {
		return name
	}
	return path.Join(l.Root, name)
}

func (l *Live) stop(why string) {
	if !l.full {
		l.full = true
		l.Unread = slices.Insert(l.Unread, 0, l.unreadable(".", 0, why)) // before what it may have crowded out
	}
}

func (l *Live) unread(name string, line int, why string) {
	if len(l.Unread) >= 200 {
		return
	}
	l.Unread = append(l.Unread, l.unreadable(name, line, why))
}

func (l *Live) unreadable(name string, line int, why string) detector.Finding {
	return detector.Finding{
		Rule: "settings/unreadable", Severity: detector.Note,
		Place: detector.Place{File: l.shown(name), Line: line},
		What:  "this configuration can't be read: " + why,
		Why:   "settings in it are unknown to the inspection, so that a removed or missing key may be overlooked",
		Do:    "mend or name it, or look through it by hand",
	}
}

// read reads one file, if it is one and was not read under another name.
func (l *Live) read(fsys fs.FS, name string) {
	info, err := fs.Stat(fsys, name)
	switch {
	case err != nil:
		// A link that leads out of the root or nowhere isn't of this configuration.
		if entry, lerr := fs.Lstat(fsys, name); lerr != nil || entry.Mode()&fs.ModeSymlink == 0 {
			l.unread(name, 0, reason(err))
		}
		return
	case !info.Mode().IsRegular():
		return
	case slices.ContainsFunc(l.visited, func(i fs.FileInfo) bool { return i.Size() == info.Size() && os.SameFile(i, info) }):
		return
	case info.Size() > maxFileBytes:
		l.unread(name, 0, fmt.Sprintf("it is larger than %d KiB", maxFileBytes>>10))
		return
	}
	f, err := fsys.Open(name)
	if err != nil {
		l.unread(name, 0, reason(err))
		return
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil || len(data) > maxFileBytes {
		l.unread(name, 0, "it can't be read to its end")
		return
	}
	if l.bytes += len(data); l.bytes > maxTotalBytes {
		l.stop(fmt.Sprintf("there is more than %d MiB of configuration", maxTotalBytes>>20))
		return
	}
	if len(l.visited) < 4096 {
		l.visited = append(l.visited, info)
	}
	l.parse(name, data)
}

// parse reads a file's uses.
func (l *Live) parse(name string, data []byte) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if bytes.IndexByte(data[:min(len(data), 8000)], 0) >= 0 {
		return
	}
	r := reading{live: l, name: name, file: l.shown(name)}
	read := r.parse(formOf(name), string(data))
	if read {
		l.Files = append(l.Files, r.file)
	}
}

// environments reads the files that units name, and says whose they are.
func (l *Live) environments(fsys fs.FS) {
	names := make([]string, 0, len(l.envs))
	for n := range l.envs {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, named := range names {
		// The root is a host's /, or a directory of it that the path leads into.
		name := strings.TrimPrefix(named, "/")
		if root := strings.TrimSuffix(l.Root, "/") + "/"; strings.HasPrefix(named, root) && root != "/" {
			name = strings.TrimPrefix(named, root)
		}
		if !fs.ValidPath(name) {
			continue
		}
		file := l.shown(name)
		if !slices.Contains(l.Files, file) {
			info, err := fs.Stat(fsys, name)
			if err != nil || !info.Mode().IsRegular() || info.Size() > maxFileBytes {
				continue
			}
			data, err := fs.ReadFile(fsys, name)
			if err != nil || len(data) > maxFileBytes || bytes.IndexByte(data, 0) >= 0 {
				continue
			}
			r := reading{live: l, name: name, file: file}
			r.env(string(data))
			l.Files = append(l.Files, file)
		}
		owners := l.envs[named]
		if slices.Sort(owners); len(slices.Compact(owners)) != 1 {
			continue // it is of several units
		}
		for i := range l.Uses {
			if l.Uses[i].File == file && l.Uses[i].Component == "" {
				l.Uses[i].Component = owners[0]
			}
		}
	}
}
