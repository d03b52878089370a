package signature

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"aftershock/detector"

	"github.com/ProtonMail/go-crypto/openpgp"
)

// signer is who a signature is by.
type signer struct {
	kind, fingerprint string
	issuer, subject   string
	// certificate is the certificate's own fingerprint, "" where there is none.
	certificate string
	given       bool // the key is one of those that are trusted
}

func (s signer) String() string {
	if s.subject == "" {
		return "the key " + s.fingerprint
	}
	return fmt.Sprintf("%s (key %s)", s.subject, s.fingerprint)
}

// keys are what signatures may be by, from the package and from files that are given.
type keys struct {
	certificates []*x509.Certificate
	public       []crypto.PublicKey
	pgp          openpgp.EntityList
	minisign     []minisignKey
	from         map[string]bool // files that hold keys

	trusted *keys // those that are given; nil within themselves
}

// giveKeys reads the keys that are trusted.
func (c *check) giveKeys() error {
	c.keys.from = map[string]bool{}
	c.keys.trusted = &keys{from: map[string]bool{}}
	for _, f := range c.in.Keys {
		if len(f.Data) > maxKey {
			return fmt.Errorf("read the key %s: it is larger than %d bytes", f.Name, maxKey)
		}
		if !c.keys.trusted.read(f.Name, f.Data) {
			return fmt.Errorf("read the key %s: there is no PGP, minisign, PEM or DER key or certificate in it", f.Name)
		}
	}
	return nil
}

// read takes in the keys of a file, and says whether there are any.
func (k *keys) read(name string, data []byte) bool {
	n := len(k.certificates) + len(k.public) + len(k.pgp) + len(k.minisign)
	if n > 4*maxKeys {
		return false
	}
	for rest := data; len(k.certificates)+len(k.public) < maxKeys; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		switch b.Type {
		case "CERTIFICATE":
			if c, err := x509.ParseCertificate(b.Bytes); err == nil {
				k.certificates = append(k.certificates, c)
			}
		case "PUBLIC KEY":
			if p, err := x509.ParsePKIXPublicKey(b.Bytes); err == nil {
				k.public = append(k.public, p)
			}
		case "PKCS7", "CMS":
			k.bundle(b.Bytes)
		}
	}
	if len(data) > 0 && data[0] == 0x30 {
		if c, err := x509.ParseCertificate(data); err == nil {
			k.certificates = append(k.certificates, c)
		} else if isCMS(data) {
			k.bundle(data)
		}
	}
	if key, err := parseMinisignFile(data); err == nil {
		k.minisign = append(k.minisign, key)
	}
	if ring := readKeyring(data); len(k.pgp)+len(ring) < maxKeys {
		k.pgp = append(k.pgp, ring...)
	}
	some := len(k.certificates)+len(k.public)+len(k.pgp)+len(k.minisign) > n
	if some {
		k.from[name] = true
	}
	return some
}

// bundle takes in the certificates of signed data without signers.
func (k *keys) bundle(data []byte) {
	if d, err := parseCMS(data); err == nil && len(d.signers) == 0 {
		k.certificates = append(k.certificates, d.certificates...)
	}
}

// allCertificates gives those that are trusted before those of the package.
func (k *keys) allCertificates() []*x509.Certificate {
	return append(append([]*x509.Certificate(nil), k.trusted.certificates...), k.certificates...)
}

// given says whether a public key is one of those that are trusted.
func (k *keys) given(pub crypto.PublicKey) bool {
	is, ok := pub.(interface{ Equal(x crypto.PublicKey) bool })
	if !ok {
		return false
	}
	for _, p := range k.trusted.public {
		if is.Equal(p) {
			return true
		}
	}
	for _, c := range k.trusted.certificates {
		if is.Equal(c.PublicKey) {
			return true
		}
	}
	return false
}

