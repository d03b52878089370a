package signature

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestOpenSSL: what the real openssl signs, in each of the forms that it writes.
func TestOpenSSL(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "p.zip"), content)
	write(t, filepath.Join(dir, "ext"), []byte("keyUsage=digitalSignature\nextendedKeyUsage=codeSigning\nsubjectKeyIdentifier=hash\n"))
	sslFor := func(t *testing.T, args string) []byte { return run(t, dir, "openssl", strings.Fields(args)...) }
	ssl := func(args string) { sslFor(t, args) }
	ssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout root.key -out root.pem -days 30 -subj /CN=Root")
	root, err := os.ReadFile(filepath.Join(dir, "root.pem"))
	if err != nil {
		t.Fatal(err)
	}
	trusted := &keys{from: map[string]bool{}}
	if !trusted.read("root.pem", root) {
		t.Fatal("the root can't be read")
	}
	roots := pool(party{cert: trusted.certificates[0]})
	today := trusted.certificates[0].NotBefore.Add(time.Hour)
	for name, key := range map[string]string{
		"rsa": "rsa:2048", "ec": "ec -pkeyopt ec_paramgen_curve:P-384", "ed25519": "ed25519",
	} {
		ssl("req -newkey " + key + " -nodes -keyout " + name + ".key -out " + name + ".csr -subj /O=DTEN/CN=" + name)
		ssl("x509 -req -in " + name + ".csr -CA root.pem -CAkey root.key -CAcreateserial -days 20 -extfile ext -out " + name + ".crt")
	}
	const cms = "cms -sign -binary -in p.zip "
	for name, args := range map[string]string{
		"rsa.p7s":                    cms + "-signer rsa.crt -inkey rsa.key -outform DER",
		"rsa pem.p7s":                cms + "-signer rsa.crt -inkey rsa.key -outform PEM",
		"rsa pss.p7s":                cms + "-signer rsa.crt -inkey rsa.key -keyopt rsa_padding_mode:pss -md sha512 -outform DER",
		"rsa attached, streamed.p7s": cms + "-signer rsa.crt -inkey rsa.key -stream -outform DER",
		"rsa attached.p7s":           cms + "-signer rsa.crt -inkey rsa.key -nodetach -outform DER",
		"rsa at once.p7s":            cms + "-signer rsa.crt -inkey rsa.key -nodetach -stream -outform DER",
		"rsa key id.p7s":             cms + "-signer rsa.crt -inkey rsa.key -keyid -outform DER",
		"rsa bare.p7s":               cms + "-signer rsa.crt -inkey rsa.key -noattr -outform DER",
		"ec.p7s":                     cms + "-signer ec.crt -inkey ec.key -md sha384 -outform DER",
		"ec bare.p7s":                cms + "-signer ec.crt -inkey ec.key -noattr -outform DER",
		"ec old.p7s":                 "smime -sign -binary -in p.zip -signer ec.crt -inkey ec.key -outform PEM",
		"both.p7s":                   cms + "-signer rsa.crt -inkey rsa.key -signer ec.crt -inkey ec.key -outform DER",
		"rsa.sig":                    "dgst -sha256 -sign rsa.key p.zip",
		"rsa 512.sig":                "dgst -sha512 -sign rsa.key p.zip",
		"rsa pss.sig":                "dgst -sha256 -sigopt rsa_padding_mode:pss -sign rsa.key p.zip",
		"ec.sig":                     "dgst -sha384 -sign ec.key p.zip",
		"ed25519.sig":                "pkeyutl -sign -rawin -inkey ed25519.key -in p.zip",
		"rsa sha1.sig":               "dgst -sha1 -sign rsa.key p.zip",
		"without a cert.p7s":         cms + "-signer rsa.crt -inkey rsa.key -nocerts -outform DER",
	} {
		t.Run(name, func(t *testing.T) {
			sig := sslFor(t, args)
			beside := files("p.zip", content, "p.zip"+filepath.Ext(name), sig)
			inside := files("root.pem", root)
			for _, c := range []string{"rsa.crt", "ec.crt", "ed25519.crt"} {
				data, err := os.ReadFile(filepath.Join(dir, c))
				if err != nil {
					t.Fatal(err)
				}
				inside["certs/"+c] = files("x", data)["x"]
			}
			in := Input{Package: "p.zip", Beside: beside, Inside: inside, Now: today, Roots: roots, Publisher: "DTEN", Pins: &Memory{}}
			r, err := Examine(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			want := []string{"note signature/first-use"}
			switch name {
			case "both.p7s":
				want = append(want, want[0])
			case "rsa sha1.sig":
				want = append(want, "risk signature/weak-algorithm")
			}
			wantTold(t, r, want...)
			beside["p.zip"].Data[17] ^= 1
			if r, err = Examine(t.Context(), in); err != nil {
				t.Fatal(err)
			}
			want = []string{"blocker signature/invalid"}
			switch {
			case name == "both.p7s":
				want = append(want, want[0])
			case strings.Contains(name, "attached") || strings.Contains(name, "at once"):
				// It verifies, but over its own content, which isn't the package.
				want = []string{"blocker signature/unsigned", "note signature/own-content"}
			}
			wantTold(t, r, want...)
		})
	}
}

