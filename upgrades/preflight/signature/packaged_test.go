package signature

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aftershock/detector"
)

// workshop is a directory in which real tools make and sign packages.
type workshop struct {
	*testing.T
	dir string
}

func newWorkshop(t *testing.T) workshop {
	t.Helper()
	s := workshop{t, t.TempDir()}
	if err := os.Mkdir(filepath.Join(s.dir, "gnupg"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(filepath.Join(s.dir, "gnupg")) }) // its agent ends with it
	return s
}

func (s workshop) gpg(args ...string) []byte {
	s.Helper()
	return run(s.T, s.dir, "gpg", append([]string{"--batch", "--quiet", "--yes", "--no-tty", "--pinentry-mode", "loopback", "--passphrase", ""}, args...)...)
}

func (s workshop) read(name string) []byte {
	s.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.Fatal(err)
	}
	return data
}

// rpm builds a package with the real rpmbuild.
func (s workshop) rpm(name string) string {
	s.Helper()
	write(s.T, filepath.Join(s.dir, name+".spec"), []byte("Name: "+name+"\nVersion: 4.2.0\nRelease: 1\nSummary: Orders\nLicense: none\nBuildArch: noarch\n%description\nx\n"+
		"%install\nmkdir -p %{buildroot}/opt/dten\necho "+name+" > %{buildroot}/opt/dten/app\n%files\n/opt/dten/app\n"))
	run(s.T, s.dir, "rpmbuild", "--quiet", "-bb", "--define", "_topdir "+s.dir+"/build", "--dbpath", s.dir+"/db", name+".spec")
	return filepath.Join("build/RPMS/noarch", name+"-4.2.0-1.noarch.rpm")
}

// sign signs a copy of a package with the real rpmsign, and gives its bytes.
func (s workshop) sign(file, by string, args ...string) []byte {
	s.Helper()
	write(s.T, filepath.Join(s.dir, "signed.rpm"), s.read(file))
	run(s.T, s.dir, "rpmsign", append([]string{
		"--addsign", "--define", "_gpg_name " + by, "--define", "__gpg /usr/bin/gpg",
		"--define", "_gpg_sign_cmd_extra_args --batch --pinentry-mode loopback --passphrase ''",
	}, append(args, "signed.rpm")...)...)
	return s.read("signed.rpm")
}

// accepted says whether the real rpmkeys, to which a key was given, takes a package's digests and signatures.
func (s workshop) accepted(data, key []byte) bool {
	s.Helper()
	db := s.TempDir()
	write(s.T, filepath.Join(db, "key.asc"), key)
	write(s.T, filepath.Join(db, "p.rpm"), data)
	run(s.T, db, "rpmkeys", "--dbpath", db+"/db", "--import", "key.asc")
	return exec.CommandContext(s.Context(), "rpmkeys", "--dbpath", db+"/db", "--checksig", db+"/p.rpm").Run() == nil
}

// layout is where an rpm's signature header, header and payload begin.
func layout(t *testing.T, data []byte) (sigs, head, payload int) {
	t.Helper()
	f := bytes.NewReader(data)
	a, err := readRPMHeader(f, rpmLead, f.Size())
	if err != nil {
		t.Fatal(err)
	}
	at := rpmLead + (a.size+7)&^7
	b, err := readRPMHeader(f, at, f.Size())
	if err != nil {
		t.Fatal(err)
	}
	return rpmLead, int(at), int(at + b.size)
}

// tagged gives what a tag of the signature header holds.
func tagged(t *testing.T, data []byte, tag uint32) []byte {
	t.Helper()
	f := bytes.NewReader(data)
	h, err := readRPMHeader(f, rpmLead, f.Size())
	if err != nil {
		t.Fatal(err)
	}
	v, err := h.values(f, tag)
	if err != nil || len(v) != 1 {
		t.Fatalf("tag %d: %d values, %v", tag, len(v), err)
	}
	return v[0]
}

type tag struct {
	tag, kind uint32
	data      []byte
}

