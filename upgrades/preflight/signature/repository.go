package signature

import (
	"bufio"
	"compress/gzip"
	"crypto"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Bounds of what lies beside a Debian package.
const (
	maxBeside   = 10_000    // names that are looked at
	maxLists    = 20        // signed lists that are read
	maxPackages = 512 << 20 // bytes of an unpacked Packages
	maxLine     = 1 << 20
	maxWindow   = 64 << 20 // bytes that a compression may look back
)

// chained takes in the signed lists beside a Debian package that have its digest: .changes and .buildinfo, which have it
// themselves, and InRelease, which has that of Packages.
func (c *check) chained() {
	for _, n := range c.lists() {
		data, err := readFile(c.in.Beside, n)
		if err != nil {
			continue
		}
		b, _ := clearsign.Decode(data)
		if b == nil {
			continue
		}
		s := found{name: n, form: formClear, data: data, target: c.file(c.in.Beside, c.in.Package, true), speaks: true, list: true}
		hold := c.listedIn
		if n == "InRelease" {
			hold = c.released
		}
		s.broken, err = hold(string(b.Plaintext))
		switch {
		case errors.Is(err, errNotListed):
			continue
		case err != nil:
			c.speaking++
			c.unreadable(n, s.place, err)
			continue
		}
		c.take(s)
	}
}

// lists are the names of what may be signed lists.
func (c *check) lists() (all []string) {
	d, err := c.in.Beside.Open(".")
	if err != nil {
		return nil
	}
	defer d.Close()
	dir, ok := d.(fs.ReadDirFile)
	if !ok {
		return nil
	}
	entries, _ := dir.ReadDir(maxBeside) // as many as can be read
	for _, e := range entries {
		n := e.Name()
		if ext := path.Ext(n); n == "InRelease" || ext == ".changes" || ext == ".buildinfo" {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all[:min(len(all), maxLists)]
}

// listedIn holds the package to a list of files with their SHA-256; wrong says what differs.
func (c *check) listedIn(text string) (wrong string, err error) {
	for _, l := range fieldLines(text, "Checksums-Sha256") {
		if len(l) != 3 || l[2] != c.in.Package {
			continue
		}
		ok, err := c.file(c.in.Beside, c.in.Package, true).has(c.ctx, crypto.SHA256, l[0])
		if err != nil {
			return "", err
		}
		if !ok {
			return "its list has another SHA-256 of " + c.in.Package, nil
		}
		return "", nil
	}
	return "", errNotListed
}

// released holds the package to the Packages file beside it, and that to a Release file.
func (c *check) released(text string) (wrong string, err error) {
	for _, n := range []string{"Packages", "Packages.xz", "Packages.gz", "Packages.zst"} {
		want, err := c.inPackages(n)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotListed) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w", n, err)
		}
		sum, err := (&file{fsys: c.in.Beside, name: n, digests: map[crypto.Hash][]byte{}}).digest(c.ctx, crypto.SHA256)
		if err != nil {
			return "", err
		}
		if !slices.ContainsFunc(fieldLines(text, "SHA256"), func(l []string) bool { return len(l) == 3 && path.Base(l[2]) == n && sameHex(sum, l[0]) }) {
			return n + " isn't one whose SHA-256 it has", nil
		}
		ok, err := c.file(c.in.Beside, c.in.Package, true).has(c.ctx, crypto.SHA256, want)
		if err != nil {
			return "", err
		}
		if !ok {
			return n + " has another SHA-256 of " + c.in.Package, nil
		}
		return "", nil
	}
	return "", errNotListed
}

// inPackages finds the SHA-256 that a Packages file has for the package, by the name of its file.
func (c *check) inPackages(n string) (sum string, err error) {
	f, err := c.in.Beside.Open(n)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return "", errNotListed
	}
	r, err := unpacked(n, reading{c.ctx, f})
	if err != nil {
		return "", err
	}
	defer r.Close()
	limited := &io.LimitedReader{R: r, N: maxPackages}
	lines := bufio.NewScanner(limited)
	lines.Buffer(nil, maxLine)
	var is bool
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimSpace(value)
		switch {
		case strings.TrimSpace(lines.Text()) == "":
			if is && sum != "" {
				return sum, nil
			}
			is, sum = false, ""
		case key == "Filename":
			is = path.Base(value) == c.in.Package
		case key == "SHA256":
			sum = value
		}
	}
	switch {
	case lines.Err() != nil:
		return "", lines.Err()
	case is && sum != "":
		return sum, nil
	case limited.N <= 0:
		return "", fmt.Errorf("it is larger than %d MB", maxPackages>>20)
	}
	return "", errNotListed
}

// unpacked takes the compression off by the name's ending.
func unpacked(n string, r io.Reader) (io.ReadCloser, error) {
	switch path.Ext(n) {
	case ".gz":
		return gzip.NewReader(r)
	case ".xz":
		x, err := xz.ReaderConfig{DictCap: maxWindow}.NewReader(r)
		if err != nil {
			return nil, err
		}
		return io.NopCloser(x), nil
	case ".zst":
		z, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxWindow*2))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	}
	return io.NopCloser(r), nil
}
