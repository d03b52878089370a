// Package archive opens upgrade packages: zip, tar (plain, gzip, zstd, xz, bzip2), deb, rpm
// and plain directories. A package is hostile: it is read in one pass and within bounds,
// its files are put into a private directory under names that can't leave it, links are
// noted and never made, and nothing is run. What is wrong with the archive itself is told
// as findings.
package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"aftershock/detector"
)

// Limits bound what is unpacked.
type Limits struct {
	Files int   // files of all archives of a package together
	Bytes int64 // unpacked, together
	File  int64 // of one file
	Depth int   // of archives within archives
}

// DefaultLimits hold a package of several gigabytes.
var DefaultLimits = Limits{Files: 200_000, Bytes: 8 << 30, File: 4 << 30, Depth: 3}

// File is one file of a package.
type File struct {
	// Path is slash-separated and below the package's root; what lies in an archive within
	// the package is at outer.zip!/inner.
	Path    string
	Size    int64
	Mode    fs.FileMode
	ModTime time.Time // zero where the archive doesn't say
	Link    string    // what a link points at; links have no content
	SHA256  string    // hex; of regular files
	Kind    string    // elf, pe, macho, jar, archive, or ""
}

// Package is an opened package. Close removes what was unpacked.
type Package struct {
	Path, Form string
	SHA256     string // of the file; "" of a directory
	Size       int64  // of the file; of a directory the sum of its files
	// Fields are what a deb's control file or an rpm's header says, by name.
	Fields   map[string]string
	Files    []File
	Findings []detector.Finding

	root *os.Root
	dir  string // to be removed, "" where nothing was unpacked
}

// FS are the package's files. What is neither a file nor a directory isn't opened: a pipe in a
// directory would never be read to its end.
func (p *Package) FS() fs.FS { return regular{p.root} }

type regular struct{ root *os.Root }

func (r regular) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	f, err := r.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() && !st.IsDir() {
		return nil, errors.Join(&fs.PathError{Op: "open", Path: name, Err: errors.New("it is neither a file nor a directory")}, err, f.Close())
	}
	return f, nil
}

// Close removes what was unpacked.
func (p *Package) Close() error {
	err := p.root.Close()
	if p.dir != "" {
		err = errors.Join(err, os.RemoveAll(p.dir))
	}
	return err
}

// Open opens the package at a path. What it unpacks goes into a new directory below
// private, which is made with access for nobody else. now is what dates are compared with.
//
// An error says that it is no package that can be read at all; an archive that ends early,
// or goes beyond the limits, gives a finding and the files up to there.
func Open(ctx context.Context, path, private string, now time.Time, l Limits) (*Package, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open package %s: %w", path, plain(err))
	}
	p := &Package{Path: path, Fields: map[string]string{}}
	if st.IsDir() {
		return p, p.openDirectory(ctx, now, l)
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("open package %s: it is neither a file nor a directory", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open package %s: %w", path, plain(err))
	}
	defer f.Close()
	p.Size = st.Size()
	if p.Form, err = form(f, p.Size); err != nil {
		return nil, fmt.Errorf("open package %s: %w", path, err)
	}
	if err := os.MkdirAll(private, 0o700); err != nil {
		return nil, fmt.Errorf("unpack package %s: %w", path, plain(err))
	}
	if p.dir, err = os.MkdirTemp(private, "package-"); err != nil {
		return nil, fmt.Errorf("unpack package %s: %w", path, plain(err))
	}
	if p.root, err = os.OpenRoot(p.dir); err != nil {
		return nil, fmt.Errorf("unpack package %s: %w", path, plain(err))
	}
	u := newUnpacker(ctx, p, now, l)
	if err := u.file(f, p.Size, p.Form, ""); err != nil {
		return nil, errors.Join(fmt.Errorf("unpack package %s: %w", path, err), p.Close())
	}
	if err := u.nested(); err != nil {
		return nil, errors.Join(fmt.Errorf("unpack package %s: %w", path, err), p.Close())
	}
	u.climbing()
	if err := p.sum(ctx, f); err != nil {
		return nil, errors.Join(fmt.Errorf("read package %s: %w", path, err), p.Close())
	}
	return p, nil
}

// sum is the digest of the package's file.
func (p *Package) sum(ctx context.Context, f *os.File) error {
	h := sha256.New()
	if _, err := io.Copy(h, &interruptible{ctx, io.NewSectionReader(f, 0, p.Size)}); err != nil {
		return err
	}
	p.SHA256 = hex.EncodeToString(h.Sum(nil))
	return nil
}

// interruptible reads until ctx ends.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (r *interruptible) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(b)
}

// plain is an error without its path, which stands beside it already.
func plain(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// openDirectory reads a package that is a directory, where it lies.
func (p *Package) openDirectory(ctx context.Context, now time.Time, l Limits) (err error) {
	p.Form = FormDirectory
	if p.root, err = os.OpenRoot(p.Path); err != nil {
		return fmt.Errorf("open package %s: %w", p.Path, plain(err))
	}
	u := newUnpacker(ctx, p, now, l)
	err = fs.WalkDir(p.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			u.find("archive/unreadable", detector.Risk, name, "it can't be read: "+plain(err).Error(), "what isn't read isn't inspected", "make it readable")
			return nil
		case name == "." || d.IsDir():
			return nil
		}
		return u.existing(filepath.ToSlash(name), d)
	})
	u.climbing()
	if err == nil {
		err = u.nested()
	}
	if err != nil && !errors.Is(err, errFull) {
		return errors.Join(fmt.Errorf("read package %s: %w", p.Path, err), p.Close())
	}
	return nil
}

// Dir is where the package's files lie on this machine: where they were unpacked, or the
// package itself where it is a directory.
func (p *Package) Dir() string {
	if p.dir != "" {
		return p.dir
	}
	return p.Path
}
