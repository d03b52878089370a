package inventory

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	_ "modernc.org/sqlite" // rpm's own database, since rpm 4.16
)

// Bounds of an rpm database.
const (
	maxDatabase = 1 << 30  // bytes
	maxHeader   = 32 << 20 // bytes of one package's header
)

// rpmDirectories are where the database may be.
var rpmDirectories = []string{"/usr/lib/sysimage/rpm", "/var/lib/rpm"}

// rpm puts down the packages of rpm's database: read here where it is one of SQLite (rpm 4.16
// and later), asked of rpm where that is allowed, else noted.
func (t *taker) rpm(ctx context.Context) {
	for _, dir := range rpmDirectories {
		at, err := t.on(dir + "/rpmdb.sqlite")
		if err != nil {
			continue
		}
		if _, err := os.Stat(at); err == nil {
			packages, err := rpmDatabase(ctx, at)
			if err != nil {
				t.note("%s/rpmdb.sqlite can't be read: %v", dir, err)
			}
			t.inv.Packages = append(t.inv.Packages, packages...)
			return
		}
		for _, old := range []string{"Packages", "Packages.db"} {
			if at, err := t.on(dir + "/" + old); err != nil || !exists(at) {
				continue
			}
			if t.root != "/" || t.options.RPM == "" {
				t.note("%s/%s is of a form that isn't read here: let rpm -qa be run to have its packages", dir, old)
				return
			}
			packages, err := rpmQuery(ctx, t.options.RPM)
			if err != nil {
				t.note("rpm can't be asked: %v", err)
			}
			t.inv.Packages = append(t.inv.Packages, packages...)
			return
		}
	}
}

func exists(at string) bool { _, err := os.Stat(at); return err == nil }

// rpmDatabase reads a copy of the database, since one that is being written is read together
// with its log, and reading must not touch the host's files.
func rpmDatabase(ctx context.Context, at string) (packages []Package, err error) {
	dir, err := os.MkdirTemp("", "aftershock-rpm-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	copied := filepath.Join(dir, "rpmdb.sqlite")
	for _, suffix := range []string{"", "-wal"} {
		if err := copyFile(at+suffix, copied+suffix); err != nil && (suffix == "" || !os.IsNotExist(err)) {
			return nil, err
		}
	}
	db, err := sql.Open("sqlite", "file:"+copied)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, "SELECT blob FROM Packages WHERE length(blob) <= ? LIMIT ?", maxHeader, maxPackages)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var blob []byte
		if err := rows.Scan(&blob); err != nil {
			return packages, err
		}
		p, err := rpmHeader(blob)
		if err != nil {
			return packages, err
		}
		if p.Name != "gpg-pubkey" { // keys are kept as if they were packages
			packages = append(packages, p)
		}
	}
	slices.SortFunc(packages, func(a, b Package) int { return strings.Compare(a.Name, b.Name) })
	return packages, rows.Err()
}

func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() > maxDatabase {
		return fmt.Errorf("it is no regular file of at most %d bytes", int64(maxDatabase))
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, io.LimitReader(in, maxDatabase))
	if e := out.Close(); err == nil {
		err = e
	}
	return err
}

// Tags and types of rpm's headers (rpm's lib/rpmtag.h).
const (
	tagName        = 1000
	tagVersion     = 1001
	tagRelease     = 1002
	tagEpoch       = 1003
	tagProvideName = 1047

	typeInt32       = 4
	typeString      = 6
	typeStringArray = 8
)

// rpmHeader reads a header as the database keeps it: the counts of entries and of bytes,
// the entries of 16 bytes each, the bytes; all numbers big-endian.
func rpmHeader(blob []byte) (Package, error) {
	broken := errors.New("a package's header is broken")
	if len(blob) < 8 {
		return Package{}, broken
	}
	entries, size := int64(binary.BigEndian.Uint32(blob)), int64(binary.BigEndian.Uint32(blob[4:]))
	if 8+entries*16+size > int64(len(blob)) {
		return Package{}, broken
	}
	index, data := blob[8:8+entries*16], blob[8+entries*16:8+entries*16+size]
	p := Package{Source: "rpm"}
	var v, release, epoch string
	for ; len(index) > 0; index = index[16:] {
		tag, kind := binary.BigEndian.Uint32(index), binary.BigEndian.Uint32(index[4:])
		offset, count := binary.BigEndian.Uint32(index[8:]), binary.BigEndian.Uint32(index[12:])
		if int64(offset) > int64(len(data)) {
			return Package{}, broken
		}
		at := data[offset:]
		switch {
		case tag == tagName && kind == typeString:
			p.Name = upToZero(at)
		case tag == tagVersion && kind == typeString:
			v = upToZero(at)
		case tag == tagRelease && kind == typeString:
			release = "-" + upToZero(at)
		case tag == tagEpoch && kind == typeInt32 && len(at) >= 4:
			epoch = fmt.Sprintf("%d:", binary.BigEndian.Uint32(at))
		case tag == tagProvideName && kind == typeStringArray:
			p.Provides = providedNames(at, min(count, 500))
		}
	}
	if p.Name == "" || v == "" {
		return Package{}, broken
	}
	p.Version = epoch + v + release
	p.Provides = slices.DeleteFunc(p.Provides, func(s string) bool { return s == p.Name })
	return p, nil
}

func upToZero(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return strings.ToValidUTF8(string(b[:min(len(b), 256)]), "")
}

// providedNames reads an array of texts, without the libraries' many.
func providedNames(at []byte, count uint32) []string {
	var names []string
	for ; count > 0 && len(at) > 0; count-- {
		name := upToZero(at)
		if !strings.ContainsAny(name, "()") && name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
		i := bytes.IndexByte(at, 0)
		if i < 0 {
			break
		}
		at = at[i+1:]
	}
	return names
}

// rpmQuery asks rpm itself.
func rpmQuery(ctx context.Context, rpm string) ([]Package, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, rpm, "-qa", "--qf", `%{NAME} %{EPOCHNUM}:%{VERSION}-%{RELEASE}\n`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	packages := rpmList(io.LimitReader(out, maxRead))
	if _, err := io.Copy(io.Discard, out); err != nil {
		return packages, err
	}
	return packages, cmd.Wait()
}

// rpmList reads lines of a name and a version.
func rpmList(r io.Reader) (packages []Package) {
	s := bufio.NewScanner(r)
	for s.Scan() && len(packages) < maxPackages {
		name, v, ok := strings.Cut(s.Text(), " ")
		if ok && name != "gpg-pubkey" {
			packages = append(packages, Package{Name: name, Version: strings.TrimPrefix(v, "0:"), Source: "rpm"})
		}
	}
	slices.SortFunc(packages, func(a, b Package) int { return strings.Compare(a.Name, b.Name) })
	return packages
}
