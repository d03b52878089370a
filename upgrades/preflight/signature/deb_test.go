package signature

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestDeb: what the real dpkg-deb builds and the real debsigs signs; dpkg-sig, which is in no Debian any more, by its form.
func TestDeb(t *testing.T) {
	s := newWorkshop(t)
	for _, name := range []string{"rsa", "stranger"} {
		s.gpg("--quick-generate-key", name+" <"+name+"@dten.example>", "rsa2048", "sign", "1y")
	}
	deb := func(name string) []byte {
		tree := filepath.Join(s.dir, name)
		if err := os.MkdirAll(filepath.Join(tree, "DEBIAN"), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(tree, "DEBIAN/control"), []byte("Package: "+name+"\nVersion: 4.2.0\nArchitecture: all\nMaintainer: x <x@dten.example>\nDescription: x\n"))
		write(t, filepath.Join(tree, "app"), []byte(name+"\n"))
		run(t, s.dir, "dpkg-deb", "--root-owner-group", "--build", name, name+".deb")
		return s.read(name + ".deb")
	}
	plain, other := deb("dten"), deb("other")
	run(t, s.dir, "cp", "dten.deb", "signed.deb")
	run(t, s.dir, "debsigs", "--sign=origin", "--default-key="+fingerprint(s, "rsa"), "signed.deb")
	sha1 := s.read("signed.deb") // debsigs' default
	write(t, filepath.Join(s.dir, "gnupg/gpg.conf"), []byte("digest-algo SHA256\n"))
	debsigs := func(of []byte, kind string) []byte {
		write(t, filepath.Join(s.dir, "signed.deb"), of)
		run(t, s.dir, "debsigs", "--sign="+kind, "--default-key="+fingerprint(s, "rsa"), "signed.deb")
		return s.read("signed.deb")
	}
	key := s.gpg("--export", "rsa")
	at := time.Now().Add(time.Minute)
	const first, invalid = "note signature/first-use", "blocker signature/invalid"
	origin := debsigs(plain, "origin")
	list := func(name string, of []byte) []byte { return dpkgSigned(t, s, name, of) }
	flipped := func(data []byte, member string) []byte {
		data = slices.Clone(data)
		all, err := readMembers(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range all {
			if strings.HasPrefix(m.name, member) {
				data[m.at+m.size/2] ^= 1
				return data
			}
		}
		t.Fatal("no " + member)
		return nil
	}
	swapped := append(slices.Clone(plain), debsigs(other, "origin")[len(other):]...)
	for _, tt := range []struct {
		name string
		data []byte
		want []string
	}{
		{"unsigned", plain, []string{"note signature/not-checked"}},
		{"origin", origin, []string{first}},
		{"origin by SHA-1", sha1, []string{first, "risk signature/weak-algorithm"}},
		{"maint", debsigs(plain, "maint"), []string{first}},
		{"archive", debsigs(plain, "archive"), []string{first}},
		{"two", debsigs(origin, "archive"), []string{first}},
		{"control altered", flipped(origin, "control.tar"), []string{invalid}},
		{"data altered", flipped(origin, "data.tar"), []string{invalid}},
		{"version altered", flipped(origin, "debian-binary"), []string{invalid}},
		{"signature of another package", swapped, []string{invalid}},
		{"dpkg-sig", list("_gpgbuilder", plain), []string{first, "risk signature/weak-algorithm"}},
		{"dpkg-sig, data altered", flipped(list("_gpgbuilder", plain), "data.tar"), []string{invalid}},
		{"dpkg-sig, list altered", flipped(list("_gpgbuilder", plain), "_gpgbuilder"), []string{invalid}},
		{"dpkg-sig of another package", append(slices.Clone(plain), list("_gpgbuilder", other)[len(other):]...), []string{invalid}},
		{"no signature", appended(plain, "_gpgorigin", []byte("abc\n")), []string{"risk signature/unreadable"}},
		{"too large", appended(plain, "_gpgorigin", make([]byte, maxSignature+1)), []string{"risk signature/unreadable"}},
	} {
		t.Run(tt.name, func(t *testing.T) { wantTold(t, look(t, tt.data, key, at, &Memory{}), tt.want...) })
	}
	t.Run("pinned", func(t *testing.T) {
		pins := &Memory{}
		look(t, debsigs(other, "origin"), key, at, pins)
		wantTold(t, look(t, origin, key, at, pins))
		wantTold(t, look(t, plain, key, at, pins), "blocker signature/unsigned")
		sig := s.gpg("-u", "stranger", "--output", "-", "--detach-sign", members(t, s, plain))
		wantTold(t, look(t, appended(plain, "_gpgorigin", sig), slices.Concat(key, s.gpg("--export", "stranger")), at, pins), "blocker signature/unexpected-key")
	})
}

// members writes what debsigs signs to a file.
func members(t *testing.T, s workshop, deb []byte) string {
	t.Helper()
	all, err := readMembers(bytes.NewReader(deb), int64(len(deb)))
	if err != nil || len(all) != 3 {
		t.Fatal(all, err)
	}
	var b []byte
	for _, m := range all {
		b = append(b, deb[m.at:m.at+m.size]...)
	}
	write(t, filepath.Join(s.dir, "members"), b)
	return "members"
}

// dpkgSigned appends what dpkg-sig does: the list of members, clear-signed.
func dpkgSigned(t *testing.T, s workshop, name string, deb []byte) []byte {
	t.Helper()
	all, err := readMembers(bytes.NewReader(deb), int64(len(deb)))
	if err != nil {
		t.Fatal(err)
	}
	text := "Version: 4\nSigner: rsa <rsa@dten.example>\nDate: Fri Mar  6 09:00:00 2026\nRole: builder\nFiles: \n"
	for _, m := range all {
		data := deb[m.at : m.at+m.size]
		text += fmt.Sprintf("\t%x %x %d %s\n", md5.Sum(data), sha1.Sum(data), m.size, m.name)
	}
	write(t, filepath.Join(s.dir, "list"), []byte(text))
	return appended(deb, name, s.gpg("-u", "rsa", "--output", "-", "--clearsign", "list"))
}

// appended adds a member to an archive.
func appended(deb []byte, name string, data []byte) []byte {
	out := append(slices.Clone(deb), fmt.Appendf(nil, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", name, 0, 0, 0, "100644", len(data))...)
	out = append(out, data...)
	if len(data)%2 == 1 {
		out = append(out, '\n')
	}
	return out
}

// TestLists: signed lists beside a Debian package.
func TestLists(t *testing.T) {
	s := newWorkshop(t)
	s.gpg("--quick-generate-key", "rsa <rsa@dten.example>", "rsa2048", "sign", "1y")
	key := s.gpg("--export", "rsa")
	deb := []byte(arMagic)
	for _, m := range []string{"debian-binary", "control.tar.xz", "data.tar.xz"} {
		deb = appended(deb, m, []byte("abc\n"))
	}
	signed := func(text string) []byte {
		write(t, filepath.Join(s.dir, "text"), []byte(text))
		return s.gpg("--output", "-", "--clearsign", "text")
	}
	sum := func(data []byte) string { h := sha256.Sum256(data); return hex.EncodeToString(h[:]) }
	changes := func(digest, name string) []byte {
		return signed("Format: 1.8\nChecksums-Sha1:\n 00 12 p.rpm\nChecksums-Sha256:\n " + strings.Repeat("0", 64) + " 12 x.dsc\n " + digest + " 200 " + name + "\n")
	}
	index := func(digest, name string) []byte {
		return []byte("Package: a\nFilename: pool/a.deb\nSHA256: " + strings.Repeat("0", 64) + "\n\nPackage: dten\nFilename: pool/d/" + name + "\nSize: 200\nSHA256: " + digest + "\n")
	}
	release := func(digest string) []byte {
		return signed("Origin: DTEN\nMD5Sum:\n 00 12 main/binary-amd64/Packages\nSHA256:\n " + digest + " 12 main/binary-amd64/Packages\n")
	}
	good := index(sum(deb), "p.rpm")
	s.gpg("--quick-generate-key", "other <other@dten.example>", "rsa2048", "sign", "1y")
	write(t, filepath.Join(s.dir, "text"), []byte("SHA256:\n "+sum(good)+" 12 main/binary-amd64/Packages\n"))
	both := s.gpg("-u", "other", "-u", "rsa", "--output", "-", "--clearsign", "text")
	strange := s.gpg("-u", "other", "--output", "-", "--clearsign", "text")
	const first, invalid, note = "note signature/first-use", "blocker signature/invalid", "note signature/not-checked"
	for _, tt := range []struct {
		name   string
		beside []any
		want   string
	}{
		{"changes", []any{"dten.changes", changes(sum(deb), "p.rpm")}, first},
		{"buildinfo", []any{"dten.buildinfo", changes(sum(deb), "p.rpm")}, first},
		{"changes of another build", []any{"dten.changes", changes(sum(content), "p.rpm")}, invalid},
		{"changes that were changed", []any{"dten.changes", bytes.Replace(changes(sum(deb), "p.rpm"), []byte("1.8"), []byte("1.9"), 1)}, invalid},
		{"changes of something else", []any{"dten.changes", changes(sum(deb), "q.deb")}, note},
		{"changes unsigned", []any{"dten.changes", []byte("Checksums-Sha256:\n " + sum(deb) + " 200 p.rpm\n")}, note},
		{"repository", []any{"InRelease", release(sum(good)), "Packages", good}, first},
		{"repository of two keys, one of which isn't at hand", []any{"InRelease", both, "Packages", good}, first},
		{"repository whose key isn't at hand", []any{"InRelease", strange, "Packages", good}, "risk signature/no-key"},
		{"repository without Packages", []any{"InRelease", release(sum(good))}, note},
		{"repository with other Packages", []any{"InRelease", release(sum(content)), "Packages", good}, invalid},
		{"repository with another package", []any{"InRelease", release(sum(index(sum(content), "p.rpm"))), "Packages", index(sum(content), "p.rpm")}, invalid},
		{"repository that doesn't have it", []any{"InRelease", release(sum(index(sum(deb), "q.deb"))), "Packages", index(sum(deb), "q.deb")}, note},
		{"repository with damaged Packages", []any{"InRelease", release(sum(good)), "Packages.gz", []byte("\x1f\x8b\x08")}, "risk signature/unreadable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantTold(t, look(t, deb, key, time.Now().Add(time.Minute), &Memory{}, tt.beside...), tt.want)
		})
	}
}
