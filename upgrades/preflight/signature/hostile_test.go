package signature

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"aftershock/detector"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// nested is a BER structure so deep.
func nested(depth int) []byte {
	return append(bytes.Repeat([]byte{0x30, 0x80}, depth), make([]byte, 2*depth)...)
}

func TestHostile(t *testing.T) {
	p := issue(t, ec(t), nil, nil)
	good := detached(t, content, p, 0, &now)
	var compressed bytes.Buffer
	w, err := packet.SerializeCompressed(nopCloser{&compressed}, packet.CompressionZIP, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 10<<20)); err != nil {
		t.Fatal(err)
	}
	w.Close()
	many := fstest.MapFS{"a.txt": {Data: content}}
	for n := range 200 {
		many[fmt.Sprintf("f%03d.bin", n)] = &fstest.MapFile{Data: content}
		many[fmt.Sprintf("f%03d.bin.p7s", n)] = &fstest.MapFile{Data: good}
	}
	for _, tt := range []struct {
		name   string
		beside fstest.MapFS
		inside fstest.MapFS
		want   []string
	}{
		{"cut short", files("p.zip", content, "p.zip.p7s", good[:len(good)-9]), nil, []string{"risk signature/unreadable"}},
		{"nothing", files("p.zip", content, "p.zip.p7s", []byte{}), nil, []string{"risk signature/unreadable"}},
		{"nested", files("p.zip", content, "p.zip.p7s", slices.Concat([]byte{0x30, 0x80}, oidSignedData, nested(100_000))), nil, []string{"risk signature/unreadable"}},
		{"certificates alone", files("p.zip", content, "p.zip.p7s", bundle(t, p.cert)), nil, []string{"risk signature/unreadable"}},
		{"too large", files("p.zip", content, "p.zip.p7s", make([]byte, maxSignature+1)), nil, []string{"risk signature/unreadable"}},
		{"a directory", files("p.zip", content, "p.zip.asc/x", []byte("x")), nil, []string{"risk signature/unreadable"}},
		{"compressed", files("p.zip", content, "p.zip.gpg", compressed.Bytes()), nil, []string{"risk signature/unreadable"}},
		{"armor of nothing", files("p.zip", content, "p.zip.asc", []byte("-----BEGIN PGP SIGNATURE-----\n\n-----END PGP SIGNATURE-----\n")), nil, []string{"risk signature/unreadable"}},
		{"minisign of three lines", files("p.zip", content, "p.zip.minisig", []byte("untrusted comment: x\nRW\ntrusted comment: \n")), nil, []string{"risk signature/unreadable"}},
		{"over nothing", files("p.zip", content), files("gone.bin.p7s", good), []string{"risk signature/orphan", "risk signature/unsigned"}},
		{"a certificate bundle", files("p.zip", content), files("chain.p7b", bundle(t, p.cert), "chain.txt", content), []string{"risk signature/unsigned"}},
		{"many, and one that counts", files("p.zip", content, "p.zip.p7s", good), many, []string{"note signature/not-compared", "risk signature/more", "risk signature/self-signed"}},
		{"many", files("p.zip", content), many, []string{"risk signature/more", "risk signature/unsigned"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			begin := time.Now()
			in := Input{Beside: tt.beside, Publisher: publisher}
			if tt.inside != nil {
				in.Inside = tt.inside
			}
			wantTold(t, examine(t, in), tt.want...)
			if d := time.Since(begin); d > 20*time.Second {
				t.Errorf("it took %s", d)
			}
		})
	}
	if r := examine(t, Input{}); len(r.Findings) != 1 {
		t.Errorf("of nothing: %+v", r.Findings)
	}
}

type nopCloser struct{ *bytes.Buffer }

func (nopCloser) Close() error { return nil }

