package signature

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"aftershock/detector"
)

// Forms of packages that have signatures in themselves.
const (
	packageDeb = "deb"
	packageRPM = "rpm"
)

// packaged takes in the signatures that a Debian or RPM package has in itself, and gives its form, "" for another one.
func (c *check) packaged() (form string, err error) {
	if c.in.Beside == nil {
		return "", nil
	}
	opened, err := c.in.Beside.Open(c.in.Package)
	if err != nil {
		return "", nil //nolint:nilerr // who unpacks it tells of that
	}
	defer opened.Close()
	st, err := opened.Stat()
	f, ok := opened.(io.ReaderAt)
	if err != nil || !ok || !st.Mode().IsRegular() {
		return "", nil //nolint:nilerr // as above
	}
	var magic [8]byte
	_, _ = f.ReadAt(magic[:], 0) // less where it is shorter
	switch {
	case string(magic[:]) == arMagic:
		c.deb(f, st.Size())
		return packageDeb, c.ctx.Err()
	case [4]byte(magic[:4]) == rpmMagic:
		return packageRPM, c.rpm(f, st.Size())
	}
	return "", nil
}

// extent is a range of a file's bytes.
type extent struct{ at, size int64 }

// parts is what parts of the package make together.
func (c *check) parts(all ...extent) *file {
	return &file{fsys: c.in.Beside, name: c.in.Package, parts: all, digests: map[crypto.Hash][]byte{}}
}

// parted gives the bytes of a file's parts, one after the other.
func parted(f fs.File, parts []extent) (io.ReadCloser, error) {
	at, ok := f.(io.ReaderAt)
	if !ok {
		return nil, errors.New("it can't be read in parts")
	}
	all := make([]io.Reader, 0, len(parts))
	for _, p := range parts {
		all = append(all, io.NewSectionReader(at, p.at, p.size))
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(all...), f}, nil
}

// bytesOf reads a part of at most maxSignature bytes.
func bytesOf(f io.ReaderAt, p extent) ([]byte, error) {
	if p.size > maxSignature {
		return nil, fmt.Errorf("it is larger than %d bytes", maxSignature)
	}
	data := make([]byte, p.size)
	if _, err := io.ReadFull(io.NewSectionReader(f, p.at, p.size), data); err != nil {
		return nil, err
	}
	return data, nil
}

// unheld is the finding of a digest that the package has of itself, and that isn't its own.
func (c *check) unheld(what string) {
	c.add(detector.Finding{
		Rule: "signature/digest", Severity: detector.Blocker, What: fmt.Sprintf("%s: %s", c.in.Package, what),
		Why: "The package isn't as it was built: the download is damaged, or somebody changed it.",
		Do:  "Don't install it. Fetch it again from the vendor, and compare its digest with the vendor's through another channel.",
	})
}

// has says whether a file has a digest, in hex.
func (f *file) has(ctx context.Context, h crypto.Hash, want string) (bool, error) {
	got, err := f.digest(ctx, h)
	return err == nil && sameHex(got, want), err
}
