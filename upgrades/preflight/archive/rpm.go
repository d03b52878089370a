package archive

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// Tags of an rpm's header that are read (rpm's rpmtag.h).
var rpmTags = map[uint32]string{
	1000: "Name", 1001: "Version", 1002: "Release", 1003: "Epoch", 1004: "Summary", 1006: "Build-Time", 1007: "Build-Host", 1011: "Vendor", 1015: "Packager",
	1022: "Architecture", 1047: "Provides", 1049: "Requires", 1054: "Conflicts", 1090: "Obsoletes", 1124: "Payload-Format",
}

// rpmScripts are what rpm runs, under the names that they get here.
var rpmScripts = map[uint32]string{
	1023: "preinstall", 1024: "postinstall", 1025: "preuninstall", 1026: "postuninstall", 1151: "pretransaction", 1152: "posttransaction", 1079: "verify",
	1065: "trigger", 5066: "filetrigger", 5076: "transfiletrigger", 5103: "preuntransaction", 5104: "postuntransaction",
}

// rpmInterpreters are the tags of what runs them.
var rpmInterpreters = map[uint32]uint32{
	1023: 1085, 1024: 1086, 1025: 1087, 1026: 1088, 1151: 1153, 1152: 1154, 1079: 1091, 1065: 1092, 5066: 5067, 5076: 5077, 5103: 5105, 5104: 5106,
}

// Bounds of an rpm's header.
const (
	maxRPMTags  = 1 << 16
	maxRPMStore = 64 << 20
)

// rpm unpacks an RPM package (rpm.org/docs/4.19.x/manual/format_v4.html): its scripts come
// under RPM/, the files that it installs under their own paths.
func (u *unpacker) rpm(r io.Reader, prefix string) error {
	b := bufio.NewReaderSize(r, 1<<16)
	if _, err := b.Discard(96); err != nil {
		return fmt.Errorf("lead: %w", err)
	}
	_, size, err := rpmHeader(b)
	if err != nil {
		return fmt.Errorf("signature: %w", err)
	}
	if pad := (8 - size%8) % 8; pad > 0 {
		if _, err := b.Discard(pad); err != nil {
			return err
		}
	}
	tags, _, err := rpmHeader(b)
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if prefix == "" {
		for tag, name := range rpmTags {
			if v := tags[tag]; len(v) > 0 {
				u.p.Fields[name] = joined(v)
			}
		}
		u.relations(tags)
	}
	built := time.Time{}
	if s, err := strconv.ParseInt(first(tags[1006]), 10, 64); err == nil {
		built = time.Unix(s, 0).UTC()
	}
	if err := u.rpmScripts(tags, prefix, built); err != nil {
		return err
	}
	z, err := decompressed(b)
	if err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	defer z.Close()
	payload := bufio.NewReaderSize(&metered{u, z}, 1<<16)
	if err := u.cpio(payload, prefix); err != nil {
		return err
	}
	return u.rest(payload, prefix)
}

// rpmScripts puts down what rpm runs; of triggers there may be several.
func (u *unpacker) rpmScripts(tags map[uint32][]string, prefix string, built time.Time) error {
	for tag, name := range rpmScripts {
		for i, text := range tags[tag] {
			if text == "" {
				continue
			}
			with := tags[rpmInterpreters[tag]]
			if i < len(with) && with[i] != "" && !strings.HasPrefix(text, "#!") {
				text = "#!" + with[i] + "\n" + text
			}
			e := entry{name: "RPM/" + name, mode: 0o755, modTime: built}
			if i > 0 {
				e.name += "-" + strconv.Itoa(i+1)
			}
			if err := u.add(prefix, e, strings.NewReader(text)); err != nil {
				return err
			}
		}
	}
	return nil
}

// joined are values line by line, as many as there is room for.
func joined(values []string) string {
	size := 0
	for i, v := range values {
		if size += len(v) + 1; size > maxControl {
			return strings.Join(values[:i], "\n")
		}
	}
	return strings.Join(values, "\n")
}

// relations writes what the package requires with its versions: "name >= 1.2".
func (u *unpacker) relations(tags map[uint32][]string) {
	for field, t := range map[string][3]uint32{"Requires": {1049, 1050, 1048}, "Conflicts": {1054, 1055, 1053}, "Obsoletes": {1090, 1115, 1114}, "Provides": {1047, 1113, 1112}} {
		names, versions, flags := tags[t[0]], tags[t[1]], tags[t[2]]
		var out []string
		for i, name := range names {
			if i < len(versions) && i < len(flags) && versions[i] != "" {
				n, _ := strconv.ParseInt(flags[i], 10, 64)
				op := map[int64]string{2: "<", 4: ">", 8: "=", 10: "<=", 12: ">="}[n&14]
				if op != "" {
					name += " " + op + " " + versions[i]
				}
			}
			out = append(out, name)
		}
		if len(out) > 0 {
			u.p.Fields[field] = joined(out)
		}
	}
}

func first(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return all[0]
}