// TestGPG: what the real gpg signs.
func TestGPG(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "gnupg"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "p.zip"), content)
	gpg := func(args ...string) []byte {
		return run(t, dir, "gpg", append([]string{"--batch", "--quiet", "--yes", "--no-tty", "--pinentry-mode", "loopback", "--passphrase", ""}, args...)...)
	}
	t.Cleanup(func() { _ = os.RemoveAll(filepath.Join(dir, "gnupg")) }) // its agent ends with it
	today := time.Now()
	for _, k := range []struct{ name, algorithm string }{{"ed25519", "ed25519"}, {"rsa", "rsa2048"}, {"weak", "rsa1024"}} {
		gpg("--quick-generate-key", k.name+" <"+k.name+"@dten.example>", k.algorithm, "sign", "1y")
		key := gpg("--armor", "--export", k.name)
		binary := gpg("--export", k.name)
		print := ""
		for _, line := range strings.Split(string(gpg("--with-colons", "--list-keys", k.name)), "\n") {
			if f := strings.Split(line, ":"); f[0] == "fpr" && print == "" {
				print = f[9]
			}
		}
		for ext, args := range map[string][]string{
			".asc":  {"--armor", "--detach-sign"},
			".sig":  {"--detach-sign"},
			".gpg":  {"--textmode", "--detach-sign"},
			".sign": {"--digest-algo", "SHA1", "--detach-sign"},
		} {
			t.Run(k.name+ext, func(t *testing.T) {
				sig := gpg(append(append([]string{"-u", k.name, "--output", "-"}, args...), "p.zip")...)
				beside := files("p.zip", content, "p.zip"+ext, sig)
				in := Input{Package: "p.zip", Beside: beside, Inside: files("KEYS.asc", key), Now: today.Add(time.Minute), Publisher: publisher, Pins: &Memory{}}
				look := func() Result {
					t.Helper()
					r, err := Examine(t.Context(), in)
					if err != nil {
						t.Fatal(err)
					}
					return r
				}
				weak := []string{}
				if k.name == "weak" {
					weak = append(weak, "risk signature/weak-algorithm")
				}
				if ext == ".sign" {
					weak = append(weak, "risk signature/weak-algorithm")
				}
				r := look()
				wantTold(t, r, append(weak, "note signature/first-use")...)
				if len(r.Covers) != 1 || r.Covers[0].Fingerprint != print || r.Covers[0].Kind != "pgp" {
					t.Errorf("%+v, want %s", r.Covers, print)
				}
				wantTold(t, look(), weak...)
				in.Pins, in.Inside, in.Keys = &Memory{}, nil, []KeyFile{{"vendor.gpg", binary}}
				wantTold(t, look(), weak...)
				in.Now = today.AddDate(2, 0, 0)
				wantTold(t, look(), append(weak, "note signature/expired-since")...)
				in.Now, in.Keys = today.Add(time.Minute), nil
				wantTold(t, look(), "risk signature/no-key")
				in.Inside = files("KEYS.asc", key)
				beside["p.zip"].Data[17] ^= 1
				wantTold(t, look(), "blocker signature/invalid")
			})
		}
	}
	t.Run("clear-signed", func(t *testing.T) {
		write(t, filepath.Join(dir, "SHA256SUMS"), []byte("- abc  p.zip\n"))
		sig := gpg("-u", "rsa", "--output", "-", "--clearsign", "SHA256SUMS")
		key := gpg("--export", "rsa")
		look := func(inside ...any) Result {
			t.Helper()
			r, err := Examine(t.Context(), Input{Package: "p.zip", Beside: files("p.zip", content), Inside: files(inside...), Now: today.Add(time.Minute), Publisher: publisher, Pins: &Memory{}})
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		wantTold(t, look("SHA256SUMS", []byte("- abc  p.zip\n"), "SHA256SUMS.asc", sig, "k.gpg", key), "note signature/first-use")
		wantTold(t, look("SHA256SUMS", []byte("- abd  p.zip\n"), "SHA256SUMS.asc", sig, "k.gpg", key), "note signature/own-content", "risk signature/unsigned")
		wantTold(t, look("SHA256SUMS", []byte("- abd  p.zip\n"), "SHA256SUMS.asc", bytes.Replace(sig, []byte("abc"), []byte("abd"), 1), "k.gpg", key), "blocker signature/invalid")
	})
	t.Run("revoked", func(t *testing.T) {
		sig := gpg("-u", "rsa", "--output", "-", "--detach-sign", "p.zip")
		fpr := ""
		for _, line := range strings.Split(string(gpg("--with-colons", "--list-keys", "rsa")), "\n") {
			if f := strings.Split(line, ":"); f[0] == "fpr" && fpr == "" {
				fpr = f[9]
			}
		}
		rev, err := os.ReadFile(filepath.Join(dir, "gnupg", "openpgp-revocs.d", fpr+".rev"))
		if err != nil {
			t.Skipf("gpg made no revocation: %v", err)
		}
		write(t, filepath.Join(dir, "rev.asc"), bytes.Replace(rev, []byte(":-----BEGIN"), []byte("-----BEGIN"), 1))
		gpg("--import", "rev.asc")
		r, err := Examine(t.Context(), Input{Package: "p.zip", Beside: files("p.zip", content, "p.zip.sig", sig, "p.zip.gpg", gpg("--export", "rsa")), Now: today.Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		wantTold(t, r, "blocker signature/revoked")
	})
}

// The key and the signatures over "test" of the documentation of minisign-verify, the verifier in Rust by minisign's author, and of
// its tests: https://github.com/jedisct1/rust-minisign-verify.
const (
	minisignPub    = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"
	minisignLegacy = "untrusted comment: signature from minisign secret key\n" +
		"RWQf6LRCGA9i59SLOFxz6NxvASXDJeRtuZykwQepbDEGt87ig1BNpWaVWuNrm73YiIiJbq71Wi+dP9eKL8OC351vwIasSSbXxwA=\n" +
		"trusted comment: timestamp:1555779966\tfile:test\n" +
		"QtKMXWyYcwdpZAlPF7tE2ENJkRd1ujvKjlj1m9RtHTBnZPa5WKU5uWRs5GoP5M/VqE81QFuMKI5k/SfNQUaOAA==\n"
	minisignHashed = "untrusted comment: signature from minisign secret key\n" +
		"RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=\n" +
		"trusted comment: timestamp:1556193335\tfile:test\n" +
		"y/rUw2y8/hOUYjZU71eHp/Wo1KZ40fGy2VJEDl34XMJM+TX48Ss/17u3IvIfbVR1FkZZSNCisQbuQY+bHwhEBg==\n"
)

func TestMinisign(t *testing.T) {
	for name, sig := range map[string]string{"legacy": minisignLegacy, "hashed": minisignHashed} {
		t.Run(name, func(t *testing.T) {
			pub := []byte("untrusted comment: minisign public key E7620F1842B4E81F\n" + minisignPub + "\n")
			beside := files("p.zip", []byte("test"), "p.zip.minisig", []byte(sig))
			in := Input{Beside: beside, Publisher: publisher, Pins: &Memory{}}
			wantTold(t, examine(t, in), "risk signature/no-key")
			in.Inside = files("keys/minisign.pub", pub)
			r := examine(t, in)
			wantTold(t, r, "note signature/first-use")
			if !strings.Contains(r.Findings[0].What, "E7620F1842B4E81F") || !strings.Contains(r.Findings[0].Why, "proves nothing by itself") || r.Covers[0].Fingerprint != minisignPub {
				t.Errorf("%+v", r)
			}
			in.Inside = nil
			wantTold(t, examine(t, in)) // by the pin's own key
			in.Pins, in.Keys = nil, []KeyFile{{"minisign.pub", []byte(minisignPub)}}
			wantTold(t, examine(t, in), "note signature/not-compared")
			in.Beside = files("p.zip", []byte("tesu"), "p.zip.minisig", []byte(sig))
			wantTold(t, examine(t, in), "blocker signature/invalid")
			in.Beside = files("p.zip", []byte("test"), "p.zip.minisig", []byte(strings.Replace(sig, "file:test", "file:rest", 1)))
			wantTold(t, examine(t, in), "blocker signature/invalid")
		})
	}
}
