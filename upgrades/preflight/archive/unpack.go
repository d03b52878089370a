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
	"path"
	"strings"
	"time"

	"aftershock/detector"
)

const (
	// bombRatio is how many times as large as its packed form a file may be without that
	// being told, from bombBytes on: deflate can't do more than 1032.
	bombRatio = 200
	bombBytes = 100 << 20
	// maxName bounds a path, maxParts its parts.
	maxName  = 1024
	maxParts = 64
)

// errFull says that a limit was met: what was read up to there stands.
var errFull = errors.New("the limits are reached")

// unpacker puts the files of an archive, and of archives within it, into the package.
type unpacker struct {
	ctx    context.Context
	p      *Package
	now    time.Time
	limits Limits
	bytes  int64 // of files that were written
	read   int64 // of streams of entries, what isn't written as well
	// entries are all that were seen, directories and those that are refused as well.
	entries int
	// kinds are what each path is: f for a file, d for a directory, l for a link; folded the
	// paths without regard to case.
	kinds  map[string]byte
	folded map[string]string
	// told are how many findings each rule has.
	told map[string]int
}

// maxTold bounds the findings of one rule: a report tells fewer, and counts the rest.
const maxTold = 10_000

func newUnpacker(ctx context.Context, p *Package, now time.Time, l Limits) *unpacker {
	return &unpacker{ctx: ctx, p: p, now: now, limits: l, kinds: map[string]byte{}, folded: map[string]string{}, told: map[string]int{}}
}

func (u *unpacker) find(rule, severity, file, what, why, do string) {
	if u.told[rule]++; u.told[rule] > maxTold {
		return
	}
	u.p.Findings = append(u.p.Findings, detector.Finding{Rule: rule, Severity: severity, Place: detector.Place{File: file}, What: what, Why: why, Do: do})
}

// entry is one entry of an archive.
type entry struct {
	name    string
	mode    fs.FileMode
	modTime time.Time
	link    string
	hard    bool  // the link is a hard one
	packed  int64 // size in the archive, 0 where it isn't known
}

// file unpacks an archive below a prefix.
func (u *unpacker) file(f io.ReaderAt, size int64, form, prefix string) (err error) {
	switch form {
	case FormZip:
		err = u.zip(f, size, prefix)
	case FormDeb:
		err = u.deb(io.NewSectionReader(f, 0, size), prefix)
	case FormRPM:
		err = u.rpm(io.NewSectionReader(f, 0, size), prefix)
	default:
		err = u.compressedTar(io.NewSectionReader(f, 0, size), size, prefix, "", false)
	}
	switch {
	case u.ctx.Err() != nil:
		return u.ctx.Err()
	case errors.Is(err, errFull):
		u.find("archive/too-large", detector.Blocker, strings.TrimSuffix(prefix, "!/"),
			fmt.Sprintf("it unpacks to more than is inspected (%d files, %d MB)", u.limits.Files, u.limits.Bytes>>20),
			"an archive that grows beyond all measure fills the disk of whoever unpacks it, and what isn't unpacked isn't inspected",
			"ask the vendor what is in it, or split it")
		return nil
	case err != nil && prefix == "" && len(u.p.Files) == 0:
		return err
	case err != nil:
		u.find("archive/damaged", detector.Blocker, strings.TrimSuffix(prefix, "!/"), "it can't be read to its end: "+clip(err.Error()),
			"an upgrade that stops half-way through unpacking leaves old and new files side by side", "fetch the package again and compare its digest with the vendor's")
	}
	return nil
}

