package archive

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
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
