package signature

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"aftershock/detector"
)

// extensions of files with signatures.
var extensions = []string{".p7s", ".p7b", ".p7m", ".minisig", ".asc", ".sig", ".gpg", ".pgp", ".sign"}

// keyExtensions are those of files with certificates and keys.
var keyExtensions = []string{".pem", ".crt", ".cer", ".der", ".pub", ".key", ".asc", ".gpg", ".pgp", ".p7b"}

// sums are what files with digests of the others are called.
var sums = []string{"manifest", "package", "upgrade", "sha256sums", "sha512sums", "checksums"}

// file is what a signature is over. Its digests are taken once.
type file struct {
	fsys    fs.FS
	name    string
	digests map[crypto.Hash][]byte
	// parts are those of its bytes that it is, one after the other; nil for all.
	parts []extent
}

func (c *check) file(fsys fs.FS, name string, whole bool) *file {
	key := "in\xff" + name
	if whole {
		key = "package"
	}
	if c.files[key] == nil {
		c.files[key] = &file{fsys: fsys, name: name, digests: map[crypto.Hash][]byte{}}
	}
	return c.files[key]
}

// walk finds signatures and keys in the package.
func (c *check) walk() {
	if c.in.Inside == nil {
		return
	}
	err := fs.WalkDir(c.in.Inside, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case c.ctx.Err() != nil:
			return c.ctx.Err()
		case err != nil:
			return err
		case d.Type().IsRegular():
			c.paths = append(c.paths, p)
		}
		if len(c.paths) > maxWalk {
			return fmt.Errorf("more than %d files", maxWalk)
		}
		return nil
	})
	if err != nil && c.ctx.Err() == nil {
		c.add(detector.Finding{
			Rule: "signature/unreadable", Severity: detector.Risk, What: "the package's files can't be searched for signatures to the end: " + plain(err),
			Why: "What isn't read isn't inspected.", Do: "See why, and inspect the package again.",
		})
	}
	slices.Sort(c.paths)
	has := map[string]bool{}
	for _, p := range c.paths {
		has[p] = true
	}
	read := 0
	for _, p := range c.paths {
		ext := strings.ToLower(path.Ext(p))
		isKey, isSignature := slices.Contains(keyExtensions, ext), slices.Contains(extensions, ext)
		if !isKey && !isSignature || c.ctx.Err() != nil {
			continue
		}
		data, err := readFile(c.in.Inside, p)
		target := c.targetOf(p, has)
		if err != nil {
			if isSignature && target != "" {
				c.unreadable(p, detector.Place{File: p}, err)
			}
			continue
		}
		if read < maxKeys && c.keys.read(p, data) {
			read++
			continue
		}
		if isSignature {
			c.inner(p, target, data)
		}
	}
}

// inner takes in a signature in the package.
func (c *check) inner(p, target string, data []byte) {
	form := formOf(p, data)
	switch {
	case form == "" && target == "":
		return // an .asc of AsciiDoc, or a .sig of something else
	case form == formRaw && target == "":
		return
	}
	s := found{name: p, place: detector.Place{File: p}, form: form, data: data, over: target}
	if target != "" {
		s.target = c.file(c.in.Inside, target, false)
		s.speaks = c.speaksFor(target)
	}
	c.take(s)
}

// speaksFor says whether a signature over a file is one of the package's publisher, rather than of
// whoever made a file that the package brings: it is over what holds digests of the others.
func (c *check) speaksFor(target string) bool {
	if len(c.in.Digests[target]) > 0 {
		return true
	}
	dir := path.Dir(target)
	if dir != "." && dir != top(c.paths) {
		return false
	}
	stem, _, _ := strings.Cut(strings.ToLower(path.Base(target)), ".")
	return slices.Contains(sums, stem)
}

