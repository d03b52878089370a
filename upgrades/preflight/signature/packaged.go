package signature

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"strconv"
	"strings"

	"aftershock/detector"
)

// packaged looks at signatures that Debian and RPM packages have in themselves, which aren't checked. It
// gives the form where the package's being signed is a matter of that, "" else.
func (c *check) packaged() string {
	if c.in.Beside == nil {
		return ""
	}
	f, err := c.in.Beside.Open(c.in.Package)
	if err != nil {
		return ""
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return ""
	}
	r := bufio.NewReader(reading{c.ctx, f})
	magic, _ := r.Peek(8) // less where it is shorter
	switch {
	case bytes.Equal(magic, []byte("!<arch>\n")):
		if member := signatureMember(r); member != "" {
			c.notChecked("it holds a signature of dpkg-sig or debsig ("+member+")", "dpkg-sig --verify PACKAGE, or debsig-verify")
		} else if c.speaking == 0 {
			c.notChecked("Debian packages are signed by the Release file of their repository, which isn't at hand", "install it through a repository with a signed Release file, or compare its SHA-256 with that in the repository's Packages file")
		}
		return "deb"
	case bytes.HasPrefix(magic, []byte{0xed, 0xab, 0xee, 0xdb}):
		if headerSigned(r) {
			c.notChecked("the signature in its header", "rpm --checksig --verbose PACKAGE")
			return "rpm"
		}
	}
	return ""
}

func (c *check) notChecked(what, how string) {
	c.add(detector.Finding{
		Rule: "signature/not-checked", Severity: detector.Note, What: "not checked: " + what,
		Why: "Such signatures are checked by the package manager, by the keys that the host trusts.",
		Do:  "On the host: " + how + ".",
	})
}

// signatureMember gives the name of the member of a deb that holds a signature, "" where there is none.
func signatureMember(r *bufio.Reader) string {
	if _, err := r.Discard(8); err != nil {
		return ""
	}
	for range 32 {
		var head [60]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return ""
		}
		member := strings.TrimRight(string(head[:16]), " /")
		if strings.HasPrefix(member, "_gpg") {
			return name(member)
		}
		size, err := strconv.ParseInt(strings.TrimSpace(string(head[48:58])), 10, 64)
		if err != nil || size < 0 {
			return ""
		}
		if _, err := io.CopyN(io.Discard, r, size+size%2); err != nil {
			return ""
		}
	}
	return ""
}

// signatureTags are those of rpm's signature header that hold one: DSAHEADER, RSAHEADER, OPENPGP, PGP, GPG.
var signatureTags = []uint32{267, 268, 278, 1002, 1005}

// headerSigned says whether an rpm's signature header has a signature.
func headerSigned(r *bufio.Reader) bool {
	const lead, most = 96, 4096
	var head [16]byte
	if _, err := r.Discard(lead); err != nil {
		return false
	}
	if _, err := io.ReadFull(r, head[:]); err != nil || !bytes.Equal(head[:3], []byte{0x8e, 0xad, 0xe8}) {
		return false
	}
	n := binary.BigEndian.Uint32(head[8:])
	if n > most {
		return false
	}
	for range n {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return false
		}
		if slices.Contains(signatureTags, binary.BigEndian.Uint32(head[:])) {
			return true
		}
	}
	return false
}
