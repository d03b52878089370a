package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"strings"

	"aftershock/detector"
)

// counter counts what is read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// compressedTar unpacks a tar in whatever it is compressed with. Packages of distributions
// name their files from ./ or / on, which system allows.
func (u *unpacker) compressedTar(r io.Reader, size int64, prefix, below string, system bool) error {
	packed := &counter{r: r}
	z, err := decompressed(packed)
	if err != nil {
		return err
	}
	defer z.Close()
	before := u.bytes
	m := &metered{u, z}
	if err := u.tar(m, prefix+below, system); err != nil {
		return err
	}
	if err := u.rest(m, prefix); err != nil {
		return err
	}
	if n := u.bytes - before; n > bombBytes && size > 0 && n/size > bombRatio {
		u.bomb(strings.TrimSuffix(prefix, "!/"), n, size)
	}
	return nil
}

func (u *unpacker) tar(r io.Reader, prefix string, system bool) error {
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, tar.ErrInsecurePath):
			return err
		}
		e := entry{name: h.Name, mode: tarMode(h), modTime: h.ModTime}
		if system {
			if e.name = installedName(e.name); e.name == "" {
				continue
			}
		}
		switch h.Typeflag {
		case tar.TypeSymlink:
			e.link = h.Linkname
		case tar.TypeLink:
			e.link, e.hard = strings.TrimPrefix(h.Linkname, "./"), true
		case tar.TypeXGlobalHeader, 'V': // V is the label of a volume
			continue
		}
		if err := u.add(prefix, e, t); err != nil {
			return err
		}
	}
}

// tarMode is an entry's mode with the type that its flag says. A header's mode may claim
// another one, which tar leaves aside; and a flag that isn't known is a file (pax(1)).
func tarMode(h *tar.Header) fs.FileMode {
	mode := h.FileInfo().Mode() &^ fs.ModeType
	switch h.Typeflag {
	case tar.TypeDir:
		mode |= fs.ModeDir
	case tar.TypeSymlink:
		mode |= fs.ModeSymlink
	case tar.TypeChar:
		mode |= fs.ModeDevice | fs.ModeCharDevice
	case tar.TypeBlock:
		mode |= fs.ModeDevice
	case tar.TypeFifo:
		mode |= fs.ModeNamedPipe
	}
	return mode
}

// installedName is a name of a package of a distribution, which begins at ./ or /; "" for the
// root itself.
func installedName(name string) string {
	if name == "." {
		return ""
	}
	return strings.TrimPrefix(strings.TrimPrefix(name, "./"), "/")
}

// metered reads a stream of entries until more came than the limits allow: what isn't
// written takes its time as well.
type metered struct {
	u *unpacker
	r io.Reader
}

// maxHeaders is how many bytes of a stream may be no content of files.
const maxHeaders = 1 << 30

func (m *metered) Read(b []byte) (int, error) {
	if err := m.u.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.r.Read(b)
	if m.u.read += int64(n); m.u.read > m.u.limits.Bytes+maxHeaders {
		return 0, errFull
	}
	return n, err
}

// rest reads what follows the last entry, for the sake of the checksum behind it, and tells
// of what isn't padding.
func (u *unpacker) rest(r io.Reader, prefix string) error {
	b, more := make([]byte, 1<<16), false
	for {
		n, err := r.Read(b)
		more = more || bytes.ContainsFunc(b[:n], func(c rune) bool { return c != 0 })
		if errors.Is(err, gzip.ErrHeader) { // gzip(1) leaves aside what follows
			more, err = true, io.EOF
		}
		if err != nil {
			if more {
				u.find("archive/after", detector.Risk, strings.TrimSuffix(prefix, "!/"), "something follows the end of the archive",
					"it isn't inspected, and some tools go on and unpack it", "ask the vendor what it is, and how the package was made")
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}