// targetOf finds what a signature in the package is over: the file whose name it has but for the
// extension, else the only one beside it of the same stem.
func (c *check) targetOf(p string, has map[string]bool) string {
	stem := strings.TrimSuffix(p, path.Ext(p))
	if has[stem] {
		return stem
	}
	only := ""
	at, _ := slices.BinarySearch(c.paths, stem+".")
	for _, other := range c.paths[at:] {
		rest, ok := strings.CutPrefix(other, stem+".")
		if !ok {
			break
		}
		ext := "." + strings.ToLower(rest)
		if strings.Contains(rest, "/") || strings.Contains(rest, ".") || slices.Contains(extensions, ext) || slices.Contains(keyExtensions, ext) {
			continue
		}
		if only != "" {
			return ""
		}
		only = other
	}
	return only
}

// beside finds signatures and keys that lie with the package.
func (c *check) beside() {
	if c.in.Beside == nil {
		return
	}
	st, err := fs.Stat(c.in.Beside, c.in.Package)
	isFile := err == nil && st.Mode().IsRegular()
	for _, ext := range []string{".pem", ".crt", ".cer", ".der", ".pub", ".key", ".asc", ".gpg"} {
		if data, err := readFile(c.in.Beside, c.in.Package+ext); err == nil {
			c.keys.read(c.in.Package+ext, data)
		}
	}
	if data, err := readFile(c.in.Beside, "minisign.pub"); err == nil {
		c.keys.read("minisign.pub", data)
	}
	if !isFile {
		return // a directory has no bytes that could be signed
	}
	for _, ext := range extensions {
		name := c.in.Package + ext
		data, err := readFile(c.in.Beside, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			c.speaking++
			c.unreadable(name, detector.Place{}, err)
			continue
		}
		if c.keys.from[name] {
			continue
		}
		c.take(found{name: name, form: formOf(name, data), data: data, target: c.file(c.in.Beside, c.in.Package, true), speaks: true})
	}
}

// take puts a signature down to be checked.
func (c *check) take(s found) {
	same, alike := 0, 0
	for _, o := range c.signatures {
		if s.target != nil && o.target == s.target {
			same++
		}
		if o.speaks == s.speaks {
			alike++
		}
	}
	if same >= maxEach || alike >= maxSignatures {
		if c.told["more"] {
			return
		}
		c.told["more"] = true
		c.add(detector.Finding{
			Rule: "signature/more", Severity: detector.Risk, Place: s.place,
			What: fmt.Sprintf("more than %d signatures, or than %d over one file: the rest wasn't checked", maxSignatures, maxEach),
			Why:  "What isn't read isn't inspected.", Do: "Ask the vendor for one signature over the package.",
		})
		return
	}
	if s.speaks {
		c.speaking++
	}
	c.signatures = append(c.signatures, s)
}

// signature checks one.
func (c *check) signature(s found) error {
	if s.target == nil && s.form != formCMS && s.form != formClear {
		c.unchecked("signature/orphan", s, "there is no file that it could be over", "Ask the vendor what it signs.")
		return nil
	}
	if s.broken != "" {
		c.invalid(s, "", s.broken)
		return nil
	}
	switch s.form {
	case formCMS:
		return c.cms(s)
	case formRaw:
		return c.raw(s)
	case formMinisign:
		return c.minisign(s)
	case formPGP, formClear:
		return c.pgp(s)
	}
	c.unreadable(s.name, s.place, errors.New("it is in no form that is known"))
	return nil
}

func (c *check) unreadable(name string, place detector.Place, err error) {
	c.add(detector.Finding{
		Rule: "signature/unreadable", Severity: detector.Risk, Place: place, What: "the signature " + name + " can't be read: " + plain(err),
		Why: "A signature that isn't checked protects from nothing.", Do: "Ask the vendor for one in CMS, PGP or minisign form.",
	})
}

// readFile reads a regular file of at most maxSignature bytes.
func readFile(fsys fs.FS, name string) ([]byte, error) {
	if st, err := fs.Stat(fsys, name); err != nil {
		return nil, err
	} else if !st.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSignature+1))
	if err == nil && len(data) > maxSignature {
		err = fmt.Errorf("it is larger than %d bytes", maxSignature)
	}
	return data, err
}
