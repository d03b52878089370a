package archive

import (
	"archive/zip"
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"aftershock/detector"
	"aftershock/upgrades/inside"
)

// zip unpacks a zip, by its directory; what stands before each file must say the same.
func (u *unpacker) zip(r io.ReaderAt, size int64, prefix string) error {
	z, err := inside.OpenZip(r, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return err
	}
	if err := u.regions(r, z.File, size, prefix); err != nil {
		return err
	}
	for _, f := range z.File {
		if f.Flags&1 != 0 {
			u.find("archive/encrypted", detector.Blocker, prefix+clip(f.Name), "it is encrypted", "what can't be read isn't inspected, and scripts that unpack it need a password from somewhere", "ask the vendor for a package without passwords, or unpack it and inspect the directory")
			continue
		}
		e := entry{name: f.Name, mode: zipMode(f), modTime: f.Modified, packed: int64(min(f.CompressedSize64, 1<<62))}
		if f.Modified.Equal(epoch) {
			e.modTime = f.Modified.Truncate(0)
		}
		if err := u.zipped(prefix, f, e); err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacker) zipped(prefix string, f *zip.File, e entry) error {
	if e.mode.IsDir() {
		return u.add(prefix, e, nil)
	}
	in, err := f.Open()
	if err != nil {
		return fmt.Errorf("%s: %w", clip(f.Name), err)
	}
	defer in.Close()
	if e.mode&fs.ModeSymlink != 0 { // a link's content is what it points at
		b, err := io.ReadAll(io.LimitReader(in, maxName))
		if err != nil {
			return fmt.Errorf("%s: %w", clip(f.Name), err)
		}
		e.link = string(b)
	}
	return u.add(prefix, e, in)
}

// zipMode is an entry's mode. That it is a directory its name alone says, as unzip has it:
// what the attributes call one and isn't is a file.
func zipMode(f *zip.File) fs.FileMode {
	mode := f.Mode()
	if strings.HasSuffix(f.Name, "/") {
		return mode&^fs.ModeType | fs.ModeDir
	}
	return mode &^ fs.ModeDir
}

// region is where an entry lies in the file.
type region struct {
	name     string
	from, to int64
}

// regions looks whether entries lie over one another, which makes small archives into
// large ones, and whether each is introduced as the directory has it.
func (u *unpacker) regions(r io.ReaderAt, files []*zip.File, size int64, prefix string) error {
	if len(files) > u.limits.Files {
		return errFull
	}
	all := make([]region, 0, len(files))
	for _, f := range files {
		data, err := f.DataOffset()
		if err != nil {
			return fmt.Errorf("%s: %w", clip(f.Name), err)
		}
		from, same := introduced(r, f, data)
		if !same {
			u.find("archive/header", detector.Blocker, prefix+clip(f.Name), "the archive's directory and what stands before the file name it differently",
				"tools that go by the one unpack something else than tools that go by the other", "don't use the package; ask the vendor how it was made")
		}
		all = append(all, region{f.Name, from, data + int64(min(f.CompressedSize64, 1<<62))})
	}
	slices.SortFunc(all, func(a, b region) int { return cmp.Compare(a.from, b.from) })
	for i := 1; i < len(all); i++ {
		if all[i].from < all[i-1].to && all[i-1].to > all[i-1].from {
			u.find("archive/overlap", detector.Blocker, prefix+clip(all[i].name), "it lies over "+clip(all[i-1].name)+" in the archive",
				"such archives unpack to many times their size, or to different files with different tools", "don't use the package; ask the vendor how it was made")
			return nil
		}
	}
	if err := u.between(r, all, size, prefix); err != nil {
		return err
	}
	if len(all) > 0 && all[0].from > 0 && prefix == "" {
		u.find("archive/before", detector.Note, "", fmt.Sprintf("%d bytes stand before the archive", all[0].from), "they aren't inspected; self-extracting archives have a program there", "unpack the package with a tool of yours rather than by running it")
	}
	return nil
}

// maxDescriptor is what may stand behind an entry's data: its checksum and sizes (4.3.9).
const maxDescriptor = 24

// between tells of entries that the directory doesn't have: tools that read an archive from its
// beginning unpack them. Regions are in order of where they begin.
func (u *unpacker) between(r io.ReaderAt, all []region, size int64, prefix string) error {
	before := region{}
	for i, x := range append(slices.Clip(all), region{from: size}) {
		if gap := x.from - before.to; gap > maxDescriptor {
			in := bufio.NewReader(&interruptible{u.ctx, io.NewSectionReader(r, before.to, gap)})
			if i == 0 { // what unpacks itself has a program there
				in = bufio.NewReader(io.NewSectionReader(r, 0, fixedHeader))
			}
			kept, err := holdsEntry(in)
			if err != nil {
				return err
			}
			if kept {
				u.find("archive/header", detector.Blocker, strings.TrimSuffix(prefix+clip(before.name), "!/"), "an entry that the archive's directory doesn't have stands behind it",
					"tools that go by the directory leave it out, and tools that read from the beginning unpack it", "don't use the package; ask the vendor how it was made")
			}
		}
		if x.to > before.to {
			before = x
		}
	}
	return nil
}

// fixedHeader is the part of what introduces an entry that has the same size in all.
const fixedHeader = 30

// holdsEntry says whether an entry begins in a stretch of an archive (APPNOTE.TXT 4.3.7); no
// method of compression is above 255.
func holdsEntry(r *bufio.Reader) (bool, error) {
	for {
		if _, err := r.ReadSlice('P'); err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			if errors.Is(err, io.EOF) {
				return false, nil
			}
			return false, err
		}
		if next, _ := r.Peek(9); len(next) == 9 && bytes.HasPrefix(next, []byte("K\x03\x04")) && next[8] == 0 {
			return true, nil
		}
	}
}

// introduced finds what stands before a file's data, and says whether it gives the name
// that the directory gives (APPNOTE.TXT 4.3.7).
func introduced(r io.ReaderAt, f *zip.File, data int64) (from int64, same bool) {
	back := min(data, fixedHeader+int64(len(f.Name))+4096)
	b := make([]byte, back)
	if _, err := r.ReadAt(b, data-back); err != nil && !errors.Is(err, io.EOF) {
		return data, false
	}
	for i := len(b) - fixedHeader; i >= 0; i-- {
		if !bytes.HasPrefix(b[i:], []byte("PK\x03\x04")) {
			continue
		}
		name, extra := int(binary.LittleEndian.Uint16(b[i+26:])), int(binary.LittleEndian.Uint16(b[i+28:]))
		if i+fixedHeader+name+extra != len(b) {
			continue
		}
		return data - back + int64(i), string(b[i+fixedHeader:i+fixedHeader+name]) == f.Name
	}
	return data, false
}