// withSignatures gives an rpm another signature header.
func withSignatures(t *testing.T, data []byte, tags ...tag) []byte {
	t.Helper()
	_, head, _ := layout(t, data)
	var index, store []byte
	for _, one := range tags {
		n := uint32(1)
		if one.kind == 7 {
			n = uint32(len(one.data))
		} else {
			one.data = append(slices.Clone(one.data), 0)
		}
		for _, v := range []uint32{one.tag, one.kind, uint32(len(store)), n} {
			index = binary.BigEndian.AppendUint32(index, v)
		}
		store = append(store, one.data...)
	}
	out := append(slices.Clone(data[:rpmLead]), 0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0)
	out = binary.BigEndian.AppendUint32(out, uint32(len(tags)))
	out = binary.BigEndian.AppendUint32(out, uint32(len(store)))
	out = append(append(out, index...), store...)
	for len(out)%8 != 0 {
		out = append(out, 0)
	}
	return append(out, data[head:]...)
}

func hexOf[T ~[]byte | ~[16]byte | ~[20]byte | ~[32]byte](sum T) []byte {
	return fmt.Appendf(nil, "%x", sum)
}

// TestRPM: what the real rpmbuild builds and the real rpmsign signs, and what somebody makes of it. The real rpmkeys has to be of
// the same mind.
func TestRPM(t *testing.T) {
	s := newWorkshop(t)
	plain, other := s.rpm("dten"), s.rpm("other")
	for _, k := range []struct{ name, algorithm string }{{"rsa", "rsa2048"}, {"edward", "ed25519"}, {"stranger", "rsa2048"}} {
		s.gpg("--quick-generate-key", k.name+" <"+k.name+"@dten.example>", k.algorithm, "sign", "1y")
	}
	flipped := func(data []byte, at int) []byte {
		data = slices.Clone(data)
		data[at] ^= 1
		return data
	}
	const first, invalid, digest = "note signature/first-use", "blocker signature/invalid", "blocker signature/digest"
	for _, by := range []string{"rsa", "edward"} {
		key := s.gpg("--armor", "--export", by)
		unsigned, header, both := s.read(plain), s.sign(plain, by), s.sign(plain, by, "--rpmv3")
		foreign := s.sign(other, by)
		_, head, payload := layout(t, header)
		_, headBoth, payloadBoth := layout(t, both)
		_, headOther, _ := layout(t, foreign)
		summary := bytes.Index(header, []byte("Orders"))
		sigTag := uint32(tagRSAHeader)
		if by == "edward" {
			sigTag = tagDSAHeader
		}
		own := []tag{{tagSHA256Header, 6, hexOf(sha256.Sum256(header[head:payload]))}}
		openPGP := tag{tagOpenPGP, 8, []byte(base64.StdEncoding.EncodeToString(tagged(t, header, sigTag)))}
		sum3 := sha3.Sum256(header[head:payload])
		for _, tt := range []struct {
			name string
			data []byte
			want []string
			mine bool // rpmkeys of Debian 12 doesn't know it
		}{
			{"header", header, []string{first}, false},
			{"header and payload", both, []string{first}, false},
			{"unsigned", unsigned, []string{"risk signature/unsigned"}, true},
			{"header altered", flipped(header, summary), []string{digest, digest, digest, invalid}, false},
			{"both, header altered", flipped(both, headBoth+(summary-head)), []string{digest, digest, digest, invalid, invalid}, false},
			{"payload altered", flipped(header, len(header)-9), []string{digest, digest, invalid}, false},
			{"both, payload altered", flipped(both, payloadBoth+20), []string{digest, digest, invalid, invalid}, false},
			{"unsigned, payload altered", flipped(unsigned, len(unsigned)-9), []string{digest, digest, "risk signature/unsigned"}, false},
			{"longer", append(slices.Clone(header), "more"...), []string{digest, digest, invalid}, false},
			{"signatures of another package", slices.Concat(foreign[:headOther], header[head:]), []string{digest, digest, digest, invalid}, false},
			{"signature of another package, digests made right", withSignatures(t, header, append(own, tag{sigTag, 7, tagged(t, foreign, sigTag)})...), []string{invalid}, false},
			{"rpm 6", withSignatures(t, header, append(own, openPGP, tag{tagSHA3Header, 6, hexOf(sum3)})...), []string{first}, true},
			{"rpm 6 beside the old tag", withSignatures(t, header, append(own, openPGP, tag{sigTag, 7, tagged(t, header, sigTag)})...), []string{first}, true},
			{"rpm 6, of another package", withSignatures(t, foreign, openPGP), []string{invalid}, true},
			{"rpm 6, another digest", withSignatures(t, header, openPGP, tag{tagSHA3Header, 6, hexOf(sha256.Sum256(nil))}), []string{digest, first}, true},
			{"rpm 6, no base64", withSignatures(t, header, tag{tagOpenPGP, 8, []byte("!")}), []string{"risk signature/unreadable"}, true},
		} {
			t.Run(by+" "+tt.name, func(t *testing.T) {
				r := look(t, tt.data, key, time.Now().Add(time.Minute), &Memory{})
				wantTold(t, r, tt.want...)
				blocked := slices.ContainsFunc(r.Findings, func(f detector.Finding) bool { return f.Severity == detector.Blocker })
				if got := (workshop{t, s.dir}).accepted(tt.data, key); !tt.mine && got == blocked {
					t.Errorf("rpmkeys takes it: %t; here it is blocked: %t", got, blocked)
				}
			})
		}
	}
	t.Run("pinned", func(t *testing.T) {
		pins := &Memory{}
		at := time.Now().Add(time.Minute)
		look(t, s.sign(plain, "rsa"), s.gpg("--export", "rsa"), at, pins)
		wantTold(t, look(t, s.sign(other, "rsa"), s.gpg("--export", "rsa"), at, pins))
		r := look(t, s.sign(plain, "stranger"), s.gpg("--export", "stranger"), at, pins)
		wantTold(t, r, "blocker signature/unexpected-key")
		if len(r.Unexpected) != 1 {
			t.Errorf("%d keys are told", len(r.Unexpected))
		}
		wantTold(t, look(t, s.read(plain), s.gpg("--export", "rsa"), at, pins), "blocker signature/unsigned")
		wantTold(t, look(t, s.sign(plain, "rsa"), s.gpg("--export", "stranger"), at, pins), "blocker signature/unsigned", "risk signature/no-key")
	})
	t.Run("given key", func(t *testing.T) {
		in := Input{Package: "p.rpm", Beside: files("p.rpm", s.sign(plain, "rsa")), Now: time.Now().Add(time.Minute), Publisher: publisher, Pins: &Memory{}}
		in.Keys = []KeyFile{{"vendor.gpg", s.gpg("--export", "rsa")}}
		r, err := Examine(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		wantTold(t, r)
	})
	t.Run("weak", func(t *testing.T) {
		wantTold(t, look(t, s.sign(plain, "rsa", "--define", "_gpg_digest_algo sha1"), s.gpg("--export", "rsa"), time.Now().Add(time.Minute), &Memory{}), first, "risk signature/weak-algorithm")
	})
	t.Run("expired since", func(t *testing.T) {
		wantTold(t, look(t, s.sign(plain, "rsa"), s.gpg("--export", "rsa"), time.Now().AddDate(2, 0, 0), &Memory{}), first, "note signature/expired-since")
	})
	t.Run("revoked", func(t *testing.T) {
		data := s.sign(plain, "rsa")
		revs, err := filepath.Glob(filepath.Join(s.dir, "gnupg/openpgp-revocs.d", strings.ToUpper(fingerprint(s, "rsa"))+".rev"))
		if err != nil || len(revs) != 1 {
			t.Fatal(revs, err)
		}
		rev, err := os.ReadFile(revs[0])
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(s.dir, "rev.asc"), bytes.Replace(rev, []byte(":-----BEGIN"), []byte("-----BEGIN"), 1))
		s.gpg("--import", "rev.asc")
		wantTold(t, look(t, data, s.gpg("--export", "rsa"), time.Now().Add(time.Minute), &Memory{}), "blocker signature/revoked")
	})
}