// TestToDER: definite lengths stay as they are; others become so.
func TestToDER(t *testing.T) {
	for _, tt := range []struct{ in, want []byte }{
		{[]byte{0x30, 0x03, 0x02, 0x01, 0x05}, []byte{0x30, 0x03, 0x02, 0x01, 0x05}},
		{[]byte{0x30, 0x80, 0x02, 0x01, 0x05, 0, 0}, []byte{0x30, 0x03, 0x02, 0x01, 0x05}},
		{[]byte{0x24, 0x80, 0x04, 0x01, 'a', 0x04, 0x02, 'b', 'c', 0, 0}, []byte{0x04, 0x03, 'a', 'b', 'c'}},
		{[]byte{0x24, 0x80, 0x24, 0x03, 0x04, 0x01, 'a', 0x04, 0x01, 'b', 0, 0}, []byte{0x04, 0x02, 'a', 'b'}},
		{[]byte{0x30, 0x81, 0x03, 0x02, 0x01, 0x05}, []byte{0x30, 0x03, 0x02, 0x01, 0x05}},
		{[]byte{0x24, 0x80, 0x02, 0x01, 'a', 0, 0}, nil},
		{[]byte{0x30, 0x05, 0x02}, nil},
		{[]byte{0x30, 0x85, 1, 1, 1, 1, 1}, nil},
		{[]byte{0x1f, 0x01, 0x00}, nil},
		{[]byte{0x04, 0x80, 0, 0}, nil},
		{[]byte{0x30, 0x80, 0x02, 0x01, 0x05}, nil},
	} {
		got, err := toDER(tt.in)
		if !bytes.Equal(got, tt.want) || (err == nil) != (tt.want != nil) {
			t.Errorf("% x: got % x, %v", tt.in, got, err)
		}
	}
	// A long octet string in parts.
	r := rand.New(rand.NewPCG(1, 2))
	long := make([]byte, 70_000)
	for i := range long {
		long[i] = byte(r.Uint32())
	}
	in := []byte{0x24, 0x80}
	for part := range slices.Chunk(long, 1000) {
		in = append(append(in, 0x04, 0x82, byte(len(part)>>8), byte(len(part))), part...)
	}
	got, err := toDER(append(in, 0, 0))
	if err != nil || !bytes.Equal(got, der(t, long)) {
		t.Errorf("%v", err)
	}
}

// TestPackaged: what is no whole package, and signatures that are none.
func TestPackaged(t *testing.T) {
	ar := func(members ...string) []byte {
		b := []byte(arMagic)
		for _, m := range members {
			b = appended(b, m, []byte("abc"))
		}
		return b
	}
	header := func(store uint32, entries ...[4]uint32) []byte {
		b := binary.BigEndian.AppendUint32([]byte{0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0}, uint32(len(entries)))
		b = binary.BigEndian.AppendUint32(b, store)
		for _, e := range entries {
			for _, v := range e {
				b = binary.BigEndian.AppendUint32(b, v)
			}
		}
		return append(b, make([]byte, min(store, 1<<10))...)
	}
	rpm := func(sigs, head []byte) []byte {
		return slices.Concat(rpmMagic[:], make([]byte, 92), sigs, head)
	}
	none := header(0)
	const unsigned, unreadable, note = "risk signature/unsigned", "risk signature/unreadable", "note signature/not-checked"
	for _, tt := range []struct {
		name string
		data []byte
		say  string
		want []string
	}{
		{"deb", ar("debian-binary", "control.tar.xz", "data.tar.xz"), "Debian signs repositories", []string{note}},
		{"dpkg-sig of nothing", ar("debian-binary", "control.tar.xz", "data.tar.xz", "_gpgbuilder"), "_gpgbuilder", []string{unreadable}},
		{"deb without data", ar("debian-binary", "control.tar.xz", "_gpgorigin"), "no data.tar", []string{unreadable}},
		{"deb cut short", ar("debian-binary")[:30], "in p.zip", []string{note, unreadable}},
		{"deb of many members", ar(slices.Repeat([]string{"_x"}, 101)...), "damaged", []string{note, unreadable}},
		{"rpm", rpm(none, none), "isn't signed", []string{unsigned}},
		{"rpm, a signature of nothing", rpm(header(0, [4]uint32{tagRSAHeader, 7, 0, 0}), none), "over the header", []string{unreadable}},
		{"rpm, a signature beyond the header", rpm(header(0, [4]uint32{tagRSAHeader, 7, 0, 9}), none), "beyond", []string{unreadable, unsigned}},
		{"rpm, a text without end", rpm(header(0, [4]uint32{tagSHA256Header, 6, 0, 1}), none), "no end", []string{unreadable, unsigned}},
		{"rpm, a tag outside", rpm(header(8, [4]uint32{tagSHA256Header, 6, 9, 1}), none), "outside", []string{unreadable, unsigned}},
		{"rpm, a digest of an odd kind", rpm(header(0, [4]uint32{tagSHA256Header, 3, 0, 1}), none), "kind 3", []string{unreadable, unsigned}},
		{"rpm, a huge header", rpm(header(1<<31), nil), "larger", []string{unreadable, unsigned}},
		{"rpm, many tags", rpm(none, header(0, slices.Repeat([][4]uint32{{1, 1, 0, 0}}, 1<<16+1)...)), "larger", []string{unreadable, unsigned}},
		{"rpm cut short", rpm(none, none)[:100], "EOF", []string{unreadable, unsigned}},
		{"rpm's begin", rpmMagic[:], "EOF", []string{unreadable, unsigned}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := examine(t, Input{Beside: files("p.zip", tt.data)})
			wantTold(t, r, tt.want...)
			if !slices.ContainsFunc(r.Findings, func(f detector.Finding) bool { return strings.Contains(f.What, tt.say) }) {
				t.Errorf("%+v lack %q", r.Findings, tt.say)
			}
		})
	}
}

