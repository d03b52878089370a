package signature

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"aftershock/detector"

	"github.com/google/go-cmp/cmp"
)

var now = time.Date(2026, 3, 6, 9, 0, 0, 0, time.UTC)

const publisher = "DTEN Systems Ltd."

// party is who holds a key and a certificate.
type party struct {
	key  crypto.Signer
	cert *x509.Certificate
}

func (p party) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw})
}

func (p party) print() string { return colons(p.cert.RawSubjectPublicKeyInfo) }

// issue makes a certificate; by nobody it is self-signed.
func issue(t testing.TB, key crypto.Signer, by *party, change func(*x509.Certificate)) party {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "release signing", Organization: []string{"DTEN Systems"}},
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
	if change != nil {
		change(c)
	}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return party{key, cert}
}

func ec(t testing.TB) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func rsaKey(t testing.TB, bits int) crypto.Signer {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func authority(c *x509.Certificate) {
	c.Subject = pkix.Name{CommonName: "DTEN Root"}
	c.IsCA, c.KeyUsage, c.ExtKeyUsage = true, x509.KeyUsageCertSign, nil
}

func pool(all ...party) *x509.CertPool {
	p := x509.NewCertPool()
	for _, one := range all {
		p.AddCert(one.cert)
	}
	return p
}

func rawSign(t testing.TB, data []byte, p party) []byte {
	t.Helper()
	digest, opts := data, crypto.SignerOpts(crypto.Hash(0))
	if _, pure := p.key.(ed25519.PrivateKey); !pure {
		sum := sha256.Sum256(data)
		digest, opts = sum[:], crypto.SHA256
	}
	sig, err := p.key.Sign(rand.Reader, digest, opts)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// told gives severity and rule of each finding.
func told(all []detector.Finding) (out []string) {
	for _, f := range all {
		out = append(out, f.Severity+" "+f.Rule)
	}
	slices.Sort(out)
	return out
}

func files(pairs ...any) fstest.MapFS {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = &fstest.MapFile{Data: slices.Clone(pairs[i+1].([]byte))}
	}
	return m
}

var content = bytes.Repeat([]byte("the bytes of the package\n"), 1000)

func examine(t testing.TB, in Input) Result {
	t.Helper()
	if in.Package == "" {
		in.Package = "p.zip"
	}
	in.Now = now
	r, err := Examine(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		if f.What == "" || f.Why == "" || f.Do == "" || strings.ContainsAny(f.What, "\n\x00") {
			t.Errorf("%+v", f)
		}
	}
	return r
}

func wantTold(t testing.TB, r Result, want ...string) {
	t.Helper()
	slices.Sort(want)
	if len(want) == 0 {
		want = nil
	}
	if d := cmp.Diff(want, told(r.Findings)); d != "" {
		t.Errorf("findings (-want +got):\n%s\n%+v", d, r.Findings)
	}
}

func TestCertificates(t *testing.T) {
	root := issue(t, ec(t), nil, authority)
	other := issue(t, ec(t), nil, authority)
	leaf := func(change func(*x509.Certificate)) party { return issue(t, ec(t), &root, change) }
	good := leaf(nil)
	weak := issue(t, rsaKey(t, 1024), &root, nil)
	lapsed := leaf(func(c *x509.Certificate) { c.NotAfter = now.AddDate(0, -2, 0) })
	future := leaf(func(c *x509.Certificate) { c.NotBefore = now.AddDate(0, 1, 0) })
	between := issue(t, ec(t), &root, func(c *x509.Certificate) { authority(c); c.Subject.CommonName = "DTEN Issuing" })
	below := issue(t, ec(t), &between, nil)
	expiredBetween := issue(t, ec(t), &root, func(c *x509.Certificate) {
		authority(c)
		c.Subject.CommonName, c.NotAfter = "DTEN Old", now.AddDate(0, -6, 0)
	})
	belowExpired := issue(t, ec(t), &expiredBetween, nil)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	month, none := now.AddDate(0, -1, 0), time.Time{}
	for _, tt := range []struct {
		name    string
		by      party
		at      time.Time
		claimed time.Time
		roots   *x509.CertPool
		chain   []party
		digest  crypto.Hash
		want    []string
	}{
		{name: "good", by: good, at: month, roots: pool(root)},
		{name: "with an intermediate", by: below, at: month, roots: pool(root), chain: []party{between}},
		{name: "Ed25519", by: issue(t, edKey, &root, nil), at: month, roots: pool(root)},
		{name: "MD5", by: issue(t, rsaKey(t, 2048), &root, nil), at: month, roots: pool(root), digest: crypto.MD5, want: []string{"risk signature/weak-algorithm"}},
		{name: "unknown issuer", by: good, at: month, roots: pool(other), want: []string{"risk signature/unknown-issuer"}},
		{name: "no roots known", by: good, at: month, want: []string{"note signature/issuer-unchecked"}},
		{name: "intermediate missing", by: below, at: month, roots: pool(root), want: []string{"risk signature/unknown-issuer"}},
		{name: "intermediate expired", by: belowExpired, at: month, roots: pool(root), chain: []party{expiredBetween}, want: []string{"risk signature/chain"}},
		{name: "self-signed", by: issue(t, ec(t), nil, nil), at: month, roots: pool(root), want: []string{"risk signature/self-signed"}},
		{name: "self-signed, trusted", by: root, at: month, roots: pool(root), want: []string{"risk signature/key-usage", "risk signature/publisher-differs"}},
		{name: "expired when signed", by: lapsed, at: month, roots: pool(root), want: []string{"risk signature/expired"}},
		{name: "expired since", by: lapsed, at: now.AddDate(0, -4, 0), roots: pool(root), want: []string{"note signature/expired-since"}},
		{name: "signed without a time, claimed late", by: lapsed, claimed: month, roots: pool(root), want: []string{"risk signature/expired"}},
		{name: "signed without a time, claimed early", by: lapsed, claimed: now.AddDate(0, -4, 0), roots: pool(root), want: []string{"note signature/expired-since"}},
		{name: "expired, no time at all", by: lapsed, roots: pool(root), want: []string{"risk signature/expired"}},
		{name: "no time at all", by: good, at: none, roots: pool(root)},
		{name: "not yet valid", by: future, at: month, roots: pool(root), want: []string{"risk signature/not-yet-valid"}},
		{name: "not yet valid, no time", by: future, roots: pool(root), want: []string{"risk signature/not-yet-valid"}},
		{name: "signed in the future", by: good, at: now.AddDate(0, 1, 0), roots: pool(root), want: []string{"risk signature/future"}},
		{name: "a web server's", by: leaf(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), at: month, roots: pool(root), want: []string{"risk signature/key-usage"}},
		{name: "for encryption", by: leaf(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }), at: month, roots: pool(root), want: []string{"risk signature/key-usage"}},
		{name: "any use", by: leaf(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }), at: month, roots: pool(root)},
		{name: "no use named", by: leaf(func(c *x509.Certificate) { c.ExtKeyUsage, c.KeyUsage = nil, 0 }), at: month, roots: pool(root)},
		{name: "an authority", by: leaf(func(c *x509.Certificate) { c.IsCA = true }), at: month, roots: pool(root), want: []string{"risk signature/authority-signs"}},
		{name: "short RSA", by: weak, at: month, roots: pool(root), want: []string{"risk signature/weak-algorithm"}},
		{name: "SHA-1", by: issue(t, rsaKey(t, 2048), &root, nil), at: month, roots: pool(root), digest: crypto.SHA1, want: []string{"risk signature/weak-algorithm"}},
		{name: "somebody else's", by: leaf(func(c *x509.Certificate) { c.Subject.Organization = []string{"Acme"} }), at: month, roots: pool(root), want: []string{"risk signature/publisher-differs"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sig := detached(t, content, tt.by, tt.digest, &tt.at, tt.chain...)
			r := examine(t, Input{
				Beside: files("p.zip", content, "p.zip.p7s", sig), Claimed: tt.claimed, Roots: tt.roots, Pins: &Memory{}, Publisher: publisher,
			})
			wantTold(t, r, append([]string{"note signature/first-use"}, tt.want...)...)
			if d := cmp.Diff(Covers{{Signature: "p.zip.p7s", Kind: "x509", Fingerprint: tt.by.print()}}, r.Covers); d != "" {
				t.Error(d)
			}
			changed := slices.Clone(content)
			changed[len(changed)/2] ^= 1
			pins := &Memory{}
			r = examine(t, Input{Beside: files("p.zip", changed, "p.zip.p7s", sig), Pins: pins, Publisher: publisher, Roots: tt.roots})
			wantTold(t, r, "blocker signature/invalid")
			if p, _ := pins.Pinned(t.Context(), publisher); len(r.Covers) != 0 || len(p) != 0 {
				t.Errorf("a signature that doesn't verify covers %v, and is pinned: %v", r.Covers, p)
			}
		})
	}
}

