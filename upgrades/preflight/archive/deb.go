package archive

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"aftershock/detector"
)

// maxControl bounds a control file.
const maxControl = 1 << 20

// deb unpacks a Debian package (deb(5)): what dpkg runs and reads comes under DEBIAN/, the
// files that it installs under their own paths.
func (u *unpacker) deb(r io.Reader, prefix string) error {
	b := bufio.NewReader(r)
	if _, err := b.Discard(len("!<arch>\n")); err != nil {
		return err
	}
	seen := map[string]bool{}
	for members := 0; ; members++ {
		head := make([]byte, 60)
		switch _, err := io.ReadFull(b, head); {
		case errors.Is(err, io.EOF) && members > 0:
			return nil
		case err != nil:
			return err
		}
		name := strings.TrimSuffix(strings.TrimRight(string(head[:16]), " "), "/")
		size, err := strconv.ParseInt(strings.TrimSpace(string(head[48:58])), 10, 64)
		if err != nil || size < 0 || string(head[58:]) != "`\n" || members > 100 {
			return fmt.Errorf("member %q is damaged", clip(name))
		}
		u.member(prefix, name, size, seen)
		part := &io.LimitedReader{R: b, N: size}
		switch {
		case strings.HasPrefix(name, "control.tar"):
			err = u.compressedTar(part, size, prefix, "DEBIAN/", true)
			if err == nil {
				err = u.control(prefix)
			}
		case strings.HasPrefix(name, "data.tar"):
			err = u.compressedTar(part, size, prefix, "", true)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", clip(name), err)
		}
		if _, err := io.Copy(io.Discard, part); err != nil {
			return err
		}
		if part.N > 0 {
			return fmt.Errorf("member %s: %w", clip(name), io.ErrUnexpectedEOF)
		}
		if size%2 == 1 {
			if _, err := b.Discard(1); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
		}
	}
}

// maxSigned is the size of the largest member that may be a signature.
const maxSigned = 1 << 20

// member tells of a member that dpkg doesn't take: what nobody looks at can hold anything, and no signature is over it.
// seen are the kinds that came before.
func (u *unpacker) member(prefix, name string, size int64, seen map[string]bool) {
	kind := name
	for _, k := range []string{"control.tar", "data.tar"} {
		if name == k || strings.HasPrefix(name, k+".") {
			kind = k
		}
	}
	switch {
	case kind != "control.tar" && kind != "data.tar" && kind != "debian-binary":
		if strings.HasPrefix(name, "_gpg") && size <= maxSigned && !seen[name] {
			break // a signature, which is checked as such
		}
		u.find("archive/member", detector.Risk, strings.TrimSuffix(prefix, "!/"), fmt.Sprintf("the Debian package has a member %q of %d bytes, which dpkg leaves aside", clip(name), size),
			"Nobody looks at it, no signature is over it, and what else reads the package may take it.", "Ask the vendor what it is for.")
	case seen[kind]:
		u.find("archive/duplicate", detector.Blocker, strings.TrimSuffix(prefix, "!/"), fmt.Sprintf("the Debian package has %s twice (%q)", kind, clip(name)),
			"dpkg takes the first one; a signature or another tool may be about the other.", "Don't install it. Ask the vendor for a package that is built by dpkg-deb.")
	}
	seen[kind] = true
}

// control reads the fields of the package itself.
func (u *unpacker) control(prefix string) error {
	if prefix != "" || u.kinds["DEBIAN/control"] != 'f' {
		return nil
	}
	f, err := u.p.root.Open("DEBIAN/control")
	if err != nil {
		return err
	}
	defer f.Close()
	last := ""
	lines := bufio.NewScanner(io.LimitReader(f, maxControl))
	lines.Buffer(nil, maxControl)
	for lines.Scan() {
		line := lines.Text()
		key, value, ok := strings.Cut(line, ":")
		switch {
		case strings.TrimSpace(line) == "" && len(u.p.Fields) > 0:
			return nil
		case (strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")) && last != "":
			u.p.Fields[last] += "\n" + strings.TrimSpace(line)
		case ok && key != "" && !strings.ContainsAny(key, " \t"):
			last = key
			u.p.Fields[key] = strings.TrimSpace(value)
		}
	}
	return lines.Err()
}