// look examines a package with a key beside it.
func look(t *testing.T, data, key []byte, at time.Time, pins Pins, beside ...any) Result {
	t.Helper()
	r, err := Examine(t.Context(), Input{
		Package: "p.rpm", Beside: files(append(beside, "p.rpm", data, "p.rpm.gpg", key)...), Now: at, Publisher: publisher, Pins: pins,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func fingerprint(s workshop, key string) string {
	s.Helper()
	for _, line := range strings.Split(string(s.gpg("--with-colons", "--list-keys", key)), "\n") {
		if f := strings.Split(line, ":"); f[0] == "fpr" {
			return f[9]
		}
	}
	s.Fatal("no fingerprint of " + key)
	return ""
}

// TestOldRPM: signatures of version 3, as the packages of Red Hat Enterprise Linux 8 and before have them, by the GnuPG that
// still makes them.
func TestOldRPM(t *testing.T) {
	s := newWorkshop(t)
	plain := s.rpm("dten")
	write(t, filepath.Join(s.dir, "key"), []byte("Key-Type: RSA\nKey-Length: 2048\nName-Real: old\nExpire-Date: 1y\n%commit\n"))
	old := func(args ...string) []byte {
		return run(t, s.dir, "gpg1", append([]string{"--batch", "--quiet"}, args...)...)
	}
	old("--gen-key", "key")
	key := old("--armor", "--export", "old")
	data := s.sign(plain, "old", "--rpmv3", "--define", "__gpg /usr/bin/gpg1", "--define", "_gpg_sign_cmd_extra_args --batch --force-v3-sigs")
	for _, tag := range []uint32{tagRSAHeader, tagPGP} {
		if all, err := packets(tagged(t, data, tag), tagSignature); err != nil || len(all) != 1 || !isOld(all[0]) {
			t.Fatalf("tag %d isn't of version 3 (%v)", tag, err)
		}
	}
	at := time.Now().Add(time.Minute)
	pins := &Memory{}
	wantTold(t, look(t, data, key, at, pins), "note signature/first-use")
	wantTold(t, look(t, data, key, at.AddDate(2, 0, 0), pins), "note signature/expired-since", "note signature/expired-since")
	if !s.accepted(data, key) {
		t.Error("rpmkeys doesn't take it")
	}
	payload := slices.Clone(data)
	payload[len(payload)-9] ^= 1
	wantTold(t, look(t, payload, key, at, &Memory{}), "blocker signature/digest", "blocker signature/digest", "blocker signature/invalid", "blocker signature/invalid")
	_, head, _ := layout(t, data)
	sig := bytes.Index(data[:head], tagged(t, data, tagRSAHeader))
	data[sig+40] ^= 1
	wantTold(t, look(t, data, key, at, &Memory{}), "note signature/first-use", "blocker signature/invalid")
}

// TestNoPayloadDigest: a header without a digest of what is behind it stands for itself alone.
func TestNoPayloadDigest(t *testing.T) {
	s := newWorkshop(t)
	s.gpg("--quick-generate-key", "rsa <rsa@dten.example>", "rsa2048", "sign", "1y")
	data, err := os.ReadFile("../archive/testdata/simple-1.0.1-1.i386.rpm") // of an rpm before 4.14
	if err != nil {
		t.Fatal(err)
	}
	_, head, payload := layout(t, data)
	for name, of := range map[string][]byte{"header": data[head:payload], "both": data[head:]} {
		write(t, filepath.Join(s.dir, "what"), of)
		sig := s.gpg("--output", "-", "--detach-sign", "what")
		want := []string{"note signature/first-use"}
		tags := tag{tagPGP, 7, sig}
		if name == "header" {
			tags.tag, want = tagRSAHeader, append(want, "risk signature/partial")
		}
		wantTold(t, look(t, withSignatures(t, data, tags), s.gpg("--export", "rsa"), time.Now().Add(time.Minute), &Memory{}), want...)
	}
}