// nested looks into the archives among the files, and into those that come out of them.
func (u *unpacker) nested() error {
	for i := 0; i < len(u.p.Files); i++ {
		f := u.p.Files[i]
		if f.Kind != "archive" {
			continue
		}
		if strings.Count(f.Path, "!/") >= u.limits.Depth {
			u.find("archive/deep", detector.Risk, f.Path, "an archive within archives that isn't looked into", "what isn't looked into isn't inspected", "unpack it and inspect it by itself")
			continue
		}
		if err := u.inner(f); err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacker) inner(f File) error {
	in, err := u.p.root.Open(local(f.Path))
	if err != nil {
		return err
	}
	defer in.Close()
	kind, err := form(in, f.Size)
	if err != nil {
		return nil //nolint:nilerr // it only looked like an archive
	}
	if u.p.dir == "" { // a directory is read where it lies: nothing is put into it
		u.find("archive/deep", detector.Note, f.Path, "an archive within a directory that isn't looked into", "what isn't looked into isn't inspected", "inspect it by itself")
		return nil
	}
	return u.file(in, f.Size, kind, f.Path+"!/")
}

// local is where a path lies in the private directory: a name that is the root's own is
// never made up of anything else.
func local(p string) string { return path.Clean(p) }

// add takes in the next entry. Its content is read to the end or left to the caller.
func (u *unpacker) add(prefix string, e entry, r io.Reader) error {
	if err := u.ctx.Err(); err != nil {
		return err
	}
	if u.entries++; u.entries > u.limits.Files {
		return errFull
	}
	name, ok := u.named(prefix, e)
	if !ok {
		return nil
	}
	if e.mode.IsDir() {
		u.directory(name)
		return nil
	}
	u.dated(name, e.modTime)
	u.permissions(name, e)
	f := File{Path: name, Mode: e.mode, ModTime: e.modTime, Link: e.link}
	if e.link != "" || e.mode&fs.ModeSymlink != 0 {
		u.linked(prefix, name, e)
		u.free(name, 'l')
		u.p.Files = append(u.p.Files, f)
		return nil
	}
	if !e.mode.IsRegular() {
		u.find("archive/device", detector.Risk, name, "a device, pipe or socket", "unpacked as root it gives whoever may open it the device", "ask the vendor what it is for; unpack the package as somebody else than root")
		return nil
	}
	if !u.free(name, 'f') {
		return nil
	}
	if err := u.write(&f, e, r); err != nil {
		return err
	}
	u.p.Files = append(u.p.Files, f)
	return nil
}

// write puts a file's content into the private directory.
func (u *unpacker) write(f *File, e entry, r io.Reader) error {
	at := local(f.Path)
	if dir := path.Dir(at); dir != "." {
		if err := u.p.root.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make %s: %w", dir, plain(err))
		}
	}
	out, err := u.p.root.OpenFile(at, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", at, plain(err))
	}
	h, head := sha256.New(), &start{}
	most := min(u.limits.File, u.limits.Bytes-u.bytes)
	n, err := io.Copy(io.MultiWriter(out, h, head), &interruptible{u.ctx, io.LimitReader(r, most+1)})
	err = errors.Join(err, out.Close())
	u.bytes += n
	f.Size, f.SHA256, f.Kind = n, hex.EncodeToString(h.Sum(nil)), kindOf(head.b, f.Path)
	if err != nil {
		return fmt.Errorf("unpack %s: %w", clip(f.Path), err)
	}
	if n > most {
		_ = u.p.root.Remove(at)
		return errFull
	}
	if e.packed > 0 && n > bombBytes && n/e.packed > bombRatio {
		u.bomb(f.Path, n, e.packed)
	}
	return nil
}

func (u *unpacker) bomb(name string, n, packed int64) {
	u.find("archive/ratio", detector.Risk, name, fmt.Sprintf("it unpacks to %d times its packed size, %d MB", n/packed, n>>20),
		"such a file fills the disk of whoever unpacks the package", "ask the vendor what is in it; see that the disk has room")
}

// start keeps the first bytes that are written.
type start struct{ b []byte }

func (s *start) Write(b []byte) (int, error) {
	if room := 512 - len(s.b); room > 0 {
		s.b = append(s.b, b[:min(room, len(b))]...)
	}
	return len(b), nil
}

// existing takes in a file of a package that is a directory.
func (u *unpacker) existing(name string, d fs.DirEntry) error {
	if len(u.p.Files) >= u.limits.Files {
		u.find("archive/too-large", detector.Blocker, "", fmt.Sprintf("it has more than %d files", u.limits.Files), "what isn't read isn't inspected", "inspect parts of it")
		return errFull
	}
	info, err := d.Info()
	if err != nil {
		return nil //nolint:nilerr // it went meanwhile
	}
	e := entry{name: name, mode: info.Mode(), modTime: info.ModTime()}
	u.dated(name, e.modTime)
	u.permissions(name, e)
	f := File{Path: name, Mode: e.mode, ModTime: e.modTime, Size: info.Size()}
	switch {
	case e.mode&fs.ModeSymlink != 0:
		e.link, _ = u.p.root.Readlink(name)
		f.Link = e.link
		u.linked("", name, e)
	case !e.mode.IsRegular():
		u.find("archive/device", detector.Risk, name, "a device, pipe or socket", "a package has no need of one", "ask the vendor what it is for")
		return nil
	default:
		in, err := u.p.root.Open(name)
		if err != nil {
			u.find("archive/unreadable", detector.Risk, name, "it can't be read: "+plain(err).Error(), "what isn't read isn't inspected", "make it readable")
			return nil
		}
		defer in.Close()
		h, head := sha256.New(), &start{}
		if _, err := io.Copy(io.MultiWriter(h, head), &interruptible{u.ctx, io.LimitReader(in, info.Size())}); err != nil {
			return fmt.Errorf("read %s: %w", clip(name), err)
		}
		f.SHA256, f.Kind = hex.EncodeToString(h.Sum(nil)), kindOf(head.b, name)
		u.p.Size += f.Size
	}
	u.p.Files = append(u.p.Files, f)
	return nil
}