// TestLarge: a package is streamed, however large.
func TestLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 256 MB, thrice")
	}
	const size = 1 << 28
	h := crypto.SHA256.New()
	zero := make([]byte, 1<<20)
	for range size >> 20 {
		h.Write(zero)
	}
	want := h.Sum(nil)
	f := &file{fsys: zeros{size}, name: "p.zip", digests: map[crypto.Hash][]byte{}}
	allocated := testing.AllocsPerRun(1, func() {
		f.digests = map[crypto.Hash][]byte{}
		if got, err := f.digest(t.Context(), crypto.SHA256); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%x, %v", got, err)
		}
	})
	if allocated > 1000 {
		t.Errorf("%g allocations", allocated)
	}
	if _, err := f.whole(t.Context()); err == nil || !strings.Contains(err.Error(), "Ed25519") {
		t.Errorf("all of it is held in memory: %v", err)
	}
}

// zeros is a file system with one file of so many zero bytes.
type zeros struct{ size int64 }

func (z zeros) Open(string) (fs.File, error) { return &zeroFile{z.size}, nil }

type zeroFile struct{ left int64 }

func (z *zeroFile) Stat() (fs.FileInfo, error) { return nil, fs.ErrInvalid }
func (z *zeroFile) Close() error               { return nil }
func (z *zeroFile) Read(p []byte) (int, error) {
	n := int(min(int64(len(p)), z.left))
	if n == 0 {
		return 0, io.EOF
	}
	clear(p[:n])
	z.left -= int64(n)
	return n, nil
}

func FuzzCMS(f *testing.F) {
	p := issue(f, ec(f), nil, nil)
	f.Add(detached(f, []byte("x"), p, 0, &now))
	f.Add(detached(f, []byte("x"), p, 0, nil))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CMS", Bytes: bundle(f, p.cert)}))
	f.Add(nested(40))
	f.Fuzz(func(t *testing.T, data []byte) {
		if der, err := toDER(data); err == nil {
			if again, err := toDER(der); err != nil || !bytes.Equal(der, again) {
				t.Errorf("% x becomes % x (%v)", der, again, err)
			}
		}
		fuzzed(t, "p.zip.p7s", data)
	})
}

func FuzzMinisign(f *testing.F) {
	f.Add([]byte(minisignHashed), []byte(minisignPub))
	f.Add([]byte(minisignLegacy), []byte("untrusted comment: x\n"+minisignPub))
	f.Fuzz(func(t *testing.T, data, key []byte) {
		if k, err := parseMinisignFile(key); err == nil {
			if again, err := parseMinisignKey(k.text); err != nil || again.text != k.text {
				t.Errorf("%q: %v", k.text, err)
			}
		}
		fuzzed(t, "p.zip.minisig", data)
	})
}

