package signature

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"aftershock/detector"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Tags of packets (RFC 9580, 5).
const (
	tagSignature = 2
	tagPublicKey = 6
	tagSubkey    = 14
	tagTrust     = 12
	tagUserID    = 13
	tagAttribute = 17
	maxPackets   = 20_000
)

// guarded does something with a library that reads what is hostile.
func guarded[T any](do func() (T, error)) (v T, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it is malformed: %v", r)
		}
	}()
	return do()
}

// packets takes a stream apart into packets of the allowed kinds. Others, compressed ones above all,
// are an error.
func packets(data []byte, allowed ...uint8) (all []*packet.OpaquePacket, err error) {
	return guarded(func() ([]*packet.OpaquePacket, error) {
		r := packet.NewOpaqueReader(bytes.NewReader(data))
		for {
			p, err := r.Next()
			if errors.Is(err, io.EOF) {
				return all, nil
			}
			if err != nil {
				return nil, err
			}
			if !bytes.Contains(allowed, []byte{p.Tag}) {
				return nil, fmt.Errorf("it has a packet of kind %d", p.Tag)
			}
			if all = append(all, p); len(all) > maxPackets {
				return nil, fmt.Errorf("it has more than %d packets", maxPackets)
			}
		}
	})
}

// unarmored gives the bytes within ASCII armor of a kind; binary ones as they are.
func unarmored(data []byte, kind string) ([]byte, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(data), []byte("-----BEGIN PGP")) {
		return data, nil
	}
	b, err := armor.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if b.Type != kind {
		return nil, fmt.Errorf("it is a %s", strings.ToLower(name(b.Type)))
	}
	return io.ReadAll(io.LimitReader(b.Body, maxSignature))
}

// isPGP says whether it is a binary signature.
func isPGP(data []byte) bool {
	if len(data) < 8 || data[0]&0x80 == 0 {
		return false
	}
	all, err := packets(data, tagSignature)
	if err != nil || len(all) == 0 {
		return false
	}
	_, err = parseSignature(all[0])
	return err == nil
}

// readKeyring gives the public keys of a file, none where it is no keyring.
func readKeyring(data []byte) openpgp.EntityList {
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("-----BEGIN PGP")) {
		b, err := guarded(func() ([]byte, error) { return unarmored(data, openpgp.PublicKeyType) })
		if err != nil {
			return nil
		}
		data = b
	} else if len(data) == 0 || data[0]&0x80 == 0 {
		return nil
	}
	all, err := packets(data, tagSignature, tagPublicKey, tagSubkey, tagTrust, tagUserID, tagAttribute)
	if err != nil || len(all) == 0 || all[0].Tag != tagPublicKey {
		return nil
	}
	ring, err := guarded(func() (openpgp.EntityList, error) { return openpgp.ReadKeyRing(bytes.NewReader(data)) })
	if err != nil {
		return nil
	}
	return ring
}

// pgp checks a detached or a clear-signed one.
func (c *check) pgp(s found) error {
	open := func() (io.ReadCloser, error) { return s.target.open(c.ctx) }
	var data []byte
	var err error
	if s.form == formClear {
		b, rest := clearsign.Decode(s.data)
		if b == nil || len(bytes.TrimSpace(rest)) > 0 {
			c.unreadable(s.name, s.place, errors.New("it is no clear-signed text, or goes on after it"))
			return nil
		}
		if data, err = io.ReadAll(io.LimitReader(b.ArmoredSignature.Body, maxSignature)); err != nil {
			c.unreadable(s.name, s.place, err)
			return nil
		}
		open = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes)), nil }
		if s.target != nil && !s.list && !slices.ContainsFunc([][]byte{b.Plaintext, append(b.Plaintext[:len(b.Plaintext):len(b.Plaintext)], '\n'), bytes.TrimSuffix(b.Plaintext, []byte("\n"))},
			func(text []byte) bool { return s.target.is(c.ctx, text) }) {
			s = c.apart(s)
		}
	} else if data, err = guarded(func() ([]byte, error) { return unarmored(s.data, openpgp.SignatureType) }); err != nil {
		c.unreadable(s.name, s.place, err)
		return nil
	}
	all, err := packets(data, tagSignature)
	if err == nil && (len(all) == 0 || len(all) > maxEach) {
		err = fmt.Errorf("it has %d signatures", len(all))
	}
	if err != nil {
		c.unreadable(s.name, s.place, err)
		return nil
	}
	var absent []string
	verified := c.verified
	for _, p := range all {
		what, err := c.pgpOne(s, p, open)
		if err != nil {
			return err
		}
		if what != "" {
			absent = append(absent, what)
		}
	}
	if s.list && c.verified > verified {
		return nil // a repository signs with the keys of several releases, of which one is enough
	}
	for _, what := range absent {
		c.unchecked("signature/no-key", s, what, "Get the vendor's public key by another way than the package, and give it by its file (--key FILE).")
	}
	return nil
}

