package signature

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"aftershock/detector"

	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
)

// arMagic begins an archive of ar(1), which a Debian package is.
const arMagic = "!<arch>\n"

// maxMembers bounds the members of a Debian package, as who unpacks it does.
const maxMembers = 100

// member is one of an archive's.
type member struct {
	name string
	extent
}

// readMembers gives the members of an archive (ar(5), deb(5)).
func readMembers(f io.ReaderAt, size int64) (all []member, err error) {
	for at := int64(len(arMagic)); at < size; {
		var head [60]byte
		if _, err := f.ReadAt(head[:], at); err != nil {
			return nil, io.ErrUnexpectedEOF
		}
		m := member{name: strings.TrimSuffix(strings.TrimRight(string(head[:16]), " "), "/")}
		n, err := strconv.ParseInt(strings.TrimSpace(string(head[48:58])), 10, 64)
		if err != nil || n < 0 || string(head[58:]) != "`\n" || len(all) >= maxMembers {
			return nil, fmt.Errorf("member %q is damaged", name(m.name))
		}
		m.extent = extent{at + 60, n}
		if n > size-m.at {
			return nil, io.ErrUnexpectedEOF
		}
		all = append(all, m)
		at = m.at + n + n%2
	}
	return all, nil
}

// debParts gives the members that a Debian package consists of, each the first of its kind: that is the one that dpkg takes.
func debParts(all []member) (three []member, err error) {
	for _, kind := range []string{"debian-binary", "control.tar", "data.tar"} {
		found := false
		for _, m := range all {
			if m.name == kind || kind != "debian-binary" && strings.HasPrefix(m.name, kind+".") {
				three, found = append(three, m), true
				break
			}
		}
		if !found {
			return nil, fmt.Errorf("it has no %s", kind)
		}
	}
	return three, nil
}

// deb takes in the signatures within a Debian package, and those over lists that lie beside it.
func (c *check) deb(f io.ReaderAt, size int64) {
	all, err := readMembers(f, size)
	if err != nil {
		c.unreadable("in "+c.in.Package, detector.Place{}, err)
	}
	for _, m := range all {
		if !strings.HasPrefix(m.name, "_gpg") {
			continue
		}
		s := found{name: c.in.Package + " (" + name(m.name) + ")", speaks: true}
		three, err := debParts(all)
		if err == nil {
			s.data, err = bytesOf(f, m.extent)
		}
		if err != nil {
			c.speaking++
			c.unreadable(s.name, s.place, err)
			continue
		}
		s.form = formOf(m.name, s.data)
		s.target = c.parts(three[0].extent, three[1].extent, three[2].extent)
		switch s.form {
		case formClear:
			s.list, s.broken = true, c.dpkgSig(s.data, three)
			s.weakList = "it signs the MD5 and SHA-1 of the package's members, as dpkg-sig does"
		case formPGP:
		default:
			s.form = ""
		}
		c.take(s)
	}
	c.chained()
}

// dpkgSig holds a package's members to the list that dpkg-sig signs; "" where they are as it says. A line has MD5, SHA-1, size
// and name.
func (c *check) dpkgSig(data []byte, three []member) (wrong string) {
	b, _ := clearsign.Decode(data)
	if b == nil {
		return "" // it is told when it is read
	}
	lines := fieldLines(string(b.Plaintext), "Files")
	for _, m := range three {
		var line []string
		for _, l := range lines {
			if len(l) == 4 && l[3] == m.name {
				line = l
				break
			}
		}
		if line == nil {
			return "its list doesn't have " + name(m.name)
		}
		target := c.parts(m.extent)
		for i, h := range []crypto.Hash{crypto.MD5, crypto.SHA1} {
			if ok, err := target.has(c.ctx, h, line[i]); err != nil || !ok || line[2] != strconv.FormatInt(m.size, 10) {
				return name(m.name) + " isn't the one of its list"
			}
		}
	}
	return ""
}

// fieldLines gives the words of each line of a field of several lines (deb822(5)), of the first paragraph.
func fieldLines(text, field string) (lines [][]string) {
	within := false
	for l := range strings.Lines(text) {
		l = strings.TrimRight(l, "\r\n")
		switch {
		case strings.TrimSpace(l) == "" && len(lines) > 0:
			return lines
		case strings.HasPrefix(l, " ") || strings.HasPrefix(l, "\t"):
			if within {
				lines = append(lines, strings.Fields(l))
			}
		default:
			key, _, ok := strings.Cut(l, ":")
			within = ok && strings.EqualFold(key, field)
		}
	}
	return lines
}

// unsignedDeb is the note of a Debian package without a signature.
func (c *check) unsignedDeb() {
	c.add(detector.Finding{
		Rule: "signature/not-checked", Severity: detector.Note,
		What: "the package isn't signed: Debian signs repositories rather than packages, and no signed list that names it lies beside it",
		Why:  "InRelease is signed and has the SHA-256 of Packages, which has that of each package. Whether this one comes from the vendor can't be told without them.",
		Do: "Install it through its repository, or put the repository's InRelease and Packages (or the signed .changes) beside it, give the vendor's key, and " +
			"inspect it again.",
	})
}

// errNotListed says that a list doesn't name the package.
var errNotListed = errors.New("it doesn't name the package")