func FuzzPGP(f *testing.F) {
	e, err := openpgp.NewEntity("a", "", "a@example.org", nil)
	if err != nil {
		f.Fatal(err)
	}
	var key, sig, armored bytes.Buffer
	if err := e.Serialize(&key); err != nil {
		f.Fatal(err)
	}
	if err := openpgp.DetachSign(&sig, e, strings.NewReader("x"), nil); err != nil {
		f.Fatal(err)
	}
	if err := openpgp.ArmoredDetachSignText(&armored, e, strings.NewReader("x"), nil); err != nil {
		f.Fatal(err)
	}
	f.Add(sig.Bytes(), key.Bytes())
	f.Add(armored.Bytes(), key.Bytes())
	f.Add([]byte("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nx\n"+armored.String()), key.Bytes())
	f.Fuzz(func(t *testing.T, data, key []byte) {
		readKeyring(key)
		fuzzed(t, "p.zip.asc", data, "p.zip.gpg", key)
	})
}

// FuzzPackaged: packages with signatures in themselves, none of which verifies.
func FuzzPackaged(f *testing.F) {
	deb := []byte(arMagic)
	for _, m := range []string{"debian-binary", "control.tar.xz", "data.tar.xz", "_gpgorigin", "_gpgbuilder"} {
		deb = appended(deb, m, []byte("-----BEGIN PGP SIGNED MESSAGE-----\n\nFiles:\n\t00 00 3 data.tar.xz\n-----BEGIN PGP SIGNATURE-----\n"))
	}
	f.Add(deb)
	f.Add(rpmMagic[:])
	rpm, err := os.ReadFile("../archive/testdata/one-epoch-0.1-1.x86_64.rpm")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(rpm)
	f.Fuzz(func(t *testing.T, data []byte) {
		if r := examine(t, Input{Beside: files("p.zip", data), Publisher: publisher, Pins: &Memory{}}); len(r.Covers) > 0 {
			t.Errorf("covers %+v", r.Covers)
		}
	})
}

// FuzzLists: signed lists beside a Debian package.
func FuzzLists(f *testing.F) {
	deb := appended([]byte(arMagic), "debian-binary", []byte("2.0\n"))
	f.Add([]byte("-----BEGIN PGP SIGNED MESSAGE-----\n\nSHA256:\n 00 12 main/Packages\n-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n"), []byte("Filename: p.zip\nSHA256: 00\n\n"))
	f.Add([]byte("-----BEGIN PGP SIGNED MESSAGE-----\n\nChecksums-Sha256:\n 00 12 p.zip\n-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n"), []byte("\n"))
	f.Fuzz(func(t *testing.T, list, packages []byte) {
		for _, n := range []string{"Packages", "Packages.gz", "Packages.xz", "Packages.zst"} {
			r := examine(t, Input{Beside: files("p.zip", deb, "InRelease", list, "d.changes", list, n, packages), Publisher: publisher, Pins: &Memory{}})
			if len(r.Covers) > 0 {
				t.Errorf("covers %+v", r.Covers)
			}
		}
	})
}

// FuzzOldSignature: signatures of version 3.
func FuzzOldSignature(f *testing.F) {
	f.Add([]byte("\x03\x05\x00\x60\x00\x00\x00keyidkey\x01\x08ab\x00\x08\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		sig, err := parseSignature(&packet.OpaquePacket{Tag: tagSignature, Contents: append([]byte{3}, data...)})
		if err == nil && (sig.IssuerKeyId == nil || len(sig.HashSuffix) != 5) {
			t.Errorf("%+v", sig)
		}
	})
}

func FuzzPins(f *testing.F) {
	f.Add([]byte(`{"pins":[{"publisher":"a","kind":"pgp","fingerprint":"AA","first_seen":"2026-03-06T09:00:00Z"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		pins, err := parsePins(data)
		if err == nil && len(pins) > 0 && (pins[0].Publisher == "" || pins[0].Kind == "") {
			t.Errorf("%+v", pins)
		}
	})
}

// fuzzed examines a package of "x" with a file beside it: it may not crash, and only a real signature covers.
func fuzzed(t *testing.T, pairs ...any) {
	pairs = append(pairs, "p.zip", []byte("x"))
	in := Input{Beside: files(pairs...), Publisher: publisher, Pins: &Memory{}}
	for range 2 {
		examine(t, in)
	}
}