// TestChainWeak: a certificate that was issued with SHA-1.
func TestChainWeak(t *testing.T) {
	root := issue(t, rsaKey(t, 2048), nil, authority)
	leaf := issue(t, ec(t), &root, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA1WithRSA })
	r := examine(t, Input{Beside: files("p.zip", content, "p.zip.p7s", detached(t, content, leaf, 0, &now)), Roots: pool(root), Pins: &Memory{}, Publisher: publisher})
	wantTold(t, r, "note signature/first-use", "risk signature/weak-algorithm", "risk signature/unknown-issuer")
}

func TestRaw(t *testing.T) {
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := issue(t, ec(t), nil, authority)
	for name, key := range map[string]crypto.Signer{"ECDSA": ec(t), "RSA": rsaKey(t, 2048), "Ed25519": edKey} {
		p := issue(t, key, &root, nil)
		stranger := issue(t, ec(t), &root, nil)
		sig := rawSign(t, content, p)
		spki, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		in := Input{Roots: pool(root), Pins: &Memory{}, Publisher: publisher}
		for _, tt := range []struct {
			what   string
			beside fstest.MapFS
			inside fstest.MapFS
			want   []string
		}{
			{"certificate in the package", files("p.zip", content, "p.zip.sig", sig), files("certs/a.pem", stranger.pem(), "certs/b.crt", p.pem()), []string{"note signature/first-use"}},
			{"certificate in DER beside it", files("p.zip", content, "p.zip.sig", sig, "p.zip.der", p.cert.Raw), nil, []string{"note signature/first-use"}},
			{"a bare key", files("p.zip", content, "p.zip.sig", sig, "p.zip.pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})), nil, []string{"note signature/first-use"}},
			{"no certificate", files("p.zip", content, "p.zip.sig", sig), nil, []string{"risk signature/no-key"}},
			{"changed", files("p.zip", content[1:], "p.zip.sig", sig), files("b.crt", p.pem()), []string{"blocker signature/invalid"}},
		} {
			in.Pins, in.Beside, in.Inside = &Memory{}, tt.beside, nil
			if tt.inside != nil {
				in.Inside = tt.inside
			}
			t.Run(name+", "+tt.what, func(t *testing.T) { wantTold(t, examine(t, in), tt.want...) })
		}
	}
}

func TestUnsigned(t *testing.T) {
	r := examine(t, Input{Beside: files("p.zip", content), Inside: files("manifest.yaml", []byte("name: x"), "docs/a.asc", []byte("= AsciiDoc\n"), "x.sig", []byte("sig"))})
	wantTold(t, r, "risk signature/unsigned")
	pins := &Memory{}
	p := issue(t, ec(t), nil, nil)
	examine(t, Input{Beside: files("p.zip", content, "p.zip.p7s", detached(t, content, p, 0, &now)), Pins: pins, Publisher: publisher})
	r = examine(t, Input{Beside: files("p.zip", content), Pins: pins, Publisher: publisher})
	wantTold(t, r, "blocker signature/unsigned")
	if !strings.Contains(r.Findings[0].Why, p.print()) {
		t.Errorf("it doesn't say what was expected: %+v", r.Findings[0])
	}
}

// TestPinned: the story of a publisher whose key is another one.
func TestPinned(t *testing.T) {
	root := issue(t, ec(t), nil, authority)
	strange := issue(t, ec(t), nil, func(c *x509.Certificate) { authority(c); c.Subject.CommonName = "Unfamiliar CA" })
	key := ec(t)
	first, renewed, swapped := issue(t, key, &root, nil), issue(t, key, &root, nil), issue(t, ec(t), &strange, nil)
	pins := &Memory{}
	look := func(p party) Result {
		return examine(t, Input{Beside: files("p.zip", content, "p.zip.p7s", detached(t, content, p, 0, &now)), Pins: pins, Publisher: publisher, Roots: pool(root, strange)})
	}
	wantTold(t, look(first), "note signature/first-use")
	want := []Pin{{Publisher: publisher, Kind: "x509", Fingerprint: first.print(), Issuer: "CN=DTEN Root", Subject: "CN=release signing,O=DTEN Systems", FirstSeen: now}}
	got, _ := pins.Pinned(t.Context(), publisher)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	wantTold(t, look(first))
	wantTold(t, look(renewed)) // another certificate of the same key
	r := look(swapped)
	wantTold(t, r, "blocker signature/unexpected-key")
	if len(r.Unexpected) != 1 {
		t.Fatalf("%+v", r.Unexpected)
	}
	u := r.Unexpected[0]
	if u.Fingerprint != swapped.print() || u.Issuer != "CN=Unfamiliar CA" || !cmp.Equal(u.Expected, want) || len(u.Steps) != 5 {
		t.Errorf("%+v", u)
	}
	text := r.Findings[0].What + r.Findings[0].Do
	for _, s := range []string{swapped.print(), first.print(), "Unfamiliar CA", "DTEN Root", colons(swapped.cert.Raw)} {
		if !strings.Contains(text, s) {
			t.Errorf("%q isn't told: %s", s, text)
		}
	}
	if got, _ := pins.Pinned(t.Context(), publisher); len(got) != 1 {
		t.Errorf("the unexpected key is pinned: %+v", got)
	}
	if err := pins.Pin(t.Context(), Pin{Publisher: publisher, Kind: u.Kind, Fingerprint: u.Fingerprint, FirstSeen: now}); err != nil {
		t.Fatal(err)
	}
	wantTold(t, look(swapped))
	// One that is given is expected.
	in := Input{
		Beside: files("p.zip", content, "p.zip.sig", rawSign(t, content, renewed)), Pins: &Memory{}, Publisher: "Somebody", Keys: []KeyFile{{"vendor.pem", renewed.pem()}},
	}
	wantTold(t, examine(t, in))
	in.Pins = nil
	in.Publisher = ""
	wantTold(t, examine(t, in), "note signature/not-compared")
}

func TestPartial(t *testing.T) {
	root := issue(t, ec(t), nil, authority)
	p := issue(t, ec(t), &root, nil)
	manifest := []byte("name: dten\n")
	inside := files("dten/manifest.yaml", manifest, "dten/manifest.yaml.p7s", detached(t, manifest, p, 0, &now), "dten/bin/a", []byte("a"), "dten/bin/b", []byte("b"),
		"dten/vendored/lib.tar", []byte("lib"), "dten/vendored/lib.tar.p7s", detached(t, []byte("lib"), issue(t, ec(t), nil, nil), 0, &now))
	in := Input{Beside: files("p.zip", content), Inside: inside, Roots: pool(root), Pins: &Memory{}, Publisher: publisher}
	r := examine(t, in)
	wantTold(t, r, "note signature/first-use", "note signature/partial") // the vendored one speaks for nobody
	if what := r.Findings[len(r.Findings)-1].What; !strings.Contains(what, "dten/bin/a, dten/bin/b are not covered") {
		t.Error(what)
	}
	for _, tt := range []struct {
		names []string
		want  []string
	}{
		{[]string{"dten/bin/a"}, []string{"risk signature/partial"}},
		{[]string{"dten/bin/a", "dten/bin/b", "dten/vendored/lib.tar"}, nil},
	} {
		in.Digests = map[string][]string{"dten/manifest.yaml": tt.names}
		wantTold(t, examine(t, in), tt.want...)
	}
	inside["dten/manifest.yaml"].Data = []byte("name: else\n")
	wantTold(t, examine(t, in), "blocker signature/invalid")
	// By the stem: manifest.p7s is over manifest.yaml.
	inside = files("manifest.yaml", manifest, "manifest.p7s", detached(t, manifest, p, 0, &now))
	r = examine(t, Input{Beside: files("p.zip", content), Inside: inside, Roots: pool(root), Pins: &Memory{}, Publisher: publisher})
	wantTold(t, r, "note signature/first-use")
	if len(r.Covers) != 1 || r.Covers[0].File != "manifest.yaml" {
		t.Errorf("%+v", r.Covers)
	}
}

func TestUncovered(t *testing.T) {
	all := []string{"a", "b", "c", "d"}
	digests := map[string][]string{"a": {"b"}, "b": {"a", "c"}}
	for _, tt := range []struct {
		covers Covers
		want   []string
	}{
		{nil, all},
		{Covers{{File: "a"}}, []string{"d"}},
		{Covers{{File: "d"}}, []string{"a", "b", "c"}},
		{Covers{{File: "d"}, {File: ""}}, nil},
	} {
		if d := cmp.Diff(tt.want, tt.covers.Uncovered(all, digests)); d != "" {
			t.Errorf("%v: %s", tt.covers, d)
		}
	}
}

// run runs a program, or skips the test where it is missing.
func run(t *testing.T, dir, program string, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is missing", program)
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GNUPGHOME="+filepath.Join(dir, "gnupg"), "LC_ALL=C")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, stderr.String())
	}
	return out
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := issue(t, ec(t), nil, nil)
	_, _, err := Check(ctx, Input{Package: "p.zip", Beside: files("p.zip", content, "p.zip.p7s", detached(t, content, p, 0, &now)), Now: now})
	if err == nil {
		t.Error("it goes on after its context has ended")
	}
}
