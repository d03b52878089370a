package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"strings"
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
	if err := u.tar(z, prefix+below, system); err != nil {
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
		e := entry{name: h.Name, mode: h.FileInfo().Mode(), modTime: h.ModTime}
		if system {
			e.name = strings.TrimPrefix(strings.TrimPrefix(e.name, "."), "/")
			if e.name == "" {
				continue
			}
		}
		switch h.Typeflag {
		case tar.TypeSymlink:
			e.link = h.Linkname
		case tar.TypeLink:
			e.link, e.hard = strings.TrimPrefix(h.Linkname, "./"), true
		case tar.TypeReg, tar.TypeDir, tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		case tar.TypeXGlobalHeader:
			continue
		default:
			return fmt.Errorf("%s: it is of a kind that isn't known (%q)", clip(h.Name), h.Typeflag)
		}
		if err := u.add(prefix, e, t); err != nil {
			return err
		}
	}
}
