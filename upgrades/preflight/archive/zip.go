package archive

import (
	"archive/zip"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"aftershock/detector"
	"aftershock/upgrades/inside"
)

// zip unpacks a zip, by its directory; what stands before each file must say the same.
func (u *unpacker) zip(r io.ReaderAt, size int64, prefix string) error {
	if err := inside.CheckDirectory(r, size); err != nil {
		return err
	}
	z, err := zip.NewReader(r, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return err
	}
	if err := u.regions(r, z.File, prefix); err != nil {
		return err
	}
	for _, f := range z.File {
		if f.Flags&1 != 0 {
			u.find("archive/encrypted", detector.Blocker, prefix+clip(f.Name), "it is encrypted", "what can't be read isn't inspected, and scripts that unpack it need a password from somewhere", "ask the vendor for a package without passwords, or unpack it and inspect the directory")
			continue
		}
		e := entry{name: f.Name, mode: f.Mode(), modTime: f.Modified, packed: int64(min(f.CompressedSize64, 1<<62))}
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
	if e.mode.Type() != 0 { // a link's content is what it points at
		b, err := io.ReadAll(io.LimitReader(in, maxName))
		if err != nil {
			return fmt.Errorf("%s: %w", clip(f.Name), err)
		}
		e.link = string(b)
	}
	return u.add(prefix, e, in)
}

// region is where an entry lies in the file.
type region struct {
	name     string
	from, to int64
}

// regions looks whether entries lie over one another, which makes small archives into
// large ones, and whether each is introduced as the directory has it.
func (u *unpacker) regions(r io.ReaderAt, files []*zip.File, prefix string) error {
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
			break
		}
	}
	if len(all) > 0 && all[0].from > 0 && prefix == "" {
		u.find("archive/before", detector.Note, "", fmt.Sprintf("%d bytes stand before the archive", all[0].from), "they aren't inspected; self-extracting archives have a program there", "unpack the package with a tool of yours rather than by running it")
	}
	return nil
}

// introduced finds what stands before a file's data, and says whether it gives the name
// that the directory gives (APPNOTE.TXT 4.3.7).
func introduced(r io.ReaderAt, f *zip.File, data int64) (from int64, same bool) {
	const fixed = 30
	back := min(data, fixed+int64(len(f.Name))+4096)
	b := make([]byte, back)
	if _, err := r.ReadAt(b, data-back); err != nil && !errors.Is(err, io.EOF) {
		return data, false
	}
	for i := len(b) - fixed; i >= 0; i-- {
		if !bytes.HasPrefix(b[i:], []byte("PK\x03\x04")) {
			continue
		}
		name, extra := int(binary.LittleEndian.Uint16(b[i+26:])), int(binary.LittleEndian.Uint16(b[i+28:]))
		if i+fixed+name+extra != len(b) {
			continue
		}
		return data - back + int64(i), string(b[i+fixed:i+fixed+name]) == f.Name
	}
	return data, false
}