// pgpOne checks one of the signatures; absent says which key isn't at hand, "" where it is.
func (c *check) pgpOne(s found, p *packet.OpaquePacket, open func() (io.ReadCloser, error)) (absent string, err error) {
	sig, err := parseSignature(p)
	if err != nil {
		c.unreadable(s.name, s.place, err)
		return "", nil
	}
	if sig.SigType != packet.SigTypeBinary && sig.SigType != packet.SigTypeText {
		c.unreadable(s.name, s.place, errors.New("it is no signature over a document"))
		return "", nil
	}
	ring := append(c.keys.trusted.pgp[:len(c.keys.trusted.pgp):len(c.keys.trusted.pgp)], c.keys.pgp...)
	var by *openpgp.Entity
	_, err = guarded(func() (bool, error) {
		if isOld(p) {
			var err error
			by, err = verifyOld(ring, open, sig)
			return true, err
		}
		var one bytes.Buffer
		if err := p.Serialize(&one); err != nil {
			return false, err
		}
		r, err := open()
		if err != nil {
			return false, err
		}
		defer r.Close()
		// What was valid is told as of the signature; as of now it is told apart.
		_, by, err = openpgp.VerifyDetachedSignature(ring, r, &one, &packet.Config{Time: func() time.Time { return sig.CreationTime }})
		return true, err
	})
	var mismatch pgperrors.SignatureError
	lapsed := errors.Is(err, pgperrors.ErrKeyExpired) || errors.Is(err, pgperrors.ErrSignatureExpired)
	switch {
	case c.ctx.Err() != nil:
		return "", c.ctx.Err()
	case errors.Is(err, pgperrors.ErrUnknownIssuer):
		if sig.IssuerKeyId == nil {
			return "its key isn't at hand", nil
		}
		return fmt.Sprintf("the PGP key %016X isn't at hand, or isn't for signing", *sig.IssuerKeyId), nil
	case errors.Is(err, pgperrors.ErrKeyRevoked), err == nil && by.Revoked(c.in.Now):
		c.revoked(s, by)
		return "", nil
	case errors.As(err, &mismatch) && by == nil:
		c.invalid(s, "", errMismatch.Error())
		return "", nil
	case err != nil && !(lapsed && by != nil):
		_, stop := c.outcome(s, "", err)
		return "", stop
	}
	k := pgpSigner(by)
	for _, t := range c.keys.trusted.pgp {
		k.given = k.given || bytes.Equal(t.PrimaryKey.Fingerprint, by.PrimaryKey.Fingerprint)
	}
	if s.speaks {
		c.pgpKey(s, sig, by, k, lapsed)
	}
	return "", c.accept(s, k)
}

// parseSignature reads a packet with a signature.
func parseSignature(p *packet.OpaquePacket) (*packet.Signature, error) {
	return guarded(func() (*packet.Signature, error) {
		if isOld(p) {
			return parseOld(p)
		}
		parsed, err := p.Parse()
		if err != nil {
			return nil, err
		}
		sig, ok := parsed.(*packet.Signature)
		if !ok {
			return nil, errors.New("it is no signature")
		}
		return sig, nil
	})
}

// pgpSigner is the holder of a key.
func pgpSigner(e *openpgp.Entity) signer {
	k := signer{kind: detector.PinPGP, fingerprint: fmt.Sprintf("%X", e.PrimaryKey.Fingerprint)}
	if id := e.PrimaryIdentity(); id != nil {
		k.subject = name(id.Name)
	}
	return k
}

func (c *check) revoked(s found, by *openpgp.Entity) {
	if s.speaks {
		c.bad++
	}
	who := "its key"
	if by != nil {
		who = pgpSigner(by).String()
	}
	c.add(detector.Finding{
		Rule: "signature/revoked", Severity: detector.Blocker, Place: s.place, What: fmt.Sprintf("%s is by %s, which was revoked", s.name, who),
		Why: "Its owner says that the key is no longer theirs alone, or no longer in use.",
		Do:  "Don't install it. Ask the publisher for a package that is signed by the key that is in use.",
	})
}

// pgpKey holds the key and the signature's times to now.
func (c *check) pgpKey(s found, sig *packet.Signature, by *openpgp.Entity, k signer, lapsed bool) {
	c.ahead(s, sig.CreationTime)
	c.strength(s, "", nil, sig.Hash)
	pub := by.PrimaryKey
	for _, sub := range by.Subkeys {
		if sig.IssuerKeyId != nil && sub.PublicKey.KeyId == *sig.IssuerKeyId {
			pub = sub.PublicKey
		}
	}
	if bits, err := pub.BitLength(); err == nil {
		switch pub.PubKeyAlgo {
		case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly:
			if bits < minRSA {
				c.weak(s, fmt.Sprintf("the PGP key %s has RSA of %d bits", k.fingerprint, bits))
			}
		case packet.PubKeyAlgoDSA:
			c.weak(s, fmt.Sprintf("the PGP key %s is one of DSA", k.fingerprint))
		}
	}
	self, _ := by.PrimarySelfSignature()
	f := detector.Finding{Severity: detector.Risk, Place: s.place, Do: "Ask the publisher for a signature by a key that is valid, or for the key with its new expiry."}
	switch {
	case lapsed:
		f.Rule, f.What = "signature/expired", fmt.Sprintf("%s was made on %s by %s, which wasn't valid then", s.name, sig.CreationTime.UTC().Format(time.DateOnly), k)
		f.Why = "An expired key vouches for nobody: it may have been given up."
	case sig.SigExpired(c.in.Now):
		f.Rule, f.What = "signature/expired", fmt.Sprintf("the signature %s by %s has expired by its own word", s.name, k)
		f.Why = "Its signer vouches for the package no longer."
	case self != nil && by.PrimaryKey.KeyExpired(self, c.in.Now):
		f.Rule, f.Severity = "signature/expired-since", detector.Note
		f.What = fmt.Sprintf("the key of %s has expired; %s says that it was made before that, on %s", k, s.name, sig.CreationTime.UTC().Format(time.DateOnly))
		f.Why = "The time is the signer's own word: whoever has the key could have signed it later."
	default:
		return
	}
	c.add(f)
}