// certificateSigner is the holder of a certificate's key.
func certificateSigner(c *x509.Certificate, given bool) signer {
	return signer{
		kind: detector.PinX509, fingerprint: colons(c.RawSubjectPublicKeyInfo), certificate: colons(c.Raw), given: given,
		issuer: name(c.Issuer.String()), subject: name(c.Subject.String()),
	}
}

// colons is a SHA-256 in hex with colons, as openssl writes it.
func colons(data []byte) string {
	sum := sha256.Sum256(data)
	text := strings.ToUpper(hex.EncodeToString(sum[:]))
	var b strings.Builder
	for i := 0; i < len(text); i += 2 {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(text[i : i+2])
	}
	return b.String()
}

// name is a distinguished name or user ID, bounded and in one line.
func name(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}

// named is a certificate's subject for people.
func named(c *x509.Certificate) string {
	if s := name(c.Subject.String()); s != "" {
		return s
	}
	return "serial " + c.SerialNumber.Text(16)
}

// raw checks a bare signature against the certificates and public keys at hand.
func (c *check) raw(s found) error {
	sig := rawOf(s.data)
	type candidate struct {
		pub  crypto.PublicKey
		cert *x509.Certificate
	}
	var all []candidate
	for _, cert := range c.keys.allCertificates() {
		all = append(all, candidate{cert.PublicKey, cert})
	}
	for _, pub := range append(append([]crypto.PublicKey(nil), c.keys.trusted.public...), c.keys.public...) {
		all = append(all, candidate{pub, nil})
	}
	var doubt error
	tried := 0
	for _, k := range all {
		if !fits(k.pub, sig) {
			continue
		}
		tried++
		how, err := c.rawBy(k.pub, s.target, sig)
		if c.ctx.Err() != nil {
			return c.ctx.Err()
		}
		if err != nil {
			if !errors.Is(err, errMismatch) {
				doubt = err
			}
			continue
		}
		if k.cert == nil {
			der, err := x509.MarshalPKIXPublicKey(k.pub)
			if err != nil {
				doubt = err
				continue
			}
			if s.speaks {
				c.strength(s, "the key "+colons(der), k.pub, how, how)
			}
			return c.accept(s, signer{kind: detector.PinX509, fingerprint: colons(der), given: c.keys.given(k.pub)})
		}
		if s.speaks {
			c.certificate(s, k.cert, c.keys.certificates, signing{hash: how, digest: how})
		}
		return c.accept(s, certificateSigner(k.cert, c.keys.given(k.pub)))
	}
	switch {
	case doubt != nil:
		_, err := c.outcome(s, "", doubt)
		return err
	case tried == 0:
		c.unchecked("signature/no-key", s, "there is no certificate or public key that it could be by", "Ask the vendor for the certificate, and give it by its file (--key FILE).")
	default:
		c.invalid(s, "", fmt.Sprintf("it isn't one of these bytes by any of the %d keys that it could be by", tried))
	}
	return nil
}

// fits says whether a signature can be one by a key, by its form.
func fits(pub crypto.PublicKey, sig []byte) bool {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return len(sig) == k.Size()
	case *ecdsa.PublicKey:
		return len(sig) > 8 && sig[0] == 0x30
	case ed25519.PublicKey:
		return len(sig) == ed25519.SignatureSize
	}
	return false
}

// rawBy tries the digests in turn, for a bare signature doesn't tell its own.
func (c *check) rawBy(pub crypto.PublicKey, f *file, sig []byte) (crypto.Hash, error) {
	err := errMismatch
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA512, crypto.SHA384, crypto.SHA1, crypto.MD5} {
		for _, pss := range []bool{false, true} {
			if _, isRSA := pub.(*rsa.PublicKey); pss && !isRSA {
				continue
			}
			if err = verify(c.ctx, pub, h, pss, f, sig); !errors.Is(err, errMismatch) {
				return h, err
			}
		}
		if _, is := pub.(ed25519.PublicKey); is {
			break
		}
	}
	return 0, err
}