// rpmHeader reads one header: texts and numbers by tag, and its size in bytes.
func rpmHeader(r io.Reader) (map[uint32][]string, int, error) {
	intro := make([]byte, 16)
	if _, err := io.ReadFull(r, intro); err != nil {
		return nil, 0, err
	}
	if !bytes.HasPrefix(intro, []byte{0x8e, 0xad, 0xe8, 1}) {
		return nil, 0, errors.New("it doesn't begin as one")
	}
	n, size := binary.BigEndian.Uint32(intro[8:]), binary.BigEndian.Uint32(intro[12:])
	if n > maxRPMTags || size > maxRPMStore {
		return nil, 0, errors.New("it is larger than is read")
	}
	b := make([]byte, 16*int(n))
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, 0, err
	}
	// As much as there is, not as much as it says.
	var grown bytes.Buffer
	if got, err := io.Copy(&grown, io.LimitReader(r, int64(size))); err != nil || got < int64(size) {
		return nil, 0, errors.Join(err, io.ErrUnexpectedEOF)
	}
	store := grown.String() // values are parts of it: tags may all lie over the same bytes
	tags := map[uint32][]string{}
	for ; len(b) > 0; b = b[16:] {
		tag, kind := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
		at, count := binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint32(b[12:])
		if at > size {
			return nil, 0, errors.New("a tag lies outside it")
		}
		if wanted[tag] {
			if _, twice := tags[tag]; twice {
				return nil, 0, errors.New("a tag comes twice")
			}
			tags[tag] = rpmValues(store[at:], kind, count)
		}
	}
	return tags, 16 + 16*int(n) + int(size), nil
}

// wanted are the tags that are kept of a header.
var wanted = func() map[uint32]bool {
	out := map[uint32]bool{}
	for t := range rpmTags {
		out[t] = true
	}
	for t := range rpmScripts {
		out[t] = true
	}
	for _, t := range rpmInterpreters {
		out[t] = true
	}
	for _, t := range []uint32{1048, 1050, 1053, 1055, 1112, 1113, 1114, 1115} {
		out[t] = true
	}
	return out
}()

// rpmValues reads the values of a tag: texts, or 32-bit numbers in decimal.
func rpmValues(b string, kind, count uint32) (out []string) {
	const most = 10_000
	switch kind {
	case 4: // INT32
		for i := uint32(0); i < min(count, most) && len(b) >= 4; i++ {
			out = append(out, strconv.FormatUint(uint64(binary.BigEndian.Uint32([]byte(b[:4]))), 10))
			b = b[4:]
		}
	case 6, 8, 9: // STRING, STRING_ARRAY, I18NSTRING
		for i := uint32(0); i < min(count, most); i++ {
			text, rest, ok := strings.Cut(b, "\x00")
			if !ok {
				return out
			}
			out, b = append(out, text), rest
		}
	}
	return out
}

// cpio unpacks the payload, a cpio in the newc form (cpio(5)).
func (u *unpacker) cpio(r *bufio.Reader, prefix string) error {
	for {
		head := make([]byte, 110)
		if _, err := io.ReadFull(r, head); err != nil {
			return fmt.Errorf("payload: %w", err)
		}
		if m := string(head[:6]); m != "070701" && m != "070702" {
			return errors.New("payload: it is no cpio in the newc form (files over 4 GB aren't read)")
		}
		var v [13]int64
		for i := range v {
			n, err := strconv.ParseUint(string(head[6+8*i:14+8*i]), 16, 32)
			if err != nil {
				return fmt.Errorf("payload: %w", err)
			}
			v[i] = int64(n)
		}
		mode, mtime, size, length := v[1], v[5], v[6], v[11]
		if length < 1 || length > maxName+8 {
			return errors.New("payload: a name is too long")
		}
		name := make([]byte, length)
		if _, err := io.ReadFull(r, name); err != nil {
			return fmt.Errorf("payload: %w", err)
		}
		if err := skip(r, (4-(110+length)%4)%4); err != nil {
			return err
		}
		text := strings.TrimRight(string(name), "\x00")
		if text == "TRAILER!!!" {
			return nil
		}
		content := &io.LimitedReader{R: r, N: size}
		e := entry{name: installedName(text), mode: cpioMode(mode), modTime: time.Unix(mtime, 0).UTC()}
		if e.mode&fs.ModeSymlink != 0 {
			b, err := io.ReadAll(io.LimitReader(content, maxName))
			if err != nil {
				return err
			}
			e.link = string(b)
		}
		if e.name != "" {
			if err := u.add(prefix, e, content); err != nil {
				return err
			}
		}
		if err := skip(r, content.N+(4-size%4)%4); err != nil {
			return err
		}
	}
}

func skip(r io.Reader, n int64) error {
	if got, err := io.CopyN(io.Discard, r, n); err != nil {
		return fmt.Errorf("payload: %w after %d bytes", err, got)
	}
	return nil
}

// cpioMode is a Unix mode as Go has it.
func cpioMode(m int64) fs.FileMode {
	mode := fs.FileMode(m & 0o777)
	switch m & 0o170000 {
	case 0o040000:
		mode |= fs.ModeDir
	case 0o120000:
		mode |= fs.ModeSymlink
	case 0o100000, 0:
	default:
		mode |= fs.ModeDevice
	}
	if m&0o4000 != 0 {
		mode |= fs.ModeSetuid
	}
	if m&0o2000 != 0 {
		mode |= fs.ModeSetgid
	}
	return mode
}
